/*
 * ngx_http_push_redis_setup: what a new connection to Redis begins with
 *
 *     AUTH, SELECT, PING, CLIENT SETNAME, INFO, TIME --> READY, or an error
 *     every 5 min --> TIME
 *
 * in:   a socket that is connected; out: READY, run_id, Redis' clock
 * owns: the clock and its timer
 */

#include "ngx_http_push_redis_state.h"

#include <time.h>


#define NGX_HTTP_PUSH_REDIS_CLOCK_MS    300000      /* TIME is asked again */


static void ngx_http_push_redis_setup_must(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_redis_setup_info(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_redis_setup_time(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static ngx_int_t ngx_http_push_redis_measure(ngx_http_push_redis_t *r,
    ngx_http_push_redis_reply_t *reply);
static void ngx_http_push_redis_measured(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_redis_clock_handler(ngx_event_t *ev);


void
ngx_http_push_redis_setup_init(ngx_http_push_redis_t *r)
{
    r->clock.handler = ngx_http_push_redis_clock_handler;
    r->clock.data = r;
    r->clock.log = r->log;
    r->clock.cancelable = 1;
}


/* The connection stands: all that it needs, in one pipeline. */

void
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

    return NGX_OK;
}


static void
ngx_http_push_redis_measured(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    (void) ngx_http_push_redis_measure((void *) (uintptr_t) data, reply);
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


uint64_t
ngx_http_push_redis_time_ms(ngx_http_push_redis_t *r)
{
    if (r->clock_at == 0) {
        return ngx_http_push_wall_ms();
    }

    return r->clock_ms + (ngx_current_msec - r->clock_at);
}


uint64_t
ngx_http_push_redis_monotonic_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
