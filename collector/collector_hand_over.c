/*
 * collector_hand_over: what is committed goes to a dispatcher
 *
 *     add, ephemeral, answer --> item --route--> peer --on_answer--> done
 *                                  ^                      |
 *                                  +---- waiting[tries] <-+ unknown
 *                                  due            30 s -> debts
 *
 * A tick of 100 ms moves what is due, drops what is old, sends debts and
 * probes; each tenth one puts the mark.  What comes is sent at the end of the
 * turn, so that all that one commit brought goes in one body.
 */

#include "collector_hand_over.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "collector_debts.h"
#include "collector_frame.h"
#include "collector_mark.h"
#include "collector_peers.h"
#include "collector_repair.h"

#define HAND_OVER_TICK_MS  100
#define HAND_OVER_SECOND   10       /* ticks */

struct collector_hand_over {
    struct collector            *c;
    struct collector_peers      *peers;
    struct collector_debts      *debts;
    struct collector_mark        mark;
    struct collector_repair     *repair;

    /* answered `unknown`, by how long they wait: each in order of due_ms */
    struct collector_item_queue  waiting[RETRY_LEVELS];

    size_t                       items;
    size_t                       bytes;
    size_t                       answer_bytes;

    struct event                *turn;      /* sends at its end */
    struct event                *tick;
    unsigned                     ticks;

    char                        *scratch;   /* where items are made */
    size_t                       scratch_size;
};

static struct collector_peers *hand_over_peers(struct collector_hand_over *h,
    char *error, size_t size);

static int hand_over_message(struct collector_hand_over *h,
    const struct collector_message *m, enum collector_item_kind kind,
    bool repair);
static struct collector_item *hand_over_item(struct collector_hand_over *h,
    struct push_str key, struct push_str node, struct push_str text);
static void hand_over_owe(struct collector_hand_over *h, struct push_str log,
    int64_t row);
static void hand_over_send(struct collector_hand_over *h,
    struct collector_item *item);
static void hand_over_done(struct collector_hand_over *h,
    struct collector_item *item);
static void hand_over_drop(struct collector_hand_over *h,
    struct collector_item *item);

static void hand_over_answer(struct collector_item *item,
    enum collector_peer_reply reply, void *data);
static void hand_over_down(struct collector_peer *p, void *data);
static void hand_over_up(struct collector_peer *p, void *data);
static void hand_over_free(struct collector_peer *p, void *data);

static void hand_over_turn(evutil_socket_t fd, short what, void *data);
static void hand_over_tick(evutil_socket_t fd, short what, void *data);
static void hand_over_due(struct collector_hand_over *h, int64_t now_ms);
static void hand_over_old(struct collector_hand_over *h, int64_t now_ms);


int
collector_hand_over_create(struct collector *c, char *error, size_t size)
{
    struct timeval               tick = { 0, HAND_OVER_TICK_MS * 1000 };
    struct collector_hand_over  *h;
    const struct store_info     *info;

    snprintf(error, size, "out of memory");

    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return PUSH_ERROR;
    }

    c->hand_over = h;
    h->c = c;
    info = store_info(c->store);

    h->debts = collector_debts_create(DEBTS_MAX);
    h->turn = event_new(c->base, -1, 0, hand_over_turn, h);
    h->tick = event_new(c->base, -1, EV_PERSIST, hand_over_tick, h);

    if (h->debts == NULL || h->turn == NULL || h->tick == NULL
        || event_add(h->tick, &tick) != 0)
    {
        goto failed;
    }

    collector_mark_init(&h->mark, info->mark,
                        info->repair == STORE_REPAIR_ROWS);

    if (info->repair == STORE_REPAIR_ALL) {
        collector_mark_seen(&h->mark, STORE_ROW_ALL);
        collector_debts_add(h->debts, PUSH_STR("*"), STORE_ROW_ALL);
    }

    h->repair = collector_repair_create(c, &h->mark, h->debts);
    if (h->repair == NULL) {
        goto failed;
    }

    h->peers = hand_over_peers(h, error, size);
    if (h->peers == NULL) {
        goto failed;
    }

    return PUSH_OK;

