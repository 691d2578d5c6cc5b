/*
 * redis: one pipelined connection (hiredis on libevent)
 *
 *     WAIT --timer--> CONNECT --greeting answered--> UP
 *       ^                |                            |
 *       +--- back-off ---+---- error, no reply -------+
 *
 * in:   argument vectors.  out: each reply once, in order; NULL when lost
 * owns: the connection, the ring of those who wait for a reply
 *
 * hiredis 0.14 is enough; its frees inside callbacks are deferred, so a
 * context that we gave up has data == NULL and its callbacks do nothing.
 */

#include "redis.h"

#include <errno.h>
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "redis_url.h"

#define REDIS_RESERVE  16       /* of in_flight, for our own commands */

enum redis_state { REDIS_WAIT, REDIS_CONNECT, REDIS_UP };

struct redis_waiter {
    redis_pt  fn;
    void     *data;
};

struct redis {
    struct redis_conf    conf;
    struct redis_url     url;
    struct event_base   *base;
    redisAsyncContext   *context;       /* NULL in REDIS_WAIT */
    enum redis_state     state;
    struct event        *timer;         /* reconnect; deadline of connecting */
    struct event        *watch;         /* replies come; TIME again */
    unsigned             backoff_ms;
    bool                 told_down;     /* logged once an outage */

    struct redis_waiter *ring;          /* size, first, count */
    size_t               ring_size;
    size_t               ring_first;
    size_t               ring_count;
    int64_t              progress_ms;   /* monotonic; last reply, or the first
                                           command of a quiet connection */
    int64_t              time_sent_ms;  /* monotonic */
    int64_t              time_due_ms;   /* monotonic */
    int64_t              offset_ms;     /* Redis' clock minus monotonic */
    char                 run_id[41];

    const char         **argv;          /* scratch of redis_send() */
    size_t              *lens;
    size_t               argv_size;
};

static void redis_connect(struct redis *r);
static void redis_greeted(const struct redis_reply *reply, void *data);


static void
redis_arm(struct event *event, unsigned ms)
{
    struct timeval  tv;

    tv.tv_sec = (time_t) (ms / 1000);
    tv.tv_usec = (suseconds_t) (ms % 1000 * 1000);
    event_add(event, &tv);
}


/*
 * The one end of a connection.  ours: hiredis is not already freeing it.  The
 * state changes first, so that no callback can send into it.
 */
static void
redis_lost(struct redis *r, const char *reason, bool ours)
{
    bool                 was_up;
    unsigned             ms;
    redisAsyncContext   *context;
    struct redis_waiter  waiter;

    was_up = r->state == REDIS_UP;
    context = r->context;

    if (!r->told_down) {
        r->told_down = true;
        log_warn(r->conf.log, "redis_down", "name=%s reason=%s lost=%zu",
                 r->conf.name, reason, r->ring_count);
    }

    r->state = REDIS_WAIT;
    r->context = NULL;
    context->data = NULL;
    event_del(r->watch);

    while (r->ring_count > 0) {
        waiter = r->ring[r->ring_first];
        r->ring_first = (r->ring_first + 1) % r->ring_size;
        r->ring_count--;

        if (waiter.fn != NULL) {
            waiter.fn(NULL, waiter.data);
        }
    }

    if (ours) {
        redisAsyncFree(context);
    }

    if (was_up && r->conf.on_down != NULL) {
        r->conf.on_down(r->conf.data);
    }

    /* 0.5 to 1.5 of the step, so that many do not come back together */

    ms = r->backoff_ms / 2 + daemon_random(r->backoff_ms);
    r->backoff_ms *= 2;

    if (r->backoff_ms > REDIS_BACKOFF_MAX_MS) {
        r->backoff_ms = REDIS_BACKOFF_MAX_MS;
    }

    redis_arm(r->timer, ms);
}


