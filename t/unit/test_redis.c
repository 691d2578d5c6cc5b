/*
 * redis and redis_stream against a real redis-server that this test starts,
 * stops, freezes and kills.
 */

#include "redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"

#define TEST_PORT    "21010"
#define TEST_URL     "redis://127.0.0.1:" TEST_PORT "/2"
#define TEST_WAIT_MS 15000

struct test {
    struct event_base *base;
    struct log         log;
    struct redis      *redis;
    char               dir[32];
    pid_t              server;

    unsigned           ups;
    unsigned           downs;
    unsigned           replies;
    unsigned           nulls;
    unsigned           errors;
    char               last[64];
    int64_t            number;

    unsigned           entries;
    unsigned           batches;
    char               ids[2048][32];
    char               value[64];
    struct redis_stream *stream;
    bool               pause_on_batch;
};


/* What somebody has set the wall clock forward by. */
static time_t  test_jump_s;


/* Instead of libc's. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    rc = (int) syscall(SYS_clock_gettime, id, ts);

    if (id == CLOCK_REALTIME) {
        ts->tv_sec += test_jump_s;
    }

    return rc;
}


static void
test_server_start(struct test *t)
{
    t->server = fork();
    assert_true(t->server >= 0);

    if (t->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) !freopen("/dev/null", "w", stdout);
        execlp("redis-server", "redis-server", "--port", TEST_PORT, "--bind",
               "127.0.0.1", "--dir", t->dir, "--save", "", "--appendonly",
               "no", "--requirepass", "", (char *) NULL);
        _exit(127);
    }
}


static void
test_server_stop(struct test *t, int sig)
{
    if (t->server > 0) {
        kill(t->server, sig);
        waitpid(t->server, NULL, 0);
        t->server = 0;
    }
}


/* Runs the loop until the condition holds; false: it never did. */
#define test_wait(t, condition)                                               \
    ({                                                                        \
        bool     holds_;                                                      \
        int64_t  until_ = daemon_monotonic_ms() + TEST_WAIT_MS;               \
                                                                              \
        while (!(holds_ = (condition)) && daemon_monotonic_ms() < until_) {   \
            test_turn(t);                                                     \
        }                                                                     \
                                                                              \
        holds_;                                                               \
    })

static void
test_turn(struct test *t)
{
    struct timeval  tv = { 0, 20000 };

    event_base_loopexit(t->base, &tv);
    event_base_loop(t->base, EVLOOP_ONCE);
}


static void
test_on_up(void *data)
{
    ((struct test *) data)->ups++;
}


static void
test_on_down(void *data)
{
    ((struct test *) data)->downs++;
}


static void
test_on_reply(const struct redis_reply *reply, void *data)
{
    struct test      *t = data;
    struct push_str   s;

    t->replies++;
    t->nulls += reply == NULL;
    t->errors += redis_type(reply) == REDIS_ERROR;
    t->number = redis_int(reply);

    s = redis_str(reply);
    snprintf(t->last, sizeof(t->last), "%.*s", LOG_STR(s));

    /* a lost connection takes no commands from its own callbacks */
    if (reply == NULL) {
        assert_int_equal(redis_call(t->redis, NULL, NULL, PUSH_STR("PING")),
                         PUSH_DECLINED);
    }
}


static int
test_setup(void **state)
{
    struct test        *t;
    struct redis_conf   conf = { 0 };

    t = calloc(1, sizeof(*t));
    *state = t;

    t->base = event_base_new();
    log_init(&t->log, "test");
    t->log.level = LOG_LEVEL_ERROR;

    snprintf(t->dir, sizeof(t->dir), "/tmp/push-redis-XXXXXX");
    assert_non_null(mkdtemp(t->dir));

    test_server_start(t);

    conf.url = TEST_URL;
    conf.name = "test";
    conf.log = &t->log;
    conf.on_up = test_on_up;
    conf.on_down = test_on_down;
    conf.data = t;
    conf.in_flight = 1000;

    t->redis = redis_create(t->base, &conf);
    assert_non_null(t->redis);
    assert_false(redis_is_up(t->redis));
    assert_int_equal(redis_call(t->redis, NULL, NULL, PUSH_STR("PING")),
                     PUSH_DECLINED);

    assert_true(test_wait(t, t->ups == 1));

    return 0;
}


