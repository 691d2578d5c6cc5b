/*
 * test_push: names, numbers, ids and close codes
 */

#include "push.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct push_str
str(const char *s)
{
    return (struct push_str) { s, strlen(s) };
}


static void
test_a_name_has_1_to_128_bytes_of_its_alphabet(void **state)
{
    unsigned  c;
    char      s[PUSH_NAME_MAX + 2], one[3];
    bool      want;

    (void) state;

    memset(s, 'a', sizeof(s));

    assert_true(push_name_valid((struct push_str) { s, 1 }));
    assert_true(push_name_valid((struct push_str) { s, PUSH_NAME_MAX }));
    assert_false(push_name_valid((struct push_str) { s, PUSH_NAME_MAX + 1 }));
    assert_false(push_name_valid((struct push_str) { s, 0 }));
    assert_false(push_name_valid((struct push_str) { NULL, 0 }));

    for (c = 0; c < 256; c++) {
        one[0] = 'x';
        one[1] = (char) c;
        one[2] = 'x';

        want = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz"
                                "0123456789._:@-", (int) c) != NULL;

        assert_int_equal(push_name_valid((struct push_str) { one, 3 }), want);

        want = want && c != '@';

        assert_int_equal(push_key_valid((struct push_str) { one, 3 }), want);
    }

    assert_true(push_key_valid((struct push_str) { s, PUSH_KEY_MAX }));
    assert_false(push_key_valid((struct push_str) { s, PUSH_KEY_MAX + 1 }));
    assert_false(push_key_valid((struct push_str) { s, 0 }));
}


static void
test_a_log_is_all_or_a_users_or_a_groups(void **state)
{
    size_t              i;
    char                s[PUSH_LOG_MAX + 2];
    struct push_str     name;
    enum push_log_kind  kind;

    static const struct {
        const char         *log;
        int                 rc;
        enum push_log_kind  kind;
        const char         *name;
    } cases[] = {
        { "all", PUSH_OK, PUSH_LOG_ALL, "" },
        { "user:u42", PUSH_OK, PUSH_LOG_USER, "u42" },
        { "user:all", PUSH_OK, PUSH_LOG_USER, "all" },
        { "user:a:b@c", PUSH_OK, PUSH_LOG_USER, "a:b@c" },
        { "group:g", PUSH_OK, PUSH_LOG_GROUP, "g" },
        { "group:user:x", PUSH_OK, PUSH_LOG_GROUP, "user:x" },
        { "", PUSH_ERROR, 0, "" },
        { "al", PUSH_ERROR, 0, "" },
        { "all ", PUSH_ERROR, 0, "" },
        { "all:", PUSH_ERROR, 0, "" },
        { "user", PUSH_ERROR, 0, "" },
        { "user:", PUSH_ERROR, 0, "" },
        { "user:a b", PUSH_ERROR, 0, "" },
        { "User:a", PUSH_ERROR, 0, "" },
        { "group:", PUSH_ERROR, 0, "" },
        { "group", PUSH_ERROR, 0, "" },
        { "u42", PUSH_ERROR, 0, "" }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(push_log_parse(str(cases[i].log), &kind, &name),
                         cases[i].rc);

        if (cases[i].rc == PUSH_OK) {
            assert_int_equal(kind, cases[i].kind);
            assert_true(push_str_eq(name, str(cases[i].name)));
        }
    }

    memset(s, 'g', sizeof(s));
    memcpy(s, "group:", 6);

    assert_int_equal(push_log_parse((struct push_str) { s, PUSH_LOG_MAX },
                                    &kind, &name), PUSH_OK);
    assert_int_equal(push_log_parse((struct push_str) { s, PUSH_LOG_MAX + 1 },
                                    &kind, &name), PUSH_ERROR);
}


