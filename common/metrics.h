/*
 * metrics: counters, gauges and histograms as Prometheus text 0.0.4
 *
 * in:   rows of the daemon's own counters, gauges by callback, histograms
 * out:  the text of GET /metrics
 * owns: the list of what was registered; names and values are borrowed
 *
 * A daemon's counters are one X-macro:
 *
 *     #define AUTH_COUNTERS(X)
 *         X(verified, "push_auth_verify_total", "result=\"ok\"", "Checks.")
 *         X(refused,  "push_auth_verify_total", "result=\"401\"", "Checks.")
 *
 *     struct auth_counters { AUTH_COUNTERS(METRICS_FIELD) };
 *     static const struct metrics_row rows[] = { AUTH_COUNTERS(METRICS_ROW) };
 *
 *     metrics_rows(metrics, rows, METRICS_COUNT(rows), &auth->counters);
 *     metrics_add(&auth->counters.verified, 1);
 */

#ifndef METRICS_H
#define METRICS_H

#include "push.h"

struct metrics;

struct metrics_row {
    const char *name;       /* push_<daemon>_<what>_total */
    const char *labels;     /* without braces; "": none */
    const char *help;
};

#define METRICS_FIELD(field, name, labels, help)  uint64_t field;
#define METRICS_ROW(field, name, labels, help)    { name, labels, help },
#define METRICS_COUNT(rows)  (sizeof(rows) / sizeof((rows)[0]))

/* NULL: out of memory. */
struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *m);

/*
 * values points to count uint64_t in the order of the rows (a struct of
 * METRICS_FIELDs).  All borrowed until metrics_destroy().  Rows of one name
 * stand together.  PUSH_OK, or PUSH_ERROR: out of memory.
 */
int metrics_rows(struct metrics *m, const struct metrics_row *rows,
    size_t count, const void *values);

/* From any thread. */
static inline void
metrics_add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* fn is called in the loop's thread at each scrape.  PUSH_OK, PUSH_ERROR. */
int metrics_gauge(struct metrics *m, const char *name, const char *labels,
    const char *help, double (*fn)(void *data), void *data);

/*
 * A histogram of seconds with buckets of 100 us to 10 s (1, 2.5, 5).  Part of
 * the caller's struct, all zero at the start; observed from any thread.
 */
#define METRICS_BUCKETS  16

struct metrics_histogram {
    uint64_t buckets[METRICS_BUCKETS + 1];      /* the last: above all */
    uint64_t sum_us;
};

void metrics_observe_us(struct metrics_histogram *h, uint64_t us);
int metrics_histogram(struct metrics *m, const char *name, const char *labels,
    const char *help, const struct metrics_histogram *h);

/*
 * The whole text, to be freed by the caller; NULL: out of memory.  Always
 * begins with process_start_time_seconds and push_build_info.
 */
char *metrics_text(struct metrics *m, size_t *len);

#endif
