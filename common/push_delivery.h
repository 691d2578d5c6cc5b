/*
 * push_delivery: which message may go to this client now (docs/rules.md 2)
 *
 *     item, answer, ack, room --> the rule --> write, forget, ask, synced
 *
 * in:   what happened, for one (connection, log); time and random numbers are
 *       arguments
 * out:  a verdict that the caller carries out
 * owns: nothing
 *
 * Pure: linked by the edge, the unit tests, the fuzzer and the simulator.
 *
 *     sent ......... acked = sent - unacked; unacked <= window
 *     want ......... the highest seq heard of; want > sent: something is owed
 *
 *         push(seq == sent+1, credit, room)  -> WRITE
 *         anything else above sent           -> forget, want, ask
 *         ask -> begin, messages, void, tip  -> synced, or ask again
 */

#ifndef PUSH_DELIVERY_H
#define PUSH_DELIVERY_H

#include "push.h"

#define PUSH_DELIVERY_UNKNOWN     (-1)      /* sent before the first begin */
#define PUSH_DELIVERY_SOON_MS     200       /* little credit: ask a bit later */
#define PUSH_DELIVERY_REPEAT_MS   2000      /* no answer: doubled, +- 50 % */
#define PUSH_DELIVERY_STUCK_MS    100       /* nothing moved: doubled */
#define PUSH_DELIVERY_REPEAT_MAX_MS  30000
#define PUSH_DELIVERY_SLOW_MS     60000     /* no ack progress: 4008 */

enum push_delivery_flag {
    PUSH_DELIVERY_ASKING = 1 << 0,      /* a request is out, rid is its */
    PUSH_DELIVERY_ASK = 1 << 1,         /* to ask at due_ms; or after ASKING */
    PUSH_DELIVERY_ANSWERING = 1 << 2,   /* between its begin and its tip */
    PUSH_DELIVERY_MOVED = 1 << 3,       /* this answer moved sent */
    PUSH_DELIVERY_STOPPED = 1 << 4,     /* a void waits till sent == acked */
    PUSH_DELIVERY_SYNC = 1 << 5,        /* `synced` is owed */
    PUSH_DELIVERY_FULL = 1 << 6,        /* waits for room in the queue */
    PUSH_DELIVERY_FIRST = 1 << 7        /* no answer has come yet */
};

/*
 * 28 bytes; the caller may keep it anywhere.  Numbers are at most PUSH_SEQ_MAX,
 * below 2^53.  Times are milliseconds of any monotonic clock, modulo 2^32,
 * compared by signed difference.
 */
struct push_delivery {
    int64_t  sent:55;       /* highest seq written; PUSH_DELIVERY_UNKNOWN */
    uint64_t unacked:9;     /* of these, not acked by this client: <= window */
    int64_t  want:55;       /* highest seq heard of */
    uint64_t window:9;      /* 1 to PUSH_WINDOW_MAX */
    uint32_t rid;           /* of the last request, 0: none */
    uint32_t due_ms;        /* ASK: when to ask; ASKING: when to repeat */
    uint16_t since;         /* unacked: since when without progress, in units of
                               PUSH_DELIVERY_SINCE_MS, rounded up */
    uint8_t  backoff;       /* doublings of the waits */
    uint8_t  flags;
} __attribute__((packed, aligned(4)));

#define PUSH_DELIVERY_SINCE_MS    128

/* Not the fields: arithmetic with a bit-field stays in its width. */
static inline int64_t
push_delivery_sent(const struct push_delivery *d)
{
    return d->sent;
}

static inline int64_t
push_delivery_acked(const struct push_delivery *d)
{
    return (int64_t) d->sent - (int64_t) d->unacked;
}

static inline int64_t
push_delivery_want(const struct push_delivery *d)
{
    return d->want;
}

enum push_delivery_verdict {
    PUSH_DELIVERY_WRITE,    /* write it: sent is counted already */
    PUSH_DELIVERY_HAD,      /* nothing to do, counts as ok */
    PUSH_DELIVERY_GAP,      /* forget it, it will be asked for */
    PUSH_DELIVERY_SLOW,     /* forget it: no credit, or the queue is full */
    PUSH_DELIVERY_SKIP,     /* of an answer that nobody waits for */
    PUSH_DELIVERY_BAD       /* the client broke the rule: close 4400 */
};

/*
 * A new connection.  cursor: the client's, or PUSH_DELIVERY_UNKNOWN.  It wants
 * to ask at once, and `synced` is owed.
 */
