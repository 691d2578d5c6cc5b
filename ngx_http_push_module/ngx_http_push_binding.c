/*
 * ngx_http_push_binding: which connections Redis knows, and from when
 *
 *     add ----> ZREMRANGEBYSCORE, ZADD, PEXPIRE, ZRANGEBYSCORE, XADD open
 *               (with a device in MULTI: who was there before is older)
 *     renew --> ZADD, PEXPIRE            reply 1: it had gone, so ask, and
 *                                        look who else is there
 *     remove -> ZREM, XADD close
 *
 * in:   connections; out: commands of one pipeline, never awaited
 * owns: ws->bound, ws->bind_dirty, ws->opened
 *
 * What an add finds of the same device is for binding_replace.c, what happens
 * after a loss for binding_loss.c.
 */

#include "ngx_http_push_binding_state.h"
#include "fault_point.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_device.h"
#include "ngx_http_push_table.h"


#define NGX_HTTP_PUSH_BINDING_TTL_MS    90000
#define NGX_HTTP_PUSH_BINDING_ADD       8       /* commands of an add */
#define NGX_HTTP_PUSH_BINDING_ADD_BYTES 4096    /* more than they ever take */


static void ngx_http_push_binding_dirty(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws);
static void ngx_http_push_binding_zadd(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *conn, uint64_t now_ms,
    ngx_http_push_redis_pt handler, uint64_t data);
static void ngx_http_push_binding_look(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *conn, uint64_t now_ms,
    ngx_http_push_redis_pt handler, uint64_t data);
static void ngx_http_push_binding_added(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
static void ngx_http_push_binding_renewed(ngx_http_push_redis_reply_t *reply,
    uint64_t data);


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

    if (w->conf->redis.naddrs == 0) {
        return NGX_OK;
    }

    ngx_http_push_binding_loss_init(b);
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
        ngx_http_push_binding_loss_destroy(b);
        ngx_http_push_binding_lease_destroy(b);
        ngx_http_push_binding_stream_destroy(b);
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

    ws->since_ms = ngx_http_push_redis_time_ms(b->redis);

    if (ngx_http_push_binding_register(b, ws, NGX_HTTP_PUSH_BINDING_FIRST)
        != NGX_OK)
    {
        ngx_http_push_binding_dirty(b, ws);
    }

    PUSH_FAULT_POINT_DO("edge-bound",
        ngx_http_push_redis_flush(b->redis, NGX_HTTP_PUSH_BINDING_FLUSH_MS));
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

ngx_int_t
ngx_http_push_binding_register(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws, ngx_http_push_binding_why_t why)
{
    u_char                            hex[16];
    uint64_t                          now_ms;
    ngx_uint_t                        named, first;
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

    named = ngx_http_push_device_named(ws);
    first = named && why == NGX_HTTP_PUSH_BINDING_FIRST;

    if (first) {
        ngx_http_push_binding_begin(&cmd, "MULTI");
        (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);

        ngx_http_push_binding_zadd(b, &conn, now_ms, NULL, 0);
        ngx_http_push_binding_look(b, &conn, now_ms, NULL, 0);

        ngx_http_push_binding_begin(&cmd, "EXEC");
        (void) ngx_http_push_binding_send(b, &cmd,
                                          ngx_http_push_binding_members,
                                          ws->id);

    } else {
        ngx_http_push_binding_zadd(b, &conn, now_ms,
                                   why == NGX_HTTP_PUSH_BINDING_DIRTY
                                       ? ngx_http_push_binding_renewed
                                       : ngx_http_push_binding_added,
                                   ws->id);
    }

    if (named && !first) {
        ngx_http_push_binding_look(b, &conn, now_ms,
                                   ngx_http_push_binding_again, ws->id);
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
ngx_http_push_binding_look(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *conn, uint64_t now_ms,
    ngx_http_push_redis_pt handler, uint64_t data)
{
    ngx_http_push_binding_command_t  cmd;

    ngx_http_push_binding_begin(&cmd, "ZRANGEBYSCORE");
    ngx_http_push_binding_key(&cmd, conn->uid);
    ngx_http_push_binding_argf(&cmd, "%uL", now_ms);
    ngx_http_push_binding_word(&cmd, "+inf");
    (void) ngx_http_push_binding_send(b, &cmd, handler, data);
}


void
ngx_http_push_binding_key(ngx_http_push_binding_command_t *cmd,
    struct push_str uid)
{
    ngx_http_push_binding_argf(cmd, "push:{%*s}", uid.len, uid.data);
}


void
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
    conn->device = ngx_http_push_device(ws);
}


/* --- replies ------------------------------------------------------------- */

ngx_http_push_conn_t *
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
        ngx_http_push_binding_failed(ws);
    }
}


void
ngx_http_push_binding_failed(ngx_http_push_conn_t *ws)
{
    ws->bound = 0;
    ws->opened = 0;
    ngx_http_push_binding_dirty(ngx_http_push_worker->binding, ws);
}


static void
ngx_http_push_binding_renewed(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    u_char                         hex[16];
    ngx_http_push_conn_t          *ws;
    ngx_http_push_binding_t       *b;
    ngx_http_push_binding_conn_t   conn;

    b = ngx_http_push_worker->binding;
    ws = ngx_http_push_binding_bound(data);

    if (ws == NULL) {
        return;
    }

    if (reply->type != NGX_HTTP_PUSH_REDIS_INTEGER) {
        ngx_http_push_binding_dirty(b, ws);
        return;
    }

    if (reply->integer == 1) {
        /* it had gone, and hints went elsewhere meanwhile */
        ngx_http_push_delivery_resync(ws, ngx_http_push_now());

        if (ngx_http_push_device_named(ws)) {
            /* replaced, and the close has not arrived? */
            ngx_http_push_binding_conn(b, ws, &conn, hex);
            ngx_http_push_binding_look(b, &conn,
                                       ngx_http_push_redis_time_ms(b->redis),
                                       ngx_http_push_binding_again, data);
        }
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
