/*
 * ngx_http_push_redis: one connection to Redis a worker, made again and again
 *
 *     timer --> connect --> setup --> READY --fault--> fail --> timer
 *
 * in:   commands for the pipeline; out: replies, or LOST
 * owns: the socket, its timers
 *
 * A connection is given up when a reply stays out for 2 s, and made again
 * after 50 ms, doubled to 5 s, with jitter.  What was unanswered is LOST then:
 * it may have been carried out or not.
 */

#include "ngx_http_push_redis_state.h"

#include <poll.h>


#define NGX_HTTP_PUSH_REDIS_TIMEOUT_MS  2000        /* connect, reply */
#define NGX_HTTP_PUSH_REDIS_BACKOFF_MS  50
#define NGX_HTTP_PUSH_REDIS_BACKOFF_MAX_MS  5000


static void ngx_http_push_redis_connect(ngx_http_push_redis_t *r);
static void ngx_http_push_redis_drop(ngx_http_push_redis_t *r);
static ngx_int_t ngx_http_push_redis_send(ngx_http_push_redis_t *r);
static ngx_int_t ngx_http_push_redis_recv(ngx_http_push_redis_t *r);
static void ngx_http_push_redis_read_handler(ngx_event_t *rev);
static void ngx_http_push_redis_write_handler(ngx_event_t *wev);
static void ngx_http_push_redis_flush_handler(ngx_event_t *ev);
static void ngx_http_push_redis_timer_handler(ngx_event_t *ev);


ngx_http_push_redis_t *
ngx_http_push_redis_create(ngx_http_push_main_conf_t *conf,
    ngx_http_push_redis_hooks_t *hooks, ngx_log_t *log)
{
    ngx_http_push_redis_t  *r;

    r = ngx_calloc(sizeof(ngx_http_push_redis_t), log);
    if (r == NULL) {
        return NULL;
    }

    if (ngx_http_push_pipeline_init(&r->pipeline, log) != NGX_OK) {
        ngx_free(r);
        return NULL;
    }

    r->conf = conf;
    r->hooks = *hooks;
    r->log = log;

    r->timer.handler = ngx_http_push_redis_timer_handler;
    r->timer.data = r;
    r->timer.log = log;
    r->timer.cancelable = 1;

    ngx_http_push_redis_setup_init(r);

    r->flush.handler = ngx_http_push_redis_flush_handler;
    r->flush.data = r;
    r->flush.log = log;

    ngx_add_timer(&r->timer, 1);        /* the event loop is about to start */

    return r;
}


void
ngx_http_push_redis_destroy(ngx_http_push_redis_t *r)
{
    if (r == NULL) {
        return;
    }

    r->hooks.down = NULL;
    ngx_http_push_redis_drop(r);

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    ngx_http_push_pipeline_deinit(&r->pipeline);
    ngx_free(r);
}


/* --- commands ------------------------------------------------------------ */

ngx_int_t
ngx_http_push_redis_command(ngx_http_push_redis_t *r,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv)
{
    if (r->state != NGX_HTTP_PUSH_REDIS_READY) {
        return NGX_DECLINED;
    }

    return ngx_http_push_redis_put(r, handler, data, argc, argv);
}


