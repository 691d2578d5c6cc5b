/*
 * edge: an nginx with the module, one worker, as docs/rules.md has it
 *
 * After ngx_http_push_delivery.c, ngx_http_push_message.c and
 * ngx_http_push_conn.c: one connection and the rule.
 */

#include "edge_state.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "client.h"
#include "daemons.h"
#include "plant.h"

#define EDGE_RENEW_MS      27000
#define EDGE_JITTER_MS     6000
#define EDGE_ACK_MS        5000
#define EDGE_HEARTBEAT_MS  40000
#define EDGE_TICK_MS       200
#define EDGE_OFF_MS        100000000    /* no periodic check */

uint64_t  edge_kills;

struct edge  edges[SIM_EDGES];

static void edge_hello(struct edge_conn *conn, const struct frame *f);
static void edge_ack(struct edge_conn *conn, const struct frame *f);
static void edge_woken(void *data);
static uint32_t edge_check_in(void);
static void edge_timer(void *data);


void
edge_init(void)
{
    unsigned  i;

    memset(edges, 0, sizeof(edges));

    for (i = 0; i < sim.mix.edges; i++) {
        edge_start(i);
    }
}


void
edge_start(unsigned i)
{
    uint64_t      instance;
    struct edge  *e = &edges[i];

    instance = plant(PLANT_SAME_CONN) ? i + 1 : sim_random64();
    memset(e, 0, sizeof(*e));
    e->proc = sim_proc(PLACE_EDGE + i);
    e->proc->up = true;
    e->number = i;
    e->instance = instance;
    push_hex64_write(e->hex, instance);
    snprintf(e->node, sizeof(e->node), "e%u", i);
    e->tick.fn = edge_timer;
    e->tick.data = e;
    e->tick.proc = e->proc;
    sim_at(&e->tick, sim.now_us + MS(EDGE_TICK_MS));

    sim_trace("start %s, instance %s", e->proc->name, e->hex);
    edge_redis_start(e);
}


void
edge_kill(unsigned i)
{
    struct edge       *e = &edges[i];
    struct edge_conn  *conn;

    sim_trace("kill -9 %s", e->proc->name);
    edge_kills++;
    e->proc->up = false;
    e->proc->thaw_us = 0;
    redis_destroy(e->redis);
    sim_cancel(&e->tick);
    sim_cancel(&e->lease);
    sim_cancel(&e->pack_timer);
    sim_cancel(&e->walk);

    for (conn = e->conns; conn != NULL; conn = conn->next) {
        conn->closing = true;
        sim_cancel(&conn->wake);
        socket_leave_edge(conn->socket);
    }

    e->conns = NULL;
}


bool
edge_asking(const struct edge_conn *conn, unsigned log)
{
    unsigned  flags;

    flags = PUSH_DELIVERY_ASKING | PUSH_DELIVERY_ASK;

    return (conn->logs[log].flags & flags)
           || (log == EDGE_ALL && (conn->edge->ring.d.flags & flags));
}


struct sim_proc *
edge_proc(struct edge_conn *conn)
{
    return conn->edge->proc;
}


/* --- connections --------------------------------------------------------- */

void
edge_accept(unsigned i, struct socket *s, unsigned user)
{
    struct edge       *e = &edges[i];
    struct edge_conn  *conn;

    conn = sim_alloc(sizeof(*conn));
    conn->edge = e;
    conn->socket = s;
    conn->user = user;
    snprintf(conn->uid, sizeof(conn->uid), "u%u", user);
    conn->id = push_conn_make(1, plant(PLANT_SAME_CONN) ? 1 : 7, 0);

    do {
        conn->id++;

        if (!plant(PLANT_SAME_CONN)) {
            conn->id = push_conn_make(1, 7, ++e->index);
        }

    } while (edge_find(e, conn->id) != NULL);

    conn->heard_ms = sim_ms32();
    conn->wake.fn = edge_woken;
    conn->wake.data = conn;
    conn->wake.proc = e->proc;
    conn->next = e->conns;
    e->conns = conn;
    s->conn = conn;

    edge_wake_at(conn, conn->heard_ms + EDGE_HEARTBEAT_MS);
}


struct edge_conn *
edge_find(struct edge *e, uint64_t id)
{
    struct edge_conn  *conn;

    for (conn = e->conns; conn != NULL && conn->id != id; conn = conn->next) {
        /* void */
    }

    return conn;
}


void
edge_receive(struct edge_conn *conn, struct frame *f)
{
    if (conn->closing) {
        return;
    }

    conn->heard_ms = sim_ms32();

    switch (f->kind) {

    case FRAME_HELLO:
        edge_hello(conn, f);
        break;

    case FRAME_ACK:
        edge_ack(conn, f);
        break;

    default:
        break;
    }
}


