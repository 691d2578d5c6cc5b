/*
 * ngx_http_push_cell: connections by number
 *
 *     | 1 | 2 | 3 | ... |   blocks of 1024 cells; a free one is used again
 *
 * A number is half as long as a pointer, and a connection is on two lists and
 * in a table.  The index of a connection's id is its cell's number and how
 * often that was used: it finds the connection, and is never given again.
 *
 * owns: the cells, to the end of the process
 */

#ifndef NGX_HTTP_PUSH_CELL_H
#define NGX_HTTP_PUSH_CELL_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_CELL_BLOCK  1024

struct ngx_http_push_cells_s {
    ngx_http_push_conn_t  **blocks;
    uint32_t                count;      /* 1 to count - 1 were given out */
    uint32_t                mask;       /* the bits of a number in an index */
    uint32_t                free;       /* the first free one; 0: none */
};

/* ngx_http_push_worker->cells; NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_cell_init(ngx_http_push_worker_t *w);
void ngx_http_push_cell_destroy(ngx_http_push_worker_t *w);

/* A connection, all zero but its id.  NULL: no memory. */
ngx_http_push_conn_t *ngx_http_push_cell_alloc(void);
void ngx_http_push_cell_free(ngx_http_push_conn_t *ws);

/* n was given out; a free cell is `listed` nowhere. */
static inline ngx_http_push_conn_t *
ngx_http_push_cell(uint32_t n)
{
    return &ngx_http_push_worker->cells->blocks[n / NGX_HTTP_PUSH_CELL_BLOCK]
                                               [n % NGX_HTTP_PUSH_CELL_BLOCK];
}

static inline uint32_t
ngx_http_push_cell_number(ngx_http_push_conn_t *ws)
{
    return (uint32_t) ws->id & ngx_http_push_worker->cells->mask;
}

/*
 * Rings of connections: *first is the number of the first, 0: empty; link is
 * the offset of a ngx_http_push_link_t in a connection.
 */
void ngx_http_push_cell_append(uint32_t *first, ngx_http_push_conn_t *ws,
    size_t link);
void ngx_http_push_cell_remove(uint32_t *first, ngx_http_push_conn_t *ws,
    size_t link);

#endif
