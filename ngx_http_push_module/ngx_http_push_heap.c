/*
 * ngx_http_push_heap: memory of a busy moment goes back to the system
 *
 * in:   handshakes, bytes in queues, ticks.  out: malloc_trim().  owns: counts
 */

#include "ngx_http_push_heap.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#define NGX_HTTP_PUSH_HEAP_STORM   1000             /* handshakes */
#define NGX_HTTP_PUSH_HEAP_QUEUED  (1024 * 1024)    /* bytes, no more queued */
#define NGX_HTTP_PUSH_HEAP_MS      10000            /* between two trims, each
                                                       of some ms */


void
ngx_http_push_heap_started(ngx_http_push_heap_t *heap)
{
    heap->started++;
}


void
ngx_http_push_heap_queued(ngx_http_push_heap_t *heap, size_t bytes)
{
    if (bytes > heap->peak) {
        heap->peak = bytes;
    }
}


void
ngx_http_push_heap_tick(ngx_http_push_heap_t *heap, size_t queued,
    ngx_uint_t last, uint32_t now)
{
    ngx_uint_t  quiet;

    quiet = (heap->started == heap->ticked);
    heap->ticked = heap->started;

    ngx_http_push_heap_queued(heap, queued);

    if (heap->started < NGX_HTTP_PUSH_HEAP_STORM
        && heap->peak - queued < NGX_HTTP_PUSH_HEAP_QUEUED)
    {
        return;
    }

    /* when the storm is over, or now and then while it lasts */

    if (!last && now - heap->trim_ms < NGX_HTTP_PUSH_HEAP_MS
        && (!quiet || heap->started < NGX_HTTP_PUSH_HEAP_STORM))
    {
        return;
    }

    heap->started = 0;
    heap->ticked = 0;
    heap->peak = queued;
    heap->trim_ms = now;

#if defined(__GLIBC__)
    (void) malloc_trim(0);
#endif
}
