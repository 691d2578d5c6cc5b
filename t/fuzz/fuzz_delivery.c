/*
 * fuzz_delivery: bytes -> events -> the delivery rule, beside a small world
 *
 *     store: floor, tip --requests, answers that get lost--> rule --> client
 *
 * The world is honest but forgetful: hints, requests and parts of answers are
 * lost, late or doubled, messages expire.  The client must see every number
 * once, in order, within its window; and once the world is kind again, all of
 * them and `synced`.  With the lowest bit of the first byte the world lies as
 * well; then only the bounds of the state must hold.
 */

#include "fuzz.h"
#include "push_delivery.h"

#define REQUESTS  4
#define QUEUE     6         /* messages that the client's queue takes */
#define TIP_MAX   250       /* of an honest store */

struct request {
    uint32_t rid;           /* 0: none */
    int64_t  after;
    int64_t  n;
};

struct world {
    struct push_delivery d;
    bool                 lies;
    bool                 owed;              /* `synced`, as we reckon */
    bool                 gone[TIP_MAX + 1];
    int64_t              tip;
    int64_t              got;               /* by the client; -1: not begun */
    int                  queued;
    uint32_t             rid;
    uint32_t             now_ms;
    struct request       requests[REQUESTS];
};


static void
holds(const struct world *w)
{
    int64_t                      unacked;
    uint32_t                     at_ms;
    const struct push_delivery  *d = &w->d;

    unacked = push_delivery_sent(d) - push_delivery_acked(d);

    FUZZ_MUST(unacked >= 0);
    FUZZ_MUST(unacked <= d->window);
    FUZZ_MUST(push_delivery_credit(d) == d->window - (unsigned) unacked);
    FUZZ_MUST(push_delivery_want(d) >= push_delivery_sent(d));
    FUZZ_MUST(push_delivery_want(d) == push_delivery_sent(d)
              || (d->flags & (PUSH_DELIVERY_ASK | PUSH_DELIVERY_ASKING)));
    FUZZ_MUST(!push_delivery_is_slow(d, w->now_ms) || unacked > 0);
    FUZZ_MUST(push_delivery_slow_at(d, w->now_ms, &at_ms) == (unacked > 0));
    FUZZ_MUST(push_delivery_is_slow(d, w->now_ms)
              == (unacked > 0 && at_ms == w->now_ms));

    if (push_delivery_ask_due(d, w->now_ms)) {
        FUZZ_MUST(push_delivery_timer(d, &at_ms));
        FUZZ_MUST((int32_t) (w->now_ms - at_ms) >= 0);
        FUZZ_MUST(push_delivery_credit(d) > 0);
    }

    if (!w->lies) {
        FUZZ_MUST(push_delivery_sent(d) == w->got || w->got == -1);
        FUZZ_MUST(push_delivery_sent(d) <= w->tip);
    }
}


static void
carry_out(struct world *w, enum push_delivery_verdict verdict, int64_t seq,
    int64_t before, bool room)
{
    FUZZ_MUST(verdict != PUSH_DELIVERY_BAD);

    if (verdict == PUSH_DELIVERY_HAD) {
        FUZZ_MUST(seq <= before);
    }

    if (verdict == PUSH_DELIVERY_GAP || verdict == PUSH_DELIVERY_SLOW) {
        FUZZ_MUST(push_delivery_want(&w->d) >= seq);
        w->owed = true;
    }

    if (verdict != PUSH_DELIVERY_WRITE) {
        FUZZ_MUST(push_delivery_sent(&w->d) == before);
        return;
    }

    FUZZ_MUST(room && before != PUSH_DELIVERY_UNKNOWN);
    FUZZ_MUST(seq == before + 1 && push_delivery_sent(&w->d) == seq);

    if (!w->lies) {
        FUZZ_MUST(seq == w->got + 1);
    }

    w->got = seq;
    w->queued++;
}


static void
push(struct world *w, int64_t seq, bool written)
{
    bool     room;
    int64_t  before;

    before = push_delivery_sent(&w->d);
    room = w->queued < QUEUE;

    carry_out(w, written ? push_delivery_push(&w->d, seq, room, w->now_ms)
                         : push_delivery_heard(&w->d, seq, w->now_ms),
              seq, before, room);
}


