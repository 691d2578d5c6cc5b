/*
 * ngx_http_push_redis: one connection to Redis a worker, made again and again
 *
 *     timer --> connect --> setup --> READY --fault--> fail --> timer
 *
 * in:   commands for the pipeline; out: replies, or LOST
 * owns: the socket, its timers, Redis' clock
 *
 * A connection is given up when a reply stays out for 2 s, and made again
 * after 50 ms, doubled to 5 s, with jitter.  What was unanswered is LOST then:
 * it may have been carried out or not.
 */

#include "ngx_http_push_redis.h"

#include <poll.h>
#include <time.h>


#define NGX_HTTP_PUSH_REDIS_TIMEOUT_MS  2000        /* connect, reply */
#define NGX_HTTP_PUSH_REDIS_BACKOFF_MS  50
#define NGX_HTTP_PUSH_REDIS_BACKOFF_MAX_MS  5000
#define NGX_HTTP_PUSH_REDIS_CLOCK_MS    300000      /* TIME is asked again */
#define NGX_HTTP_PUSH_REDIS_RUN_ID      64


typedef enum {
    NGX_HTTP_PUSH_REDIS_BACKOFF,
    NGX_HTTP_PUSH_REDIS_CONNECT,
    NGX_HTTP_PUSH_REDIS_SETUP_SENT,
    NGX_HTTP_PUSH_REDIS_READY
} ngx_http_push_redis_state_t;

struct ngx_http_push_redis_s {
    ngx_http_push_main_conf_t    *conf;
    ngx_http_push_redis_hooks_t   hooks;
    ngx_log_t                    *log;

    ngx_http_push_redis_state_t   state;
    ngx_connection_t             *c;            /* NULL in BACKOFF */
    ngx_http_push_pipeline_t      pipeline;
    ngx_uint_t                    address;      /* next of conf->redis.addrs */
    ngx_uint_t                    failures;     /* in a row */

    ngx_event_t                   timer;        /* BACKOFF: connect again; else
                                                   a reply's deadline */
    ngx_event_t                   clock;        /* TIME again */
    ngx_event_t                   flush;        /* posted: send what is in out */

    ngx_msec_t                    ready_since;
    uint64_t                      clock_ms;     /* Redis' clock, Unix ms, at */
    ngx_msec_t                    clock_at;     /* this monotonic time; 0: not
                                                   measured yet */
    uint64_t                      time_sent_us; /* TIME is under way since */

    ngx_uint_t                    run_id_len;
    u_char                        run_id[NGX_HTTP_PUSH_REDIS_RUN_ID];
};


