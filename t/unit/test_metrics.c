/* metrics: the text that Prometheus reads. */

#include "metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define TEST_COUNTERS(X)                                                      \
    X(good, "push_test_total", "result=\"good\"", "Tests.")                   \
    X(bad,  "push_test_total", "result=\"bad\"",  "Tests.")                   \
    X(runs, "push_runs_total", "",                "Runs.")

struct test_counters { TEST_COUNTERS(METRICS_FIELD) };

static const struct metrics_row test_rows[] = { TEST_COUNTERS(METRICS_ROW) };


static double
test_gauge(void *data)
{
    return *(double *) data;
}


static void
test_text(void **state)
{
    char                     *text;
    double                    value = 0.5, large = 1e15 + 1;
    size_t                    len;
    struct metrics           *m;
    struct test_counters      counters = { 0 };
    struct metrics_histogram  h = { { 0 }, 0 };

    (void) state;

    m = metrics_create();
    assert_non_null(m);
    metrics_rows(m, test_rows, METRICS_COUNT(test_rows), &counters);
    metrics_gauge(m, "push_depth", "", "Depth.", test_gauge, &value);
    metrics_gauge(m, "push_large", "a=\"b\"", "Large.", test_gauge, &large);
    metrics_histogram(m, "push_seconds", "a=\"b\"", "Time.", &h);

    metrics_add(&counters.bad, 1);
    metrics_add(&counters.bad, 2);
    metrics_add(&counters.runs, UINT64_MAX);
    metrics_observe_us(&h, 0);
    metrics_observe_us(&h, 100);
    metrics_observe_us(&h, 101);
    metrics_observe_us(&h, 10000000);
    metrics_observe_us(&h, 10000001);

    text = metrics_text(m, &len);
    assert_non_null(text);
    assert_int_equal(strlen(text), len);

    assert_non_null(strstr(text, "push_build_info{version=\"" PUSH_VERSION
                           "\"} 1\n"));
    assert_non_null(strstr(text,
        "# HELP push_test_total Tests.\n"
        "# TYPE push_test_total counter\n"
        "push_test_total{result=\"good\"} 0\n"
        "push_test_total{result=\"bad\"} 3\n"
        "# HELP push_runs_total Runs.\n"
        "# TYPE push_runs_total counter\n"
        "push_runs_total 18446744073709551615\n"
        "# HELP push_depth Depth.\n"
        "# TYPE push_depth gauge\n"
        "push_depth 0.5\n"
        "# HELP push_large Large.\n"
        "# TYPE push_large gauge\n"
        "push_large{a=\"b\"} 1000000000000001\n"
        "# HELP push_seconds Time.\n"
        "# TYPE push_seconds histogram\n"
        "push_seconds_bucket{a=\"b\",le=\"0.0001\"} 2\n"
        "push_seconds_bucket{a=\"b\",le=\"0.00025\"} 3\n"));
    assert_non_null(strstr(text,
        "push_seconds_bucket{a=\"b\",le=\"5\"} 3\n"
        "push_seconds_bucket{a=\"b\",le=\"10\"} 4\n"
        "push_seconds_bucket{a=\"b\",le=\"+Inf\"} 5\n"
        "push_seconds_sum{a=\"b\"} 20.000202\n"
        "push_seconds_count{a=\"b\"} 5\n"));

    free(text);
    metrics_destroy(m);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
