/*
 * ngx_http_push_inbox: datagrams between the workers of one node
 *
 *     send --> fd_tx of a slot | kernel's queue | fd_rx --> its worker
 *       \--> pending, while the queue is full
 *
 * in:   parcels for a slot; out: parcels for batch.c
 * owns: the pending list, pieces
 *
 * A worker that is killed leaves its slot claimed.  Whoever takes its place
 * claims the same one and reads what was queued meanwhile.  The descriptors
 * belong to all processes, so a full queue is tried again by a timer: a write
 * event would wake everybody.
 */

#include "ngx_http_push_inbox.h"
#include "ngx_http_push_batch.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_drain.h"
#include "ngx_http_push_latency.h"
#include "ngx_http_push_slot.h"


#define NGX_HTTP_PUSH_INBOX_READS       64          /* datagrams a turn, */
#define NGX_HTTP_PUSH_INBOX_US          2000        /* begun within */
#define NGX_HTTP_PUSH_INBOX_PENDING     (8 * 1024 * 1024)   /* bytes, */
#define NGX_HTTP_PUSH_INBOX_PENDING_ONE (2 * 1024 * 1024)   /* for a slot */
#define NGX_HTTP_PUSH_INBOX_RETRY_MS    2


/* A datagram that waits for room in its slot's queue. */
typedef struct {
    ngx_queue_t                 link;
    ngx_uint_t                  slot;
    size_t                      len;
    u_char                      data[1];
} ngx_http_push_inbox_waiting_t;

/* An ITEMS that comes in pieces; one a sender at a time. */
typedef struct {
    u_char                     *data;           /* NULL: none under way */
    size_t                      got;
    size_t                      total;
    ngx_uint_t                  generation;
    uint64_t                    batch;
    uint32_t                    part;
} ngx_http_push_inbox_whole_t;

struct ngx_http_push_inbox_s {
    ngx_http_push_worker_t     *w;
    ngx_queue_t                 pending;        /* waiting_t, oldest first */
    size_t                      pending_bytes;
    size_t                      pending_slot[NGX_HTTP_PUSH_SLOTS_MAX];
    ngx_event_t                 retry;
    ngx_http_push_inbox_whole_t whole[NGX_HTTP_PUSH_SLOTS_MAX];
    u_char                      datagram[PUSH_PARCEL_MAX + 1];
};


static void ngx_http_push_inbox_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_push_inbox_parcel(ngx_http_push_inbox_t *inbox,
    size_t len);
static ngx_int_t ngx_http_push_inbox_piece(ngx_http_push_inbox_t *inbox,
    const struct push_parcel *p);
static ngx_int_t ngx_http_push_inbox_write(ngx_http_push_worker_t *w,
    ngx_uint_t slot, const u_char *data, size_t len);