static void ngx_http_push_redis_connect(ngx_http_push_redis_t *r);
static void ngx_http_push_redis_setup(ngx_http_push_redis_t *r);
static ngx_int_t ngx_http_push_redis_put(ngx_http_push_redis_t *r,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv);
static void ngx_http_push_redis_setup_must(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_redis_setup_info(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_redis_setup_time(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_redis_measured(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static ngx_int_t ngx_http_push_redis_measure(ngx_http_push_redis_t *r,
    ngx_http_push_redis_reply_t *reply);
static void ngx_http_push_redis_fail(ngx_http_push_redis_t *r,
    const char *text, ngx_err_t err);
static void ngx_http_push_redis_drop(ngx_http_push_redis_t *r);
static ngx_int_t ngx_http_push_redis_send(ngx_http_push_redis_t *r);
static ngx_int_t ngx_http_push_redis_recv(ngx_http_push_redis_t *r);
static void ngx_http_push_redis_read_handler(ngx_event_t *rev);
static void ngx_http_push_redis_write_handler(ngx_event_t *wev);
static void ngx_http_push_redis_flush_handler(ngx_event_t *ev);
static void ngx_http_push_redis_timer_handler(ngx_event_t *ev);
static void ngx_http_push_redis_clock_handler(ngx_event_t *ev);
static uint64_t ngx_http_push_redis_monotonic_us(void);


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

    r->clock.handler = ngx_http_push_redis_clock_handler;
    r->clock.data = r;
    r->clock.log = log;
    r->clock.cancelable = 1;

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


static ngx_int_t
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


uint64_t
ngx_http_push_redis_time_ms(ngx_http_push_redis_t *r)
{
    if (r->clock_at == 0) {
        return ngx_http_push_wall_ms();
    }

    return r->clock_ms + (ngx_current_msec - r->clock_at);
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


/* The connection stands: all that it needs, in one pipeline. */

static void
ngx_http_push_redis_setup(ngx_http_push_redis_t *r)
{
    u_char           db[NGX_INT_T_LEN], name[PUSH_NAME_MAX + 5];
    uint64_t         self;
    ngx_int_t        rc;
    ngx_uint_t       n;
    struct push_str  argv[3];

    r->state = NGX_HTTP_PUSH_REDIS_SETUP_SENT;
    r->run_id_len = 0;

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    self = (uintptr_t) r;
    rc = NGX_OK;

    if (r->conf->redis_password.len) {
        n = 0;
        argv[n++] = PUSH_STR("AUTH");

        if (r->conf->redis_user.len) {
            argv[n].data = (char *) r->conf->redis_user.data;
            argv[n++].len = r->conf->redis_user.len;
        }

        argv[n].data = (char *) r->conf->redis_password.data;
        argv[n++].len = r->conf->redis_password.len;

        rc |= ngx_http_push_redis_put(r, ngx_http_push_redis_setup_must, self,
                                      n, argv);
    }

    if (r->conf->redis_db) {
        argv[0] = PUSH_STR("SELECT");
        argv[1].data = (char *) db;
        argv[1].len = ngx_sprintf(db, "%ui", r->conf->redis_db) - db;

        rc |= ngx_http_push_redis_put(r, ngx_http_push_redis_setup_must, self,
                                      2, argv);
    }

    /* says NOAUTH, LOADING or MASTERDOWN before any real command does */
    argv[0] = PUSH_STR("PING");
    rc |= ngx_http_push_redis_put(r, ngx_http_push_redis_setup_must, self, 1,
                                  argv);

    argv[0] = PUSH_STR("CLIENT");
    argv[1] = PUSH_STR("SETNAME");
    argv[2].data = (char *) name;
    argv[2].len = ngx_sprintf(name, "push-%V", &r->conf->node) - name;
    rc |= ngx_http_push_redis_put(r, NULL, 0, 3, argv);

    argv[0] = PUSH_STR("INFO");
    argv[1] = PUSH_STR("server");
    rc |= ngx_http_push_redis_put(r, ngx_http_push_redis_setup_info, self, 2,
                                  argv);

    argv[0] = PUSH_STR("TIME");
    rc |= ngx_http_push_redis_put(r, ngx_http_push_redis_setup_time, self, 1,
                                  argv);

    if (rc != NGX_OK) {
        ngx_http_push_redis_fail(r, "no memory for a connection", 0);
        return;
    }

    r->time_sent_us = ngx_http_push_redis_monotonic_us();
}


static void
ngx_http_push_redis_setup_must(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    char                   *space;
    ngx_uint_t              level;
    ngx_http_push_redis_t  *r;

    if (reply->type != NGX_HTTP_PUSH_REDIS_ERROR) {
        return;
    }

    r = (void *) (uintptr_t) data;
    r->pipeline.error = "the server refuses us";

    /* its first word only: the text may repeat a password */
    space = memchr(reply->string.data, ' ', reply->string.len);

    level = r->failures ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, r->log, 0,
                  "push: redis \"%V\" answers %*s", &r->conf->redis_url,
                  space ? (size_t) (space - reply->string.data)
                        : ngx_min(reply->string.len, 32),
                  reply->string.data);
}


static void
ngx_http_push_redis_setup_info(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    u_char                 *p, *last;
    ngx_http_push_redis_t  *r;

    if (reply->type != NGX_HTTP_PUSH_REDIS_STRING) {
        return;
    }

    r = (void *) (uintptr_t) data;
    last = (u_char *) reply->string.data + reply->string.len;

    p = ngx_strnstr((u_char *) reply->string.data, "run_id:",
                    reply->string.len);
    if (p == NULL) {
        return;
    }

    for (p += sizeof("run_id:") - 1;
         p < last && *p > ' ' && r->run_id_len < NGX_HTTP_PUSH_REDIS_RUN_ID;
         p++)
    {
        r->run_id[r->run_id_len++] = *p;
    }
}


static void
ngx_http_push_redis_setup_time(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    struct push_str         run_id;
    ngx_http_push_redis_t  *r;

    if (reply->type == NGX_HTTP_PUSH_REDIS_LOST) {
        return;
    }

    r = (void *) (uintptr_t) data;

    if (ngx_http_push_redis_measure(r, reply) != NGX_OK) {
        r->pipeline.error = "the server does not tell its TIME";
        return;
    }

    if (r->failures) {
        ngx_log_error(NGX_LOG_NOTICE, r->log, 0,
                      "push: redis \"%V\" is back", &r->conf->redis_url);
    }

    r->state = NGX_HTTP_PUSH_REDIS_READY;
    r->ready_since = ngx_current_msec;

    ngx_http_push_count(redis_connects);
    ngx_http_push_worker->counters->redis_up = 1;

    ngx_add_timer(&r->clock, NGX_HTTP_PUSH_REDIS_CLOCK_MS);

    run_id.data = (char *) r->run_id;
    run_id.len = r->run_id_len;

    r->hooks.up(run_id, r->hooks.ctx);
}


/* TIME's answer: seconds and microseconds. */

static ngx_int_t
ngx_http_push_redis_measure(ngx_http_push_redis_t *r,
    ngx_http_push_redis_reply_t *reply)
{
    uint64_t  s, us, rtt;

    if (reply->type != NGX_HTTP_PUSH_REDIS_ARRAY || reply->n != 2
        || push_uint_parse(reply->strings[0], PUSH_SEQ_MAX / 1000, &s)
           != PUSH_OK
        || push_uint_parse(reply->strings[1], 999999, &us) != PUSH_OK)
    {
        return NGX_ERROR;
    }

    rtt = ngx_http_push_redis_monotonic_us() - r->time_sent_us;

    r->clock_ms = s * 1000 + (us + rtt / 2) / 1000;
    r->clock_at = ngx_current_msec;

    ngx_http_push_worker->counters->redis_rtt_us = rtt;

    return NGX_OK;
}


static void
ngx_http_push_redis_measured(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    (void) ngx_http_push_redis_measure((void *) (uintptr_t) data, reply);
}


/* One end for every fault: closed once, all callbacks, back-off. */

static void
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


static void
ngx_http_push_redis_clock_handler(ngx_event_t *ev)
{
    struct push_str         argv;
    ngx_http_push_redis_t  *r;

    r = ev->data;
    argv = PUSH_STR("TIME");

    if (ngx_http_push_redis_put(r, ngx_http_push_redis_measured,
                                (uintptr_t) r, 1, &argv)
        == NGX_OK)
    {
        r->time_sent_us = ngx_http_push_redis_monotonic_us();
    }

    ngx_add_timer(&r->clock, NGX_HTTP_PUSH_REDIS_CLOCK_MS);
}


static uint64_t
ngx_http_push_redis_monotonic_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
