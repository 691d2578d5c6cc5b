/*
 * collector_peer: one dispatcher: its queues, one POST at a time
 *
 *     up, idle --send--> up, in flight --200--> up, idle
 *                              |
 *                              +--anything else--> down
 *     down --due--> down, probe --200--> up, idle
 *                       +--anything else--> down, later
 */

#include "collector_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "http_client.h"
#include "push_lines.h"

struct collector_peer {
    struct collector_peer_conf   conf;
    char                        *address;
    char                        *url;       /* address/dispatch */
    char                        *header;    /* Push-Secret: ... */

    struct collector_item_queue  live;      /* ITEM_STORED, ITEM_LIVE */
    struct collector_item_queue  answers;
    struct collector_item_queue  flight;    /* of the body, in its order */
    struct collector_debt       *debts[PEER_DEBTS];     /* before them */
    size_t                       debt_count;

    struct collector_body        body;      /* in memory, while call is set */
    char                        *memory;
    struct http_client_call     *call;
    bool                         down;
    int64_t                      due_ms;    /* of the next probe */
    unsigned                     tries;     /* since a body was answered */
};

static bool peer_fill(struct collector_peer *p, int64_t now_ms);
static void peer_fill_debts(struct collector_peer *p, int64_t now_ms);
static void peer_fill_items(struct collector_peer *p,
    struct collector_item_queue *q, unsigned lines, size_t len);
static int peer_post(struct collector_peer *p);
static void peer_done(const struct http_client_result *result, void *data);
static void peer_answers(struct collector_peer *p,
    const struct http_client_result *result);
static enum collector_peer_reply peer_answer(const char **pos,
    const char *end, unsigned lines, bool *refused);
static void peer_fail(struct collector_peer *p,
    const struct http_client_result *result);
static void peer_restore(struct collector_peer *p, bool sent);


struct collector_peer *
collector_peer_create(const struct collector_peer_conf *conf)
{
    size_t                  len;
    struct collector_peer  *p;

    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }

    p->conf = *conf;
    p->memory = malloc(PUSH_BODY_MAX);
    p->address = strdup(conf->address);

    if (p->memory == NULL || p->address == NULL) {
        goto failed;
    }

    for (len = strlen(p->address); len && p->address[len - 1] == '/'; len--) {
        p->address[len - 1] = '\0';
    }

    if (asprintf(&p->url, "%s/dispatch", p->address) == -1) {
        p->url = NULL;
        goto failed;
    }

    if (asprintf(&p->header, "Push-Secret: %s", conf->secret) == -1) {
        p->header = NULL;
        goto failed;
    }

    return p;

failed:

    collector_peer_destroy(p);

    return NULL;
}


void
collector_peer_destroy(struct collector_peer *p)
{
    if (p == NULL) {
        return;
    }

    if (p->header != NULL) {
        explicit_bzero(p->header, strlen(p->header));
        free(p->header);
    }

    free(p->url);
    free(p->address);
    free(p->memory);
    free(p);
}


bool
collector_peer_up(const struct collector_peer *p)
{
    return !p->down;
}


void
collector_peer_add(struct collector_peer *p, struct collector_item *item)
{
    collector_item_push(item->kind == ITEM_ANSWER ? &p->answers : &p->live,
                        item);
}


void
collector_peer_send(struct collector_peer *p, int64_t now_ms)
{
    if (p->call != NULL) {
        return;
    }

    if (p->down) {

        if (now_ms < p->due_ms) {
            return;
        }

        collector_body_begin(&p->body, p->memory, p->conf.epoch);

    } else if (!peer_fill(p, now_ms)) {
        return;
    }

    if (peer_post(p) != PUSH_OK) {
        /* too many calls or no memory: the next tick tries again */
        peer_restore(p, false);
        return;
    }

    metrics_add(&p->conf.c->counters.hand_over_bodies, !p->down);
}


void
collector_peer_take(struct collector_peer *p,
    struct collector_item_queue *items)
{
    collector_item_join(items, &p->live);
    collector_item_join(items, &p->answers);
}


