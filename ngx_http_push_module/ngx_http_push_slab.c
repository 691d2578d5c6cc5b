/*
 * ngx_http_push_slab: small blocks without a header
 *
 * Sizes are rounded up to 8 bytes and each has its own list of free blocks.
 * All sizes share the chunk under way, so that a worker with few connections
 * touches few pages.
 *
 * in:   sizes; out: blocks.  owns: the chunks
 */

#include "ngx_http_push_slab.h"

#include <sys/mman.h>


#define NGX_HTTP_PUSH_SLAB_CLASSES  (NGX_HTTP_PUSH_SLAB_MAX / 8)

#define ngx_http_push_slab_class(size)  (((size) + 7) / 8 - 1)


typedef struct ngx_http_push_slab_block_s  ngx_http_push_slab_block_t;

struct ngx_http_push_slab_block_s {
    ngx_http_push_slab_block_t  *next;
};

/* at the start of each chunk */
typedef struct ngx_http_push_slab_chunk_s  ngx_http_push_slab_chunk_t;

struct ngx_http_push_slab_chunk_s {
    ngx_http_push_slab_chunk_t  *next;
};

struct ngx_http_push_slab_s {
    ngx_http_push_slab_chunk_t  *chunks;
    u_char                      *pos;
    u_char                      *end;
    ngx_http_push_slab_block_t  *free[NGX_HTTP_PUSH_SLAB_CLASSES];
};


ngx_int_t
ngx_http_push_slab_init(ngx_http_push_worker_t *w)
{
    w->slab = ngx_calloc(sizeof(ngx_http_push_slab_t), ngx_cycle->log);

    return w->slab ? NGX_OK : NGX_ERROR;
}


void
ngx_http_push_slab_destroy(ngx_http_push_worker_t *w)
{
    ngx_http_push_slab_chunk_t  *chunk, *next;

    if (w->slab == NULL) {
        return;
    }

    for (chunk = w->slab->chunks; chunk; chunk = next) {
        next = chunk->next;
        (void) munmap(chunk, NGX_HTTP_PUSH_SLAB_CHUNK);
    }

    ngx_free(w->slab);
    w->slab = NULL;
}


#if (NGX_DEBUG_PALLOC)

/* every block on its own, so that a sanitizer sees its bounds and its end */

void *
ngx_http_push_slab_alloc(size_t size)
{
    return ngx_alloc(size, ngx_cycle->log);
}


void
ngx_http_push_slab_free(void *p, size_t size)
{
    (void) size;

    if (p) {
        ngx_free(p);
    }
}

#else

static ngx_int_t
ngx_http_push_slab_grow(ngx_http_push_slab_t *slab)
{
    ngx_http_push_slab_chunk_t  *chunk;

    chunk = mmap(NULL, NGX_HTTP_PUSH_SLAB_CHUNK, PROT_READ|PROT_WRITE,
                 MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
    if (chunk == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, ngx_errno,
                      "mmap(%d) failed", NGX_HTTP_PUSH_SLAB_CHUNK);
        return NGX_ERROR;
    }

    chunk->next = slab->chunks;
    slab->chunks = chunk;

    /* what was left of the last chunk is smaller than one block */

    slab->pos = (u_char *) chunk + ngx_align(sizeof(*chunk), 8);
    slab->end = (u_char *) chunk + NGX_HTTP_PUSH_SLAB_CHUNK;

    return NGX_OK;
}


void *
ngx_http_push_slab_alloc(size_t size)
{
    u_char                      *p;
    ngx_http_push_slab_t        *slab;
    ngx_http_push_slab_block_t  *block;

    if (size == 0 || size > NGX_HTTP_PUSH_SLAB_MAX) {
        return ngx_alloc(size, ngx_cycle->log);
    }

    slab = ngx_http_push_worker->slab;
    block = slab->free[ngx_http_push_slab_class(size)];

    if (block) {
        slab->free[ngx_http_push_slab_class(size)] = block->next;
        return block;
    }

    size = ngx_align(size, 8);

    if ((size_t) (slab->end - slab->pos) < size
        && ngx_http_push_slab_grow(slab) != NGX_OK)
    {
        return NULL;
    }

    p = slab->pos;
    slab->pos += size;

    return p;
}


void
ngx_http_push_slab_free(void *p, size_t size)
{
    ngx_http_push_slab_t        *slab;
    ngx_http_push_slab_block_t  *block;

    if (p == NULL) {
        return;
    }

    if (size == 0 || size > NGX_HTTP_PUSH_SLAB_MAX) {
        ngx_free(p);
        return;
    }

    slab = ngx_http_push_worker->slab;
    block = p;

    block->next = slab->free[ngx_http_push_slab_class(size)];
    slab->free[ngx_http_push_slab_class(size)] = block;
}

#endif
