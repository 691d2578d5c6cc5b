/*
 * fuzz_redis: what a Redis, or who plays it, sends to the edge
 *
 * in: a byte (in what pieces it comes), a byte (how many commands wait), then
 *     the replies.  Linked with nginx's strings, the edge's pipeline and what
 *     a connection begins with; the world is here.
 *
 * Each command has its reply once, in order, LOST at the latest when the
 * connection ends; whole and in pieces the same comes out.
 */

#include "fuzz.h"
#include "ngx_http_push_redis_state.h"
#include "push_binding.h"

#define COMMANDS  64


/* What is heard, whole and in pieces. */
struct heard {
    unsigned   replies;
    unsigned   lost;
    uint64_t   hash;
    ngx_int_t  rc;
    bool       up;
    bool       failed;
};

static struct heard                 *heard;
static const uint8_t                *input;
static size_t                        left;
static size_t                        piece;
static ngx_http_push_counters_t      counters;
static ngx_http_push_worker_t        worker;

/* --- nginx, as much as is asked for --------------------------------------- */

volatile ngx_time_t     *ngx_cached_time;
volatile ngx_msec_t      ngx_current_msec = 1000;
ngx_queue_t              ngx_posted_next_events;
ngx_uint_t               ngx_event_flags;
ngx_event_actions_t      ngx_event_actions;
ngx_rbtree_t             ngx_event_timer_rbtree;
ngx_pid_t                ngx_pid;
volatile ngx_cycle_t    *ngx_cycle;
ngx_http_push_worker_t  *ngx_http_push_worker = &worker;

ngx_int_t
ngx_handle_read_event(ngx_event_t *rev, ngx_uint_t flags)
{
    (void) rev;
    (void) flags;
    return NGX_OK;
}


ngx_int_t
ngx_handle_write_event(ngx_event_t *wev, size_t lowat)
{
    (void) wev;
    (void) lowat;
    return NGX_OK;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   buf[NGX_MAX_ERROR_STR];
    va_list  args;

    (void) level;
    (void) log;
    (void) err;

    va_start(args, fmt);
    ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);
}


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    (void) tree;
    (void) node;
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    (void) tree;
    (void) node;
}

/* ngx_string.c wants it for what nobody calls here */
void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    (void) pool;
    (void) size;
    return NULL;
}

/* --- the connection -------------------------------------------------------- */

static ssize_t
receive(ngx_connection_t *c, u_char *buf, size_t size)
{
    size_t  n = size;

    (void) c;

    if (left == 0) {
        return NGX_AGAIN;
    }

    n = n < left ? n : left;
    n = n < piece ? n : piece;

    memcpy(buf, input, n);
    input += n;
    left -= n;

    return (ssize_t) n;
}


static ssize_t
transmit(ngx_connection_t *c, u_char *buf, size_t size)
{
    (void) c;
    (void) buf;
    return (ssize_t) size;
}


ngx_int_t
ngx_http_push_redis_put(ngx_http_push_redis_t *r,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv)
{
    return ngx_http_push_pipeline_put(&r->pipeline, handler, data, argc, argv);
}


void
ngx_http_push_redis_fail(ngx_http_push_redis_t *r, const char *text,
    ngx_err_t err)
{
    (void) r;
    (void) text;
    (void) err;
    heard->failed = true;
}

/* --- what is heard --------------------------------------------------------- */

static void
note(const void *data, size_t len)
{
    size_t          i;
    const uint8_t  *p = data;

    for (i = 0; i < len; i++) {
        heard->hash = (heard->hash ^ p[i]) * UINT64_C(1099511628211);
    }
}


static void
member(struct push_str s)
{
    struct push_binding  b;

    if (push_binding_parse(s, &b) == PUSH_OK) {
        FUZZ_MUST(push_name_valid(b.node) && push_name_valid(b.device));
        FUZZ_MUST(b.since_ms <= PUSH_SEQ_MAX);
        FUZZ_MUST(b.node.len + b.device.len + 36 < s.len);
    }
}


