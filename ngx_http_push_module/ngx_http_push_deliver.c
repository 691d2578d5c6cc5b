/*
 * ngx_http_push_deliver: the dispatcher's POST
 *
 *     request -> method, secret, length -> body in memory -> push_lines
 *         -> batch (all workers) -> answers, in order -> reply
 *
 * in:   POST, Push-Secret; out: 200 with a line an item; 400 with the answers
 *       of the items before the fault, and the fault; 403, 405, 411, 413
 * owns: the request's context, which ends with the request
 */

#include "ngx_http_push_deliver.h"
#include "fault_point.h"
#include "ngx_http_push_batch.h"


#define NGX_HTTP_PUSH_DELIVER_ERROR   160       /* error <line> <text> */


typedef struct {
    ngx_http_request_t         *request;
    ngx_http_push_batch_t      *batch;          /* NULL: none, or done */
    struct push_lines           lines;
    unsigned                    failed:1;       /* lines has the error */
} ngx_http_push_deliver_ctx_t;


static ngx_uint_t ngx_http_push_deliver_allowed(ngx_http_request_t *r);
static ngx_uint_t ngx_http_push_deliver_equal(ngx_str_t *a, ngx_str_t *b);
static void ngx_http_push_deliver_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_push_deliver_items(ngx_http_push_deliver_ctx_t *ctx,
    ngx_str_t *body);
static ngx_int_t ngx_http_push_deliver_text(ngx_http_request_t *r,
    ngx_str_t *body);
static void ngx_http_push_deliver_done(ngx_http_push_batch_t *b, void *data);
static ngx_int_t ngx_http_push_deliver_reply(ngx_http_push_deliver_ctx_t *ctx,
    struct push_lines_answer *answers, ngx_uint_t n);
static void ngx_http_push_deliver_count(struct push_lines_answer *answers,
    ngx_uint_t n);
static ngx_int_t ngx_http_push_deliver_header(ngx_http_request_t *r,
    const char *name, u_char *value, size_t len);
static void ngx_http_push_deliver_cleanup(void *data);


ngx_int_t
ngx_http_push_deliver(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;      /* a subrequest has no body */
    }

    if (ngx_http_push_worker == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;    /* it waits for a slot */
    }

    if (r->method != NGX_HTTP_POST) {
        if (ngx_http_push_deliver_header(r, "Allow", (u_char *) "POST", 4)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    if (!ngx_http_push_deliver_allowed(r)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "push: missing or wrong Push-Secret");
        ngx_http_push_count(deliver_denied);
        return NGX_HTTP_FORBIDDEN;
    }

    if (r->headers_in.content_length_n > PUSH_BODY_MAX) {
        ngx_http_push_count(deliver_bad);
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    if (r->headers_in.content_length_n < 0) {
        ngx_http_push_count(deliver_bad);
        return NGX_HTTP_LENGTH_REQUIRED;    /* chunked: might need a file */
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_push_deliver_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


void
ngx_http_push_deliver_merge(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* 0: nginx does not check, the handler does, and counts */
    clcf->client_max_body_size = 0;
    clcf->client_body_buffer_size = PUSH_BODY_MAX;
    clcf->client_body_in_file_only = 0;
}


/* One of the secrets; how long it takes tells nothing about which bytes. */

static ngx_uint_t
ngx_http_push_deliver_allowed(ngx_http_request_t *r)
{
    ngx_uint_t                  i, n, allowed;
    ngx_str_t                  *secret;
    ngx_list_part_t            *part;
    ngx_table_elt_t            *h;
    ngx_http_push_main_conf_t  *pmcf;

    pmcf = ngx_http_push_worker->conf;
    secret = NULL;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            part = part->next;

            if (part == NULL) {
                break;
            }

            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("Push-Secret") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Push-Secret",
                               sizeof("Push-Secret") - 1)
               == 0)
        {
            if (secret) {
                return 0;               /* twice */
            }

            secret = &h[i].value;
        }
    }

    if (secret == NULL) {
        return 0;
    }

    allowed = 0;

    for (n = 0; n < pmcf->nsecrets; n++) {
        allowed |= ngx_http_push_deliver_equal(secret, &pmcf->secrets[n]);
    }

    return allowed;
}


static ngx_uint_t
ngx_http_push_deliver_equal(ngx_str_t *a, ngx_str_t *b)
{
    size_t           i;
    volatile u_char  diff;

    if (a->len != b->len) {
        return 0;                       /* its length is no secret */
    }

    diff = 0;

    for (i = 0; i < b->len; i++) {
        diff |= a->data[i] ^ b->data[i];
    }

    return diff == 0;
}


/* The whole body is here. */

