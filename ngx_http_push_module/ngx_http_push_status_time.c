/*
 * ngx_http_push_status_time: histograms as text
 *
 * in:   the histograms of a worker, or of all; out: text.  owns: nothing
 */

#include "ngx_http_push_status_time.h"
#include "ngx_http_push_latency.h"


typedef struct {
    const char  *json;
    const char  *prometheus;
    const char  *help;
    size_t       offset;                        /* in the counters */
} ngx_http_push_status_time_row_t;

static const ngx_http_push_status_time_row_t  ngx_http_push_status_times[] = {
#define X(name, prometheus, help)                                             \
    { #name, prometheus, help, offsetof(ngx_http_push_counters_t, name) },
    NGX_HTTP_PUSH_TIMES(X)
#undef X
};

#define NGX_HTTP_PUSH_STATUS_TIMES                                            \
    (sizeof(ngx_http_push_status_times)                                       \
     / sizeof(ngx_http_push_status_time_row_t))

#define ngx_http_push_status_time_of(counters, row)                           \
    ((const ngx_http_push_time_t *) ((const u_char *) (counters)              \
                                     + (row)->offset))

/* of a bucket in JSON; of two lines for each in Prometheus; of a member */
#define NGX_HTTP_PUSH_STATUS_BUCKET   (sizeof("\"4294967295\":,") + 20)
#define NGX_HTTP_PUSH_STATUS_LINE     160
#define NGX_HTTP_PUSH_STATUS_MEMBER   256


static ngx_uint_t ngx_http_push_status_time_count(
    const ngx_http_push_time_t *t);
static u_char *ngx_http_push_status_time_seconds(u_char *p, u_char *last,
    ngx_uint_t us);


u_char *
ngx_http_push_status_time_json(u_char *p, u_char *last,
    const ngx_http_push_counters_t *counters, ngx_uint_t buckets)
{
    ngx_uint_t                              i, n, any;
    const ngx_http_push_time_t             *t;
    const ngx_http_push_status_time_row_t  *row;

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_TIMES; i++) {
        row = &ngx_http_push_status_times[i];
        t = ngx_http_push_status_time_of(counters, row);

        p = ngx_slprintf(p, last,
                         ",\"%s\":{\"count\":%ui,\"sum\":%uA,\"p50\":%ui,"
                         "\"p99\":%ui,\"max\":%uA",
                         row->json, ngx_http_push_status_time_count(t), t->sum,
                         ngx_http_push_latency_quantile(t, 500),
                         ngx_http_push_latency_quantile(t, 990), t->max);

        if (buckets) {
            p = ngx_slprintf(p, last, ",\"buckets\":{");
            any = 0;

            for (n = 0; n < NGX_HTTP_PUSH_TIME_BUCKETS; n++) {

                if (t->buckets[n] == 0) {
                    continue;
                }

                if (n < NGX_HTTP_PUSH_TIME_BUCKETS - 1) {
                    p = ngx_slprintf(p, last, "%s\"%uD\":%uA", any ? "," : "",
                                     ngx_http_push_latency_bound(n),
                                     t->buckets[n]);
                } else {
                    p = ngx_slprintf(p, last, "%s\"inf\":%uA", any ? "," : "",
                                     t->buckets[n]);
                }

                any = 1;
            }

            p = ngx_slprintf(p, last, "}");
        }

        p = ngx_slprintf(p, last, "}");
    }

    return p;
}


u_char *
ngx_http_push_status_time_text(u_char *p, u_char *last,
    const ngx_http_push_counters_t *counters)
{
    ngx_uint_t                              i, n, seen;
    const ngx_http_push_time_t             *t;
    const ngx_http_push_status_time_row_t  *row;

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_TIMES; i++) {
        row = &ngx_http_push_status_times[i];
        t = ngx_http_push_status_time_of(counters, row);

        p = ngx_slprintf(p, last,
                         "# HELP push_edge_%s_seconds %s\n"
                         "# TYPE push_edge_%s_seconds histogram\n",
                         row->prometheus, row->help, row->prometheus);

        seen = 0;

        for (n = 0; n < NGX_HTTP_PUSH_TIME_BUCKETS - 1; n++) {
            seen += t->buckets[n];

            if (!ngx_http_push_latency_round(n)) {
                continue;
            }

            p = ngx_slprintf(p, last, "push_edge_%s_seconds_bucket{le=\"",
                             row->prometheus);
            p = ngx_http_push_status_time_seconds(p, last,
                                              ngx_http_push_latency_bound(n));
            p = ngx_slprintf(p, last, "\"} %ui\n", seen);
        }

        seen += t->buckets[n];

        p = ngx_slprintf(p, last,
                         "push_edge_%s_seconds_bucket{le=\"+Inf\"} %ui\n"
                         "push_edge_%s_seconds_sum ",
                         row->prometheus, seen, row->prometheus);
        p = ngx_http_push_status_time_seconds(p, last, t->sum);
        p = ngx_slprintf(p, last,
                         "\npush_edge_%s_seconds_count %ui\n"
                         "# HELP push_edge_%s_seconds_max the largest so far\n"
                         "# TYPE push_edge_%s_seconds_max gauge\n"
                         "push_edge_%s_seconds_max ",
                         row->prometheus, seen, row->prometheus,
                         row->prometheus, row->prometheus);
        p = ngx_http_push_status_time_seconds(p, last, t->max);
        p = ngx_slprintf(p, last, "\n");
    }

    return p;
}


size_t
ngx_http_push_status_time_size(ngx_uint_t workers)
{
    return NGX_HTTP_PUSH_STATUS_TIMES
           * ((workers + 1) * NGX_HTTP_PUSH_STATUS_MEMBER
              + NGX_HTTP_PUSH_TIME_BUCKETS
                * ngx_max(NGX_HTTP_PUSH_STATUS_BUCKET,
                          NGX_HTTP_PUSH_STATUS_LINE));
}


static ngx_uint_t
ngx_http_push_status_time_count(const ngx_http_push_time_t *t)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_PUSH_TIME_BUCKETS; i++) {
        n += t->buckets[i];
    }

    return n;
}


static u_char *
ngx_http_push_status_time_seconds(u_char *p, u_char *last, ngx_uint_t us)
{
    return ngx_slprintf(p, last, "%ui.%06ui", us / 1000000, us % 1000000);
}
