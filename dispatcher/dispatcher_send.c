/*
 * dispatcher_send: one batch in flight a node, while the next one fills
 *
 * in:   items, edges' replies.  out: bodies, answers.  owns: batches
 *
 * A node's batches are a list: the first is in flight or about to be, the last
 * one takes new items until it is full.
 */

#include "dispatcher_send.h"

#include "dispatcher_lookup.h"
#include "dispatcher_nodes.h"
#include "fault_point.h"
#include "http_client.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISPATCHER_BODY_START  4096

struct dispatcher_batch {
    struct dispatcher_batch *next;
    struct dispatcher       *dispatcher;
    struct dispatcher_node  *node;
    struct http_client_call *call;      /* NULL: not in flight */
    struct push_str          epoch;     /* in body */
    char                    *body;
    size_t                   len;
    size_t                   size;
    int64_t                  since_ms;  /* the first item came, monotonic */
    bool                     again;     /* sent for the second time */
    unsigned                 count;
    struct dispatcher_item  *items[PUSH_ITEMS_MAX];
};

struct dispatcher_send {
    struct event           *turn;       /* the end of this turn */
    struct dispatcher_node *ready;      /* nodes with a first batch to send */
    size_t                  items;
};

static struct dispatcher_batch *dispatcher_send_batch(struct dispatcher *d,
    struct dispatcher_node *node, const struct dispatcher_item *item,
    size_t need);
static int dispatcher_send_grow(struct dispatcher_batch *batch, size_t need);
static void dispatcher_send_ready(struct dispatcher *d,
    struct dispatcher_node *node);
static void dispatcher_send_turn(int fd, short what, void *data);
static void dispatcher_send_first(struct dispatcher_node *node);
static void dispatcher_send_probe(struct dispatcher *d,
    struct dispatcher_node *node);
static void dispatcher_send_append(struct dispatcher_batch *batch);
static void dispatcher_send_heard(struct dispatcher_batch *batch,
    const struct http_client_result *result);
static int dispatcher_send_post(struct dispatcher_batch *batch);
static void dispatcher_send_done(const struct http_client_result *result,
    void *data);
static void dispatcher_send_land(struct dispatcher_batch *batch,
    struct push_str reply, uint64_t instance);
static bool dispatcher_send_told(struct push_str reply, unsigned lines);