static void
ngx_http_push_deliver_body(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                     body;
    ngx_http_cleanup_t           *cln;
    ngx_http_push_deliver_ctx_t  *ctx;

    if (ngx_http_push_deliver_text(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_push_deliver_ctx_t));
    if (cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx = cln->data;
    ctx->request = r;
    ctx->batch = NULL;
    ctx->failed = 0;
    cln->handler = ngx_http_push_deliver_cleanup;

    r->read_event_handler = ngx_http_block_reading;

    rc = ngx_http_push_deliver_items(ctx, &body);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_AGAIN: the batch answers; else what the request is finalized with. */

static ngx_int_t
ngx_http_push_deliver_items(ngx_http_push_deliver_ctx_t *ctx, ngx_str_t *body)
{
    int                      rc;
    ngx_uint_t               max;
    struct push_lines_item   item;

    push_lines_init(&ctx->lines, (char *) body->data, body->len, 0);

    rc = push_lines_next(&ctx->lines, &item);

    if (rc == PUSH_OK) {
        /* no item is shorter than "check u\n" */
        max = ngx_min(PUSH_ITEMS_MAX, body->len / 7 + 1);

        ctx->batch = ngx_http_push_batch_create(max, item.epoch,
                                                ngx_http_push_deliver_done,
                                                ctx);
        if (ctx->batch == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        while ((rc = push_lines_next(&ctx->lines, &item)) == PUSH_OK) {
            if (ngx_http_push_batch_item(ctx->batch, &item) != NGX_OK) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
        }
    }

    ctx->failed = (rc == PUSH_ERROR);

    if (ctx->failed) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "push: deliver body, line %ud: %s",
                      ctx->lines.error_line, ctx->lines.error);
        ngx_http_push_count(deliver_bad);

    } else {
        ngx_http_push_count(deliver_requests);
    }

    if (ctx->batch == NULL) {
        return ngx_http_push_deliver_reply(ctx, NULL, 0);
    }

    ngx_http_push_batch_end(ctx->batch);

    return NGX_AGAIN;
}


/* In one piece, and in memory: see ngx_http_push_deliver_merge(). */

static ngx_int_t
ngx_http_push_deliver_text(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_str_null(body);

    if (r->request_body == NULL) {
        return NGX_ERROR;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (b->in_file) {
            return NGX_ERROR;
        }

        body->len += b->last - b->pos;
    }

    if (body->len == 0) {
        body->data = (u_char *) "";
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL) {
        body->data = cl->buf->pos;
        return NGX_OK;
    }

    body->data = ngx_pnalloc(r->pool, body->len);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    for (p = body->data; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    return NGX_OK;
}


/* --- the reply ----------------------------------------------------------- */

static void
ngx_http_push_deliver_done(ngx_http_push_batch_t *b, void *data)
{
    ngx_int_t                     rc;
    ngx_uint_t                    n;
    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    struct push_lines_answer     *answers;
    ngx_http_push_deliver_ctx_t  *ctx;

    ctx = data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    PUSH_FAULT_POINT("edge-reply");
    answers = ngx_http_push_batch_answers(b, &n);

    ngx_http_push_deliver_count(answers, n);

    rc = ngx_http_push_deliver_reply(ctx, answers, n);

    ctx->batch = NULL;
    ngx_http_push_batch_destroy(b);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_push_deliver_reply(ngx_http_push_deliver_ctx_t *ctx,
    struct push_lines_answer *answers, ngx_uint_t n)
{
    u_char               instance[16];
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_uint_t           i;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = ctx->request;

    b = ngx_create_temp_buf(r->pool, n * PUSH_LINES_ANSWER_MAX
                                     + NGX_HTTP_PUSH_DELIVER_ERROR);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {
        b->last += push_lines_answer_write((char *) b->last, answers[i]);
    }

    if (ctx->failed) {
        b->last = ngx_slprintf(b->last, b->end, "error %ud %s\n",
                               ctx->lines.error_line, ctx->lines.error);
    }

    push_hex64_write((char *) instance, ngx_http_push_worker->instance);

    if (ngx_http_push_deliver_header(r, "Push-Instance", instance,
                                     sizeof(instance))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = ctx->failed ? NGX_HTTP_BAD_REQUEST : NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "text/plain");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (b->last == b->pos) {
        r->header_only = 1;             /* a body without items */
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static void
ngx_http_push_deliver_count(struct push_lines_answer *answers, ngx_uint_t n)
{
    ngx_uint_t  i, replies[PUSH_LINES_REPLY_COUNT];

    ngx_memzero(replies, sizeof(replies));

    for (i = 0; i < n; i++) {
        replies[answers[i].reply]++;
    }

    ngx_http_push_count_n(items_ok, replies[PUSH_LINES_OK]);
    ngx_http_push_count_n(items_queued, replies[PUSH_LINES_QUEUED]);
    ngx_http_push_count_n(items_gap, replies[PUSH_LINES_GAP]);
    ngx_http_push_count_n(items_slow, replies[PUSH_LINES_SLOW]);
    ngx_http_push_count_n(items_none, replies[PUSH_LINES_NONE]);
    ngx_http_push_count_n(items_unknown, replies[PUSH_LINES_UNKNOWN]);
}


/* name is a literal; value is copied. */

static ngx_int_t
ngx_http_push_deliver_header(ngx_http_request_t *r, const char *name,
    u_char *value, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 0;                        /* not sent, if what follows fails */
    ngx_http_push_header_next(h);
    ngx_str_null(&h->value);

    h->value.data = ngx_pnalloc(r->pool, len);
    if (h->value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(h->value.data, value, len);
    h->value.len = len;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->hash = 1;

    return NGX_OK;
}


/* The request ends: the batch goes on without it. */

static void
ngx_http_push_deliver_cleanup(void *data)
{
    ngx_http_push_deliver_ctx_t  *ctx;

    ctx = data;

    if (ctx->batch) {
        ngx_http_push_batch_destroy(ctx->batch);
        ctx->batch = NULL;
    }
}
