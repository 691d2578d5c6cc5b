/*
 * ngx_http_push_slab: small blocks without a header, for what lives as long
 * as a connection
 *
 *     mmap 256 KB --> bump --> block --free--> list of its size --> block
 *
 * owns: its chunks, to the end of the process: what is freed is used again
 */

#ifndef NGX_HTTP_PUSH_SLAB_H
#define NGX_HTTP_PUSH_SLAB_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_SLAB_CHUNK  (256 * 1024)
#define NGX_HTTP_PUSH_SLAB_MAX    1024      /* bytes; beyond: the heap */

/* ngx_http_push_worker->slab; NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_slab_init(ngx_http_push_worker_t *w);
void ngx_http_push_slab_destroy(ngx_http_push_worker_t *w);

/* Aligned to 8 bytes, not zeroed.  NULL: no memory. */
void *ngx_http_push_slab_alloc(size_t size);
/* size as it was asked for; p may be NULL. */
void ngx_http_push_slab_free(void *p, size_t size);

#endif
