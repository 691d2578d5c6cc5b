/*
 * push_delivery at random: one log of a store, hints that get lost, answers
 * that come late, twice, in pieces or never, a queue, a client that acks when
 * it likes, drops its connection and comes back, a store that voids and is
 * restored
 *
 *     append --hint--> +----------+ --queue--> client --ack--> rule
 *     answers -------> | the rule |
 *                      +----------+ --request--> store
 *
 * Checked on each step: the client sees n+1 only after n (voids count), never
 * more than the window unacked; and in the end it has all, and `synced`.
 */

#include "push_delivery.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS     1500
#define STEPS     1500
#define EVENTS    4096
#define LOG_SIZE  8192
#define QUEUE     8

enum kind {
    EVENT_HINT,
    EVENT_RESET,
    EVENT_BEGIN,
    EVENT_MESSAGE,
    EVENT_VOID,
    EVENT_TIP,
    EVENT_ACK,
    EVENT_SYNCED        /* in the queue only */
};

struct event {
    uint32_t  at;
    enum kind kind;
    unsigned  conn;     /* of this connection; hints: of none */
    uint32_t  rid;
    int64_t   seq;
    int64_t   to;
};

struct world {
    uint64_t  random;
    uint32_t  now;
    bool      calm;     /* no more faults, nothing new */

    /* the store */
    unsigned  epoch;
    int64_t   floor;
    int64_t   tip;
    int64_t   stored;   /* the client's cursor */
    bool      voided[LOG_SIZE];

    /* the edge */
    struct push_delivery d;
    unsigned  conn;
    unsigned  conn_epoch;
    bool      conn_cursor;
    uint32_t  rid;
    struct event queue[QUEUE + 4];
    size_t    queued;

    /* the client */
    int64_t   last;
    unsigned  last_epoch;
    int64_t   acked;        /* as sent */
    int64_t   synced;
    uint32_t  ack_pause;

    struct event events[EVENTS];
    size_t    count;
    uint64_t  written;
    uint64_t  resets;
    uint64_t  voids;
};


static uint32_t
below(struct world *w, uint32_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;

    return (uint32_t) ((w->random >> 16) % n);
}


static bool
chance(struct world *w, unsigned percent)
{
    return !w->calm && below(w, 100) < percent;
}


static void
later(struct world *w, uint32_t delay, enum kind kind, uint32_t rid,
    int64_t seq, int64_t to)
{
    if (w->count == EVENTS) {
        return;     /* lost */
    }

    w->events[w->count++] = (struct event) { w->now + delay, kind, w->conn,
                                             rid, seq, to };
}


static bool
room(const struct world *w)
{
    return w->queued < QUEUE;
}


static void
enqueue(struct world *w, enum kind kind, int64_t seq, int64_t to)
{
    assert_true(w->queued < QUEUE + 4);
    w->queue[w->queued++] = (struct event) { 0, kind, 0, 0, seq, to };
}


/* The client reads one frame. */
static void
drain(struct world *w)
{
    struct event  e = w->queue[0];

    if (w->queued == 0) {
        return;
    }

    memmove(w->queue, w->queue + 1, --w->queued * sizeof(e));

    switch (e.kind) {

    case EVENT_MESSAGE:
        assert_int_equal(e.seq, w->last + 1);
        assert_true(e.seq <= w->tip);
        w->last = e.seq;
        break;

    case EVENT_VOID:
        assert_int_equal(e.seq, w->last + 1);
        w->last = e.to;
        w->voids++;
        break;

    case EVENT_RESET:
        w->last = e.seq;
        w->last_epoch = w->epoch;
        w->acked = e.seq;
        w->resets++;
        break;

    default:
        assert_int_equal(e.seq, w->last);
        w->synced = e.seq;
        break;
    }

    if (w->queued <= QUEUE / 2) {
        push_delivery_room(&w->d, w->now);
    }
}


static void
connect_again(struct world *w)
{
    w->conn++;
    w->queued = 0;
    w->synced = -1;
    w->conn_cursor = below(w, 3) != 0;

    if (!w->conn_cursor) {
        /* a device without memory goes on where the store says */
        w->last = w->stored;
        w->last_epoch = w->epoch;
    }

    w->conn_epoch = w->last_epoch;
    w->acked = w->last;

    push_delivery_init(&w->d, w->conn_cursor ? w->last : PUSH_DELIVERY_UNKNOWN,
                       1 + below(w, 20), w->now);
}


