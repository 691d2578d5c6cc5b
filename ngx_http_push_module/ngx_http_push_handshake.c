/*
 * ngx_http_push_handshake: is this an Upgrade request, and who asks?
 *
 *     request -> checks -> origin -> user -> limits -> upgrade.c
 *                   \---------\--------\--------\--> refuse.c
 *
 * in:   GET with Upgrade (RFC 6455 4.2.1), after auth_request
 * out:  a call of ngx_http_push_upgrade(), or of ngx_http_push_refuse()
 * owns: nothing
 */

#include "ngx_http_push_handshake.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_limit.h"
#include "ngx_http_push_outcome.h"
#include "ngx_http_push_refuse.h"
#include "ngx_http_push_upgrade.h"
#include "push_handshake.h"


static void ngx_http_push_handshake_offer(ngx_http_request_t *r,
    struct push_handshake *offer);
static ngx_http_push_refuse_t ngx_http_push_handshake_check(
    ngx_http_request_t *r, struct push_handshake *offer);
static ngx_http_push_refuse_t ngx_http_push_handshake_origin(
    ngx_http_push_loc_conf_t *plcf, struct push_handshake *offer);
static ngx_int_t ngx_http_push_handshake_user(ngx_http_request_t *r,
    ngx_http_push_loc_conf_t *plcf, ngx_str_t *uid, time_t *expires,
    ngx_http_push_refuse_t *refuse);
static ngx_int_t ngx_http_push_handshake_limit(ngx_http_request_t *r,
    ngx_http_push_loc_conf_t *plcf, ngx_uint_t *max);


/*
 * Before the access phase: what is no handshake at all costs auth nothing, and
 * hears what is wrong with it even without a token.
 */

ngx_int_t
ngx_http_push_handshake_preaccess(ngx_http_request_t *r)
{
    struct push_handshake      offer;
    ngx_http_push_refuse_t     refuse;
    ngx_http_push_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_push_module);

    if (!plcf->websocket || r != r->main) {
        return NGX_DECLINED;
    }

    if (ngx_http_push_outcome_watch(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_push_handshake_offer(r, &offer);

    refuse = ngx_http_push_handshake_check(r, &offer);

    if (refuse == NGX_HTTP_PUSH_REFUSE_NOT) {
        refuse = ngx_http_push_handshake_origin(plcf, &offer);
    }

    if (refuse == NGX_HTTP_PUSH_REFUSE_NOT && ngx_http_push_worker
        && ngx_http_push_limit_full(1))
    {
        refuse = NGX_HTTP_PUSH_REFUSE_FULL;
    }

    if (refuse == NGX_HTTP_PUSH_REFUSE_NOT) {
        return NGX_DECLINED;
    }

    ngx_http_finalize_request(r, ngx_http_push_refuse(r, refuse));

    return NGX_DONE;
}


/* The content handler: what preaccess let through, and access allowed. */

ngx_int_t
ngx_http_push_handshake(ngx_http_request_t *r)
{
    time_t                     expires;
    ngx_int_t                  rc;
    ngx_str_t                  uid, key;
    ngx_uint_t                 max;
    ngx_http_push_conn_t      *ws;
    struct push_handshake      offer;
    ngx_http_push_refuse_t     refuse;
    ngx_http_push_loc_conf_t  *plcf;

    if (r != r->main) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;  /* a subrequest has no socket */
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_push_module);

    ngx_http_push_handshake_offer(r, &offer);

    rc = ngx_http_push_handshake_user(r, plcf, &uid, &expires, &refuse);
    if (rc != NGX_OK) {
        return rc;
    }

    if (refuse != NGX_HTTP_PUSH_REFUSE_NOT) {
        return ngx_http_push_refuse(r, refuse);
    }

    if (ngx_http_push_handshake_limit(r, plcf, &max) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ws = ngx_http_push_conn_create(r->connection, plcf, &uid, expires,
                                   offer.protocol.n == 0);
    if (ws == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* others have come while auth was asked */

    if (ngx_http_push_limit_full(0)) {
        refuse = NGX_HTTP_PUSH_REFUSE_FULL;

    } else {
        switch (ngx_http_push_limit_take(ws, max)) {

        case NGX_HTTP_PUSH_LIMIT_OK:
            key.data = (u_char *) offer.key.value.data;
            key.len = offer.key.value.len;

            return ngx_http_push_upgrade(r, &key, &uid, ws);

        case NGX_HTTP_PUSH_LIMIT_USER:
            refuse = NGX_HTTP_PUSH_REFUSE_LIMIT_USER;
            break;

        case NGX_HTTP_PUSH_LIMIT_ADDR:
            refuse = NGX_HTTP_PUSH_REFUSE_LIMIT_ADDR;
            break;
        }
    }

    ngx_http_push_conn_discard(ws);

    return ngx_http_push_refuse(r, refuse);
}


/* --- what is asked for -------------------------------------------------- */

static void
ngx_http_push_handshake_offer(ngx_http_request_t *r,
    struct push_handshake *offer)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;
    struct push_str   name, value;

    ngx_memzero(offer, sizeof(struct push_handshake));

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            name.data = (char *) h[i].key.data;
            name.len = h[i].key.len;
            value.data = (char *) h[i].value.data;
            value.len = h[i].value.len;

            push_handshake_header(offer, name, value);
        }
    }
}


/* What the server knows of the request, then what its headers say. */

