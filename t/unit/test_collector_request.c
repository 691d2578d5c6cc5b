/*
 * collector_request: entries of streams, good ones and bad ones
 */

#include "collector_request.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAIRS  14

static const char *const good[2 * PAIRS] = {
    "v", "1", "node", "edge-1", "inst", "0123456789abcdef",
    "conn", "0100010000000007", "uid", "u42", "dev", "d1",
    "epoch", "-", "rid", "7", "first", "1", "bytes", "65536",
    "due_ms", "1700000000123", "groups", "", "later", "field",
    "logs", "user:u42 17 64\nall - 64",
};


static size_t
fields_of(struct push_str *fields, const char *name, const char *value)
{
    size_t  i, n;

    for (i = n = 0; i < PAIRS; i++) {
        const char  *v = good[2 * i + 1];

        if (name != NULL && strcmp(good[2 * i], name) == 0) {
            if (value == NULL) {
                continue;
            }
            v = value;
        }

        fields[2 * n] = (struct push_str) { good[2 * i], strlen(good[2 * i]) };
        fields[2 * n + 1] = (struct push_str) { v, strlen(v) };
        n++;
    }

    return n;
}


static void
test_a_good_request(void **state)
{
    size_t                    n;
    const char               *error = NULL;
    struct push_str           fields[2 * PAIRS];
    struct collector_request  r;

    (void) state;

    n = fields_of(fields, NULL, NULL);
    assert_int_equal(collector_request_parse(&r, fields, n, &error), PUSH_OK);

    assert_true(push_str_eq(r.node, PUSH_STR("edge-1")));
    assert_true(r.id.instance == UINT64_C(0x0123456789abcdef));
    assert_true(r.id.conn == UINT64_C(0x0100010000000007));
    assert_false(r.worker);
    assert_true(push_str_eq(r.uid, PUSH_STR("u42")));
    assert_true(push_str_eq(r.device, PUSH_STR("d1")));
    assert_int_equal(r.epoch.len, 0);
    assert_int_equal(r.rid, 7);
    assert_true(r.first);
    assert_int_equal(r.bytes, 65536);
    assert_true(r.due_ms == 1700000000123);
    assert_int_equal(r.count, 2);
    assert_true(push_str_eq(r.logs[0].log, PUSH_STR("user:u42")));
    assert_int_equal(r.logs[0].after, 17);
    assert_int_equal(r.logs[0].n, 64);
    assert_int_equal(r.logs[1].after, REQUEST_NONE);

    n = fields_of(fields, "conn", "0100010000000000");
    assert_int_equal(collector_request_parse(&r, fields, n, &error),
                     PUSH_ERROR);
    assert_string_equal(error, "logs");     /* a worker reads no user's log */
}


