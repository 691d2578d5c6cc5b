/*
 * dispatcher_plan: the next step of an item, by its nodes' replies
 *
 * in:   bindings, replies.  out: a step.  owns: nothing
 */

#include "dispatcher_plan.h"
#include "push_binding.h"

#include <string.h>

static bool dispatcher_plan_had(const struct dispatcher_plan_item *item,
    uint64_t instance);


void
dispatcher_plan_init(struct dispatcher_plan_item *item)
{
    memset(item, 0, sizeof(*item));
    item->answer.reply = PUSH_LINES_NONE;
}


enum dispatcher_plan_route
dispatcher_plan_route(enum push_lines_verb verb, bool addressed)
{
    if (addressed) {
        return PLAN_ROUTE_NODE;
    }

    switch (verb) {

    case PUSH_LINES_USER:
        return PLAN_ROUTE_LOOKUP;

    case PUSH_LINES_GROUP:
    case PUSH_LINES_ALL:
    case PUSH_LINES_KICK:       /* a binding may be missing or too new */
    case PUSH_LINES_JOIN:
    case PUSH_LINES_LEAVE:
    case PUSH_LINES_RESYNC:
    case PUSH_LINES_CHECK:
    case PUSH_LINES_PACE:
        return PLAN_ROUTE_ALL;

    default:
        return PLAN_ROUTE_REFUSED;
    }
}


int
dispatcher_plan_binding_parse(struct push_str member,
    struct dispatcher_plan_binding *binding)
{
    struct push_binding  parts;

    if (push_binding_parse(member, &parts) != PUSH_OK) {
        return PUSH_ERROR;
    }

    binding->member = member;
    binding->node = parts.node;
    binding->instance = parts.id.instance;
    binding->state = PLAN_BINDING_OPEN;
    binding->target = false;

    return PUSH_OK;
}


unsigned
dispatcher_plan_targets(struct dispatcher_plan_item *item,
    struct dispatcher_plan_binding *bindings, size_t count)
{
    size_t  i, j;

    item->waiting = 0;

    for (i = 0; i < count; i++) {

        for (j = 0; j < i && bindings[j].instance != bindings[i].instance; j++)
        {
            /* void */
        }

        if (j < i) {
            bindings[i].state = bindings[j].state;
            continue;
        }

        if (dispatcher_plan_had(item, bindings[i].instance)) {
            bindings[i].state = PLAN_BINDING_HAD;
            continue;
        }

        bindings[i].target = true;
        item->waiting++;
    }

    item->bindings = bindings;
    item->count = count;
    item->by_lookup = true;

    return item->waiting;
}


enum dispatcher_plan_step
dispatcher_plan_reply(struct dispatcher_plan_item *item, uint64_t target,
    uint64_t instance, struct push_lines_answer answer)
{
    size_t                      i;
    enum dispatcher_plan_state  state;

    state = PLAN_BINDING_HAD;

    if (answer.reply == PUSH_LINES_NONE) {

        if (instance == target) {
            state = PLAN_BINDING_STALE;

        } else {
            answer.reply = PUSH_LINES_UNKNOWN;  /* another start on this port */
        }
    }

    for (i = 0; i < item->count; i++) {
        if (item->bindings[i].instance == target) {
            item->bindings[i].state = state;
        }
    }

    push_lines_answer_add(&item->answer, answer);
    item->waiting--;

    return dispatcher_plan_next(item);
}


enum dispatcher_plan_step
dispatcher_plan_gone(struct dispatcher_plan_item *item)
{
    item->waiting--;

    return dispatcher_plan_next(item);
}


enum dispatcher_plan_step
dispatcher_plan_next(struct dispatcher_plan_item *item)
{
    size_t  i;

    if (item->waiting > 0) {
        return PLAN_WAIT;
    }

    if (!item->by_lookup || item->answer.reply == PUSH_LINES_UNKNOWN) {
        return PLAN_ANSWER;     /* of unknown the collector sends all again */
    }

    for (i = 0; i < item->count && !item->looked_again; i++) {
        if (item->bindings[i].state == PLAN_BINDING_STALE) {
            item->looked_again = true;
            return PLAN_LOOKUP;
        }
    }

    if (item->answer.reply == PUSH_LINES_NONE) {
        item->answer.reply = PUSH_LINES_OFFLINE;
    }

    return PLAN_ANSWER;
}


/* Its node took the item in the first round. */
static bool
dispatcher_plan_had(const struct dispatcher_plan_item *item, uint64_t instance)
{
    size_t  i;

    for (i = 0; i < item->count; i++) {
        if (item->bindings[i].instance == instance) {
            return item->bindings[i].state == PLAN_BINDING_HAD;
        }
    }

    return false;
}