static void
edge_hello(struct edge_conn *conn, const struct frame *f)
{
    unsigned  i;
    uint32_t  now;

    now = sim_ms32();
    snprintf(conn->device, sizeof(conn->device), "%s", f->device);
    sim_trace("%s: hello of u%u.%s, conn %016llx", conn->edge->proc->name,
              conn->user, conn->device, (unsigned long long) conn->id);
    memcpy(conn->epoch, f->epoch, sizeof(conn->epoch));

    for (i = 0; i < FRAME_LOGS; i++) {
        push_delivery_init(&conn->logs[i], f->cursors[i], f->window, now);
    }

    conn->ready = true;
    conn->bound_ms = now;
    conn->ack_ms = now - EDGE_ACK_MS;
    conn->check_ms = now + edge_check_in();
    conn->since_ms = sim_unix_ms();

    socket_write(conn->socket, socket_frame(FRAME_WELCOME));
    edge_ring_follow(conn->edge);
    edge_bind(conn);
    edge_tick(conn);
}


void
edge_lost(struct edge_conn *conn)
{
    if (!conn->closing) {
        edge_close(conn, 1006, false);
    }
}


/* tell: the client gets a Close. */
void
edge_close(struct edge_conn *conn, unsigned code, bool tell)
{
    struct frame       *f;
    struct edge_conn  **at;

    conn->closing = true;
    sim_cancel(&conn->wake);

    if (conn->ready) {
        if (conn->ack_dirty && !conn->past) {
            edge_send_ack(conn, EDGE_OWN,
                          push_delivery_acked(&conn->logs[EDGE_OWN]));
        }

        if (conn->all_dirty && !conn->past) {
            edge_send_ack(conn, EDGE_ALL,
                          push_delivery_acked(&conn->logs[EDGE_ALL]));
        }

        edge_unbind(conn);
    }

    for (at = &conn->edge->conns; *at != conn; at = &(*at)->next) {
        /* void */
    }

    *at = conn->next;

    if (tell && conn->socket->client != NULL) {
        f = socket_frame(FRAME_CLOSE);
        f->seq = code;
        socket_write(conn->socket, f);
    }

    socket_leave_edge(conn->socket);
}


void
edge_wake_at(struct edge_conn *conn, uint32_t at_ms)
{
    int64_t  at_us;

    at_us = sim.now_us + MS((int32_t) (at_ms - sim_ms32()));

    if (conn->wake.place == 0 || at_us < conn->wake.at_us) {
        sim_at(&conn->wake, at_us);
    }
}


static void
edge_woken(void *data)
{
    uint32_t           at;
    struct edge_conn  *conn = data;

    at = conn->heard_ms + EDGE_HEARTBEAT_MS;

    if (!edge_before(sim_ms32(), at)) {
        edge_close(conn, 4000, true);
        return;
    }

    edge_wake_at(conn, at);
    edge_tick(conn);
}


void
edge_tick(struct edge_conn *conn)
{
    unsigned  i;
    uint32_t  now, at;

    if (!conn->ready || conn->closing) {
        return;
    }

    now = sim_ms32();

    for (i = 0; i < FRAME_LOGS; i++) {
        if (push_delivery_is_slow(&conn->logs[i], now)) {
            edge_close(conn, 4008, true);
            return;
        }
    }

    if (!edge_before(now, conn->bound_ms)) {
        if (conn->bound || conn->bind_dirty) {
            edge_renew(conn);
        }

        conn->bound_ms = now + EDGE_RENEW_MS + sim_below(EDGE_JITTER_MS);
    }

    at = conn->bound_ms;

    if (!edge_before(now, conn->check_ms)) {
        push_delivery_resync(&conn->logs[EDGE_OWN], now);
        conn->check_ms = now + edge_check_in();
    }

    if (edge_before(conn->check_ms, at)) {
        at = conn->check_ms;
    }

    if (conn->ack_dirty && !conn->past) {
        if (!edge_before(now, conn->ack_ms + EDGE_ACK_MS)) {
            conn->ack_dirty = false;
            conn->ack_ms = now;
            edge_send_ack(conn, EDGE_OWN,
                          push_delivery_acked(&conn->logs[EDGE_OWN]));

        } else if (edge_before(conn->ack_ms + EDGE_ACK_MS, at)) {
            at = conn->ack_ms + EDGE_ACK_MS;
        }
    }

    edge_wake_at(conn, at);
    edge_ask(conn);
}


void
edge_ask(struct edge_conn *conn)
{
    bool      due;
    unsigned  i, n;
    uint32_t  now, at;

    if (!conn->ready || conn->closing || conn->past) {
        return;
    }

    now = sim_ms32();
    edge_ring_read(conn);

    for (n = 0; n < FRAME_LOGS; n++) {

        for (i = 0, due = false; i < FRAME_LOGS; i++) {
            due |= push_delivery_ask_due(&conn->logs[i], now);
        }

        if (!due) {
            break;
        }

        if (!edge_request(conn, &at)) {
            edge_wake_at(conn, at);
            break;
        }
    }

    for (i = 0; i < FRAME_LOGS; i++) {
        if (push_delivery_timer(&conn->logs[i], &at)
            && !push_delivery_ask_due(&conn->logs[i], now))
        {
            edge_wake_at(conn, at);
        }

        if (push_delivery_slow_at(&conn->logs[i], now, &at)) {
            edge_wake_at(conn, at);
        }
    }
}