static void
test_values(void **state)
{
    static const struct {
        const char *name, *value;
        bool        legal;
    } cases[] = {
        { "v", "2", false }, { "v", NULL, false }, { "v", "", false },
        { "node", "a b", false }, { "node", NULL, false },
        { "inst", "0123456789abcdeF", false }, { "inst", "1", false },
        { "conn", "", false }, { "conn", NULL, false },
        { "uid", "u41", false }, { "uid", "", false },
        { "dev", "-", true }, { "dev", "\n", false },
        { "epoch", "0011", true }, { "epoch", "", false },
        { "epoch", "any text", true },
        { "rid", "4294967295", true }, { "rid", "4294967296", false },
        { "rid", "-1", false },
        { "first", "0", true }, { "first", "2", false },
        { "bytes", "0", true }, { "bytes", "18446744073709551615", true },
        { "bytes", "1k", false },
        { "due_ms", "-5", false }, { "due_ms", NULL, false },
        { "groups", NULL, true }, { "later", NULL, true },
        { "logs", "", false }, { "logs", NULL, false },
        { "logs", "all - 64", true }, { "logs", "all - 64\n", true },
        { "logs", "all  64", false }, { "logs", "all -", false },
        { "logs", "all - 64 1", false }, { "logs", "all -1 64", false },
        { "logs", "all 9007199254740992 64", false },
        { "logs", "all 9007199254740991 0", true },
        { "logs", "all - 4294967295", true },
        { "logs", "user:u42 - 1\nuser:u42 - 1", false },
        { "logs", "user:u43 - 1", false }, { "logs", "user: - 1", false },
        { "logs", "group:g 0 1", true }, { "logs", "\nall - 1", false },
    };
    size_t                    i, n;
    const char               *error;
    struct push_str           fields[2 * PAIRS];
    struct collector_request  r;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        error = NULL;
        n = fields_of(fields, cases[i].name, cases[i].value);

        if ((collector_request_parse(&r, fields, n, &error) == PUSH_OK)
            != cases[i].legal)
        {
            fail_msg("%s = %s", cases[i].name, cases[i].value);
        }

        if (!cases[i].legal && strcmp(cases[i].name, "uid") != 0) {
            assert_string_equal(error, cases[i].name);
        }
    }

    n = fields_of(fields, "logs", "all - 4294967295");
    assert_int_equal(collector_request_parse(&r, fields, n, &error), PUSH_OK);
    assert_int_equal(r.logs[0].n, PUSH_WINDOW_MAX);
}


static void
test_too_many_logs(void **state)
{
    char                      text[8192] = "";
    size_t                    i, n, len;
    const char               *error;
    struct push_str           fields[2 * PAIRS];
    struct collector_request  r;

    (void) state;

    for (i = len = 0; i <= REQUEST_LOGS_MAX; i++) {

        if (i == REQUEST_LOGS_MAX) {
            n = fields_of(fields, "logs", text);
            assert_int_equal(collector_request_parse(&r, fields, n, &error),
                             PUSH_OK);
            assert_int_equal(r.count, REQUEST_LOGS_MAX);
        }

        len += (size_t) snprintf(text + len, sizeof(text) - len,
                                 "group:g%zu - 1\n", i);
    }

    n = fields_of(fields, "logs", text);
    assert_int_equal(collector_request_parse(&r, fields, n, &error),
                     PUSH_ERROR);
}


static int
acks_of(struct collector_acks *a, const char *epoch, const char *acks,
    const char **error)
{
    struct push_str  fields[] = {
        PUSH_STR("v"), PUSH_STR("1"), PUSH_STR("node"), PUSH_STR("edge-1"),
        PUSH_STR("epoch"), { epoch, strlen(epoch) },
        PUSH_STR("acks"), { acks, strlen(acks) },
    };

    return collector_acks_parse(a, fields, 4, error);
}


static void
test_acks(void **state)
{
    const char            *error;
    struct collector_ack   ack;
    struct collector_acks  a;

    (void) state;

    assert_int_equal(acks_of(&a, "e1",
                             "u1 d1 user:u1 18\n"
                             "u1 d1 user:u2 18\n"       /* not its log */
                             "u1 d1 all 9007199254740991\n"
                             "u1 d1 all\n"
                             "\n"
                             "u1 d 1 all 4\n"
                             "u2 - group:g 0", &error), PUSH_OK);

    assert_true(push_str_eq(a.epoch, PUSH_STR("e1")));

    assert_int_equal(collector_acks_next(&a, &ack), PUSH_OK);
    assert_true(push_str_eq(ack.uid, PUSH_STR("u1")));
    assert_true(push_str_eq(ack.device, PUSH_STR("d1")));
    assert_true(push_str_eq(ack.log, PUSH_STR("user:u1")));
    assert_int_equal(ack.seq, 18);

    assert_int_equal(collector_acks_next(&a, &ack), PUSH_ERROR);
    assert_int_equal(collector_acks_next(&a, &ack), PUSH_OK);
    assert_true(ack.seq == PUSH_SEQ_MAX);
    assert_int_equal(collector_acks_next(&a, &ack), PUSH_ERROR);
    assert_int_equal(collector_acks_next(&a, &ack), PUSH_ERROR);
    assert_int_equal(collector_acks_next(&a, &ack), PUSH_ERROR);
    assert_int_equal(collector_acks_next(&a, &ack), PUSH_OK);
    assert_int_equal(ack.seq, 0);
    assert_int_equal(collector_acks_next(&a, &ack), PUSH_DECLINED);

    assert_int_equal(acks_of(&a, "", "u1 d1 all 1", &error), PUSH_ERROR);
    assert_string_equal(error, "epoch");
    assert_int_equal(acks_of(&a, "e", "", &error), PUSH_ERROR);
    assert_string_equal(error, "acks");
}