static void ngx_http_push_inbox_retry_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_push_inbox_init(ngx_http_push_worker_t *w, ngx_cycle_t *cycle)
{
    ngx_event_t            *rev;
    ngx_connection_t       *c;
    ngx_http_push_inbox_t  *inbox;

    inbox = ngx_calloc(sizeof(ngx_http_push_inbox_t), cycle->log);
    if (inbox == NULL) {
        return NGX_ERROR;
    }

    w->inbox = inbox;
    inbox->w = w;
    ngx_queue_init(&inbox->pending);

    inbox->retry.handler = ngx_http_push_inbox_retry_handler;
    inbox->retry.data = inbox;
    inbox->retry.log = cycle->log;
    inbox->retry.cancelable = 1;

    if (ngx_http_push_slot_claim(w) != NGX_OK) {
        ngx_free(inbox);
        w->inbox = NULL;
        return NGX_DECLINED;
    }

    c = ngx_get_connection((ngx_socket_t) w->slot->fd_rx, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    rev = c->read;

    c->data = inbox;
    c->idle = 1;                    /* hears that the worker is to quit */
    rev->channel = 1;               /* not to be closed by anybody else */
    rev->log = cycle->log;
    c->write->log = cycle->log;
    rev->handler = ngx_http_push_inbox_read_handler;

    /* level-triggered: what one turn leaves unread comes again */

    if (ngx_add_event(rev, NGX_READ_EVENT, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_push_batch_init(w);
}


void
ngx_http_push_inbox_destroy(ngx_http_push_worker_t *w)
{
    ngx_uint_t                      i;
    ngx_queue_t                    *q;
    ngx_http_push_inbox_t          *inbox;
    ngx_http_push_inbox_waiting_t  *waiting;

    inbox = w->inbox;

    if (inbox == NULL) {
        return;
    }

    ngx_http_push_batch_exit(w);

    if (inbox->retry.timer_set) {
        ngx_del_timer(&inbox->retry);
    }

    while (!ngx_queue_empty(&inbox->pending)) {
        q = ngx_queue_head(&inbox->pending);
        ngx_queue_remove(q);
        waiting = ngx_queue_data(q, ngx_http_push_inbox_waiting_t, link);
        ngx_free(waiting);
    }

    for (i = 0; i < NGX_HTTP_PUSH_SLOTS_MAX; i++) {
        if (inbox->whole[i].data) {
            ngx_free(inbox->whole[i].data);
        }
    }

    ngx_http_push_slot_leave(w);

    ngx_free(inbox);
    w->inbox = NULL;
}


/* --- reading ------------------------------------------------------------- */

static void
ngx_http_push_inbox_read_handler(ngx_event_t *rev)
{
    ssize_t                  n;
    uint64_t                 start;
    ngx_uint_t               reads;
    ngx_connection_t        *c;
    ngx_http_push_inbox_t   *inbox;
    ngx_http_push_worker_t  *w;

    c = rev->data;
    inbox = c->data;
    w = inbox->w;

    if (c->close) {
        c->close = 0;
        c->idle = 0;
        w->slot->state = NGX_HTTP_PUSH_SLOT_DRAIN;
        ngx_http_push_drain_start(w);
        ngx_http_push_binding_draining(w);
        return;
    }

    start = ngx_http_push_latency_now();

    for (reads = 0; reads < NGX_HTTP_PUSH_INBOX_READS; reads++) {

        if (ngx_http_push_latency_now() - start > NGX_HTTP_PUSH_INBOX_US) {
            return;             /* what was carried out is written first */
        }

        n = recv(c->fd, inbox->datagram, sizeof(inbox->datagram),
                 MSG_DONTWAIT);

        if (n == -1) {
            if (ngx_socket_errno != NGX_EAGAIN && ngx_socket_errno != NGX_EINTR)
            {
                ngx_log_error(NGX_LOG_ERR, rev->log, ngx_socket_errno,
                              "push: recv() of the inbox failed");
            }

            return;
        }

        ngx_http_push_count(inbox_received);

        if (ngx_http_push_inbox_parcel(inbox, n) != NGX_OK) {
            ngx_http_push_count(inbox_dropped);
        }
    }
}


static ngx_int_t
ngx_http_push_inbox_parcel(ngx_http_push_inbox_t *inbox, size_t len)
{
    struct push_parcel  p;

    if (push_parcel_parse(&p, (char *) inbox->datagram, len, PUSH_PARCEL_MAX)
        != PUSH_OK
        || p.from_slot >= inbox->w->zone->slots)
    {
        return NGX_ERROR;
    }

    return p.kind == PUSH_PARCEL_PIECE
           ? ngx_http_push_inbox_piece(inbox, &p)
           : ngx_http_push_batch_parcel(inbox->w, &p);
}


/* Pieces of one sender come in order: whatever does not follow starts anew. */

static ngx_int_t
ngx_http_push_inbox_piece(ngx_http_push_inbox_t *inbox,
    const struct push_parcel *p)
{
    ngx_int_t                     rc;
    struct push_parcel            items;
    ngx_http_push_inbox_whole_t  *whole;

    whole = &inbox->whole[p->from_slot];

    if (p->offset == 0) {
        if (whole->data) {
            ngx_free(whole->data);      /* the rest of it never came */
        }

        whole->data = ngx_alloc(p->total, ngx_cycle->log);
        if (whole->data == NULL) {
            return NGX_ERROR;
        }

        whole->got = 0;
        whole->total = p->total;
        whole->generation = p->from_generation;
        whole->batch = p->batch;
        whole->part = p->part;
    }

    if (whole->data == NULL
        || p->offset != whole->got
        || p->total != whole->total
        || p->from_generation != whole->generation
        || p->batch != whole->batch
        || p->part != whole->part)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(whole->data + whole->got, p->body.data, p->body.len);
    whole->got += p->body.len;

    if (whole->got < whole->total) {
        return NGX_OK;
    }

    rc = NGX_ERROR;

    if (push_parcel_parse(&items, (char *) whole->data, whole->total,
                          PUSH_PARCEL_WHOLE)
        == PUSH_OK
        && items.kind == PUSH_PARCEL_ITEMS
        && items.from_slot == p->from_slot)
    {
        rc = ngx_http_push_batch_parcel(inbox->w, &items);
    }

    ngx_free(whole->data);
    whole->data = NULL;

    return rc;
}


/* --- writing ------------------------------------------------------------- */

ngx_int_t
ngx_http_push_inbox_send(ngx_http_push_worker_t *w, ngx_uint_t slot,
    const u_char *data, size_t len)
{
    ngx_http_push_inbox_t          *inbox;
    ngx_http_push_inbox_waiting_t  *waiting;

    inbox = w->inbox;

    /* behind those that wait, so that the order of a slot is kept */

    if (inbox->pending_slot[slot] == 0) {
        switch (ngx_http_push_inbox_write(w, slot, data, len)) {

        case NGX_OK:
            return NGX_OK;

        case NGX_ERROR:
            ngx_http_push_count(inbox_dropped);
            return NGX_DECLINED;

        default:
            break;
        }
    }

    waiting = NULL;

    if (inbox->pending_bytes + len <= NGX_HTTP_PUSH_INBOX_PENDING
        && inbox->pending_slot[slot] + len <= NGX_HTTP_PUSH_INBOX_PENDING_ONE)
    {
        waiting = ngx_alloc(offsetof(ngx_http_push_inbox_waiting_t, data)
                            + len, ngx_cycle->log);
    }

    if (waiting == NULL) {
        ngx_http_push_count(inbox_dropped);
        return NGX_DECLINED;
    }

    waiting->slot = slot;
    waiting->len = len;
    ngx_memcpy(waiting->data, data, len);

    ngx_queue_insert_tail(&inbox->pending, &waiting->link);
    inbox->pending_bytes += len;
    inbox->pending_slot[slot] += len;

    if (!inbox->retry.timer_set) {
        ngx_add_timer(&inbox->retry, NGX_HTTP_PUSH_INBOX_RETRY_MS);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_push_inbox_write(ngx_http_push_worker_t *w, ngx_uint_t slot,
    const u_char *data, size_t len)
{
    ssize_t    n;
    ngx_err_t  err;

    do {
        n = send((int) w->zone->slot[slot].fd_tx, data, len,
                 MSG_DONTWAIT|MSG_NOSIGNAL);
        err = (n == -1) ? ngx_socket_errno : 0;
    } while (err == NGX_EINTR);

    if (err == 0) {
        ngx_http_push_count(inbox_sent);
        return NGX_OK;
    }

    if (err == NGX_EAGAIN || err == ENOBUFS) {
        return NGX_AGAIN;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "push: send() to the inbox of slot %ui failed", slot);

    return NGX_ERROR;
}


/* One pass: a slot that is full stays in order, the others go on. */

static void
ngx_http_push_inbox_retry_handler(ngx_event_t *ev)
{
    u_char                          full[NGX_HTTP_PUSH_SLOTS_MAX];
    ngx_int_t                       rc;
    ngx_queue_t                    *q, *next;
    ngx_http_push_inbox_t          *inbox;
    ngx_http_push_inbox_waiting_t  *waiting;

    inbox = ev->data;

    ngx_memzero(full, sizeof(full));

    for (q = ngx_queue_head(&inbox->pending);
         q != ngx_queue_sentinel(&inbox->pending);
         q = next)
    {
        next = ngx_queue_next(q);
        waiting = ngx_queue_data(q, ngx_http_push_inbox_waiting_t, link);

        if (full[waiting->slot]) {
            continue;
        }

        rc = ngx_http_push_inbox_write(inbox->w, waiting->slot, waiting->data,
                                       waiting->len);

        if (rc == NGX_AGAIN
            && inbox->w->zone->slot[waiting->slot].state
               != NGX_HTTP_PUSH_SLOT_FREE)
        {
            full[waiting->slot] = 1;
            continue;
        }

        if (rc != NGX_OK) {
            ngx_http_push_count(inbox_dropped);
        }

        inbox->pending_bytes -= waiting->len;
        inbox->pending_slot[waiting->slot] -= waiting->len;
        ngx_queue_remove(q);
        ngx_free(waiting);
    }

    if (!ngx_queue_empty(&inbox->pending)) {
        ngx_add_timer(ev, NGX_HTTP_PUSH_INBOX_RETRY_MS);
    }
}
