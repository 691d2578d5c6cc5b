/*
 * test_store: the contract of store.h on every backend: append, keys, pages
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_world.h"


static void
test_seq_is_dense_from_1_in_each_log(void **state)
{
    size_t                i;
    int64_t               row;
    struct world         *w;
    struct store_append   a;
    struct store_message  m[6];

    w = *state;

    for (i = 0; i < 6; i++) {
        m[i] = world_message(&w->s, i % 2 ? "user:b" : "user:a", "", "1");
    }

    world_append_all(&w->s, &a, m, 6);
    assert_int_equal(a.r.result, STORE_OK);

    row = 0;

    for (i = 0; i < 6; i++) {
        assert_int_equal(m[i].outcome, STORE_STORED);
        assert_int_equal(m[i].seq, i / 2 + 1);

        if (w->backend->rows) {
            assert_true(m[i].row > row);
            row = m[i].row;
        }
    }

    assert_int_equal(world_store(&w->s, "user:a", "2"), 4);
    assert_int_equal(world_store(&w->s, "all", "2"), 1);
}


static void
test_seq_and_epoch_go_on_after_a_restart(void **state)
{
    char           epoch[PUSH_EPOCH_MAX + 1];
    uint64_t       value;
    struct world  *w;

    w = *state;

    strcpy(epoch, store_info(w->s.store)->epoch);
    assert_int_equal(push_hex64_parse(world_str(epoch), &value), PUSH_OK);

    assert_int_equal(world_store(&w->s, "user:a", "1"), 1);
    world_close(&w->s);
    world_open(&w->s);

    assert_string_equal(store_info(w->s.store)->epoch, epoch);
    assert_int_equal(world_store(&w->s, "user:a", "2"), 2);
}


static void
test_the_same_key_and_data_is_stored_once(void **state)
{
    int64_t               ts;
    struct world         *w;
    struct store_append   a;
    struct store_message  m, n[3];

    w = *state;

    m = world_message(&w->s, "user:a", "k1", "{\"x\":1}");
    m.expires = 1700000100;
    ts = m.ts_ms;
    assert_int_equal(world_append(&w->s, &m), STORE_STORED);
    assert_int_equal(m.seq, 1);

    w->s.now_ms += 5000;
    m = world_message(&w->s, "user:a", "k1", "{\"x\":1}");
    assert_int_equal(world_append(&w->s, &m), STORE_DUPLICATE);
    assert_int_equal(m.seq, 1);
    assert_int_equal(m.ts_ms, ts);
    assert_int_equal(m.expires, 1700000100);

    /* within one append too, and the log goes on without a hole */

    n[0] = world_message(&w->s, "user:a", "k2", "2");
    n[1] = world_message(&w->s, "user:a", "k2", "2");
    n[2] = world_message(&w->s, "user:a", "", "2");
    world_append_all(&w->s, &a, n, 3);
    assert_int_equal(n[0].outcome, STORE_STORED);
    assert_int_equal(n[1].outcome, STORE_DUPLICATE);
    assert_int_equal(n[1].seq, n[0].seq);
    assert_int_equal(n[2].outcome, STORE_STORED);
    assert_int_equal(n[2].seq, n[0].seq + 1);

    world_close(&w->s);
    world_open(&w->s);

    m = world_message(&w->s, "user:a", "k1", "{\"x\":1}");
    assert_int_equal(world_append(&w->s, &m), STORE_DUPLICATE);
    assert_int_equal(m.seq, 1);
}


static void
test_the_same_key_with_other_data_is_a_conflict(void **state)
{
    struct world         *w;
    struct store_append   a;
    struct store_message  m;

    w = *state;

    m = world_message(&w->s, "user:a", "k", "1");
    assert_int_equal(world_append(&w->s, &m), STORE_STORED);

    m = world_message(&w->s, "user:a", "k", "2");
    world_append_all(&w->s, &a, &m, 1);
    assert_int_equal(a.r.result, STORE_OK);
    assert_int_equal(m.outcome, STORE_CONFLICT);
    assert_int_equal(m.seq, 1);

    /* keys are of one log */

    m = world_message(&w->s, "user:b", "k", "2");
    assert_int_equal(world_append(&w->s, &m), STORE_STORED);
    assert_int_equal(world_store(&w->s, "user:a", "3"), 2);
}


static void
test_appends_that_wait_keep_their_order(void **state)
{
    size_t                 i, pending;
    struct world          *w;
    struct store_append   *a;
    struct store_message  *m;

    w = *state;
    pending = 0;
    a = calloc(500, sizeof(*a));
    m = calloc(500, sizeof(*m));

    for (i = 0; i < 500; i++) {
        m[i] = world_message(&w->s, "user:a", "", "1");
        a[i].r = world_request(&pending);
        a[i].messages = &m[i];
        a[i].count = 1;
        assert_int_equal(store_append(w->s.store, &a[i]), PUSH_OK);
    }

    world_wait(&w->s, &pending);

    for (i = 0; i < 500; i++) {
        assert_int_equal(m[i].outcome, STORE_STORED);
        assert_int_equal(m[i].seq, i + 1);
    }

    free(a);
    free(m);
}


