/*
 * test_store_keep: the contract of store.h on every backend: what expires, what
 * is remembered: GC, cursors, states, the mark
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_world.h"


/* Appends "1" that lives ttl seconds, 0: for ever. */
static struct store_message
store_ttl(struct world *w, const char *log, const char *key, int64_t ttl)
{
    struct store_message  m;

    m = world_message(&w->s, log, key, "1");
    m.expires = ttl ? w->s.now_ms / 1000 + ttl : 0;
    assert_int_equal(world_append(&w->s, &m), STORE_STORED);

    return m;
}


static void
test_what_is_expired_is_told_as_a_range(void **state)
{
    struct world      *w;
    struct store_read  r;

    w = *state;

    store_ttl(w, "user:a", "", 10);     /* 1 */
    store_ttl(w, "user:a", "", 5);
    store_ttl(w, "user:a", "", 0);      /* 3 */
    store_ttl(w, "user:a", "", 10);
    store_ttl(w, "user:a", "", 0);      /* 5 */
    store_ttl(w, "user:a", "", 5);
    store_ttl(w, "user:a", "", 5);      /* 7 */

    w->s.now_ms += 9999;

    world_read(&w->s, &r, "user:a", 0, 10, 1000);
    assert_int_equal(r.count, 6);
    assert_null(r.items[0].why);
    assert_int_equal(r.items[0].expires, w->s.now_ms / 1000 + 1);
    assert_string_equal(r.items[1].why, "expired");
    assert_int_equal(r.items[1].seq, 2);
    assert_int_equal(r.items[1].to, 2);
    store_release(&r.r);

    w->s.now_ms += 1;

    world_read(&w->s, &r, "user:a", 0, 10, 1000);
    assert_int_equal(r.count, 5);
    assert_string_equal(r.items[0].why, "expired");
    assert_int_equal(r.items[0].seq, 1);
    assert_int_equal(r.items[0].to, 2);
    assert_int_equal(r.items[1].seq, 3);
    assert_int_equal(r.items[2].seq, 4);
    assert_int_equal(r.items[2].to, 4);
    assert_int_equal(r.items[3].seq, 5);
    assert_int_equal(r.items[4].seq, 6);
    assert_int_equal(r.items[4].to, 7);
    assert_int_equal(r.last, 7);
    assert_int_equal(r.floor, 0);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", 3, 1, 1000);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.items[0].seq, 4);
    assert_int_equal(r.last, 4);
    store_release(&r.r);
}


static void
test_the_gc_keeps_keys_and_numbers(void **state)
{
    struct world         *w;
    struct store_gc       g;
    struct store_get      get;
    struct store_read     r;
    struct store_message  m, first;

    w = *state;

    first = store_ttl(w, "user:a", "k", 10);
    store_ttl(w, "user:a", "", 10);
    store_ttl(w, "user:a", "", 0);
    store_ttl(w, "user:a", "", 10);
    store_ttl(w, "user:b", "", 10);

    /* nothing younger than an hour */

    w->s.now_ms += (STORE_YOUNG_S - 1) * 1000;
    g = world_gc(&w->s);
    assert_int_equal(g.stubbed + g.deleted, 0);

    w->s.now_ms += 1000;
    g = world_gc(&w->s);
    assert_int_equal(g.stubbed, 1);
    assert_int_equal(g.deleted, 3);

    world_read(&w->s, &r, "user:a", 0, 10, 1000);
    assert_int_equal(r.floor, 2);
    assert_int_equal(r.tip, 4);
    assert_int_equal(r.count, 3);
    assert_string_equal(r.items[0].why, "expired");
    assert_int_equal(r.items[0].to, 2);
    assert_int_equal(r.items[1].seq, 3);
    assert_string_equal(r.items[2].why, "expired");
    assert_int_equal(r.items[2].seq, 4);
    store_release(&r.r);

    world_read(&w->s, &r, "user:a", STORE_AFTER_FLOOR, 10, 1000);
    assert_int_equal(r.after, 2);
    assert_int_equal(r.items[0].seq, 3);
    store_release(&r.r);

    world_read(&w->s, &r, "user:b", 0, 10, 1000);
    assert_int_equal(r.floor, 1);
    assert_int_equal(r.tip, 1);
    store_release(&r.r);

    world_get(&w->s, &get, "user:a", 4);
    assert_int_equal(get.state, STORE_EXPIRED);
    store_release(&get.r);

    world_close(&w->s);
    world_open(&w->s);

    /* a number is given once (R5), a key is remembered a day */

    assert_int_equal(world_store(&w->s, "user:b", "2"), 2);
    assert_int_equal(world_store(&w->s, "user:a", "5"), 5);

    m = world_message(&w->s, "user:a", "k", "1");
    assert_int_equal(world_append(&w->s, &m), STORE_DUPLICATE);
    assert_int_equal(m.seq, 1);
    assert_int_equal(m.ts_ms, first.ts_ms);
    m = world_message(&w->s, "user:a", "k", "other");
    assert_int_equal(world_append(&w->s, &m), STORE_CONFLICT);

    w->s.now_ms = WORLD_NOW_MS + STORE_KEY_S * 1000 - 1000;
    g = world_gc(&w->s);
    assert_int_equal(g.stubbed + g.deleted, 0);

    w->s.now_ms += 1000;
    g = world_gc(&w->s);
    assert_int_equal(g.deleted, 1);

    m = world_message(&w->s, "user:a", "k", "other");
    assert_int_equal(world_append(&w->s, &m), STORE_STORED);
    assert_int_equal(m.seq, 6);
}