/* What a collector says: read now, told after a while, in one or two bodies. */
static void
answer(struct world *w)
{
    int64_t   after, seq, from, tip;
    uint32_t  delay;
    unsigned  n, more;

    n = push_delivery_credit(&w->d);
    delay = chance(w, 10) ? below(w, 6000) : below(w, 60);
    after = push_delivery_sent(&w->d);
    tip = w->tip - (chance(w, 10) ? (int64_t) below(w, 3) : 0);

    if (tip < w->floor) {
        tip = w->floor;
    }

    if ((w->d.flags & PUSH_DELIVERY_FIRST) && w->conn_cursor
        && (w->conn_epoch != w->epoch || after > w->tip))
    {
        later(w, delay, EVENT_RESET, w->rid, w->floor, 0);
        after = w->floor;

    } else if (after == PUSH_DELIVERY_UNKNOWN) {
        after = w->stored;
    }

    later(w, delay, EVENT_BEGIN, w->rid, after, 0);

    if (after < w->floor) {
        later(w, delay, EVENT_VOID, 0, after + 1, w->floor);
    }

    for (seq = after < w->floor ? w->floor + 1 : after + 1, more = n;
         seq <= tip && more > 0;
         seq++)
    {
        if (chance(w, 2)) {
            return;             /* the rest is lost */
        }

        if (chance(w, 5)) {
            delay += below(w, 3000);
        }

        for (from = seq; seq <= tip && w->voided[seq]; seq++) {
            /* void */
        }

        if (from < seq) {
            later(w, delay, EVENT_VOID, 0, from, seq - 1);
            seq--;
            continue;
        }

        later(w, delay, EVENT_MESSAGE, 0, seq, 0);
        more--;
    }

    later(w, delay, EVENT_TIP, w->rid, tip, 0);
}


static void
happens(struct world *w, const struct event *e)
{
    int64_t                     from = e->seq;
    enum push_delivery_verdict  verdict;

    switch (e->kind) {

    case EVENT_HINT:
        verdict = push_delivery_push(&w->d, e->seq, room(w), w->now);
        break;

    case EVENT_RESET:
        if (w->d.flags & PUSH_DELIVERY_FIRST) {
            push_delivery_reset(&w->d);
            enqueue(w, EVENT_RESET, e->seq, 0);
        }

        return;

    case EVENT_BEGIN:
        (void) push_delivery_begin(&w->d, e->rid, e->seq);
        return;

    case EVENT_MESSAGE:
        verdict = push_delivery_message(&w->d, e->seq, room(w), w->now);
        break;

    case EVENT_VOID:
        /* our own frames need little room; here they need a place */
        if (w->queued >= QUEUE + 2) {
            return;
        }

        if (push_delivery_void(&w->d, &from, e->to, w->now)
            == PUSH_DELIVERY_WRITE)
        {
            enqueue(w, EVENT_VOID, from, e->to);
        }

        return;

    case EVENT_TIP:
        if (push_delivery_tip(&w->d, e->rid, e->seq, w->now)
            == PUSH_DELIVERY_WRITE)
        {
            enqueue(w, EVENT_SYNCED, push_delivery_sent(&w->d), 0);
        }

        return;

    default:
        verdict = push_delivery_ack(&w->d, e->seq, w->now);
        assert_int_not_equal(verdict, PUSH_DELIVERY_BAD);

        if (verdict == PUSH_DELIVERY_WRITE && w->conn_epoch == w->epoch
            && e->seq > w->stored)
        {
            w->stored = e->seq;
        }

        return;
    }

    if (verdict == PUSH_DELIVERY_WRITE) {
        enqueue(w, EVENT_MESSAGE, e->seq, 0);
        w->written++;
    }
}


static void
store_lives(struct world *w)
{
    int64_t  n;

    if (chance(w, 30)) {
        for (n = 1 + below(w, chance(w, 5) ? 60 : 2);
             n > 0 && w->tip + 1 < LOG_SIZE;
             n--)
        {
            w->tip++;

            if (!chance(w, 30)) {
                later(w, below(w, 40), EVENT_HINT, 0, w->tip, 0);
            }

            if (chance(w, 10)) {
                later(w, below(w, 4000), EVENT_HINT, 0, w->tip, 0);
            }
        }
    }

    if (chance(w, 3) && w->tip > 0) {
        w->voided[1 + below(w, (uint32_t) w->tip)] = true;
    }

    if (chance(w, 1) && w->tip > 20) {
        for (n = w->tip - 10; n < w->tip; n++) {
            w->voided[n] = true;
        }
    }

    if (chance(w, 1) && w->floor < w->tip) {
        w->floor += 1 + below(w, (uint32_t) (w->tip - w->floor));
    }

    if (chance(w, 1) && chance(w, 30)) {
        /* restored from a backup: another history, all connections go */
        w->epoch++;
        w->tip = below(w, (uint32_t) w->tip + 1);
        w->floor = below(w, (uint32_t) w->tip + 1);
        w->stored = w->floor;
        w->count = 0;
        memset(w->voided, 0, sizeof(w->voided));
        connect_again(w);
    }
}


