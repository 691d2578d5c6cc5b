/*
 * ngx_http_push_binding_lease: this node is here, at this address, with so
 * many connections
 *
 *     every worker, every 5 s --> HSET push:node:<node>/<instance>, 15 s
 *                             --> SADD push:nodes
 *
 * in:   the zone's slots; out: three commands
 * owns: the timer
 *
 * Each worker writes a field of its own as well: HSET's reply counts fields
 * that were new, so every worker learns that the lease had gone, not only the
 * one that happened to make it again.
 */

#include "ngx_http_push_binding_state.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_slot.h"


#define NGX_HTTP_PUSH_LEASE_MS      15000
#define NGX_HTTP_PUSH_LEASE_RENEW   5000
#define NGX_HTTP_PUSH_LEASE_SOON    200
#define NGX_HTTP_PUSH_LEASE_KNOWN   4000    /* dispatchers read it each 2 s */


static void ngx_http_push_binding_lease_key(
    ngx_http_push_binding_command_t *cmd, ngx_http_push_binding_t *b);
static void ngx_http_push_binding_lease_handler(ngx_event_t *ev);
static void ngx_http_push_binding_lease_renewed(
    ngx_http_push_redis_reply_t *reply, uint64_t data);


void
ngx_http_push_binding_lease_init(ngx_http_push_binding_t *b)
{
    b->lease.handler = ngx_http_push_binding_lease_handler;
    b->lease.data = b;
    b->lease.log = ngx_cycle->log;
    b->lease.cancelable = 1;
}


void
ngx_http_push_binding_lease_destroy(ngx_http_push_binding_t *b)
{
    if (b->lease.timer_set) {
        ngx_del_timer(&b->lease);
    }
}


void
ngx_http_push_binding_draining(ngx_http_push_worker_t *w)
{
    ngx_http_push_binding_t  *b;

    b = w->binding;

    if (b == NULL || b->redis == NULL) {
        return;
    }

    /* soon, when the others have heard of it too */
    ngx_add_timer(&b->lease, NGX_HTTP_PUSH_LEASE_SOON);
}


void
ngx_http_push_binding_lease_send(ngx_http_push_binding_t *b)
{
    ngx_str_t                        *deliver, *node;
    ngx_http_push_slot_sum_t          sum;
    ngx_http_push_binding_command_t   cmd;

    deliver = &b->w->conf->deliver;
    node = &b->w->conf->node;

    ngx_add_timer(&b->lease, NGX_HTTP_PUSH_LEASE_RENEW);

    ngx_http_push_slot_sum(b->w->zone, &sum);

    ngx_http_push_binding_begin(&cmd, "HSET");
    ngx_http_push_binding_lease_key(&cmd, b);
    ngx_http_push_binding_word(&cmd, "deliver");
    ngx_http_push_binding_arg(&cmd, deliver->data, deliver->len);
    ngx_http_push_binding_word(&cmd, "connections");
    ngx_http_push_binding_argf(&cmd, "%ui", sum.connections);
    ngx_http_push_binding_word(&cmd, "capacity");
    ngx_http_push_binding_argf(&cmd, "%ui",
                               ngx_cycle->connection_n
                               * (sum.workers - sum.leaving));
    ngx_http_push_binding_word(&cmd, "draining");
    ngx_http_push_binding_argf(&cmd, "%ui",
                               (ngx_uint_t) (sum.workers == sum.leaving));
    ngx_http_push_binding_word(&cmd, "version");
    ngx_http_push_binding_word(&cmd, NGX_HTTP_PUSH_VERSION);
    ngx_http_push_binding_word(&cmd, "workers");
    ngx_http_push_binding_argf(&cmd, "%ui", sum.workers - sum.leaving);
    ngx_http_push_binding_argf(&cmd, "slot:%ui", b->w->slot_number);
    ngx_http_push_binding_argf(&cmd, "%ui", b->w->generation);

    (void) ngx_http_push_binding_send(b, &cmd,
                                      ngx_http_push_binding_lease_renewed, 0);

    ngx_http_push_binding_begin(&cmd, "PEXPIRE");
    ngx_http_push_binding_lease_key(&cmd, b);
    ngx_http_push_binding_argf(&cmd, "%ui",
                               (ngx_uint_t) NGX_HTTP_PUSH_LEASE_MS);
    (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);

    ngx_http_push_binding_begin(&cmd, "SADD");
    ngx_http_push_binding_word(&cmd, "push:nodes");
    ngx_http_push_binding_argf(&cmd, "%V/%*s", node, sizeof(b->instance),
                               b->instance);
    (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);
}


/*
 * The last worker takes the lease along, another one its field.  Each says
 * first that it has gone: of workers that leave together the last one sees
 * nobody.
 */

void
ngx_http_push_binding_lease_remove(ngx_http_push_binding_t *b)
{
    ngx_http_push_slot_sum_t          sum;
    ngx_http_push_binding_command_t   cmd;

    ngx_http_push_slot_close(b->w);
    ngx_http_push_slot_sum(b->w->zone, &sum);

    if (sum.workers) {
        ngx_http_push_binding_begin(&cmd, "HDEL");
        ngx_http_push_binding_lease_key(&cmd, b);
        ngx_http_push_binding_argf(&cmd, "slot:%ui", b->w->slot_number);
        (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);
        return;
    }

    ngx_http_push_binding_begin(&cmd, "DEL");
    ngx_http_push_binding_lease_key(&cmd, b);
    (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);

    ngx_http_push_binding_begin(&cmd, "SREM");
    ngx_http_push_binding_word(&cmd, "push:nodes");
    ngx_http_push_binding_argf(&cmd, "%V/%*s", &b->w->conf->node,
                               sizeof(b->instance), b->instance);
    (void) ngx_http_push_binding_send(b, &cmd, NULL, 0);
}


static void
ngx_http_push_binding_lease_key(ngx_http_push_binding_command_t *cmd,
    ngx_http_push_binding_t *b)
{
    ngx_http_push_binding_argf(cmd, "push:node:%V/%*s", &b->w->conf->node,
                               sizeof(b->instance), b->instance);
}


static void
ngx_http_push_binding_lease_handler(ngx_event_t *ev)
{
    ngx_http_push_binding_lease_send(ev->data);
}


static void
ngx_http_push_binding_lease_renewed(ngx_http_push_redis_reply_t *reply,
    uint64_t data)
{
    uint32_t                  now;
    ngx_http_push_binding_t  *b;

    if (reply->type != NGX_HTTP_PUSH_REDIS_INTEGER) {
        return;
    }

    b = ngx_http_push_worker->binding;

    if (b->leased && reply->integer > 0) {
        ngx_http_push_binding_lost(b, "the lease had gone");
    }

    b->leased = 1;

    now = ngx_http_push_now();

    if (reply->integer > 0) {
        b->lease_new = 1;
        b->lease_ms = now;

    } else if (b->lease_new
               && !ngx_http_push_before(now, b->lease_ms
                                             + NGX_HTTP_PUSH_LEASE_KNOWN))
    {
        /* what was for all until dispatchers knew us went to others only */
        b->lease_new = 0;
        ngx_http_push_ring_resync(b->w);
    }
}
