/*
 * collector_answer: where a device starts, and answers within their bounds
 */

#include "collector_answer.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector_frame.h"
#include "push_lines.h"

#define EPOCH  PUSH_STR("e1")


static void
request_of(struct collector_request *r)
{
    memset(r, 0, sizeof(*r));

    r->node = PUSH_STR("edge-1");
    r->id.instance = 1;
    r->id.conn = 2;
    r->uid = PUSH_STR("u");
    r->device = PUSH_STR("d");
    r->rid = 7;
    r->first = true;
    r->bytes = 65536;
    r->count = 2;
    r->logs[0].log = PUSH_STR("user:u");
    r->logs[0].n = 64;
    r->logs[0].after = REQUEST_NONE;
    r->logs[1].log = PUSH_STR("all");
    r->logs[1].n = 64;
    r->logs[1].after = REQUEST_NONE;
}


/* One log's start, the other one being in order. */
static const struct start_case {
    const char                *title;
    unsigned                   log;         /* 0: user, 1: all */
    const char                *epoch;
    bool                       first;
    int64_t                    given;
    int64_t                    cursor, acked, floor, tip;
    int64_t                    after;
    enum collector_answer_put  put;
    bool                       reset;
} starts[] = {
    { "its cursor", 0, "e1", true, 17, 9, 12, 3, 20,
      17, ANSWER_PUT_ACK, false },
    { "its cursor, no epoch", 0, "", true, 17, -1, -1, 3, 20,
      17, ANSWER_PUT_ACK, false },
    { "at the tip", 0, "", true, 20, -1, -1, 3, 20,
      20, ANSWER_PUT_ACK, false },
    { "below the floor", 0, "", true, 1, -1, -1, 3, 20,
      1, ANSWER_PUT_ACK, false },
    { "above the tip", 0, "", true, 21, 9, 12, 3, 20,
      3, ANSWER_PUT_NOTHING, true },
    { "above the tip, never seen", 1, "", true, 21, -1, -1, 3, 20,
      3, ANSWER_PUT_START, true },
    { "another epoch", 0, "e0", true, 17, 9, 12, 3, 20,
      3, ANSWER_PUT_NOTHING, true },
    { "another epoch and no cursor", 0, "e0", true, -1, -1, -1, 3, 20,
      3, ANSWER_PUT_START, true },
    { "stored", 0, "", true, -1, 9, 12, 3, 20,
      9, ANSWER_PUT_NOTHING, false },
    { "stored, shared", 1, "", true, -1, 0, 12, 3, 20,
      0, ANSWER_PUT_NOTHING, false },
    { "another device acked", 0, "", true, -1, -1, 12, 3, 20,
      12, ANSWER_PUT_START, false },
    { "another device acked, shared", 1, "", true, -1, -1, 12, 3, 20,
      12, ANSWER_PUT_START, false },
    { "nobody acked", 0, "", true, -1, -1, -1, 3, 20,
      3, ANSWER_PUT_START, false },
    { "nobody acked, shared", 1, "", true, -1, -1, -1, 3, 20,
      20, ANSWER_PUT_START, false },
    { "an empty log", 0, "", true, -1, -1, -1, 0, 0,
      0, ANSWER_PUT_START, false },
    { "later on: what was written is no ack", 0, "e1", false, 17, 9, 12, 3, 20,
      17, ANSWER_PUT_NOTHING, false },
    { "later on, not known", 0, "e1", false, -1, 9, 12, 3, 20,
      9, ANSWER_PUT_NOTHING, false },
};


static void
test_where_a_device_starts(void **state)
{
    bool                           reset;
    size_t                         i;
    struct store_place             places[2];
    struct collector_request       r;
    struct collector_answer_start  s[2];
    const struct start_case       *c;

    (void) state;

    for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        c = &starts[i];

        request_of(&r);
        r.first = c->first;
        r.epoch = (struct push_str) { c->epoch, strlen(c->epoch) };
        r.logs[c->log].after = c->given;

        memset(places, 0, sizeof(places));
        places[0].log = r.logs[0].log;
        places[1].log = r.logs[1].log;
        places[0].cursor = places[1].cursor = 5;
        places[0].tip = places[1].tip = 6;
        places[0].floor = places[1].floor = 4;

        places[c->log].cursor = c->cursor;
        places[c->log].acked = c->acked;
        places[c->log].floor = c->floor;
        places[c->log].tip = c->tip;

        reset = collector_answer_begin(&r, EPOCH, places, s);

        if (reset != c->reset || s[c->log].after != c->after
            || s[c->log].put != c->put)
        {
            fail_msg("%s: reset %d after %lld put %d", c->title, reset,
                     (long long) s[c->log].after, s[c->log].put);
        }

        /* a reset is for all logs */
        assert_int_equal(s[!c->log].after, reset ? 4 : 5);
        assert_int_equal(s[!c->log].put, ANSWER_PUT_NOTHING);
    }
}


