/*
 * ngx_http_push_queue: frames that wait for one slow client
 *
 *     conn --add--> | m7 | m8 | m9 | --writev--> client
 *
 * The ring begins with four entries and doubles; the queue goes when its last
 * frame has gone, so an idle connection has none.
 *
 * in:   messages as they go on the wire, counted, one copy in the worker
 * out:  bytes to the socket
 * owns: ws->queue and one count of each message in it
 */

#include "ngx_http_push_queue.h"
#include "fault_point.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_msg.h"
#include "ngx_http_push_slab.h"

#include <linux/sockios.h>


#define NGX_HTTP_PUSH_QUEUE_START   4           /* entries */
#define NGX_HTTP_PUSH_QUEUE_IOVS    64          /* frames of one writev */

/* frames of our own: so much beyond push_send_queue */
#define NGX_HTTP_PUSH_QUEUE_OWN_BYTES  65536
#define NGX_HTTP_PUSH_QUEUE_OWN_COUNT  64
/* ... and this part of push_send_memory beyond that */
#define NGX_HTTP_PUSH_QUEUE_OWN_PART   16

#define NGX_HTTP_PUSH_QUEUE_STUCK_MS   10000    /* the peer takes nothing */
#define NGX_HTTP_PUSH_QUEUE_YIELD_MS   1000     /* less is a socket's hiccup */


static ngx_uint_t ngx_http_push_queue_memory(ngx_http_push_conn_t *ws,
    size_t len, size_t max, ngx_uint_t yield);
static ngx_int_t ngx_http_push_queue_yield(ngx_http_push_conn_t *ws);
static void ngx_http_push_queue_free(ngx_http_push_queue_t *q);
static void ngx_http_push_queue_drop(ngx_http_push_queue_t *q, ngx_uint_t i);
static ngx_int_t ngx_http_push_queue_grow(ngx_http_push_conn_t *ws);
static ssize_t ngx_http_push_queue_write(ngx_http_push_conn_t *ws);
static void ngx_http_push_queue_sent(ngx_http_push_conn_t *ws, size_t n);
static void ngx_http_push_queue_shift(ngx_http_push_conn_t *ws);

#define ngx_http_push_queue_size(size)                                        \
    (sizeof(ngx_http_push_queue_t) + (size) * sizeof(ngx_http_push_msg_t *))

#define ngx_http_push_queue_at(q, i)  (q)->ring[((q)->head + (i)) % (q)->size]


ngx_uint_t
ngx_http_push_queue_room(ngx_http_push_conn_t *ws, size_t len)
{
    ngx_http_push_queue_t     *q;
    ngx_http_push_loc_conf_t  *conf;

    q = ws->queue;
    conf = ws->conf;

    if (q == NULL) {
        /* of any size: whoever reads has this quarter of the memory */
        return ngx_http_push_queue_memory(ws, len, conf->main->send_memory,
                                          1);
    }

    return q->count < conf->queue_count
           && q->bytes < conf->queue_bytes
           && len <= conf->queue_bytes - q->bytes
           && ngx_http_push_queue_memory(ws, len,
                                         conf->main->send_memory / 4 * 3, 0);
}


ngx_int_t
ngx_http_push_queue_add(ngx_http_push_conn_t *ws, ngx_http_push_msg_t *m,
    ngx_uint_t own)
{
    size_t                     max;
    ngx_http_push_queue_t     *q;
    ngx_http_push_worker_t    *w;
    ngx_http_push_loc_conf_t  *conf;

    w = ngx_http_push_worker;
    q = ws->queue;
    conf = ws->conf;

    if (own) {
        max = conf->main->send_memory;
        max += max / NGX_HTTP_PUSH_QUEUE_OWN_PART;

        if (!ngx_http_push_queue_memory(ws, m->len, max, !ws->closing)) {
            return NGX_DECLINED;
        }

        if (q && (q->count >= conf->queue_count + NGX_HTTP_PUSH_QUEUE_OWN_COUNT
                  || q->bytes + m->len
                     > conf->queue_bytes + NGX_HTTP_PUSH_QUEUE_OWN_BYTES
                       + ngx_http_push_queue_at(q, 0)->len))
        {
            return NGX_DECLINED;
        }

    } else if (!ngx_http_push_queue_room(ws, m->len)) {
        return NGX_DECLINED;
    }

    if ((q == NULL || q->count == q->size)
        && ngx_http_push_queue_grow(ws) != NGX_OK)
    {
        return NGX_ERROR;
    }

    q = ws->queue;

    ngx_http_push_msg_get(m);   /* put by ngx_http_push_queue_shift() */

    ngx_http_push_queue_at(q, q->count) = m;
    q->count++;
    q->bytes += m->len;

    if (m->queued++ == 0) {
        w->queue_bytes += ngx_http_push_msg_size(m->len);
        ngx_http_push_heap_queued(&w->heap, w->queue_bytes);
    }

    return NGX_OK;
}


