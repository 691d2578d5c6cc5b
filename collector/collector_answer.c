/*
 * collector_answer: where each log begins, and the lines of an answer
 */

#include "collector_answer.h"

#include <stdio.h>
#include <string.h>

#include "collector_frame.h"
#include "push_lines.h"

/* Of one log: begin and tip; and the reset. */
#define ANSWER_HEAD_LINES  2
#define ANSWER_HEAD_SIZE   (2 * FRAME_LINE)

#define ANSWER_RESET_LOG   (PUSH_LOG_MAX + 64)
#define ANSWER_RESET_HEAD  (PUSH_EPOCH_MAX + 64)

static void answer_shared_worker(const struct collector_request_log *l,
    const struct store_place *place, bool reset,
    struct collector_answer_start *start);
static void answer_device(const struct collector_request *r,
    const struct collector_request_log *l, const struct store_place *place,
    bool reset, struct collector_answer_start *start);
static int64_t answer_first_seen(const struct store_place *place);
static bool answer_item(struct collector_answer *a, size_t i,
    const struct store_item *item, unsigned messages);
static void answer_line(struct collector_answer *a,
    struct push_lines_item *item);


bool
collector_answer_begin(const struct collector_request *r,
    struct push_str epoch, const struct store_place *places,
    struct collector_answer_start *starts)
{
    bool    reset;
    size_t  i;

    reset = r->epoch.len != 0 && !push_str_eq(r->epoch, epoch);

    for (i = 0; i < r->count; i++) {
        reset |= r->logs[i].after > places[i].tip;
    }

    for (i = 0; i < r->count; i++) {

        if (r->worker) {
            answer_shared_worker(&r->logs[i], &places[i], reset, &starts[i]);

        } else {
            answer_device(r, &r->logs[i], &places[i], reset, &starts[i]);
        }
    }

    return reset && !r->worker;
}


bool
collector_answer_doubtful(const struct collector_request *r,
    struct push_str epoch, const struct store_place *places)
{
    size_t  i;

    if (r->epoch.len != 0 && !push_str_eq(r->epoch, epoch)) {
        return false;
    }

    for (i = 0; i < r->count; i++) {
        if (r->logs[i].after > places[i].tip) {
            return true;
        }
    }

    return false;
}


/* A worker follows from now on; in another epoch it begins anew. */
static void
answer_shared_worker(const struct collector_request_log *l,
    const struct store_place *place, bool reset,
    struct collector_answer_start *start)
{
    start->put = ANSWER_PUT_NOTHING;
    start->after = l->after == REQUEST_NONE || reset ? place->tip : l->after;
}


static void
answer_device(const struct collector_request *r,
    const struct collector_request_log *l, const struct store_place *place,
    bool reset, struct collector_answer_start *start)
{
    if (!reset && l->after != REQUEST_NONE) {
        /* later on `after` is what was written, not what was acked */
        start->after = l->after;
        start->put = r->first ? ANSWER_PUT_ACK : ANSWER_PUT_NOTHING;
        return;
    }

    start->put = place->cursor < 0 ? ANSWER_PUT_START : ANSWER_PUT_NOTHING;

    if (reset) {
        start->after = place->floor;

    } else if (place->cursor >= 0) {
        start->after = place->cursor;

    } else {
        start->after = answer_first_seen(place);
    }
}


static int64_t
answer_first_seen(const struct store_place *place)
{
    struct push_str     name;
    enum push_log_kind  kind;

    if (place->acked >= 0) {
        return place->acked;
    }

    if (push_log_parse(place->log, &kind, &name) == PUSH_OK
        && kind == PUSH_LOG_USER)
    {
        return place->floor;
    }

    return place->tip;
}


bool
collector_answer_room(const struct collector_answer *a, size_t i,
    size_t *items, size_t *bytes)
{
    size_t    max, heads;
    unsigned  n;

    n = a->r->logs[i].n;
    max = a->r->bytes < ANSWER_BYTES_MAX ? a->r->bytes : ANSWER_BYTES_MAX;

    if (n == 0 || (a->bytes >= max && a->messages != 0)) {
        return false;
    }

    /* ranges that are gone lie between messages at most */
    *items = 2 * (size_t) n + 1;

    heads = (a->r->count - i) * ANSWER_HEAD_LINES;

    if (a->lines + heads >= PUSH_ITEMS_MAX) {
        return false;
    }

    if (*items > PUSH_ITEMS_MAX - heads - a->lines) {
        *items = PUSH_ITEMS_MAX - heads - a->lines;
    }

    *bytes = a->bytes < max ? max - a->bytes : 1;

    return true;
}