failed:

    collector_hand_over_destroy(c);

    return PUSH_ERROR;
}


int
collector_hand_over_reload(struct collector *c, char *error, size_t size)
{
    struct collector_item        *item;
    struct collector_peers       *peers;
    struct collector_hand_over   *h = c->hand_over;
    struct collector_item_queue   items = { NULL, NULL };

    peers = hand_over_peers(h, error, size);
    if (peers == NULL) {
        return PUSH_ERROR;
    }

    collector_peers_stop(h->peers, &items);
    collector_peers_destroy(h->peers);
    h->peers = peers;

    while ((item = collector_item_pop(&items)) != NULL) {
        hand_over_send(h, item);
    }

    return PUSH_OK;
}


void
collector_hand_over_destroy(struct collector *c)
{
    size_t                        i;
    struct collector_item        *item;
    struct collector_hand_over   *h = c->hand_over;
    struct collector_item_queue   items = { NULL, NULL };

    if (h == NULL) {
        return;
    }

    /* the mark first: what waits is above it, the next process has it again */
    if (h->repair != NULL) {
        collector_repair_mark(h->repair);
        collector_repair_destroy(h->repair);
    }

    if (h->peers != NULL) {
        collector_peers_stop(h->peers, &items);
        collector_peers_destroy(h->peers);
    }

    for (i = 0; i < RETRY_LEVELS; i++) {
        collector_item_join(&items, &h->waiting[i]);
    }

    while ((item = collector_item_pop(&items)) != NULL) {
        hand_over_done(h, item);
    }

    collector_debts_destroy(h->debts);

    if (h->turn != NULL) {
        event_free(h->turn);
    }

    if (h->tick != NULL) {
        event_free(h->tick);
    }

    free(h->scratch);
    free(h);

    c->hand_over = NULL;
}


void
collector_hand_over_add(struct collector *c,
    const struct collector_message *messages, size_t count)
{
    size_t  i;

    for (i = 0; i < count; i++) {
        (void) hand_over_message(c->hand_over, &messages[i], ITEM_STORED,
                                 false);
    }
}


int
collector_hand_over_ephemeral(struct collector *c,
    const struct collector_message *message)
{
    struct collector_hand_over  *h = c->hand_over;

    if (collector_peers_up(h->peers) == 0) {
        return PUSH_DECLINED;
    }

    return hand_over_message(h, message, ITEM_LIVE, false);
}


void
collector_hand_over_repair(struct collector *c,
    const struct collector_message *message)
{
    (void) hand_over_message(c->hand_over, message, ITEM_STORED, true);

    metrics_add(&c->counters.hand_over_repaired, 1);
}


int
collector_hand_over_answer(struct collector *c, struct push_str key,
    struct push_str node, uint64_t instance, struct push_str text,
    unsigned lines)
{
    char                         name[PUSH_NAME_MAX + 1 + 16];
    struct collector_item       *item;
    struct collector_hand_over  *h = c->hand_over;

    if (!collector_hand_over_room(c) || lines == 0 || lines > PUSH_ITEMS_MAX
        || text.len > HAND_OVER_LINES_MAX || node.len > PUSH_NAME_MAX)
    {
        return PUSH_DECLINED;
    }

    memcpy(name, node.data, node.len);
    name[node.len] = '/';
    push_hex64_write(name + node.len + 1, instance);

    item = hand_over_item(h, key,
                          (struct push_str) { name, node.len + 1 + 16 }, text);
    if (item == NULL) {
        return PUSH_DECLINED;
    }

    item->kind = ITEM_ANSWER;
    item->lines = (uint16_t) lines;

    h->answer_bytes += collector_item_size(item);

    hand_over_send(h, item);

    return PUSH_OK;
}


bool
collector_hand_over_room(const struct collector *c)
{
    size_t                             max;
    const struct collector_hand_over  *h = c->hand_over;

    max = (size_t) c->conf.hand_over_bytes;

    return collector_peers_up(h->peers) > 0 && h->answer_bytes < max / 2
           && h->bytes < max;
}


bool
collector_hand_over_idle(const struct collector *c)
{
    const struct collector_hand_over  *h = c->hand_over;

    return h->items == 0 && collector_debts_count(h->debts) == 0;
}