/* --- bounds of the worker ----------------------------------------------- */

/* One more message of len bytes fits below max, for what it may take at most. */

static ngx_uint_t
ngx_http_push_queue_memory(ngx_http_push_conn_t *ws, size_t len, size_t max,
    ngx_uint_t yield)
{
    ngx_uint_t               size;
    ngx_http_push_queue_t   *q;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;
    q = ws->queue;

    len = ngx_http_push_msg_size(len);

    if (q == NULL || q->count == q->size) {
        size = q ? q->size : NGX_HTTP_PUSH_QUEUE_START;
        len += ngx_http_push_queue_size(size);
    }

    if (len > max) {
        return 0;
    }

    while (w->queue_bytes > max - len) {
        if (!yield || ngx_http_push_queue_yield(ws) != NGX_OK) {
            return 0;
        }
    }

    return 1;
}


/*
 * Another one, which has waited longest, goes, and its memory at once: a Close
 * would wait behind the frame that it does not read, and others would have to
 * go as well.
 */

static ngx_int_t
ngx_http_push_queue_yield(ngx_http_push_conn_t *ws)
{
    ngx_http_push_conn_t    *other;
    ngx_http_push_queue_t   *q;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    if (ngx_queue_empty(&w->waiting)) {
        return NGX_DECLINED;
    }

    q = ngx_queue_data(ngx_queue_head(&w->waiting), ngx_http_push_queue_t,
                       link);

    if (q->ws == ws
        || ngx_http_push_now() - q->since_ms < NGX_HTTP_PUSH_QUEUE_YIELD_MS)
    {
        return NGX_DECLINED;
    }

    other = q->ws;

    ngx_http_push_conn_abort(other, PUSH_CLOSE_SLOW);

    other->c->error = 1;        /* a frame is cut */
    ngx_http_push_queue_clear(other);

    return NGX_OK;
}


ngx_int_t
ngx_http_push_queue_look(ngx_http_push_conn_t *ws, uint32_t now,
    uint32_t *at_ms)
{
    int                     outq;
    ngx_http_push_queue_t  *q;

    q = ws->queue;

    if (q->outq == -1 || now - q->moved_ms >= NGX_HTTP_PUSH_QUEUE_STUCK_MS) {

        /*
         * A slow line may need long to make room for us in the socket: what
         * it holds becomes less meanwhile.
         */

        if (ioctl(ws->c->fd, SIOCOUTQ, &outq) == -1) {
            outq = 0;
        }

        if (outq == q->outq) {
            return NGX_DECLINED;
        }

        q->outq = outq;
        q->moved_ms = now;
    }

    *at_ms = q->moved_ms + NGX_HTTP_PUSH_QUEUE_STUCK_MS;

    return NGX_AGAIN;
}


void
ngx_http_push_queue_leave(ngx_http_push_conn_t *ws, ngx_uint_t drop)
{
    ngx_http_push_queue_t  *q;

    q = ws->queue;

    if (q == NULL) {
        return;
    }

    ngx_queue_remove(&q->link);
    ngx_queue_init(&q->link);

    /* the head: perhaps half of it has left, or SSL_write() wants it again */

    while (drop && q->count > 1) {
        q->count--;
        ngx_http_push_queue_drop(q, q->count);
    }
}


/* --- the socket --------------------------------------------------------- */


ngx_int_t
ngx_http_push_queue_flush(ngx_http_push_conn_t *ws)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = ws->c;

    while (ws->queue) {

        if (!c->write->ready) {
            break;
        }

        n = ngx_http_push_queue_write(ws);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        PUSH_FAULT_POINT("edge-written");

        if (n == NGX_AGAIN) {
            c->write->ready = 0;
            break;
        }

        ngx_http_push_queue_sent(ws, n);
    }

    /* with TLS always: a read may have had to wait for a write */

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return ws->queue ? NGX_AGAIN : NGX_OK;
}


void
ngx_http_push_queue_clear(ngx_http_push_conn_t *ws)
{
    while (ws->queue) {
        ngx_http_push_queue_shift(ws);
    }
}


/* One call of writev, or of SSL_write.  Bytes, NGX_AGAIN or NGX_ERROR. */