static void
test_a_worker_follows_from_the_tip(void **state)
{
    struct store_place             place;
    struct collector_request       r;
    struct collector_answer_start  s;

    (void) state;

    request_of(&r);
    r.worker = true;
    r.count = 1;
    r.logs[0].log = PUSH_STR("all");

    memset(&place, 0, sizeof(place));
    place.log = r.logs[0].log;
    place.cursor = place.acked = -1;
    place.tip = 20;

    assert_false(collector_answer_begin(&r, EPOCH, &place, &s));
    assert_int_equal(s.after, 20);
    assert_int_equal(s.put, ANSWER_PUT_NOTHING);

    r.logs[0].after = 15;
    assert_false(collector_answer_begin(&r, EPOCH, &place, &s));
    assert_int_equal(s.after, 15);

    /* another history: it begins anew */
    r.logs[0].after = 21;
    assert_false(collector_answer_begin(&r, EPOCH, &place, &s));
    assert_int_equal(s.after, 20);

    r.logs[0].after = 15;
    r.epoch = PUSH_STR("e0");
    assert_false(collector_answer_begin(&r, EPOCH, &place, &s));
    assert_int_equal(s.after, 20);
}


static void
test_a_tip_below_a_cursor_is_doubtful(void **state)
{
    struct store_place        place;
    struct collector_request  r;

    (void) state;

    request_of(&r);
    r.count = 1;
    r.logs[0].log = PUSH_STR("user:u1");
    r.logs[0].after = 21;

    memset(&place, 0, sizeof(place));
    place.log = r.logs[0].log;
    place.tip = 20;

    r.epoch = EPOCH;
    assert_true(collector_answer_doubtful(&r, EPOCH, &place));

    r.epoch = PUSH_STR("");         /* taken as ours */
    assert_true(collector_answer_doubtful(&r, EPOCH, &place));

    r.epoch = PUSH_STR("e0");       /* reset in any case */
    assert_false(collector_answer_doubtful(&r, EPOCH, &place));

    r.epoch = EPOCH;
    r.logs[0].after = 20;
    assert_false(collector_answer_doubtful(&r, EPOCH, &place));

    r.logs[0].after = REQUEST_NONE;
    assert_false(collector_answer_doubtful(&r, EPOCH, &place));
}


/* `count` messages from seq on, of len bytes each. */
static struct store_item *
page(int64_t seq, size_t count, size_t len)
{
    char               *data;
    size_t              i;
    struct store_item  *items;

    items = calloc(count, sizeof(*items));
    data = malloc(len);
    memset(data, '1', len);

    for (i = 0; i < count; i++) {
        items[i].seq = items[i].to = seq + (int64_t) i;
        items[i].ts_ms = 1700000000000;
        items[i].data = (struct push_str) { data, len };
    }

    return items;
}


static void
page_free(struct store_item *items)
{
    free((void *) items[0].data.data);
    free(items);
}


static void
answer_of(struct collector_answer *a, const struct collector_request *r,
    size_t size)
{
    memset(a, 0, sizeof(*a));
    a->r = r;
    a->to = malloc(size + 1);
    a->size = size;
}


static void
assert_text(const struct collector_answer *a, const char *expected)
{
    a->to[a->len] = '\0';
    assert_string_equal(a->to, expected);
    free(a->to);
}


static void
test_the_lines_of_an_answer(void **state)
{
    struct store_item         *items = page(18, 3, 1);
    struct store_place         places[2] = { { .floor = 2, .tip = 20 },
                                             { .floor = 0, .tip = 0 } };
    struct collector_answer    a;
    struct collector_request   r;

    (void) state;

    request_of(&r);

    items[1].why = "expired";
    items[1].to = 30;
    items[2].seq = 31;

    answer_of(&a, &r, collector_answer_reset_size(&r)
                      + collector_answer_log_size(items, 3)
                      + collector_answer_log_size(NULL, 0));

    collector_answer_reset(&a, EPOCH, places);
    collector_answer_log(&a, 0, 17, items, 3, 31);
    collector_answer_log(&a, 1, 5, NULL, 0, 5);

#define CONN  "0000000000000001.0000000000000002 "
    assert_int_equal(a.lines, 8);
    assert_int_equal(a.messages, 2);
    assert_text(&a,
        "reset " CONN "92\n"
        "{\"type\":\"reset\",\"epoch\":\"e1\",\"logs\":{"
        "\"user\":{\"floor\":2,\"tip\":20},\"all\":{\"floor\":0,\"tip\":0}}}\n"
        "begin " CONN "user:u 7 17\n"
        "conn " CONN "user:u 18 0 85 83\n"
        "{\"type\":\"message\",\"log\":\"user\",\"seq\":18,"
        "\"ts\":1700000000000,\"id\":\"user:u@18\",\"data\":1}\n"
        "void " CONN "user:u 19 30 expired\n"
        "conn " CONN "user:u 31 0 85 83\n"
        "{\"type\":\"message\",\"log\":\"user\",\"seq\":31,"
        "\"ts\":1700000000000,\"id\":\"user:u@31\",\"data\":1}\n"
        "tip " CONN "user:u 7 31\n"
        "begin " CONN "all 7 5\n"
        "tip " CONN "all 7 5\n");

    page_free(items);
}


