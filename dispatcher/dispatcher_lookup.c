/*
 * dispatcher_lookup: users -> bindings -> nodes
 *
 * in:   items, replies.  out: items to send, answers.  owns: bindings
 *
 *     start --+-- all ------------------------+--> send --> replied --> plan
 *             +-- node --(lease)--------------+                          |
 *             +-- user --bindings--(lease)----+     answer, look up <----+
 *
 * An item whose targets are being handed out is held by one more `waiting`, so
 * that it cannot be answered, and its request freed, under our feet.
 */

#include "dispatcher_lookup.h"

#include "dispatcher_in.h"
#include "dispatcher_nodes.h"
#include "dispatcher_send.h"
#include "fault_point.h"
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISPATCHER_KEY_MAX  (PUSH_NAME_MAX + 7)     /* push:{<uid>} */

/* A target whose lease is being read. */
struct dispatcher_lookup_wait {
    struct dispatcher_item *item;
    uint64_t                instance;
};

static const struct push_lines_answer dispatcher_lookup_unknown = {
    PUSH_LINES_UNKNOWN, 0
};

static void dispatcher_lookup_user(struct dispatcher_item *item);
static void dispatcher_lookup_bindings(const struct redis_reply *reply,
    void *data);
static struct dispatcher_plan_binding *dispatcher_lookup_copy(
    const struct redis_reply *reply, size_t *count);
static void dispatcher_lookup_all(struct dispatcher_item *item);
static void dispatcher_lookup_node(struct dispatcher_item *item,
    struct push_str name, uint64_t instance);
static void dispatcher_lookup_leased(struct dispatcher_node *node, bool said,
    void *data);
static void dispatcher_lookup_send(struct dispatcher_item *item,
    struct dispatcher_node *node);
static void dispatcher_lookup_remove(struct dispatcher_item *item,
    uint64_t instance);
static void dispatcher_lookup_step(struct dispatcher_item *item,
    enum dispatcher_plan_step step);
static void dispatcher_lookup_hold(struct dispatcher_item *item);
static void dispatcher_lookup_release(struct dispatcher_item *item);
static struct push_str dispatcher_lookup_key(char *to, struct push_str uid);


void
dispatcher_lookup_start(struct dispatcher_item *item)
{
    switch (dispatcher_plan_route(item->line.verb, item->node.len != 0)) {

    case PLAN_ROUTE_LOOKUP:
        dispatcher_lookup_user(item);
        return;

    case PLAN_ROUTE_ALL:
        dispatcher_lookup_all(item);
        return;

    default:
        item->plan.waiting = 1;
        dispatcher_lookup_hold(item);
        dispatcher_lookup_node(item, item->node, item->instance);
        dispatcher_lookup_release(item);
        return;
    }
}


void
dispatcher_lookup_replied(struct dispatcher_item *item, uint64_t target,
    uint64_t instance, struct push_lines_answer answer)
{
    enum dispatcher_plan_step  step;

    step = dispatcher_plan_reply(&item->plan, target, instance, answer);

    dispatcher_lookup_remove(item, target);
    dispatcher_lookup_step(item, step);
}


void
dispatcher_lookup_forget(struct dispatcher_item *item)
{
    free(item->plan.bindings);
    item->plan.bindings = NULL;
    item->plan.count = 0;
}


