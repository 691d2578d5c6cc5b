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
#include "ngx_http_push_refuse.h"
#include "ngx_http_push_upgrade.h"


#define NGX_HTTP_PUSH_KEY_LEN  24   /* of 16 bytes in base64 */


/* headers of the handshake: how often, and the last value */
typedef struct {
    ngx_uint_t   n;
    ngx_str_t   *value;
} ngx_http_push_header_t;

typedef struct {
    ngx_http_push_header_t  version;
    ngx_http_push_header_t  key;
    ngx_http_push_header_t  origin;
    ngx_http_push_header_t  protocol;
    unsigned                upgrade:1;      /* Upgrade has "websocket" */
    unsigned                connection:1;   /* Connection has "upgrade" */
    unsigned                push_v1:1;      /* Sec-WebSocket-Protocol has it */
} ngx_http_push_offer_t;


static void ngx_http_push_handshake_offer(ngx_http_request_t *r,
    ngx_http_push_offer_t *offer);
static ngx_uint_t ngx_http_push_handshake_token(ngx_str_t *list,
    const char *token, ngx_uint_t any_case);
static ngx_http_push_refuse_t ngx_http_push_handshake_check(
    ngx_http_request_t *r, ngx_http_push_offer_t *offer);
static ngx_http_push_refuse_t ngx_http_push_handshake_origin(
    ngx_http_push_loc_conf_t *plcf, ngx_http_push_offer_t *offer);
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
    ngx_http_push_offer_t      offer;
    ngx_http_push_refuse_t     refuse;
    ngx_http_push_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_push_module);

    if (!plcf->websocket || r != r->main) {
        return NGX_DECLINED;
    }

    ngx_memzero(&offer, sizeof(ngx_http_push_offer_t));
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
    ngx_str_t                  uid;
    ngx_uint_t                 max;
    ngx_http_push_conn_t      *ws;
    ngx_http_push_offer_t      offer;
    ngx_http_push_refuse_t     refuse;
    ngx_http_push_loc_conf_t  *plcf;

    if (r != r->main) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;  /* a subrequest has no socket */
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_push_module);

    ngx_memzero(&offer, sizeof(ngx_http_push_offer_t));
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
            return ngx_http_push_upgrade(r, offer.key.value, &uid, ws);

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
    ngx_http_push_offer_t *offer)
{
    size_t                   i, k;
    ngx_list_part_t         *part;
    ngx_table_elt_t         *h;
    ngx_http_push_header_t  *one;

    struct {
        ngx_str_t                name;
        ngx_http_push_header_t  *header;
    } names[] = {
        { ngx_string("sec-websocket-version"), &offer->version },
        { ngx_string("sec-websocket-key"), &offer->key },
        { ngx_string("origin"), &offer->origin },
        { ngx_string("sec-websocket-protocol"), &offer->protocol },
        { ngx_string("upgrade"), NULL },
        { ngx_string("connection"), NULL }
    };

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
                if (h[i].key.len == names[k].name.len
                    && ngx_strncasecmp(h[i].key.data, names[k].name.data,
                                       h[i].key.len) == 0)
                {
                    break;
                }
            }

            if (k == sizeof(names) / sizeof(names[0])) {
                continue;
            }

            one = names[k].header;

            if (one) {
                one->n++;
                one->value = &h[i].value;

                if (one == &offer->protocol) {
                    offer->push_v1 |= ngx_http_push_handshake_token(
                                                 &h[i].value, "push.v1", 0);
                }

            } else if (h[i].key.len == sizeof("upgrade") - 1) {
                offer->upgrade |= ngx_http_push_handshake_token(&h[i].value,
                                                             "websocket", 1);

            } else {
                offer->connection |= ngx_http_push_handshake_token(
                                                 &h[i].value, "upgrade", 1);
            }
        }
    }
}


/* A list is separated by commas, with optional white space around. */

static ngx_uint_t
ngx_http_push_handshake_token(ngx_str_t *list, const char *token,
    ngx_uint_t any_case)
{
    u_char  *p, *last, *end, *item;
    size_t   len;

    len = ngx_strlen(token);
    end = list->data + list->len;

    for (p = list->data; p < end; p = last + 1) {
        last = ngx_strlchr(p, end, ',');
        if (last == NULL) {
            last = end;
        }

        for (item = p; item < last && (*item == ' ' || *item == '\t'); item++) {
            /* void */
        }

        for (p = last; p > item && (p[-1] == ' ' || p[-1] == '\t'); p--) {
            /* void */
        }

        if ((size_t) (p - item) == len
            && (any_case ? ngx_strncasecmp(item, (u_char *) token, len)
                         : ngx_strncmp(item, token, len)) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* RFC 6455 4.2.1, in the order in which a client can mend it */

static ngx_http_push_refuse_t
ngx_http_push_handshake_check(ngx_http_request_t *r,
    ngx_http_push_offer_t *offer)
{
    u_char      bytes[NGX_HTTP_PUSH_KEY_LEN];
    ngx_str_t   key;

    if (r->method != NGX_HTTP_GET) {
        return NGX_HTTP_PUSH_REFUSE_METHOD;
    }

#if (NGX_HTTP_V2)
    if (r->stream) {
        return NGX_HTTP_PUSH_REFUSE_HTTP2;
    }
#endif

    if (r->http_version != NGX_HTTP_VERSION_11) {
        return NGX_HTTP_PUSH_REFUSE_HTTP10;
    }

    if (!offer->upgrade) {
        return NGX_HTTP_PUSH_REFUSE_UPGRADE;
    }

    if (!offer->connection) {
        return NGX_HTTP_PUSH_REFUSE_CONNECTION;
    }

    if (offer->version.n > 1) {
        return NGX_HTTP_PUSH_REFUSE_VERSIONS;
    }

    if (offer->version.n == 0 || offer->version.value->len != 2
        || ngx_strncmp(offer->version.value->data, "13", 2) != 0)
    {
        return NGX_HTTP_PUSH_REFUSE_VERSION;
    }

    if (offer->key.n != 1) {
        return offer->key.n ? NGX_HTTP_PUSH_REFUSE_KEYS
                            : NGX_HTTP_PUSH_REFUSE_NO_KEY;
    }

    key.data = bytes;

    if (offer->key.value->len != NGX_HTTP_PUSH_KEY_LEN
        || ngx_decode_base64(&key, offer->key.value) != NGX_OK
        || key.len != 16)
    {
        return NGX_HTTP_PUSH_REFUSE_KEY;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return NGX_HTTP_PUSH_REFUSE_BODY;
    }

    if (offer->protocol.n && !offer->push_v1) {
        return NGX_HTTP_PUSH_REFUSE_PROTOCOL;
    }

    return NGX_HTTP_PUSH_REFUSE_NOT;
}


static ngx_http_push_refuse_t
ngx_http_push_handshake_origin(ngx_http_push_loc_conf_t *plcf,
    ngx_http_push_offer_t *offer)
{
    ngx_str_t   *origin, *value;
    ngx_uint_t   i;

    if (offer->origin.n == 0) {
        return NGX_HTTP_PUSH_REFUSE_NOT;    /* no browser */
    }

    if (offer->origin.n > 1) {
        return NGX_HTTP_PUSH_REFUSE_ORIGINS;
    }

    if (plcf->origins == NULL) {
        return NGX_HTTP_PUSH_REFUSE_NOT;
    }

    value = offer->origin.value;
    origin = plcf->origins->elts;

    for (i = 0; i < plcf->origins->nelts; i++) {
        if (value->len == origin[i].len
            && ngx_memcmp(value->data, origin[i].data, value->len) == 0)
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
