/*
 * ngx_http_push_conn_log: who speaks in the error log
 *
 * One ngx_log_t serves all slim connections of a location; enter and leave
 * say whose line it is.  A log for each would cost 80 bytes a connection.
 *
 * in:   connections; out: lines.  owns: two ngx_log_t a location
 */

#include "ngx_http_push_conn_log.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_device.h"


static u_char *ngx_http_push_conn_log_error(ngx_log_t *log, u_char *buf,
    size_t len);


ngx_int_t
ngx_http_push_conn_log_init(ngx_http_push_loc_conf_t *conf)
{
    ngx_log_t  *log;

    if (conf->log) {
        return NGX_OK;
    }

    log = ngx_palloc(ngx_cycle->pool, 2 * sizeof(ngx_log_t));
    if (log == NULL) {
        return NGX_ERROR;
    }

    log[0] = *conf->error_log;
    log[0].connection = 0;
    log[0].handler = ngx_http_push_conn_log_error;
    log[0].data = NULL;
    log[0].action = NULL;

    log[1] = log[0];
    log[1].log_level = NGX_LOG_DEBUG_CONNECTION|NGX_LOG_DEBUG_ALL;

    conf->log = &log[0];
    conf->debug_log = &log[1];

    return NGX_OK;
}


void
ngx_http_push_conn_log_enter(ngx_http_push_conn_t *ws)
{
    if (ws->slim) {
        ws->c->log->data = ws;
    }
}


void
ngx_http_push_conn_log_leave(ngx_http_push_conn_t *ws)
{
    if (ws->slim) {
        ws->c->log->data = NULL;
    }
}


static u_char *
ngx_http_push_conn_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                *p, addr[NGX_SOCKADDR_STRLEN];
    size_t                 n;
    ngx_http_push_conn_t  *ws;

    ws = log->data;

    if (ws == NULL) {
        return buf;
    }

    n = ngx_sock_ntop(ngx_http_push_conn_sockaddr(ws), ws->socklen, addr,
                      NGX_SOCKADDR_STRLEN, 1);

    p = ngx_snprintf(buf, len, ", client: %*s", n, addr);

    if (ws->user) {
        len -= p - buf;
        p = ngx_snprintf(p, len, ", user: %*s", (size_t) ws->user->len,
                         ws->user->name);
    }

    return p;
}


void
ngx_http_push_conn_log_line(ngx_http_push_conn_t *ws)
{
    u_char               addr[NGX_SOCKADDR_STRLEN];
    char                 conn[PUSH_CONN_TEXT_LEN];
    size_t               n;
    ngx_log_t           *log;
    struct push_str      device;
    struct push_conn_id  id;

    log = ws->conf->log;

    if (log->log_level < NGX_LOG_INFO) {
        return;
    }

    id.instance = ngx_http_push_worker->instance;
    id.conn = ws->id;
    push_conn_id_write(conn, id);

    n = ngx_sock_ntop(ngx_http_push_conn_sockaddr(ws), ws->socklen, addr,
                      NGX_SOCKADDR_STRLEN, 1);

    if (!ws->dead) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "push open user=%*s conn=%*s client=%*s raw=%d",
                      (size_t) ws->user->len, ws->user->name,
                      (size_t) PUSH_CONN_TEXT_LEN, conn, n, addr, ws->raw);
        return;
    }

    device = ngx_http_push_device(ws);

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "push close user=%*s device=%*s conn=%*s client=%*s code=%ud "
                  "reason=\"%s\" seconds=%L messages=%uD bytes=%uL",
                  (size_t) ws->user->len, ws->user->name,
                  device.len, device.data,
                  (size_t) PUSH_CONN_TEXT_LEN, conn, n, addr,
                  (unsigned) ws->close_code, push_close_text(ws->close_reason),
                  ((int64_t) ngx_http_push_wall_ms() - (int64_t) ws->since_ms)
                  / 1000,
                  ws->messages, (uint64_t) ws->bytes);
}
