/*
 * collector_mark: nothing below the mark is still needed
 */

#include "collector_mark.h"

#include <stdarg.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define NO_DEBTS  INT64_MAX


static void
add(struct collector_mark *m, struct collector_item *item, int64_t row)
{
    memset(item, 0, sizeof(*item));
    item->row = row;
    collector_mark_seen(m, row);
    collector_mark_add(m, item);
}


static void
test_the_lowest_that_waits_holds_the_mark(void **state)
{
    struct collector_mark  m;
    struct collector_item  a, b, c;

    (void) state;

    collector_mark_init(&m, 5, false);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 5);

    add(&m, &a, 7);
    add(&m, &c, 10);
    add(&m, &b, 9);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 6);

    collector_mark_remove(&m, &b);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 6);
    collector_mark_remove(&m, &a);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 9);
    collector_mark_remove(&m, &c);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 10);
    assert_int_equal(m.now.count, 0);

    /* a debt holds it as well, and it never goes back */

    collector_mark_seen(&m, 12);
    assert_int_equal(collector_mark_row(&m, 11), 10);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 12);
    m.put = 12;
    assert_int_equal(collector_mark_row(&m, 3), 12);
}


static void
test_repair_ends_where_this_process_begins(void **state)
{
    int64_t                after, until;
    struct collector_mark  m;
    struct collector_item  old, new;

    (void) state;

    collector_mark_init(&m, 5, true);
    assert_true(collector_mark_repair(&m, &after, &until));
    assert_int_equal(after, 5);
    assert_int_equal(until, 0);

    add(&m, &new, 21);
    collector_mark_remove(&m, &new);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 5);

    assert_true(collector_mark_repair(&m, &after, &until));
    assert_int_equal(until, 20);

    memset(&old, 0, sizeof(old));
    old.row = 8;
    old.repair = 1;
    collector_mark_add(&m, &old);
    collector_mark_repaired(&m, 15, false);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 7);
    assert_true(collector_mark_repair(&m, &after, &until));
    assert_int_equal(after, 15);

    collector_mark_remove(&m, &old);
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 15);

    collector_mark_repaired(&m, 20, false);
    assert_false(collector_mark_repair(&m, &after, &until));
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 21);
}


static void
test_repair_of_a_quiet_store_ends_with_the_last_page(void **state)
{
    int64_t                after, until;
    struct collector_mark  m;

    (void) state;

    collector_mark_init(&m, 5, true);
    collector_mark_repaired(&m, 9, false);
    assert_true(collector_mark_repair(&m, &after, &until));
    collector_mark_repaired(&m, 9, true);
    assert_false(collector_mark_repair(&m, &after, &until));
    assert_int_equal(collector_mark_row(&m, NO_DEBTS), 9);

    collector_mark_init(&m, 5, false);
    assert_false(collector_mark_repair(&m, &after, &until));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_the_lowest_that_waits_holds_the_mark),
        cmocka_unit_test(test_repair_ends_where_this_process_begins),
        cmocka_unit_test(test_repair_of_a_quiet_store_ends_with_the_last_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