static void
test_credit_and_bytes_end_an_answer(void **state)
{
    size_t                    n, bytes;
    struct store_item        *items = page(1, 200, 1000);
    struct collector_answer   a;
    struct collector_request  r;

    (void) state;

    request_of(&r);

    /* credit; a range that is gone costs none */

    r.logs[0].n = 10;
    items[3].why = "expired";
    answer_of(&a, &r, collector_answer_log_size(items, 200));
    assert_true(collector_answer_room(&a, 0, &n, &bytes));
    assert_int_equal(n, 21);
    assert_int_equal(bytes, 65536);
    collector_answer_log(&a, 0, 0, items, 200, 200);
    assert_int_equal(a.messages, 10);
    assert_int_equal(a.lines, 13);
    items[3].why = NULL;

    /* what is left is for the next log */

    assert_true(collector_answer_room(&a, 1, &n, &bytes));
    assert_int_equal(bytes, 65536 - a.bytes);
    free(a.to);

    /* bytes */

    r.logs[0].n = 256;
    r.bytes = 10000;
    answer_of(&a, &r, collector_answer_log_size(items, 200));
    collector_answer_log(&a, 0, 0, items, 200, 200);
    assert_true(a.bytes <= 10000);
    assert_int_equal(a.messages, 8);
    free(a.to);

    /* an empty queue takes one of any size, but one */

    r.bytes = 1;
    answer_of(&a, &r, collector_answer_log_size(items, 200));
    assert_true(collector_answer_room(&a, 0, &n, &bytes));
    assert_int_equal(bytes, 1);
    collector_answer_log(&a, 0, 0, items, 200, 200);
    assert_int_equal(a.messages, 1);
    assert_false(collector_answer_room(&a, 1, &n, &bytes));
    free(a.to);

    /* no credit: only the tip */

    r.logs[0].n = 0;
    answer_of(&a, &r, collector_answer_log_size(items, 200));
    assert_false(collector_answer_room(&a, 0, &n, &bytes));
    collector_answer_log(&a, 0, 0, items, 200, 200);
    assert_int_equal(a.messages, 0);
    free(a.to);

    page_free(items);
}


/* The largest answer of all is still one body, and legal. */
static void
test_the_largest_answer(void **state)
{
    char                      names[REQUEST_LOGS_MAX][PUSH_LOG_MAX];
    char                     *body;
    size_t                    i, n, bytes, len, size;
    struct push_lines         lines;
    struct store_item        *items = page(PUSH_SEQ_MAX - 600, 600, 1500);
    struct store_place        places[REQUEST_LOGS_MAX];
    struct push_lines_item    item;
    struct collector_answer   a;
    struct collector_request  r;

    (void) state;

    for (i = 1; i < 600; i += 2) {
        items[i].why = "expired";
    }

    for (len = 1; len <= PUSH_DATA_MAX; len *= 8) {

        for (i = 0; i < 600; i++) {
            items[i].data.len = len < 1500 ? len : 1500;
        }

        request_of(&r);
        r.bytes = SIZE_MAX;
        r.count = REQUEST_LOGS_MAX;
        memset(places, 0, sizeof(places));

        for (i = 0; i < r.count; i++) {
            memset(names[i], 'x', PUSH_LOG_MAX);
            memcpy(names[i], "group:", 6);
            names[i][6] = (char) ('A' + i / 10);
            names[i][7] = (char) ('0' + i % 10);
            r.logs[i].log = (struct push_str) { names[i], PUSH_LOG_MAX };
            r.logs[i].n = PUSH_WINDOW_MAX;
            places[i].floor = places[i].tip = PUSH_SEQ_MAX;
        }

        size = collector_answer_reset_size(&r);
        answer_of(&a, &r, size);
        collector_answer_reset(&a, EPOCH, places);

        for (i = 0; i < r.count; i++) {

            if (!collector_answer_room(&a, i, &n, &bytes)) {
                n = 0;
            }

            n = n < 600 ? n : 600;
            size = a.len + collector_answer_log_size(items, n);
            a.to = realloc(a.to, size);
            a.size = size;
            collector_answer_log(&a, i, PUSH_SEQ_MAX - 601, items, n,
                                 PUSH_SEQ_MAX);
        }

        assert_true(a.lines <= PUSH_ITEMS_MAX);
        assert_true(a.len <= PUSH_BODY_MAX - 1024);

        body = malloc(a.len + 8);
        memcpy(body, "epoch e\n", 8);
        memcpy(body + 8, a.to, a.len);

        push_lines_init(&lines, body, a.len + 8, false);

        for (n = 0; push_lines_next(&lines, &item) == PUSH_OK; n++) {
            /* all of it is legal */
        }

        assert_string_equal(lines.error, "");
        assert_int_equal(n, a.lines + 1);

        free(body);
        free(a.to);
    }

    page_free(items);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_where_a_device_starts),
        cmocka_unit_test(test_a_worker_follows_from_the_tip),
        cmocka_unit_test(test_a_tip_below_a_cursor_is_doubtful),
        cmocka_unit_test(test_the_lines_of_an_answer),
        cmocka_unit_test(test_credit_and_bytes_end_an_answer),
        cmocka_unit_test(test_the_largest_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
