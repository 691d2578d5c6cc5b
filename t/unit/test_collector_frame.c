/*
 * collector_frame: the client's frame byte by byte, and its item
 */

#include "collector_frame.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "push_lines.h"

static const struct frame_case {
    struct push_str  log;
    int64_t          seq;
    struct push_str  data;
    const char      *frame;
} cases[] = {
    { PUSH_STR("user:u42"), 18, PUSH_STR("{\"a\":1}"),
      "{\"type\":\"message\",\"log\":\"user\",\"seq\":18,\"ts\":1700000000123,"
      "\"id\":\"user:u42@18\",\"data\":{\"a\":1}}" },
    { PUSH_STR("all"), 3, PUSH_STR("-0"),
      "{\"type\":\"message\",\"log\":\"all\",\"seq\":3,\"ts\":1700000000123,"
      "\"id\":\"all@3\",\"data\":-0}" },
    { PUSH_STR("group:g"), 9007199254740991, PUSH_STR("[ ]"),
      "{\"type\":\"message\",\"log\":\"group:g\",\"seq\":9007199254740991,"
      "\"ts\":1700000000123,\"id\":\"group:g@9007199254740991\","
      "\"data\":[ ]}" },
    { PUSH_STR("user:a@b"), 0, PUSH_STR("\"x\\u0000\""),
      "{\"type\":\"message\",\"log\":\"user\",\"ts\":1700000000123,"
      "\"data\":\"x\\u0000\"}" },
};


static void
message_of(struct collector_message *m, const struct frame_case *c)
{
    memset(m, 0, sizeof(*m));

    m->log = c->log;
    m->seq = c->seq;
    m->data = c->data;
    m->ts_ms = 1700000000123;
    m->expires = 1700003600;
}


static void
test_frames(void **state)
{
    char                      to[1024];
    size_t                    i, n, off;
    struct collector_message  m;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        message_of(&m, &cases[i]);

        n = collector_frame_write(to, &m, &off);

        assert_int_equal(n, strlen(cases[i].frame));
        assert_memory_equal(to, cases[i].frame, n);
        assert_memory_equal(to + off, m.data.data, m.data.len);
        assert_int_equal(off + m.data.len + 1, n);
    }
}


static void
test_items_are_read_back(void **state)
{
    char                      body[4096] = "epoch e\n";
    size_t                    i, n, len;
    unsigned                  conn;
    struct push_lines         lines;
    struct push_conn_id       id = { 1, 2 };
    struct push_str           names[] = { PUSH_STR("u42"), PUSH_STR(""),
                                          PUSH_STR(""), PUSH_STR("a@b") };
    struct push_lines_item    item;
    struct collector_message  m;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        for (conn = 0; conn < 2; conn++) {
            message_of(&m, &cases[i]);

            n = 8 + collector_frame_item(body + 8, &m, conn ? &id : NULL,
                                         &len);

            push_lines_init(&lines, body, n, true);
            assert_int_equal(push_lines_next(&lines, &item), PUSH_OK);
            assert_int_equal(push_lines_next(&lines, &item), PUSH_OK);

            assert_int_equal(item.seq, cases[i].seq);
            assert_int_equal(item.expires, 1700003600);
            assert_int_equal(item.payload.len, len);
            assert_int_equal(len, strlen(cases[i].frame));
            assert_memory_equal(item.payload.data, cases[i].frame, len);

            if (conn) {
                assert_int_equal(item.verb, PUSH_LINES_CONN);
                assert_true(push_str_eq(item.log, m.log));
                assert_int_equal(item.id.conn, 2);

            } else if (i == 1) {
                assert_int_equal(item.verb, PUSH_LINES_ALL);

            } else {
                assert_int_equal(item.verb, i == 2 ? PUSH_LINES_GROUP
                                                   : PUSH_LINES_USER);
                assert_true(push_str_eq(item.name, names[i]));
                assert_true(push_str_eq(item.group, i == 2 ? PUSH_STR("g")
                                                    : PUSH_STR("")));
            }

            assert_int_equal(push_lines_next(&lines, &item), PUSH_DECLINED);
        }
    }
}


static void
test_the_longest_fits(void **state)
{
    char                     *to, log[PUSH_LOG_MAX] = "group:", *data;
    size_t                    n, len;
    struct push_conn_id       id = { UINT64_MAX, UINT64_MAX };
    struct collector_message  m;

    (void) state;

    memset(log + 6, 'x', PUSH_NAME_MAX);
    data = malloc(PUSH_DATA_MAX);
    memset(data, '1', PUSH_DATA_MAX);

    memset(&m, 0, sizeof(m));
    m.log = (struct push_str) { log, PUSH_LOG_MAX };
    m.data = (struct push_str) { data, PUSH_DATA_MAX };
    m.seq = PUSH_SEQ_MAX;
    m.ts_ms = PUSH_SEQ_MAX;
    m.expires = PUSH_SEQ_MAX;

    to = malloc(FRAME_ITEM_SIZE(PUSH_DATA_MAX));    /* exact, for ASan */

    n = collector_frame_item(to, &m, &id, &len);
    assert_true(len <= PUSH_DATA_MAX + FRAME_EXTRA);
    assert_true(n <= len + FRAME_LINE);
    assert_memory_equal(to, "conn ffffffffffffffff.ffffffffffffffff group:",
                        44);

    n = collector_frame_item(to, &m, NULL, NULL);
    assert_true(n <= len + FRAME_LINE);

    free(to);
    free(data);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_items_are_read_back),
        cmocka_unit_test(test_the_longest_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