static void
reply(ngx_http_push_redis_reply_t *r, uint64_t data)
{
    ngx_uint_t  i;

    FUZZ_MUST(data == heard->replies);
    heard->replies++;

    note(&r->type, sizeof(r->type));

    switch (r->type) {

    case NGX_HTTP_PUSH_REDIS_LOST:
        heard->lost++;
        break;

    case NGX_HTTP_PUSH_REDIS_INTEGER:
        note(&r->integer, sizeof(r->integer));
        break;

    case NGX_HTTP_PUSH_REDIS_STRING:
    case NGX_HTTP_PUSH_REDIS_ERROR:
        note(r->string.data, r->string.len);
        break;

    case NGX_HTTP_PUSH_REDIS_ARRAY:
        for (i = 0; i < r->n; i++) {
            note(r->strings[i].data, r->strings[i].len);
            member(r->strings[i]);
        }
        break;

    case NGX_HTTP_PUSH_REDIS_NIL:
        break;
    }
}


static void
up(struct push_str run_id, void *ctx)
{
    (void) ctx;

    FUZZ_MUST(run_id.len <= NGX_HTTP_PUSH_REDIS_RUN_ID);
    note(run_id.data, run_id.len);
    heard->up = true;
}


/* One connection, from its first byte to its end. */

static void
connection(const uint8_t *data, size_t size, size_t pieces, unsigned commands,
    struct heard *result)
{
    unsigned                   i;
    ngx_log_t                  log;
    ngx_time_t                 clock;
    ngx_event_t                rev, wev;
    ngx_connection_t           c;
    struct push_str            argv[2];
    ngx_http_push_redis_t      r;
    ngx_http_push_main_conf_t  conf;

    memset(result, 0, sizeof(*result));
    memset(&log, 0, sizeof(log));
    memset(&rev, 0, sizeof(rev));
    memset(&wev, 0, sizeof(wev));
    memset(&c, 0, sizeof(c));
    memset(&conf, 0, sizeof(conf));
    memset(&r, 0, sizeof(r));

    heard = result;
    input = data;
    left = size;
    piece = pieces;

    memset(&clock, 0, sizeof(clock));
    ngx_cached_time = &clock;
    worker.counters = &counters;
    log.log_level = NGX_LOG_INFO;
    c.recv = receive;
    c.send = transmit;
    c.read = &rev;
    c.write = &wev;
    ngx_str_set(&conf.node, "edge-1");
    ngx_str_set(&conf.redis_url, "127.0.0.1");
    ngx_str_set(&conf.redis_password, "secret");
    conf.redis_db = 1;
    r.conf = &conf;
    r.log = &log;
    r.hooks.up = up;

    FUZZ_MUST(ngx_http_push_pipeline_init(&r.pipeline, &log) == NGX_OK);
    FUZZ_MUST(ngx_http_push_pipeline_open(&r.pipeline) == NGX_OK);

    ngx_http_push_redis_setup_init(&r);
    ngx_http_push_redis_setup(&r);

    argv[0] = PUSH_STR("ZRANGEBYSCORE");
    argv[1] = PUSH_STR("push:{u1}");

    for (i = 0; i < commands; i++) {
        FUZZ_MUST(ngx_http_push_pipeline_put(&r.pipeline, reply, i, 2, argv)
                  == NGX_OK);
    }

    FUZZ_MUST(ngx_http_push_pipeline_send(&r.pipeline, &c) == NGX_OK);

    do {
        result->rc = ngx_http_push_pipeline_recv(&r.pipeline, &c);
    } while (result->rc == NGX_OK && left);

    FUZZ_MUST((result->rc == NGX_OK) == (r.pipeline.error == NULL));
    FUZZ_MUST(result->lost == 0 && !result->failed);

    ngx_http_push_pipeline_deinit(&r.pipeline);

    FUZZ_MUST(result->replies == commands);
    FUZZ_MUST(r.pipeline.count == 0 && r.pipeline.bytes == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned      commands;
    struct heard  whole, pieces;

    if (size < 2) {
        return 0;
    }

    commands = data[1] % COMMANDS;

    connection(data + 2, size - 2, SIZE_MAX, commands, &whole);
    connection(data + 2, size - 2, 1 + data[0] % 16, commands, &pieces);

    FUZZ_MUST(whole.rc == pieces.rc && whole.hash == pieces.hash
              && whole.lost == pieces.lost && whole.up == pieces.up);

    return 0;
}
