/*
 * test_store_mongo: what is MongoDB's own: replies, URLs, several collectors
 *
 * What needs a set runs if PUSH_TEST_MONGO names one (store_world.h).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_mongo.h"
#include "store_world.h"

#define D  STORE_STEP_DONE
#define S  STORE_STEP_SEQ_TAKEN
#define K  STORE_STEP_KEY_TAKEN
#define R  STORE_STEP_REFUSED
#define N  STORE_STEP_NOT_TRIED
#define U  STORE_STEP_UNKNOWN

#define ERRORS(text)   "{\"writeErrors\": [" text "]}"
#define TAKEN(i, index)                                                       \
    "{\"index\": " #i ", \"code\": 11000, \"errmsg\": \"E11000 duplicate key" \
    " error collection: push.messages index: " index " dup key: {}\"}"

static const struct outcome {
    const char            *reply;
    bool                   accepted;
    bool                   ordered;
    int                    rc;
    enum store_step_result results[4];
    const char            *why;
} outcomes[] = {
    { "{}", true, false, PUSH_OK, { D, D, D, D }, NULL },
    { ERRORS(TAKEN(1, "_id_")), false, false, PUSH_OK, { D, S, D, D }, NULL },
    { ERRORS(TAKEN(0, "log_key") "," TAKEN(3, "_id_")), false, false, PUSH_OK,
      { K, D, D, S }, NULL },
    { ERRORS(TAKEN(1, "log_key")), false, true, PUSH_OK, { D, K, N, N },
      NULL },
    { ERRORS(TAKEN(0, "_id_")), false, true, PUSH_OK, { S, N, N, N }, NULL },
    { ERRORS("{\"index\": 2, \"code\": 11000, \"keyPattern\": {\"_id.log\": 1,"
             " \"key\": 1}}"), false, false, PUSH_OK, { D, D, K, D }, NULL },
    { ERRORS("{\"index\": 2, \"code\": 11000, \"keyPattern\": {\"_id\": 1}}"),
      false, false, PUSH_OK, { D, D, S, D }, NULL },
    { ERRORS("{\"index\": 2, \"code\": 121, \"errmsg\": \"no\"}"), false,
      false, PUSH_OK, { D, D, R, D }, NULL },

    /* a majority did not confirm, whatever else is said */
    { "{\"writeConcernErrors\": [{\"code\": 64, \"errmsg\": \"timed out\"}]}",
      false, false, PUSH_ERROR, { U, U, U, U }, "majority" },
    { "{\"writeConcernErrors\": [{\"code\": 64, \"errmsg\": \"timed out\"}]}",
      true, false, PUSH_ERROR, { U, U, U, U }, "majority" },
    { "{\"writeErrors\": [" TAKEN(1, "_id_") "],"
      " \"writeConcernErrors\": [{\"code\": 91}]}", false, false, PUSH_ERROR,
      { U, U, U, U }, "majority" },

    /* interrupted in the middle */
    { ERRORS(TAKEN(0, "_id_") ", {\"index\": 1, \"code\": 11602}"), false,
      false, PUSH_ERROR, { U, U, U, U }, "primary" },
    { ERRORS("{\"index\": 1, \"code\": 10107}"), false, false, PUSH_ERROR,
      { U, U, U, U }, "primary" },

    /* no reply at all; replies that nobody should make */
    { "{}", false, false, PUSH_ERROR, { U, U, U, U }, "the driver's" },
    { "{\"writeErrors\": []}", false, false, PUSH_ERROR, { U, U, U, U },
      "the driver's" },
    { ERRORS("{\"index\": 4, \"code\": 11000}"), false, false, PUSH_ERROR,
      { U, U, U, U }, "not understood" },
    { ERRORS("{\"index\": -1, \"code\": 11000}"), false, false, PUSH_ERROR,
      { U, U, U, U }, "not understood" },
    { ERRORS("{\"code\": 11000}"), false, false, PUSH_ERROR, { U, U, U, U },
      "not understood" },
    { ERRORS("{\"index\": 1}"), false, false, PUSH_ERROR, { U, U, U, U },
      "not understood" },
    { ERRORS("7"), false, false, PUSH_ERROR, { U, U, U, U },
      "not understood" },
};