static void
test_the_gc_takes_many_rows_in_slices(void **state)
{
    size_t                 i;
    struct world          *w;
    struct store_gc        g;
    struct store_read      r;
    struct store_append    a;
    struct store_message  *m;

    w = *state;
    m = calloc(STORE_APPEND_MAX, sizeof(*m));

    for (i = 0; i < STORE_APPEND_MAX; i++) {
        m[i] = world_message(&w->s, "user:a", "", "1");
        m[i].expires = w->s.now_ms / 1000 + 1;
    }

    world_append_all(&w->s, &a, m, STORE_APPEND_MAX);
    free(m);

    w->s.now_ms += (STORE_YOUNG_S + 1) * 1000;
    g = world_gc(&w->s);
    assert_int_equal(g.deleted, STORE_APPEND_MAX);

    world_read(&w->s, &r, "user:a", 0, 10, 1000);
    assert_int_equal(r.floor, STORE_APPEND_MAX);
    assert_int_equal(r.tip, STORE_APPEND_MAX);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.items[0].to, STORE_APPEND_MAX);
    store_release(&r.r);

    world_close(&w->s);
    world_open(&w->s);
    assert_int_equal(world_store(&w->s, "user:a", "1"), STORE_APPEND_MAX + 1);
}


static void
test_the_gc_runs_by_itself(void **state)
{
    size_t               tries;
    struct world        *w;
    struct store_health  h;

    w = *state;
    world_close(&w->s);
    w->s.conf.gc_by_hand = false;
    world_open(&w->s);

    store_ttl(w, "user:a", "k", 1);
    __atomic_add_fetch(&w->s.now_ms, (STORE_YOUNG_S + 1) * 1000,
                       __ATOMIC_RELAXED);
    memset(&h, 0, sizeof(h));

    for (tries = 0; tries < 1000 && h.collected == 0; tries++) {
        poll(NULL, 0, 10);
        store_health(w->s.store, &h);
    }

    assert_true(h.collected == 1);
    assert_int_equal(world_store(&w->s, "user:a", "2"), 2);
}


