/*
 * push_delivery: which message may go to this client now (docs/rules.md 2)
 *
 *     push ----+                        +--> WRITE, HAD, GAP, SLOW
 *     answer --+--> sent, acked, want --+
 *     ack -----+                        +--> ask_due, timer: when to ask
 *
 * in:   what happened.  out: a verdict.  owns: nothing
 *
 * A request goes out while ASK is set, its time has come, and nothing holds
 * it: no credit, a full queue, or a void that waits for the last ack.  What
 * holds it is lifted by an ack or by room, which set the time anew.  So while
 * want > sent, ASK or ASKING is always set.
 */

#include "push_delivery.h"

/* backoff: the low half counts requests without answer, the high one answers
   that moved nothing. */
#define PUSH_DELIVERY_REPEATS(d)  ((d)->backoff & 0x0f)
#define PUSH_DELIVERY_STUCK(d)    ((d)->backoff >> 4)
#define PUSH_DELIVERY_DOUBLINGS   9     /* 100 ms << 9 is above 30 s */

/* since is modulo 2^16: what is more than an hour ago is still to come. */
#define PUSH_DELIVERY_SINCE_SLOW  ((PUSH_DELIVERY_SLOW_MS                      \
                                    + PUSH_DELIVERY_SINCE_MS - 1)             \
                                   / PUSH_DELIVERY_SINCE_MS)

_Static_assert(sizeof(struct push_delivery) == 28, "one for each log");

static enum push_delivery_verdict push_delivery_take(struct push_delivery *d,
    int64_t seq, bool open, bool room, uint32_t now_ms);
static uint16_t push_delivery_since(uint32_t now_ms);
static int push_delivery_units(const struct push_delivery *d,
    uint32_t now_ms);
static bool push_delivery_held(const struct push_delivery *d);
static void push_delivery_ask(struct push_delivery *d, uint32_t now_ms);
static void push_delivery_released(struct push_delivery *d, bool was_held,
    uint32_t now_ms);
static void push_delivery_earlier(struct push_delivery *d, uint32_t now_ms);
static uint32_t push_delivery_when(const struct push_delivery *d,
    uint32_t now_ms);
static uint32_t push_delivery_wait(uint32_t first_ms, unsigned doublings);
static bool push_delivery_reached(uint32_t now_ms, uint32_t at_ms);


void
push_delivery_init(struct push_delivery *d, int64_t cursor, unsigned window,
    uint32_t now_ms)
{
    d->sent = cursor;
    d->unacked = 0;
    d->want = cursor;
    d->rid = 0;
    d->due_ms = now_ms;
    d->since = push_delivery_since(now_ms);
    d->window = (window < 1 ? 1
                 : window > PUSH_WINDOW_MAX ? PUSH_WINDOW_MAX : window) & 511;
    d->backoff = 0;
    d->flags = PUSH_DELIVERY_ASK | PUSH_DELIVERY_SYNC | PUSH_DELIVERY_FIRST;
}


unsigned
push_delivery_credit(const struct push_delivery *d)
{
    return (unsigned) d->window - (unsigned) d->unacked;
}


enum push_delivery_verdict
push_delivery_push(struct push_delivery *d, int64_t seq, bool room,
    uint32_t now_ms)
{
    /*
     * Before the first answer nothing is written: it may have to be a reset.
     */
    return push_delivery_take(d, seq,
                              !(d->flags & (PUSH_DELIVERY_ASKING
                                            | PUSH_DELIVERY_FIRST)),
                              room, now_ms);
}


enum push_delivery_verdict
push_delivery_heard(struct push_delivery *d, int64_t seq, uint32_t now_ms)
{
    return push_delivery_take(d, seq, false, true, now_ms);
}


enum push_delivery_verdict
push_delivery_begin(struct push_delivery *d, uint32_t rid, int64_t after)
{
    if (!(d->flags & PUSH_DELIVERY_ASKING) || rid != d->rid) {
        d->flags &= (uint8_t) ~PUSH_DELIVERY_ANSWERING;
        return PUSH_DELIVERY_SKIP;
    }

    d->flags &= (uint8_t) ~(PUSH_DELIVERY_FIRST | PUSH_DELIVERY_STOPPED);
    d->flags |= PUSH_DELIVERY_ANSWERING;

    if (d->sent == PUSH_DELIVERY_UNKNOWN) {
        d->sent = after;
        d->unacked = 0;

        if (d->want < after) {
            d->want = after;
        }
    }

    return PUSH_DELIVERY_HAD;
}


