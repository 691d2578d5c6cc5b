/*
 * store_append_rule: compare-and-append (docs/rules.md 7), pure: what waits,
 * and which documents go next
 */

#include "store_rule.h"

#include <stdlib.h>

static void rule_wake(struct store_append_rule *rule, int64_t now_ms);
static void rule_take(struct store_append_rule *rule,
    struct store_step *step);
static void rule_inserts(struct store_append_rule *rule, int64_t now_ms,
    struct store_step *step);
static void rule_step_hot(struct store_step *step,
    struct store_rule_log *log);
static void rule_step_add(struct store_step *step,
    struct store_rule_log *log, struct store_rule_node *node, int64_t seq);


struct store_append_rule *
store_append_rule_create(uint64_t seed)
{
    size_t                     i;
    struct store_append_rule  *rule;

    rule = calloc(1, sizeof(*rule));

    if (rule == NULL) {
        return NULL;
    }

    rule->seed = seed | 1;
    rule->row = STORE_ROW_ALL;
    rule->done.last = &rule->done.first;
    store_rule_list_init(&rule->paused);

    for (i = 0; i < STORE_RULE_KINDS; i++) {
        store_rule_list_init(&rule->ready[i]);
    }

    return rule;
}


void
store_append_rule_destroy(struct store_append_rule *rule)
{
    store_rule_logs_deinit(&rule->logs);
    free(rule);
}


int
store_append_rule_add(struct store_append_rule *rule, struct store_append *a)
{
    bool                        idle;
    size_t                      i;
    struct store_rule_log      *log;
    struct store_rule_node     *node;
    struct store_rule_request  *request;

    request = calloc(1, sizeof(*request)
                        + a->count * sizeof(struct store_rule_node));

    if (request == NULL) {
        return PUSH_ERROR;
    }

    /* all logs first, so that nothing has to be taken back */

    for (i = 0; i < a->count; i++) {
        node = &request->nodes[i];
        node->log = store_rule_log_get(&rule->logs, a->messages[i].log);

        if (node->log == NULL) {
            while (i--) {
                store_rule_log_unget(&rule->logs, request->nodes[i].log);
            }

            free(request);
            return PUSH_ERROR;
        }
    }

    request->append = a;
    request->left = a->count;

    for (i = 0; i < a->count; i++) {
        a->messages[i].seq = 0;
        a->messages[i].row = 0;
        a->messages[i].text = NULL;

        node = &request->nodes[i];
        node->message = &a->messages[i];
        node->request = request;
        log = node->log;
        idle = log->fresh;
        log->fresh = false;

        *log->end = node;
        log->end = &node->next;
        log->waiting++;

        if (idle) {
            store_rule_move(rule, log);
        }
    }

    return PUSH_OK;
}


void
store_rule_move(struct store_append_rule *rule, struct store_rule_log *log)
{
    if (log->first == NULL) {
        store_rule_log_idle(&rule->logs, log);
        return;
    }

    if (log->pause_ms) {
        store_rule_list_add(&rule->paused, log);
        return;
    }

    log->turn = rule->turn++;
    store_rule_list_add(&rule->ready[log->key ? STORE_STEP_KEYS
                               : log->believed ? STORE_STEP_INSERT
                               : STORE_STEP_TIPS], log);
}


bool
store_append_rule_next(struct store_append_rule *rule, int64_t now_ms,
    struct store_step *step)
{
    int                           i, kind;
    const struct store_rule_log  *log, *first;

    rule_wake(rule, now_ms);

    step->count = 0;
    step->ordered = false;
    step->taken_ms = now_ms;
    step->error[0] = '\0';

    do {
        first = NULL;
        kind = 0;

        for (i = 0; i < STORE_RULE_KINDS; i++) {
            log = rule->ready[i].first;

            if (log && (first == NULL || log->turn < first->turn)) {
                first = log;
                kind = i;
            }
        }

        step->kind = (enum store_step_kind) kind;

        if (kind == STORE_STEP_INSERT) {
            rule_inserts(rule, now_ms, step);

        } else {
            rule_take(rule, step);
        }

        /* all that was ready may have had a tip that is too old */

    } while (first && step->count == 0);

