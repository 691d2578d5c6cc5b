/*
 * fuzz_stream: entries of streams; whatever a request is, its answer is legal
 *
 * in: a byte (1: acks; 2: an event; else bits of what the store has), then the
 *     fields and values of an entry, parted by 0x1f
 */

#include "fuzz.h"
#include "collector_answer.h"
#include "collector_request.h"
#include "push_lines.h"

#define PAIRS  32
#define PAGE   40

static void
acks(const struct push_str *fields, size_t pairs)
{
    int                     rc;
    size_t                  lines;
    const char             *error = NULL;
    struct push_str         name;
    enum push_log_kind      kind;
    struct collector_ack    ack;
    struct collector_acks   a;

    if (collector_acks_parse(&a, fields, pairs, &error) != PUSH_OK) {
        FUZZ_MUST(error != NULL);
        return;
    }

    for (lines = 0; ; lines++) {
        rc = collector_acks_next(&a, &ack);

        if (rc == PUSH_DECLINED) {
            break;
        }

        if (rc == PUSH_OK) {
            FUZZ_MUST(push_name_valid(ack.uid) && push_name_valid(ack.device));
            FUZZ_MUST(push_log_parse(ack.log, &kind, &name) == PUSH_OK);
            FUZZ_MUST(kind != PUSH_LOG_USER || push_str_eq(name, ack.uid));
            FUZZ_MUST(ack.seq >= 0 && ack.seq <= PUSH_SEQ_MAX);
        }
    }

    FUZZ_MUST(lines <= REQUEST_ACKS_MAX);
}


static void
event(const struct push_str *fields, size_t pairs)
{
    const char              *error = NULL;
    struct collector_event   e;

    if (collector_event_parse(&e, fields, pairs, &error) != PUSH_OK) {
        FUZZ_MUST(error != NULL);
        return;
    }

    FUZZ_MUST(push_name_valid(e.node) && push_name_valid(e.uid));
    FUZZ_MUST(push_name_valid(e.device) && push_conn_index(e.id.conn) != 0);
}


/* The store has floor + 1 .. tip, now and then a range that is gone. */
static size_t
page(struct store_item *items, int64_t after, int64_t tip, size_t max,
    unsigned bits)
{
    size_t  n;

    for (n = 0; n < max && n < PAGE && after < tip; n++) {
        memset(&items[n], 0, sizeof(items[n]));
        items[n].seq = ++after;

        if (bits & 4 && n % 3 == 1) {
            after = after + 2 < tip ? after + 2 : tip;
            items[n].why = "expired";

        } else {
            items[n].data = PUSH_STR("{\"a\":[1,2,3]}");
        }

        items[n].to = after;
    }

    return n;
}


static void
answer(const struct collector_request *r, unsigned bits)
{
    bool                           reset;
    char                          *body;
    size_t                         i, n, bytes;
    struct push_lines              lines;
    struct store_item              items[PAGE];
    struct store_place             places[REQUEST_LOGS_MAX];
    struct push_lines_item         item;
    struct collector_answer        a;
    struct collector_answer_start  starts[REQUEST_LOGS_MAX];

    memset(places, 0, sizeof(places));

    for (i = 0; i < r->count; i++) {
        places[i].log = r->logs[i].log;
        places[i].floor = bits & 8 ? 5 : 0;
        places[i].tip = bits & 16 ? 20 : 5;
        places[i].cursor = bits & 32 ? 7 : -1;
        places[i].acked = bits & 64 ? 9 : -1;
    }

    reset = collector_answer_begin(r, PUSH_STR("e1"), places, starts);

    memset(&a, 0, sizeof(a));
    a.r = r;
    a.size = reset ? collector_answer_reset_size(r) : 1;
    a.to = malloc(a.size);
    FUZZ_MUST(a.to != NULL);

    if (reset) {
        collector_answer_reset(&a, PUSH_STR("e1"), places);
    }

    for (i = 0; i < r->count; i++) {
        FUZZ_MUST(!reset || starts[i].after == places[i].floor);
        FUZZ_MUST(!r->worker || starts[i].put == ANSWER_PUT_NOTHING);

        n = 0;

        if (collector_answer_room(&a, i, &n, &bytes)) {
            FUZZ_MUST(n >= 1 && n <= STORE_READ_MAX && bytes >= 1);
            n = page(items, starts[i].after, places[i].tip, n, bits);
        }

        a.size = a.len + collector_answer_log_size(items, n);
        a.to = realloc(a.to, a.size);
        FUZZ_MUST(a.to != NULL);

        collector_answer_log(&a, i, starts[i].after, items, n, places[i].tip);
    }

    FUZZ_MUST(a.lines <= PUSH_ITEMS_MAX && a.len <= PUSH_BODY_MAX - 1024);

    body = malloc(a.len + 8);
    FUZZ_MUST(body != NULL);
    memcpy(body, "epoch e\n", 8);
    memcpy(body + 8, a.to, a.len);

    push_lines_init(&lines, body, a.len + 8, true);

    for (n = 0; (i = (size_t) push_lines_next(&lines, &item)) == PUSH_OK; n++)
    {
        FUZZ_MUST(n == 0 || item.id.conn == r->id.conn);
    }

    FUZZ_MUST((int) i == PUSH_DECLINED && n == a.lines + 1);

    free(body);
    free(a.to);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                    n;
    const char               *p, *end, *cut, *error = NULL;
    struct push_str           fields[2 * PAIRS];
    struct collector_request  r;

    if (size < 1) {
        return 0;
    }

    p = (const char *) data + 1;
    end = (const char *) data + size;

    for (n = 0; n < 2 * PAIRS && p != NULL; n++) {
        cut = p < end ? memchr(p, 0x1f, (size_t) (end - p)) : NULL;
        fields[n].data = p;
        fields[n].len = (size_t) ((cut != NULL ? cut : end) - p);
        p = cut != NULL ? cut + 1 : NULL;
    }

    if (data[0] & 1) {
        acks(fields, n / 2);

    } else if (data[0] & 2) {
        event(fields, n / 2);

    } else if (collector_request_parse(&r, fields, n / 2, &error) == PUSH_OK) {
        FUZZ_MUST(r.count >= 1 && r.count <= REQUEST_LOGS_MAX);
        answer(&r, data[0]);

    } else {
        FUZZ_MUST(error != NULL);
    }

    return 0;
}
