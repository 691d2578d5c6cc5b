/*
 * collector_frame: a message as the client's text frame, and as an item
 *
 *     log, seq, ts, data --> {"type":"message","log":"user","seq":18,
 *                             "ts":1700000000123,"id":"user:u42@18","data":…}
 *
 * in:   a message whose log is a legal name.  out: bytes.  owns: nothing
 *
 * Pure.  data is the last member and the bytes that came, so that the edge
 * can cut it out by `off` (docs/protocol.md 1).
 */

#ifndef COLLECTOR_FRAME_H
#define COLLECTOR_FRAME_H

#include "collector.h"

/* A frame is at most so much longer than its data; an item's line, too. */
#define FRAME_EXTRA  (2 * PUSH_LOG_MAX + 160)
#define FRAME_LINE   (PUSH_LOG_MAX + PUSH_CONN_TEXT_LEN + 128)

/*
 * Writes the frame, not terminated; to holds data.len + FRAME_EXTRA bytes.
 * Returns its length, *off is where data begins.  seq 0: neither seq nor id.
 */
size_t collector_frame_write(char *to, const struct collector_message *m,
    size_t *off);

/*
 * Writes the item of a dispatch body with the frame in it: `user`, `group` or
 * `all`, by the log; with conn: `conn`.  to holds FRAME_ITEM_SIZE bytes: the
 * frame is made in the upper half and copied down behind its line.  Returns
 * the item's length; *frame_len, if not NULL: the frame's alone.
 */
#define FRAME_ITEM_SIZE(data_len)                                             \
    (2 * ((data_len) + FRAME_EXTRA) + FRAME_LINE)

size_t collector_frame_item(char *to, const struct collector_message *m,
    const struct push_conn_id *conn, size_t *frame_len);

/* The log's name in client frames: a user's own log is "user". */
struct push_str collector_frame_log(struct push_str log);

#endif