static void
test_an_append_larger_than_a_transaction_is_stored_whole(void **state)
{
    char                  *big;
    size_t                 i;
    struct world          *w;
    struct store_read      r;
    struct store_append    a;
    struct store_message  *m;

    w = *state;
    m = calloc(STORE_APPEND_MAX, sizeof(*m));

    for (i = 0; i < STORE_APPEND_MAX; i++) {
        m[i] = world_message(&w->s, "user:a", "", "1");
    }

    world_append_all(&w->s, &a, m, STORE_APPEND_MAX);

    for (i = 0; i < STORE_APPEND_MAX; i++) {
        assert_int_equal(m[i].outcome, STORE_STORED);
        assert_int_equal(m[i].seq, i + 1);
    }

    big = malloc(PUSH_DATA_MAX + 1);
    memset(big, 'x', PUSH_DATA_MAX);
    big[PUSH_DATA_MAX] = '\0';

    for (i = 0; i < 12; i++) {
        m[i] = world_message(&w->s, "user:big", "", big);
    }

    world_append_all(&w->s, &a, m, 12);

    for (i = 0; i < 12; i++) {
        assert_int_equal(m[i].seq, i + 1);
    }

    world_read(&w->s, &r, "user:big", 0, 100, 1024 * 1024);
    assert_int_equal(r.count, 4);
    assert_int_equal(r.last, 4);
    assert_int_equal(r.tip, 12);
    assert_int_equal(r.items[3].data.len, PUSH_DATA_MAX);
    assert_memory_equal(r.items[3].data.data, big, PUSH_DATA_MAX);
    store_release(&r.r);

    free(big);
    free(m);
}


static void
test_a_full_queue_declines_and_takes_again(void **state)
{
    size_t                 i, tries, pending, declined;
    struct world          *w;
    struct store_append    a, b;
    struct store_message  *m, one;

    w = *state;
    world_close(&w->s);
    w->s.conf.queue_messages = 5;
    world_open(&w->s);

    m = calloc(STORE_APPEND_MAX, sizeof(*m));
    declined = 0;

    for (tries = 0; tries < 100 && declined == 0; tries++) {

        for (i = 0; i < STORE_APPEND_MAX; i++) {
            m[i] = world_message(&w->s, "user:a", "", "1");
        }

        pending = 0;
        memset(&a, 0, sizeof(a));
        a.r = world_request(&pending);
        a.messages = m;
        a.count = STORE_APPEND_MAX;     /* an empty queue takes any size */
        assert_int_equal(store_append(w->s.store, &a), PUSH_OK);

        one = world_message(&w->s, "user:b", "", "1");
        memset(&b, 0, sizeof(b));
        b.r = world_request(&pending);
        b.messages = &one;
        b.count = 1;

        if (store_append(w->s.store, &b) == PUSH_DECLINED) {
            pending--;
            declined++;
        }

        world_wait(&w->s, &pending);
        assert_int_equal(m[STORE_APPEND_MAX - 1].outcome, STORE_STORED);
    }

    assert_int_equal(declined, 1);
    assert_int_equal(world_append(&w->s, &one), STORE_STORED);
    free(m);
}


static void
test_close_carries_out_what_waits(void **state)
{
    size_t                 i, pending;
    struct world          *w;
    struct store_read      r;
    struct store_append   *a;
    struct store_message  *m;

    w = *state;
    pending = 0;
    a = calloc(50, sizeof(*a));
    m = calloc(50, sizeof(*m));

    for (i = 0; i < 50; i++) {
        m[i] = world_message(&w->s, "user:a", "", "1");
        a[i].r = world_request(&pending);
        a[i].messages = &m[i];
        a[i].count = 1;
        assert_int_equal(store_append(w->s.store, &a[i]), PUSH_OK);
    }

    world_close(&w->s);
    assert_int_equal(pending, 0);

    for (i = 0; i < 50; i++) {
        assert_int_equal(m[i].outcome, STORE_STORED);
    }

    world_open(&w->s);
    world_read(&w->s, &r, "user:a", 0, 100, 1000);
    assert_int_equal(r.tip, 50);
    assert_int_equal(r.count, 50);
    store_release(&r.r);

    free(a);
    free(m);
}


