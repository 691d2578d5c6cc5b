/*
 * ngx_http_push_handshake: is this an Upgrade request, and who asks?
 *
 *     request -> checks -> origin -> user -> upgrade.c
 *                   \---------\--------\--> 4xx that names the fault
 *
 * in:   GET with Upgrade (RFC 6455 4.2.1), after auth_request
 * out:  a call of ngx_http_push_upgrade(), or problem+json
 * owns: nothing
 */

#include "ngx_http_push_handshake.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_upgrade.h"


#define NGX_HTTP_PUSH_KEY_LEN     24    /* of 16 bytes in base64 */
#define NGX_HTTP_PUSH_DETAIL      256   /* bytes of a fault's sentence */


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

/*
 * Why a handshake is refused: X(NAME, status, title, detail, header, value).
 * The order is that in which a client can mend it.
 */
#define NGX_HTTP_PUSH_REFUSALS(X)                                             \
    X(METHOD, 405, "Method Not Allowed",                                      \
      "a WebSocket handshake is a GET", "Allow", "GET")                       \
    X(HTTP2, 400, "Bad Request",                                              \
      "a WebSocket handshake needs HTTP/1.1, not HTTP/2", NULL, NULL)         \
    X(HTTP10, 400, "Bad Request",                                             \
      "a WebSocket handshake needs HTTP/1.1", NULL, NULL)                     \
    X(UPGRADE, 426, "Upgrade Required",                                       \
      "header Upgrade: websocket is missing", "Sec-WebSocket-Version", "13")  \
    X(CONNECTION, 426, "Upgrade Required",                                    \
      "header Connection does not contain Upgrade",                           \
      "Sec-WebSocket-Version", "13")                                          \
    X(VERSIONS, 400, "Bad Request",                                           \
      "header Sec-WebSocket-Version is doubled", NULL, NULL)                  \
    X(VERSION, 426, "Upgrade Required",                                       \
      "header Sec-WebSocket-Version is not 13",                               \
      "Sec-WebSocket-Version", "13")                                          \
    X(KEYS, 400, "Bad Request",                                               \
      "header Sec-WebSocket-Key is doubled", NULL, NULL)                      \
    X(NO_KEY, 400, "Bad Request",                                             \
      "header Sec-WebSocket-Key is missing", NULL, NULL)                      \
    X(KEY, 400, "Bad Request",                                                \
      "header Sec-WebSocket-Key is not 16 bytes in base64", NULL, NULL)       \
    X(BODY, 400, "Bad Request",                                               \
      "a WebSocket handshake has no body", NULL, NULL)                        \
    X(PROTOCOL, 400, "Bad Request",                                           \
      "header Sec-WebSocket-Protocol does not offer push.v1", NULL, NULL)     \
    X(ORIGINS, 400, "Bad Request",                                            \
      "header Origin is doubled", NULL, NULL)                                 \
    X(ORIGIN, 403, "Forbidden",                                               \
      "this Origin is not in push_origins", NULL, NULL)                       \
    X(NOBODY, 401, "Unauthorized",                                            \
      "nobody says which user this is", "WWW-Authenticate", "Bearer")         \
    X(USER, 403, "Forbidden",                                                 \
      "the user's name is not 1 to 128 bytes of A-Z a-z 0-9 . _ : @ -",       \
      NULL, NULL)                                                             \
    X(EXPIRED, 401, "Unauthorized",                                           \
      "the token has expired", "WWW-Authenticate", "Bearer")                  \
    X(LEAVING, 503, "Service Unavailable",                                    \
      "this process takes no new connections", "Retry-After", "1")

typedef enum {
    NGX_HTTP_PUSH_REFUSE_NOT = 0,
#define X(name, status, title, detail, header, value)                         \
    NGX_HTTP_PUSH_REFUSE_##name,
    NGX_HTTP_PUSH_REFUSALS(X)
#undef X
} ngx_http_push_refuse_t;

typedef struct {
    ngx_uint_t   status;
    const char  *title;
    const char  *detail;
    const char  *header;        /* or NULL */
    const char  *header_value;
} ngx_http_push_refusal_t;


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
static ngx_int_t ngx_http_push_handshake_refuse(ngx_http_request_t *r,
    ngx_http_push_refuse_t refuse);


static const ngx_http_push_refusal_t  ngx_http_push_refusals[] = {
    { 0, NULL, NULL, NULL, NULL },
#define X(name, status, title, detail, header, value)                         \
    { status, title, detail, header, value },
    NGX_HTTP_PUSH_REFUSALS(X)
#undef X
};


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

    if (refuse == NGX_HTTP_PUSH_REFUSE_NOT) {
        return NGX_DECLINED;
    }

    ngx_http_finalize_request(r, ngx_http_push_handshake_refuse(r, refuse));

    return NGX_DONE;
}


/* The content handler: what preaccess let through, and access allowed. */

ngx_int_t
ngx_http_push_handshake(ngx_http_request_t *r)
{
    time_t                          expires;
    ngx_int_t                       rc;
    ngx_str_t                       uid;
    ngx_http_push_offer_t           offer;
    ngx_http_push_loc_conf_t       *plcf;
    ngx_http_push_refuse_t          refuse;

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
        return ngx_http_push_handshake_refuse(r, refuse);
    }

    return ngx_http_push_upgrade(r, offer.key.value, &uid, expires,
                                 offer.protocol.n == 0);
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


/* --- the answer --------------------------------------------------------- */

static ngx_int_t
ngx_http_push_handshake_refuse(ngx_http_request_t *r,
    ngx_http_push_refuse_t refuse)
{
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_str_t                  type;
    ngx_http_complex_value_t   cv;

    const ngx_http_push_refusal_t  *refusal;

    refusal = &ngx_http_push_refusals[refuse];

    if (ngx_http_push_worker) {
        switch (refusal->status) {

        case NGX_HTTP_UNAUTHORIZED:
        case NGX_HTTP_FORBIDDEN:
            ngx_http_push_count(handshakes_denied);
            break;

        case NGX_HTTP_SERVICE_UNAVAILABLE:
            ngx_http_push_count(handshakes_failed);
            break;

        default:
            ngx_http_push_count(handshakes_bad);
            break;
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "push handshake refused with %ui: %s", refusal->status,
                  refusal->detail);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (refusal->header
        && ngx_http_push_upgrade_header(r, refusal->header,
                                          refusal->header_value,
                                          ngx_strlen(refusal->header_value))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (refusal->status == NGX_HTTP_BAD_REQUEST) {
        r->keepalive = 0;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_PUSH_DETAIL);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.data = p;
    cv.value.len = ngx_snprintf(p, NGX_HTTP_PUSH_DETAIL,
                                "{\"title\":\"%s\",\"status\":%ui,"
                                "\"detail\":\"%s\"}" CRLF,
                                refusal->title, refusal->status,
                                refusal->detail)
                   - p;

    ngx_str_set(&type, "application/problem+json");

    return ngx_http_send_response(r, refusal->status, &type, &cv);
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