void push_delivery_init(struct push_delivery *d, int64_t cursor,
    unsigned window, uint32_t now_ms);

/* window - (sent - acked); the whole window while sent is unknown. */
unsigned push_delivery_credit(const struct push_delivery *d);

/*
 * A stored message came by itself.  room: the queue takes it.
 * WRITE, HAD, GAP or SLOW.
 */
enum push_delivery_verdict push_delivery_push(struct push_delivery *d,
    int64_t seq, bool room, uint32_t now_ms);

/*
 * The log has this message, but it cannot be written from here (it expired on
 * the way, or the worker's ring has moved on): HAD, or GAP and it is asked for.
 */
enum push_delivery_verdict push_delivery_heard(struct push_delivery *d,
    int64_t seq, uint32_t now_ms);

/*
 * The parts of an answer.  begin: HAD, or SKIP for another rid.  message:
 * WRITE, HAD, GAP, SLOW, or SKIP outside of an answer.  void: WRITE (tell the
 * client [*from, to], *from having been raised to sent + 1), HAD (all of it is
 * below sent), GAP (something before it is missing or unacked: the rest of the
 * answer is skipped and asked for after the ack), or SKIP.
 * tip: WRITE: `synced` with seq = sent is to be written; HAD; or SKIP.
 */
enum push_delivery_verdict push_delivery_begin(struct push_delivery *d,
    uint32_t rid, int64_t after);
enum push_delivery_verdict push_delivery_message(struct push_delivery *d,
    int64_t seq, bool room, uint32_t now_ms);
enum push_delivery_verdict push_delivery_void(struct push_delivery *d,
    int64_t *from, int64_t to, uint32_t now_ms);
enum push_delivery_verdict push_delivery_tip(struct push_delivery *d,
    uint32_t rid, int64_t tip, uint32_t now_ms);

/*
 * Everything that is known of was written, from what the caller holds (a ring
 * of recent messages), without an answer: true, and `synced` with seq = sent is
 * to be written; a request that only gaps wanted is called off.  Not for logs
 * that are checked by push_delivery_resync(): a check is called off as well.
 */
bool push_delivery_caught_up(struct push_delivery *d);

/*
 * The client's ack.  HAD; BAD: above sent, or sent is not known yet; WRITE:
 * `acked` moved.
 */
enum push_delivery_verdict push_delivery_ack(struct push_delivery *d,
    int64_t seq, uint32_t now_ms);

/*
 * The queue has drained to half: asks again if messages were forgotten.  To be
 * called whenever a write left it there; it costs nothing if none was.
 */
void push_delivery_room(struct push_delivery *d, uint32_t now_ms);

/*
 * A trigger from outside: item `resync`, a renewed binding, the periodic
 * check.  Asks although nothing is known to be missing, and does not wait for
 * the end of a back-off; owes no `synced` unless something was.
 */
void push_delivery_resync(struct push_delivery *d, uint32_t now_ms);

/*
 * Reset (another epoch): forgets everything; the answer's begin sets where
 * delivery goes on.  The answer that brings it goes on.  Only before the first
 * begin (FIRST): a later one is of a late answer and does nothing.
 */
void push_delivery_reset(struct push_delivery *d);

/*
 * True: this log belongs into a request now (its due time has come; credit is
 * there).  asked() says that it was put into one: random is any 32 bits.
 */
bool push_delivery_ask_due(const struct push_delivery *d, uint32_t now_ms);
void push_delivery_asked(struct push_delivery *d, uint32_t rid,
    uint32_t now_ms, uint32_t random);

/*
 * True, and *at_ms is when ask_due() must be looked at again; false: not before
 * another call has changed the state (an ack, room, a push...).
 */
bool push_delivery_timer(const struct push_delivery *d, uint32_t *at_ms);

/*
 * No ack progress for PUSH_DELIVERY_SLOW_MS: close 4008.  Never early, at most
 * 2 * PUSH_DELIVERY_SINCE_MS late; to be looked at once an hour at least.
 */
bool push_delivery_is_slow(const struct push_delivery *d, uint32_t now_ms);

/* True, and *at_ms is when is_slow() must be looked at; false: nothing is
   unacked. */
bool push_delivery_slow_at(const struct push_delivery *d, uint32_t now_ms,
    uint32_t *at_ms);

/*
 * For who follows a log by other means (the worker's ring, a raw connection):
 * all up to seq was written and acked, seq may be lower than before.
 */
void push_delivery_jump(struct push_delivery *d, int64_t seq);

#endif