static void
test_a_cursor_keeps_the_maximum(void **state)
{
    int                 i;
    struct world       *w;
    struct store_place  p;

    w = *state;

    for (i = 0; i < 5; i++) {
        world_store(&w->s, "user:a", "1");
    }

    p = world_place(&w->s, "user:a", "a", "d1");
    assert_int_equal(p.cursor, -1);
    assert_int_equal(p.acked, -1);
    assert_int_equal(p.tip, 5);

    assert_false(world_cursor(&w->s, "user:a", "a", "d1", 3, false));
    assert_false(world_cursor(&w->s, "user:a", "a", "d1", 2, false));
    p = world_place(&w->s, "user:a", "a", "d1");
    assert_int_equal(p.cursor, 3);
    assert_int_equal(p.acked, 3);

    p = world_place(&w->s, "user:a", "a", "d2");
    assert_int_equal(p.cursor, -1);
    assert_int_equal(p.acked, 3);

    /* above the tip: another history */

    assert_true(world_cursor(&w->s, "user:a", "a", "d1", 6, false));
    assert_true(world_cursor(&w->s, "user:nobody", "nobody", "d1", 1, true));
    p = world_place(&w->s, "user:a", "a", "d1");
    assert_int_equal(p.cursor, 3);

    world_close(&w->s);
    world_open(&w->s);
    p = world_place(&w->s, "user:a", "a", "d1");
    assert_int_equal(p.cursor, 3);
}


static void
test_where_a_device_starts_is_no_ack(void **state)
{
    int                 i;
    struct world       *w;
    struct store_get    g;
    struct store_place  p;

    w = *state;

    for (i = 0; i < 5; i++) {
        world_store(&w->s, "all", "1");
    }

    /* an empty log can be started in too */

    assert_false(world_cursor(&w->s, "user:a", "a", "d1", 0, true));
    p = world_place(&w->s, "user:a", "a", "d1");
    assert_int_equal(p.cursor, 0);
    assert_int_equal(p.acked, -1);

    assert_false(world_cursor(&w->s, "all", "a", "d1", 3, true));
    p = world_place(&w->s, "all", "a", "d1");
    assert_int_equal(p.cursor, 3);
    assert_int_equal(p.acked, -1);

    /* only the first start counts */

    assert_false(world_cursor(&w->s, "all", "a", "d1", 5, true));
    p = world_place(&w->s, "all", "a", "d1");
    assert_int_equal(p.cursor, 3);

    world_get(&w->s, &g, "all", 2);
    assert_int_equal(g.state, STORE_THERE);
    assert_int_equal(g.acked_count, 0);
    store_release(&g.r);

    assert_false(world_cursor(&w->s, "all", "a", "d1", 4, false));
    p = world_place(&w->s, "all", "a", "d1");
    assert_int_equal(p.cursor, 4);
    assert_int_equal(p.acked, 4);

    /* another user's device of the same name is another device */

    assert_false(world_cursor(&w->s, "all", "b", "d1", 5, false));
    p = world_place(&w->s, "all", "a", "d1");
    assert_int_equal(p.acked, 4);

    world_get(&w->s, &g, "all", 4);
    assert_int_equal(g.acked_count, 2);
    assert_int_equal(g.acked_listed, 2);
    assert_true(push_str_eq(g.acked[0].uid, PUSH_STR("a")));
    assert_true(push_str_eq(g.acked[0].device, PUSH_STR("d1")));
    store_release(&g.r);

    world_get(&w->s, &g, "all", 2);         /* before a's device started */
    assert_int_equal(g.acked_count, 1);
    assert_true(push_str_eq(g.acked[0].uid, PUSH_STR("b")));
    store_release(&g.r);
}


static void
test_a_user_has_at_most_32_devices_in_a_log(void **state)
{
    int            i;
    char           device[16];
    struct world  *w;

    w = *state;
    world_store(&w->s, "all", "1");

    for (i = 0; i < STORE_DEVICES_MAX; i++) {
        snprintf(device, sizeof(device), "d%d", i);
        world_cursor(&w->s, "all", "a", device, 1, false);
        w->s.now_ms++;
    }

    world_cursor(&w->s, "all", "b", "d0", 1, false);
    world_cursor(&w->s, "all", "a", "new", 1, true);

    assert_int_equal(world_place(&w->s, "all", "a", "new").cursor, 1);
    assert_int_equal(world_place(&w->s, "all", "a", "d0").cursor, -1);
    assert_int_equal(world_place(&w->s, "all", "a", "d1").cursor, 1);
    assert_int_equal(world_place(&w->s, "all", "b", "d0").cursor, 1);
}