static void
redis_on_reply(redisAsyncContext *context, void *reply, void *data)
{
    struct redis         *r = context->data;
    struct redis_waiter   waiter;

    (void) data;

    if (r == NULL) {
        return;                 /* told NULL already */
    }

    if (reply == NULL) {
        redis_lost(r, context->err ? context->errstr : "connection closed",
                   false);
        return;
    }

    waiter = r->ring[r->ring_first];
    r->ring_first = (r->ring_first + 1) % r->ring_size;
    r->ring_count--;
    r->progress_ms = daemon_monotonic_ms();

    if (waiter.fn != NULL) {
        waiter.fn(reply, waiter.data);
    }
}


/* argc >= 1.  PUSH_ERROR: out of memory, or hiredis is closing. */
static int
redis_send(struct redis *r, redis_pt fn, void *data,
    const struct push_str *argv, size_t argc)
{
    size_t   i;
    void    *argv_more, *lens_more;

    if (argc > r->argv_size) {
        argv_more = realloc(r->argv, argc * sizeof(*r->argv));
        r->argv = argv_more != NULL ? argv_more : r->argv;

        lens_more = realloc(r->lens, argc * sizeof(*r->lens));
        r->lens = lens_more != NULL ? lens_more : r->lens;

        if (argv_more == NULL || lens_more == NULL) {
            return PUSH_ERROR;
        }

        r->argv_size = argc;
    }

    for (i = 0; i < argc; i++) {
        r->argv[i] = argv[i].len > 0 ? argv[i].data : "";
        r->lens[i] = argv[i].len;
    }

    if (r->ring_count == r->ring_size
        || redisAsyncCommandArgv(r->context, redis_on_reply, NULL, (int) argc,
                                 r->argv, r->lens) != REDIS_OK)
    {
        return PUSH_ERROR;
    }

    i = (r->ring_first + r->ring_count) % r->ring_size;
    r->ring[i] = (struct redis_waiter) { fn, data };

    if (r->ring_count++ == 0) {
        r->progress_ms = daemon_monotonic_ms();
    }

    return PUSH_OK;
}


int
redis_command(struct redis *r, redis_pt fn, void *data,
    const struct push_str *argv, size_t argc)
{
    if (r->state != REDIS_UP || r->ring_count + REDIS_RESERVE >= r->ring_size)
    {
        return PUSH_DECLINED;
    }

    return redis_send(r, fn, data, argv, argc) == PUSH_OK ? PUSH_OK
                                                          : PUSH_DECLINED;
}


#define redis_send_call(r, fn, data, ...)                                     \
    redis_send(r, fn, data, (struct push_str[]) { __VA_ARGS__ },              \
        sizeof((struct push_str[]) { __VA_ARGS__ }) / sizeof(struct push_str))


static struct push_str
redis_text(const char *s)
{
    return (struct push_str) { s, strlen(s) };
}


/* [seconds, microseconds], taken in the middle of the way there and back. */
static void
redis_on_time(const struct redis_reply *reply, void *data)
{
    int64_t        now_ms;
    uint64_t       s, us;
    struct redis  *r = data;

    if (redis_count(reply) != 2
        || push_uint_parse(redis_str(redis_at(reply, 0)), UINT32_MAX * 8ULL,
                           &s) != PUSH_OK
        || push_uint_parse(redis_str(redis_at(reply, 1)), 999999, &us)
           != PUSH_OK)
    {
        return;
    }

    now_ms = daemon_monotonic_ms();
    r->offset_ms = (int64_t) (s * 1000 + us / 1000)
                   - (r->time_sent_ms + (now_ms - r->time_sent_ms) / 2);
}


static void
redis_ask_time(struct redis *r)
{
    r->time_sent_ms = daemon_monotonic_ms();
    r->time_due_ms = r->time_sent_ms + REDIS_CLOCK_MS;
    redis_send_call(r, redis_on_time, r, PUSH_STR("TIME"));
}


static void
redis_on_info(const struct redis_reply *reply, void *data)
{
    struct redis     *r = data;
    const char       *p;
    struct push_str   s;

    s = redis_str(reply);
    p = s.len > 0 ? memmem(s.data, s.len, "run_id:", 7) : NULL;

    if (p != NULL && s.data + s.len - p >= 47) {
        memcpy(r->run_id, p + 7, 40);
        r->run_id[40] = '\0';
    }
}