static void
test_each_document_of_a_reply_is_told_apart(void **state)
{
    char                   why[STORE_ERROR_SIZE];
    size_t                 i, j;
    bson_t                *reply;
    bson_error_t           error;
    struct store_step     *step;
    const struct outcome  *o;

    (void) state;

    step = calloc(1, sizeof(*step));
    assert_non_null(step);
    memset(&error, 0, sizeof(error));
    strcpy(error.message, "the driver's words");

    for (i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        o = &outcomes[i];
        reply = bson_new_from_json((const uint8_t *) o->reply, -1, NULL);
        assert_non_null(reply);

        memset(step, 0, sizeof(*step));
        step->kind = STORE_STEP_INSERT;
        step->ordered = o->ordered;
        step->count = 4;

        assert_int_equal(store_mongo_outcome(step, o->accepted, reply, &error,
                                             why, sizeof(why)), o->rc);

        for (j = 0; j < 4; j++) {
            if (step->items[j].result != o->results[j]) {
                fail_msg("%s: item %zu is %d, not %d", o->reply, j,
                         (int) step->items[j].result, (int) o->results[j]);
            }
        }

        if (o->why) {
            assert_non_null(strstr(why, o->why));
        }

        bson_destroy(reply);
    }

    free(step);
}


static void
refused(const char *url, const char *why, const char *never)
{
    char               error[512];
    struct store      *store;
    struct store_conf  conf;

    memset(&conf, 0, sizeof(conf));
    conf.url = url;
    conf.node = "c";
    conf.queue_messages = 1;
    conf.queue_bytes = 1;

    assert_int_equal(store_open(&store, &conf, error, sizeof(error)),
                     PUSH_ERROR);
    assert_null(store);

    if (strstr(error, why) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", why, error);
    }

    if (never && strstr(error, never)) {
        fail_msg("\"%s\" is in \"%s\"", never, error);
    }
}


static void
test_a_url_that_cannot_be_used_is_told(void **state)
{
    (void) state;

    refused("mongodb://", "no MongoDB URL", NULL);
    refused("mongodb://u:geheim@x:y:z/?replicaSet=a", "no MongoDB URL",
            "geheim");
    refused("mongodb://u:geheim@h%40/?a=b&replicaSet=", "", "geheim");
    refused("mongodb://u:geheim@127.0.0.1:1/push", "?replicaSet=name",
            "geheim");
    refused("mongodb://127.0.0.1:1/push?replicaSet=a"
            "&serverSelectionTimeoutMS=100", "no primary", NULL);
    refused("mongodb://127.0.0.1:1/push?replicaSet=a"
            "&serverSelectionTimeoutMS=100", "127.0.0.1:1/push", NULL);
}


/* PUSH_TEST_MONGO with something else in place of what follows its host. */
static const char *
other_url(char *to, size_t size, const char *rest)
{
    const char  *set;

    set = getenv("PUSH_TEST_MONGO");
    snprintf(to, size, "%.*s%s",
             (int) (strchr(set + strlen("mongodb://"), '/') - set), set, rest);

    return to;
}


static void
test_a_set_of_another_name_is_told(void **state)
{
    char  url[256];

    (void) state;

    refused(other_url(url, sizeof(url), "/x?replicaSet=other"
                      "&serverSelectionTimeoutMS=500"), "not of \"other\"",
            NULL);
}


static void
test_a_password_that_is_wrong_is_told(void **state)
{
    char         url[256];
    const char  *set;

    (void) state;

    set = getenv("PUSH_TEST_MONGO") + strlen("mongodb://");
    snprintf(url, sizeof(url), "mongodb://u:geheim@%.*s/x%s",
             (int) (strchr(set, '/') - set), set, strchr(set, '?'));
    refused(url, "authentication failed", "geheim");
}


#define RACE_LOGS      4
#define RACE_MESSAGES  400
#define RACE_APPEND    8

struct racer {
    struct store_world    w;
    struct store_message  m[RACE_MESSAGES];
    struct store_append   a[RACE_MESSAGES / RACE_APPEND];
    size_t                pending;
};

static const char *const race_logs[RACE_LOGS] = {
    "all", "user:a", "user:b", "user:c"
};


