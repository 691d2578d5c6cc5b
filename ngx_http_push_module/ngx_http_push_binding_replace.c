/*
 * ngx_http_push_binding_replace: a device has one connection, the newest
 *
 *     a user's bindings --same device, older--> close 4003: here, in another
 *                                               worker, or by the collector
 *
 * in:   the members of push:{<uid>}, ours among them; out: ZREM, close, replace
 * owns: nothing
 *
 * Who has just come was bound and looked in one step, so the others of its
 * device were there before: no clock is asked.  Who was bound before and is
 * bound again goes by (since, conn), since being Redis' clock for all; and so
 * does who came when the way to Redis was slow: its client may have left and
 * be back on another edge.
 */

#include "ngx_http_push_binding_state.h"
#include "ngx_http_push_batch.h"
#include "ngx_http_push_conn.h"
#include "push_binding.h"


#define NGX_HTTP_PUSH_BINDING_PROMPT_MS  1000   /* on its way to Redis */

static void ngx_http_push_binding_compare(ngx_http_push_redis_reply_t *reply,
    uint64_t data, ngx_uint_t again);
static ngx_int_t ngx_http_push_binding_parse(struct push_str member,
    ngx_http_push_binding_conn_t *conn);
static void ngx_http_push_binding_replace(ngx_http_push_binding_t *b,
    ngx_http_push_binding_conn_t *old);
static void ngx_http_push_binding_replace_near(struct push_str conn);


void
ngx_http_push_binding_members(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    ngx_http_push_binding_compare(reply, data, 0);
}


void
ngx_http_push_binding_again(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    ngx_http_push_binding_compare(reply, data, 1);
}


/*
 * The bindings of a user, ours among them.  We have only just come: those of
 * the same device are replaced.  again: older ones are, a newer one replaces
 * us.
 */

static void
ngx_http_push_binding_compare(ngx_http_push_redis_reply_t *reply,
    uint64_t data, ngx_uint_t again)
{
    u_char                         hex[16];
    ngx_int_t                      order;
    ngx_uint_t                     i, found, by_since;
    ngx_http_push_conn_t          *ws;
    ngx_http_push_binding_t       *b;
    ngx_http_push_binding_conn_t   own, other;

    b = ngx_http_push_worker->binding;
    ws = ngx_http_push_binding_bound(data);

    if (ws == NULL) {
        return;
    }

    ngx_http_push_binding_conn(b, ws, &own, hex);
    found = 0;

    by_since = again
               || ngx_http_push_redis_time_ms(b->redis)
                  > own.since_ms + NGX_HTTP_PUSH_BINDING_PROMPT_MS;

    for (i = 0; i < reply->n; i++) {

        if (ngx_http_push_binding_parse(reply->strings[i], &other) != NGX_OK
            || !push_str_eq(other.device, own.device))
        {
            continue;
        }

        if (push_str_eq(other.instance, own.instance)
            && push_str_eq(other.conn, own.conn))
        {
            found = 1;
            continue;
        }

        if (other.since_ms != own.since_ms) {
            order = other.since_ms < own.since_ms ? -1 : 1;

        } else {
            order = ngx_memn2cmp((u_char *) other.conn.data, hex,
                                 other.conn.len, sizeof(hex));
        }

        if (order < 0 || !by_since) {
            other.uid = own.uid;
            ngx_http_push_binding_replace(b, &other);

        } else {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_REPLACED, 0, NULL, 0);
            return;
        }
    }

    if (!found && !again) {
        ngx_http_push_binding_failed(ws);
    }
}


static ngx_int_t
ngx_http_push_binding_parse(struct push_str member,
    ngx_http_push_binding_conn_t *conn)
{
    struct push_binding  binding;

    if (push_binding_parse(member, &binding) != PUSH_OK) {
        return NGX_ERROR;
    }

    conn->node = binding.node;
    conn->instance = binding.instance;
    conn->conn = binding.conn;
    conn->device = binding.device;
    conn->since_ms = binding.since_ms;

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