enum push_delivery_verdict
push_delivery_message(struct push_delivery *d, int64_t seq, bool room,
    uint32_t now_ms)
{
    enum push_delivery_verdict  verdict;

    if (!(d->flags & PUSH_DELIVERY_ANSWERING)) {
        return PUSH_DELIVERY_SKIP;
    }

    verdict = push_delivery_take(d, seq, true, room, now_ms);

    if (verdict == PUSH_DELIVERY_WRITE) {
        d->flags |= PUSH_DELIVERY_MOVED | PUSH_DELIVERY_SYNC;
    }

    return verdict;
}


enum push_delivery_verdict
push_delivery_void(struct push_delivery *d, int64_t *from, int64_t to,
    uint32_t now_ms)
{
    if (!(d->flags & PUSH_DELIVERY_ANSWERING)) {
        return PUSH_DELIVERY_SKIP;
    }

    if (to <= d->sent) {
        return PUSH_DELIVERY_HAD;
    }

    if (d->want < to) {
        d->want = to;
    }

    d->flags |= PUSH_DELIVERY_SYNC;

    if (d->sent == PUSH_DELIVERY_UNKNOWN || *from > push_delivery_sent(d) + 1) {
        return PUSH_DELIVERY_GAP;
    }

    if (d->unacked) {
        /* An ack inside of the range would be of a number never written. */
        d->flags |= PUSH_DELIVERY_STOPPED;
        return PUSH_DELIVERY_GAP;
    }

    *from = push_delivery_sent(d) + 1;
    d->sent = to;
    d->since = push_delivery_since(now_ms);
    d->flags |= PUSH_DELIVERY_MOVED;

    return PUSH_DELIVERY_WRITE;
}


enum push_delivery_verdict
push_delivery_tip(struct push_delivery *d, uint32_t rid, int64_t tip,
    uint32_t now_ms)
{
    bool  again, moved;

    if (!(d->flags & PUSH_DELIVERY_ASKING) || rid != d->rid) {
        return PUSH_DELIVERY_SKIP;
    }

    again = (d->flags & PUSH_DELIVERY_ASK) != 0;
    moved = (d->flags & PUSH_DELIVERY_MOVED) != 0;

    d->flags &= (uint8_t) ~(PUSH_DELIVERY_ASKING | PUSH_DELIVERY_ANSWERING
                            | PUSH_DELIVERY_MOVED | PUSH_DELIVERY_ASK);
    d->backoff &= 0xf0;

    if (d->want < tip) {
        d->want = tip;
    }

    if (moved || d->sent == d->want) {
        d->backoff = 0;
    }

    if (d->sent == d->want && d->sent != PUSH_DELIVERY_UNKNOWN) {

        if (again) {
            /* A trigger came after the store had been read. */
            push_delivery_ask(d, now_ms);
        }

        if (d->flags & PUSH_DELIVERY_SYNC) {
            d->flags &= (uint8_t) ~PUSH_DELIVERY_SYNC;
            return PUSH_DELIVERY_WRITE;
        }

        return PUSH_DELIVERY_HAD;
    }

    d->flags |= PUSH_DELIVERY_SYNC;
    push_delivery_ask(d, now_ms);

    if (!moved && !again && !push_delivery_held(d)) {
        /* The store does not show it yet, or never will. */
        d->due_ms = now_ms + push_delivery_wait(PUSH_DELIVERY_STUCK_MS,
                                                PUSH_DELIVERY_STUCK(d));

        if (PUSH_DELIVERY_STUCK(d) < PUSH_DELIVERY_DOUBLINGS) {
            d->backoff += 0x10;
        }
    }

    return PUSH_DELIVERY_HAD;
}


bool
push_delivery_caught_up(struct push_delivery *d)
{
    if (d->sent != d->want
        || (d->flags & (PUSH_DELIVERY_ASKING | PUSH_DELIVERY_FIRST))
        || !(d->flags & PUSH_DELIVERY_SYNC))
    {
        return false;
    }

    d->flags &= (uint8_t) ~(PUSH_DELIVERY_ASK | PUSH_DELIVERY_FULL
                            | PUSH_DELIVERY_SYNC);
    d->backoff = 0;

    return true;
}