ngx_int_t
ngx_http_push_redis_put(ngx_http_push_redis_t *r,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv)
{
    if (ngx_http_push_pipeline_put(&r->pipeline, handler, data, argc, argv)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_push_count(redis_commands);

    if (r->rtt_sent_us == 0) {
        r->rtt_sent_us = ngx_http_push_redis_monotonic_us();
        r->rtt_reply = r->pipeline.replies + r->pipeline.count;
    }

    if (!r->timer.timer_set) {
        ngx_add_timer(&r->timer, NGX_HTTP_PUSH_REDIS_TIMEOUT_MS);
    }

    if (!r->flush.posted) {
        ngx_post_event(&r->flush, &ngx_posted_events);  /* once a turn */
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_push_redis_room(ngx_http_push_redis_t *r, ngx_uint_t n, size_t len)
{
    return r->state == NGX_HTTP_PUSH_REDIS_READY
           && ngx_http_push_pipeline_room(&r->pipeline, n, len);
}


ngx_uint_t
ngx_http_push_redis_ready(ngx_http_push_redis_t *r)
{
    return r->state == NGX_HTTP_PUSH_REDIS_READY;
}


ngx_uint_t
ngx_http_push_redis_pending(ngx_http_push_redis_t *r)
{
    return r->state == NGX_HTTP_PUSH_REDIS_READY ? r->pipeline.count : 0;
}


void
ngx_http_push_redis_flush(ngx_http_push_redis_t *r, ngx_msec_t ms)
{
    uint64_t       now, end;
    struct pollfd  pfd;

    now = ngx_http_push_redis_monotonic_us() / 1000;
    end = now + ms;

    while (ngx_http_push_redis_pending(r) && now < end) {

        if (ngx_http_push_redis_send(r) == NGX_ERROR) {
            return;
        }

        pfd.fd = r->c->fd;
        pfd.events = POLLIN;
        pfd.events |= (r->pipeline.out_len ? POLLOUT : 0);
        pfd.revents = 0;

        if (poll(&pfd, 1, (int) (end - now)) > 0) {
            r->c->write->ready = 1;
            r->c->read->ready = 1;

            if (ngx_http_push_redis_recv(r) == NGX_ERROR) {
                return;
            }
        }

        now = ngx_http_push_redis_monotonic_us() / 1000;
    }
}


/* --- connect, set up, fail ----------------------------------------------- */

static void
ngx_http_push_redis_connect(ngx_http_push_redis_t *r)
{
    int                one, rc;
    ngx_addr_t        *addr;
    ngx_event_t       *rev, *wev;
    ngx_socket_t       s;
    ngx_connection_t  *c;

    addr = &r->conf->redis.addrs[r->address++ % r->conf->redis.naddrs];

    s = socket(addr->sockaddr->sa_family,
               SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (s == (ngx_socket_t) -1) {
        ngx_http_push_redis_fail(r, "socket() failed", ngx_socket_errno);
        return;
    }

    c = ngx_get_connection(s, r->log);

    if (c == NULL) {
        if (ngx_close_socket(s) == -1) {
            ngx_log_error(NGX_LOG_ALERT, r->log, ngx_socket_errno,
                          ngx_close_socket_n " failed");
        }

        ngx_http_push_redis_fail(r, "no free worker_connections", 0);
        return;
    }

    r->c = c;
    r->state = NGX_HTTP_PUSH_REDIS_CONNECT;

    rev = c->read;
    wev = c->write;

    c->data = r;
    c->type = SOCK_STREAM;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->log = r->log;
    c->log_error = NGX_ERROR_INFO;      /* fail() says it once */
    rev->log = r->log;
    wev->log = r->log;
    rev->handler = ngx_http_push_redis_read_handler;
    wev->handler = ngx_http_push_redis_write_handler;

    if (addr->sockaddr->sa_family != AF_UNIX) {
        one = 1;
        (void) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(int));
    }

    if (ngx_http_push_pipeline_open(&r->pipeline) != NGX_OK) {
        ngx_http_push_redis_fail(r, "no memory for a connection", 0);
        return;
    }

    rc = connect(s, addr->sockaddr, addr->socklen);

    if (rc == -1 && ngx_socket_errno != NGX_EINPROGRESS) {
        ngx_http_push_redis_fail(r, "connect() failed", ngx_socket_errno);
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK
        || ngx_handle_write_event(wev, 0) != NGX_OK)
    {
        ngx_http_push_redis_fail(r, "no event for the socket", 0);
        return;
    }

    if (rc == -1) {
        ngx_add_timer(&r->timer, NGX_HTTP_PUSH_REDIS_TIMEOUT_MS);
        return;
    }

    wev->ready = 1;

    ngx_http_push_redis_setup(r);
}


/* One end for every fault: closed once, all callbacks, back-off. */

void
ngx_http_push_redis_fail(ngx_http_push_redis_t *r, const char *text,
    ngx_err_t err)
{
    ngx_uint_t  shift, level;
    ngx_msec_t  delay;

    if (r->state == NGX_HTTP_PUSH_REDIS_READY
        && ngx_current_msec - r->ready_since
           > NGX_HTTP_PUSH_REDIS_BACKOFF_MAX_MS)
    {
        r->failures = 0;
    }

    /* an outage is one line; its further attempts are for who looks closely */
    level = r->failures ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, r->log, err,
                  "push: redis \"%V\": %s", &r->conf->redis_url, text);

    ngx_http_push_count(redis_errors);

    shift = ngx_min(r->failures, 7);
    delay = ngx_min((ngx_msec_t) NGX_HTTP_PUSH_REDIS_BACKOFF_MS << shift,
                    NGX_HTTP_PUSH_REDIS_BACKOFF_MAX_MS);

    r->failures++;

    ngx_http_push_redis_drop(r);

    ngx_add_timer(&r->timer, delay / 2 + ngx_random() % (delay / 2 + 1));
}


static void
ngx_http_push_redis_drop(ngx_http_push_redis_t *r)
{
    ngx_uint_t  was_ready;

    was_ready = (r->state == NGX_HTTP_PUSH_REDIS_READY);
    r->state = NGX_HTTP_PUSH_REDIS_BACKOFF;

    ngx_http_push_worker->counters->redis_up = 0;
    r->rtt_sent_us = 0;

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    if (r->clock.timer_set) {
        ngx_del_timer(&r->clock);
    }

    if (r->flush.posted) {
        ngx_delete_posted_event(&r->flush);
    }

    if (r->c) {
        ngx_close_connection(r->c);
        r->c = NULL;
    }

    ngx_http_push_pipeline_close(&r->pipeline);

    if (was_ready && r->hooks.down) {
        r->hooks.down(r->hooks.ctx);
    }
}


/* --- events -------------------------------------------------------------- */

/* NGX_ERROR: the connection has gone. */

static ngx_int_t
ngx_http_push_redis_send(ngx_http_push_redis_t *r)
{
    if (ngx_http_push_pipeline_send(&r->pipeline, r->c) != NGX_OK) {
        ngx_http_push_redis_fail(r, r->pipeline.error, 0);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_push_redis_recv(ngx_http_push_redis_t *r)
{
    if (ngx_http_push_pipeline_recv(&r->pipeline, r->c) != NGX_OK) {
        ngx_http_push_redis_fail(r, r->pipeline.error, 0);
        return NGX_ERROR;
    }

    if (r->rtt_sent_us && r->pipeline.replies >= r->rtt_reply) {
        ngx_http_push_worker->counters->redis_rtt_us =
                        ngx_http_push_redis_monotonic_us() - r->rtt_sent_us;
        r->rtt_sent_us = 0;
    }

    return NGX_OK;
}


static void
ngx_http_push_redis_read_handler(ngx_event_t *rev)
{
    ngx_connection_t       *c;
    ngx_http_push_redis_t  *r;

    c = rev->data;
    r = c->data;

    /* c->close: the shutdown timer; removals go on until the worker exits */
    c->close = 0;

    if (r->state == NGX_HTTP_PUSH_REDIS_CONNECT) {
        return;                     /* the write event says how it ended */
    }

    (void) ngx_http_push_redis_recv(r);
}


static void
ngx_http_push_redis_write_handler(ngx_event_t *wev)
{
    int                     err;
    socklen_t               len;
    ngx_connection_t       *c;
    ngx_http_push_redis_t  *r;

    c = wev->data;
    r = c->data;

    if (r->state != NGX_HTTP_PUSH_REDIS_CONNECT) {
        (void) ngx_http_push_redis_send(r);
        return;
    }

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_http_push_redis_fail(r, "connect() failed", err);
        return;
    }

    ngx_http_push_redis_setup(r);
}


static void
ngx_http_push_redis_flush_handler(ngx_event_t *ev)
{
    (void) ngx_http_push_redis_send(ev->data);
}


static void
ngx_http_push_redis_timer_handler(ngx_event_t *ev)
{
    ngx_msec_t              silent;
    ngx_http_push_redis_t  *r;

    r = ev->data;

    if (r->state == NGX_HTTP_PUSH_REDIS_BACKOFF) {
        ngx_http_push_redis_connect(r);
        return;
    }

    if (r->state == NGX_HTTP_PUSH_REDIS_CONNECT) {
        ngx_http_push_redis_fail(r, "connect() timed out", 0);
        return;
    }

    /* a worker that was stopped itself has not read what is there */

    if (ngx_http_push_redis_recv(r) == NGX_ERROR || r->pipeline.count == 0) {
        return;
    }

    silent = ngx_current_msec - r->pipeline.moved;

    if (silent >= NGX_HTTP_PUSH_REDIS_TIMEOUT_MS) {
        ngx_http_push_redis_fail(r, "no reply in time", 0);
        return;
    }

    if (!r->timer.timer_set) {
        ngx_add_timer(&r->timer, NGX_HTTP_PUSH_REDIS_TIMEOUT_MS - silent);
    }
}


