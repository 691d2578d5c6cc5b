/*
 * test_collector_check: publish bodies, good and bad, and what is said of them
 */

#include "collector_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>


static struct push_str
str(const char *s)
{
    return (struct push_str) { s, strlen(s) };
}


struct good {
    const char *body;
    const char *logs;           /* with a space behind each */
    const char *data;
    const char *key;
    int         ttl;
    bool        users;
    bool        ephemeral;
};

static const struct good good[] = {
    { "{\"to\":{\"user\":\"u42\"},\"data\":1}", "user:u42 ", "1", "", 0,
      false, false },
    { " {\"data\" : {\"a\" : [ 1e400, -0 , \"\\u0000\"], \"a\":2} ,\r\n"
      "\t\"to\":{ \"all\" : true } } \n", "all ",
      "{\"a\" : [ 1e400, -0 , \"\\u0000\"], \"a\":2}", "", 0, false, false },
    { "{\"to\":{\"users\":[\"a\",\"b\",\"A\"]},\"data\":null}",
      "user:a user:b user:A ", "null", "", 0, true, false },
    { "{\"to\":{\"users\":[\"a\"]},\"data\":\"\"}", "user:a ", "\"\"", "", 0,
      true, false },
    { "{\"to\":{\"user\":\"a.b_c:d@e-F9\"},\"data\":[],\"key\":\"k.1_:-Z\","
      "\"ttl\":2592000}", "user:a.b_c:d@e-F9 ", "[]", "k.1_:-Z", 2592000,
      false, false },
    { "{\"to\":{\"user\":\"u\"},\"data\":1,\"ttl\":1,\"ephemeral\":false}",
      "user:u ", "1", "", 1, false, false },
    { "{\"to\":{\"user\":\"u\"},\"data\":1,\"ephemeral\":true}", "user:u ",
      "1", "", 0, false, true },
    { "{\"t\\u006f\":{\"us\\u0065r\":\"\\u0075\"},\"data\":1}", "user:u ",
      "1", "", 0, false, false },
    { "{\"to\":{\"user\":\"all\"},\"data\":1}", "user:all ", "1", "", 0,
      false, false },
};

static void
test_a_good_publish_is_taken_apart(void **state)
{
    size_t                        i, len;
    char                          logs[512], log[PUSH_LOG_MAX];
    const char                   *pos;
    struct collector_check        c;
    struct collector_check_error  e;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {

        if (collector_check_publish(str(good[i].body), &c, &e) != PUSH_OK) {
            fail_msg("%s: %s", good[i].body, e.text);
        }

        logs[0] = '\0';
        pos = NULL;

        while ((len = collector_check_log(&c, &pos, log)) > 0) {
            snprintf(logs + strlen(logs), sizeof(logs) - strlen(logs), "%.*s ",
                     (int) len, log);
        }

        assert_string_equal(logs, good[i].logs);
        assert_true(push_str_eq(c.data, str(good[i].data)));
        assert_int_equal(c.key_len, strlen(good[i].key));
        assert_memory_equal(c.key, good[i].key, c.key_len);
        assert_int_equal(c.ttl, good[i].ttl);
        assert_int_equal(c.users, good[i].users);
        assert_int_equal(c.ephemeral, good[i].ephemeral);
    }
}


#define TO    "\"to\":{\"user\":\"u\"}"
#define DATA  "\"data\":1"

