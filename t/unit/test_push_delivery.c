/*
 * push_delivery: each rule of docs/rules.md 2 once, one after the other; a
 * random run of the whole is in test_push_delivery_random.c
 */

#include "push_delivery.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WRITE  PUSH_DELIVERY_WRITE
#define HAD    PUSH_DELIVERY_HAD
#define GAP    PUSH_DELIVERY_GAP
#define SLOW   PUSH_DELIVERY_SLOW
#define SKIP   PUSH_DELIVERY_SKIP
#define BAD    PUSH_DELIVERY_BAD

#define push(seq)        push_delivery_push(&d, seq, true, now)
#define push_full(seq)   push_delivery_push(&d, seq, false, now)
#define message(seq)     push_delivery_message(&d, seq, true, now)
#define begin(rid, seq)  push_delivery_begin(&d, rid, seq)
#define tip(rid, seq)    push_delivery_tip(&d, rid, seq, now)
#define ack(seq)         push_delivery_ack(&d, seq, now)
#define due()            push_delivery_ask_due(&d, now)
#define asked(rid)       push_delivery_asked(&d, rid, now, 1000)
#define expect(what, verdict)  assert_int_equal(what, verdict)
#define expect_sent(s, a, w)                                                  \
    assert_int_equal(push_delivery_sent(&d), s);                              \
    assert_int_equal(push_delivery_acked(&d), a);                             \
    assert_int_equal(push_delivery_want(&d), w)

/* is_slow() counts in units: never early, at most two of them late */
#define LATE  (2 * PUSH_DELIVERY_SINCE_MS)


/* A connection that has had its first answer: sent == acked == want == seq. */
static struct push_delivery
live(int64_t seq, unsigned window, uint32_t now)
{
    struct push_delivery  d;

    push_delivery_init(&d, seq, window, now);
    asked(1);
    expect(begin(1, seq), HAD);
    expect(tip(1, seq), WRITE);
    assert_false(due());

    return d;
}


/* The wait until something is due, -1 for never. */
static int64_t
wait_of(const struct push_delivery *d, uint32_t now)
{
    uint32_t  at;

    return push_delivery_timer(d, &at) ? (int64_t) (int32_t) (at - now) : -1;
}


static void
test_first_answer(void **state)
{
    uint32_t              now = 4294967290u;    /* the clock may wrap */
    struct push_delivery  d;

    (void) state;

    push_delivery_init(&d, PUSH_DELIVERY_UNKNOWN, 16, now);
    assert_true(due());
    assert_int_equal(push_delivery_credit(&d), 16);

    /* nothing is written before the first answer, it may be a reset */
    expect(push(1), GAP);
    asked(7);
    assert_false(due());
    expect(push(8), GAP);

    expect(message(5), SKIP);
    expect(begin(7, 4), HAD);
    expect_sent(4, 4, 8);
    expect(message(4), HAD);
    expect(message(5), WRITE);
    expect(message(6), WRITE);
    expect(push(7), GAP);                   /* asking: forgotten */
    expect(tip(7, 6), HAD);                 /* it moved: ask again at once */
    assert_true(due());

    asked(8);
    expect(begin(8, 6), HAD);
    expect(message(7), WRITE);
    expect(message(8), WRITE);
    expect(tip(8, 8), WRITE);               /* synced */
    assert_int_equal(wait_of(&d, now), -1);
    expect_sent(8, 4, 8);

    expect(push(9), WRITE);
    expect(push(9), HAD);
    expect(push(3), HAD);
}


static void
test_known_cursor_waits_for_the_answer(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d;

    (void) state;

    push_delivery_init(&d, 17, 16, now);
    expect_sent(17, 17, 17);
    expect(push(18), GAP);
    asked(1);
    expect(push(18), GAP);
    expect(begin(1, 17), HAD);
    expect(message(18), WRITE);
    expect(tip(1, 18), WRITE);
}


static void
test_empty_log_is_synced(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d;

    (void) state;

    push_delivery_init(&d, PUSH_DELIVERY_UNKNOWN, 16, now);
    asked(1);
    expect(begin(1, 0), HAD);
    expect(tip(1, 0), WRITE);
    expect_sent(0, 0, 0);
}