static void
test_too_many_acks(void **state)
{
    char                  *text;
    const char            *error;
    struct collector_acks  a;

    (void) state;

    text = malloc(REQUEST_ACKS_MAX + 2);
    memset(text, '\n', REQUEST_ACKS_MAX + 1);
    text[REQUEST_ACKS_MAX - 1] = '\0';
    assert_int_equal(acks_of(&a, "e", text, &error), PUSH_OK);

    text[REQUEST_ACKS_MAX - 1] = '\n';
    text[REQUEST_ACKS_MAX] = '\0';
    assert_int_equal(acks_of(&a, "e", text, &error), PUSH_ERROR);

    free(text);
}


static void
test_events(void **state)
{
    static const struct {
        const char *name, *value;
        bool        legal;
    } cases[] = {
        { "later", "anything", true }, { "code", NULL, true },
        { "v", "2", false }, { "v", NULL, false },
        { "node", "a/b", false }, { "node", "", false },
        { "node", NULL, false },
        { "inst", "0123456789abcde", false }, { "inst", NULL, false },
        { "conn", "0100010000000000", false },      /* the worker itself */
        { "conn", "x", false }, { "conn", NULL, false },
        { "uid", "u 42", false }, { "uid", NULL, false },
        { "dev", "", false }, { "dev", NULL, false },
        { "dev", "-", false },                      /* replaces nobody */
        { "event", "", false }, { "event", "replaced", false },
        { "event", NULL, false },
        { "event", "open", true }, { "event", "close", true },
    };
    static const char *const names[] = {
        "v", "node", "inst", "conn", "uid", "dev", "event", "code", "later"
    };
    static const char *const values[] = {
        "1", "edge-1", "0123456789abcdef", "0100010000000007", "u42", "d1",
        "replace", "4003", "field"
    };
    size_t                  i, k, n;
    const char             *error, *value;
    struct push_str         fields[2 * 9];
    struct collector_event  event;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        for (k = n = 0; k < 9; k++) {
            value = strcmp(names[k], cases[i].name) == 0 ? cases[i].value
                                                         : values[k];
            if (value != NULL) {
                fields[2 * n] = (struct push_str) { names[k],
                                                    strlen(names[k]) };
                fields[2 * n + 1] = (struct push_str) { value, strlen(value) };
                n++;
            }
        }

        error = NULL;

        if ((collector_event_parse(&event, fields, n, &error) == PUSH_OK)
            != cases[i].legal)
        {
            fail_msg("%s = %s", cases[i].name, cases[i].value);
        }

        if (!cases[i].legal) {
            assert_string_equal(error, cases[i].name);
        }

        if (i == 0) {
            assert_int_equal(event.kind, EVENT_REPLACE);
            assert_true(push_str_eq(event.node, PUSH_STR("edge-1")));
            assert_true(event.id.instance == UINT64_C(0x0123456789abcdef));
            assert_true(event.id.conn == UINT64_C(0x0100010000000007));
            assert_true(push_str_eq(event.uid, PUSH_STR("u42")));
            assert_true(push_str_eq(event.device, PUSH_STR("d1")));
        }
    }

    assert_int_equal(event.kind, EVENT_CLOSE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_good_request),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_too_many_logs),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_too_many_acks),
        cmocka_unit_test(test_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