/* AUTH and SELECT: an error ends the connection. */
static void
redis_on_login(const struct redis_reply *reply, void *data)
{
    char             text[128];
    struct redis    *r = data;
    struct push_str  s;

    if (reply != NULL && redis_type(reply) == REDIS_ERROR) {
        s = redis_str(reply);
        snprintf(text, sizeof(text), "%.*s", LOG_STR(s));
        redis_lost(r, text, true);
    }
}


/*
 * PING comes last: an error (LOADING, NOAUTH) means that others would have
 * one, too.
 */
static void
redis_greeted(const struct redis_reply *reply, void *data)
{
    struct redis  *r = data;

    if (reply == NULL || r->state != REDIS_CONNECT) {
        return;
    }

    if (redis_type(reply) == REDIS_ERROR) {
        redis_on_login(reply, data);
        return;
    }

    r->state = REDIS_UP;
    r->backoff_ms = REDIS_BACKOFF_MS;
    r->told_down = false;
    event_del(r->timer);
    redis_arm(r->watch, r->conf.reply_ms);

    log_info(r->conf.log, "redis_up", "name=%s run_id=%s offset_ms=%lld",
             r->conf.name, r->run_id,
             (long long) (redis_now_ms(r) - daemon_unix_ms()));

    if (r->conf.on_up != NULL) {
        r->conf.on_up(r->conf.data);
    }
}


static void
redis_greet(struct redis *r)
{
    const struct redis_url  *u = &r->url;

    if (u->password != NULL && u->user != NULL) {
        redis_send_call(r, redis_on_login, r, PUSH_STR("AUTH"),
                        redis_text(u->user), redis_text(u->password));

    } else if (u->password != NULL) {
        redis_send_call(r, redis_on_login, r, PUSH_STR("AUTH"),
                        redis_text(u->password));
    }

    if (u->db != NULL) {
        redis_send_call(r, redis_on_login, r, PUSH_STR("SELECT"),
                        redis_text(u->db));
    }

    redis_send_call(r, NULL, NULL, PUSH_STR("CLIENT"), PUSH_STR("SETNAME"),
                    redis_text(r->conf.name));
    redis_send_call(r, redis_on_info, r, PUSH_STR("INFO"), PUSH_STR("server"));
    redis_ask_time(r);
    redis_send_call(r, redis_greeted, r, PUSH_STR("PING"));
}


static void
redis_on_connect(const redisAsyncContext *context, int status)
{
    struct redis  *r = context->data;

    if (r == NULL) {
        return;
    }

    if (status != REDIS_OK) {
        redis_lost(r, context->errstr, false);
        return;
    }

    redis_greet(r);
}


static void
redis_on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis  *r = context->data;

    (void) status;

    if (r != NULL) {
        redis_lost(r, context->err ? context->errstr : "connection closed",
                   false);
    }
}


static void
redis_connect(struct redis *r)
{
    redisAsyncContext  *c;

    /* a name, unlike an address, blocks the loop until it is resolved */
    c = r->url.path != NULL ? redisAsyncConnectUnix(r->url.path)
                            : redisAsyncConnect(r->url.host,
                                                (int) r->url.port);

    if (c == NULL) {
        redis_arm(r->timer, REDIS_BACKOFF_MAX_MS);
        return;
    }

    r->context = c;
    r->state = REDIS_CONNECT;
    c->data = r;

    if (c->err || redisLibeventAttach(c, r->base) != REDIS_OK) {
        redis_lost(r, c->err ? c->errstr : "out of memory", true);
        return;
    }

    redisAsyncSetConnectCallback(c, redis_on_connect);
    redisAsyncSetDisconnectCallback(c, redis_on_disconnect);
    redis_arm(r->timer, REDIS_CONNECT_MS);
}


static void
redis_on_timer(evutil_socket_t fd, short what, void *data)
{
    struct redis  *r = data;

    (void) fd;
    (void) what;

    if (r->state == REDIS_WAIT) {
        redis_connect(r);

    } else if (r->state == REDIS_CONNECT) {
        redis_lost(r, "no connection in time", true);
    }
}


