/*
 * ngx_http_push_heap: memory of a busy moment goes back to the system
 *
 * in:   handshakes, bytes that wait in queues, the wheel's ticks
 * out:  malloc_trim()
 * owns: what has happened since the heap was trimmed last
 *
 * glibc by itself gives back only the top of the heap: requests of a storm and
 * messages for slow clients leave holes below what lives on.
 */

#ifndef NGX_HTTP_PUSH_HEAP_H
#define NGX_HTTP_PUSH_HEAP_H

#include <ngx_config.h>
#include <ngx_core.h>

/* Of a worker; zeroed at its start. */
typedef struct {
    ngx_uint_t  started;        /* handshakes */
    ngx_uint_t  ticked;         /* started, a tick ago */
    size_t      peak;           /* most bytes in queues */
    uint32_t    trim_ms;
} ngx_http_push_heap_t;

void ngx_http_push_heap_started(ngx_http_push_heap_t *heap);
void ngx_http_push_heap_queued(ngx_http_push_heap_t *heap, size_t bytes);

/*
 * queued: bytes in queues now.  last: no further tick will come, as there are
 * no connections.
 */
void ngx_http_push_heap_tick(ngx_http_push_heap_t *heap, size_t queued,
    ngx_uint_t last, uint32_t now);

#endif
