/*
 * store_rule_done: what became of a step, and of the messages in it
 *
 *     results of a step --> outcomes of messages, tips of logs --> appends
 *
 * in:   steps with their results.  out: appends that have all their outcomes
 * owns: nothing: the state is store_append_rule's
 */

#include "store_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void rule_log_done(struct store_append_rule *rule,
    const struct store_step *step, size_t from, size_t to, int64_t now_ms);
static void rule_item_tip(struct store_append_rule *rule,
    const struct store_step *step, const struct store_step_item *item);
static void rule_item_key(struct store_append_rule *rule,
    const struct store_step *step, const struct store_step_item *item,
    int64_t now_ms);
static bool rule_item_insert(struct store_append_rule *rule,
    const struct store_step *step, const struct store_step_item *item,
    int64_t now_ms);
static void rule_again(struct store_append_rule *rule,
    struct store_rule_log *log, int64_t now_ms, enum store_outcome outcome,
    const char *text);
static void rule_fail_log(struct store_append_rule *rule,
    struct store_rule_log *log, const char *text);
static void rule_tell(struct store_append_rule *rule,
    struct store_rule_log *log, enum store_outcome outcome, int64_t seq,
    const char *text);
static void rule_finish(struct store_append_rule *rule,
    struct store_rule_request *request);
static struct store_request *rule_finished(struct store_append_rule *rule);
static uint64_t rule_random(struct store_append_rule *rule);


struct store_request *
store_append_rule_done(struct store_append_rule *rule,
    const struct store_step *step, int64_t now_ms)
{
    size_t  i;

    if (step->ordered) {
        rule_log_done(rule, step, 0, step->count, now_ms);

    } else {
        for (i = 0; i < step->count; i++) {
            rule_log_done(rule, step, i, i + 1, now_ms);
        }
    }

    return rule_finished(rule);
}


/* The items of one log. */
static void
rule_log_done(struct store_append_rule *rule, const struct store_step *step,
    size_t from, size_t to, int64_t now_ms)
{
    size_t                  i;
    struct store_rule_log  *log;

    log = step->items[from].rule_log;

    for (i = from; i < to; i++) {
        switch (step->kind) {

        case STORE_STEP_TIPS:
            rule_item_tip(rule, step, &step->items[i]);
            break;

        case STORE_STEP_KEYS:
            rule_item_key(rule, step, &step->items[i], now_ms);
            break;

        default:    /* STORE_STEP_INSERT */
            if (!rule_item_insert(rule, step, &step->items[i], now_ms)) {
                i = to;
            }
        }
    }

    store_rule_move(rule, log);
}


static void
rule_item_tip(struct store_append_rule *rule, const struct store_step *step,
    const struct store_step_item *item)
{
    struct store_rule_log  *log;

    log = item->rule_log;

    if (item->result != STORE_STEP_DONE) {
        rule_fail_log(rule, log, step->error);
        return;
    }

    if (item->seq > STORE_RULE_SEQ_MAX) {
        rule_fail_log(rule, log, "the log is full");
        return;
    }

    store_rule_log_know(log, item->seq, step->taken_ms);
}


static void
rule_item_key(struct store_append_rule *rule, const struct store_step *step,
    const struct store_step_item *item, int64_t now_ms)
{
    struct store_message   *m;
    struct store_rule_log  *log;

    log = item->rule_log;
    log->key = false;

    switch (item->result) {

    case STORE_STEP_DONE:
        m = item->node->message;

        if (memcmp(item->hash, m->hash, STORE_HASH_LEN) != 0) {
            rule_tell(rule, log, STORE_CONFLICT, item->seq, NULL);
            return;
        }

        m->ts_ms = item->ts_ms;
        m->expires = item->expires;
        rule_tell(rule, log, STORE_DUPLICATE, item->seq, NULL);
        return;

    case STORE_STEP_MISSING:
        rule_again(rule, log, now_ms, STORE_UNKNOWN,
                   "the first message with this key is not committed yet");
        return;

    default:
        rule_tell(rule, log, STORE_UNKNOWN, 0, step->error);
    }
}


