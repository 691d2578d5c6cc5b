/*
 * push_parcel: what a worker sends another, and what is no parcel
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "push_parcel.h"


/* Head, body and what follows, as the sender puts them together. */
static size_t
build(char *to, struct push_parcel *p, const void *body, const void *rest,
    size_t rest_len)
{
    push_parcel_head(to, p);
    memcpy(to + PUSH_PARCEL_HEAD, body, p->body.len);
    memcpy(to + PUSH_PARCEL_HEAD + p->body.len, rest, rest_len);

    return PUSH_PARCEL_HEAD + p->body.len + rest_len;
}


static void
test_items(void **state)
{
    char                data[256], indexes[4];
    size_t              len, cut;
    struct push_parcel  p = { 0 }, got;

    (void) state;

    p.kind = PUSH_PARCEL_ITEMS;
    p.from_slot = 254;
    p.from_generation = 0xffff;
    p.batch = UINT64_C(0xfedcba9876543210);
    p.part = 7;
    p.count = 2;
    p.at_us = UINT64_C(0x123456789abcdef0);
    p.epoch_unknown = true;
    p.body = PUSH_STR("epoch e\ncheck u\ncheck v\n");

    push_parcel_index_write(indexes, 3);
    push_parcel_index_write(indexes + 2, 999);

    len = build(data, &p, p.body.data, indexes, sizeof(indexes));

    assert_int_equal(push_parcel_parse(&got, data, len, PUSH_PARCEL_MAX),
                     PUSH_OK);
    assert_int_equal(got.kind, PUSH_PARCEL_ITEMS);
    assert_int_equal(got.from_slot, 254);
    assert_int_equal(got.from_generation, 0xffff);
    assert_true(got.batch == p.batch);
    assert_int_equal(got.part, 7);
    assert_int_equal(got.count, 2);
    assert_true(got.at_us == p.at_us);
    assert_true(got.epoch_unknown);
    assert_true(push_str_eq(got.body, p.body));
    assert_int_equal(push_parcel_index(&got, 0), 3);
    assert_int_equal(push_parcel_index(&got, 1), 999);

    for (cut = 0; cut < len; cut++) {
        char  *copy = malloc(cut ? cut : 1);

        memcpy(copy, data, cut);
        assert_int_equal(push_parcel_parse(&got, copy, cut, PUSH_PARCEL_MAX),
                         PUSH_ERROR);
        free(copy);
    }

    assert_int_equal(push_parcel_parse(&got, data, len, len - 1), PUSH_ERROR);
}


static void
test_answers(void **state)
{
    char                      data[128], body[2 * PUSH_PARCEL_ANSWER];
    size_t                    len;
    struct push_parcel        p = { 0 }, got;
    struct push_lines_answer  a;

    (void) state;

    p.kind = PUSH_PARCEL_ANSWERS;
    p.to_generation = 12;
    p.count = 2;
    p.body.len = sizeof(body);

    push_parcel_answer_write(body, (struct push_lines_answer) {
                                       PUSH_LINES_OK, UINT32_MAX });
    push_parcel_answer_write(body + PUSH_PARCEL_ANSWER,
                             (struct push_lines_answer) {
                                 PUSH_LINES_GAP, 0 });

    len = build(data, &p, body, "", 0);

    assert_int_equal(push_parcel_parse(&got, data, len, PUSH_PARCEL_MAX),
                     PUSH_OK);
    assert_int_equal(got.to_generation, 12);

    a = push_parcel_answer(&got, 0);
    assert_int_equal(a.reply, PUSH_LINES_OK);
    assert_true(a.count == UINT32_MAX);

    a = push_parcel_answer(&got, 1);
    assert_int_equal(a.reply, PUSH_LINES_GAP);

    /* a word that nobody knows */
    data[PUSH_PARCEL_HEAD] = 77;
    a = push_parcel_answer(&got, 0);
    assert_int_equal(a.reply, PUSH_LINES_UNKNOWN);

    /* an answer less than it says */
    p.count = 3;
    push_parcel_head(data, &p);
    assert_int_equal(push_parcel_parse(&got, data, len, PUSH_PARCEL_MAX),
                     PUSH_ERROR);
}


static void
test_pieces(void **state)
{
    size_t              i, len;
    char                data[128];
    struct push_parcel  p = { 0 }, got;

    static const struct {
        uint32_t  offset, total, count;
        size_t    len;
        int       rc;
    } rows[] = {
        { 0, 10, 0, 10, PUSH_OK },
        { 6, 10, 0, 4, PUSH_OK },
        { 0, PUSH_PARCEL_WHOLE, 0, 10, PUSH_OK },
        { 6, 10, 0, 5, PUSH_ERROR },
        { 10, 10, 0, 1, PUSH_ERROR },
        { 0, 0, 0, 1, PUSH_ERROR },
        { 0, 10, 0, 0, PUSH_ERROR },
        { 0, 10, 1, 10, PUSH_ERROR },
        { 0, PUSH_PARCEL_WHOLE + 1, 0, 10, PUSH_ERROR },
        { UINT32_MAX, 10, 0, 10, PUSH_ERROR },
        { UINT32_MAX, UINT32_MAX, 0, 10, PUSH_ERROR },
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p.kind = PUSH_PARCEL_PIECE;
        p.offset = rows[i].offset;
        p.total = rows[i].total;
        p.count = rows[i].count;
        p.body.len = rows[i].len;

        len = build(data, &p, "0123456789", "", 0);

        assert_int_equal(push_parcel_parse(&got, data, len, PUSH_PARCEL_MAX),
                         rows[i].rc);
    }
}


static void
test_no_parcel(void **state)
{
    char                data[PUSH_PARCEL_HEAD + 2];
    unsigned            i, bit;
    struct push_parcel  p = { 0 }, got;

    (void) state;

    memset(data, 0, sizeof(data));
    assert_int_equal(push_parcel_parse(&got, data, sizeof(data),
                                       PUSH_PARCEL_MAX), PUSH_ERROR);

    /* kinds that do not exist, and counts that nobody sends */

    for (i = 0; i < 256; i++) {
        p.kind = (enum push_parcel_kind) i;
        push_parcel_head(data, &p);
        assert_int_equal(push_parcel_parse(&got, data, sizeof(data),
                                           PUSH_PARCEL_MAX), PUSH_ERROR);
    }

    p.kind = PUSH_PARCEL_ITEMS;

    for (bit = 0; bit < 32; bit++) {
        p.count = UINT32_C(1) << bit;
        push_parcel_head(data, &p);
        assert_int_equal(push_parcel_parse(&got, data, sizeof(data),
                                           PUSH_PARCEL_MAX),
                         bit == 0 ? PUSH_OK : PUSH_ERROR);
    }

    /* a body that is longer than the datagram */

    p.count = 1;
    p.body.len = UINT32_MAX;
    push_parcel_head(data, &p);
    assert_int_equal(push_parcel_parse(&got, data, sizeof(data),
                                       PUSH_PARCEL_MAX), PUSH_ERROR);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_no_parcel),
    };

    return cmocka_run_group_tests_name("push_parcel", tests, NULL, NULL);
}
