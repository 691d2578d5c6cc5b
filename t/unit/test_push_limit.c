/*
 * push_limit: counts that are never too low, levels that run off
 */

#include "push_limit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>


static struct push_limit_counts  counts;

static uint64_t
hash(unsigned i)
{
    static const uint64_t  key[2] = { 1, 2 };
    char                   name[32];

    return push_limit_hash(key, name,
                           (size_t) snprintf(name, sizeof(name), "u%u", i));
}


/* test vectors of the reference implementation: bytes 0, 1, 2... */

static void
test_the_hash_is_siphash(void **state)
{
    static const struct {
        size_t    len;
        uint64_t  hash;
    } cases[] = {
        { 0, UINT64_C(0x726fdb47dd0e0e31) },
        { 1, UINT64_C(0x74f839c593dc67fd) },
        { 7, UINT64_C(0xab0200f58b01d137) },
        { 8, UINT64_C(0x93f5f5799a932462) },
        { 15, UINT64_C(0xa129ca6149be45e5) }
    };

    size_t         i;
    uint64_t       key[2] = { UINT64_C(0x0706050403020100),
                              UINT64_C(0x0f0e0d0c0b0a0908) };
    unsigned char  data[16];

    (void) state;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char) i;
    }

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(push_limit_hash(key, data, cases[i].len)
                    == cases[i].hash);
    }
}


static void
test_what_is_removed_is_gone(void **state)
{
    unsigned  i;

    (void) state;

    memset(&counts, 0, sizeof(counts));

    for (i = 0; i < 3; i++) {
        assert_int_equal(push_limit_get(&counts, hash(1)), i);
        assert_int_equal(push_limit_add(&counts, hash(1)), PUSH_OK);
    }

    assert_int_equal(push_limit_get(&counts, hash(1)), 3);
    assert_int_equal(push_limit_get(&counts, hash(2)), 0);

    for (i = 3; i > 0; i--) {
        push_limit_remove(&counts, hash(1));
        assert_int_equal(push_limit_get(&counts, hash(1)), i - 1);
    }

    /* once too often is no underflow */
    push_limit_remove(&counts, hash(1));
    assert_int_equal(push_limit_get(&counts, hash(1)), 0);
}


static void
test_a_count_is_never_too_low_and_seldom_too_high(void **state)
{
    unsigned  i, n, high;

    (void) state;

    memset(&counts, 0, sizeof(counts));

    /* i has i % 3 connections */

    for (i = 0; i < 100000; i++) {
        for (n = 0; n < i % 3; n++) {
            assert_int_equal(push_limit_add(&counts, hash(i)), PUSH_OK);
        }
    }

    high = 0;

    for (i = 0; i < 100000; i++) {
        n = push_limit_get(&counts, hash(i));
        assert_true(n >= i % 3);
        high += (n > i % 3 + 2);
    }

    assert_true(high < 1000);

    for (i = 0; i < 100000; i++) {
        for (n = 0; n < i % 3; n++) {
            push_limit_remove(&counts, hash(i));
        }
    }

    for (i = 0; i < 100000; i++) {
        assert_int_equal(push_limit_get(&counts, hash(i)), 0);
    }
}


static void
test_a_full_count_stays_as_it_is(void **state)
{
    unsigned  i;

    (void) state;

    memset(&counts, 0, sizeof(counts));

    for (i = 0; i < PUSH_LIMIT_MAX; i++) {
        assert_int_equal(push_limit_add(&counts, hash(1)), PUSH_OK);
    }

    assert_int_equal(push_limit_add(&counts, hash(1)), PUSH_DECLINED);
    assert_int_equal(push_limit_get(&counts, hash(1)), PUSH_LIMIT_MAX);

    push_limit_remove(&counts, hash(1));
    assert_int_equal(push_limit_get(&counts, hash(1)), PUSH_LIMIT_MAX - 1);
}


static void
test_a_level_runs_off_with_time(void **state)
{
    static const struct {
        uint32_t  level, rate, elapsed_ms, left;
    } cases[] = {
        { 0, 10, 1000, 0 },
        { 5000, 10, 0, 5000 },
        { 5000, 10, 1, 4990 },
        { 5000, 10, 499, 10 },
        { 5000, 10, 500, 0 },
        { 5000, 10, 501, 0 },
        { 5000, 0, 1000000, 5000 },
        { 1000, 10000, UINT32_MAX, 0 },
        { UINT32_MAX, 1, 1, UINT32_MAX - 1 }
    };

    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(push_limit_drained(cases[i].level, cases[i].rate,
                                            cases[i].elapsed_ms),
                         cases[i].left);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_the_hash_is_siphash),
        cmocka_unit_test(test_what_is_removed_is_gone),
        cmocka_unit_test(test_a_count_is_never_too_low_and_seldom_too_high),
        cmocka_unit_test(test_a_full_count_stays_as_it_is),
        cmocka_unit_test(test_a_level_runs_off_with_time)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
