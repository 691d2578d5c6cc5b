/*
 * collector_hand_over: what is committed goes to a dispatcher
 *
 *     append --stored------> | queue of  | --POST /dispatch--> dispatcher
 *     API ----ephemeral----> | one       |      one in flight, the next fills
 *     resync -answer-------> | peer      | <--one answer an item--
 *                                ^    |
 *                    0.5 s .. 8 s |   | `unknown`, or no answer
 *                    30 s in all  +---+
 *                                     |
 *                                     +--> debts: `resync <log>`, paid first
 *
 * in:   committed messages, ephemeral ones, lines that answer a request
 * out:  bodies of POST /dispatch (docs/rules.md 3), and once a second the
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

#include "collector.h"

#define HAND_OVER_PEERS_MAX   64        /* dispatchers */
#define HAND_OVER_LIVE_MS     5000      /* an ephemeral one, an answer */

/*
 * Uses c->conf, base, store (open), client.  Begins with what an earlier
 * process did not hand over (info.repair), page by page, beside what is new,
 * in the first turn of the loop.  PUSH_OK and c->hand_over, or PUSH_ERROR and
 * a text: a secret file or an address that is wrong, out of memory.
 */
int collector_hand_over_create(struct collector *c, char *error, size_t size);

/*
 * c->conf has changed: dispatchers and secret_file are taken from it; what
 * waits goes on waiting.  PUSH_OK, or PUSH_ERROR and a text, all as before.
 */
int collector_hand_over_reload(struct collector *c, char *error, size_t size);

/*
 * Forgets what waits and writes a last mark, so that the next start begins
 * there.  Before store_close() and http_client_destroy().  NULL is fine.
 */
void collector_hand_over_destroy(struct collector *c);

/*
 * Committed messages, seq > 0, in the order of commits.  A duplicate may be
 * given too, with row 0: if its first copy's outcome was unknown then nobody
 * has handed it over yet; an edge that has it drops it.  Copied.  Never
 * refuses: what does not fit is owed as a resync.
 */
void collector_hand_over_add(struct collector *c,
    const struct collector_message *messages, size_t count);

/* The same for rows of an earlier process: collector_repair's. */
void collector_hand_over_repair(struct collector *c,
    const struct collector_message *message);

/*
 * An ephemeral message: seq and row are 0; sent once.  Copied.  PUSH_OK;
 * PUSH_DECLINED: no room or no dispatcher is up, nothing was taken: 503.
 */
int collector_hand_over_ephemeral(struct collector *c,
    const struct collector_message *message);

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

int collector_hand_over_answer(struct collector *c, struct push_str key,
    struct push_str node, uint64_t instance, struct push_str text,
    unsigned lines);

/*
 * Whether answers are welcome: at most half of the memory is theirs, and a
 * peer must be up.  Who makes answers asks before it takes work.
 */
bool collector_hand_over_room(const struct collector *c);

/* Nothing waits and nothing is owed: for the drain. */
bool collector_hand_over_idle(const struct collector *c);

/* For /readyz (peers_up > 0) and /metrics. */
struct collector_hand_over_state {
    size_t items;               /* that wait or are under way */
    size_t bytes;
    size_t debts;               /* names that are owed a resync */
    size_t peers;
    size_t peers_up;
};

void collector_hand_over_state(const struct collector *c,
    struct collector_hand_over_state *state);

#endif
