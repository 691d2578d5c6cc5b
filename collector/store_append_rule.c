/*
 * store_append_rule: compare-and-append (docs/rules.md 7), pure
 *
 * A log is in one place at a time: in a list of those that are ready for a
 * kind of step, in the list of those that pause, in a step, or idle.
 */

#include "store_append_rule.h"

#include "store_rule_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE_KINDS    3                 /* of enum store_step_kind */
#define RULE_SEQ_MAX  (PUSH_SEQ_MAX - STORE_STEP_MAX)

struct store_rule_node {
    struct store_rule_node    *next;
    struct store_rule_log     *log;
    struct store_message      *message;
    struct store_rule_request *request;
    unsigned                   tries;
};

struct store_rule_request {
    struct store_append    *append;
    size_t                  left;       /* messages without outcome */
    struct store_rule_node  nodes[];
};

struct rule_done {
    struct store_request  *first;
    struct store_request **last;
};

struct store_append_rule {
    uint64_t               seed;
    uint64_t               turn;
    int64_t                row;
    struct store_rule_list ready[RULE_KINDS];
    struct store_rule_list paused;
    struct rule_done       done;        /* of the call under way */
    struct store_rule_logs logs;
};

static void rule_log_move(struct store_append_rule *rule,
    struct store_rule_log *log);
static void rule_wake(struct store_append_rule *rule, int64_t now_ms);
static void rule_step_add(struct store_step *step,
    struct store_rule_log *log, struct store_rule_node *node, int64_t seq);
static void rule_step_hot(struct store_step *step,
    struct store_rule_log *log);
static void rule_inserts(struct store_append_rule *rule, int64_t now_ms,
    struct store_step *step);
static void rule_take(struct store_append_rule *rule,
    struct store_step *step);
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

    for (i = 0; i < RULE_KINDS; i++) {
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
            rule_log_move(rule, log);
        }
    }

    return PUSH_OK;
}


/* To the list where it belongs.  It is in none. */
static void
rule_log_move(struct store_append_rule *rule, struct store_rule_log *log)
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

        for (i = 0; i < RULE_KINDS; i++) {
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
    struct store_rule_list        paused;
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

        rule_log_move(rule, log);
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
    size_t                  bytes, len;
    struct store_rule_list       *ready;
    struct store_rule_log  *log;

    ready = &rule->ready[STORE_STEP_INSERT];
    bytes = 0;

    while (step->count < STORE_STEP_MAX && (log = ready->first) != NULL) {

        if (now_ms - log->known_ms > STORE_TIP_MS
            || log->tip > RULE_SEQ_MAX)
        {
            log->believed = false;
            rule_log_move(rule, store_rule_list_take(ready));
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

    rule_log_move(rule, log);
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

    if (item->seq > RULE_SEQ_MAX) {
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
    struct store_rule_list        all, *list;
    struct store_rule_log  *log;

    for (i = 0; i <= RULE_KINDS; i++) {
        list = i < RULE_KINDS ? &rule->ready[i] : &rule->paused;

        if (list->first == NULL) {
            continue;
        }

        all.first = list->first;
        store_rule_list_init(list);

        while ((log = all.first) != NULL) {
            all.first = log->next;
            rule_fail_log(rule, log, text);
            log->pause_ms = 0;
            rule_log_move(rule, log);
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


/* xorshift64 */
static uint64_t
rule_random(struct store_append_rule *rule)
{
    rule->seed ^= rule->seed << 13;
    rule->seed ^= rule->seed >> 7;
    rule->seed ^= rule->seed << 17;

    return rule->seed;
}