static void
test_gap_is_asked_for_once(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(5, 16, now);

    (void) state;

    expect(push(8), GAP);
    assert_true(due());
    expect(push(9), GAP);
    expect(push(6), WRITE);         /* not asking yet: the late one may pass */

    asked(2);
    expect(push(7), GAP);           /* now the answer brings it */
    expect(begin(2, 6), HAD);
    expect(message(7), WRITE);
    expect(message(8), WRITE);
    expect(message(9), WRITE);
    expect(tip(2, 9), WRITE);
    assert_int_equal(wait_of(&d, now), -1);
}


static void
test_credit(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(0, 4, now);

    (void) state;

    expect(push(1), WRITE);
    expect(push(2), WRITE);
    expect(push(3), WRITE);
    expect(push(4), WRITE);
    assert_int_equal(push_delivery_credit(&d), 0);
    expect(push(5), SLOW);
    expect_sent(4, 0, 5);
    now += 1000;
    assert_false(due());
    assert_int_equal(wait_of(&d, now), -1);     /* the ack wakes it up */

    expect(ack(1), WRITE);
    assert_int_equal(wait_of(&d, now), 200);    /* a quarter: within 200 ms */
    now += 50;
    expect(ack(2), WRITE);
    assert_true(due());                         /* the half: at once */

    expect(ack(2), HAD);
    expect(ack(1), HAD);
    expect(ack(0), HAD);
    expect(ack(5), BAD);
    expect_sent(4, 2, 5);

    asked(2);
    expect(begin(2, 4), HAD);
    expect(message(5), WRITE);
    expect(message(6), WRITE);
    expect(message(7), SLOW);
    expect(tip(2, 9), HAD);
    assert_int_equal(wait_of(&d, now), -1);
    expect(ack(6), WRITE);
    assert_true(due());
}


static void
test_ack_before_anything_is_known(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d;

    (void) state;

    push_delivery_init(&d, PUSH_DELIVERY_UNKNOWN, 4, now);
    expect(ack(0), HAD);
    expect(ack(1), BAD);
}


static void
test_window_of_one(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(0, 1, now);

    (void) state;

    expect(push(1), WRITE);
    expect(push(2), SLOW);
    expect(ack(1), WRITE);
    assert_true(due());
    asked(2);
    expect(begin(2, 1), HAD);
    expect(message(2), WRITE);
    expect(tip(2, 2), WRITE);
}


static void
test_full_queue(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(0, 16, now);

    (void) state;

    expect(push_full(1), SLOW);
    expect(push(2), GAP);
    now += 5000;
    assert_false(due());                /* not before it has drained to half */
    push_delivery_room(&d, now);
    assert_true(due());

    /* full again in the middle of the answer */
    asked(2);
    expect(begin(2, 0), HAD);
    expect(push_delivery_message(&d, 1, false, now), SLOW);
    expect(message(2), GAP);
    expect(tip(2, 2), HAD);
    assert_int_equal(wait_of(&d, now), -1);
    push_delivery_room(&d, now);
    assert_int_equal(wait_of(&d, now), 0);      /* no back-off for our fault */
    push_delivery_room(&d, now);

    asked(3);
    expect(begin(3, 0), HAD);
    expect(message(1), WRITE);
    expect(message(2), WRITE);
    expect(tip(3, 2), WRITE);
    now += 10;
    push_delivery_room(&d, now);        /* nothing was forgotten */
    assert_int_equal(wait_of(&d, now), -1);
}


static void
test_other_rid_is_skipped(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(0, 16, now);

    (void) state;

    expect(begin(1, 0), SKIP);          /* nobody asked */
    expect(message(1), SKIP);
    expect(tip(1, 1), SKIP);

    push_delivery_resync(&d, now);
    asked(2);
    now += 60000;
    asked(3);

    expect(begin(2, 0), SKIP);
    expect(message(1), SKIP);
    expect(tip(2, 1), SKIP);
    expect_sent(0, 0, 0);

    /* the old one between the bodies of the new one */
    expect(begin(3, 0), HAD);
    expect(message(1), WRITE);
    expect(begin(2, 0), SKIP);
    expect(message(2), SKIP);
    expect(tip(3, 2), HAD);
    assert_true(due());
}