enum push_delivery_verdict
push_delivery_ack(struct push_delivery *d, int64_t seq, uint32_t now_ms)
{
    bool  was_held;

    if (seq <= 0 || seq <= push_delivery_acked(d)) {
        return PUSH_DELIVERY_HAD;
    }

    if (seq > d->sent) {
        return PUSH_DELIVERY_BAD;
    }

    was_held = push_delivery_held(d);

    d->unacked = (uint64_t) (push_delivery_sent(d) - seq) & 511;
    d->since = push_delivery_since(now_ms);

    if ((d->flags & PUSH_DELIVERY_STOPPED) && d->unacked == 0) {
        d->flags &= (uint8_t) ~PUSH_DELIVERY_STOPPED;

        if (d->flags & PUSH_DELIVERY_ASKING) {
            d->flags |= PUSH_DELIVERY_MOVED;    /* the void can pass now */
        }
    }

    push_delivery_released(d, was_held, now_ms);

    return PUSH_DELIVERY_WRITE;
}


void
push_delivery_room(struct push_delivery *d, uint32_t now_ms)
{
    bool  was_held;

    if (!(d->flags & PUSH_DELIVERY_FULL)) {
        return;
    }

    was_held = push_delivery_held(d);
    d->flags &= (uint8_t) ~PUSH_DELIVERY_FULL;

    push_delivery_released(d, was_held, now_ms);
}


void
push_delivery_resync(struct push_delivery *d, uint32_t now_ms)
{
    if (d->flags & PUSH_DELIVERY_ASKING) {
        d->flags |= PUSH_DELIVERY_ASK;      /* due_ms stays the repeat's */
        return;
    }

    push_delivery_ask(d, now_ms);
    push_delivery_earlier(d, now_ms);       /* not when a back-off ends */
}


void
push_delivery_reset(struct push_delivery *d)
{
    if (!(d->flags & PUSH_DELIVERY_FIRST)) {
        return;
    }

    d->sent = PUSH_DELIVERY_UNKNOWN;
    d->unacked = 0;
    d->want = PUSH_DELIVERY_UNKNOWN;
    d->flags &= (uint8_t) ~PUSH_DELIVERY_STOPPED;
    d->flags |= PUSH_DELIVERY_SYNC;
}


bool
push_delivery_ask_due(const struct push_delivery *d, uint32_t now_ms)
{
    uint32_t  at_ms;

    return push_delivery_timer(d, &at_ms)
           && push_delivery_reached(now_ms, at_ms);
}


void
push_delivery_asked(struct push_delivery *d, uint32_t rid, uint32_t now_ms,
    uint32_t random)
{
    uint32_t  wait_ms;

    if ((d->flags & PUSH_DELIVERY_ASKING)
        && PUSH_DELIVERY_REPEATS(d) < PUSH_DELIVERY_DOUBLINGS)
    {
        d->backoff++;
    }

    wait_ms = push_delivery_wait(PUSH_DELIVERY_REPEAT_MS,
                                 PUSH_DELIVERY_REPEATS(d));

    d->rid = rid;
    d->due_ms = now_ms + wait_ms / 2 + random % (wait_ms + 1);
    d->flags &= (uint8_t) ~(PUSH_DELIVERY_ASK | PUSH_DELIVERY_ANSWERING
                            | PUSH_DELIVERY_MOVED | PUSH_DELIVERY_STOPPED);
    d->flags |= PUSH_DELIVERY_ASKING;
}


bool
push_delivery_timer(const struct push_delivery *d, uint32_t *at_ms)
{
    *at_ms = d->due_ms;

    return (d->flags & (PUSH_DELIVERY_ASK | PUSH_DELIVERY_ASKING))
           && !push_delivery_held(d);
}


bool
push_delivery_is_slow(const struct push_delivery *d, uint32_t now_ms)
{
    return d->unacked
           && push_delivery_units(d, now_ms) >= PUSH_DELIVERY_SINCE_SLOW;
}


bool
push_delivery_slow_at(const struct push_delivery *d, uint32_t now_ms,
    uint32_t *at_ms)
{
    int  left;

    left = PUSH_DELIVERY_SINCE_SLOW - push_delivery_units(d, now_ms);

    *at_ms = left <= 0 ? now_ms
             : (now_ms / PUSH_DELIVERY_SINCE_MS + (uint32_t) left)
               * PUSH_DELIVERY_SINCE_MS;

    return d->unacked != 0;
}


