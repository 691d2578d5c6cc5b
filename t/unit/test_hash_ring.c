/*
 * hash_ring: the same everywhere, even, and little moves when one is added
 */

#include "hash_ring.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEYS  20000

static struct push_str
key(char *to, unsigned i)
{
    struct push_str  s = { to, (size_t) sprintf(to, "user:u%u", i) };

    return s;
}


static void
test_order_of_members_does_not_matter(void **state)
{
    char              text[32];
    unsigned          i;
    struct hash_ring *one, *two;
    struct push_str   a[] = { PUSH_STR("http://10.0.0.1:7719"),
                              PUSH_STR("http://10.0.0.2:7719"),
                              PUSH_STR("http://10.0.0.3:7719") };
    struct push_str   b[] = { a[2], a[0], a[1] };

    (void) state;

    one = hash_ring_create(a, 3);
    two = hash_ring_create(b, 3);
    assert_non_null(one);
    assert_non_null(two);

    for (i = 0; i < KEYS; i++) {
        assert_true(push_str_eq(a[hash_ring_find(one, key(text, i))],
                                b[hash_ring_find(two, key(text, i))]));
    }

    /* The answers of all versions and machines: part of the contract. */

    assert_int_equal(hash_ring_find(one, PUSH_STR("user:u1")), 2);
    assert_int_equal(hash_ring_find(one, PUSH_STR("user:u2")), 0);
    assert_int_equal(hash_ring_find(one, PUSH_STR("all")), 0);
    assert_int_equal(hash_ring_find(one, PUSH_STR("group:g")), 0);

    hash_ring_destroy(one);
    hash_ring_destroy(two);
}


static void
test_even_and_little_moves(void **state)
{
    char              text[32];
    size_t            was, is;
    unsigned          i, n, count[5] = { 0 }, moved = 0;
    struct hash_ring *four, *five;
    struct push_str   names[] = { PUSH_STR("a"), PUSH_STR("b"),
                                  PUSH_STR("c"), PUSH_STR("d"),
                                  PUSH_STR("e") };

    (void) state;

    four = hash_ring_create(names, 4);
    five = hash_ring_create(names, 5);
    assert_non_null(four);
    assert_non_null(five);

    for (i = 0; i < KEYS; i++) {
        was = hash_ring_find(four, key(text, i));
        is = hash_ring_find(five, key(text, i));

        count[is]++;

        if (was != is) {
            assert_int_equal(is, 4);    /* only to the new one */
            moved++;
        }
    }

    for (n = 0; n < 5; n++) {
        assert_in_range(count[n], KEYS / 5 * 7 / 10, KEYS / 5 * 13 / 10);
    }

    assert_int_equal(moved, count[4]);

    hash_ring_destroy(four);
    hash_ring_destroy(five);
}


static void
test_next_best(void **state)
{
    char              text[32];
    size_t            order[6], less[6];
    unsigned          i, j;
    struct hash_ring *five, *one;
    struct push_str   names[] = { PUSH_STR("a"), PUSH_STR("b"),
                                  PUSH_STR("c"), PUSH_STR("d"),
                                  PUSH_STR("e") };

    (void) state;

    five = hash_ring_create(names, 5);
    one = hash_ring_create(names, 1);
    assert_non_null(five);
    assert_non_null(one);

    for (i = 0; i < 200; i++) {
        assert_int_equal(hash_ring_order(five, key(text, i), order, 6), 5);
        assert_int_equal(order[0], hash_ring_find(five, key(text, i)));

        for (j = 1; j < 5; j++) {
            assert_true(order[j] != order[0] && order[j] < 5);
        }

        assert_int_equal(order[0] + order[1] + order[2] + order[3] + order[4],
                         10);
        assert_int_equal(hash_ring_order(five, key(text, i), less, 2), 2);
        assert_memory_equal(less, order, 2 * sizeof(order[0]));

        assert_int_equal(hash_ring_find(one, key(text, i)), 0);
        assert_int_equal(hash_ring_order(one, key(text, i), less, 6), 1);
    }

    assert_int_equal(hash_ring_order(five, PUSH_STR("x"), less, 0), 0);
    assert_null(hash_ring_create(names, 0));

    hash_ring_destroy(five);
    hash_ring_destroy(one);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_members_does_not_matter),
        cmocka_unit_test(test_even_and_little_moves),
        cmocka_unit_test(test_next_best),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
