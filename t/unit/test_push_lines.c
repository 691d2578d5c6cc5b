/*
 * push_lines, push_lines_answer: every verb there and back; what is refused
 */

#include "push_lines.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CONN  "00000000000000ab.0100020000000003"

/* Bodies that are legal; written again they are the same bytes. */
static const struct {
    const char           *text;         /* behind the epoch line */
    enum push_lines_verb  verb;         /* of the last item */
} good[] = {
    { "user u42 18 0 10 8\n{\"data\":1}\n",            PUSH_LINES_USER },
    { "user u42 0 1700000000 2 1\n{}\n",               PUSH_LINES_USER },
    { "group g 1 0 10 8\n{\"data\":1}\n",              PUSH_LINES_GROUP },
    { "all 9007199254740991 0 10 8\n{\"data\":1}\n",   PUSH_LINES_ALL },
    { "begin " CONN " user:u42 7 17\n",                PUSH_LINES_BEGIN },
    { "begin " CONN " all 4294967295 0\n",             PUSH_LINES_BEGIN },
    { "groups " CONN " 3\na b\n",                      PUSH_LINES_GROUPS },
    { "groups " CONN " 0\n\n",                         PUSH_LINES_GROUPS },
    { "conn " CONN " user:u42 18 0 10 8\n{\"data\":1}\n", PUSH_LINES_CONN },
    { "void " CONN " user:u42 3 9 expired\n",          PUSH_LINES_VOID },
    { "void " CONN " group:g 3 3 overflow\n",          PUSH_LINES_VOID },
    { "tip " CONN " user:u42 7 18\n",                  PUSH_LINES_TIP },
    { "tip " CONN " all 7 0\n",                        PUSH_LINES_TIP },
    { "reset " CONN " 4\n{\n\n}\n",                    PUSH_LINES_RESET },
    { "close " CONN " 4002 6\nkicked\n",               PUSH_LINES_CLOSE },
    { "kick u42 * 4002 0\n\n",                         PUSH_LINES_KICK },
    { "kick u42 d1 4002 2\n\n\n\n",                    PUSH_LINES_KICK },
    { "extend " CONN " 1700000000 0\n\n",              PUSH_LINES_EXTEND },
    { "extend " CONN " 0 3\nbad\n",                    PUSH_LINES_EXTEND },
    { "sent " CONN " 2\nc1\n",                         PUSH_LINES_SENT },
    { "join u42 g\n",                                  PUSH_LINES_JOIN },
    { "leave u42 g\n",                                 PUSH_LINES_LEAVE },
    { "resync *\n",                                    PUSH_LINES_RESYNC },
    { "resync u42\n",                                  PUSH_LINES_RESYNC },
    { "resync user:u42\n",                             PUSH_LINES_RESYNC },
    { "resync all\n",                                  PUSH_LINES_RESYNC },
    { "check u42\n",                                   PUSH_LINES_CHECK },
    { "pace 50000\n",                                  PUSH_LINES_PACE },
    { "node edge-1/00000000000000ab\n",                PUSH_LINES_NODE },
    { "node -\n",                                      PUSH_LINES_NODE },
    { "check a\ncheck b\ncheck c\n",                   PUSH_LINES_CHECK },
};