void
collector_peer_stop(struct collector_peer *p)
{
    if (p->call != NULL) {
        http_client_cancel(p->call);
        p->call = NULL;
        peer_restore(p, true);
    }
}


void
collector_peer_take_old(struct collector_peer *p, int64_t stored_ms,
    int64_t once_ms, struct collector_item_queue *items)
{
    unsigned                      i;
    struct collector_item        *item;
    struct collector_item_queue  *queues[] = { &p->live, &p->answers }, kept;

    for (i = 0; i < 2; i++) {
        kept.first = kept.last = NULL;

        while ((item = collector_item_pop(queues[i])) != NULL) {

            if (item->since_ms < (item->kind == ITEM_STORED ? stored_ms
                                                            : once_ms))
            {
                collector_item_push(items, item);

            } else {
                collector_item_push(&kept, item);
            }
        }

        *queues[i] = kept;
    }
}


static bool
peer_fill(struct collector_peer *p, int64_t now_ms)
{
    collector_body_begin(&p->body, p->memory, p->conf.epoch);

    peer_fill_debts(p, now_ms);

    peer_fill_items(p, &p->live,
                    p->body.lines + (PUSH_ITEMS_MAX - p->body.lines) / 2,
                    p->body.len + (PUSH_BODY_MAX - p->body.len) / 2);
    peer_fill_items(p, &p->answers, PUSH_ITEMS_MAX, PUSH_BODY_MAX);
    peer_fill_items(p, &p->live, PUSH_ITEMS_MAX, PUSH_BODY_MAX);

    return !collector_body_empty(&p->body);
}


static void
peer_fill_debts(struct collector_peer *p, int64_t now_ms)
{
    char                    line[PUSH_LOG_MAX + 16];
    size_t                  len;
    struct push_str         text;
    struct push_lines_item  item;
    struct collector_debt  *debt;

    memset(&item, 0, sizeof(item));
    item.verb = PUSH_LINES_RESYNC;

    while (p->debt_count < PEER_DEBTS) {
        debt = collector_debts_take(p->conf.debts, now_ms, &item.log);

        if (debt == NULL) {
            break;
        }

        len = push_lines_write(line, sizeof(line), &item);
        text = (struct push_str) { line, len };

        /* always fits: the body is empty but for such lines */
        (void) collector_body_add(&p->body, PUSH_STR(""), text, 1);

        p->debts[p->debt_count++] = debt;
    }
}


/* Until the body has so many lines or so many bytes, or one does not fit. */
static void
peer_fill_items(struct collector_peer *p, struct collector_item_queue *q,
    unsigned lines, size_t len)
{
    struct collector_item  *item;

    while (q->first != NULL && p->body.lines < lines && p->body.len < len) {
        item = q->first;

        if (collector_body_add(&p->body, collector_item_node(item),
                               collector_item_text(item), item->lines)
            != PUSH_OK)
        {
            break;
        }

        collector_item_push(&p->flight, collector_item_pop(q));
        metrics_add(&p->conf.c->counters.hand_over_items, 1);
    }
}


static int
peer_post(struct collector_peer *p)
{
    const char                 *headers[3] = {
        p->header, "Content-Type: text/plain", NULL
    };
    struct http_client_request  request;

    memset(&request, 0, sizeof(request));

    request.method = "POST";
    request.url = p->url;
    request.headers = headers;
    request.body = (struct push_str) { p->body.to, p->body.len };
    request.timeout_ms = PEER_TIMEOUT_MS;

    p->call = http_client_send(p->conf.c->client, &request, peer_done, p);

    return p->call != NULL ? PUSH_OK : PUSH_ERROR;
}


static void
peer_done(const struct http_client_result *result, void *data)
{
    struct collector_peer  *p = data;

    p->call = NULL;

    if (result->status != 200 && (result->status != 400 || p->down)) {
        peer_fail(p, result);
        return;
    }

    if (p->down) {
        p->down = false;

        log_info(p->conf.c->log, "dispatcher_up", "url=%s", p->address);

        p->conf.on_up(p, p->conf.data);
        return;
    }

    p->tries = 0;

    PUSH_FAULT_POINT("handed-over");
    peer_answers(p, result);

    p->conf.on_free(p, p->conf.data);
}


