/*
 * dispatcher_plan: routes, bindings, and what follows from each reply
 */

#include "../../dispatcher/dispatcher_plan.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A  UINT64_C(0x00000000000000aa)
#define B  UINT64_C(0x00000000000000bb)
#define C  UINT64_C(0x00000000000000cc)

#define ANSWER(word, n)                                                       \
    ((struct push_lines_answer) { PUSH_LINES_##word, n })


static struct dispatcher_plan_binding
at(uint64_t instance)
{
    struct dispatcher_plan_binding  b;

    memset(&b, 0, sizeof(b));
    b.instance = instance;

    return b;
}


static void
test_routes(void **state)
{
    unsigned  verb;

    (void) state;

    for (verb = 0; verb < PUSH_LINES_VERB_COUNT; verb++) {
        assert_int_equal(dispatcher_plan_route(verb, true), PLAN_ROUTE_NODE);
    }

    assert_int_equal(dispatcher_plan_route(PUSH_LINES_USER, false),
                     PLAN_ROUTE_LOOKUP);
    assert_int_equal(dispatcher_plan_route(PUSH_LINES_ALL, false),
                     PLAN_ROUTE_ALL);
    assert_int_equal(dispatcher_plan_route(PUSH_LINES_KICK, false),
                     PLAN_ROUTE_ALL);
    assert_int_equal(dispatcher_plan_route(PUSH_LINES_CONN, false),
                     PLAN_ROUTE_REFUSED);
    assert_int_equal(dispatcher_plan_route(PUSH_LINES_CLOSE, false),
                     PLAN_ROUTE_REFUSED);
}


static void
test_binding_members(void **state)
{
    size_t                          i;
    struct push_str                 s;
    struct dispatcher_plan_binding  b;
    const char                     *bad[] = {
        "", "/", "////", "edge-1", "edge-1/00000000000000aa",
        "edge-1/00000000000000aa/0100020000000003/d1",
        "edge-1/00000000000000aa/0100020000000003/d1/",
        "edge-1/00000000000000aa/0100020000000003/d1/12/",
        "edge-1/00000000000000aa/0100020000000003//12",
        "/00000000000000aa/0100020000000003/d1/12",
        "edge-1/00000000000000AA/0100020000000003/d1/12",
        "edge-1/aa/0100020000000003/d1/12",
        "edge 1/00000000000000aa/0100020000000003/d1/12",
        "edge-1/00000000000000aa/0100020000000003/d1/x",
    };

    (void) state;

    s = PUSH_STR("edge-1/00000000000000aa/0100020000000003/d:1/1700000000123");
    assert_int_equal(dispatcher_plan_binding_parse(s, &b), PUSH_OK);
    assert_true(push_str_eq(b.node, PUSH_STR("edge-1")));
    assert_true(push_str_eq(b.member, s));
    assert_int_equal(b.instance, A);

    s = PUSH_STR("e/00000000000000aa/0100020000000003/-/0");
    assert_int_equal(dispatcher_plan_binding_parse(s, &b), PUSH_OK);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s.data = bad[i];
        s.len = strlen(bad[i]);
        assert_int_equal(dispatcher_plan_binding_parse(s, &b), PUSH_ERROR);
    }
}


static void
test_nobody_bound(void **state)
{
    struct dispatcher_plan_item  item;

    (void) state;

    dispatcher_plan_init(&item);
    assert_int_equal(dispatcher_plan_targets(&item, NULL, 0), 0);
    assert_int_equal(dispatcher_plan_next(&item), PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_OFFLINE);
}


static void
test_two_devices_on_one_node(void **state)
{
    struct dispatcher_plan_item     item;
    struct dispatcher_plan_binding  b[] = { at(A), at(A), at(B) };

    (void) state;

    dispatcher_plan_init(&item);
    assert_int_equal(dispatcher_plan_targets(&item, b, 3), 2);
    assert_true(b[0].target);
    assert_false(b[1].target);
    assert_true(b[2].target);

    assert_int_equal(dispatcher_plan_reply(&item, A, A, ANSWER(OK, 2)),
                     PLAN_WAIT);
    assert_int_equal(dispatcher_plan_reply(&item, B, B, ANSWER(QUEUED, 1)),
                     PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_QUEUED);
    assert_int_equal(item.answer.count, 3);
}


static void
test_none_looks_once_more(void **state)
{
    struct dispatcher_plan_item     item;
    struct dispatcher_plan_binding  first[] = { at(A), at(A), at(B) };
    struct dispatcher_plan_binding  second[] = { at(B), at(C), at(A) };

    (void) state;

    dispatcher_plan_init(&item);
    dispatcher_plan_targets(&item, first, 3);
    assert_int_equal(dispatcher_plan_reply(&item, A, A, ANSWER(NONE, 0)),
                     PLAN_WAIT);
    assert_int_equal(first[0].state, PLAN_BINDING_STALE);
    assert_int_equal(first[1].state, PLAN_BINDING_STALE);
    assert_int_equal(dispatcher_plan_reply(&item, B, B, ANSWER(OK, 1)),
                     PLAN_LOOKUP);

    /* B has had it; A has the user again, and C is new */
    assert_int_equal(dispatcher_plan_targets(&item, second, 3), 2);
    assert_false(second[0].target);
    assert_true(second[1].target);
    assert_true(second[2].target);

    assert_int_equal(dispatcher_plan_reply(&item, C, C, ANSWER(OK, 1)),
                     PLAN_WAIT);
    assert_int_equal(dispatcher_plan_reply(&item, A, A, ANSWER(NONE, 0)),
                     PLAN_ANSWER);
    assert_int_equal(second[2].state, PLAN_BINDING_STALE);
    assert_int_equal(item.answer.reply, PUSH_LINES_OK);
    assert_int_equal(item.answer.count, 2);
}


static void
test_none_twice_is_offline(void **state)
{
    struct dispatcher_plan_item     item;
    struct dispatcher_plan_binding  first[] = { at(A) }, second[] = { at(B) };

    (void) state;

    dispatcher_plan_init(&item);
    dispatcher_plan_targets(&item, first, 1);
    assert_int_equal(dispatcher_plan_reply(&item, A, A, ANSWER(NONE, 0)),
                     PLAN_LOOKUP);
    dispatcher_plan_targets(&item, second, 1);
    assert_int_equal(dispatcher_plan_reply(&item, B, B, ANSWER(NONE, 0)),
                     PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_OFFLINE);

    /* and when nothing is left */
    first[0] = at(A);
    dispatcher_plan_init(&item);
    dispatcher_plan_targets(&item, first, 1);
    assert_int_equal(dispatcher_plan_reply(&item, A, A, ANSWER(NONE, 0)),
                     PLAN_LOOKUP);
    assert_int_equal(dispatcher_plan_targets(&item, NULL, 0), 0);
    assert_int_equal(dispatcher_plan_next(&item), PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_OFFLINE);
}


static void
test_none_of_another_instance_is_unknown(void **state)
{
    struct dispatcher_plan_item     item;
    struct dispatcher_plan_binding  b[] = { at(A) };

    (void) state;

    dispatcher_plan_init(&item);
    dispatcher_plan_targets(&item, b, 1);
    assert_int_equal(dispatcher_plan_reply(&item, A, B, ANSWER(NONE, 0)),
                     PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_UNKNOWN);
    assert_int_equal(b[0].state, PLAN_BINDING_HAD);
}


static void
test_unknown_is_answered_at_once(void **state)
{
    struct dispatcher_plan_item     item;
    struct dispatcher_plan_binding  b[] = { at(A), at(B) };

    (void) state;

    dispatcher_plan_init(&item);
    dispatcher_plan_targets(&item, b, 2);
    assert_int_equal(dispatcher_plan_reply(&item, A, A, ANSWER(NONE, 0)),
                     PLAN_WAIT);
    assert_int_equal(dispatcher_plan_reply(&item, B, 0, ANSWER(UNKNOWN, 0)),
                     PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_UNKNOWN);
    assert_int_equal(b[0].state, PLAN_BINDING_STALE);
}


static void
test_a_node_without_lease_counts_as_none(void **state)
{
    struct dispatcher_plan_item     item;
    struct dispatcher_plan_binding  b[] = { at(A), at(B) };

    (void) state;

    dispatcher_plan_init(&item);
    dispatcher_plan_targets(&item, b, 2);
    assert_int_equal(dispatcher_plan_gone(&item), PLAN_WAIT);
    assert_int_equal(dispatcher_plan_reply(&item, B, B, ANSWER(OK, 1)),
                     PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_OK);

    dispatcher_plan_init(&item);
    b[0] = at(A);
    dispatcher_plan_targets(&item, b, 1);
    assert_int_equal(dispatcher_plan_gone(&item), PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_OFFLINE);
    assert_int_equal(b[0].state, PLAN_BINDING_OPEN);
}


static void
test_sent_to_nodes_without_lookup(void **state)
{
    struct dispatcher_plan_item  item;

    (void) state;

    dispatcher_plan_init(&item);
    item.waiting = 2;
    assert_int_equal(dispatcher_plan_reply(&item, A, A, ANSWER(NONE, 0)),
                     PLAN_WAIT);
    assert_int_equal(dispatcher_plan_reply(&item, B, B, ANSWER(NONE, 0)),
                     PLAN_ANSWER);
    assert_int_equal(item.answer.reply, PUSH_LINES_NONE);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_binding_members),
        cmocka_unit_test(test_nobody_bound),
        cmocka_unit_test(test_two_devices_on_one_node),
        cmocka_unit_test(test_none_looks_once_more),
        cmocka_unit_test(test_none_twice_is_offline),
        cmocka_unit_test(test_none_of_another_instance_is_unknown),
        cmocka_unit_test(test_unknown_is_answered_at_once),
        cmocka_unit_test(test_a_node_without_lease_counts_as_none),
        cmocka_unit_test(test_sent_to_nodes_without_lookup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