static const struct {
    const char *body;
    unsigned    line;
    const char *error;
} bad[] = {
    { "",                                  1, "no epoch line" },
    { "\n",                                1, "no epoch line" },
    { "check u1\n",                        1, "no epoch line" },
    { "epoch e1",                          1, "the line does not end" },
    { "epoch\n",                           1, "epoch: a field is missing" },
    { "epoch \n",                          1, "epoch epoch: not a legal" },
    { "epoch E1\n",                        1, "epoch epoch: not a legal" },
    { "epoch 012345678901234567890123456789012\n", 1, "epoch epoch: not" },
    { "epoch e1 x\n",                      1, "epoch: more fields" },
    { "epoch e1\nepoch e1\n",              2, "a second epoch line" },
    { "epoch e1\nuser\n",                  2, "user: a field is missing" },
    { "epoch e1\nusers u1\n",              2, "unknown verb" },
    { "epoch e1\n\n",                      2, "unknown verb" },
    { "epoch e1\n check u1\n",             2, "unknown verb" },
    { "epoch e1\ncheck u1 \n",             2, "check: more fields" },
    { "epoch e1\ncheck  u1\n",             2, "check user: not a legal" },
    { "epoch e1\ncheck u1\r\n",            2, "check user: not a legal" },
    { "epoch e1\ncheck u/1\n",             2, "check user: not a legal" },
    { "epoch e1\ncheck *\n",               2, "check user: not a legal" },
    { "epoch e1\njoin u1\n",               2, "join: a field is missing" },
    { "epoch e1\nuser u1 1 0 2 1\n{}",     2, "user: the payload is cut" },
    { "epoch e1\nuser u1 1 0 3 1\n{}\n",   2, "user: the payload is cut" },
    { "epoch e1\nuser u1 1 0 1 0\n{}\n",   2, "user: no newline where" },
    { "epoch e1\nuser u1 1 0 2 2\n{}\n",   2, "user: the offset is outside" },
    { "epoch e1\nuser u1 1 0 0 0\n\n",     2, "user: the offset is outside" },
    { "epoch e1\nuser u1 1 0 2\n{}\n",     2, "user: a field is missing" },
    { "epoch e1\nuser u1 1 0 2 1\n{x\n",   2, "user: the payload does not" },
    { "epoch e1\nuser u1 01 0 2 1\n{}\n",  2, "user seq: not a legal" },
    { "epoch e1\nuser u1 -1 0 2 1\n{}\n",  2, "user seq: not a legal" },
    { "epoch e1\nuser u1 9007199254740992 0 2 1\n{}\n", 2, "user seq: not" },
    { "epoch e1\nuser u1 1 0 1048577 1\n{}\n", 2, "user length: not a legal" },
    { "epoch e1\nuser u1 1 0 99999999999999999999 1\n{}\n", 2,
      "user length: not a legal" },
    { "epoch e1\nall 1 0 2 1\n{}\nall 1 x 2 1\n{}\n", 4, "all expiry: not" },
    { "epoch e1\nall 1 0 5 1\n{\n\n\n}\nno\n", 7, "unknown verb" },
    { "epoch e1\nbegin ab.0100020000000003 all 1 0\n", 2, "begin conn: not" },
    { "epoch e1\nbegin " CONN " u42 1 0\n",     2, "begin log: not a legal" },
    { "epoch e1\nbegin " CONN " user: 1 0\n",   2, "begin log: not a legal" },
    { "epoch e1\nbegin " CONN " all 4294967296 0\n", 2, "begin rid: not" },
    { "epoch e1\nbegin " CONN " all 1 -\n",     2, "begin after: not a" },
    { "epoch e1\nvoid " CONN " all 0 3 expired\n", 2, "void: not a range" },
    { "epoch e1\nvoid " CONN " all 4 3 expired\n", 2, "void: not a range" },
    { "epoch e1\nvoid " CONN " all 3 4 lost\n", 2, "void reason: not a" },
    { "epoch e1\nclose " CONN " 999 0\n\n",     2, "close code: not a legal" },
    { "epoch e1\nclose " CONN " 1004 0\n\n",    2, "close code: not a legal" },
    { "epoch e1\nclose " CONN " 1005 0\n\n",    2, "close code: not a legal" },
    { "epoch e1\nclose " CONN " 1006 0\n\n",    2, "close code: not a legal" },
    { "epoch e1\nclose " CONN " 1015 0\n\n",    2, "close code: not a legal" },
    { "epoch e1\nclose " CONN " 2999 0\n\n",    2, "close code: not a legal" },
    { "epoch e1\nclose " CONN " 5000 0\n\n",    2, "close code: not a legal" },
    { "epoch e1\nresync a/b\n",            2, "resync target: not a legal" },
    { "epoch e1\npace x\n",                2, "pace rate: not a legal" },
    { "epoch e1\nnode edge-1\n",           2, "node node: not a legal" },
    { "epoch e1\nnode edge-1/xyz\n",       2, "node node: not a legal" },
    { "epoch e1\nnode /00000000000000ab\n", 2, "node node: not a legal" },
};


static int
last_of(const char *body, size_t len, bool dispatch, struct push_lines *l,
    struct push_lines_item *item)
{
    int                     rc;
    struct push_lines_item  one;

    push_lines_init(l, body, len, dispatch);

    while ((rc = push_lines_next(l, &one)) == PUSH_OK) {
        *item = one;
    }

    return rc;
}


