/*
 * ngx_http_push_binding: which connections Redis knows, and from when
 *
 *     add ----> ZREMRANGEBYSCORE, ZADD, PEXPIRE, ZRANGEBYSCORE, XADD open
 *     renew --> ZADD, PEXPIRE            reply 1: it had gone, so ask
 *     remove -> ZREM, XADD close
 *     a loss -> walk through the table: add again, ask, both paced
 *
 * in:   connections; out: commands of one pipeline, never awaited
 * owns: the walk, ws->bound, ws->bind_dirty, ws->opened
 */

#include "ngx_http_push_binding_state.h"
#include "ngx_http_push_batch.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_table.h"


#define NGX_HTTP_PUSH_BINDING_TTL_MS    90000
#define NGX_HTTP_PUSH_BINDING_LOSS_MS   7500    /* half a lease */
#define NGX_HTTP_PUSH_BINDING_SLICE_MS  100
#define NGX_HTTP_PUSH_BINDING_SLICE     500     /* 5000 connections a second */
#define NGX_HTTP_PUSH_BINDING_RETRY_MS  1000
#define NGX_HTTP_PUSH_BINDING_SPREAD_MS 10000   /* resyncs: at least, and */
#define NGX_HTTP_PUSH_BINDING_PACE      200     /* at most so many a second */
#define NGX_HTTP_PUSH_BINDING_FLUSH_MS  200
#define NGX_HTTP_PUSH_BINDING_ADD       6       /* commands of an add */
#define NGX_HTTP_PUSH_BINDING_ADD_BYTES 4096    /* more than they ever take */


static ngx_int_t ngx_http_push_binding_register(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws, ngx_http_push_redis_pt added,
    ngx_http_push_redis_pt members);
static void ngx_http_push_binding_dirty(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws);
static void ngx_http_push_binding_key(ngx_http_push_binding_command_t *cmd,
    struct push_str uid);
static void ngx_http_push_binding_member(ngx_http_push_binding_command_t *cmd,
    ngx_http_push_binding_conn_t *conn);
static void ngx_http_push_binding_zadd(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *conn, uint64_t now_ms,
    ngx_http_push_redis_pt handler, uint64_t data);