void
collector_hand_over_state(const struct collector *c,
    struct collector_hand_over_state *state)
{
    const struct collector_hand_over  *h = c->hand_over;

    state->items = h->items;
    state->bytes = h->bytes;
    state->debts = collector_debts_count(h->debts);
    state->peers = h->peers->count;
    state->peers_up = collector_peers_up(h->peers);
}


static struct collector_peers *
hand_over_peers(struct collector_hand_over *h, char *error, size_t size)
{
    struct collector_peer_conf  conf;

    memset(&conf, 0, sizeof(conf));

    conf.c = h->c;
    conf.epoch.data = store_info(h->c->store)->epoch;
    conf.epoch.len = strlen(conf.epoch.data);
    conf.debts = h->debts;
    conf.on_answer = hand_over_answer;
    conf.on_down = hand_over_down;
    conf.on_up = hand_over_up;
    conf.on_free = hand_over_free;
    conf.data = h;

    return collector_peers_create(&conf, error, size);
}


/* PUSH_DECLINED: no room.  A stored message is owed then. */
static int
hand_over_message(struct collector_hand_over *h,
    const struct collector_message *m, enum collector_item_kind kind,
    bool repair)
{
    char                   *p;
    size_t                  len;
    struct collector_item  *item;

    item = NULL;
    len = FRAME_ITEM_SIZE(m->data.len);

    if (m->row > 0 && !repair) {
        collector_mark_seen(&h->mark, m->row);
    }

    if (len > h->scratch_size) {
        p = realloc(h->scratch, len);

        if (p != NULL) {
            h->scratch = p;
            h->scratch_size = len;
        }
    }

    if (len <= h->scratch_size) {
        len = collector_frame_item(h->scratch, m, NULL, NULL);
        item = hand_over_item(h, m->log, PUSH_STR(""),
                              (struct push_str) { h->scratch, len });
    }

    if (item == NULL) {

        if (kind == ITEM_STORED) {
            hand_over_owe(h, m->log, m->row);
        }

        return PUSH_DECLINED;
    }

    item->kind = (uint8_t) kind;
    item->lines = 1;
    item->row = m->row;
    item->repair = repair;

    if (item->row > 0) {
        collector_mark_add(&h->mark, item);
    }

    hand_over_send(h, item);

    return PUSH_OK;
}


/* NULL: no room, or out of memory. */
static struct collector_item *
hand_over_item(struct collector_hand_over *h, struct push_str key,
    struct push_str node, struct push_str text)
{
    size_t                  size;
    struct collector_item  *item;

    size = collector_item_need(key, node, text);

    if (h->bytes + size > (size_t) h->c->conf.hand_over_bytes) {
        return NULL;
    }

    item = collector_item_create(key, node, text, daemon_monotonic_ms());

    if (item != NULL) {
        h->items++;
        h->bytes += size;
    }

    return item;
}


static void
hand_over_owe(struct collector_hand_over *h, struct push_str log, int64_t row)
{
    metrics_add(&h->c->counters.hand_over_dropped, 1);
    collector_debts_add(h->debts, log, row);
}


/* To its peer; one that goes out once does not wait for a dispatcher. */
static void
hand_over_send(struct collector_hand_over *h, struct collector_item *item)
{
    struct collector_peer  *peer;

    peer = collector_peers_route(h->peers, collector_item_key(item));

    if (item->kind != ITEM_STORED && !collector_peer_up(peer)) {
        hand_over_drop(h, item);
        return;
    }

    collector_peer_add(peer, item);
    event_active(h->turn, EV_TIMEOUT, 0);
}


static void
hand_over_done(struct collector_hand_over *h, struct collector_item *item)
{
    size_t  size;

    size = collector_item_size(item);

    if (item->row > 0) {
        collector_mark_remove(&h->mark, item);
    }

    if (item->kind == ITEM_ANSWER) {
        h->answer_bytes -= size;
    }

    h->items--;
    h->bytes -= size;

    free(item);
}