static void
test_a_number_is_plain_decimal_up_to_its_maximum(void **state)
{
    size_t    i;
    uint64_t  n;

    static const struct {
        const char *text;
        uint64_t    max;
        int         rc;
        uint64_t    value;
    } cases[] = {
        { "0", 0, PUSH_OK, 0 },
        { "1", 0, PUSH_ERROR, 0 },
        { "7", 7, PUSH_OK, 7 },
        { "8", 7, PUSH_ERROR, 0 },
        { "10", 10, PUSH_OK, 10 },
        { "11", 10, PUSH_ERROR, 0 },
        { "99", 10, PUSH_ERROR, 0 },
        { "100", 99, PUSH_ERROR, 0 },
        { "9007199254740991", PUSH_SEQ_MAX, PUSH_OK, PUSH_SEQ_MAX },
        { "9007199254740992", PUSH_SEQ_MAX, PUSH_ERROR, 0 },
        { "18446744073709551615", UINT64_MAX, PUSH_OK, UINT64_MAX },
        { "18446744073709551616", UINT64_MAX, PUSH_ERROR, 0 },
        { "184467440737095516150", UINT64_MAX, PUSH_ERROR, 0 },
        { "99999999999999999999", UINT64_MAX, PUSH_ERROR, 0 },
        { "", UINT64_MAX, PUSH_ERROR, 0 },
        { "00", UINT64_MAX, PUSH_ERROR, 0 },
        { "01", UINT64_MAX, PUSH_ERROR, 0 },
        { "+1", UINT64_MAX, PUSH_ERROR, 0 },
        { "-1", UINT64_MAX, PUSH_ERROR, 0 },
        { " 1", UINT64_MAX, PUSH_ERROR, 0 },
        { "1 ", UINT64_MAX, PUSH_ERROR, 0 },
        { "1.0", UINT64_MAX, PUSH_ERROR, 0 },
        { "0x1", UINT64_MAX, PUSH_ERROR, 0 },
        { "1e3", UINT64_MAX, PUSH_ERROR, 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = 12345;

        if (push_uint_parse(str(cases[i].text), cases[i].max, &n)
            != cases[i].rc)
        {
            fail_msg("\"%s\" up to %llu", cases[i].text,
                     (unsigned long long) cases[i].max);
        }

        assert_int_equal(n, cases[i].rc == PUSH_OK ? cases[i].value : 12345);
    }
}


static void
test_a_connection_is_written_as_it_is_read(void **state)
{
    size_t               i;
    char                 text[PUSH_CONN_TEXT_LEN + 1];
    struct push_conn_id  id, again;

    static const char *const bad[] = {
        "",
        "0123456789abcdef",
        "0123456789abcdef.",
        "0123456789abcdef.0123456789abcde",
        "0123456789abcdef.0123456789abcdef0",
        "0123456789abcdef-0123456789abcdef",
        "0123456789abcdeF.0123456789abcdef",
        "0123456789abcdeg.0123456789abcdef",
        "0123456789abcdef.0123456789abcde ",
        "0123456789abcdef.0x23456789abcdef"
    };

    (void) state;

    text[PUSH_CONN_TEXT_LEN] = '\0';

    id.instance = UINT64_C(0x0123456789abcdef);
    id.conn = push_conn_make(255, 0x12345, UINT64_C(0xff123456789a));

    assert_int_equal(push_conn_slot(id.conn), 255);
    assert_int_equal(push_conn_generation(id.conn), 0x2345);
    assert_int_equal(push_conn_index(id.conn), UINT64_C(0x123456789a));

    push_conn_id_write(text, id);
    assert_string_equal(text, "0123456789abcdef.ff2345123456789a");

    assert_int_equal(push_conn_id_parse(str(text), &again), PUSH_OK);
    assert_int_equal(again.instance, id.instance);
    assert_int_equal(again.conn, id.conn);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        again.instance = 5;
        assert_int_equal(push_conn_id_parse(str(bad[i]), &again), PUSH_ERROR);
        assert_int_equal(again.instance, 5);
    }
}


static void
test_each_close_reason_has_a_code_and_a_text(void **state)
{
    int  i;

    (void) state;

    assert_int_equal(push_close_code(PUSH_CLOSE_NORMAL), 1000);
    assert_int_equal(push_close_code(PUSH_CLOSE_TOO_BIG), 1009);
    assert_int_equal(push_close_code(PUSH_CLOSE_BAD_FRAME), 4400);
    assert_string_equal(push_close_text(PUSH_CLOSE_SLOW), "too slow");

    for (i = 0; i < PUSH_CLOSE_COUNT; i++) {
        assert_in_range(push_close_code((enum push_close) i), 1000, 4999);
        assert_in_range(strlen(push_close_text((enum push_close) i)), 1, 123);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_name_has_1_to_128_bytes_of_its_alphabet),
        cmocka_unit_test(test_a_log_is_all_or_a_users_or_a_groups),
        cmocka_unit_test(test_a_number_is_plain_decimal_up_to_its_maximum),
        cmocka_unit_test(test_a_connection_is_written_as_it_is_read),
        cmocka_unit_test(test_each_close_reason_has_a_code_and_a_text)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