size_t
collector_answer_reset_size(const struct collector_request *r)
{
    /* it is made in the upper half and copied down behind its line */
    return FRAME_LINE
           + 2 * (ANSWER_RESET_HEAD + r->count * ANSWER_RESET_LOG);
}


size_t
collector_answer_log_size(const struct store_item *items, size_t count)
{
    size_t  i, size;

    size = ANSWER_HEAD_SIZE;

    for (i = 0; i < count; i++) {
        size += FRAME_ITEM_SIZE(items[i].data.len);
    }

    return size;
}


void
collector_answer_reset(struct collector_answer *a, struct push_str epoch,
    const struct store_place *places)
{
    char                   *frame, *p, *end;
    size_t                  i;
    struct push_str         log;
    struct push_lines_item  item;

    end = a->to + a->size;
    frame = end - ANSWER_RESET_HEAD - a->r->count * ANSWER_RESET_LOG;

    p = frame + snprintf(frame, (size_t) (end - frame),
                         "{\"type\":\"reset\",\"epoch\":\"%.*s\",\"logs\":{",
                         (int) epoch.len, epoch.data);

    for (i = 0; i < a->r->count; i++) {
        log = collector_frame_log(a->r->logs[i].log);

        p += snprintf(p, (size_t) (end - p),
                      "%s\"%.*s\":{\"floor\":%lld,\"tip\":%lld}",
                      i ? "," : "", (int) log.len, log.data,
                      (long long) places[i].floor, (long long) places[i].tip);
    }

    *p++ = '}';
    *p++ = '}';

    memset(&item, 0, sizeof(item));
    item.verb = PUSH_LINES_RESET;
    item.id = a->r->id;
    item.payload = (struct push_str) { frame, (size_t) (p - frame) };

    answer_line(a, &item);
}


void
collector_answer_log(struct collector_answer *a, size_t i, int64_t after,
    const struct store_item *items, size_t count, int64_t tip)
{
    size_t                  k;
    unsigned                before;
    struct push_lines_item  item;

    memset(&item, 0, sizeof(item));
    item.id = a->r->id;
    item.log = a->r->logs[i].log;
    item.rid = a->r->rid;

    item.verb = PUSH_LINES_BEGIN;
    item.seq = after;
    answer_line(a, &item);

    before = a->messages;

    for (k = 0; k < count; k++) {
        if (!answer_item(a, i, &items[k], a->messages - before)) {
            break;
        }
    }

    item.verb = PUSH_LINES_TIP;
    item.seq = tip;
    answer_line(a, &item);
}


/* false: it does not fit, and nothing behind it may go. */
static bool
answer_item(struct collector_answer *a, size_t i,
    const struct store_item *item, unsigned messages)
{
    size_t                    frame, heads, max;
    struct push_lines_item    line;
    struct collector_message  m;

    heads = (a->r->count - i) * ANSWER_HEAD_LINES - 1;

    if (a->lines + heads >= PUSH_ITEMS_MAX) {
        return false;
    }

    if (item->why != NULL) {
        memset(&line, 0, sizeof(line));
        line.verb = PUSH_LINES_VOID;
        line.id = a->r->id;
        line.log = a->r->logs[i].log;
        line.seq = item->seq;
        line.to = item->to;
        line.why = (struct push_str) { item->why, strlen(item->why) };

        answer_line(a, &line);
        return true;
    }

    /* an empty queue takes one message of any size */

    max = a->r->bytes < ANSWER_BYTES_MAX ? a->r->bytes : ANSWER_BYTES_MAX;

    if (messages == a->r->logs[i].n
        || (a->messages != 0
            && (a->bytes >= max
                || item->data.len + FRAME_EXTRA > max - a->bytes)))
    {
        return false;
    }

    memset(&m, 0, sizeof(m));
    m.log = a->r->logs[i].log;
    m.data = item->data;
    m.seq = item->seq;
    m.ts_ms = item->ts_ms;
    m.expires = item->expires;

    a->len += collector_frame_item(a->to + a->len, &m, &a->r->id, &frame);
    a->lines++;
    a->messages++;
    a->bytes += frame;

    return true;
}


static void
answer_line(struct collector_answer *a, struct push_lines_item *item)
{
    a->len += push_lines_write(a->to + a->len, a->size - a->len, item);
    a->lines++;
}
