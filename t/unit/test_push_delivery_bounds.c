/*
 * push_delivery: where its fields end: the highest numbers, the whole window,
 * units of time, all around the wrap of the clock
 */

#include "push_delivery.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LATE  (2 * PUSH_DELIVERY_SINCE_MS)

static const uint32_t clocks[] = {
    0, 1, 127, 128, 129, 12345, 0x7fffffff, 0x80000000u, 0xffffff80u,
    0xffffffffu - PUSH_DELIVERY_SLOW_MS, 0xffff0000u, 0xffffffffu
};

#define CLOCKS  (sizeof(clocks) / sizeof(clocks[0]))


/* A connection that has had its first answer. */
static struct push_delivery
live(int64_t seq, unsigned window, uint32_t now)
{
    struct push_delivery  d;

    push_delivery_init(&d, seq, window, now);
    push_delivery_asked(&d, 1, now, 0);
    assert_int_equal(push_delivery_begin(&d, 1, seq), PUSH_DELIVERY_HAD);
    assert_int_equal(push_delivery_tip(&d, 1, seq, now), PUSH_DELIVERY_WRITE);

    return d;
}


static void
test_highest_numbers(void **state)
{
    int64_t               from;
    struct push_delivery  d = live(PUSH_SEQ_MAX - 3, 16, 0);

    (void) state;

    assert_int_equal(push_delivery_push(&d, PUSH_SEQ_MAX - 2, true, 0),
                     PUSH_DELIVERY_WRITE);
    assert_int_equal(push_delivery_push(&d, PUSH_SEQ_MAX, true, 0),
                     PUSH_DELIVERY_GAP);
    assert_int_equal(push_delivery_want(&d), PUSH_SEQ_MAX);

    push_delivery_asked(&d, 2, 0, 0);
    (void) push_delivery_begin(&d, 2, PUSH_SEQ_MAX - 2);
    assert_int_equal(push_delivery_message(&d, PUSH_SEQ_MAX - 1, true, 0),
                     PUSH_DELIVERY_WRITE);
    assert_int_equal(push_delivery_message(&d, PUSH_SEQ_MAX, true, 0),
                     PUSH_DELIVERY_WRITE);
    assert_int_equal(push_delivery_tip(&d, 2, PUSH_SEQ_MAX, 0),
                     PUSH_DELIVERY_WRITE);

    assert_int_equal(push_delivery_sent(&d), PUSH_SEQ_MAX);
    assert_int_equal(push_delivery_acked(&d), PUSH_SEQ_MAX - 3);
    assert_int_equal(push_delivery_ack(&d, PUSH_SEQ_MAX, 0),
                     PUSH_DELIVERY_WRITE);
    assert_int_equal(push_delivery_acked(&d), PUSH_SEQ_MAX);
    assert_int_equal(push_delivery_heard(&d, PUSH_SEQ_MAX, 0),
                     PUSH_DELIVERY_HAD);

    /* from nothing to the end, in one void, and by a jump */

    d = live(0, 1, 0);
    push_delivery_resync(&d, 0);
    push_delivery_asked(&d, 2, 0, 0);
    (void) push_delivery_begin(&d, 2, 0);
    from = 1;
    assert_int_equal(push_delivery_void(&d, &from, PUSH_SEQ_MAX, 0),
                     PUSH_DELIVERY_WRITE);
    assert_int_equal(from, 1);
    assert_int_equal(push_delivery_sent(&d), PUSH_SEQ_MAX);
    assert_int_equal(push_delivery_acked(&d), PUSH_SEQ_MAX);
    assert_int_equal(push_delivery_want(&d), PUSH_SEQ_MAX);

    d = live(7, 16, 0);
    assert_int_equal(push_delivery_push(&d, 8, true, 0), PUSH_DELIVERY_WRITE);
    push_delivery_jump(&d, PUSH_SEQ_MAX);
    assert_int_equal(push_delivery_sent(&d), PUSH_SEQ_MAX);
    assert_int_equal(push_delivery_acked(&d), PUSH_SEQ_MAX);
    assert_int_equal(push_delivery_want(&d), PUSH_SEQ_MAX);
    push_delivery_jump(&d, 3);
    assert_int_equal(push_delivery_sent(&d), 3);
    assert_int_equal(push_delivery_want(&d), PUSH_SEQ_MAX);
}


static void
test_whole_window(void **state)
{
    int64_t               seq;
    unsigned              window;
    struct push_delivery  d;

    (void) state;

    for (window = 1; window <= PUSH_WINDOW_MAX; window++) {
        d = live(0, window, 0);

        for (seq = 1; seq <= window; seq++) {
            assert_int_equal(push_delivery_push(&d, seq, true, 0),
                             PUSH_DELIVERY_WRITE);
            assert_int_equal(push_delivery_credit(&d), window - seq);
        }

        assert_int_equal(push_delivery_push(&d, seq, true, 0),
                         PUSH_DELIVERY_SLOW);
        assert_int_equal(push_delivery_sent(&d), window);
        assert_int_equal(push_delivery_acked(&d), 0);

        assert_int_equal(push_delivery_ack(&d, window, 0),
                         PUSH_DELIVERY_WRITE);
        assert_int_equal(push_delivery_credit(&d), window);
    }

    d = live(0, PUSH_WINDOW_MAX + 1000, 0);
    assert_int_equal(push_delivery_credit(&d), PUSH_WINDOW_MAX);
    d = live(0, 0, 0);
    assert_int_equal(push_delivery_credit(&d), 1);
}