static int
test_teardown(void **state)
{
    struct test  *t = *state;

    redis_stream_destroy(t->stream);
    redis_destroy(t->redis);
    test_server_stop(t, SIGKILL);
    rmdir(t->dir);
    event_base_free(t->base);
    log_deinit(&t->log);
    free(t);

    return 0;
}


static void
test_commands(void **state)
{
    unsigned      i;
    struct test  *t = *state;

    assert_int_equal(strlen(redis_run_id(t->redis)), 40);
    assert_true(llabs(redis_now_ms(t->redis) - daemon_unix_ms()) < 50);

    test_jump_s = 3600;
    assert_true(llabs(redis_now_ms(t->redis) + 3600000 - daemon_unix_ms())
                < 50);
    test_jump_s = 0;

    assert_int_equal(redis_call(t->redis, test_on_reply, t, PUSH_STR("SET"),
                                PUSH_STR("k"), PUSH_STR("a\0b")), PUSH_OK);
    assert_int_equal(redis_call(t->redis, test_on_reply, t, PUSH_STR("STRLEN"),
                                PUSH_STR("k")), PUSH_OK);
    assert_int_equal(t->replies, 0);        /* never inside the call */
    assert_int_equal(redis_in_flight(t->redis), 2);
    assert_true(test_wait(t, t->replies == 2));
    assert_int_equal(t->number, 3);

    redis_call(t->redis, test_on_reply, t, PUSH_STR("NONSENSE"));
    assert_true(test_wait(t, t->errors == 1));

    redis_call(t->redis, test_on_reply, t, PUSH_STR("CLIENT"),
               PUSH_STR("GETNAME"));
    assert_true(test_wait(t, t->replies == 4));
    assert_string_equal(t->last, "test");

    /* full is a normal answer */

    for (i = 0; redis_call(t->redis, test_on_reply, t, PUSH_STR("INCR"),
                           PUSH_STR("n")) == PUSH_OK; i++)
    {
        assert_true(i <= 1000);
    }

    assert_int_equal(i, 1000);
    assert_true(test_wait(t, t->replies == 1004));
    assert_int_equal(t->number, 1000);
    assert_int_equal(t->nulls, 0);
}


static void
test_killed(void **state)
{
    char          first[48];
    struct test  *t = *state;

    snprintf(first, sizeof(first), "%s", redis_run_id(t->redis));

    test_server_stop(t, SIGKILL);
    assert_int_equal(redis_call(t->redis, test_on_reply, t, PUSH_STR("PING")),
                     PUSH_OK);
    assert_int_equal(redis_call(t->redis, test_on_reply, t, PUSH_STR("PING")),
                     PUSH_OK);

    assert_true(test_wait(t, t->downs == 1));
    assert_int_equal(t->replies, 2);
    assert_int_equal(t->nulls, 2);
    assert_false(redis_is_up(t->redis));

    test_server_start(t);
    assert_true(test_wait(t, t->ups == 2));
    assert_string_not_equal(redis_run_id(t->redis), first);

    redis_call(t->redis, test_on_reply, t, PUSH_STR("PING"));
    assert_true(test_wait(t, t->replies == 3));
    assert_string_equal(t->last, "PONG");
}


static void
test_frozen(void **state)
{
    int64_t       began;
    struct test  *t = *state;

    kill(t->server, SIGSTOP);
    began = daemon_monotonic_ms();
    redis_call(t->redis, test_on_reply, t, PUSH_STR("PING"));

    assert_true(test_wait(t, t->downs == 1));
    assert_int_equal(t->nulls, 1);
    assert_true(daemon_monotonic_ms() - began >= REDIS_REPLY_MS);
    assert_true(daemon_monotonic_ms() - began < 3 * REDIS_REPLY_MS);

    kill(t->server, SIGCONT);
    assert_true(test_wait(t, t->ups == 2));
}