static void
race_start(struct racer *r, size_t i)
{
    r->a[i].r = world_request(&r->pending);
    assert_int_equal(store_append(r->w.store, &r->a[i]), PUSH_OK);
}


/* What was refused or is not known is repeated, as a publisher would do. */
static bool
race_again(struct racer *r)
{
    bool    again;
    size_t  i, j;

    again = false;

    for (i = 0; i < RACE_MESSAGES / RACE_APPEND; i++) {
        for (j = 0; j < RACE_APPEND; j++) {
            if (r->a[i].messages[j].outcome == STORE_REFUSED
                || r->a[i].messages[j].outcome == STORE_UNKNOWN)
            {
                race_start(r, i);
                again = true;
                break;
            }
        }
    }

    return again;
}


static void
race_wait(struct racer *one, struct racer *two)
{
    bool           again;
    size_t         i;
    struct pollfd  p[2];
    struct racer  *r[2] = { one, two };

    do {
        while (one->pending || two->pending) {
            for (i = 0; i < 2; i++) {
                p[i].fd = store_fd(r[i]->w.store);
                p[i].events = POLLIN;
            }

            assert_true(poll(p, 2, 30000) > 0);
            store_run(one->w.store);
            store_run(two->w.store);
        }
        again = race_again(one);
        again |= race_again(two);
    } while (again);
}


static void
test_two_collectors_on_the_same_logs(void **state)
{
    char                  (*keys)[16];
    size_t                  i, k, n, total;
    bool                   *seen;
    struct racer           *r[2];
    struct world           *w;
    struct store_read       page;
    struct store_message   *m;

    w = *state;

    for (k = 0; k < 2; k++) {
        r[k] = calloc(1, sizeof(struct racer));
        assert_non_null(r[k]);
        r[k]->w = w->s;
        r[k]->w.conf.node = k ? "collector-b" : "collector-a";
        r[k]->w.conf.now_data = &w->s;
        world_open(&r[k]->w);
    }

    keys = calloc(RACE_MESSAGES, sizeof(*keys));

    for (i = 0; i < RACE_MESSAGES; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%zu", i);

        for (k = 0; k < 2; k++) {
            m = &r[k]->m[i];

            /* each tenth key is published through both */

            *m = world_message(&w->s, race_logs[i % RACE_LOGS],
                               i % 10 == 0 || k == 0 ? keys[i] : "", "1");
        }
    }

    for (i = 0; i < RACE_MESSAGES / RACE_APPEND; i++) {
        for (k = 0; k < 2; k++) {
            r[k]->a[i].messages = &r[k]->m[i * RACE_APPEND];
            r[k]->a[i].count = RACE_APPEND;
            race_start(r[k], i);
        }
    }

    race_wait(r[0], r[1]);

    /* dense, no number for two messages, and one message for both of a key */

    for (n = 0; n < RACE_LOGS; n++) {
        total = 0;
        seen = calloc(4 * RACE_MESSAGES, sizeof(bool));

        for (k = 0; k < 2; k++) {
            for (i = n; i < RACE_MESSAGES; i += RACE_LOGS) {
                m = &r[k]->m[i];
                assert_true(m->outcome == STORE_STORED
                            || m->outcome == STORE_DUPLICATE);
                assert_in_range(m->seq, 1, 4 * RACE_MESSAGES - 1);

                if (i % 10 == 0) {
                    assert_int_equal(m->seq, r[!k]->m[i].seq);
                    assert_false(m->outcome == STORE_STORED
                                 && r[!k]->m[i].outcome == STORE_STORED);

                } else {
                    assert_false(seen[m->seq]);
                }

                total += !seen[m->seq];
                seen[m->seq] = true;
            }
        }

        /* a repeated message without a key may be there once more */

        world_read(&w->s, &page, race_logs[n], 0, 1000, 1 << 20);
        assert_true(page.tip >= (int64_t) total);
        assert_int_equal(page.last, page.tip);
        assert_int_equal(page.count, page.tip);

        for (i = 0; i < page.count; i++) {
            assert_null(page.items[i].why);
            assert_int_equal(page.items[i].seq, i + 1);
        }

        store_release(&page.r);
        free(seen);
    }

    for (k = 0; k < 2; k++) {
        assert_string_equal(store_info(r[k]->w.store)->epoch,
                            store_info(w->s.store)->epoch);
        world_close(&r[k]->w);
        free(r[k]);
    }

    free(keys);
}


