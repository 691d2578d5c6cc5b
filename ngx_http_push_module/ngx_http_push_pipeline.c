/*
 * ngx_http_push_pipeline: commands out, replies in, in order
 *
 *     put --> | out | --one send takes all--> Redis
 *     handler <-- | calls, oldest first | <--redisReader-- recv
 *
 * in:   commands as arrays of strings; out: their bytes, their replies
 * owns: out, calls, the reader
 */

#include "ngx_http_push_pipeline.h"

#include <hiredis/hiredis.h>


#define NGX_HTTP_PUSH_PIPELINE_OUT    16384     /* kept while idle */
#define NGX_HTTP_PUSH_PIPELINE_READ   16384     /* of one recv */
#define NGX_HTTP_PUSH_PIPELINE_READS  16        /* recvs a call */
#define NGX_HTTP_PUSH_PIPELINE_ARRAY  65536     /* elements of one reply */

#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_http_push_pipeline_elements_t;
#else
typedef int     ngx_http_push_pipeline_elements_t;
#endif


static void *ngx_http_push_pipeline_array(const redisReadTask *task,
    ngx_http_push_pipeline_elements_t elements);
static ngx_int_t ngx_http_push_pipeline_reserve(ngx_http_push_pipeline_t *p,
    size_t len);
static ngx_int_t ngx_http_push_pipeline_replies(ngx_http_push_pipeline_t *p);
static void ngx_http_push_pipeline_reply(ngx_http_push_pipeline_t *p,
    redisReply *from);
static void ngx_http_push_pipeline_done(ngx_http_push_pipeline_t *p,
    ngx_http_push_redis_reply_t *reply);


/* hiredis' own, and the same with a bound of arrays */
static const redisReplyObjectFunctions  *ngx_http_push_pipeline_hiredis;
static redisReplyObjectFunctions         ngx_http_push_pipeline_functions;


ngx_int_t
ngx_http_push_pipeline_init(ngx_http_push_pipeline_t *p, ngx_log_t *log)
{
    ngx_memzero(p, sizeof(ngx_http_push_pipeline_t));

    p->log = log;
    p->calls = ngx_alloc(NGX_HTTP_PUSH_PIPELINE_CALLS
                         * sizeof(ngx_http_push_pipeline_call_t), log);

    return p->calls ? NGX_OK : NGX_ERROR;
}


void
ngx_http_push_pipeline_deinit(ngx_http_push_pipeline_t *p)
{
    ngx_http_push_pipeline_close(p);
    ngx_free(p->calls);
}


ngx_int_t
ngx_http_push_pipeline_open(ngx_http_push_pipeline_t *p)
{
    redisReader  *reader;

    p->error = NULL;
    p->unparsed = 0;

    reader = redisReaderCreate();
    if (reader == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_push_pipeline_hiredis == NULL) {
        ngx_http_push_pipeline_hiredis = reader->fn;
        ngx_http_push_pipeline_functions = *reader->fn;
        ngx_http_push_pipeline_functions.createArray =
                                                  ngx_http_push_pipeline_array;
    }

    reader->fn = &ngx_http_push_pipeline_functions;
    p->reader = reader;

    return NGX_OK;
}


/* The reader takes memory for all elements as soon as it has their number. */

static void *
ngx_http_push_pipeline_array(const redisReadTask *task,
    ngx_http_push_pipeline_elements_t elements)
{
    if (elements > NGX_HTTP_PUSH_PIPELINE_ARRAY) {
        return NULL;
    }

    return ngx_http_push_pipeline_hiredis->createArray(task, elements);
}


void
ngx_http_push_pipeline_close(ngx_http_push_pipeline_t *p)
{
    ngx_http_push_redis_reply_t  lost;

    if (p->reader) {
        redisReaderFree(p->reader);
        p->reader = NULL;
    }

    ngx_memzero(&lost, sizeof(ngx_http_push_redis_reply_t));
    lost.type = NGX_HTTP_PUSH_REDIS_LOST;

    while (p->count) {
        ngx_http_push_pipeline_done(p, &lost);
    }

    if (p->out) {
        ngx_free(p->out);
        p->out = NULL;
    }

    p->out_sent = 0;
    p->out_len = 0;
    p->out_size = 0;
}


