/*
 * edge_ring: the shared log `all`, followed once a worker
 *
 * After ngx_http_push_ring.c and ngx_http_push_fan_out.c.
 */

#include "edge_state.h"

#include "plant.h"

#define ANSWER_OK    ((struct push_lines_answer) { PUSH_LINES_OK, 1 })
#define ANSWER_NONE  ((struct push_lines_answer) { PUSH_LINES_NONE, 0 })

#define EDGE_RING_IDLE_MS  1000

#define RING_AT(ring, seq)  (&(ring)->messages[(seq) % EDGE_RING])

static struct push_lines_answer edge_ring_message(struct edge *e,
    const struct push_lines_item *item, bool answer);
static void edge_ring_fan_out(struct edge *e);


struct push_lines_answer
edge_ring_item(struct edge *e, const struct push_lines_item *item)
{
    int64_t                     from;
    struct edge_ring           *ring = &e->ring;
    enum push_delivery_verdict  verdict;

    if (item->verb == PUSH_LINES_ALL) {
        return e->conns == NULL ? ANSWER_NONE
                                : edge_ring_message(e, item, false);
    }

    if (!ring->started || !push_str_eq(item->log, PUSH_STR("all"))) {
        return ANSWER_NONE;
    }

    verdict = PUSH_DELIVERY_SKIP;

    switch (item->verb) {

    case PUSH_LINES_BEGIN:
        from = push_delivery_sent(&ring->d);
        verdict = push_delivery_begin(&ring->d, item->rid, item->seq);

        if (push_delivery_sent(&ring->d) != from) {
            ring->tail = push_delivery_sent(&ring->d) + 1;
            edge_ring_fan_out(e);
        }

        break;

    case PUSH_LINES_CONN:
        return edge_ring_message(e, item, true);

    case PUSH_LINES_VOID:
        from = item->seq;
        verdict = push_delivery_void(&ring->d, &from, item->to, sim_ms32());

        if (verdict == PUSH_DELIVERY_WRITE) {
            ring->tail = item->to + 1;
            edge_ring_fan_out(e);
        }

        break;

    case PUSH_LINES_TIP:
        verdict = push_delivery_tip(&ring->d, item->rid, item->seq,
                                    sim_ms32());

        if (plant(PLANT_NO_ASK)) {
            ring->d.flags &= (uint8_t) ~PUSH_DELIVERY_ASK;
        }

        edge_ring_ask(e);
        break;

    default:
        break;
    }

    return verdict == PUSH_DELIVERY_SKIP ? ANSWER_NONE : ANSWER_OK;
}


static struct push_lines_answer
edge_ring_message(struct edge *e, const struct push_lines_item *item,
    bool answer)
{
    struct edge_ring           *ring = &e->ring;
    enum push_delivery_verdict  verdict;

    if (!ring->started) {
        return ANSWER_NONE;
    }

    if ((plant(PLANT_GAPS) || plant(PLANT_TIMESTAMP))
        && push_delivery_sent(&ring->d) != PUSH_DELIVERY_UNKNOWN
        && item->seq > push_delivery_sent(&ring->d))
    {
        push_delivery_jump(&ring->d, item->seq - 1);
        ring->tail = item->seq;
    }

    verdict = answer ? push_delivery_message(&ring->d, item->seq, true,
                                             sim_ms32())
                     : push_delivery_push(&ring->d, item->seq, true,
                                          sim_ms32());

    switch (verdict) {

    case PUSH_DELIVERY_WRITE:
        push_delivery_jump(&ring->d, item->seq);

        if (item->seq - ring->tail >= EDGE_RING) {
            ring->tail = item->seq - EDGE_RING + 1;
        }

        edge_item_message(RING_AT(ring, item->seq), item);
        edge_ring_fan_out(e);
        return ANSWER_OK;

    case PUSH_DELIVERY_GAP:
    case PUSH_DELIVERY_SLOW:
        edge_ring_ask(e);
        return (struct push_lines_answer) { PUSH_LINES_GAP, 0 };

    case PUSH_DELIVERY_SKIP:
        return ANSWER_NONE;

    default:
        return ANSWER_OK;
    }
}


void
edge_ring_follow(struct edge *e)
{
    if (!e->ring.started) {
        edge_ring_reset(e);
        e->ring.started = true;

    } else if (edge_before(e->ring.tick_ms + EDGE_RING_IDLE_MS, sim_ms32())) {
        /* nobody was here: hints of that time were answered none */
        push_delivery_resync(&e->ring.d, sim_ms32());
    }

    e->ring.tick_ms = sim_ms32();
    edge_ring_ask(e);
}


void
edge_ring_reset(struct edge *e)
{
    push_delivery_init(&e->ring.d, PUSH_DELIVERY_UNKNOWN, PUSH_WINDOW_MAX,
                       sim_ms32());
    e->ring.tail = 0;
    e->ring.check_ms = sim_ms32() + EDGE_CHECK_MS;

    if (!sim.mix.check || plant(PLANT_NO_CHECK)) {
        e->ring.check_ms += 100000000;
    }
}


void
edge_ring_resync(struct edge *e)
{
    if (e->ring.started) {
        push_delivery_resync(&e->ring.d, sim_ms32());
        edge_ring_ask(e);
    }
}


void
edge_ring_ask(struct edge *e)
{
    if (push_delivery_ask_due(&e->ring.d, sim_ms32())) {
        (void) edge_request_all(e);
    }
}


static void
edge_ring_fan_out(struct edge *e)
{
    struct edge_conn  *conn, *next;

    for (conn = e->conns; conn != NULL; conn = next) {
        next = conn->next;
        edge_ask(conn);
    }
}


void
edge_ring_read(struct edge_conn *conn)
{
    int64_t                next, head;
    struct edge_ring      *ring = &conn->edge->ring;
    struct edge_message   *m;
    struct push_delivery  *d = &conn->logs[EDGE_ALL];

    head = push_delivery_sent(&ring->d);

    if (!ring->started || head == PUSH_DELIVERY_UNKNOWN
        || push_delivery_sent(d) == PUSH_DELIVERY_UNKNOWN
        || (d->flags & PUSH_DELIVERY_ASKING))
    {
        return;
    }

    while ((next = push_delivery_sent(d) + 1) <= head) {
        m = RING_AT(ring, next);

        if (next < ring->tail
            || (m->expires
                && m->expires <= (uint64_t) sim_unix_ms() / 1000))
        {
            (void) push_delivery_heard(d, head, sim_ms32());
            return;
        }

        (void) edge_give(conn, EDGE_ALL, m, false);

        if (conn->closing || push_delivery_sent(d) < next) {
            return;
        }
    }

    if (push_delivery_caught_up(d)) {
        edge_synced(conn, EDGE_ALL);
    }
}
