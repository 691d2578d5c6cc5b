/*
 * metrics: counters, gauges and histograms as Prometheus text 0.0.4
 *
 * in:   what was registered.  out: the text.  owns: the list of it
 */

#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum metrics_kind { METRICS_KIND_COUNTERS, METRICS_KIND_GAUGE,
                    METRICS_KIND_HISTOGRAM };

struct metrics_item {
    struct metrics_item            *next;
    enum metrics_kind               kind;
    const struct metrics_row       *rows;       /* of counters */
    size_t                          count;
    const uint64_t                 *values;
    struct metrics_row              row;        /* of the others */
    double                        (*fn)(void *data);
    void                           *data;
    const struct metrics_histogram *histogram;
};

struct metrics {
    struct metrics_item  *first;
    struct metrics_item **last;
    time_t                started;
};

/* Upper bounds; Prometheus wants seconds. */
static const uint64_t metrics_bounds_us[METRICS_BUCKETS] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
    500000, 1000000, 2500000, 5000000, 10000000
};


struct metrics *
metrics_create(void)
{
    struct metrics  *m;

    m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return NULL;
    }

    m->last = &m->first;
    m->started = time(NULL);

    return m;
}


void
metrics_destroy(struct metrics *m)
{
    struct metrics_item  *item;

    if (m == NULL) {
        return;
    }

    while (m->first != NULL) {
        item = m->first;
        m->first = item->next;
        free(item);
    }

    free(m);
}


static struct metrics_item *
metrics_item(struct metrics *m, enum metrics_kind kind)
{
    struct metrics_item  *item;

    item = calloc(1, sizeof(*item));
    if (item == NULL) {
        return NULL;
    }

    item->kind = kind;
    *m->last = item;
    m->last = &item->next;

    return item;
}


int
metrics_rows(struct metrics *m, const struct metrics_row *rows, size_t count,
    const void *values)
{
    struct metrics_item  *item;

    item = metrics_item(m, METRICS_KIND_COUNTERS);
    if (item == NULL) {
        return PUSH_ERROR;
    }

    item->rows = rows;
    item->count = count;
    item->values = values;

    return PUSH_OK;
}


int
metrics_gauge(struct metrics *m, const char *name, const char *labels,
    const char *help, double (*fn)(void *data), void *data)
{
    struct metrics_item  *item;

    item = metrics_item(m, METRICS_KIND_GAUGE);
    if (item == NULL) {
        return PUSH_ERROR;
    }

    item->row = (struct metrics_row) { name, labels, help };
    item->fn = fn;
    item->data = data;

    return PUSH_OK;
}


int
metrics_histogram(struct metrics *m, const char *name, const char *labels,
    const char *help, const struct metrics_histogram *h)
{
    struct metrics_item  *item;

    item = metrics_item(m, METRICS_KIND_HISTOGRAM);
    if (item == NULL) {
        return PUSH_ERROR;
    }

    item->row = (struct metrics_row) { name, labels, help };
    item->histogram = h;

    return PUSH_OK;
}


void
metrics_observe_us(struct metrics_histogram *h, uint64_t us)
{
    size_t  i;

    for (i = 0; i < METRICS_BUCKETS && us > metrics_bounds_us[i]; i++) {
        /* void */
    }

    metrics_add(&h->buckets[i], 1);
    metrics_add(&h->sum_us, us);
}


/* HELP and TYPE stand once before all lines of a name. */
static void
metrics_name(FILE *out, const struct metrics_row *row, const char *type,
    const char **name)
{
    if (*name == NULL || strcmp(*name, row->name) != 0) {
        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help,
                row->name, type);
        *name = row->name;
    }
}


static void
metrics_line(FILE *out, const struct metrics_row *row)
{
    if (row->labels[0] != '\0') {
        fprintf(out, "%s{%s} ", row->name, row->labels);

    } else {
        fprintf(out, "%s ", row->name);
    }
}


static void
metrics_histogram_text(FILE *out, const struct metrics_item *item,
    const char **name)
{
    size_t                     i;
    uint64_t                   sum, n;
    const char                *comma;
    const struct metrics_row  *row;

    n = 0;
    row = &item->row;
    comma = row->labels[0] != '\0' ? "," : "";

    metrics_name(out, row, "histogram", name);

    for (i = 0; i <= METRICS_BUCKETS; i++) {
        n += __atomic_load_n(&item->histogram->buckets[i], __ATOMIC_RELAXED);

        if (i < METRICS_BUCKETS) {
            fprintf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", row->name,
                    row->labels, comma, (double) metrics_bounds_us[i] / 1e6, n);

        } else {
            fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", row->name,
                    row->labels, comma, n);
        }
    }

    sum = __atomic_load_n(&item->histogram->sum_us, __ATOMIC_RELAXED);

    if (row->labels[0] != '\0') {
        fprintf(out, "%s_sum{%s} %.6f\n%s_count{%s} %" PRIu64 "\n", row->name,
                row->labels, (double) sum / 1e6, row->name, row->labels, n);

    } else {
        fprintf(out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", row->name,
                (double) sum / 1e6, row->name, n);
    }
}


static void
metrics_item_text(FILE *out, const struct metrics_item *item,
    const char **name)
{
    size_t    i;
    uint64_t  value;

    switch (item->kind) {

    case METRICS_KIND_COUNTERS:
        for (i = 0; i < item->count; i++) {
            value = __atomic_load_n(&item->values[i], __ATOMIC_RELAXED);

            metrics_name(out, &item->rows[i], "counter", name);
            metrics_line(out, &item->rows[i]);
            fprintf(out, "%" PRIu64 "\n", value);
        }

        break;

    case METRICS_KIND_GAUGE:
        metrics_name(out, &item->row, "gauge", name);
        metrics_line(out, &item->row);
        fprintf(out, "%.17g\n", item->fn(item->data));
        break;

    case METRICS_KIND_HISTOGRAM:
        metrics_histogram_text(out, item, name);
        break;
    }
}


char *
metrics_text(struct metrics *m, size_t *len)
{
    char                 *text;
    FILE                 *out;
    const char           *name;
    struct metrics_item  *item;

    text = NULL;
    name = NULL;

    out = open_memstream(&text, len);
    if (out == NULL) {
        return NULL;
    }

    fprintf(out, "# HELP process_start_time_seconds Start of the process.\n"
            "# TYPE process_start_time_seconds gauge\n"
            "process_start_time_seconds %lld\n"
            "# HELP push_build_info The version that runs.\n"
            "# TYPE push_build_info gauge\n"
            "push_build_info{version=\"" PUSH_VERSION "\"} 1\n",
            (long long) m->started);

    for (item = m->first; item != NULL; item = item->next) {
        metrics_item_text(out, item, &name);
    }

    if (ferror(out)) {
        fclose(out);
        free(text);
        return NULL;
    }

    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }

    return text;
}
