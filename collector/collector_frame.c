/*
 * collector_frame: a message as the client's text frame, and as an item
 */

#include "collector_frame.h"

#include <stdio.h>
#include <string.h>

#include "push_lines.h"

#define FRAME_DATA  ",\"data\":"


struct push_str
collector_frame_log(struct push_str log)
{
    if (log.len > 5 && memcmp(log.data, "user:", 5) == 0) {
        return PUSH_STR("user");
    }

    return log;
}


/* Names of logs need no escapes: the alphabet of names has no such byte. */
static size_t
collector_frame_head(char *to, size_t size, const struct collector_message *m)
{
    int              n;
    struct push_str  log;

    log = collector_frame_log(m->log);

    if (m->seq == 0) {
        n = snprintf(to, size, "{\"type\":\"message\",\"log\":\"%.*s\","
                     "\"ts\":%lld" FRAME_DATA,
                     (int) log.len, log.data, (long long) m->ts_ms);

    } else {
        n = snprintf(to, size, "{\"type\":\"message\",\"log\":\"%.*s\","
                     "\"seq\":%lld,\"ts\":%lld,\"id\":\"%.*s@%lld\""
                     FRAME_DATA, (int) log.len, log.data,
                     (long long) m->seq, (long long) m->ts_ms,
                     (int) m->log.len, m->log.data, (long long) m->seq);
    }

    return (size_t) n;
}


size_t
collector_frame_write(char *to, const struct collector_message *m, size_t *off)
{
    size_t  n;

    n = collector_frame_head(to, FRAME_EXTRA, m);
    *off = n;

    memcpy(to + n, m->data.data, m->data.len);
    n += m->data.len;
    to[n++] = '}';

    return n;
}


size_t
collector_frame_item(char *to, const struct collector_message *m,
    const struct push_conn_id *conn, size_t *frame_len)
{
    char                   *frame;
    size_t                  len, room;
    struct push_str         name;
    enum push_log_kind      kind;
    struct push_lines_item  item;

    memset(&item, 0, sizeof(item));

    room = FRAME_LINE + m->data.len + FRAME_EXTRA;
    frame = to + room;

    len = collector_frame_write(frame, m, &item.off);

    item.seq = m->seq;
    item.expires = (uint64_t) m->expires;
    item.payload = (struct push_str) { frame, len };

    if (conn != NULL) {
        item.verb = PUSH_LINES_CONN;
        item.id = *conn;
        item.log = m->log;

    } else {
        (void) push_log_parse(m->log, &kind, &name);

        switch (kind) {

        case PUSH_LOG_USER:
            item.verb = PUSH_LINES_USER;
            item.name = name;
            break;

        case PUSH_LOG_GROUP:
            item.verb = PUSH_LINES_GROUP;
            item.group = name;
            break;

        case PUSH_LOG_ALL:
            item.verb = PUSH_LINES_ALL;
            break;
        }
    }

    if (frame_len != NULL) {
        *frame_len = len;
    }

    return push_lines_write(to, room, &item);
}