/*
 * 400: the answers that were given, then `error <line> <text>`: the item that
 * they stop at is at fault and would be so again.
 */
static void
peer_answers(struct collector_peer *p, const struct http_client_result *result)
{
    bool                          refused;
    size_t                        i, count;
    const char                   *pos, *end;
    struct collector_item        *item;
    struct collector_item_queue   flight;
    enum collector_peer_reply     reply;

    pos = result->body.data;
    end = pos + result->body.len;
    refused = result->status == 400;

    if (refused) {
        metrics_add(&p->conf.c->counters.hand_over_errors, 1);
        log_error(p->conf.c->log, "dispatch_refused", "url=%s items=%u",
                  p->address, p->body.lines);
    }

    count = p->debt_count;
    p->debt_count = 0;

    for (i = 0; i < count; i++) {

        if (peer_answer(&pos, end, 1, &refused) == PEER_UNKNOWN) {
            collector_debts_back(p->conf.debts, p->debts[i],
                                 daemon_monotonic_ms());

        } else {
            collector_debts_paid(p->conf.debts, p->debts[i]);
        }
    }

    flight = p->flight;
    p->flight.first = p->flight.last = NULL;

    while ((item = collector_item_pop(&flight)) != NULL) {
        reply = peer_answer(&pos, end, item->lines, &refused);
        p->conf.on_answer(item, reply, p->conf.data);
    }
}


/* The heaviest word of so many lines.  The first that is missing: *refused. */
static enum collector_peer_reply
peer_answer(const char **pos, const char *end, unsigned lines, bool *refused)
{
    unsigned                   i;
    struct push_lines_answer   answer;
    enum collector_peer_reply  reply;

    reply = PEER_ARRIVED;

    for (i = 0; i < lines; i++) {

        if (push_lines_answer_next(pos, end, &answer) != PUSH_OK) {

            if (*refused) {
                *refused = false;
                return PEER_REFUSED;
            }

            return PEER_UNKNOWN;
        }

        if (answer.reply == PUSH_LINES_UNKNOWN) {
            reply = PEER_UNKNOWN;
        }
    }

    return reply;
}


static void
peer_fail(struct collector_peer *p, const struct http_client_result *result)
{
    bool  was_down;

    was_down = p->down;

    p->down = true;
    p->due_ms = daemon_monotonic_ms() + collector_retry_ms(p->tries++);

    if (was_down) {
        return;
    }

    metrics_add(&p->conf.c->counters.hand_over_errors, 1);
    log_warn(p->conf.c->log, "dispatcher_down", "url=%s status=%u error=%s",
             p->address, result->status, result->error);

    peer_restore(p, result->sent);
    p->conf.on_down(p, p->conf.data);
}


/*
 * What was in the body is in the queues again, in front.  A message that must
 * go out once only stays away if a byte of it may have left.
 */
static void
peer_restore(struct collector_peer *p, bool sent)
{
    int64_t                       now_ms;
    size_t                        i, count;
    struct collector_item        *item;
    struct collector_item_queue   live = { NULL, NULL };
    struct collector_item_queue   answers = { NULL, NULL };

    now_ms = daemon_monotonic_ms();
    count = p->debt_count;
    p->debt_count = 0;

    for (i = 0; i < count; i++) {
        collector_debts_back(p->conf.debts, p->debts[i], now_ms);
    }

    while ((item = collector_item_pop(&p->flight)) != NULL) {

        if (sent && item->kind != ITEM_STORED) {
            p->conf.on_answer(item, PEER_UNKNOWN, p->conf.data);

        } else {
            collector_item_push(item->kind == ITEM_ANSWER ? &answers : &live,
                                item);
        }
    }

    collector_item_join(&live, &p->live);
    p->live = live;

    collector_item_join(&answers, &p->answers);
    p->answers = answers;
}