static void
dispatcher_lookup_user(struct dispatcher_item *item)
{
    int                 n;
    char                key[DISPATCHER_KEY_MAX], now[24], limit[16];
    struct push_str     now_str = { now, 0 }, limit_str = { limit, 0 };
    struct dispatcher  *d = item->request->dispatcher;

    if (!dispatcher_nodes_bindings_trusted(d)) {
        dispatcher_lookup_all(item);
        return;
    }

    n = snprintf(now, sizeof(now), "%lld", (long long) redis_now_ms(d->redis));
    now_str.len = (size_t) n;

    n = snprintf(limit, sizeof(limit), "%d", DISPATCHER_BINDINGS_MAX);
    limit_str.len = (size_t) n;

    if (redis_call(d->redis, dispatcher_lookup_bindings, item,
                   PUSH_STR("ZRANGEBYSCORE"),
                   dispatcher_lookup_key(key, item->line.name),
                   now_str, PUSH_STR("+inf"),
                   PUSH_STR("LIMIT"), PUSH_STR("0"), limit_str)
        == PUSH_OK)
    {
        metrics_add(&d->counters.lookups, 1);
        return;
    }

    /* Redis is up, but has too much to do; so has everybody else. */

    item->plan.answer.reply = PUSH_LINES_UNKNOWN;
    dispatcher_lookup_step(item, PLAN_ANSWER);
}


static void
dispatcher_lookup_bindings(const struct redis_reply *reply, void *data)
{
    size_t                           i, count;
    struct dispatcher_item          *item = data;
    struct dispatcher               *d = item->request->dispatcher;
    struct dispatcher_plan_binding  *bindings, *former;

    if (redis_type(reply) != REDIS_ARRAY) {
        metrics_add(&d->counters.lookups_failed, 1);
        dispatcher_lookup_all(item);
        return;
    }

    if (redis_count(reply) == DISPATCHER_BINDINGS_MAX) {
        dispatcher_lookup_all(item);    /* there may be more */
        return;
    }

    bindings = dispatcher_lookup_copy(reply, &count);

    if (bindings == NULL && count > 0) {
        item->plan.answer.reply = PUSH_LINES_UNKNOWN;
        dispatcher_lookup_step(item, PLAN_ANSWER);
        return;
    }

    PUSH_FAULT_POINT("lookup-done");
    former = item->plan.bindings;
    dispatcher_plan_targets(&item->plan, bindings, count);
    free(former);

    dispatcher_lookup_hold(item);

    for (i = 0; i < count; i++) {
        if (bindings[i].target) {
            dispatcher_lookup_node(item, bindings[i].node,
                                   bindings[i].instance);
        }
    }

    dispatcher_lookup_release(item);
}


/*
 * The bindings and their bytes in one block.  NULL and *count 0: none; NULL and
 * another *count: out of memory.
 */
static struct dispatcher_plan_binding *
dispatcher_lookup_copy(const struct redis_reply *reply, size_t *count)
{
    char                            *bytes;
    size_t                           i, n, len;
    struct push_str                  member;
    struct dispatcher_plan_binding  *bindings;

    n = redis_count(reply);
    len = 0;

    for (i = 0; i < n; i++) {
        len += redis_str(redis_at(reply, i)).len;
    }

    *count = n;

    if (n == 0) {
        return NULL;
    }

    bindings = malloc(n * sizeof(*bindings) + len);
    if (bindings == NULL) {
        return NULL;
    }

    bytes = (char *) (bindings + n);
    *count = 0;

    for (i = 0; i < n; i++) {
        member = redis_str(redis_at(reply, i));
        memcpy(bytes, member.data, member.len);
        member.data = bytes;

        if (dispatcher_plan_binding_parse(member, &bindings[*count])
            == PUSH_OK)
        {
            bytes += member.len;
            ++*count;
        }
    }

    return bindings;
}


/* To every known node: no look-up needed, or none possible. */
static void
dispatcher_lookup_all(struct dispatcher_item *item)
{
    size_t              i, n;
    struct dispatcher  *d = item->request->dispatcher;

    if (!dispatcher_nodes_known(d) || item->plan.looked_again) {
        /* Who they are cannot be told; or some have had it already. */
        item->plan.answer.reply = PUSH_LINES_UNKNOWN;
        dispatcher_lookup_step(item, PLAN_ANSWER);
        return;
    }

    n = dispatcher_nodes_count(d);
    item->plan.waiting = (unsigned) n;
    item->plan.by_lookup = item->line.verb == PUSH_LINES_USER;

    dispatcher_lookup_hold(item);

    for (i = 0; i < n; i++) {
        dispatcher_lookup_send(item, dispatcher_nodes_at(d, i));
    }

    dispatcher_lookup_release(item);
}


