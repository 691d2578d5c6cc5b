/*
 * collector_body: node lines where they are needed, and the bounds of a body
 */

#include "collector_body.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector_item.h"

#define NODE  PUSH_STR("edge-1/0123456789abcdef")


static void
test_a_node_line_stands_where_the_node_changes(void **state)
{
    char                  *to = malloc(PUSH_BODY_MAX);
    const char            *expected =
        "epoch e1\n"
        "check a\ncheck b\n"
        "node edge-1/0123456789abcdef\ntip 1\ntip 2\ntip 3\n"
        "node edge-2/0123456789abcdef\ntip 4\n"
        "node -\ncheck c\n";
    struct push_str        other = PUSH_STR("edge-2/0123456789abcdef");
    struct collector_body  b;

    (void) state;

    collector_body_begin(&b, to, PUSH_STR("e1"));
    assert_true(collector_body_empty(&b));

    collector_body_add(&b, PUSH_STR(""), PUSH_STR("check a\n"), 1);
    collector_body_add(&b, PUSH_STR(""), PUSH_STR("check b\n"), 1);
    collector_body_add(&b, NODE, PUSH_STR("tip 1\ntip 2\n"), 2);
    collector_body_add(&b, NODE, PUSH_STR("tip 3\n"), 1);
    collector_body_add(&b, other, PUSH_STR("tip 4\n"), 1);
    collector_body_add(&b, PUSH_STR(""), PUSH_STR("check c\n"), 1);

    assert_int_equal(b.lines, 7);
    assert_int_equal(b.len, strlen(expected));
    assert_memory_equal(to, expected, b.len);
    assert_false(collector_body_empty(&b));

    free(to);
}


static void
test_bounds(void **state)
{
    char                  *to = malloc(PUSH_BODY_MAX);
    char                  *text = calloc(1, PUSH_BODY_MAX);
    size_t                 rest;
    unsigned               i;
    struct collector_body  b;

    (void) state;

    collector_body_begin(&b, to, PUSH_STR("e1"));
    assert_int_equal(collector_body_add(&b, NODE, PUSH_STR("x\n"),
                                        PUSH_ITEMS_MAX + 1), PUSH_DECLINED);

    for (i = 0; i < PUSH_ITEMS_MAX; i++) {
        assert_int_equal(collector_body_add(&b, NODE, PUSH_STR("x\n"), 1),
                         PUSH_OK);
    }

    assert_int_equal(collector_body_add(&b, NODE, PUSH_STR("x\n"), 1),
                     PUSH_DECLINED);

    collector_body_begin(&b, to, PUSH_STR("e1"));
    rest = PUSH_BODY_MAX - b.len;
    assert_int_equal(collector_body_add(&b, PUSH_STR(""),
                     (struct push_str) { text, rest + 1 }, 1), PUSH_DECLINED);
    assert_int_equal(collector_body_add(&b, NODE,
                     (struct push_str) { text, rest }, 1), PUSH_DECLINED);
    assert_int_equal(b.node.len, 0);
    assert_int_equal(collector_body_add(&b, PUSH_STR(""),
                     (struct push_str) { text, rest }, 1), PUSH_OK);
    assert_int_equal(b.len, PUSH_BODY_MAX);

    free(text);
    free(to);
}


static void
test_queues(void **state)
{
    struct collector_item         a = { 0 }, b = { 0 }, c = { 0 };
    struct collector_item_queue   q = { 0 }, more = { 0 };

    (void) state;

    assert_null(collector_item_pop(&q));
    collector_item_join(&q, &more);
    assert_null(q.first);

    collector_item_push(&more, &b);
    collector_item_push(&more, &c);
    collector_item_join(&q, &more);
    assert_null(more.first);
    assert_null(more.last);
    collector_item_push(&more, &a);
    collector_item_join(&more, &q);

    assert_ptr_equal(collector_item_pop(&more), &a);
    assert_ptr_equal(collector_item_pop(&more), &b);
    assert_ptr_equal(collector_item_pop(&more), &c);
    assert_null(collector_item_pop(&more));
    assert_null(more.last);

    assert_int_equal(collector_retry_ms(0), 500);
    assert_int_equal(collector_retry_ms(3), 4000);
    assert_int_equal(collector_retry_ms(4), 8000);
    assert_int_equal(collector_retry_ms(255), 8000);
}


static void
test_a_stored_message_is_tried_for_30_s(void **state)
{
    int64_t                now_ms, wait_ms;
    unsigned               tries;
    struct collector_item  item;

    (void) state;

    memset(&item, 0, sizeof(item));
    item.kind = ITEM_STORED;
    item.since_ms = now_ms = 1000;

    for (tries = 1; ; tries++) {
        wait_ms = collector_item_retry_ms(&item, now_ms);

        if (wait_ms < 0) {
            break;
        }

        now_ms += wait_ms;
        item.tries++;
    }

    assert_int_equal(tries, 7);     /* at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5 */
    assert_int_equal(now_ms, 1000 + 23500);

    item.tries = 0;
    assert_int_equal(collector_item_retry_ms(&item, 30500), 500);
    assert_int_equal(collector_item_retry_ms(&item, 30501), -1);

    item.kind = ITEM_LIVE;
    assert_int_equal(collector_item_retry_ms(&item, 1000), -1);
    item.kind = ITEM_ANSWER;
    assert_int_equal(collector_item_retry_ms(&item, 1000), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_node_line_stands_where_the_node_changes),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_a_stored_message_is_tried_for_30_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