/* False: what follows in an ordered step was not tried. */
static bool
rule_item_insert(struct store_append_rule *rule, const struct store_step *step,
    const struct store_step_item *item, int64_t now_ms)
{
    struct store_rule_log  *log;

    log = item->rule_log;

    switch (item->result) {

    case STORE_STEP_DONE:
        store_rule_log_know(log, item->seq, step->taken_ms);
        log->last = false;
        rule_tell(rule, log, STORE_STORED, item->seq, NULL);
        return true;

    case STORE_STEP_SEQ_TAKEN:
        if (!log->last) {
            store_rule_log_forget(log);     /* there is more than we knew */
            return false;
        }

        rule_again(rule, log, now_ms, STORE_REFUSED,
                   "the log is being written by others");
        return false;

    case STORE_STEP_KEY_TAKEN:
        log->key = true;
        return false;

    case STORE_STEP_REFUSED:
        rule_tell(rule, log, STORE_REFUSED, 0, item->text);
        return false;

    case STORE_STEP_NOT_TRIED:
        return false;

    default:
        store_rule_log_forget(log);
        rule_tell(rule, log, STORE_UNKNOWN, 0, step->error);
        return true;
    }
}


/*
 * The first one loses its turn: it reads the tip again after a pause of 0.5 to
 * 1.5 times 2, 4, ... 128 ms; too often, and it ends with the outcome.
 */
static void
rule_again(struct store_append_rule *rule, struct store_rule_log *log,
    int64_t now_ms, enum store_outcome outcome, const char *text)
{
    int64_t  pause;

    store_rule_log_forget(log);

    if (++log->first->tries == STORE_TRIES) {
        rule_tell(rule, log, outcome, 0, text);
        return;
    }

    pause = INT64_C(1) << log->first->tries;
    pause = pause / 2 + (int64_t) (rule_random(rule) % (uint64_t) (pause + 1));
    log->pause_ms = now_ms + pause;
}


struct store_request *
store_append_rule_fail(struct store_append_rule *rule, const char *text)
{
    size_t                  i;
    struct store_rule_log  *log;
    struct store_rule_list  all, *list;

    for (i = 0; i <= STORE_RULE_KINDS; i++) {
        list = i < STORE_RULE_KINDS ? &rule->ready[i] : &rule->paused;

        if (list->first == NULL) {
            continue;
        }

        all.first = list->first;
        store_rule_list_init(list);

        while ((log = all.first) != NULL) {
            all.first = log->next;
            rule_fail_log(rule, log, text);
            log->pause_ms = 0;
            store_rule_move(rule, log);
        }
    }

    return rule_finished(rule);
}


/* One that met its key may be stored: by an earlier try of its publisher. */
static void
rule_fail_log(struct store_append_rule *rule, struct store_rule_log *log,
    const char *text)
{
    while (log->first) {
        rule_tell(rule, log, log->key ? STORE_UNKNOWN : STORE_REFUSED, 0,
                  text);
        log->key = false;
    }
}


/* The outcome of the first that waits. */
static void
rule_tell(struct store_append_rule *rule, struct store_rule_log *log,
    enum store_outcome outcome, int64_t seq, const char *text)
{
    struct store_message       *m;
    struct store_request       *r;
    struct store_rule_node     *node;
    struct store_rule_request  *request;

    node = log->first;
    request = node->request;
    m = node->message;
    r = &request->append->r;

    log->first = node->next;
    log->waiting--;

    if (log->first == NULL) {
        log->end = &log->first;
    }

    m->outcome = outcome;
    m->seq = seq;

    if (outcome == STORE_UNKNOWN || outcome == STORE_REFUSED) {
        if (r->result == STORE_OK) {
            r->result = STORE_UNAVAILABLE;
            snprintf(r->error, sizeof(r->error), "%s", text);
        }

        m->text = r->error;
    }

    if (--request->left == 0) {
        rule_finish(rule, request);
    }
}


static void
rule_finish(struct store_append_rule *rule, struct store_rule_request *request)
{
    size_t                i;
    struct store_append  *a;

    a = request->append;

    for (i = 0; i < a->count; i++) {
        if (a->messages[i].outcome == STORE_STORED) {
            a->messages[i].row = ++rule->row;
        }
    }

    a->r.next = NULL;
    *rule->done.last = &a->r;
    rule->done.last = &a->r.next;
    free(request);
}


static struct store_request *
rule_finished(struct store_append_rule *rule)
{
    struct store_request  *first;

    first = rule->done.first;
    rule->done.first = NULL;
    rule->done.last = &rule->done.first;

    return first;
}


/* xorshift64 */
static uint64_t
rule_random(struct store_append_rule *rule)
{
    rule->seed ^= rule->seed << 13;
    rule->seed ^= rule->seed >> 7;
    rule->seed ^= rule->seed << 17;

    return rule->seed;
}