static void
test_a_collector_sees_what_another_one_stored(void **state)
{
    struct world        *w;
    struct store_read    r;
    struct store_world   other;
    struct store_message m;

    w = *state;
    other = w->s;
    other.conf.node = "collector-2";
    world_open(&other);

    assert_int_equal(world_store(&w->s, "user:a", "1"), 1);
    assert_int_equal(world_store(&other, "user:a", "2"), 2);
    assert_int_equal(world_store(&w->s, "user:a", "3"), 3);
    assert_int_equal(world_store(&w->s, "user:a", "4"), 4);
    assert_int_equal(world_store(&other, "user:a", "5"), 5);

    m = world_message(&w->s, "user:a", "k", "6");
    assert_int_equal(world_append(&w->s, &m), STORE_STORED);
    m = world_message(&w->s, "user:a", "k", "6");
    assert_int_equal(world_append(&other, &m), STORE_DUPLICATE);
    assert_int_equal(m.seq, 6);

    world_read(&other, &r, "user:a", 0, 10, 1000);
    assert_int_equal(r.count, 6);
    store_release(&r.r);

    /* cursors, and both are closed without anything left to hand over */

    assert_false(world_cursor(&other, "user:a", "a", "d", 6, false));
    assert_false(world_cursor(&w->s, "user:a", "a", "d", 2, false));
    assert_int_equal(world_place(&w->s, "user:a", "a", "d").cursor, 6);
    world_close(&other);
}


static void
test_names_with_dots_are_devices_of_their_own(void **state)
{
    struct world      *w;
    struct store_get   g;

    w = *state;
    world_store(&w->s, "user:a.b", "1");
    world_cursor(&w->s, "user:a.b", "a.b", "d.1", 1, false);
    world_cursor(&w->s, "user:a.b", "a.b", "d", 0, true);

    assert_int_equal(world_place(&w->s, "user:a.b", "a.b", "d.1").cursor, 1);
    assert_int_equal(world_place(&w->s, "user:a.b", "a.b", "d").cursor, 0);
    assert_int_equal(world_place(&w->s, "user:a.b", "a.b", "d1").cursor, -1);

    world_get(&w->s, &g, "user:a.b", 1);
    assert_int_equal(g.acked_count, 1);
    assert_true(push_str_eq(g.acked[0].device, PUSH_STR("d.1")));
    store_release(&g.r);
}


static void
test_what_is_certain_was_confirmed_by_a_write(void **state)
{
    char                      error[512];
    int64_t                   i;
    bson_t                   *id;
    bson_iter_t               iter;
    const bson_t             *doc;
    struct world             *w;
    mongoc_cursor_t          *cursor;
    struct store_info         info;
    struct store_world        other;
    struct store_mongo_db     db;
    struct store_mongo_conn   c;

    w = *state;
    assert_int_equal(store_mongo_db_open(&db, &w->s.conf, &info, error,
                                         sizeof(error)), PUSH_OK);
    assert_int_equal(store_mongo_conn_open(&c, &db), PUSH_OK);
    id = BCON_NEW("_id", BCON_UTF8(w->s.conf.node));

    other = w->s;
    other.conf.node = "collector-2";
    world_open(&other);
    assert_int_equal(world_store(&other, "user:a", "1"), 1);

    for (i = 0; i < 3; i++) {
        cursor = mongoc_collection_find_with_opts(
                     c.collections[MONGO_COLLECTORS], id, NULL, NULL);
        assert_true(mongoc_cursor_next(cursor, &doc));
        assert_int_equal(store_mongo_get_int(doc, "confirmed"), i);
        mongoc_cursor_destroy(cursor);

        assert_int_equal(world_place(&w->s, "user:a", "a", "d").tip, 1);
        assert_int_equal(world_place_as(&w->s, "user:a", "a", "d", true).tip,
                         1);
    }

    /* a document that was lost is there again, and not clean */

    assert_true(mongoc_collection_delete_one(c.collections[MONGO_COLLECTORS],
                                             id, NULL, NULL, NULL));
    assert_int_equal(world_place_as(&w->s, "user:a", "a", "d", true).tip, 1);
    cursor = mongoc_collection_find_with_opts(c.collections[MONGO_COLLECTORS],
                                              id, NULL, NULL);
    assert_true(mongoc_cursor_next(cursor, &doc));
    assert_int_equal(store_mongo_get_int(doc, "confirmed"), 1);
    assert_true(bson_iter_init_find(&iter, doc, "clean"));
    assert_false(bson_iter_as_bool(&iter));
    mongoc_cursor_destroy(cursor);

    world_close(&other);
    bson_destroy(id);
    store_mongo_conn_close(&c);
    store_mongo_db_close(&db);
}