static void
ask(struct world *w)
{
    unsigned  i;

    if (!push_delivery_ask_due(&w->d, w->now_ms)) {
        return;
    }

    i = ++w->rid % REQUESTS;

    w->requests[i].rid = w->rid;
    w->requests[i].after = push_delivery_sent(&w->d);
    w->requests[i].n = push_delivery_credit(&w->d);

    push_delivery_asked(&w->d, w->rid, w->now_ms, w->rid * 2654435761u);
}


/* What the store has, a part a line; loss: bits of parts that get lost. */
static void
answer(struct world *w, struct request *request, unsigned loss)
{
    bool                        room;
    int64_t                     seq, from, to, after, n, before, acked;
    enum push_delivery_verdict  verdict;

    if (request->rid == 0) {
        return;
    }

    after = request->after;

    if (after == PUSH_DELIVERY_UNKNOWN) {
        after = w->tip / 2;
    }

    if (!(loss & 1)) {
        before = push_delivery_sent(&w->d);
        verdict = push_delivery_begin(&w->d, request->rid, after);
        FUZZ_MUST(verdict == PUSH_DELIVERY_SKIP
                  || (verdict == PUSH_DELIVERY_HAD
                      && push_delivery_sent(&w->d) >= 0
                      && request->rid == w->d.rid));

        if (before == PUSH_DELIVERY_UNKNOWN) {
            w->got = push_delivery_sent(&w->d);
        }
    }

    for (seq = after + 1, n = request->n; seq <= w->tip && n > 0; seq++) {
        loss = loss >> 1 | loss << 31;

        if (w->gone[seq]) {
            for (from = to = seq; to < w->tip && w->gone[to + 1]; to++) {
                /* void */
            }

            seq = to;

            if (loss & 1) {
                continue;
            }

            before = push_delivery_sent(&w->d);
            acked = push_delivery_acked(&w->d);
            verdict = push_delivery_void(&w->d, &from, to, w->now_ms);

            if (verdict == PUSH_DELIVERY_WRITE) {
                FUZZ_MUST(acked == before && push_delivery_acked(&w->d) == to);
                FUZZ_MUST(from == before + 1
                          && push_delivery_sent(&w->d) == to);
                FUZZ_MUST(from == w->got + 1);
                w->got = to;
            }

            w->owed |= verdict == PUSH_DELIVERY_WRITE
                       || verdict == PUSH_DELIVERY_GAP;

            continue;
        }

        n--;

        if (loss & 1) {
            continue;
        }

        before = push_delivery_sent(&w->d);
        room = w->queued < QUEUE;
        verdict = push_delivery_message(&w->d, seq, room, w->now_ms);
        carry_out(w, verdict, seq, before, room);
        w->owed |= verdict == PUSH_DELIVERY_WRITE;
    }

    if (!(loss & 2)) {
        verdict = push_delivery_tip(&w->d, request->rid, w->tip, w->now_ms);

        if (verdict == PUSH_DELIVERY_WRITE) {
            FUZZ_MUST(request->rid == w->d.rid);
            FUZZ_MUST(push_delivery_sent(&w->d) == push_delivery_want(&w->d));
            w->owed = false;
        }
    }

    request->rid = 0;
}


static void
ack(struct world *w, int64_t seq)
{
    int64_t                     before;
    enum push_delivery_verdict  verdict;

    before = push_delivery_acked(&w->d);
    verdict = push_delivery_ack(&w->d, seq, w->now_ms);

    FUZZ_MUST((verdict == PUSH_DELIVERY_BAD)
              == (seq > push_delivery_sent(&w->d) && seq > 0));
    FUZZ_MUST(push_delivery_acked(&w->d)
              == (verdict == PUSH_DELIVERY_WRITE ? seq : before));
}


static void
read_queue(struct world *w, int n)
{
    w->queued = n < w->queued ? w->queued - n : 0;

    if (w->queued <= QUEUE / 2) {
        push_delivery_room(&w->d, w->now_ms);
    }
}


