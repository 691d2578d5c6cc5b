/*
 * ngx_http_push_pipeline: commands out, replies in, in order
 *
 *     put --> | out | --send--> socket --recv--> replies --> handlers
 *
 * in:   commands as arrays of strings; out: their bytes, their replies
 * owns: what is not sent, who waits for a reply; no socket and no timer
 *
 * The one file here that sees hiredis, and of it only the reply parser: that
 * knows no socket, and nothing that a peer sends makes it abort.
 */

#ifndef NGX_HTTP_PUSH_PIPELINE_H
#define NGX_HTTP_PUSH_PIPELINE_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_PIPELINE_CALLS  10000     /* unanswered commands */
#define NGX_HTTP_PUSH_PIPELINE_BYTES  (8 * 1024 * 1024)     /* and of them */
#define NGX_HTTP_PUSH_PIPELINE_REPLY  (16 * 1024 * 1024)    /* the longest */

typedef enum {
    NGX_HTTP_PUSH_REDIS_LOST,       /* no reply: nobody knows */
    NGX_HTTP_PUSH_REDIS_INTEGER,
    NGX_HTTP_PUSH_REDIS_STRING,     /* status replies too */
    NGX_HTTP_PUSH_REDIS_NIL,
    NGX_HTTP_PUSH_REDIS_ARRAY,      /* of strings; other elements are empty;
                                       of an EXEC: its last command's */
    NGX_HTTP_PUSH_REDIS_ERROR
} ngx_http_push_redis_type_t;

/* Valid during the callback. */
typedef struct {
    ngx_http_push_redis_type_t  type;
    int64_t                     integer;
    struct push_str             string;     /* STRING, ERROR */
    struct push_str            *strings;
    ngx_uint_t                  n;
} ngx_http_push_redis_reply_t;

/*
 * Called exactly once for each command that was accepted, in their order,
 * never inside of the call that gave it.  May give further commands.
 */
typedef void (*ngx_http_push_redis_pt)(ngx_http_push_redis_reply_t *reply,
    uint64_t data);

typedef struct {
    ngx_http_push_redis_pt      handler;        /* NULL: nobody listens */
    uint64_t                    data;
    uint32_t                    len;            /* bytes on the wire */
} ngx_http_push_pipeline_call_t;

typedef struct {
    ngx_log_t                      *log;
    const char                     *error;      /* after NGX_ERROR; a handler
                                                   may set it as well */
    void                           *reader;     /* NULL: not open */

    u_char                         *out;        /* [sent, len) is not sent */
    size_t                          out_sent;
    size_t                          out_len;
    size_t                          out_size;

    ngx_http_push_pipeline_call_t  *calls;      /* ring of unanswered ones */
    ngx_uint_t                      head;
    ngx_uint_t                      count;
    size_t                          bytes;      /* of all unanswered ones */
    size_t                          unparsed;   /* bytes since a reply */
    uint64_t                        replies;    /* so many have come */
    ngx_msec_t                      moved;      /* the last reply, or the first
                                                   command after silence */
} ngx_http_push_pipeline_t;

/* NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_pipeline_init(ngx_http_push_pipeline_t *p,
    ngx_log_t *log);
void ngx_http_push_pipeline_deinit(ngx_http_push_pipeline_t *p);

/* For a new connection; NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_pipeline_open(ngx_http_push_pipeline_t *p);
/* It has gone: every handler runs with LOST. */
void ngx_http_push_pipeline_close(ngx_http_push_pipeline_t *p);

/* n commands of together len bytes would be taken. */
ngx_uint_t ngx_http_push_pipeline_room(ngx_http_push_pipeline_t *p,
    ngx_uint_t n, size_t len);
/* Arguments are copied.  NGX_OK; NGX_DECLINED: full, or no memory. */
ngx_int_t ngx_http_push_pipeline_put(ngx_http_push_pipeline_t *p,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv);

/* As much as c takes.  NGX_OK, or NGX_ERROR. */
ngx_int_t ngx_http_push_pipeline_send(ngx_http_push_pipeline_t *p,
    ngx_connection_t *c);
/* What has come, at most 256 KB a call: handlers run.  NGX_OK, or NGX_ERROR. */
ngx_int_t ngx_http_push_pipeline_recv(ngx_http_push_pipeline_t *p,
    ngx_connection_t *c);

#endif