static void
test_many_cursors_go_in_one_commit(void **state)
{
    char                      uid[STORE_CURSORS_MAX][16];
    size_t                    i, pending;
    struct world             *w;
    struct store_place       *p;
    struct store_cursor      *c;
    struct store_cursors_get  g;
    struct store_cursors_put  put;

    w = *state;
    world_store(&w->s, "all", "1");

    c = calloc(STORE_CURSORS_MAX, sizeof(*c));
    p = calloc(STORE_CURSORS_MAX, sizeof(*p));

    for (i = 0; i < STORE_CURSORS_MAX; i++) {
        snprintf(uid[i], sizeof(uid[i]), "u%zu", i);
        c[i].log = p[i].log = PUSH_STR("all");
        c[i].uid = p[i].uid = world_str(uid[i]);
        c[i].device = p[i].device = PUSH_STR("-");
        c[i].seq = (int64_t) i % 3;             /* 2 is above the tip */
    }

    pending = 0;
    memset(&put, 0, sizeof(put));
    put.r = world_request(&pending);
    put.cursors = c;
    put.count = STORE_CURSORS_MAX;
    assert_int_equal(store_cursors_put(w->s.store, &put), PUSH_OK);
    world_wait(&w->s, &pending);

    memset(&g, 0, sizeof(g));
    g.r = world_request(&pending);
    g.places = p;
    g.count = STORE_CURSORS_MAX;
    assert_int_equal(store_cursors_get(w->s.store, &g), PUSH_OK);
    world_wait(&w->s, &pending);

    for (i = 0; i < STORE_CURSORS_MAX; i++) {
        assert_int_equal(c[i].above, i % 3 == 2);
        assert_int_equal(p[i].cursor, i % 3 == 2 ? -1 : (int64_t) i % 3);
    }

    free(c);
    free(p);
}


static void
test_get_tells_the_state_of_a_message(void **state)
{
    struct world     *w;
    struct store_get  g;

    w = *state;
    store_ttl(w, "user:a", "", 10);

    world_get(&w->s, &g, "user:a", 1);
    assert_int_equal(g.state, STORE_THERE);
    assert_int_equal(g.ts_ms, w->s.now_ms);
    assert_int_equal(g.expires, w->s.now_ms / 1000 + 10);
    store_release(&g.r);

    world_get(&w->s, &g, "user:a", 2);
    assert_int_equal(g.state, STORE_NEVER);
    store_release(&g.r);

    world_get(&w->s, &g, "user:a", 0);
    assert_int_equal(g.state, STORE_NEVER);
    store_release(&g.r);

    world_get(&w->s, &g, "user:b", 1);
    assert_int_equal(g.state, STORE_NEVER);
    store_release(&g.r);

    w->s.now_ms += 10000;
    world_get(&w->s, &g, "user:a", 1);
    assert_int_equal(g.state, STORE_EXPIRED);
    assert_int_equal(g.expires, WORLD_NOW_MS / 1000 + 10);
    store_release(&g.r);
}


static void
test_the_tail_is_what_was_not_marked(void **state)
{
    int                   i;
    struct world         *w;
    struct store_tail     t;
    struct store_message  m;

    w = *state;

    if (!w->backend->rows) {
        skip();
    }

    assert_int_equal(store_info(w->s.store)->repair, STORE_REPAIR_NONE);

    for (i = 0; i < 3; i++) {
        m = store_ttl(w, i == 1 ? "all" : "user:a", "", i == 1 ? 10 : 0);
    }

    world_mark(&w->s, m.row - 2);
    world_mark(&w->s, m.row - 3);       /* back: nothing changes */
    world_close(&w->s);
    world_open(&w->s);

    assert_int_equal(store_info(w->s.store)->repair, STORE_REPAIR_ROWS);
    assert_int_equal(store_info(w->s.store)->mark, m.row - 2);

    world_tail(&w->s, &t, m.row - 2, 0, 10, 1000);
    assert_int_equal(t.count, 2);
    assert_true(push_str_eq(t.items[0].log, PUSH_STR("all")));
    assert_int_equal(t.items[0].seq, 1);
    assert_int_equal(t.items[0].ts_ms, w->s.now_ms);
    assert_true(push_str_eq(t.items[0].data, PUSH_STR("1")));
    assert_true(push_str_eq(t.items[1].log, PUSH_STR("user:a")));
    assert_int_equal(t.items[1].seq, 2);
    assert_int_equal(t.items[1].row, m.row);
    assert_int_equal(t.last, m.row);
    store_release(&t.r);

    world_tail(&w->s, &t, m.row - 2, 0, 1, 1000);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.last, m.row - 1);
    store_release(&t.r);

    world_tail(&w->s, &t, 0, m.row - 2, 10, 1000);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.last, m.row - 2);
    store_release(&t.r);

    /* what is expired is left out, but passed */

    w->s.now_ms += 10000;
    world_tail(&w->s, &t, m.row - 2, m.row - 1, 10, 1000);
    assert_int_equal(t.count, 0);
    assert_int_equal(t.last, m.row - 1);
    store_release(&t.r);

    world_tail(&w->s, &t, m.row, 0, 10, 1000);
    assert_int_equal(t.count, 0);
    assert_int_equal(t.last, m.row);
    store_release(&t.r);

    world_mark(&w->s, m.row);
    world_close(&w->s);
    world_open(&w->s);
    assert_int_equal(store_info(w->s.store)->repair, STORE_REPAIR_NONE);
}