static void
test_there_and_back(void **state)
{
    char                    body[512], again[512];
    size_t                  i, len, at, need;
    struct push_lines       l;
    struct push_lines_item  item;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        len = (size_t) snprintf(body, sizeof(body), "epoch e1\n%s",
                                good[i].text);

        assert_int_equal(last_of(body, len, true, &l, &item), PUSH_DECLINED);
        assert_int_equal(item.verb, good[i].verb);

        push_lines_init(&l, body, len, true);

        for (at = 0; push_lines_next(&l, &item) == PUSH_OK; at += need) {
            need = push_lines_write(NULL, 0, &item);
            assert_true(at + need <= len);

            memset(again + at, 'x', need);
            assert_int_equal(push_lines_write(again + at, need - 1, &item),
                             need);
            assert_int_equal(again[at], 'x');

            assert_int_equal(push_lines_write(again + at, need, &item), need);
        }

        assert_int_equal(at, len);
        assert_memory_equal(again, body, len);
    }
}


static void
test_refused(void **state)
{
    size_t                  i;
    char                   *exact;
    struct push_lines       l;
    struct push_lines_item  item;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        /* on the heap, so that a sanitizer sees a byte too many */
        exact = malloc(strlen(bad[i].body) + 1);
        assert_non_null(exact);
        memcpy(exact, bad[i].body, strlen(bad[i].body));

        assert_int_equal(last_of(exact, strlen(bad[i].body), true, &l, &item),
                         PUSH_ERROR);
        assert_int_equal(push_lines_next(&l, &item), PUSH_ERROR);

        if (l.error_line != bad[i].line
            || strncmp(l.error, bad[i].error, strlen(bad[i].error)) != 0)
        {
            fail_msg("%s: line %u, %s", bad[i].body, l.error_line, l.error);
        }

        free(exact);
    }
}


static void
test_every_prefix_is_refused_or_whole(void **state)
{
    size_t                  i, n, len;
    char                    body[512], *exact;
    struct push_lines       l;
    struct push_lines_item  item;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        len = (size_t) snprintf(body, sizeof(body), "epoch e1\n%s",
                                good[i].text);

        for (n = 0; n < len; n++) {
            exact = malloc(n + 1);
            assert_non_null(exact);
            memcpy(exact, body, n);

            if (last_of(exact, n, true, &l, &item) == PUSH_DECLINED) {
                assert_true(n >= 9 && body[n - 1] == '\n');
            }

            free(exact);
        }
    }
}


static void
test_fields(void **state)
{
    const char              body[] =
        "epoch abc\n"
        "node edge-1/00000000000000cd\n"
        "conn " CONN " user:u42 18 99 10 8\n{\"data\":1}\n"
        "kick u42 d1 4002 3\nwhy\n"
        "void " CONN " all 3 9 overflow\n"
        "resync u42\n"
        "resync group:g\n"
        "node -\n";
    struct push_lines       l;
    struct push_lines_item  item;

    (void) state;

    push_lines_init(&l, body, sizeof(body) - 1, true);

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_true(push_str_eq(item.epoch, PUSH_STR("abc")));

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_true(push_str_eq(item.name, PUSH_STR("edge-1")));
    assert_int_equal(item.id.instance, 0xcd);

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_int_equal(item.line, 3);
    assert_int_equal(item.id.instance, 0xab);
    assert_int_equal(push_conn_index(item.id.conn), 3);
    assert_true(push_str_eq(item.log, PUSH_STR("user:u42")));
    assert_int_equal(item.seq, 18);
    assert_int_equal(item.expires, 99);
    assert_true(push_str_eq(item.payload, PUSH_STR("{\"data\":1}")));
    assert_int_equal(item.off, 8);

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_int_equal(item.line, 5);
    assert_true(push_str_eq(item.name, PUSH_STR("u42")));
    assert_true(push_str_eq(item.device, PUSH_STR("d1")));
    assert_int_equal(item.code, 4002);
    assert_true(push_str_eq(item.payload, PUSH_STR("why")));

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_int_equal(item.seq, 3);
    assert_int_equal(item.to, 9);
    assert_true(push_str_eq(item.why, PUSH_STR("overflow")));

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_true(push_str_eq(item.log, PUSH_STR("u42")));
    assert_true(push_str_eq(item.name, PUSH_STR("u42")));

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_true(push_str_eq(item.log, PUSH_STR("group:g")));
    assert_int_equal(item.name.len, 0);

    assert_int_equal(push_lines_next(&l, &item), PUSH_OK);
    assert_int_equal(item.name.len, 0);

    assert_int_equal(push_lines_next(&l, &item), PUSH_DECLINED);
    assert_int_equal(l.items, 5);
}