static const struct {
    const char *body;
    const char *text;
} bad[] = {
    { "", "JSON at byte 0" },
    { "[]", "JSON at byte 0: expected an object" },
    { "{" TO "," DATA, "JSON at byte 27" },
    { "{" TO "," DATA "} x", "JSON at byte 29: something follows" },
    { "{" TO ",\"data\":tru}", "JSON at byte 2" },
    { "{" TO ",\"data\":\"\xff\"}", "JSON at byte 27" },
    { "{" TO ",\"data\":01}", "JSON at byte" },
    { "{}", "member \"to\" is missing" },
    { "{" DATA "}", "member \"to\" is missing" },
    { "{" TO "}", "member \"data\" is missing" },
    { "{" TO "," DATA ",\"colour\":1}", "unknown member \"colour\"" },
    { "{" TO "," DATA ",\"\xc3\xa4\":1}", "unknown member \"??\"" },
    { "{" TO "," DATA ",\"" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "\":1}",
      "unknown member \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"" },
    { "{" TO "," DATA "," DATA "}", "\"data\" comes twice" },
    { "{" TO "," DATA ",\"d\\u0061ta\":2}", "comes twice" },
    { "{\"to\":1," DATA "}", "\"to\" must be an object" },
    { "{\"to\":{}," DATA "}", "\"to\" must have exactly one" },
    { "{\"to\":{\"user\":\"a\",\"all\":true}," DATA "}", "exactly one" },
    { "{\"to\":{\"user\":\"a\",\"user\":\"a\"}," DATA "}", "comes twice" },
    { "{\"to\":{\"usr\":\"a\"}," DATA "}", "unknown member \"to.usr\"" },
    { "{\"to\":{\"user\":\"a\",\"x\":1}," DATA "}", "unknown member \"to.x\"" },
    { "{\"to\":{\"user\":1}," DATA "}", "member \"to.user\" must be 1 to 128" },
    { "{\"to\":{\"user\":\"\"}," DATA "}", "\"to.user\" must be 1 to 128" },
    { "{\"to\":{\"user\":\"a b\"}," DATA "}", "\"to.user\" must be" },
    { "{\"to\":{\"user\":\"\\u0000\"}," DATA "}", "\"to.user\" must be" },
    { "{\"to\":{\"user\":{\"$gt\":\"\"}}," DATA "}", "\"to.user\" must be" },
    { "{\"to\":{\"user\":\".canary.edge-1\"}," DATA "}", "reserved" },
    { "{\"to\":{\"users\":[\"a\",\".canary.x\"]}," DATA "}", "to.users[1]" },
    { "{\"to\":{\"users\":\"a\"}," DATA "}", "\"to.users\" must be an array" },
    { "{\"to\":{\"users\":[]}," DATA "}", "\"to.users\" has no user" },
    { "{\"to\":{\"users\":[\"a\",\"b\",\"a\"]}," DATA "}",
      "\"to.users[2]\": user \"a\" comes twice" },
    { "{\"to\":{\"users\":[\"a\",\"\\u0061\"]}," DATA "}", "comes twice" },
    { "{\"to\":{\"users\":[\"a\",\"b c\"]}," DATA "}", "\"to.users[1]\" must" },
    { "{\"to\":{\"all\":false}," DATA "}", "\"to.all\" must be true" },
    { "{\"to\":{\"all\":1}," DATA "}", "\"to.all\" must be true" },
    { "{\"to\":{\"group\":\"g\"}," DATA "}",
      "groups are not available in this version" },
    { "{" TO "," DATA ",\"key\":\"\"}", "member \"key\" must be" },
    { "{" TO "," DATA ",\"key\":null}", "member \"key\" must be" },
    { "{" TO "," DATA ",\"key\":\"a@b\"}", "member \"key\" must be" },
    { "{" TO "," DATA ",\"key\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaa\"}", "member \"key\" must be" },
    { "{" TO "," DATA ",\"ttl\":0}", "member \"ttl\" must be" },
    { "{" TO "," DATA ",\"ttl\":-1}", "member \"ttl\" must be" },
    { "{" TO "," DATA ",\"ttl\":1.5}", "member \"ttl\" must be" },
    { "{" TO "," DATA ",\"ttl\":1e3}", "member \"ttl\" must be" },
    { "{" TO "," DATA ",\"ttl\":\"10\"}", "member \"ttl\" must be" },
    { "{" TO "," DATA ",\"ttl\":2592001}", "member \"ttl\" must be" },
    { "{" TO "," DATA ",\"ttl\":99999999999999999999}", "\"ttl\" must be" },
    { "{" TO "," DATA ",\"ephemeral\":1}", "\"ephemeral\" must be true or" },
    { "{" TO "," DATA ",\"ephemeral\":true,\"key\":\"k\"}",
      "\"key\" is not allowed with \"ephemeral\"" },
    { "{\"ttl\":5,\"ephemeral\":true," TO "," DATA "}",
      "\"ttl\" is not allowed with \"ephemeral\"" },
};

static void
test_a_bad_publish_is_told_where(void **state)
{
    size_t                        i;
    struct collector_check        c;
    struct collector_check_error  e;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {

        if (collector_check_publish(str(bad[i].body), &c, &e) != PUSH_ERROR) {
            fail_msg("taken: %s", bad[i].body);
        }

        assert_int_equal(e.status, 400);

        if (strstr(e.text, bad[i].text) == NULL) {
            fail_msg("%s: \"%s\" is not in \"%s\"", bad[i].body, bad[i].text,
                     e.text);
        }
    }
}


/* {"to":{"user":"u"},"data":<open x depth><close x depth>} */
static int
check_depth(int depth)
{
    int                           i;
    char                          body[512];
    struct collector_check        c;
    struct collector_check_error  e;

    strcpy(body, "{" TO ",\"data\":");

    for (i = 0; i < depth; i++) {
        strcat(body, "[");
    }

    for (i = 0; i < depth; i++) {
        strcat(body, "]");
    }

    strcat(body, "}");

    return collector_check_publish(str(body), &c, &e);
}


static void
test_data_has_at_most_32_levels(void **state)
{
    (void) state;

    assert_int_equal(check_depth(PUSH_DEPTH_MAX), PUSH_OK);
    assert_int_equal(check_depth(PUSH_DEPTH_MAX + 1), PUSH_ERROR);
}


static void
test_data_has_at_most_256_kb(void **state)
{
    char                         *body;
    size_t                        head;
    struct collector_check        c;
    struct collector_check_error  e;

    (void) state;

    body = malloc(CHECK_BODY_MAX + 2);
    assert_non_null(body);
    memset(body, 'x', CHECK_BODY_MAX + 2);

    head = (size_t) sprintf(body, "{" TO ",\"data\":\"");
    body[head] = 'x';
    memcpy(body + head - 1 + PUSH_DATA_MAX - 1, "\"}", 2);

    assert_int_equal(collector_check_publish((struct push_str) {
                         body, head - 1 + PUSH_DATA_MAX + 1 }, &c, &e),
                     PUSH_OK);
    assert_int_equal(c.data.len, PUSH_DATA_MAX);

    memcpy(body + head - 1 + PUSH_DATA_MAX - 1, "x\"}", 3);

    assert_int_equal(collector_check_publish((struct push_str) {
                         body, head - 1 + PUSH_DATA_MAX + 2 }, &c, &e),
                     PUSH_ERROR);
    assert_int_equal(e.status, 413);
    assert_non_null(strstr(e.text, "\"data\""));

    assert_int_equal(collector_check_publish((struct push_str) {
                         body, CHECK_BODY_MAX + 1 }, &c, &e), PUSH_ERROR);
    assert_int_equal(e.status, 413);

    free(body);
}


static void
test_users_are_1_to_1000(void **state)
{
    char                         *body;
    size_t                        i, n, len;
    struct collector_check        c;
    struct collector_check_error  e;

    (void) state;

    body = malloc(64 * 1024);
    assert_non_null(body);

    for (n = CHECK_USERS_MAX; n <= CHECK_USERS_MAX + 1; n++) {
        len = (size_t) sprintf(body, "{\"to\":{\"users\":[");

        for (i = 0; i < n; i++) {
            len += (size_t) sprintf(body + len, "%s\"user-%zu\"",
                                    i ? "," : "", i);
        }

        len += (size_t) sprintf(body + len, "]}," DATA "}");

        if (n == CHECK_USERS_MAX) {
            assert_int_equal(collector_check_publish(str(body), &c, &e),
                             PUSH_OK);
            assert_int_equal(c.count, CHECK_USERS_MAX);

        } else {
            assert_int_equal(collector_check_publish(str(body), &c, &e),
                             PUSH_ERROR);
            assert_non_null(strstr(e.text, "more than 1000 users"));
        }
    }

    free(body);
}


static void
test_a_batch_is_read_line_by_line(void **state)
{
    unsigned         number;
    const char      *pos;
    struct push_str  line, body;

    (void) state;

    body = PUSH_STR("\n{1}\r\n \t\r\n{2}\n\n{3}");
    pos = body.data;
    number = 0;

    assert_true(collector_check_line(body, &pos, &line, &number));
    assert_true(push_str_eq(line, PUSH_STR("{1}\r")));
    assert_int_equal(number, 2);
    assert_true(collector_check_line(body, &pos, &line, &number));
    assert_true(push_str_eq(line, PUSH_STR("{2}")));
    assert_int_equal(number, 4);
    assert_true(collector_check_line(body, &pos, &line, &number));
    assert_true(push_str_eq(line, PUSH_STR("{3}")));
    assert_int_equal(number, 6);
    assert_false(collector_check_line(body, &pos, &line, &number));
    assert_false(collector_check_line(body, &pos, &line, &number));
}


static void
test_a_message_id_is_log_and_seq(void **state)
{
    size_t           i;
    int64_t          seq;
    struct push_str  log;

    static const char *const wrong[] = {
        "", "@", "@1", "user:u", "user:u@", "user:u@0", "user:u@01",
        "user:u@-1", "user:u@x", "user:u@9007199254740992", "u@1", "user:@1",
        "user:a b@1", "everybody@1", NULL
    };

    (void) state;

    assert_int_equal(collector_check_id(PUSH_STR("user:u42@18"), &log, &seq),
                     PUSH_OK);
    assert_true(push_str_eq(log, PUSH_STR("user:u42")));
    assert_int_equal(seq, 18);

    assert_int_equal(collector_check_id(PUSH_STR("user:a@b@9007199254740991"),
                                        &log, &seq), PUSH_OK);
    assert_true(push_str_eq(log, PUSH_STR("user:a@b")));
    assert_int_equal(seq, PUSH_SEQ_MAX);

    assert_int_equal(collector_check_id(PUSH_STR("all@1"), &log, &seq),
                     PUSH_OK);

    for (i = 0; wrong[i]; i++) {
        assert_int_equal(collector_check_id(str(wrong[i]), &log, &seq),
                         PUSH_ERROR);
    }
}


static void
test_a_page_has_bounds(void **state)
{
    size_t                        max;
    int64_t                       from;
    struct push_str               none = { NULL, 0 };
    struct collector_check_error  e;

    (void) state;

    assert_int_equal(collector_check_page(none, none, &from, &max, &e),
                     PUSH_OK);
    assert_int_equal(from, 0);
    assert_int_equal(max, CHECK_LIMIT);

    assert_int_equal(collector_check_page(str("17"), str("1000"), &from, &max,
                                          &e), PUSH_OK);
    assert_int_equal(from, 17);
    assert_int_equal(max, 1000);

    assert_int_equal(collector_check_page(str("x"), none, &from, &max, &e),
                     PUSH_ERROR);
    assert_non_null(strstr(e.text, "after"));
    assert_int_equal(collector_check_page(none, str("0"), &from, &max, &e),
                     PUSH_ERROR);
    assert_int_equal(collector_check_page(none, str("1001"), &from, &max, &e),
                     PUSH_ERROR);
    assert_non_null(strstr(e.text, "limit"));

    assert_int_equal(collector_check_uid(PUSH_STR("u42"), &e), PUSH_OK);
    assert_int_equal(collector_check_uid(PUSH_STR("u 42"), &e), PUSH_ERROR);
}


int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_publish_is_taken_apart),
        cmocka_unit_test(test_a_bad_publish_is_told_where),
        cmocka_unit_test(test_data_has_at_most_32_levels),
        cmocka_unit_test(test_data_has_at_most_256_kb),
        cmocka_unit_test(test_users_are_1_to_1000),
        cmocka_unit_test(test_a_batch_is_read_line_by_line),
        cmocka_unit_test(test_a_message_id_is_log_and_seq),
        cmocka_unit_test(test_a_page_has_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