static void
hand_over_drop(struct collector_hand_over *h, struct collector_item *item)
{
    if (item->kind == ITEM_STORED) {
        hand_over_owe(h, collector_item_key(item), item->row);

    } else if (item->kind == ITEM_LIVE) {
        metrics_add(&h->c->counters.hand_over_lost, 1);

    } else {
        metrics_add(&h->c->counters.resync_forgotten, 1);
    }

    hand_over_done(h, item);
}


static void
hand_over_answer(struct collector_item *item, enum collector_peer_reply reply,
    void *data)
{
    int64_t                      now_ms, wait_ms;
    struct collector_hand_over  *h = data;

    if (reply == PEER_ARRIVED) {
        hand_over_done(h, item);
        return;
    }

    now_ms = daemon_monotonic_ms();
    wait_ms = collector_item_retry_ms(item, now_ms);

    if (reply == PEER_REFUSED || wait_ms < 0) {
        hand_over_drop(h, item);
        return;
    }

    item->due_ms = now_ms + wait_ms;

    collector_item_push(&h->waiting[item->tries < RETRY_LEVELS
                                    ? item->tries : RETRY_LEVELS - 1], item);
    item->tries++;
}


/*
 * Everything moves on to the next on the ring, in order.  If none is up the
 * stored messages stay where they are.
 */
static void
hand_over_down(struct collector_peer *p, void *data)
{
    struct collector_item       *item;
    struct collector_hand_over  *h = data;
    struct collector_item_queue  items = { NULL, NULL };

    collector_peer_take(p, &items);

    while ((item = collector_item_pop(&items)) != NULL) {
        hand_over_send(h, item);
    }
}


/* What waits for others that are down may go by this one. */
static void
hand_over_up(struct collector_peer *p, void *data)
{
    size_t                       i;
    struct collector_item       *item;
    struct collector_hand_over  *h = data;
    struct collector_item_queue  items = { NULL, NULL };

    for (i = 0; i < h->peers->count; i++) {

        if (h->peers->peers[i] == p
            || !collector_peer_up(h->peers->peers[i]))
        {
            collector_peer_take(h->peers->peers[i], &items);
        }
    }

    while ((item = collector_item_pop(&items)) != NULL) {
        hand_over_send(h, item);
    }

    event_active(h->turn, EV_TIMEOUT, 0);
}


static void
hand_over_free(struct collector_peer *p, void *data)
{
    struct collector_hand_over  *h = data;

    (void) p;

    event_active(h->turn, EV_TIMEOUT, 0);
}


static void
hand_over_turn(evutil_socket_t fd, short what, void *data)
{
    struct collector_hand_over  *h = data;

    (void) fd;
    (void) what;

    collector_peers_send(h->peers, daemon_monotonic_ms());
}


static void
hand_over_tick(evutil_socket_t fd, short what, void *data)
{
    int64_t                      now_ms;
    struct collector_hand_over  *h = data;

    now_ms = daemon_monotonic_ms();

    hand_over_due(h, now_ms);

    if (++h->ticks % HAND_OVER_SECOND == 0) {
        hand_over_old(h, now_ms);
        collector_repair_mark(h->repair);
    }

    collector_repair_run(h->repair);

    hand_over_turn(fd, what, h);
}


static void
hand_over_due(struct collector_hand_over *h, int64_t now_ms)
{
    unsigned                i;
    struct collector_item  *item;

    for (i = 0; i < RETRY_LEVELS; i++) {

        while ((item = h->waiting[i].first) != NULL && item->due_ms <= now_ms)
        {
            metrics_add(&h->c->counters.hand_over_retries, 1);
            hand_over_send(h, collector_item_pop(&h->waiting[i]));
        }
    }
}


static void
hand_over_old(struct collector_hand_over *h, int64_t now_ms)
{
    size_t                       i;
    struct collector_item       *item;
    struct collector_item_queue  items = { NULL, NULL };

    for (i = 0; i < h->peers->count; i++) {
        collector_peer_take_old(h->peers->peers[i],
                                now_ms - RETRY_ALL_MS,
                                now_ms - HAND_OVER_LIVE_MS, &items);
    }

    while ((item = collector_item_pop(&items)) != NULL) {
        hand_over_drop(h, item);
    }
}