static void
redis_on_watch(evutil_socket_t fd, short what, void *data)
{
    int64_t        now, quiet;
    struct redis  *r = data;

    (void) fd;
    (void) what;

    now = daemon_monotonic_ms();
    quiet = r->ring_count > 0 ? now - r->progress_ms : 0;

    if (quiet >= (int64_t) r->conf.reply_ms) {
        redis_lost(r, "no reply in time", true);
        return;
    }

    if (now >= r->time_due_ms) {
        redis_ask_time(r);
    }

    redis_arm(r->watch, (unsigned) ((int64_t) r->conf.reply_ms - quiet));
}


struct redis *
redis_create(struct event_base *base, const struct redis_conf *conf)
{
    struct redis  *r;

    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }

    r->base = base;
    r->conf = *conf;
    r->conf.url = NULL;
    r->backoff_ms = REDIS_BACKOFF_MS;
    r->offset_ms = daemon_unix_ms() - daemon_monotonic_ms();

    if (r->conf.in_flight == 0) {
        r->conf.in_flight = REDIS_IN_FLIGHT;
    }

    if (r->conf.reply_ms == 0) {
        r->conf.reply_ms = REDIS_REPLY_MS;
    }

    r->ring_size = r->conf.in_flight + REDIS_RESERVE;
    r->ring = calloc(r->ring_size, sizeof(*r->ring));
    r->timer = event_new(base, -1, 0, redis_on_timer, r);
    r->watch = event_new(base, -1, 0, redis_on_watch, r);

    if (r->ring == NULL || r->timer == NULL || r->watch == NULL
        || redis_url_parse(&r->url, conf->url) != PUSH_OK)
    {
        redis_destroy(r);
        return NULL;
    }

    redis_arm(r->timer, 0);     /* no hook runs inside this call */

    return r;
}


void
redis_destroy(struct redis *r)
{
    if (r == NULL) {
        return;
    }

    r->conf.on_down = NULL;

    if (r->context != NULL) {
        r->told_down = true;
        redis_lost(r, "", true);
    }

    if (r->timer != NULL) {
        event_free(r->timer);
    }

    if (r->watch != NULL) {
        event_free(r->watch);
    }

    redis_url_free(&r->url);
    free(r->argv);
    free(r->lens);
    free(r->ring);
    free(r);
}


bool
redis_is_up(const struct redis *r)
{
    return r->state == REDIS_UP;
}


const char *
redis_run_id(const struct redis *r)
{
    return r->run_id;
}


int64_t
redis_now_ms(const struct redis *r)
{
    return daemon_monotonic_ms() + r->offset_ms;
}


size_t
redis_in_flight(const struct redis *r)
{
    return r->ring_count;
}


/* A struct redis_reply is hiredis' redisReply under a name of ours. */
#define REDIS_REPLY(reply)  ((const redisReply *) (const void *) (reply))


enum redis_type
redis_type(const struct redis_reply *reply)
{
    if (reply == NULL) {
        return REDIS_NIL;
    }

    switch (REDIS_REPLY(reply)->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return REDIS_STRING;
    case REDIS_REPLY_INTEGER:
        return REDIS_INTEGER;
    case REDIS_REPLY_ARRAY:
        return REDIS_ARRAY;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    default:
        return REDIS_NIL;
    }
}


struct push_str
redis_str(const struct redis_reply *reply)
{
    enum redis_type  type;

    type = redis_type(reply);

    if (type != REDIS_STRING && type != REDIS_ERROR) {
        return (struct push_str) { "", 0 };
    }

    return (struct push_str) { REDIS_REPLY(reply)->str,
                               (size_t) REDIS_REPLY(reply)->len };
}


int64_t
redis_int(const struct redis_reply *reply)
{
    return redis_type(reply) == REDIS_INTEGER ? REDIS_REPLY(reply)->integer
                                              : 0;
}


size_t
redis_count(const struct redis_reply *reply)
{
    return redis_type(reply) == REDIS_ARRAY ? REDIS_REPLY(reply)->elements
                                            : 0;
}


const struct redis_reply *
redis_at(const struct redis_reply *reply, size_t i)
{
    return i < redis_count(reply)
           ? (const void *) REDIS_REPLY(reply)->element[i] : NULL;
}
