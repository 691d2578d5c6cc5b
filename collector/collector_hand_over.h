/*
 * collector_hand_over: what is committed goes to a dispatcher
 *
 *     append --stored------> | queue of  | --POST /dispatch--> dispatcher
 *     API ----ephemeral----> | one       |      one in flight, the next fills
 *     resync -answer-------> | peer      | <--one answer an item--
 *                               ^     |
 *                  retry: back  |     | `unknown`, no answer
 *                  after 0.5 s  +-----+ 0.5 s .. 8 s, 30 s in all
 *                  .. 8 s             |
 *                                     +--> debts: `resync <log>`, paid first
 *
 * in:   committed messages, ephemeral ones, lines that answer a request
 * out:  bodies of POST /dispatch (WIRES section 3), and once a second the
 *       store's mark: the last row up to which all is handed over
 * owns: the queues, the debts, the probes of dispatchers that are down
 *
 * The one place that retries.  Nothing here is truth: whatever is forgotten
 * is asked for by the edge.  All calls are made on the loop's thread.
 *
 * Order: the messages of one log go out in the order in which they came.  One
 * that is tried again may be overtaken by later ones of its log: holding them
 * back would let one stuck node delay all others.  The edge then sees a gap
 * and asks, or has the message already and drops it; both are harmless.
 *
 * Which peer: the first on the ring of the log that is up.  A peer is down
 * from the first POST without an answer until a probe (a body without items)
 * is answered; probes go out after 0.5 s doubled to 8 s.  Dispatchers keep no
 * state, so that any other one serves its logs meanwhile.
 */

#ifndef COLLECTOR_HAND_OVER_H
#define COLLECTOR_HAND_OVER_H

#include "push.h"
#include "store.h"

#define HAND_OVER_PEERS_MAX   64
#define HAND_OVER_WAIT_MS     30000     /* a stored message waits at most */
#define HAND_OVER_LIVE_MS     5000      /* an ephemeral one, an answer */
#define HAND_OVER_ANSWER_MS   5000      /* a dispatcher's time to answer */

struct event_base;
struct http_client;
struct metrics;

struct collector_hand_over;

/* All is borrowed until collector_hand_over_destroy(). */
struct collector_hand_over_conf {
    struct event_base  *base;
    struct http_client *http;
    struct store       *store;          /* open: epoch, mark, tail */
    struct metrics     *metrics;
    const char *const  *dispatchers;    /* "http://127.0.0.1:7719" */
    size_t              dispatcher_count;   /* 1 to HAND_OVER_PEERS_MAX */
    const char         *secret;         /* of header Push-Secret */
    size_t              bytes;          /* memory for what waits */
};

/* NULL: out of memory, or an address that is none; the log says which. */
struct collector_hand_over *collector_hand_over_create(
    const struct collector_hand_over_conf *conf);

/*
 * Begins with what an earlier process did not hand over (info.repair), page
 * by page, beside what is new.  Call it once, when the loop is about to run.
 */
void collector_hand_over_start(struct collector_hand_over *h);

/* Drops what waits and writes no mark; close the store after it. */
void collector_hand_over_destroy(struct collector_hand_over *h);

/*
 * Messages of an append whose `done` was called: those STORED, and those
 * DUPLICATE (their first copy's outcome may have been unknown, so perhaps
 * nobody has handed it over; the edge drops what it has).  Others are skipped.
 * Call it in the order in which the appends were done.  All is copied.  Never
 * refuses: what does not fit is owed as a resync.
 */
void collector_hand_over_stored(struct collector_hand_over *h,
    const struct store_message *messages, size_t count);

/*
 * An ephemeral message: no seq, no id, sent once.  expires in Unix s, 0:
 * never.  Copied.  PUSH_OK; PUSH_DECLINED: no room, or no dispatcher is up,
 * nothing was taken: 503.
 */
int collector_hand_over_ephemeral(struct collector_hand_over *h,
    struct push_str log, int64_t ts_ms, int64_t expires, struct push_str data);

/*
 * Lines for one node: `<node>/<instance>`, copied, sent once.
 *
 * key chooses the peer (the full log name of the user who asked), so that all
 * answers to one user keep their order.  text holds `lines` whole lines as
 * push_lines_write() makes them, at most HAND_OVER_LINES_MAX bytes and
 * PUSH_ITEMS_MAX lines; it is never split.  PUSH_OK, or PUSH_DECLINED:
 * nothing was taken; the edge will ask again.
 */
#define HAND_OVER_LINES_MAX  (PUSH_BODY_MAX - 1024)

int collector_hand_over_answer(struct collector_hand_over *h,
    struct push_str key, struct push_str node, uint64_t instance,
    struct push_str text, unsigned lines);

/*
 * Whether answers are welcome: at most half of the memory is theirs, and a
 * peer must be up.  Who makes answers asks before it takes work.
 */
bool collector_hand_over_room(const struct collector_hand_over *h);

/* For /readyz and drain: a dispatcher is up; nothing waits, nothing is owed. */
bool collector_hand_over_ready(const struct collector_hand_over *h);
bool collector_hand_over_idle(const struct collector_hand_over *h);

#endif
