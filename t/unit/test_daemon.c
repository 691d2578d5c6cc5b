/* daemon: options, the loop, signals. */

#include "daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct test {
    struct daemon daemon;
    unsigned      reloads;
    unsigned      drains;
    bool          busy;
};


static int
test_options(struct daemon *d, int argc, char **argv, int *status)
{
    optind = 1;
    opterr = 0;

    return daemon_options(d, "push-test", argc, argv, status);
}


static void
test_argv(void **state)
{
    int            status, quiet, err;
    struct daemon  d;

    (void) state;

    err = dup(STDERR_FILENO);
    quiet = open("/dev/null", O_WRONLY);
    dup2(quiet, STDERR_FILENO);

    assert_int_equal(test_options(&d, 4, (char *[]) { "p", "-t", "-c", "f",
                                                      NULL }, &status),
                     PUSH_OK);
    assert_true(d.test);
    assert_string_equal(d.conf_file, "f");

    assert_int_equal(test_options(&d, 1, (char *[]) { "p", NULL }, &status),
                     PUSH_DECLINED);
    assert_int_equal(status, 2);
    assert_int_equal(test_options(&d, 4, (char *[]) { "p", "-c", "f", "more",
                                                      NULL }, &status),
                     PUSH_DECLINED);
    assert_int_equal(status, 2);
    assert_int_equal(test_options(&d, 2, (char *[]) { "p", "-x", NULL },
                                  &status), PUSH_DECLINED);
    assert_int_equal(status, 2);
    assert_int_equal(test_options(&d, 2, (char *[]) { "p", "-c", NULL },
                                  &status), PUSH_DECLINED);
    assert_int_equal(status, 2);

    dup2(err, STDERR_FILENO);
    close(err);
    close(quiet);
}


static void
test_on_reload(void *data)
{
    ((struct test *) data)->reloads++;
    raise(SIGTERM);
}


static void
test_on_drain(void *data)
{
    ((struct test *) data)->drains++;
}


static bool
test_drained(void *data)
{
    return !((struct test *) data)->busy;
}


static void
test_start(struct test *t, int64_t drain_timeout_ms)
{
    int                  status;
    struct daemon_conf   conf = { NULL, LOG_LEVEL_ERROR, drain_timeout_ms };
    struct daemon_hooks  hooks = {
        test_on_reload, test_on_drain, test_drained, t
    };

    memset(t, 0, sizeof(*t));
    assert_int_equal(test_options(&t->daemon, 3,
                                  (char *[]) { "p", "-c", "f", NULL },
                                  &status), PUSH_OK);
    assert_int_equal(daemon_init(&t->daemon, &conf, &hooks), PUSH_OK);
}


static void
test_signals(void **state)
{
    int64_t      began;
    struct test  t;

    (void) state;

    /* HUP, then TERM by the hook, then nothing is under way */

    test_start(&t, 10000);
    raise(SIGHUP);
    assert_int_equal(daemon_loop(&t.daemon), 0);
    assert_int_equal(t.reloads, 1);
    assert_int_equal(t.drains, 1);
    daemon_deinit(&t.daemon);

    /* busy until the deadline */

    test_start(&t, 100);
    t.busy = true;
    t.daemon.log.fd = -1;
    began = daemon_monotonic_ms();
    raise(SIGINT);
    assert_int_equal(daemon_loop(&t.daemon), 0);
    assert_in_range(daemon_monotonic_ms() - began, 100, 5000);
    daemon_deinit(&t.daemon);

    /* a second TERM ends it at once */

    test_start(&t, 3600000);
    t.busy = true;
    daemon_stop(&t.daemon);
    raise(SIGTERM);
    assert_int_equal(daemon_loop(&t.daemon), 0);
    assert_int_equal(t.drains, 1);
    daemon_deinit(&t.daemon);
}


static void
test_listen(void **state)
{
    char    text[256];
    size_t  i;

    static const char *const  good[] = {
        "127.0.0.1:1", "0.0.0.0:65535", "[::1]:80", "unix:/a"
    };
    static const char *const  bad[] = {
        "", "80", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
        "127.0.0.1:65536", "127.0.0.1:x", "localhost:80", "[::1]", "[]:1",
        "unix:a", "unix:", "127.0.0.256:1"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (daemon_listen_check(good[i], text, sizeof(text)) != PUSH_OK) {
            fail_msg("refused: %s", good[i]);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (daemon_listen_check(bad[i], text, sizeof(text)) == PUSH_OK) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}


static void
test_random(void **state)
{
    size_t    i;
    uint32_t  n, seen = 0;

    (void) state;

    assert_int_equal(daemon_random(0), 0);
    assert_int_equal(daemon_random(1), 0);

    for (i = 0; i < 1000; i++) {
        n = daemon_random(8);
        assert_true(n < 8);
        seen |= 1u << n;
    }

    assert_int_equal(seen, 0xff);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_argv),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