static void
test_bounds(void **state)
{
    char                   *body;
    size_t                  i, len;
    struct push_lines       l;
    struct push_lines_item  item;
    const char              node[] = "epoch e\nnode -\n";

    (void) state;

    body = malloc(PUSH_BODY_MAX + 1);
    assert_non_null(body);

    len = (size_t) sprintf(body, "epoch e\n");

    for (i = 0; i < PUSH_ITEMS_MAX; i++) {
        len += (size_t) sprintf(body + len, "check u\n");
    }

    assert_int_equal(last_of(body, len, false, &l, &item), PUSH_DECLINED);

    len += (size_t) sprintf(body + len, "check u\n");
    assert_int_equal(last_of(body, len, false, &l, &item), PUSH_ERROR);
    assert_int_equal(l.error_line, PUSH_ITEMS_MAX + 2);
    assert_string_equal(l.error, "too many items");

    memset(body, 'x', PUSH_BODY_MAX + 1);
    assert_int_equal(last_of(body, PUSH_BODY_MAX + 1, false, &l, &item),
                     PUSH_ERROR);
    assert_string_equal(l.error, "the body is too large");

    assert_int_equal(last_of(node, sizeof(node) - 1, false, &l, &item),
                     PUSH_ERROR);
    assert_string_equal(l.error, "unknown verb");

    free(body);
}


static void
test_answers(void **state)
{
    char                      to[PUSH_LINES_ANSWER_MAX];
    size_t                    i, len;
    const char               *pos, *end;
    struct push_lines_answer  answer, sum;
    const char               *bad_lines[] = {
        "ok\n", "ok 1", "ok x\n", "ok 1 2\n", "ok -1\n", "gap 1\n", "\n",
        "error 3 what\n", "OK 1\n", "ok 4294967296\n", "none \n"
    };

    (void) state;

    for (i = 0; i < PUSH_LINES_REPLY_COUNT; i++) {
        answer.reply = (enum push_lines_reply) i;
        answer.count = i == PUSH_LINES_OK || i == PUSH_LINES_QUEUED
                       ? UINT32_MAX : 0;

        len = push_lines_answer_write(to, answer);
        assert_true(len <= sizeof(to));

        pos = to;
        end = to + len;
        memset(&sum, 0xff, sizeof(sum));

        assert_int_equal(push_lines_answer_next(&pos, end, &sum), PUSH_OK);
        assert_int_equal(sum.reply, answer.reply);
        assert_int_equal(sum.count, answer.count);
        assert_int_equal(push_lines_answer_next(&pos, end, &sum),
                         PUSH_DECLINED);
    }

    for (i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
        pos = bad_lines[i];
        assert_int_equal(push_lines_answer_next(&pos,
                                                pos + strlen(bad_lines[i]),
                                                &sum),
                         PUSH_ERROR);
        assert_ptr_equal(pos, bad_lines[i]);
    }

    /* unknown > gap > slow > queued > ok > none, and numbers add up */

    sum = (struct push_lines_answer) { PUSH_LINES_NONE, 0 };
    push_lines_answer_add(&sum, (struct push_lines_answer)
                                { PUSH_LINES_NONE, 0 });
    assert_int_equal(sum.reply, PUSH_LINES_NONE);
    push_lines_answer_add(&sum, (struct push_lines_answer)
                                { PUSH_LINES_OK, 2 });
    push_lines_answer_add(&sum, (struct push_lines_answer)
                                { PUSH_LINES_QUEUED, 3 });
    push_lines_answer_add(&sum, (struct push_lines_answer)
                                { PUSH_LINES_OK, 1 });
    assert_int_equal(sum.reply, PUSH_LINES_QUEUED);
    assert_int_equal(sum.count, 6);
    push_lines_answer_add(&sum, (struct push_lines_answer)
                                { PUSH_LINES_OK, UINT32_MAX });
    assert_int_equal(sum.count, UINT32_MAX);

    for (i = PUSH_LINES_SLOW; i <= PUSH_LINES_UNKNOWN; i++) {
        push_lines_answer_add(&sum, (struct push_lines_answer)
                                    { (enum push_lines_reply) i, 0 });
        assert_int_equal(sum.reply, i);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_prefix_is_refused_or_whole),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