static void
test_void(void **state)
{
    int64_t               from;
    uint32_t              now = 0;
    struct push_delivery  d = live(0, 16, now);

#define voided(a, b)  (from = (a), push_delivery_void(&d, &from, b, now))

    (void) state;

    expect(voided(1, 3), SKIP);

    push_delivery_resync(&d, now);
    asked(2);
    expect(begin(2, 0), HAD);
    expect(voided(1, 3), WRITE);
    assert_int_equal(from, 1);
    expect_sent(3, 3, 3);
    expect(ack(2), HAD);                /* inside of the range */
    expect(voided(2, 5), WRITE);        /* the rest of it */
    assert_int_equal(from, 4);
    expect(voided(1, 5), HAD);
    expect(voided(7, 8), GAP);          /* 6 is missing */
    expect(message(6), WRITE);
    expect(voided(7, 8), GAP);          /* not all is acked */
    expect(message(9), GAP);
    expect(tip(2, 9), HAD);
    expect_sent(6, 5, 9);

    now += 100000;
    assert_false(due());                /* asked for after the ack */
    expect(ack(6), WRITE);
    assert_true(due());

    asked(3);
    expect(begin(3, 6), HAD);
    expect(voided(7, 8), WRITE);
    expect(message(9), WRITE);
    expect(tip(3, 9), WRITE);

    /* the ack comes between the void and the tip */
    push_delivery_resync(&d, now);
    asked(4);
    expect(begin(4, 9), HAD);
    expect(voided(10, 11), GAP);
    expect(ack(9), WRITE);
    expect(tip(4, 11), HAD);
    assert_true(due());
    asked(5);
    expect(begin(5, 9), HAD);
    expect(voided(10, 11), WRITE);
    expect(tip(5, 11), WRITE);
}


static void
test_repeats(void **state)
{
    unsigned              i;
    uint32_t              now = 77;
    struct push_delivery  d = live(0, 16, now);
    const uint32_t        waits[] = { 2000, 4000, 8000, 16000, 30000, 30000 };

    (void) state;

    push_delivery_resync(&d, now);

    for (i = 0; i < 6; i++) {
        assert_true(due());
        push_delivery_asked(&d, i + 10, now, 0);
        assert_int_equal(wait_of(&d, now), waits[i] / 2);
        now += waits[i] / 2;
    }

    /* random numbers spread them over +- 50 % */
    push_delivery_asked(&d, 20, now, 30000);
    assert_int_equal(wait_of(&d, now), 45000);
    push_delivery_asked(&d, 21, now, UINT32_MAX);
    assert_in_range(wait_of(&d, now), 15000, 45000);

    expect(tip(20, 9), SKIP);
    expect(begin(21, 0), HAD);
    expect(tip(21, 0), HAD);

    push_delivery_resync(&d, now);
    push_delivery_asked(&d, 22, now, 1000);
    assert_int_equal(wait_of(&d, now), 2000);       /* from the start again */
}


static void
test_answers_that_move_nothing(void **state)
{
    unsigned              i;
    uint32_t              now = 5;
    struct push_delivery  d = live(0, 16, now);
    const int64_t         waits[] = { 100, 200, 400, 800, 1600, 3200, 6400,
                                      12800, 25600, 30000, 30000, 30000 };

    (void) state;

    expect(push(2), GAP);

    for (i = 0; i < 12; i++) {
        asked(i + 2);
        expect(begin(i + 2, 0), HAD);
        expect(tip(i + 2, 0), HAD);
        assert_int_equal(wait_of(&d, now), waits[i]);
        now += (uint32_t) waits[i];
        assert_true(due());
    }

    asked(50);
    expect(begin(50, 0), HAD);
    expect(message(1), WRITE);
    expect(tip(50, 1), HAD);
    assert_int_equal(wait_of(&d, now), 0);          /* it moved: at once */

    asked(51);
    expect(begin(51, 1), HAD);
    expect(tip(51, 1), HAD);
    assert_int_equal(wait_of(&d, now), 100);
}


static void
test_trigger_while_asking(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(3, 16, now);

    (void) state;

    push_delivery_resync(&d, now);
    assert_true(due());
    asked(2);
    push_delivery_resync(&d, now);      /* the store may be read already */
    assert_false(due());
    expect(begin(2, 3), HAD);
    expect(tip(2, 3), HAD);             /* no synced: nothing was missing */
    assert_true(due());
    asked(3);
    expect(begin(3, 3), HAD);
    expect(message(4), WRITE);
    expect(tip(3, 4), WRITE);           /* something was: synced */
    assert_int_equal(wait_of(&d, now), -1);

    /* a repeat is a new look at the store */
    push_delivery_resync(&d, now);
    asked(4);
    push_delivery_resync(&d, now);
    now += 60000;
    asked(5);
    expect(begin(5, 4), HAD);
    expect(tip(5, 4), HAD);
    assert_int_equal(wait_of(&d, now), -1);
}


