/*
 * collector_answer: where each log begins, and the lines of an answer
 *
 *     request, places --begin--> after of each log; cursors to put; reset?
 *     pages of the store --log--> begin, conn, void, tip  (docs/rules.md 3)
 *
 * in:   a checked request, what the store knows.  out: decisions, lines
 * owns: nothing: the caller has the memory
 *
 * Pure.  Where a device starts is docs/protocol.md 1: the cursor of its hello;
 * else its stored cursor; else, in its own log, after the highest ack of the
 * user's devices or at the floor; in shared logs after the user's highest ack
 * or at the tip.  Another epoch, or a cursor above the tip: `reset`, and all
 * logs begin at their floor.  (The edge ignores a reset that comes too late.)
 */

#ifndef COLLECTOR_ANSWER_H
#define COLLECTOR_ANSWER_H

#include "collector_request.h"
#include "store.h"

#define ANSWER_BYTES_MAX  (512 * 1024)      /* of frames, but for one message */

/* What is to be put before the answer leaves. */
enum collector_answer_put {
    ANSWER_PUT_NOTHING,
    ANSWER_PUT_START,           /* first seen: where it starts; no ack */
    ANSWER_PUT_ACK              /* the cursor of its hello */
};

struct collector_answer_start {
    int64_t                   after;
    enum collector_answer_put put;
};

/*
 * places[i] and starts[i] belong to r->logs[i].  Returns whether a reset is to
 * be said.
 */
bool collector_answer_begin(const struct collector_request *r,
    struct push_str epoch, const struct store_place *places,
    struct collector_answer_start *starts);

/*
 * A cursor is above its tip, in our own epoch.  The client was told of it, so
 * the tips may come from a replica that lags: they are to be read again, for
 * certain, before a reset is said.
 */
bool collector_answer_doubtful(const struct collector_request *r,
    struct push_str epoch, const struct store_place *places);

/* An answer that is being written; zero it, set r, to and size. */
struct collector_answer {
    const struct collector_request *r;
    char                           *to;
    size_t                          size;
    size_t                          len;
    unsigned                        lines;
    size_t                          bytes;      /* of frames so far */
    unsigned                        messages;   /* so far */
};

/*
 * How much of log i is worth reading: items and bytes of data.  false:
 * nothing fits any more; its tip alone is said.
 */
bool collector_answer_room(const struct collector_answer *a, size_t i,
    size_t *items, size_t *bytes);

/* The most bytes that the next call writes: to be there in `to`. */
size_t collector_answer_reset_size(const struct collector_request *r);
size_t collector_answer_log_size(const struct store_item *items,
    size_t count);

/* The frame {"type":"reset",…} of all logs. */
void collector_answer_reset(struct collector_answer *a, struct push_str epoch,
    const struct store_place *places);

/*
 * Log i: begin, what fits of the items, tip.  The items follow `after` without
 * a hole; none are fine.
 */
void collector_answer_log(struct collector_answer *a, size_t i, int64_t after,
    const struct store_item *items, size_t count, int64_t tip);

#endif