void
push_delivery_jump(struct push_delivery *d, int64_t seq)
{
    d->sent = seq;
    d->unacked = 0;

    if (d->want < seq) {
        d->want = seq;
    }
}


/* Write it if it is the next one; else remember that it exists, and ask. */
static enum push_delivery_verdict
push_delivery_take(struct push_delivery *d, int64_t seq, bool open, bool room,
    uint32_t now_ms)
{
    enum push_delivery_verdict  verdict;

    if (seq <= d->sent) {
        return PUSH_DELIVERY_HAD;
    }

    if (d->want < seq) {
        d->want = seq;
    }

    verdict = PUSH_DELIVERY_GAP;

    if (open && seq == push_delivery_sent(d) + 1 && d->sent != PUSH_DELIVERY_UNKNOWN) {

        if (push_delivery_credit(d) > 0 && room) {

            if (d->unacked == 0) {
                d->since = push_delivery_since(now_ms);
            }

            d->sent = seq;
            d->unacked++;
            return PUSH_DELIVERY_WRITE;
        }

        if (!room) {
            d->flags |= PUSH_DELIVERY_FULL;
        }

        verdict = PUSH_DELIVERY_SLOW;
    }

    d->flags |= PUSH_DELIVERY_SYNC;

    if (!(d->flags & PUSH_DELIVERY_ASKING)) {
        push_delivery_ask(d, now_ms);
    }

    return verdict;
}


/* A request would be useless: what it brings could not be written. */
static bool
push_delivery_held(const struct push_delivery *d)
{
    return push_delivery_credit(d) == 0
           || (d->flags & PUSH_DELIVERY_FULL)
           || ((d->flags & PUSH_DELIVERY_STOPPED) && d->unacked);
}


static void
push_delivery_ask(struct push_delivery *d, uint32_t now_ms)
{
    if (!(d->flags & PUSH_DELIVERY_ASK)) {
        d->flags |= PUSH_DELIVERY_ASK;
        d->due_ms = push_delivery_when(d, now_ms);
    }
}


/* More can be written than before: what waits may be asked for earlier. */
static void
push_delivery_released(struct push_delivery *d, bool was_held,
    uint32_t now_ms)
{
    if ((d->flags & PUSH_DELIVERY_ASKING) || !(d->flags & PUSH_DELIVERY_ASK)
        || push_delivery_held(d))
    {
        return;
    }

    if (was_held) {
        /* The time set while held is long past: it would ask for one. */
        d->due_ms = push_delivery_when(d, now_ms);

    } else {
        push_delivery_earlier(d, now_ms);
    }
}


static void
push_delivery_earlier(struct push_delivery *d, uint32_t now_ms)
{
    uint32_t  when_ms;

    when_ms = push_delivery_when(d, now_ms);

    if (push_delivery_reached(d->due_ms, when_ms)) {
        d->due_ms = when_ms;
    }
}


/* At once if it is worth it, else a bit later, when more has been acked. */
static uint32_t
push_delivery_when(const struct push_delivery *d, uint32_t now_ms)
{
    return 2 * push_delivery_credit(d) >= d->window
           ? now_ms : now_ms + PUSH_DELIVERY_SOON_MS;
}


static uint32_t
push_delivery_wait(uint32_t first_ms, unsigned doublings)
{
    uint32_t  wait_ms = first_ms << doublings;

    return wait_ms < PUSH_DELIVERY_REPEAT_MAX_MS
           ? wait_ms : PUSH_DELIVERY_REPEAT_MAX_MS;
}


/* Rounded up: is_slow() is not early.  2^32 ms are 2^25 units: it may wrap. */
static uint16_t
push_delivery_since(uint32_t now_ms)
{
    return (uint16_t) ((now_ms + PUSH_DELIVERY_SINCE_MS - 1)
                       / PUSH_DELIVERY_SINCE_MS);
}


/* Whole units since then; -1 if it was rounded up beyond now. */
static int
push_delivery_units(const struct push_delivery *d, uint32_t now_ms)
{
    return (int16_t) (uint16_t) (now_ms / PUSH_DELIVERY_SINCE_MS - d->since);
}


/* Signed difference, so that the clock may wrap. */
static bool
push_delivery_reached(uint32_t now_ms, uint32_t at_ms)
{
    return (int32_t) (now_ms - at_ms) >= 0;
}