static int64_t
collect(struct store_mongo_collect *g, struct store_mongo_conn *c,
    const struct world *w, int64_t clock_ms)
{
    bool             more;
    struct store_gc  gc;

    memset(&gc, 0, sizeof(gc));

    do {
        assert_int_equal(store_mongo_collect(g, c, &gc, w->s.now_ms, clock_ms,
                                             false, &more), PUSH_OK);
    } while (more);

    return gc.deleted;
}


static void
test_nothing_is_deleted_while_an_older_tip_may_be_believed(void **state)
{
    char                         error[512];
    struct world                *w;
    struct store_info            info;
    struct store_message         m;
    struct store_mongo_db        db;
    struct store_mongo_log       log;
    struct store_mongo_conn      c;
    struct store_mongo_collect  *g;

    w = *state;
    m = world_message(&w->s, "user:a", "", "1");
    m.expires = w->s.now_ms / 1000 + 1;
    assert_int_equal(world_append(&w->s, &m), STORE_STORED);
    w->s.now_ms += (STORE_YOUNG_S + 1) * 1000;

    assert_int_equal(store_mongo_db_open(&db, &w->s.conf, &info, error,
                                         sizeof(error)), PUSH_OK);
    assert_int_equal(store_mongo_conn_open(&c, &db), PUSH_OK);
    g = store_mongo_collect_create();
    assert_non_null(g);

    assert_int_equal(collect(g, &c, w, 1000), 0);

    /* the head is there before: R5 */

    memset(&log, 0, sizeof(log));
    log.name = PUSH_STR("user:a");
    assert_int_equal(store_mongo_logs(&c, &log, 1), PUSH_OK);
    assert_int_equal(log.head, 1);
    assert_int_equal(log.floor, 1);

    assert_int_equal(collect(g, &c, w, 1000 + STORE_TIP_MS), 0);
    assert_int_equal(collect(g, &c, w, 1000 + 2 * STORE_TIP_MS - 1), 0);
    assert_int_equal(collect(g, &c, w, 1000 + 2 * STORE_TIP_MS), 1);

    store_mongo_collect_destroy(g);
    store_mongo_conn_close(&c);
    store_mongo_db_close(&db);

    assert_int_equal(world_store(&w->s, "user:a", "2"), 2);
}


int
main(void)
{
    int    failed;
    void  *backend = (void *) (uintptr_t) &world_backends[1];

    const struct CMUnitTest pure[] = {
        cmocka_unit_test(test_each_document_of_a_reply_is_told_apart),
        cmocka_unit_test(test_a_url_that_cannot_be_used_is_told),
    };

    const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_a_set_of_another_name_is_told),
        cmocka_unit_test(test_a_password_that_is_wrong_is_told),
        WORLD_CASE(test_two_collectors_on_the_same_logs)
        WORLD_CASE(test_a_collector_sees_what_another_one_stored)
        WORLD_CASE(test_what_is_certain_was_confirmed_by_a_write)
        WORLD_CASE(test_names_with_dots_are_devices_of_their_own)
        WORLD_CASE(test_nothing_is_deleted_while_an_older_tip_may_be_believed)
    };

    failed = cmocka_run_group_tests_name("store_mongo", pure, NULL, NULL);

    if (WORLD_BACKENDS > 1) {
        failed += cmocka_run_group_tests_name("with a set", cases, NULL, NULL);
    }

    return failed;
}