static void
test_a_page_has_the_bytes_that_came(void **state)
{
    struct world      *w;
    struct store_read  r;

    w = *state;
    world_store(&w->s, "user:a", "{\"\\u0000\": -0, \"b\" :1e400}");
    world_store(&w->s, "user:a", "\"\xc3\xa4\"");

    world_read(&w->s, &r, "user:a", 0, 10, 1000);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.floor, 0);
    assert_int_equal(r.tip, 2);
    assert_int_equal(r.last, 2);
    assert_int_equal(r.items[0].seq, 1);
    assert_int_equal(r.items[0].to, 1);
    assert_null(r.items[0].why);
    assert_int_equal(r.items[0].ts_ms, w->s.now_ms);
    assert_true(push_str_eq(r.items[0].data,
                            PUSH_STR("{\"\\u0000\": -0, \"b\" :1e400}")));
    assert_true(push_str_eq(r.items[1].data, PUSH_STR("\"\xc3\xa4\"")));
    store_release(&r.r);
}


static void
test_a_page_ends_at_its_limits(void **state)
{
    int                i;
    struct world      *w;
    struct store_read  r;

    w = *state;

    for (i = 0; i < 10; i++) {
        world_store(&w->s, "user:a", "12345");
        world_store(&w->s, "user:b", "12345");
    }

    world_read(&w->s, &r, "user:a", 2, 3, 1000);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.items[0].seq, 3);
    assert_int_equal(r.last, 5);
    assert_int_equal(r.tip, 10);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", 0, 10, 12);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.last, 2);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", 0, 10, 1);     /* one comes anyhow */
    assert_int_equal(r.count, 1);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", 10, 10, 1000);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.last, 10);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", 99, 10, 1000);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.last, 99);
    assert_int_equal(r.tip, 10);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", STORE_AFTER_TIP, 10, 1000);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.after, 10);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", STORE_AFTER_FLOOR, 10, 1000);
    assert_int_equal(r.after, 0);
    assert_int_equal(r.count, 10);
    store_release(&r.r);

    world_read(&w->s, &r, "user:nobody", STORE_AFTER_FLOOR, 10, 1000);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.after, 0);
    assert_int_equal(r.tip, 0);
    store_release(&r.r);
}


static void
test_a_certain_read_is_the_same_read(void **state)
{
    struct world       *w;
    struct store_place  p;

    w = *state;

    p = world_place_as(&w->s, "user:a", "a", "d1", true);
    assert_int_equal(p.cursor, -1);
    assert_int_equal(p.tip, 0);

    world_store(&w->s, "user:a", "1");
    world_store(&w->s, "user:a", "2");
    world_cursor(&w->s, "user:a", "a", "d1", 1, false);

    p = world_place_as(&w->s, "user:a", "a", "d1", true);
    assert_int_equal(p.cursor, 1);
    assert_int_equal(p.acked, 1);
    assert_int_equal(p.floor, 0);
    assert_int_equal(p.tip, 2);
}


static void
test_health_counts(void **state)
{
    struct world        *w;
    struct store_health  h;

    w = *state;
    world_store(&w->s, "user:a", "1");
    store_health(w->s.store, &h);
    assert_true(h.ready);
    assert_string_equal(h.text, "");
    assert_true(h.stored == 1);
    assert_true(h.commits >= 1);
    assert_true(h.commits_failed == 0);
    assert_true(h.queue_messages == 0);
    assert_true(h.queue_bytes == 0);
}


static void
test_an_unknown_kind_of_store_is_refused(void **state)
{
    char               error[256];
    struct store      *store;
    struct store_conf  conf;

    (void) state;

    memset(&conf, 0, sizeof(conf));
    conf.url = "postgres://user:secret@x";
    assert_int_equal(store_open(&store, &conf, error, sizeof(error)),
                     PUSH_ERROR);
    assert_non_null(strstr(error, "postgres:"));
    assert_null(strstr(error, "secret"));
    assert_null(store);
}


#define CASES(X)                                                              \
    X(test_seq_is_dense_from_1_in_each_log)                                   \
    X(test_seq_and_epoch_go_on_after_a_restart)                               \
    X(test_the_same_key_and_data_is_stored_once)                              \
    X(test_the_same_key_with_other_data_is_a_conflict)                        \
    X(test_appends_that_wait_keep_their_order)                                \
    X(test_an_append_larger_than_a_transaction_is_stored_whole)               \
    X(test_a_full_queue_declines_and_takes_again)                             \
    X(test_close_carries_out_what_waits)                                      \
    X(test_a_page_has_the_bytes_that_came)                                    \
    X(test_a_page_ends_at_its_limits)                                         \
    X(test_a_certain_read_is_the_same_read)                                   \
    X(test_health_counts)


int
main(void)
{
    int     failed;
    size_t  i;

    static const struct CMUnitTest no_store[] = {
        cmocka_unit_test(test_an_unknown_kind_of_store_is_refused),
    };

    failed = cmocka_run_group_tests_name("store", no_store, NULL, NULL);

    for (i = 0; i < WORLD_BACKENDS; i++) {
        void  *backend = (void *) (uintptr_t) &world_backends[i];

        const struct CMUnitTest cases[] = {
            CASES(WORLD_CASE)
        };

        failed += cmocka_run_group_tests_name(world_backends[i].scheme, cases,
                                              NULL, NULL);
    }

    return failed;
}