static ngx_http_push_conn_t *ngx_http_push_binding_bound(uint64_t id);
static void ngx_http_push_binding_added(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_binding_renewed(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_binding_members(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_binding_members_again(
    ngx_http_push_redis_reply_t *reply, uint64_t data);
static void ngx_http_push_binding_compare(ngx_http_push_redis_reply_t *reply,
    uint64_t data, ngx_uint_t again);
static ngx_int_t ngx_http_push_binding_parse(struct push_str member,
    ngx_http_push_binding_conn_t *conn);
static void ngx_http_push_binding_replace(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *old);
static void ngx_http_push_binding_replace_near(struct push_str conn);
static void ngx_http_push_binding_up(struct push_str run_id, void *ctx);
static void ngx_http_push_binding_down(void *ctx);
static void ngx_http_push_binding_walk_start(ngx_http_push_binding_t *b,
    ngx_msec_t in_ms);
static void ngx_http_push_binding_walk_handler(ngx_event_t *ev);
static void ngx_http_push_binding_walk_one(ngx_http_push_conn_t *ws,
    void *data);


ngx_int_t
ngx_http_push_binding_init(ngx_http_push_worker_t *w)
{
    ngx_http_push_binding_t      *b;
    ngx_http_push_redis_hooks_t   hooks;

    b = ngx_calloc(sizeof(ngx_http_push_binding_t), ngx_cycle->log);
    if (b == NULL) {
        return NGX_ERROR;
    }

    w->binding = b;

    b->w = w;
    push_hex64_write((char *) b->instance, w->instance);

    b->walk.handler = ngx_http_push_binding_walk_handler;
    b->walk.data = b;
    b->walk.log = ngx_cycle->log;
    b->walk.cancelable = 1;

    if (w->conf->redis.naddrs == 0) {
        return NGX_OK;
    }

    ngx_http_push_binding_lease_init(b);

    if (ngx_http_push_binding_stream_init(b) != NGX_OK) {
        return NGX_ERROR;
    }

    hooks.up = ngx_http_push_binding_up;
    hooks.down = ngx_http_push_binding_down;
    hooks.ctx = b;

    b->redis = ngx_http_push_redis_create(w->conf, &hooks, ngx_cycle->log);

    return b->redis ? NGX_OK : NGX_ERROR;
}


void
ngx_http_push_binding_destroy(ngx_http_push_worker_t *w)
{
    ngx_http_push_binding_t  *b;

    b = w->binding;

    if (b == NULL) {
        return;
    }

    if (b->redis) {
        ngx_http_push_binding_stream_flush(b);
        ngx_http_push_binding_lease_remove(b);
        ngx_http_push_redis_flush(b->redis, NGX_HTTP_PUSH_BINDING_FLUSH_MS);
        ngx_http_push_redis_destroy(b->redis);
        ngx_http_push_binding_lease_destroy(b);
        ngx_http_push_binding_stream_destroy(b);
    }

    if (b->walk.timer_set) {
        ngx_del_timer(&b->walk);
    }

    ngx_free(b);
    w->binding = NULL;
}


ngx_uint_t
ngx_http_push_binding_pending(ngx_http_push_worker_t *w)
{
    ngx_http_push_binding_t  *b;

    b = w->binding;

    if (b == NULL || b->redis == NULL || !ngx_http_push_redis_ready(b->redis)) {
        return 0;
    }

    return ngx_http_push_redis_pending(b->redis) + b->pack_lines;
}


/* --- one connection ------------------------------------------------------ */

void
ngx_http_push_binding_add(ngx_http_push_conn_t *ws)
{
    ngx_http_push_binding_t  *b;

    b = ngx_http_push_worker->binding;

    if (b->redis == NULL) {
        return;
    }

    ws->since_ms += ngx_http_push_redis_time_ms(b->redis)
                    - ngx_http_push_wall_ms();

    if (ngx_http_push_binding_register(b, ws, ngx_http_push_binding_added,
                                       ngx_http_push_binding_members)
        != NGX_OK)
    {
        ngx_http_push_binding_dirty(b, ws);
    }
}


void
ngx_http_push_binding_renew(ngx_http_push_conn_t *ws)
{
    u_char                         hex[16];
    ngx_http_push_binding_t       *b;
    ngx_http_push_binding_conn_t   conn;

    b = ngx_http_push_worker->binding;

    if (b->redis == NULL || ws->closing) {
        return;
    }

    if (ws->bind_dirty
        || !ngx_http_push_redis_room(b->redis, NGX_HTTP_PUSH_BINDING_ADD,
                                     NGX_HTTP_PUSH_BINDING_ADD_BYTES))
    {
        ngx_http_push_binding_dirty(b, ws);
        return;
    }

    ngx_http_push_binding_conn(b, ws, &conn, hex);
    ngx_http_push_binding_zadd(b, &conn, ngx_http_push_redis_time_ms(b->redis),
                               ngx_http_push_binding_renewed, ws->id);
}


void
ngx_http_push_binding_remove(ngx_http_push_conn_t *ws)
{
    u_char                            hex[16];
    ngx_http_push_binding_t          *b;
    ngx_http_push_binding_conn_t      conn;
    ngx_http_push_binding_command_t   cmd;

    b = ngx_http_push_worker->binding;

    if (b->redis == NULL) {
        return;
    }

    ngx_http_push_binding_conn(b, ws, &conn, hex);

    /* if one of them finds no room: the binding expires, the collector looks
       after opens without a close */

    if (ws->bound || ws->bind_dirty) {
        ngx_http_push_binding_begin(&cmd, "ZREM");
        ngx_http_push_binding_key(&cmd, conn.uid);
        ngx_http_push_binding_member(&cmd, &conn);
        (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);
    }

    if (ws->opened) {
        (void) ngx_http_push_binding_event(b, "close", &conn, ws->close_code);
    }

    ws->bound = 0;
    ws->bind_dirty = 0;
    ws->opened = 0;
}


/* All commands of it or none: one pipeline, in order, no reply awaited. */

static ngx_int_t
ngx_http_push_binding_register(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws, ngx_http_push_redis_pt added,
    ngx_http_push_redis_pt members)
{
    u_char                            hex[16];
    uint64_t                          now_ms;
    ngx_http_push_binding_conn_t      conn;
    ngx_http_push_binding_command_t   cmd;

    if (!ngx_http_push_redis_room(b->redis, NGX_HTTP_PUSH_BINDING_ADD,
                                  NGX_HTTP_PUSH_BINDING_ADD_BYTES))
    {
        return NGX_DECLINED;
    }

    now_ms = ngx_http_push_redis_time_ms(b->redis);
    ngx_http_push_binding_conn(b, ws, &conn, hex);

    ngx_http_push_binding_begin(&cmd, "ZREMRANGEBYSCORE");
    ngx_http_push_binding_key(&cmd, conn.uid);
    ngx_http_push_binding_word(&cmd, "-inf");
    ngx_http_push_binding_argf(&cmd, "%uL", now_ms);
    (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);

    ngx_http_push_binding_zadd(b, &conn, now_ms, added, ws->id);

    if (ws->device) {
        ngx_http_push_binding_begin(&cmd, "ZRANGEBYSCORE");
        ngx_http_push_binding_key(&cmd, conn.uid);
        ngx_http_push_binding_argf(&cmd, "%uL", now_ms);
        ngx_http_push_binding_word(&cmd, "+inf");
        (void) ngx_http_push_binding_send(b, &cmd, members, ws->id);
    }

    if (!ws->opened) {
        (void) ngx_http_push_binding_event(b, "open", &conn, 0);
        ws->opened = 1;
    }

    ws->bound = 1;
    ws->bind_dirty = 0;

    return NGX_OK;
}


static void
ngx_http_push_binding_dirty(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws)
{
    ws->bind_dirty = 1;
    b->dirty = 1;

    if (ngx_http_push_redis_ready(b->redis) && !b->walking) {
        ngx_http_push_binding_walk_start(b, NGX_HTTP_PUSH_BINDING_RETRY_MS);
    }
}


static void
ngx_http_push_binding_zadd(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *conn, uint64_t now_ms,
    ngx_http_push_redis_pt handler, uint64_t data)
{
    ngx_http_push_binding_command_t  cmd;

    ngx_http_push_binding_begin(&cmd, "ZADD");
    ngx_http_push_binding_key(&cmd, conn->uid);
    ngx_http_push_binding_argf(&cmd, "%uL",
                               now_ms + NGX_HTTP_PUSH_BINDING_TTL_MS);
    ngx_http_push_binding_member(&cmd, conn);
    (void) ngx_http_push_binding_send(b, &cmd, handler, data);

    ngx_http_push_binding_begin(&cmd, "PEXPIRE");
    ngx_http_push_binding_key(&cmd, conn->uid);
    ngx_http_push_binding_argf(&cmd, "%ui",
                               (ngx_uint_t) NGX_HTTP_PUSH_BINDING_TTL_MS);
    (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);
}


static void
ngx_http_push_binding_key(ngx_http_push_binding_command_t *cmd,
    struct push_str uid)
{
    ngx_http_push_binding_argf(cmd, "push:{%*s}", uid.len, uid.data);
}


static void
ngx_http_push_binding_member(ngx_http_push_binding_command_t *cmd,
    ngx_http_push_binding_conn_t *conn)
{
    ngx_http_push_binding_argf(cmd, "%*s/%*s/%*s/%*s/%uL",
                               conn->node.len, conn->node.data,
                               conn->instance.len, conn->instance.data,
                               conn->conn.len, conn->conn.data,
                               conn->device.len, conn->device.data,
                               conn->since_ms);
}


void
ngx_http_push_binding_conn(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws, ngx_http_push_binding_conn_t *conn, u_char *hex)
{
    push_hex64_write((char *) hex, ws->id);

    conn->node.data = (char *) b->w->conf->node.data;
    conn->node.len = b->w->conf->node.len;
    conn->instance.data = (char *) b->instance;
    conn->instance.len = sizeof(b->instance);
    conn->conn.data = (char *) hex;
    conn->conn.len = 16;
    conn->uid.data = (char *) ws->user->name;
    conn->uid.len = ws->user->len;
    conn->since_ms = ws->since_ms;

    if (ws->device) {
        conn->device.data = (char *) ws->device;
        conn->device.len = ws->device_len;

    } else {
        conn->device = PUSH_STR("-");
    }
}


/* --- replies ------------------------------------------------------------- */

/* NULL: it has gone meanwhile, or goes. */

static ngx_http_push_conn_t *
ngx_http_push_binding_bound(uint64_t id)
{
    ngx_http_push_conn_t  *ws;

    ws = ngx_http_push_table_conn(id);

    return (ws && ws->bound && !ws->closing) ? ws : NULL;
}


static void
ngx_http_push_binding_added(ngx_http_push_redis_reply_t *reply, uint64_t data)
{
    ngx_http_push_conn_t  *ws;

    if (reply->type == NGX_HTTP_PUSH_REDIS_INTEGER) {
        return;
    }

    ws = ngx_http_push_binding_bound(data);

    if (ws) {
        ws->bound = 0;
        ws->opened = 0;
        ngx_http_push_binding_dirty(ngx_http_push_worker->binding, ws);
    }
}


static void
ngx_http_push_binding_renewed(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    ngx_http_push_conn_t  *ws;

    ws = ngx_http_push_binding_bound(data);

    if (ws == NULL) {
        return;
    }

    if (reply->type != NGX_HTTP_PUSH_REDIS_INTEGER) {
        ngx_http_push_binding_dirty(ngx_http_push_worker->binding, ws);
        return;
    }

    if (reply->integer == 1) {
        /* it had gone, and hints went elsewhere meanwhile */
        ngx_http_push_delivery_resync(ws, ngx_http_push_now());
    }
}


static void
ngx_http_push_binding_members(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    ngx_http_push_binding_compare(reply, data, 0);
}


static void
ngx_http_push_binding_members_again(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    ngx_http_push_binding_compare(reply, data, 1);
}


/*
 * The bindings of a user, ours among them: older ones of the same device are
 * replaced.  again: we had been forgotten, and a newer one may have come.
 */

static void
ngx_http_push_binding_compare(ngx_http_push_redis_reply_t *reply,
    uint64_t data, ngx_uint_t again)
{
    u_char                         hex[16];
    ngx_int_t                      order;
    ngx_uint_t                     i;
    ngx_http_push_conn_t          *ws;
    ngx_http_push_binding_t       *b;
    ngx_http_push_binding_conn_t   own, other;

    b = ngx_http_push_worker->binding;
    ws = ngx_http_push_binding_bound(data);

    if (ws == NULL || reply->type != NGX_HTTP_PUSH_REDIS_ARRAY) {
        return;
    }

    ngx_http_push_binding_conn(b, ws, &own, hex);

    for (i = 0; i < reply->n; i++) {

        if (ngx_http_push_binding_parse(reply->strings[i], &other) != NGX_OK
            || !push_str_eq(other.device, own.device))
        {
            continue;
        }

        if (push_str_eq(other.instance, own.instance)
            && push_str_eq(other.conn, own.conn))
        {
            continue;
        }

        if (other.since_ms != own.since_ms) {
            order = other.since_ms < own.since_ms ? -1 : 1;

        } else {
            order = ngx_memn2cmp((u_char *) other.conn.data, hex,
                                 other.conn.len, sizeof(hex));
        }

        if (order < 0) {
            other.uid = own.uid;
            ngx_http_push_binding_replace(b, &other);

        } else if (again) {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_REPLACED, 0, NULL, 0);
            return;
        }
    }
}


/* <node>/<instance>/<conn>/<device>/<since_ms> */

static ngx_int_t
ngx_http_push_binding_parse(struct push_str member,
    ngx_http_push_binding_conn_t *conn)
{
    char            *p, *slash;
    size_t           left;
    uint64_t         id;
    ngx_uint_t       i;
    struct push_str  part[5];

    p = (char *) member.data;
    left = member.len;

    for (i = 0; i < 5; i++) {
        slash = left ? memchr(p, '/', left) : NULL;

        part[i].data = p;
        part[i].len = slash ? (size_t) (slash - p) : left;

        if ((slash == NULL) != (i == 4)) {
            return NGX_ERROR;
        }

        if (slash) {
            p = slash + 1;
            left -= part[i].len + 1;
        }
    }

    conn->node = part[0];
    conn->instance = part[1];
    conn->conn = part[2];
    conn->device = part[3];

    if (!push_name_valid(conn->node)
        || push_hex64_parse(conn->instance, &id) != PUSH_OK
        || push_hex64_parse(conn->conn, &id) != PUSH_OK
        || !push_name_valid(conn->device)
        || push_uint_parse(part[4], PUSH_SEQ_MAX, &conn->since_ms) != PUSH_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* An older one of our device goes: here, or by way of the collector. */

static void
ngx_http_push_binding_replace(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *old)
{
    ngx_http_push_binding_command_t  cmd;

    ngx_http_push_binding_begin(&cmd, "ZREM");
    ngx_http_push_binding_key(&cmd, old->uid);
    ngx_http_push_binding_member(&cmd, old);
    (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);

    if (old->instance.len == sizeof(b->instance)
        && ngx_memcmp(old->instance.data, b->instance, sizeof(b->instance))
           == 0)
    {
        ngx_http_push_binding_replace_near(old->conn);
        return;
    }

    (void) ngx_http_push_binding_event(b, "replace", old,
                                       push_close_code(PUSH_CLOSE_REPLACED));
}


/* Of this nginx: an item `close` as a dispatcher would send it. */

static void
ngx_http_push_binding_replace_near(struct push_str conn)
{
    const char              *text;
    struct push_str          epoch;
    struct push_lines_item   item;
    ngx_http_push_batch_t   *batch;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    epoch.data = (char *) w->epoch;
    epoch.len = w->epoch_len;

    batch = ngx_http_push_batch_create(1, epoch, NULL, NULL);
    if (batch == NULL) {
        return;
    }

    text = push_close_text(PUSH_CLOSE_REPLACED);

    ngx_memzero(&item, sizeof(struct push_lines_item));
    item.verb = PUSH_LINES_CLOSE;
    item.id.instance = w->instance;
    (void) push_hex64_parse(conn, &item.id.conn);
    item.code = push_close_code(PUSH_CLOSE_REPLACED);
    item.payload.data = text;
    item.payload.len = ngx_strlen(text);

    (void) ngx_http_push_batch_item(batch, &item);
    ngx_http_push_batch_end(batch);
    ngx_http_push_batch_destroy(batch);
}


/* --- after a loss -------------------------------------------------------- */

static void
ngx_http_push_binding_up(struct push_str run_id, void *ctx)
{
    ngx_uint_t                other;
    ngx_http_push_binding_t  *b;

    b = ctx;

    other = b->run_id_len
            && !(run_id.len == b->run_id_len
                 && ngx_memcmp(run_id.data, b->run_id, run_id.len) == 0);

    b->run_id_len = ngx_min(run_id.len, sizeof(b->run_id));
    ngx_memcpy(b->run_id, run_id.data, b->run_id_len);

    if (other) {
        ngx_http_push_binding_lost(b, "it is another start");

    } else if (b->down_at
               && ngx_current_msec - b->down_at
                  > NGX_HTTP_PUSH_BINDING_LOSS_MS)
    {
        ngx_http_push_binding_lost(b, "it was away for long");

    } else if (b->dirty || b->walking) {
        ngx_http_push_binding_walk_start(b, 1);
    }

    b->down_at = 0;

    ngx_http_push_binding_lease_send(b);
    ngx_http_push_binding_stream_flush(b);
}


static void
ngx_http_push_binding_down(void *ctx)
{
    ngx_http_push_binding_t  *b;

    b = ctx;

    if (b->down_at == 0) {
        b->down_at = ngx_current_msec ? ngx_current_msec : 1;
    }

    if (b->walk.timer_set) {
        ngx_del_timer(&b->walk);        /* goes on when Redis is back */
    }
}


void
ngx_http_push_binding_lost(ngx_http_push_binding_t *b, const char *why)
{
    ngx_uint_t  n;

    n = b->w->connections;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "push: redis has forgotten us (%s): %ui connections are "
                  "registered again", why, n);

    b->walk_all = 1;
    b->walk_cursor = 0;
    b->walk_spread = ngx_max(NGX_HTTP_PUSH_BINDING_SPREAD_MS,
                             n * 1000 / NGX_HTTP_PUSH_BINDING_PACE);

    ngx_http_push_ring_resync(b->w);
    ngx_http_push_binding_walk_start(b, 1);
}


static void
ngx_http_push_binding_walk_start(ngx_http_push_binding_t *b,
    ngx_msec_t in_ms)
{
    if (!b->walking) {
        b->walking = 1;
        b->walk_cursor = 0;
        b->dirty = 0;
    }

    if (!b->walk.timer_set) {
        ngx_add_timer(&b->walk, in_ms);
    }
}


static void
ngx_http_push_binding_walk_handler(ngx_event_t *ev)
{
    ngx_http_push_binding_t  *b;

    b = ev->data;

    if (!ngx_http_push_redis_ready(b->redis)) {
        return;
    }

    if (ngx_http_push_table_walk(&b->walk_cursor, NGX_HTTP_PUSH_BINDING_SLICE,
                                 ngx_http_push_binding_walk_one, b)
        == NGX_AGAIN)
    {
        ngx_add_timer(ev, NGX_HTTP_PUSH_BINDING_SLICE_MS);
        return;
    }

    b->walking = 0;
    b->walk_all = 0;

    if (b->dirty) {                     /* new ones, or it found no room */
        ngx_http_push_binding_walk_start(b, NGX_HTTP_PUSH_BINDING_RETRY_MS);
    }
}


static void
ngx_http_push_binding_walk_one(ngx_http_push_conn_t *ws, void *data)
{
    ngx_int_t                 rc;
    ngx_http_push_binding_t  *b;

    b = data;

    if (ws->closing || !(ws->bind_dirty || (b->walk_all && ws->bound))) {
        return;
    }

    rc = ngx_http_push_binding_register(b, ws,
                                        b->walk_all
                                            ? ngx_http_push_binding_added
                                            : ngx_http_push_binding_renewed,
                                        ngx_http_push_binding_members_again);

    if (rc != NGX_OK) {
        ws->bind_dirty = 1;
        b->dirty = 1;
    }

    if (b->walk_all) {
        ngx_http_push_delivery_resync(ws, ngx_http_push_now()
                                          + ngx_random() % b->walk_spread);
    }
}


/* --- commands ------------------------------------------------------------ */

void
ngx_http_push_binding_begin(ngx_http_push_binding_command_t *cmd,
    const char *verb)
{
    cmd->argc = 0;
    cmd->last = cmd->text;

    ngx_http_push_binding_arg(cmd, verb, ngx_strlen(verb));
}


/* All our commands fit: the longest has 34 words and names of 128 bytes. */

void
ngx_http_push_binding_arg(ngx_http_push_binding_command_t *cmd,
    const void *data, size_t len)
{
    if (cmd->argc < NGX_HTTP_PUSH_BINDING_ARGS) {
        cmd->argv[cmd->argc].data = data;
        cmd->argv[cmd->argc].len = len;
        cmd->argc++;
    }
}


void
ngx_http_push_binding_argf(ngx_http_push_binding_command_t *cmd,
    const char *fmt, ...)
{
    u_char   *from;
    va_list   args;

    from = cmd->last;

    va_start(args, fmt);
    cmd->last = ngx_vslprintf(from, cmd->text + NGX_HTTP_PUSH_BINDING_TEXT,
                              fmt, args);
    va_end(args);

    ngx_http_push_binding_arg(cmd, from, cmd->last - from);
}


ngx_int_t
ngx_http_push_binding_send(ngx_http_push_binding_t *b,
    ngx_http_push_binding_command_t *cmd, ngx_http_push_redis_pt handler,
    uint64_t data)
{
    return ngx_http_push_redis_command(b->redis, handler, data, cmd->argc,
                                       cmd->argv);
}