static void
edge_ack(struct edge_conn *conn, const struct frame *f)
{
    uint32_t  now, at;

    if (!conn->ready || conn->past) {
        return;
    }

    now = sim_ms32();

    switch (push_delivery_ack(&conn->logs[f->log], f->seq, now)) {

    case PUSH_DELIVERY_BAD:
        edge_close(conn, 4400, true);
        return;

    case PUSH_DELIVERY_WRITE:
        break;

    default:
        return;
    }

    if (f->log == EDGE_ALL) {
        conn->all_dirty = true;

    } else {
        conn->ack_dirty = true;
        at = conn->ack_ms + EDGE_ACK_MS;
        edge_wake_at(conn, edge_before(at, now) ? now : at);
    }

    edge_ask(conn);
}


void
edge_room(struct edge_conn *conn)
{
    unsigned  i;

    if (!conn->ready || conn->closing) {
        return;
    }

    for (i = 0; i < FRAME_LOGS; i++) {
        push_delivery_room(&conn->logs[i], sim_ms32());
    }

    edge_ask(conn);
}


void
edge_resync(struct edge_conn *conn, uint32_t at_ms)
{
    if (conn->ready && !conn->closing && edge_before(at_ms, conn->check_ms)) {
        conn->check_ms = at_ms;
        edge_wake_at(conn, at_ms);
    }
}


static uint32_t
edge_check_in(void)
{
    if (!sim.mix.check || plant(PLANT_NO_CHECK)) {
        return EDGE_OFF_MS;
    }

    return EDGE_CHECK_MS - EDGE_CHECK_MS / 5
           + sim_below(EDGE_CHECK_MS * 2 / 5 + 1);
}


/* The ring's wheel: what it may ask for. */
static void
edge_timer(void *data)
{
    uint32_t      now;
    struct edge  *e = data;

    sim_at(&e->tick, sim.now_us + MS(EDGE_TICK_MS));

    if (!e->ring.started || e->conns == NULL) {
        return;
    }

    now = sim_ms32();
    e->ring.tick_ms = now;

    if (!edge_before(now, e->ring.check_ms)) {
        push_delivery_resync(&e->ring.d, now);
        e->ring.check_ms = now + edge_check_in();
    }

    edge_ring_ask(e);
}


/* --- messages ------------------------------------------------------------ */

struct push_lines_answer
edge_give(struct edge_conn *conn, unsigned log, const struct edge_message *m,
    bool answer)
{
    bool                        room;
    uint32_t                    now, at;
    char                        id[32];
    struct frame               *f;
    struct push_delivery       *d;
    enum push_delivery_verdict  verdict;

    if (!conn->ready || conn->closing || conn->past) {
        return (struct push_lines_answer) { PUSH_LINES_NONE, 0 };
    }

    d = &conn->logs[log];
    now = sim_ms32();

    if ((plant(PLANT_GAPS) || plant(PLANT_TIMESTAMP)) && m->seq > push_delivery_sent(d)
        && push_delivery_sent(d) != PUSH_DELIVERY_UNKNOWN
        && push_delivery_credit(d) > 0)
    {
        push_delivery_jump(d, m->seq - 1);
    }

    if (m->expires && m->expires <= (uint64_t) sim_unix_ms() / 1000) {
        verdict = push_delivery_heard(d, m->seq, now);

    } else {
        room = socket_room(conn->socket);
        verdict = answer ? push_delivery_message(d, m->seq, room, now)
                         : push_delivery_push(d, m->seq, room, now);
    }

    switch (verdict) {

    case PUSH_DELIVERY_HAD:
        return (struct push_lines_answer) { PUSH_LINES_OK, 1 };

    case PUSH_DELIVERY_GAP:
        return (struct push_lines_answer) { PUSH_LINES_GAP, 0 };

    case PUSH_DELIVERY_SLOW:
        return (struct push_lines_answer) { PUSH_LINES_SLOW, 0 };

    case PUSH_DELIVERY_WRITE:
        break;

    default:
        return (struct push_lines_answer) { PUSH_LINES_NONE, 0 };
    }

    f = socket_frame(FRAME_MESSAGE);
    f->log = log;
    f->seq = m->seq;
    f->message = m->message;
    snprintf(id, sizeof(id), "%s%s@%lld", log == EDGE_ALL ? "all" : "user:",
             log == EDGE_ALL ? "" : conn->uid, (long long) m->seq);
    f->foreign = !push_str_eq(m->id, (struct push_str) { id, strlen(id) });
    socket_write(conn->socket, f);

    if (push_delivery_slow_at(d, now, &at)) {
        edge_wake_at(conn, at);
    }

    return (struct push_lines_answer) { PUSH_LINES_OK, 1 };
}


void
edge_synced(struct edge_conn *conn, unsigned log)
{
    struct frame  *f;

    f = socket_frame(FRAME_SYNCED);
    f->log = log;
    f->seq = push_delivery_sent(&conn->logs[log]);
    memcpy(f->epoch, conn->edge->epoch, sizeof(f->epoch));
    socket_write(conn->socket, f);
}