/* --- out ----------------------------------------------------------------- */

ngx_uint_t
ngx_http_push_pipeline_room(ngx_http_push_pipeline_t *p, ngx_uint_t n,
    size_t len)
{
    return p->reader
           && p->count + n <= NGX_HTTP_PUSH_PIPELINE_CALLS
           && p->bytes + len <= NGX_HTTP_PUSH_PIPELINE_BYTES
           && ngx_http_push_pipeline_reserve(p, len) == NGX_OK;
}


ngx_int_t
ngx_http_push_pipeline_put(ngx_http_push_pipeline_t *p,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv)
{
    size_t                          len;
    u_char                         *to;
    ngx_uint_t                      i;
    ngx_http_push_pipeline_call_t  *call;

    len = 1 + NGX_INT_T_LEN + 2;

    for (i = 0; i < argc; i++) {
        len += 1 + NGX_SIZE_T_LEN + 2 + argv[i].len + 2;
    }

    if (!ngx_http_push_pipeline_room(p, 1, len)) {
        return NGX_DECLINED;
    }

    to = ngx_sprintf(p->out + p->out_len, "*%ui" CRLF, argc);

    for (i = 0; i < argc; i++) {
        to = ngx_sprintf(to, "$%uz" CRLF, argv[i].len);
        to = ngx_cpymem(to, argv[i].data, argv[i].len);
        *to++ = CR;
        *to++ = LF;
    }

    len = to - (p->out + p->out_len);

    if (p->count == 0) {
        p->head = 0;
        p->moved = ngx_current_msec;
    }

    call = &p->calls[(p->head + p->count) % NGX_HTTP_PUSH_PIPELINE_CALLS];
    call->handler = handler;
    call->data = data;
    call->len = (uint32_t) len;

    p->count++;
    p->bytes += len;
    p->out_len += len;

    return NGX_OK;
}


/* Room for len more bytes behind out_len. */

static ngx_int_t
ngx_http_push_pipeline_reserve(ngx_http_push_pipeline_t *p, size_t len)
{
    size_t   left, size;
    u_char  *out;

    if (p->out_size - p->out_len >= len) {
        return NGX_OK;
    }

    left = p->out_len - p->out_sent;

    if (p->out_sent >= left && p->out_size - left >= len) {
        ngx_memcpy(p->out, p->out + p->out_sent, left);

    } else {
        size = ngx_max(p->out_size, NGX_HTTP_PUSH_PIPELINE_OUT);

        while (size < left + len) {
            size *= 2;
        }

        out = ngx_alloc(size, p->log);
        if (out == NULL) {
            return NGX_ERROR;
        }

        if (p->out) {
            ngx_memcpy(out, p->out + p->out_sent, left);
            ngx_free(p->out);
        }

        p->out = out;
        p->out_size = size;
    }

    p->out_sent = 0;
    p->out_len = left;

    return NGX_OK;
}


