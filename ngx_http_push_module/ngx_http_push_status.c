/*
 * ngx_http_push_status: counters of all slots
 *
 *     zone: gone + slot + slot + ... --a row a counter--> JSON or Prometheus
 *
 * in:   GET, ?format=json (default) or prometheus, or Accept: text/plain
 * out:  sums, which never go back, and what each living worker has now
 * owns: nothing
 */

#include "ngx_http_push_status.h"
#include "ngx_http_push_status_time.h"
#include "ngx_http_push_slot.h"


#define NGX_HTTP_PUSH_STATUS_NUMBER  20         /* digits */


typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   help;
    size_t                      offset;         /* in the counters */
} ngx_http_push_status_row_t;

#define ngx_http_push_status_row(name, help)                                  \
    { ngx_string(#name), ngx_string(help),                                    \
      offsetof(ngx_http_push_counters_t, name) }

static const ngx_http_push_status_row_t  ngx_http_push_status_counters[] = {
#define X(name, help)  ngx_http_push_status_row(name, help),
    NGX_HTTP_PUSH_COUNTERS(X)
#undef X
#define X(name, code, text, counter)                                          \
    ngx_http_push_status_row(counter, "connections closed: " #code " " text),
    PUSH_CLOSE_REASONS(X)
#undef X
};

static const ngx_http_push_status_row_t  ngx_http_push_status_gauges[] = {
    ngx_http_push_status_row(connections, "live connections"),
    ngx_http_push_status_row(users,
                             "users of a worker with connections, summed"),
    ngx_http_push_status_row(queue_bytes, "bytes that wait for slow clients"),
    ngx_http_push_status_row(redis_up, "workers connected to Redis"),
    ngx_http_push_status_row(redis_rtt_us,
                             "last round trip to Redis, microseconds")
};

#define NGX_HTTP_PUSH_STATUS_COUNTERS                                         \
    (sizeof(ngx_http_push_status_counters)                                    \
     / sizeof(ngx_http_push_status_row_t))
#define NGX_HTTP_PUSH_STATUS_GAUGES                                           \
    (sizeof(ngx_http_push_status_gauges) / sizeof(ngx_http_push_status_row_t))

#define ngx_http_push_status_value(counters, row)                             \
    (*(const ngx_atomic_t *) ((const u_char *) (counters) + (row)->offset))


/* A copy, so that sums and rows of one answer agree. */
typedef struct {
    ngx_uint_t                  number;
    ngx_uint_t                  worker;
    ngx_uint_t                  pid;
    ngx_uint_t                  generation;
    ngx_uint_t                  state;
    ngx_http_push_counters_t    counters;
} ngx_http_push_status_worker_t;

typedef struct {
    ngx_uint_t                      n;
    ngx_http_push_counters_t        sum;
    ngx_http_push_status_worker_t  *workers;
} ngx_http_push_status_t;


static ngx_int_t ngx_http_push_status_prometheus(ngx_http_request_t *r,
    ngx_uint_t *prometheus);
static ngx_int_t ngx_http_push_status_read(ngx_http_request_t *r,
    ngx_http_push_status_t *st);
static u_char *ngx_http_push_status_json(u_char *p, u_char *last,
    ngx_http_push_status_t *st);
static u_char *ngx_http_push_status_members(u_char *p, u_char *last,
    ngx_http_push_counters_t *counters);
static u_char *ngx_http_push_status_text(u_char *p, u_char *last,
    ngx_http_push_status_t *st);
static size_t ngx_http_push_status_size(ngx_uint_t workers);


ngx_int_t
ngx_http_push_status(ngx_http_request_t *r)
{
    size_t                   size;
    ngx_int_t                rc;
    ngx_buf_t               *b;
    ngx_uint_t               prometheus;
    ngx_chain_t              out;
    ngx_http_push_status_t   st;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_push_worker == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;    /* it waits for a slot */
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_push_status_prometheus(r, &prometheus) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_http_push_status_read(r, &st) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    size = ngx_http_push_status_size(st.n);

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (prometheus) {
        b->last = ngx_http_push_status_text(b->last, b->end, &st);
        ngx_str_set(&r->headers_out.content_type,
                    "text/plain; version=0.0.4");

    } else {
        b->last = ngx_http_push_status_json(b->last, b->end, &st);
        ngx_str_set(&r->headers_out.content_type, "application/json");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_push_status_prometheus(ngx_http_request_t *r, ngx_uint_t *prometheus)
{
    ngx_uint_t        i;
    ngx_str_t         format;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    *prometheus = 0;

    if (ngx_http_arg(r, (u_char *) "format", 6, &format) == NGX_OK) {

        if (format.len == 10
            && ngx_strncmp(format.data, "prometheus", 10) == 0)
        {
            *prometheus = 1;
            return NGX_OK;
        }

        return (format.len == 4 && ngx_strncmp(format.data, "json", 4) == 0)
               ? NGX_OK : NGX_DECLINED;
    }

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            part = part->next;

            if (part == NULL) {
                return NGX_OK;
            }

            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == 6
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Accept", 6) == 0
            && ngx_strlcasestrn(h[i].value.data,
                                h[i].value.data + h[i].value.len,
                                (u_char *) "text/plain", 10 - 1)
               != NULL)
        {
            *prometheus = 1;
        }
    }
}


/* Gauges of a worker that was killed are gone, its counters are not. */

static ngx_int_t
ngx_http_push_status_read(ngx_http_request_t *r, ngx_http_push_status_t *st)
{
    ngx_uint_t                       i;
    ngx_slab_pool_t                 *shpool;
    ngx_http_push_slot_t            *slot;
    ngx_http_push_zone_t            *zone;
    ngx_http_push_status_worker_t   *worker;

    zone = ngx_http_push_worker->zone;
    shpool = (ngx_slab_pool_t *)
                            ngx_http_push_worker->conf->shm_zone->shm.addr;

    st->n = 0;
    st->workers = ngx_palloc(r->pool, zone->slots
                                      * sizeof(ngx_http_push_status_worker_t));
    if (st->workers == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&st->sum, sizeof(ngx_http_push_counters_t));

    /* while a worker leaves, its counters are neither in its slot nor gone */

    ngx_shmtx_lock(&shpool->mutex);

    ngx_http_push_slot_add(&st->sum, &zone->gone);

    for (i = 0; i < zone->slots; i++) {
        slot = &zone->slot[i];
        worker = &st->workers[st->n];

        worker->number = i;
        worker->worker = slot->worker;
        worker->pid = slot->pid;
        worker->generation = slot->generation;
        worker->state = slot->state;
        worker->counters = slot->counters;

        ngx_http_push_slot_add(&st->sum, &worker->counters);

        if (slot->state == NGX_HTTP_PUSH_SLOT_FREE
            || !ngx_http_push_slot_alive(slot))
        {
            continue;
        }

        st->sum.connections += worker->counters.connections;
        st->sum.users += worker->counters.users;
        st->sum.queue_bytes += worker->counters.queue_bytes;
        st->sum.redis_up += worker->counters.redis_up;
        st->sum.redis_rtt_us = ngx_max(st->sum.redis_rtt_us,
                                       worker->counters.redis_rtt_us);
        st->n++;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return NGX_OK;
}


/* --- formats ------------------------------------------------------------- */

static u_char *
ngx_http_push_status_json(u_char *p, u_char *last, ngx_http_push_status_t *st)
{
    ngx_uint_t                      i;
    ngx_http_push_worker_t         *w;
    ngx_http_push_status_worker_t  *worker;

    w = ngx_http_push_worker;

    p = ngx_slprintf(p, last,
                     "{\"node\":\"%V\",\"instance\":\"%016xL\","
                     "\"version\":\"" NGX_HTTP_PUSH_VERSION "\"",
                     &w->conf->node, w->instance);

    p = ngx_http_push_status_members(p, last, &st->sum);
    p = ngx_http_push_status_time_json(p, last, &st->sum, 1);

    p = ngx_slprintf(p, last, ",\"workers\":[");

    for (i = 0; i < st->n; i++) {
        worker = &st->workers[i];

        p = ngx_slprintf(p, last,
                         "%s\n{\"slot\":%ui,\"worker\":%ui,\"pid\":%ui,"
                         "\"generation\":%ui,\"state\":\"%s\"",
                         i ? "," : "", worker->number, worker->worker,
                         worker->pid, worker->generation,
                         worker->state == NGX_HTTP_PUSH_SLOT_DRAIN ? "drain"
                                                                   : "run");

        p = ngx_http_push_status_members(p, last, &worker->counters);
        p = ngx_http_push_status_time_json(p, last, &worker->counters, 0);
        p = ngx_slprintf(p, last, "}");
    }

    return ngx_slprintf(p, last, "]}\n");
}


static u_char *
ngx_http_push_status_members(u_char *p, u_char *last,
    ngx_http_push_counters_t *counters)
{
    ngx_uint_t                         i;
    const ngx_http_push_status_row_t  *row;

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_GAUGES; i++) {
        row = &ngx_http_push_status_gauges[i];
        p = ngx_slprintf(p, last, ",\"%V\":%uA", &row->name,
                         ngx_http_push_status_value(counters, row));
    }

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_COUNTERS; i++) {
        row = &ngx_http_push_status_counters[i];
        p = ngx_slprintf(p, last, ",\"%V\":%uA", &row->name,
                         ngx_http_push_status_value(counters, row));
    }

    return p;
}


static u_char *
ngx_http_push_status_text(u_char *p, u_char *last, ngx_http_push_status_t *st)
{
    ngx_uint_t                         i, n;
    ngx_http_push_status_worker_t     *worker;
    const ngx_http_push_status_row_t  *row;

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_COUNTERS; i++) {
        row = &ngx_http_push_status_counters[i];
        p = ngx_slprintf(p, last,
                         "# HELP push_edge_%V_total %V\n"
                         "# TYPE push_edge_%V_total counter\n"
                         "push_edge_%V_total %uA\n",
                         &row->name, &row->help, &row->name, &row->name,
                         ngx_http_push_status_value(&st->sum, row));
    }

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_GAUGES; i++) {
        row = &ngx_http_push_status_gauges[i];
        p = ngx_slprintf(p, last,
                         "# HELP push_edge_%V %V\n"
                         "# TYPE push_edge_%V gauge\n",
                         &row->name, &row->help, &row->name);

        for (n = 0; n < st->n; n++) {
            worker = &st->workers[n];
            p = ngx_slprintf(p, last,
                             "push_edge_%V{slot=\"%ui\",state=\"%s\"} %uA\n",
                             &row->name, worker->number,
                             worker->state == NGX_HTTP_PUSH_SLOT_DRAIN
                             ? "drain" : "run",
                             ngx_http_push_status_value(&worker->counters,
                                                        row));
        }
    }

    return ngx_http_push_status_time_text(p, last, &st->sum);
}


/* At least what either format needs. */

static size_t
ngx_http_push_status_size(ngx_uint_t workers)
{
    size_t      size, rows;
    ngx_uint_t  i;

    rows = 0;
    size = 512 + ngx_http_push_worker->conf->node.len;

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_COUNTERS; i++) {
        rows += ngx_http_push_status_counters[i].name.len;
        size += ngx_http_push_status_counters[i].help.len;
    }

    for (i = 0; i < NGX_HTTP_PUSH_STATUS_GAUGES; i++) {
        rows += ngx_http_push_status_gauges[i].name.len;
        size += ngx_http_push_status_gauges[i].help.len;
    }

    rows += (NGX_HTTP_PUSH_STATUS_COUNTERS + NGX_HTTP_PUSH_STATUS_GAUGES)
            * (NGX_HTTP_PUSH_STATUS_NUMBER + 80);

    return size + (3 + workers) * rows + workers * 256
           + ngx_http_push_status_time_size(workers);
}