static void
test_wrong_password(void **state)
{
    struct test        *t = *state;
    struct redis       *other;
    struct redis_conf   conf = { 0 };

    redis_call(t->redis, test_on_reply, t, PUSH_STR("CONFIG"), PUSH_STR("SET"),
               PUSH_STR("requirepass"), PUSH_STR("right"));
    assert_true(test_wait(t, t->replies == 1));

    conf.url = "redis://:wrong@127.0.0.1:" TEST_PORT;
    conf.name = "other";
    conf.log = &t->log;
    conf.on_up = test_on_up;
    conf.data = t;

    other = redis_create(t->base, &conf);
    assert_non_null(other);
    redis_call(t->redis, test_on_reply, t, PUSH_STR("DEBUG"),
               PUSH_STR("SLEEP"), PUSH_STR("0.2"));
    assert_true(test_wait(t, t->replies == 2));
    assert_false(redis_is_up(other));
    assert_int_equal(t->ups, 1);
    redis_destroy(other);

    conf.url = "redis://:r%69ght@127.0.0.1:" TEST_PORT;
    other = redis_create(t->base, &conf);
    assert_true(test_wait(t, t->ups == 2));
    redis_destroy(other);
}


static void
test_on_entries(const struct redis_entry *entries, size_t count, void *data)
{
    size_t            i;
    struct test      *t = data;
    struct push_str   s;

    t->batches++;

    for (i = 0; i < count; i++) {
        s = redis_entry_field(&entries[i], "name");
        snprintf(t->value, sizeof(t->value), "%.*s", LOG_STR(s));
        assert_null(redis_entry_field(&entries[i], "none").data);
        snprintf(t->ids[t->entries++], sizeof(t->ids[0]), "%.*s",
                 LOG_STR(entries[i].id));
    }

    if (t->pause_on_batch) {
        redis_stream_pause(t->stream);
    }
}


static void
test_stream_start(struct test *t, const char *consumer, bool noack,
    unsigned batch, unsigned claim_ms)
{
    struct redis_stream_conf  conf = { 0 };

    conf.url = TEST_URL;
    conf.name = "test-stream";
    conf.stream = "s";
    conf.group = "g";
    conf.consumer = consumer;
    conf.noack = noack;
    conf.batch = batch;
    conf.block_ms = 200;
    conf.claim_ms = claim_ms;
    conf.log = &t->log;
    conf.on_entries = test_on_entries;
    conf.data = t;

    t->stream = redis_stream_create(t->base, &conf);
    assert_non_null(t->stream);
}


static void
test_add(struct test *t, const char *value)
{
    redis_call(t->redis, NULL, NULL, PUSH_STR("XADD"), PUSH_STR("s"),
               PUSH_STR("*"), PUSH_STR("other"), PUSH_STR("x"),
               PUSH_STR("name"), (struct push_str) { value, strlen(value) });
}


static int64_t
test_pending(struct test *t)
{
    unsigned  before = t->replies;

    /* XPENDING's summary as a number, by a script of one line */
    redis_call(t->redis, test_on_reply, t, PUSH_STR("EVAL"),
               PUSH_STR("return redis.call('XPENDING','s','g')[1]"),
               PUSH_STR("0"));
    assert_true(test_wait(t, t->replies == before + 1));

    return t->number;
}