ngx_int_t
ngx_http_push_pipeline_send(ngx_http_push_pipeline_t *p, ngx_connection_t *c)
{
    ssize_t  n;

    while (p->out_sent < p->out_len) {

        n = c->send(c, p->out + p->out_sent, p->out_len - p->out_sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            p->error = "send() failed";
            return NGX_ERROR;
        }

        p->out_sent += n;
    }

    if (p->out_sent == p->out_len) {
        p->out_sent = 0;
        p->out_len = 0;

        if (p->out_size > NGX_HTTP_PUSH_PIPELINE_OUT) {
            ngx_free(p->out);
            p->out = NULL;
            p->out_size = 0;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        p->error = "no event for the socket";
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* --- in ------------------------------------------------------------------ */

ngx_int_t
ngx_http_push_pipeline_recv(ngx_http_push_pipeline_t *p, ngx_connection_t *c)
{
    char        buf[NGX_HTTP_PUSH_PIPELINE_READ];
    ssize_t     n;
    ngx_uint_t  reads;

    for (reads = 0; reads < NGX_HTTP_PUSH_PIPELINE_READS; reads++) {

        n = c->recv(c, (u_char *) buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            p->error = (n == 0) ? "closed by the server" : "recv() failed";
            return NGX_ERROR;
        }

        p->unparsed += n;

        if (p->unparsed > NGX_HTTP_PUSH_PIPELINE_REPLY) {
            p->error = "a reply is too long";
            return NGX_ERROR;
        }

        if (redisReaderFeed(p->reader, buf, n) != REDIS_OK) {
            p->error = "no memory for a reply";
            return NGX_ERROR;
        }

        if (ngx_http_push_pipeline_replies(p) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        p->error = "no event for the socket";
        return NGX_ERROR;
    }

    if (c->read->ready && !c->read->posted) {
        ngx_post_event(c->read, &ngx_posted_next_events);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_push_pipeline_replies(ngx_http_push_pipeline_t *p)
{
    void         *reply;
    redisReader  *reader;

    for ( ;; ) {

        if (redisReaderGetReply(p->reader, &reply) != REDIS_OK) {
            reader = p->reader;
            p->error = reader->err == REDIS_ERR_OOM
                       ? "no memory for its reply"
                       : "what came is no reply of Redis";
            return NGX_ERROR;
        }

        if (reply == NULL) {
            return NGX_OK;
        }

        if (p->count == 0) {
            freeReplyObject(reply);
            p->error = "a reply that nobody waits for";
            return NGX_ERROR;
        }

        p->moved = ngx_current_msec;
        p->unparsed = 0;
        p->replies++;

        ngx_http_push_pipeline_reply(p, reply);
        freeReplyObject(reply);

        if (p->error) {
            return NGX_ERROR;
        }
    }
}


static void
ngx_http_push_pipeline_reply(ngx_http_push_pipeline_t *p, redisReply *from)
{
    ngx_uint_t                   i;
    redisReply                  *element;
    ngx_http_push_redis_reply_t  reply;

    ngx_memzero(&reply, sizeof(ngx_http_push_redis_reply_t));

    if (from->type == REDIS_REPLY_ARRAY && from->elements
        && from->element[from->elements - 1]->type == REDIS_REPLY_ARRAY)
    {
        from = from->element[from->elements - 1];   /* of an EXEC */
    }

    switch (from->type) {

    case REDIS_REPLY_INTEGER:
        reply.type = NGX_HTTP_PUSH_REDIS_INTEGER;
        reply.integer = from->integer;
        break;

    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        reply.type = (from->type == REDIS_REPLY_ERROR)
                     ? NGX_HTTP_PUSH_REDIS_ERROR
                     : NGX_HTTP_PUSH_REDIS_STRING;
        reply.string.data = from->str;
        reply.string.len = from->len;
        break;

    case REDIS_REPLY_ARRAY:
        reply.type = NGX_HTTP_PUSH_REDIS_ARRAY;

        if (from->elements == 0) {
            break;
        }

        reply.strings = ngx_calloc(from->elements * sizeof(struct push_str),
                                   p->log);
        if (reply.strings == NULL) {
            reply.type = NGX_HTTP_PUSH_REDIS_LOST;
            break;
        }

        for (i = 0; i < from->elements; i++) {
            element = from->element[i];

            if (element->type == REDIS_REPLY_STRING
                || element->type == REDIS_REPLY_STATUS)
            {
                reply.strings[i].data = element->str;
                reply.strings[i].len = element->len;
            }
        }

        reply.n = from->elements;
        break;

    default:
        reply.type = NGX_HTTP_PUSH_REDIS_NIL;
        break;
    }

    ngx_http_push_pipeline_done(p, &reply);

    if (reply.strings) {
        ngx_free(reply.strings);
    }
}


/* The oldest command has its reply. */

static void
ngx_http_push_pipeline_done(ngx_http_push_pipeline_t *p,
    ngx_http_push_redis_reply_t *reply)
{
    ngx_http_push_pipeline_call_t  call;

    call = p->calls[p->head];

    p->head = (p->head + 1) % NGX_HTTP_PUSH_PIPELINE_CALLS;
    p->count--;
    p->bytes -= call.len;

    if (call.handler) {
        call.handler(reply, call.data);
    }
}
