/*
 * ngx_http_push_upgrade: the 101, and how a connection leaves its request
 *
 *     101 -> all of it sent, nobody else uses the request -> request freed
 *         -> conn
 *
 * The request is freed from its own write_event_handler, never on the content
 * handler's stack; the steps are those of ngx_http_set_keepalive().
 *
 * in:   a request that was found good
 * out:  a started connection, or what ngx_http_finalize_request() understands
 * owns: the connection's memory until it is started
 */

#include "ngx_http_push_upgrade.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_outcome.h"
#include "ngx_http_push_input.h"

#include <ngx_sha1.h>


#define NGX_HTTP_PUSH_UPGRADE_ACCEPT    28  /* bytes: 20 in base64 */
#define NGX_HTTP_PUSH_UPGRADE_LATER_MS  50  /* a subrequest is under way */


static void ngx_http_push_upgrade_cleanup(void *data);
static ngx_int_t ngx_http_push_upgrade_accept(ngx_http_request_t *r,
    ngx_str_t *key, ngx_uint_t raw);
static void ngx_http_push_upgrade_sent(ngx_http_request_t *r);
static void ngx_http_push_upgrade_detach(ngx_http_request_t *r);
static void ngx_http_push_upgrade_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static ngx_http_push_upgrade_ctx_t *ngx_http_push_upgrade_get_ctx(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_push_upgrade_variable_user(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_push_upgrade_variable_conn(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


ngx_int_t
ngx_http_push_upgrade(ngx_http_request_t *r, ngx_str_t *key, ngx_str_t *uid,
    ngx_http_push_conn_t *ws)
{
    ngx_http_push_upgrade_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_push_upgrade_ctx_t));
    if (ctx == NULL) {
        goto failed;
    }

    ctx->cleanup = ngx_http_cleanup_add(r, 0);
    if (ctx->cleanup == NULL) {
        goto failed;
    }

    ctx->ws = ws;
    ctx->cleanup->handler = ngx_http_push_upgrade_cleanup;
    ctx->cleanup->data = ctx;
    ctx->user = *uid;
    ctx->conn = ws->id;

    ngx_http_set_ctx(r, ctx, ngx_http_push_module);

    return ngx_http_push_upgrade_accept(r, key, ws->raw);

failed:

    ngx_http_push_conn_discard(ws);

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_push_upgrade_accept(ngx_http_request_t *r,
    ngx_str_t *key, ngx_uint_t raw)
{
    u_char       digest[20], accept[NGX_HTTP_PUSH_UPGRADE_ACCEPT];
    ngx_int_t    rc;
    ngx_str_t    in, out;
    ngx_sha1_t   sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(digest, &sha1);

    in.data = digest;
    in.len = sizeof(digest);
    out.data = accept;

    ngx_encode_base64(&out, &in);

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;
    r->keepalive = 0;

    /* nginx's own filter adds Connection: upgrade */

    if (ngx_http_push_upgrade_header(r, "Upgrade", "websocket", 9) != NGX_OK
        || ngx_http_push_upgrade_header(r, "Sec-WebSocket-Accept",
                                          (char *) out.data, out.len)
           != NGX_OK
        || (!raw
            && ngx_http_push_upgrade_header(r, "Sec-WebSocket-Protocol",
                                              "push.v1", 7)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    rc = ngx_http_send_special(r, NGX_HTTP_FLUSH);

    if (rc == NGX_ERROR) {
        return rc;
    }

    /* notices that the client leaves, but takes no byte of its frames */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_push_upgrade_sent;

    rc = ngx_http_post_request(r, NULL);

    if (rc != NGX_OK) {
        return rc;
    }

    r->main->count++;

    return NGX_DONE;
}


ngx_int_t
ngx_http_push_upgrade_header(ngx_http_request_t *r, const char *name,
    const char *value, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    ngx_http_push_header_next(h);
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->lowcase_key = NULL;

    h->value.len = len;
    h->value.data = ngx_pnalloc(r->pool, len);

    if (h->value.data == NULL) {
        h->hash = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(h->value.data, value, len);

    return NGX_OK;
}


/* The request ended without a connection. */

static void
ngx_http_push_upgrade_cleanup(void *data)
{
    ngx_http_push_upgrade_ctx_t  *ctx = data;

    ngx_http_push_conn_discard(ctx->ws);
}


/* --- the detach --------------------------------------------------------- */

static void
ngx_http_push_upgrade_sent(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client timed out during its handshake");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (c->error) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (r->out || r->buffered || c->buffered) {

        if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
            ngx_http_finalize_request(r, NGX_ERROR);
            return;
        }

        if (r->out || r->buffered || c->buffered) {
            clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

            if (!wev->delayed) {
                ngx_add_timer(wev, clcf->send_timeout);
            }

            if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
                ngx_http_finalize_request(r, NGX_ERROR);
            }

            return;
        }
    }

    if (r->main->count != 1 || r->blocked) {

        /*
         * A subrequest in the background (mirror) still uses the request.
         * Nobody tells when it is done; a delayed event calls again without
         * being a time-out.
         */

        wev->delayed = 1;
        ngx_add_timer(wev, NGX_HTTP_PUSH_UPGRADE_LATER_MS);
        return;
    }

    ngx_http_push_upgrade_detach(r);
}


static void
ngx_http_push_upgrade_detach(ngx_http_request_t *r)
{
    ngx_connection_t               *c;
    ngx_http_push_conn_t           *ws;
    ngx_http_connection_t          *hc;
    ngx_http_push_input_t          *early;
    ngx_http_push_upgrade_ctx_t  *ctx;

    c = r->connection;
    hc = r->http_connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_push_module);

    early = NULL;

    if (r->header_in->last != r->header_in->pos) {
        early = ngx_http_push_input_early(r->header_in->pos,
                                          r->header_in->last
                                          - r->header_in->pos);
        if (early == NULL) {
            ngx_http_finalize_request(r, NGX_ERROR);
            return;
        }
    }

    ws = ctx->ws;
    ctx->cleanup->handler = NULL;
    ngx_http_push_outcome_counted(r);

    ngx_http_free_request(r, 0);

    ngx_http_push_upgrade_free_buffers(c, hc);

    ngx_http_push_count(handshakes_ok);

    ngx_http_push_conn_start(ws, early);
}


/* As ngx_http_set_keepalive() does it. */

static void
ngx_http_push_upgrade_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl;

    if (c->buffer && ngx_pfree(c->pool, c->buffer->start) == NGX_OK) {
        c->buffer->start = NULL;
        c->buffer->pos = NULL;
        c->buffer->last = NULL;
    }

    for (cl = hc->free; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    for (cl = hc->busy; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif

    c->log->action = "talking to a push client";
}


/* --- variables ---------------------------------------------------------- */

ngx_int_t
ngx_http_push_upgrade_variables(ngx_conf_t *cf)
{
    ngx_uint_t            i;
    ngx_http_variable_t  *var;

    static struct {
        ngx_str_t                    name;
        ngx_http_get_variable_pt     handler;
    } variables[] = {
        { ngx_string("push_user"), ngx_http_push_upgrade_variable_user },
        { ngx_string("push_conn"), ngx_http_push_upgrade_variable_conn }
    };

    for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        var = ngx_http_add_variable(cf, &variables[i].name,
                                    NGX_HTTP_VAR_NOCACHEABLE);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = variables[i].handler;
    }

    return NGX_OK;
}


static ngx_http_push_upgrade_ctx_t *
ngx_http_push_upgrade_get_ctx(ngx_http_request_t *r)
{
    ngx_http_push_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_push_module);

    /* a deliver location keeps something else there */

    return plcf->websocket ? ngx_http_get_module_ctx(r, ngx_http_push_module)
                           : NULL;
}


static ngx_int_t
ngx_http_push_upgrade_variable_user(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_push_upgrade_ctx_t  *ctx;

    ctx = ngx_http_push_upgrade_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = ctx->user.len;
    v->data = ctx->user.data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_push_upgrade_variable_conn(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                         *p;
    struct push_conn_id             id;
    ngx_http_push_upgrade_ctx_t  *ctx;

    ctx = ngx_http_push_upgrade_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, PUSH_CONN_TEXT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    id.instance = ngx_http_push_worker->instance;
    id.conn = ctx->conn;
    push_conn_id_write((char *) p, id);

    v->len = PUSH_CONN_TEXT_LEN;
    v->data = p;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}