static void
test_trigger_ends_a_back_off(void **state)
{
    unsigned              i;
    uint32_t              now = 0;
    struct push_delivery  d = live(0, 16, now);

    (void) state;

    expect(push(2), GAP);

    for (i = 2; i < 9; i++) {           /* the store does not have 1 yet */
        now += 60000;
        asked(i);
        expect(begin(i, 0), HAD);
        expect(tip(i, 0), HAD);
    }

    assert_int_equal(wait_of(&d, now), 6400);
    push_delivery_resync(&d, now);
    assert_int_equal(wait_of(&d, now), 0);

    asked(9);
    expect(begin(9, 0), HAD);
    expect(tip(9, 0), HAD);
    assert_int_equal(wait_of(&d, now), 12800);      /* for this time only */
}


static void
test_trigger_without_credit(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(0, 2, now);

    (void) state;

    expect(push(1), WRITE);
    expect(push(2), WRITE);
    push_delivery_resync(&d, now);
    now += 5000;
    assert_false(due());
    expect(ack(1), WRITE);
    assert_true(due());
}


static void
test_reset(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d;

    (void) state;

    push_delivery_init(&d, 100, 16, now);
    asked(1);
    push_delivery_reset(&d);
    expect(begin(1, 2), HAD);
    expect_sent(2, 2, 2);
    expect(message(3), WRITE);
    expect(tip(1, 3), WRITE);
    expect(push(4), WRITE);

    push_delivery_reset(&d);            /* of a late answer */
    expect_sent(4, 2, 4);
    expect(push(5), WRITE);
}


static void
test_heard_of(void **state)
{
    uint32_t              now = 0;
    struct push_delivery  d = live(3, 16, now);

    (void) state;

    expect(push_delivery_heard(&d, 3, now), HAD);
    assert_false(due());
    expect(push_delivery_heard(&d, 4, now), GAP);
    assert_true(due());
    expect_sent(3, 3, 4);
}


/* A worker's ring gave what a full window had held back: nobody asks. */
static void
test_caught_up(void **state)
{
    uint32_t              now = 1000;
    struct push_delivery  d = live(0, 2, now);

    (void) state;

    assert_false(push_delivery_caught_up(&d));      /* nothing was owed */

    expect(push(1), WRITE);
    expect(push(2), WRITE);
    expect(push(3), SLOW);
    assert_false(push_delivery_caught_up(&d));
    expect(ack(2), WRITE);
    assert_true(due());
    expect(push(3), WRITE);
    assert_true(push_delivery_caught_up(&d));
    assert_false(due());
    assert_int_equal(wait_of(&d, now), -1);
    assert_false(push_delivery_caught_up(&d));      /* said once */

    /* not while a request is out, nor before the first answer */
    expect(push(6), GAP);
    asked(9);
    assert_false(push_delivery_caught_up(&d));
    push_delivery_init(&d, 3, 2, now);
    assert_false(push_delivery_caught_up(&d));
}


static void
test_slow(void **state)
{
    uint32_t              now = 4294967000u;
    struct push_delivery  d = live(0, 16, now);

    (void) state;

    now += 100000;
    assert_false(push_delivery_is_slow(&d, now));
    expect(push(1), WRITE);                 /* counts from this write */
    now += 59999;
    expect(push(2), WRITE);                 /* not from this one */
    assert_false(push_delivery_is_slow(&d, now));
    now += 1 + LATE;
    assert_true(push_delivery_is_slow(&d, now));
    expect(ack(1), WRITE);                  /* progress: anew */
    now += 59999;
    assert_false(push_delivery_is_slow(&d, now));
    now += 1 + LATE;
    assert_true(push_delivery_is_slow(&d, now));
    expect(ack(2), WRITE);
    assert_false(push_delivery_is_slow(&d, now));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_answer),
        cmocka_unit_test(test_known_cursor_waits_for_the_answer),
        cmocka_unit_test(test_empty_log_is_synced),
        cmocka_unit_test(test_gap_is_asked_for_once),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_ack_before_anything_is_known),
        cmocka_unit_test(test_window_of_one),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_other_rid_is_skipped),
        cmocka_unit_test(test_void),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_answers_that_move_nothing),
        cmocka_unit_test(test_trigger_while_asking),
        cmocka_unit_test(test_trigger_ends_a_back_off),
        cmocka_unit_test(test_trigger_without_credit),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_heard_of),
        cmocka_unit_test(test_caught_up),
        cmocka_unit_test(test_slow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