int
dispatcher_send_create(struct dispatcher *d)
{
    d->send = calloc(1, sizeof(*d->send));
    if (d->send == NULL) {
        return PUSH_ERROR;
    }

    d->send->turn = event_new(d->daemon.base, -1, 0, dispatcher_send_turn, d);

    if (d->send->turn == NULL) {
        free(d->send);
        d->send = NULL;
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


void
dispatcher_send_destroy(struct dispatcher *d)
{
    size_t                   i;
    struct dispatcher_node  *node;

    if (d->send == NULL) {
        return;
    }

    for (i = 0; (node = dispatcher_nodes_each(d, i)) != NULL; i++) {
        while (node->head != NULL) {
            dispatcher_send_land(node->head, PUSH_STR(""), 0);
        }
    }

    event_free(d->send->turn);
    free(d->send);
    d->send = NULL;
}


int
dispatcher_send_add(struct dispatcher *d, struct dispatcher_node *node,
    struct dispatcher_item *item)
{
    size_t                    need;
    struct dispatcher_batch  *batch;

    if (node->late) {
        metrics_add(&d->counters.send_late, 1);
        return PUSH_DECLINED;
    }

    need = push_lines_write(NULL, 0, &item->line);
    batch = dispatcher_send_batch(d, node, item, need);

    if (batch == NULL) {
        metrics_add(&d->counters.send_full, 1);
        return PUSH_DECLINED;
    }

    batch->len += push_lines_write(batch->body + batch->len, need,
                                   &item->line);
    batch->items[batch->count++] = item;
    d->send->items++;

    if (batch == node->head && batch->call == NULL) {
        dispatcher_send_ready(d, node);
    }

    return PUSH_OK;
}


size_t
dispatcher_send_items(const struct dispatcher *d)
{
    return d->send->items;
}


/* The batch that takes need more bytes of this item; NULL: no room. */
static struct dispatcher_batch *
dispatcher_send_batch(struct dispatcher *d, struct dispatcher_node *node,
    const struct dispatcher_item *item, size_t need)
{
    struct push_lines_item    head;
    struct dispatcher_batch  *batch = node->tail;

    if (batch != NULL && batch->call == NULL
        && batch->count < PUSH_ITEMS_MAX
        && need <= PUSH_BODY_MAX - batch->len
        && push_str_eq(batch->epoch, item->request->epoch))
    {
        return dispatcher_send_grow(batch, need) == PUSH_OK ? batch : NULL;
    }

    batch = malloc(sizeof(*batch));
    if (batch == NULL) {
        return NULL;
    }

    memset(batch, 0, offsetof(struct dispatcher_batch, items));
    batch->dispatcher = d;
    batch->node = node;
    batch->since_ms = daemon_monotonic_ms();

    memset(&head, 0, sizeof(head));
    head.verb = PUSH_LINES_EPOCH;
    head.epoch = item->request->epoch;

    /* Of a body that we were given, so epoch and item fit into one. */

    if (dispatcher_send_grow(batch, PUSH_EPOCH_MAX + 7 + need) != PUSH_OK) {
        free(batch);
        return NULL;
    }

    dispatcher_send_append(batch);

    batch->len = push_lines_write(batch->body, batch->size, &head);
    batch->epoch.data = batch->body + 6;
    batch->epoch.len = head.epoch.len;

    return batch;
}


/* Behind the node's others. */
static void
dispatcher_send_append(struct dispatcher_batch *batch)
{
    struct dispatcher_node  *node = batch->node;

    node->bytes += sizeof(*batch);
    batch->dispatcher->bytes += sizeof(*batch);

    if (node->tail != NULL) {
        node->tail->next = batch;

    } else {
        node->head = batch;
    }

    node->tail = batch;
}


static int
dispatcher_send_grow(struct dispatcher_batch *batch, size_t need)
{
    char                    *body;
    size_t                   size, more;
    struct dispatcher       *d = batch->dispatcher;
    struct dispatcher_node  *node = batch->node;

    if (need <= batch->size - batch->len) {
        return PUSH_OK;
    }

    size = batch->size == 0 ? DISPATCHER_BODY_START : batch->size;

    while (need > size - batch->len) {
        size *= 2;
    }

    more = size - batch->size;

    if (node->bytes + more > (size_t) d->conf.node_queue_bytes
        || d->bytes + more > (size_t) d->conf.queue_bytes)
    {
        return PUSH_DECLINED;
    }

    body = realloc(batch->body, size);
    if (body == NULL) {
        return PUSH_DECLINED;
    }

    batch->body = body;
    batch->size = size;
    batch->epoch.data = body + 6;       /* behind "epoch " */
    node->bytes += more;
    d->bytes += more;

    return PUSH_OK;
}


/* Its first batch goes out when this turn is over. */
static void
dispatcher_send_ready(struct dispatcher *d, struct dispatcher_node *node)
{
    if (node->ready) {
        return;
    }

    node->ready = true;
    node->next_ready = d->send->ready;
    d->send->ready = node;

    event_active(d->send->turn, EV_TIMEOUT, 0);
}


static void
dispatcher_send_turn(int fd, short what, void *data)
{
    struct dispatcher       *d = data;
    struct dispatcher_node  *node;

    (void) fd;
    (void) what;

    while ((node = d->send->ready) != NULL) {
        d->send->ready = node->next_ready;
        node->ready = false;
        dispatcher_send_first(node);
    }
}


/* Sends the first batch that is worth it. */
static void
dispatcher_send_first(struct dispatcher_node *node)
{
    int64_t                   now_ms;
    struct dispatcher_batch  *batch;

    while ((batch = node->head) != NULL && batch->call == NULL) {
        now_ms = daemon_monotonic_ms();

        if (now_ms - batch->since_ms <= DISPATCHER_WAIT_MS
            && dispatcher_send_post(batch) == PUSH_OK)
        {
            return;
        }

        /* Nobody waits for its answers any more, or there is no call left. */

        metrics_add(&batch->dispatcher->counters.batches_late, 1);
        dispatcher_send_land(batch, PUSH_STR(""), 0);
    }
}


static int
dispatcher_send_post(struct dispatcher_batch *batch)
{
    char                        secret[300];
    struct dispatcher          *d = batch->dispatcher;
    const char                 *headers[] = {
        secret, "Content-Type: text/plain", NULL
    };
    struct http_client_request  request;

    snprintf(secret, sizeof(secret), "Push-Secret: %s", d->secrets.text[0]);

    memset(&request, 0, sizeof(request));
    request.method = "POST";
    request.url = batch->node->deliver;
    request.headers = headers;
    request.body.data = batch->body != NULL ? batch->body : "";
    request.body.len = batch->len;
    request.timeout_ms = DISPATCHER_EDGE_MS;
    request.reply_max = PUSH_ITEMS_MAX * PUSH_LINES_ANSWER_MAX + 1024;
    request.wanted[0] = "Push-Instance";

    PUSH_FAULT_POINT("edge-post");
    batch->call = http_client_send(d->client, &request, dispatcher_send_done,
                                   batch);
    explicit_bzero(secret, sizeof(secret));

    return batch->call != NULL ? PUSH_OK : PUSH_DECLINED;
}


static void
dispatcher_send_done(const struct http_client_result *result, void *data)
{
    uint64_t                  instance;
    struct push_str           text;
    struct dispatcher_node   *node;
    struct dispatcher_batch  *batch = data;
    struct dispatcher        *d = batch->dispatcher;

    node = batch->node;
    batch->call = NULL;
    PUSH_FAULT_POINT("edge-posted");

    if (result->status == 0 && !result->sent && !batch->again
        && daemon_monotonic_ms() - batch->since_ms <= DISPATCHER_WAIT_MS)
    {
        batch->again = true;

        if (dispatcher_send_post(batch) == PUSH_OK) {
            return;
        }
    }

    metrics_observe_us(&d->batch_time, result->took_us);
    metrics_add(&d->counters.batch_items, batch->count);
    dispatcher_send_heard(batch, result);

    instance = 0;
    text.data = result->wanted[0];

    if (text.data != NULL) {
        text.len = strlen(text.data);
        (void) push_hex64_parse(text, &instance);
    }

    if (result->status == 200
        && dispatcher_send_told(result->body, batch->count))
    {
        metrics_add(&d->counters.batches, 1);

    } else if (batch->count > 0) {
        metrics_add(&d->counters.batches_failed, 1);
        log_warn(&d->daemon.log, "deliver",
                 "node=%s status=%u items=%u bytes=%zu error=%s", node->name,
                 result->status, batch->count, batch->len,
                 result->status == 0 ? result->error
                 : "not one answer for each item");
    }

    dispatcher_send_land(batch, result->status == 200 || result->status == 400
                                ? result->body : PUSH_STR(""), instance);
    dispatcher_send_first(node);

    if (node->late && node->head == NULL) {
        dispatcher_send_probe(d, node);
    }
}


/* Is the node late?  What fails at once is not: it holds nobody up. */
static void
dispatcher_send_heard(struct dispatcher_batch *batch,
    const struct http_client_result *result)
{
    bool                     late;
    struct dispatcher_node  *node = batch->node;

    late = node->leased && result->status == 0
           && result->took_us >= DISPATCHER_LATE_MS * 1000;

    if (late == node->late) {
        return;
    }

    node->late = late;

    if (late) {
        log_warn(&batch->dispatcher->daemon.log, "deliver",
                 "node=%s state=late, what is for it is unknown until it"
                 " replies", node->name);

    } else {
        log_info(&batch->dispatcher->daemon.log, "deliver",
                 "node=%s state=%s", node->name,
                 result->status != 0 ? "replies"
                 : node->leased ? "refuses" : "gone");
    }
}


/* Asks a late node for a sign of life. */
static void
dispatcher_send_probe(struct dispatcher *d, struct dispatcher_node *node)
{
    struct dispatcher_batch  *batch;

    batch = malloc(sizeof(*batch));

    if (batch != NULL) {
        memset(batch, 0, offsetof(struct dispatcher_batch, items));
        batch->dispatcher = d;
        batch->node = node;
        batch->since_ms = daemon_monotonic_ms();

        dispatcher_send_append(batch);
        dispatcher_send_first(node);
    }

    /* Who cannot be asked is tried with the next item. */

    if (node->head == NULL) {
        node->late = false;
    }
}


/*
 * Every item of the first batch gets its answer; where the reply ends, or says
 * something else, the rest is unknown.
 */
static void
dispatcher_send_land(struct dispatcher_batch *batch, struct push_str reply,
    uint64_t instance)
{
    unsigned                   i;
    uint64_t                   target;
    const char                *pos, *end;
    struct dispatcher         *d = batch->dispatcher;
    struct dispatcher_node    *node = batch->node;
    struct push_lines_answer   answer;

    node->head = batch->next;

    if (node->head == NULL) {
        node->tail = NULL;
    }

    node->bytes -= sizeof(*batch) + batch->size;
    d->bytes -= sizeof(*batch) + batch->size;
    d->send->items -= batch->count;

    target = node->instance;
    pos = reply.data;
    end = pos + reply.len;

    for (i = 0; i < batch->count; i++) {

        if (push_lines_answer_next(&pos, end, &answer) != PUSH_OK) {
            pos = end;
            answer.reply = PUSH_LINES_UNKNOWN;
            answer.count = 0;
        }

        dispatcher_lookup_replied(batch->items[i], target, instance, answer);
    }

    free(batch->body);
    free(batch);
}


/* As many answer lines as items, and nothing else. */
static bool
dispatcher_send_told(struct push_str reply, unsigned lines)
{
    const char               *pos = reply.data, *end = pos + reply.len;
    struct push_lines_answer  answer;

    while (lines > 0
           && push_lines_answer_next(&pos, end, &answer) == PUSH_OK)
    {
        lines--;
    }

    return lines == 0 && pos == end;
}