/* To one node, whose lease may have to be read first.  The item is held. */
static void
dispatcher_lookup_node(struct dispatcher_item *item, struct push_str name,
    uint64_t instance)
{
    struct dispatcher              *d = item->request->dispatcher;
    struct dispatcher_node         *node;
    struct dispatcher_lookup_wait  *wait;

    node = dispatcher_nodes_find(d, instance);

    if (node != NULL) {
        dispatcher_lookup_send(item, node);
        return;
    }

    wait = malloc(sizeof(*wait));

    if (wait != NULL) {
        wait->item = item;
        wait->instance = instance;

        if (dispatcher_nodes_ask(d, name, instance, dispatcher_lookup_leased,
                                 wait)
            == PUSH_OK)
        {
            return;
        }

        free(wait);
    }

    dispatcher_lookup_replied(item, instance, 0, dispatcher_lookup_unknown);
}


static void
dispatcher_lookup_leased(struct dispatcher_node *node, bool said, void *data)
{
    struct dispatcher_item         *item;
    struct dispatcher_lookup_wait  *wait = data;

    item = wait->item;

    if (node != NULL) {
        dispatcher_lookup_send(item, node);

    } else if (said) {
        dispatcher_lookup_step(item, dispatcher_plan_gone(&item->plan));

    } else {
        dispatcher_lookup_replied(item, wait->instance, 0,
                                  dispatcher_lookup_unknown);
    }

    free(wait);
}


static void
dispatcher_lookup_send(struct dispatcher_item *item,
    struct dispatcher_node *node)
{
    if (dispatcher_send_add(item->request->dispatcher, node, item)
        != PUSH_OK)
    {
        dispatcher_lookup_replied(item, node->instance, 0,
                                  dispatcher_lookup_unknown);
    }
}


/* The bindings of a node that said none, just as they were read. */
static void
dispatcher_lookup_remove(struct dispatcher_item *item, uint64_t instance)
{
    char                             key[DISPATCHER_KEY_MAX];
    size_t                           i;
    struct dispatcher               *d = item->request->dispatcher;
    struct dispatcher_plan_binding  *b;

    for (i = 0; i < item->plan.count; i++) {
        b = &item->plan.bindings[i];

        if (b->instance == instance && b->state == PLAN_BINDING_STALE
            && redis_call(d->redis, NULL, NULL, PUSH_STR("ZREM"),
                          dispatcher_lookup_key(key, item->line.name),
                          b->member)
               == PUSH_OK)
        {
            metrics_add(&d->counters.stale, 1);
        }
    }
}


static void
dispatcher_lookup_step(struct dispatcher_item *item,
    enum dispatcher_plan_step step)
{
    switch (step) {

    case PLAN_WAIT:
        return;

    case PLAN_LOOKUP:
        dispatcher_lookup_user(item);
        return;

    case PLAN_ANSWER:
        dispatcher_in_answered(item);
        return;
    }
}


static void
dispatcher_lookup_hold(struct dispatcher_item *item)
{
    item->plan.waiting++;
}


static void
dispatcher_lookup_release(struct dispatcher_item *item)
{
    item->plan.waiting--;
    dispatcher_lookup_step(item, dispatcher_plan_next(&item->plan));
}


static struct push_str
dispatcher_lookup_key(char *to, struct push_str uid)
{
    struct push_str  key = { to, uid.len + 7 };

    memcpy(to, "push:{", 6);
    memcpy(to + 6, uid.data, uid.len);      /* at most PUSH_NAME_MAX */
    to[6 + uid.len] = '}';

    return key;
}