/* The store cannot have said this; nothing may come of it but nonsense. */
static void
lie(struct world *w, unsigned what, int64_t a, int64_t b)
{
    int64_t                     before, from;
    enum push_delivery_verdict  verdict;

    before = push_delivery_sent(&w->d);
    from = a < 1 ? 1 : a;
    b = b < from ? from : b;

    switch (what % 7) {

    case 0:
        (void) push_delivery_begin(&w->d, (uint32_t) (w->rid - (b & 1)), a);
        break;

    case 1:
        verdict = push_delivery_void(&w->d, &from, b, w->now_ms);

        if (verdict == PUSH_DELIVERY_WRITE) {
            FUZZ_MUST(from == before + 1 && push_delivery_sent(&w->d) == b);
        }

        break;

    case 2:
        (void) push_delivery_tip(&w->d, (uint32_t) (w->rid - (b & 1)), a,
                                 w->now_ms);
        break;

    case 3:
        push(w, from, b & 1);
        break;

    case 4:
        verdict = push_delivery_message(&w->d, from, true, w->now_ms);
        FUZZ_MUST(verdict != PUSH_DELIVERY_WRITE || from == before + 1);
        break;

    case 5:
        ack(w, a);
        break;

    default:
        push_delivery_reset(&w->d);
    }

    w->got = push_delivery_sent(&w->d);
}


static void
event(struct world *w, uint8_t what, uint8_t arg)
{
    if (w->lies && (what & 0x80)) {
        lie(w, what, what & 0x40 ? PUSH_SEQ_MAX - arg : arg & 15,
            what & 0x20 ? PUSH_SEQ_MAX : arg >> 4);
        return;
    }

    switch (what % 11) {

    case 0:                                 /* stored; the hint may get lost */
    case 1:
        if (w->tip < TIP_MAX) {
            w->tip++;

            if (what % 11 == 0) {
                push(w, w->tip, true);
            }
        }

        break;

    case 2:                                 /* a hint, late or again */
        if (w->tip > 0) {
            push(w, 1 + arg % w->tip, !w->gone[1 + arg % w->tip]);
        }

        break;

    case 3:
        ask(w);
        break;

    case 4:
        answer(w, &w->requests[arg % REQUESTS], 0);
        break;

    case 5:
        answer(w, &w->requests[arg % REQUESTS], arg * 0x01010101u);
        break;

    case 6:
        ack(w, w->got - (arg & 7));
        break;

    case 7:
        read_queue(w, arg & 7);
        break;

    case 8:
        w->now_ms += (uint32_t) arg * arg;
        break;

    case 9:
        push_delivery_resync(&w->d, w->now_ms);
        break;

    default:                                /* expired, unless it is the tip */
        if (arg < w->tip) {
            w->gone[arg] = true;
        }
    }
}


/* Nothing gets lost any more: how it must end. */
static void
finish(struct world *w)
{
    int       i;
    uint32_t  at_ms;

    push_delivery_resync(&w->d, w->now_ms);

    for (i = 0; i < 2000 && push_delivery_sent(&w->d) < w->tip; i++) {
        read_queue(w, QUEUE);
        ack(w, w->got);
        holds(w);

        FUZZ_MUST(push_delivery_timer(&w->d, &at_ms));

        if ((int32_t) (at_ms - w->now_ms) > 0) {
            FUZZ_MUST(at_ms - w->now_ms <= PUSH_DELIVERY_REPEAT_MAX_MS * 3 / 2);
            w->now_ms = at_ms;
        }

        ask(w);
        answer(w, &w->requests[w->rid % REQUESTS], 0);
        holds(w);
    }

    FUZZ_MUST(push_delivery_sent(&w->d) == w->tip && w->got == w->tip);

    /* The check after the last message; `synced` is the last word. */

    read_queue(w, QUEUE);
    ack(w, w->got);

    for (i = 0; i < 3 && push_delivery_timer(&w->d, &at_ms); i++) {
        w->now_ms = at_ms;
        ask(w);
        answer(w, &w->requests[w->rid % REQUESTS], 0);
        holds(w);
    }

    FUZZ_MUST(!push_delivery_timer(&w->d, &at_ms));
    FUZZ_MUST(!w->owed && !(w->d.flags & PUSH_DELIVERY_SYNC));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t        i;
    int64_t       cursor;
    struct world  w;

    if (size < 4 || size > 4096) {
        return 0;
    }

    memset(&w, 0, sizeof(w));

    w.lies = data[0] & 1;
    w.tip = data[1] % 100;
    cursor = (data[0] & 2) ? data[2] % (w.tip + 1) : PUSH_DELIVERY_UNKNOWN;
    w.got = cursor;
    w.owed = true;
    w.now_ms = 0u - data[3] * 1000u;        /* the clock wraps */

    push_delivery_init(&w.d, cursor, data[2], w.now_ms);
    holds(&w);

    for (i = 4; i + 1 < size; i += 2) {
        event(&w, data[i], data[i + 1]);
        holds(&w);
    }

    if (!w.lies) {
        finish(&w);
    }

    return 0;
}