static void
step(struct world *w)
{
    size_t        i, best;
    struct event  e;

    w->now += below(w, 40);

    store_lives(w);

    if (chance(w, 1)) {
        connect_again(w);
    }

    if (chance(w, 1)) {
        push_delivery_resync(&w->d, w->now);
    }

    /* what is due, in the order of its time */

    for ( ;; ) {
        best = w->count;

        for (i = 0; i < w->count; i++) {
            if ((int32_t) (w->now - w->events[i].at) >= 0
                && (best == w->count
                    || (int32_t) (w->events[i].at - w->events[best].at) < 0))
            {
                best = i;
            }
        }

        if (best == w->count) {
            break;
        }

        e = w->events[best];
        memmove(w->events + best, w->events + best + 1,
                (--w->count - best) * sizeof(e));

        if (e.kind == EVENT_HINT || e.conn == w->conn) {
            happens(w, &e);
        }

        assert_true(push_delivery_acked(&w->d) <= push_delivery_sent(&w->d));
        assert_true(push_delivery_sent(&w->d) <= push_delivery_want(&w->d));
        assert_true(push_delivery_sent(&w->d) - push_delivery_acked(&w->d)
                    <= w->d.window);
        assert_true(push_delivery_want(&w->d) == push_delivery_sent(&w->d)
                    || (w->d.flags
                        & (PUSH_DELIVERY_ASK | PUSH_DELIVERY_ASKING)));
    }

    if (w->calm || chance(w, 60)) {
        for (i = below(w, 4) + w->calm; i > 0; i--) {
            drain(w);
        }
    }

    if (w->last > w->acked && (w->calm || chance(w, 20))) {
        w->acked += 1 + below(w, (uint32_t) (w->last - w->acked));
        later(w, below(w, 50), EVENT_ACK, 0, w->acked, 0);
    }

    if (push_delivery_ask_due(&w->d, w->now)) {
        push_delivery_asked(&w->d, ++w->rid, w->now, below(w, 1u << 30));

        if (!chance(w, 30)) {
            answer(w);
        }
    }
}


static void
test_random_worlds(void **state)
{
    uint64_t       seed, written = 0, resets = 0, voids = 0;
    unsigned       i;
    struct world  *w;
    const char    *only = getenv("PUSH_TEST_SEED");

    (void) state;

    w = malloc(sizeof(*w));
    assert_non_null(w);

    for (seed = 1; seed <= SEEDS; seed++) {

        if (only != NULL && strtoull(only, NULL, 10) != seed) {
            continue;
        }

        memset(w, 0, sizeof(*w));
        w->random = seed * UINT64_C(0x9e3779b97f4a7c15);
        w->now = (uint32_t) (0 - below(w, 20000));
        connect_again(w);

        for (i = 0; i < STEPS; i++) {
            step(w);
        }

        /* Heal; the periodic check finds a lost last hint. */

        w->calm = true;
        push_delivery_resync(&w->d, w->now);

        for (i = 0; w->last < w->tip || w->synced < w->tip; i++) {
            if (i == 20000) {
                fail_msg("seed %u: last %d synced %d tip %d sent %d acked %d "
                         "want %d flags %x", (unsigned) seed, (int) w->last,
                         (int) w->synced, (int) w->tip,
                         (int) push_delivery_sent(&w->d),
                         (int) push_delivery_acked(&w->d),
                         (int) push_delivery_want(&w->d), w->d.flags);
            }

            step(w);
        }

        written += w->written;
        resets += w->resets;
        voids += w->voids;
    }

    if (only == NULL) {
        /* the faults did happen */
        assert_true(written > 100000);
        assert_true(resets > 1000);
        assert_true(voids > 1000);
    }

    free(w);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_worlds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