static void
test_what_was_not_marked_is_to_be_repaired(void **state)
{
    struct world         *w;
    struct store_message  m;

    w = *state;
    assert_int_equal(store_info(w->s.store)->repair, STORE_REPAIR_NONE);

    m = store_ttl(w, "user:a", "", 0);
    m = store_ttl(w, "user:b", "", 0);
    world_mark(&w->s, m.row - 1);
    world_close(&w->s);
    world_open(&w->s);
    assert_int_equal(store_info(w->s.store)->repair,
                     w->backend->rows ? STORE_REPAIR_ROWS : STORE_REPAIR_ALL);

    /* and again, as long as it was not repaired */

    world_close(&w->s);
    world_open(&w->s);
    assert_int_not_equal(store_info(w->s.store)->repair, STORE_REPAIR_NONE);

    world_mark(&w->s, w->backend->rows ? m.row : STORE_ROW_ALL);
    world_close(&w->s);
    world_open(&w->s);
    assert_int_equal(store_info(w->s.store)->repair, STORE_REPAIR_NONE);

    /* nothing was stored since */

    world_close(&w->s);
    world_open(&w->s);
    assert_int_equal(store_info(w->s.store)->repair, STORE_REPAIR_NONE);

    m = store_ttl(w, "user:b", "", 0);
    world_mark(&w->s, m.row);
    world_close(&w->s);
    world_open(&w->s);
    assert_int_equal(store_info(w->s.store)->repair, STORE_REPAIR_NONE);
}


static void
test_a_row_is_given_once_although_the_gc_took_the_last(void **state)
{
    struct world         *w;
    struct store_message  m, n;

    w = *state;

    if (!w->backend->rows) {
        skip();
    }

    m = store_ttl(w, "user:a", "", 1);
    world_mark(&w->s, m.row);
    w->s.now_ms += (STORE_YOUNG_S + 1) * 1000;
    assert_int_equal(world_gc(&w->s).deleted, 1);

    world_close(&w->s);
    world_open(&w->s);
    n = store_ttl(w, "user:a", "", 0);
    assert_true(n.row > m.row);
    assert_int_equal(n.seq, 2);
}


#define CASES(X)                                                              \
    X(test_what_is_expired_is_told_as_a_range)                                \
    X(test_the_gc_keeps_keys_and_numbers)                                     \
    X(test_the_gc_takes_many_rows_in_slices)                                  \
    X(test_the_gc_runs_by_itself)                                             \
    X(test_a_cursor_keeps_the_maximum)                                        \
    X(test_where_a_device_starts_is_no_ack)                                   \
    X(test_a_user_has_at_most_32_devices_in_a_log)                            \
    X(test_many_cursors_go_in_one_commit)                                     \
    X(test_get_tells_the_state_of_a_message)                                  \
    X(test_the_tail_is_what_was_not_marked)                                   \
    X(test_what_was_not_marked_is_to_be_repaired)                             \
    X(test_a_row_is_given_once_although_the_gc_took_the_last)


int
main(void)
{
    int     failed;
    size_t  i;

    failed = 0;

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