static ngx_http_push_refuse_t
ngx_http_push_handshake_check(ngx_http_request_t *r,
    struct push_handshake *offer)
{
    static const ngx_http_push_refuse_t  faults[PUSH_HANDSHAKE_FAULTS] = {
        [PUSH_HANDSHAKE_GOOD] = NGX_HTTP_PUSH_REFUSE_NOT,
        [PUSH_HANDSHAKE_NO_UPGRADE] = NGX_HTTP_PUSH_REFUSE_UPGRADE,
        [PUSH_HANDSHAKE_NO_CONNECTION] = NGX_HTTP_PUSH_REFUSE_CONNECTION,
        [PUSH_HANDSHAKE_VERSIONS] = NGX_HTTP_PUSH_REFUSE_VERSIONS,
        [PUSH_HANDSHAKE_VERSION] = NGX_HTTP_PUSH_REFUSE_VERSION,
        [PUSH_HANDSHAKE_KEYS] = NGX_HTTP_PUSH_REFUSE_KEYS,
        [PUSH_HANDSHAKE_NO_KEY] = NGX_HTTP_PUSH_REFUSE_NO_KEY,
        [PUSH_HANDSHAKE_KEY] = NGX_HTTP_PUSH_REFUSE_KEY,
        [PUSH_HANDSHAKE_PROTOCOL] = NGX_HTTP_PUSH_REFUSE_PROTOCOL,
        [PUSH_HANDSHAKE_ORIGINS] = NGX_HTTP_PUSH_REFUSE_ORIGINS
    };

    if (r->method != NGX_HTTP_GET) {
        return NGX_HTTP_PUSH_REFUSE_METHOD;
    }

    if (r->http_version > NGX_HTTP_VERSION_11) {
        return NGX_HTTP_PUSH_REFUSE_HTTP2;
    }

    if (r->http_version < NGX_HTTP_VERSION_11) {
        return NGX_HTTP_PUSH_REFUSE_HTTP10;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return NGX_HTTP_PUSH_REFUSE_BODY;
    }

    return faults[push_handshake_check(offer)];
}


static ngx_http_push_refuse_t
ngx_http_push_handshake_origin(ngx_http_push_loc_conf_t *plcf,
    struct push_handshake *offer)
{
    ngx_str_t        *origin;
    ngx_uint_t        i;
    struct push_str   value;

    if (offer->origin.n == 0 || plcf->origins == NULL) {
        return NGX_HTTP_PUSH_REFUSE_NOT;    /* no browser, or any */
    }

    value = offer->origin.value;
    origin = plcf->origins->elts;

    for (i = 0; i < plcf->origins->nelts; i++) {
        if (value.len == origin[i].len
            && ngx_memcmp(value.data, origin[i].data, value.len) == 0)
        {
            return NGX_HTTP_PUSH_REFUSE_NOT;
        }
    }

    return NGX_HTTP_PUSH_REFUSE_ORIGIN;
}


static ngx_int_t
ngx_http_push_handshake_user(ngx_http_request_t *r,
    ngx_http_push_loc_conf_t *plcf, ngx_str_t *uid, time_t *expires,
    ngx_http_push_refuse_t *refuse)
{
    uint64_t         number;
    ngx_str_t        value;
    struct push_str  s;

    *expires = 0;
    *refuse = NGX_HTTP_PUSH_REFUSE_NOT;

    if (ngx_http_complex_value(r, plcf->user, uid) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (uid->len == 0) {
        *refuse = NGX_HTTP_PUSH_REFUSE_NOBODY;
        return NGX_OK;
    }

    s.data = (char *) uid->data;
    s.len = uid->len;

    if (!push_name_valid(s)) {
        *refuse = NGX_HTTP_PUSH_REFUSE_USER;
        return NGX_OK;
    }

    if (plcf->expires) {
        if (ngx_http_complex_value(r, plcf->expires, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        s.data = (char *) value.data;
        s.len = value.len;

        if (value.len) {
            if (push_uint_parse(s, NGX_MAX_UINT32_VALUE, &number) != PUSH_OK) {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "\"push_expires\" gives \"%V\", which is no "
                              "number of Unix seconds", &value);
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            *expires = (time_t) number;

            if (number && *expires <= ngx_time()) {
                *refuse = NGX_HTTP_PUSH_REFUSE_EXPIRED;
                return NGX_OK;
            }
        }
    }

    if (ngx_http_push_worker == NULL || ngx_exiting) {
        *refuse = NGX_HTTP_PUSH_REFUSE_LEAVING;
    }

    return NGX_OK;
}


/* push_limit_user; 0: no limit */

static ngx_int_t
ngx_http_push_handshake_limit(ngx_http_request_t *r,
    ngx_http_push_loc_conf_t *plcf, ngx_uint_t *max)
{
    uint64_t         number;
    ngx_str_t        value;
    struct push_str  s;

    *max = 0;

    if (plcf->limit_user == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, plcf->limit_user, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        return NGX_OK;
    }

    s.data = (char *) value.data;
    s.len = value.len;

    if (push_uint_parse(s, NGX_MAX_UINT32_VALUE, &number) != PUSH_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "\"push_limit_user\" gives \"%V\", which is no "
                      "number of connections", &value);
        return NGX_ERROR;
    }

    *max = (ngx_uint_t) ngx_min(number, PUSH_LIMIT_MAX);

    return NGX_OK;
}


/* --- rewrite phase ------------------------------------------------------ */

ngx_int_t
ngx_http_push_handshake_rewrite(ngx_http_request_t *r)
{
    u_char                    *p, *last;
    ngx_http_push_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_push_module);

    if (plcf->websocket) {
        last = r->request_line.data + r->request_line.len;
        p = ngx_strlchr(r->request_line.data, last, '?');

        if (p) {
            r->request_line.len = p - r->request_line.data;
        }
    }

    return NGX_DECLINED;
}