static void
test_stream(void **state)
{
    struct test      *t = *state;
    struct push_str   ids[2];

    test_add(t, "before");              /* id 0: what is there counts */
    test_stream_start(t, "c1", false, 10, 0);
    assert_true(test_wait(t, t->entries == 1));
    assert_string_equal(t->value, "before");

    test_add(t, "after");
    assert_true(test_wait(t, t->entries == 2));
    assert_string_equal(t->value, "after");
    assert_int_equal(test_pending(t), 2);

    /* what is pending comes again to the same name */

    redis_stream_destroy(t->stream);
    test_stream_start(t, "c1", false, 1, 0);
    assert_true(test_wait(t, t->entries == 4));
    assert_string_equal(t->ids[0], t->ids[2]);
    assert_string_equal(t->ids[1], t->ids[3]);

    ids[0] = (struct push_str) { t->ids[0], strlen(t->ids[0]) };
    ids[1] = (struct push_str) { t->ids[1], strlen(t->ids[1]) };
    assert_int_equal(redis_stream_ack(t->stream, t->redis, NULL, NULL, ids,
                                      2), PUSH_OK);
    assert_int_equal(test_pending(t), 0);

    /* what was not confirmed comes again after a rewind */

    test_add(t, "rewound");
    assert_true(test_wait(t, t->entries == 5));
    redis_stream_rewind(t->stream);
    assert_true(test_wait(t, t->entries == 6));
    assert_string_equal(t->value, "rewound");

    /* FLUSHALL takes the group away; what comes then is not lost */

    redis_call(t->redis, NULL, NULL, PUSH_STR("FLUSHALL"));
    test_add(t, "flushed");
    assert_true(test_wait(t, t->entries == 7));
    assert_string_equal(t->value, "flushed");

    /* the server goes and comes back empty */

    test_server_stop(t, SIGKILL);
    assert_true(test_wait(t, t->downs == 1));
    test_server_start(t);
    assert_true(test_wait(t, t->ups == 2));
    test_add(t, "again");
    assert_true(test_wait(t, t->entries == 8));
    assert_string_equal(t->value, "again");
}


static void
test_stream_pause(void **state)
{
    unsigned      i;
    struct test  *t = *state;

    for (i = 0; i < 30; i++) {
        test_add(t, "x");
    }

    t->pause_on_batch = true;
    test_stream_start(t, "c1", true, 10, 0);
    assert_true(test_wait(t, t->batches == 1));

    for (i = 0; i < 20; i++) {
        test_turn(t);
    }

    assert_int_equal(t->entries, 10);
    assert_int_equal(test_pending(t), 0);       /* noack */

    redis_stream_resume(t->stream);
    assert_true(test_wait(t, t->entries == 20));

    t->pause_on_batch = false;
    redis_stream_resume(t->stream);
    assert_true(test_wait(t, t->entries == 30));
}


static void
test_stream_claim(void **state)
{
    unsigned      i;
    struct test  *t = *state;

    for (i = 0; i < 25; i++) {
        test_add(t, "x");
    }

    test_stream_start(t, "dead", false, 100, 0);
    assert_true(test_wait(t, t->entries == 25));
    redis_stream_destroy(t->stream);

    t->entries = 0;
    test_stream_start(t, "c2", false, 10, 300);
    assert_true(test_wait(t, t->entries >= 25));
}


static void
test_url(void **state)
{
    char    text[256];
    size_t  i;

    static const char *const  good[] = {
        "redis://127.0.0.1", "redis://127.0.0.1:6379", "redis://h:1/0",
        "redis://:p%40@[::1]:7000/15", "redis://u:p@h", "unix:/run/redis.sock",
        "redis://u:p@x@h/"
    };
    static const char *const  bad[] = {
        "", "redis:", "redis://", "http://h", "redis://h:0", "redis://h:65536",
        "redis://h:x", "redis://h/x", "redis://h:1:2", "redis://u@h",
        "redis://u:@h", "redis://u:%zz@h", "redis://[::1", "redis://[]:1",
        "unix:run", "redis://h/-1", "redis://u:a%00b@h"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (redis_url_check(good[i], text, sizeof(text)) != PUSH_OK) {
            fail_msg("refused: %s", good[i]);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (redis_url_check(bad[i], text, sizeof(text)) != PUSH_ERROR) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_url),
        cmocka_unit_test_setup_teardown(test_commands, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_killed, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_frozen, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_password, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_stream, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_stream_pause, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_stream_claim, test_setup,
                                        test_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