static void
test_unknown_is_kept(void **state)
{
    struct push_delivery  d;

    (void) state;

    push_delivery_init(&d, PUSH_DELIVERY_UNKNOWN, 16, 0);
    assert_int_equal(push_delivery_sent(&d), PUSH_DELIVERY_UNKNOWN);
    assert_int_equal(push_delivery_acked(&d), PUSH_DELIVERY_UNKNOWN);
    assert_int_equal(push_delivery_want(&d), PUSH_DELIVERY_UNKNOWN);
    assert_int_equal(push_delivery_ack(&d, 1, 0), PUSH_DELIVERY_BAD);

    push_delivery_asked(&d, 0xffffffffu, 0, 0);
    assert_int_equal(push_delivery_begin(&d, 0x7fffffffu, 5),
                     PUSH_DELIVERY_SKIP);
    assert_int_equal(push_delivery_begin(&d, 0xffffffffu, PUSH_SEQ_MAX),
                     PUSH_DELIVERY_HAD);
    assert_int_equal(push_delivery_sent(&d), PUSH_SEQ_MAX);
}


/* Never before 60 s, never later than two units after, whatever the clock. */
static void
test_slow_in_units(void **state)
{
    size_t                i;
    uint32_t              start, now, at, phase;
    struct push_delivery  d;

    (void) state;

    for (i = 0; i < CLOCKS; i++) {
        for (phase = 0; phase < 3 * PUSH_DELIVERY_SINCE_MS; phase++) {

            start = clocks[i] + phase;
            d = live(0, 16, start - 5000);

            assert_false(push_delivery_slow_at(&d, start, &at));
            assert_int_equal(push_delivery_push(&d, 1, true, start),
                             PUSH_DELIVERY_WRITE);

            now = start + PUSH_DELIVERY_SLOW_MS - 1;
            assert_false(push_delivery_is_slow(&d, start));
            assert_false(push_delivery_is_slow(&d, now));
            assert_true(push_delivery_is_slow(&d, now + 1 + LATE));

            /* what slow_at says at any time before is when it begins */

            assert_true(push_delivery_slow_at(&d, start, &at));
            assert_true(at - start >= PUSH_DELIVERY_SLOW_MS);
            assert_true(at - start <= PUSH_DELIVERY_SLOW_MS + LATE);
            assert_true(push_delivery_is_slow(&d, at));
            assert_false(push_delivery_is_slow(&d, at - 1));

            now = at;
            assert_true(push_delivery_slow_at(&d, now - 1, &at));
            assert_int_equal(at, now);
            assert_true(push_delivery_slow_at(&d, now + 777, &at));
            assert_int_equal(at, now + 777);

            /* an hour later it still is */

            assert_true(push_delivery_is_slow(&d, start + 3600 * 1000));

            /* progress: from then on */

            assert_int_equal(push_delivery_push(&d, 2, true, now),
                             PUSH_DELIVERY_WRITE);
            assert_int_equal(push_delivery_ack(&d, 1, now),
                             PUSH_DELIVERY_WRITE);
            assert_false(push_delivery_is_slow(&d,
                                            now + PUSH_DELIVERY_SLOW_MS - 1));
            assert_int_equal(push_delivery_ack(&d, 2, now),
                             PUSH_DELIVERY_WRITE);
            assert_false(push_delivery_is_slow(&d, now + 3600 * 1000));
        }
    }
}


/* The clock of requests goes on being whole milliseconds. */
static void
test_due_is_exact(void **state)
{
    size_t                i;
    uint32_t              at;
    struct push_delivery  d;

    (void) state;

    for (i = 0; i < CLOCKS; i++) {
        d = live(0, 16, clocks[i]);
        push_delivery_resync(&d, clocks[i]);
        push_delivery_asked(&d, 2, clocks[i], 0);
        assert_true(push_delivery_timer(&d, &at));
        assert_int_equal(at, (uint32_t) (clocks[i]
                                         + PUSH_DELIVERY_REPEAT_MS / 2));
        assert_false(push_delivery_ask_due(&d, at - 1));
        assert_true(push_delivery_ask_due(&d, at));
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_highest_numbers),
        cmocka_unit_test(test_whole_window),
        cmocka_unit_test(test_unknown_is_kept),
        cmocka_unit_test(test_slow_in_units),
        cmocka_unit_test(test_due_is_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
