/* log: what a line looks like, whatever the values are; repeats. */

#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct test {
    struct log log;
    int        pipe[2];
    char       text[1 << 20];
};


static int
test_setup(void **state)
{
    struct test  *t;

    t = calloc(1, sizeof(*t));
    *state = t;

    log_init(&t->log, "test");
    assert_int_equal(pipe2(t->pipe, O_NONBLOCK), 0);
    fcntl(t->pipe[1], F_SETPIPE_SZ, 1 << 20);
    t->log.fd = t->pipe[1];
    t->log.journal = false;

    return 0;
}


static int
test_teardown(void **state)
{
    struct test  *t = *state;

    log_deinit(&t->log);
    close(t->pipe[0]);
    close(t->pipe[1]);
    free(t);

    return 0;
}


/* What was written since the last call, without times. */
static const char *
test_text(struct test *t)
{
    char     *p;
    ssize_t   n;

    n = read(t->pipe[0], t->text, sizeof(t->text) - 1);
    t->text[n > 0 ? n : 0] = '\0';

    while ((p = strstr(t->text, "time=")) != NULL) {
        assert_int_equal(strcspn(p, " "), 29);      /* 2026-11-21T12:30:00.123Z */
        memmove(p, p + 30, strlen(p + 30) + 1);
    }

    return t->text;
}


static void
test_formats(void **state)
{
    struct test          *t = *state;
    const char *volatile  nothing = NULL;

    log_info(&t->log, "e", "a=%s b=%d c=%u d=%zu e=%x f=%c g=%%", "x", -1, 2u,
             (size_t) 3, 255u, 'y');
    assert_string_equal(test_text(t), "level=info daemon=test event=e a=x b=-1 "
                        "c=2 d=3 e=ff f=y g=%\n");

    log_warn(&t->log, "e", "a=%" PRId64 " b=%" PRIu64 " c=%lld d=%hd e=%ld "
             "f=%zd g=%jd h=%g", INT64_MIN, UINT64_MAX, -5LL, (short) 7, -8L,
             (ssize_t) -9, (intmax_t) 10, 1.5);
    assert_string_equal(test_text(t), "level=warn daemon=test event=e "
                        "a=-9223372036854775808 b=18446744073709551615 c=-5 "
                        "d=7 e=-8 f=-9 g=10 h=1.5\n");

    log_error(&t->log, "e", "a=%s-%s b=%.*s c=%.2s d=%016" PRIx64 " e=%+05d "
              "f=%.3g", "x", "y", 2, "abc", "abc", UINT64_C(255), 7, 1.23456);
    assert_string_equal(test_text(t), "level=error daemon=test event=e a=x-y "
                        "b=ab c=ab d=00000000000000ff e=+0007 f=1.23\n");

    log_info(&t->log, "e", "a=%s", nothing);
    assert_string_equal(test_text(t),
                        "level=info daemon=test event=e a=-\n");
}


static void
test_values(void **state)
{
    char          long_value[2 * LOG_VALUE_MAX];
    size_t        i;
    struct test  *t = *state;
    const char   *text;

    static const struct { const char *value; const char *line; } rows[] = {
        { "",              "a=\"\"" },
        { "a b",           "a=\"a b\"" },
        { "a=b",           "a=\"a=b\"" },
        { "a\"b",          "a=\"a\\\"b\"" },
        { "a\\b",          "a=\"a\\\\b\"" },
        { "a\nevent=x",    "a=\"a\\x0aevent=x\"" },
        { "\x1b[31m\x7f",  "a=\"\\x1b[31m\\x7f\"" },
        { "%s%n",          "a=%s%n" },
        { "gr\xc3\xbc",    "a=gr\xc3\xbc" }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        log_info(&t->log, "e", "a=%s b=1", rows[i].value);
        text = test_text(t);
        assert_memory_equal(text + 33 - 2, rows[i].line,
                            strlen(rows[i].line));
        assert_string_equal(text + 33 - 2 + strlen(rows[i].line), " b=1\n");
    }

    /* a value has a bound, and so has the line */

    memset(long_value, 'x', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';
    log_info(&t->log, "e", "a=%s b=1", long_value);
    text = test_text(t);
    assert_int_equal(strlen(text), 31 + 3 + LOG_VALUE_MAX + 3 + 1 + 5);
    assert_non_null(strstr(text, "xxx...\" b=1\n"));

    memset(long_value, 1, sizeof(long_value) - 1);

#define V  "v=%s "
    log_info(&t->log, "e", V V V V V V V V V V, long_value, long_value,
             long_value, long_value, long_value, long_value, long_value,
             long_value, long_value, long_value);
    text = test_text(t);
    assert_true(strlen(text) <= 8192);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}


static void
test_levels(void **state)
{
    struct test  *t = *state;

    log_debug(&t->log, "e", "a=%d", 1);
    assert_string_equal(test_text(t), "");

    t->log.level = LOG_LEVEL_DEBUG;
    log_debug(&t->log, "e", "a=%d", 1);
    assert_string_equal(test_text(t), "level=debug daemon=test event=e a=1\n");

    t->log.level = LOG_LEVEL_ERROR;
    log_warn(&t->log, "e", "a=%d", 1);
    assert_string_equal(test_text(t), "");

    t->log.journal = true;
    log_error(&t->log, "e", "a=%d", 1);
    assert_string_equal(test_text(t),
                        "<3>level=error daemon=test event=e a=1\n");
}


static void
test_repeats(void **state)
{
    char                text[16];
    unsigned            i, lines;
    const char         *p;
    struct test        *t = *state;
    struct log_repeat  *r = &t->log.repeats[0];

    log_info(&t->log, "many", "n=%d", 0);
    r->second += 1000;                  /* no turn of the second in between */
    test_text(t);

    /* made in one second: only so many come through */

    for (i = 0; i < 10 * LOG_BURST; i++) {
        log_info(&t->log, "many", "n=%u", i);
    }

    log_info(&t->log, "other", "n=%d", 1);

    for (lines = 0, p = test_text(t); (p = strstr(p, "event=many")); p++) {
        lines++;
    }

    assert_in_range(lines, LOG_BURST, 2 * LOG_BURST);
    assert_non_null(strstr(t->text, "event=other n=1"));
    assert_true(r->suppressed > 0);

    /* a later line, or the flush, says how many were left out */

    snprintf(text, sizeof(text), "=%u\n", r->suppressed);
    r->second -= 10;
    log_info(&t->log, "many", "n=%d", 1);
    assert_non_null(strstr(test_text(t), "event=many n=1 suppressed"));
    assert_non_null(strstr(t->text, text));

    r->suppressed = 7;
    r->second -= 10;
    log_flush(&t->log);
    assert_string_equal(test_text(t), "level=warn daemon=test event=many "
                        "suppressed=7\n");
    log_flush(&t->log);
    assert_string_equal(test_text(t), "");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
#define X(name)                                                               \
        cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)

        X(test_formats),
        X(test_values),
        X(test_levels),
        X(test_repeats),
#undef X
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