static ssize_t
ngx_http_push_queue_write(ngx_http_push_conn_t *ws)
{
    size_t                  offset;
    ngx_iovec_t             vec;
    ngx_uint_t              i;
    struct iovec            iovs[NGX_HTTP_PUSH_QUEUE_IOVS];
    ngx_http_push_msg_t    *m;
    ngx_http_push_queue_t  *q;

    q = ws->queue;
    m = ngx_http_push_queue_at(q, 0);

    if (ws->tls || q->count == 1) {

        /*
         * SSL_write() wants the same bytes at the same place when it is
         * called again: they stay where they are until they have gone.
         */

        return ws->c->send(ws->c, m->frame + q->offset, m->len - q->offset);
    }

    vec.iovs = iovs;
    vec.nalloc = NGX_HTTP_PUSH_QUEUE_IOVS;
    vec.count = ngx_min(q->count, NGX_HTTP_PUSH_QUEUE_IOVS);
    vec.size = 0;

    offset = q->offset;

    for (i = 0; i < vec.count; i++) {
        m = ngx_http_push_queue_at(q, i);

        iovs[i].iov_base = m->frame + offset;
        iovs[i].iov_len = m->len - offset;

        vec.size += m->len - offset;
        offset = 0;
    }

    return ngx_writev(ws->c, &vec);
}


static void
ngx_http_push_queue_sent(ngx_http_push_conn_t *ws, size_t n)
{
    ngx_http_push_msg_t    *m;
    ngx_http_push_queue_t  *q;

    q = ws->queue;

    q->moved_ms = ngx_http_push_now();
    ws->bytes += n;
    ngx_http_push_count_n(bytes_out, n);

    while (n) {
        m = ngx_http_push_queue_at(q, 0);

        if (n < m->len - q->offset) {
            q->offset += n;
            return;
        }

        n -= m->len - q->offset;

        ngx_http_push_queue_shift(ws);
    }
}


/* The head has gone; the queue as well if it was the last. */

static void
ngx_http_push_queue_shift(ngx_http_push_conn_t *ws)
{
    ngx_http_push_queue_t  *q;

    q = ws->queue;

    ngx_http_push_queue_drop(q, 0);

    q->head = (q->head + 1) % q->size;
    q->count--;
    q->offset = 0;

    if (q->count == 0) {
        ws->queue = NULL;
        ngx_queue_remove(&q->link);
        ngx_http_push_queue_free(q);
    }
}


static void
ngx_http_push_queue_drop(ngx_http_push_queue_t *q, ngx_uint_t i)
{
    ngx_http_push_msg_t  *m;

    m = ngx_http_push_queue_at(q, i);

    q->bytes -= m->len;

    if (--m->queued == 0) {
        ngx_http_push_worker->queue_bytes -= ngx_http_push_msg_size(m->len);
    }

    ngx_http_push_msg_put(m);
}


static ngx_int_t
ngx_http_push_queue_grow(ngx_http_push_conn_t *ws)
{
    ngx_uint_t               i, size;
    ngx_http_push_queue_t   *q, *grown;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;
    q = ws->queue;
    size = q ? 2 * q->size : NGX_HTTP_PUSH_QUEUE_START;

    grown = ngx_http_push_slab_alloc(ngx_http_push_queue_size(size));
    if (grown == NULL) {
        return NGX_ERROR;
    }

    w->queue_bytes += ngx_http_push_queue_size(size);

    if (q) {
        *grown = *q;
        grown->head = 0;

        ngx_queue_insert_after(&q->link, &grown->link);
        ngx_queue_remove(&q->link);

        for (i = 0; i < q->count; i++) {
            grown->ring[i] = ngx_http_push_queue_at(q, i);
        }

        ngx_http_push_queue_free(q);

    } else {
        ngx_memzero(grown, sizeof(ngx_http_push_queue_t));

        grown->ws = ws;
        grown->since_ms = ngx_http_push_now();
        grown->moved_ms = grown->since_ms;
        grown->outq = -1;

        if (ws->closing) {
            ngx_queue_init(&grown->link);

        } else {
            ngx_queue_insert_tail(&w->waiting, &grown->link);
        }
    }

    grown->size = (uint16_t) size;
    ws->queue = grown;

    return NGX_OK;
}


static void
ngx_http_push_queue_free(ngx_http_push_queue_t *q)
{
    size_t  size;

    size = ngx_http_push_queue_size(q->size);

    ngx_http_push_worker->queue_bytes -= size;
    ngx_http_push_slab_free(q, size);
}