    return step->count > 0;
}


static void
rule_wake(struct store_append_rule *rule, int64_t now_ms)
{
    struct store_rule_list  paused;
    struct store_rule_log  *log;

    if (rule->paused.first == NULL) {
        return;
    }

    paused = rule->paused;
    store_rule_list_init(&rule->paused);

    while ((log = store_rule_list_take(&paused)) != NULL) {
        if (now_ms >= log->pause_ms) {
            log->pause_ms = 0;
        }

        store_rule_move(rule, log);
    }
}


int64_t
store_append_rule_wait(const struct store_append_rule *rule, int64_t now_ms)
{
    int64_t                       until;
    const struct store_rule_log  *log;

    if (rule->ready[STORE_STEP_TIPS].first
        || rule->ready[STORE_STEP_KEYS].first
        || rule->ready[STORE_STEP_INSERT].first)
    {
        return 0;
    }

    if (rule->paused.first == NULL) {
        return -1;
    }

    until = INT64_MAX;

    for (log = rule->paused.first; log; log = log->next) {
        until = log->pause_ms < until ? log->pause_ms : until;
    }

    return until > now_ms ? until - now_ms : 0;
}


/* TIPS, KEYS: as many as there are. */
static void
rule_take(struct store_append_rule *rule, struct store_step *step)
{
    struct store_rule_log  *log;

    while (step->count < STORE_STEP_MAX
           && (log = store_rule_list_take(&rule->ready[step->kind])) != NULL)
    {
        rule_step_add(step, log, log->first, log->tip);
    }
}


static void
rule_inserts(struct store_append_rule *rule, int64_t now_ms,
    struct store_step *step)
{
    size_t                   bytes, len;
    struct store_rule_log   *log;
    struct store_rule_list  *ready;

    ready = &rule->ready[STORE_STEP_INSERT];
    bytes = 0;

    while (step->count < STORE_STEP_MAX && (log = ready->first) != NULL) {

        if (now_ms - log->known_ms > STORE_TIP_MS
            || log->tip > STORE_RULE_SEQ_MAX)
        {
            log->believed = false;
            store_rule_move(rule, store_rule_list_take(ready));
            continue;
        }

        if (log->waiting >= STORE_RULE_HOT) {
            if (step->count == 0) {
                rule_step_hot(step, store_rule_list_take(ready));
            }

            return;                     /* it goes alone, with the next */
        }

        len = log->first->message->data.len;

        if (step->count && bytes + len > STORE_STEP_BYTES) {
            return;
        }

        bytes += len;
        (void) store_rule_list_take(ready);
        rule_step_add(step, log, log->first, log->tip + 1);
    }
}


static void
rule_step_hot(struct store_step *step, struct store_rule_log *log)
{
    size_t                   bytes;
    struct store_rule_node  *node;

    bytes = 0;
    step->ordered = true;

    for (node = log->first; node; node = node->next) {
        bytes += node->message->data.len;

        if (step->count == STORE_STEP_MAX
            || (step->count && bytes > STORE_STEP_BYTES))
        {
            return;
        }

        rule_step_add(step, log, node, log->tip + 1 + (int64_t) step->count);
    }
}


static void
rule_step_add(struct store_step *step, struct store_rule_log *log,
    struct store_rule_node *node, int64_t seq)
{
    struct store_step_item  *item;

    item = &step->items[step->count++];
    item->log.data = log->name;
    item->log.len = log->len;
    item->message = node->message;
    item->seq = seq;
    item->last = log->last;
    item->result = STORE_STEP_UNKNOWN;
    item->text = NULL;
    item->rule_log = log;
    item->node = node;
}


int64_t
store_append_rule_row(const struct store_append_rule *rule)
{
    return rule->row;
}


int64_t
store_append_rule_tip(const struct store_append_rule *rule,
    struct push_str log)
{
    const struct store_rule_log  *found;

    found = store_rule_log_find(&rule->logs, log);

    return found ? found->tip : 0;
}
