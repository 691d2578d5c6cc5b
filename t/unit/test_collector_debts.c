/*
 * collector_debts: a set with an overflow, and nothing is forgotten
 */

#include "collector_debts.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>


static void
assert_name(struct push_str name, const char *expected)
{
    assert_int_equal(name.len, strlen(expected));
    assert_memory_equal(name.data, expected, name.len);
}


/* Far enough from each other that nothing waits. */
static int64_t  now_ms;

#define back(d, debt)  collector_debts_back(d, debt, now_ms)


static struct collector_debt *
take(struct collector_debts *d, const char *expected)
{
    struct push_str         name;
    struct collector_debt  *debt;

    now_ms += 60000;
    debt = collector_debts_take(d, now_ms, &name);

    if (expected == NULL) {
        assert_null(debt);

    } else {
        assert_non_null(debt);
        assert_name(name, expected);
    }

    return debt;
}


static void
test_a_log_is_owed_once_and_the_oldest_first(void **state)
{
    struct collector_debt  *one, *two;
    struct collector_debts *d = collector_debts_create(DEBTS_MAX);

    (void) state;

    assert_non_null(d);
    assert_true(collector_debts_row(d) == INT64_MAX);
    take(d, NULL);

    collector_debts_add(d, PUSH_STR("user:b"), 7);
    collector_debts_add(d, PUSH_STR("user:a"), 5);
    collector_debts_add(d, PUSH_STR("user:b"), 9);
    collector_debts_add(d, PUSH_STR("user:b"), 0);

    assert_int_equal(collector_debts_count(d), 2);
    assert_int_equal(collector_debts_owed(d), 2);
    assert_int_equal(collector_debts_row(d), 5);

    one = take(d, "user:b");
    two = take(d, "user:a");
    take(d, NULL);
    assert_int_equal(collector_debts_count(d), 2);
    assert_int_equal(collector_debts_owed(d), 0);

    collector_debts_paid(d, one);
    assert_int_equal(collector_debts_row(d), 5);
    back(d, two);
    assert_int_equal(collector_debts_owed(d), 1);

    collector_debts_paid(d, take(d, "user:a"));
    assert_int_equal(collector_debts_count(d), 0);
    assert_true(collector_debts_row(d) == INT64_MAX);

    collector_debts_destroy(d);
}


static void
test_what_is_added_while_it_is_out_is_owed_again(void **state)
{
    struct collector_debt  *debt;
    struct collector_debts *d = collector_debts_create(DEBTS_MAX);

    (void) state;

    collector_debts_add(d, PUSH_STR("all"), 1);
    debt = take(d, "all");
    collector_debts_add(d, PUSH_STR("all"), 2);
    take(d, NULL);
    collector_debts_paid(d, debt);

    debt = take(d, "all");
    collector_debts_paid(d, debt);
    take(d, NULL);

    /* given back: once is enough */
    collector_debts_add(d, PUSH_STR("all"), 1);
    debt = take(d, "all");
    collector_debts_add(d, PUSH_STR("all"), 2);
    back(d, debt);
    collector_debts_paid(d, take(d, "all"));
    take(d, NULL);

    collector_debts_destroy(d);
}


static void
test_too_many_names_become_a_star(void **state)
{
    char                    text[32];
    unsigned                i;
    struct collector_debt  *out, *star;
    struct collector_debts *d = collector_debts_create(100);

    (void) state;

    for (i = 0; i < 100; i++) {
        struct push_str  name = { text,
                                  (size_t) sprintf(text, "user:u%u", i) };

        collector_debts_add(d, name, 1000 + i);
    }

    out = take(d, "user:u0");
    assert_int_equal(collector_debts_count(d), 100);

    collector_debts_add(d, PUSH_STR("user:one-more"), 5000);
    assert_int_equal(collector_debts_count(d), 1);
    assert_int_equal(collector_debts_row(d), 1000);

    /* the star covers whatever comes before it is sent */
    collector_debts_add(d, PUSH_STR("user:x"), 5001);
    assert_int_equal(collector_debts_count(d), 1);

    star = take(d, "*");
    collector_debts_add(d, PUSH_STR("user:y"), 5002);
    collector_debts_paid(d, star);
    assert_int_equal(collector_debts_count(d), 1);

    collector_debts_paid(d, take(d, "user:y"));

    /* one that was out all the time still holds the mark, and comes back */
    assert_int_equal(collector_debts_row(d), 1000);
    back(d, out);
    collector_debts_paid(d, take(d, "*"));
    assert_true(collector_debts_row(d) == INT64_MAX);

    collector_debts_destroy(d);
}


static void
test_a_star_that_is_out_is_owed_again_or_given_back(void **state)
{
    struct collector_debt  *star, *name;
    struct collector_debts *d = collector_debts_create(2);

    (void) state;

    collector_debts_add(d, PUSH_STR("*"), 0);
    star = take(d, "*");
    collector_debts_add(d, PUSH_STR("*"), 0);
    take(d, NULL);
    collector_debts_paid(d, star);
    star = take(d, "*");

    collector_debts_add(d, PUSH_STR("user:a"), 3);
    name = take(d, "user:a");
    back(d, star);
    collector_debts_paid(d, name);

    collector_debts_paid(d, take(d, "*"));
    take(d, NULL);
    assert_int_equal(collector_debts_count(d), 0);
    assert_true(collector_debts_row(d) == INT64_MAX);

    collector_debts_destroy(d);
}


static void
test_those_that_come_back_wait(void **state)
{
    unsigned                i;
    int64_t                 t;
    struct push_str         name;
    struct collector_debt  *one, *two;
    struct collector_debts *d = collector_debts_create(DEBTS_MAX);
    const int64_t           waits[] = { 500, 1000, 2000, 4000, 8000, 8000 };

    (void) state;

    collector_debts_add(d, PUSH_STR("user:a"), 0);
    collector_debts_add(d, PUSH_STR("user:b"), 0);

    for (i = 0, t = 1000; i < 6; i++) {
        one = collector_debts_take(d, t, &name);
        two = collector_debts_take(d, t, &name);
        assert_non_null(one);
        assert_non_null(two);

        collector_debts_back(d, one, t);
        collector_debts_back(d, two, t);

        assert_null(collector_debts_take(d, t + waits[i] - 1, &name));
        t += waits[i];
    }

    one = collector_debts_take(d, t, &name);
    two = collector_debts_take(d, t, &name);
    collector_debts_paid(d, one);
    collector_debts_back(d, two, t);
    assert_null(collector_debts_take(d, t + 499, &name));
    collector_debts_paid(d, collector_debts_take(d, t + 500, &name));

    collector_debts_destroy(d);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_log_is_owed_once_and_the_oldest_first),
        cmocka_unit_test(test_what_is_added_while_it_is_out_is_owed_again),
        cmocka_unit_test(test_too_many_names_become_a_star),
        cmocka_unit_test(test_a_star_that_is_out_is_owed_again_or_given_back),
        cmocka_unit_test(test_those_that_come_back_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
