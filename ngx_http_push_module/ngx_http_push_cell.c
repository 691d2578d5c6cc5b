/*
 * ngx_http_push_cell: connections by number
 *
 * in:   the end of a connection; out: a place for another one
 * owns: the cells, to the end of the process
 */

#include "ngx_http_push_cell.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size)    (void) 0
#define ASAN_UNPOISON_MEMORY_REGION(p, size)  (void) 0
#endif


/*
 * At most worker_connections are in use; as many numbers again are for those
 * whose count has come to its end: 2^39 connections at least.
 */
#define NGX_HTTP_PUSH_CELL_ROOM  2

#define NGX_HTTP_PUSH_CELL_BLOCK_SIZE                                         \
    (NGX_HTTP_PUSH_CELL_BLOCK * sizeof(ngx_http_push_conn_t))

#define NGX_HTTP_PUSH_CELL_INDEX_MAX  push_conn_index(UINT64_MAX)

/* what is read of a free cell: id, next_turn and `listed` */
#define NGX_HTTP_PUSH_CELL_HEAD  offsetof(ngx_http_push_conn_t, c)

#define ngx_http_push_cell_link(n, link)                                      \
    ((ngx_http_push_link_t *) ((u_char *) ngx_http_push_cell(n) + (link)))


static ngx_int_t ngx_http_push_cell_grow(ngx_http_push_cells_t *cells);


ngx_int_t
ngx_http_push_cell_init(ngx_http_push_worker_t *w)
{
    uint64_t                numbers;
    ngx_http_push_cells_t  *cells;

    numbers = NGX_HTTP_PUSH_CELL_BLOCK;

    while (numbers < NGX_HTTP_PUSH_CELL_ROOM * ngx_cycle->connection_n) {
        numbers *= 2;
    }

    cells = ngx_calloc(sizeof(ngx_http_push_cells_t), ngx_cycle->log);
    if (cells == NULL) {
        return NGX_ERROR;
    }

    cells->count = 1;
    cells->mask = (uint32_t) numbers - 1;

    cells->blocks = ngx_calloc(numbers / NGX_HTTP_PUSH_CELL_BLOCK
                               * sizeof(ngx_http_push_conn_t *),
                               ngx_cycle->log);
    if (cells->blocks == NULL) {
        ngx_free(cells);
        return NGX_ERROR;
    }

    w->cells = cells;

    return NGX_OK;
}


void
ngx_http_push_cell_destroy(ngx_http_push_worker_t *w)
{
    ngx_uint_t  i;

    if (w->cells == NULL) {
        return;
    }

    for (i = 0; i <= w->cells->mask / NGX_HTTP_PUSH_CELL_BLOCK; i++) {
        if (w->cells->blocks[i]) {
            ASAN_UNPOISON_MEMORY_REGION(w->cells->blocks[i],
                                        NGX_HTTP_PUSH_CELL_BLOCK_SIZE);
            (void) munmap(w->cells->blocks[i], NGX_HTTP_PUSH_CELL_BLOCK_SIZE);
        }
    }

    ngx_free(w->cells->blocks);
    ngx_free(w->cells);
    w->cells = NULL;
}


ngx_http_push_conn_t *
ngx_http_push_cell_alloc(void)
{
    uint64_t                 index;
    ngx_http_push_conn_t    *ws;
    ngx_http_push_cells_t   *cells;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;
    cells = w->cells;

    if (cells->free) {
        ws = ngx_http_push_cell(cells->free);
        index = push_conn_index(ws->id);
        cells->free = ws->next_turn;

    } else {
        if (ngx_http_push_cell_grow(cells) != NGX_OK) {
            return NULL;
        }

        ws = ngx_http_push_cell(cells->count);
        index = cells->count++;
    }

    ASAN_UNPOISON_MEMORY_REGION(ws, sizeof(ngx_http_push_conn_t));

    ngx_memzero(ws, sizeof(ngx_http_push_conn_t));

    ws->id = push_conn_make(w->slot_number, w->generation,
                            index + cells->mask + 1);

    return ws;
}


void
ngx_http_push_cell_free(ngx_http_push_conn_t *ws)
{
    ngx_http_push_cells_t  *cells;

    cells = ngx_http_push_worker->cells;

    /* an id is never given again: rather the cell is given up */

    if (push_conn_index(ws->id) + cells->mask + 1
        <= NGX_HTTP_PUSH_CELL_INDEX_MAX)
    {
        ws->next_turn = cells->free;
        cells->free = ngx_http_push_cell_number(ws);
    }

    ASAN_POISON_MEMORY_REGION((u_char *) ws + NGX_HTTP_PUSH_CELL_HEAD,
                              sizeof(ngx_http_push_conn_t)
                              - NGX_HTTP_PUSH_CELL_HEAD);
}


/*
 * The next number has a cell.  Not from the heap, where a block would lie
 * between requests that go; its pages are touched as it is used.
 */

static ngx_int_t
ngx_http_push_cell_grow(ngx_http_push_cells_t *cells)
{
    void                   *p;
    ngx_http_push_conn_t  **block;

    if (cells->count > cells->mask) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "push: this worker has no more numbers for connections");
        return NGX_ERROR;
    }

    block = &cells->blocks[cells->count / NGX_HTTP_PUSH_CELL_BLOCK];

    if (*block == NULL) {
        p = mmap(NULL, NGX_HTTP_PUSH_CELL_BLOCK_SIZE, PROT_READ|PROT_WRITE,
                 MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, ngx_errno,
                          "mmap(%uz) failed", NGX_HTTP_PUSH_CELL_BLOCK_SIZE);
            return NGX_ERROR;
        }

        *block = p;
    }

    return NGX_OK;
}


void
ngx_http_push_cell_append(uint32_t *first, ngx_http_push_conn_t *ws,
    size_t link)
{
    uint32_t               n;
    ngx_http_push_link_t  *own, *head;

    n = ngx_http_push_cell_number(ws);
    own = ngx_http_push_cell_link(n, link);

    if (*first == 0) {
        own->prev = n;
        own->next = n;
        *first = n;
        return;
    }

    head = ngx_http_push_cell_link(*first, link);

    own->prev = head->prev;
    own->next = *first;

    ngx_http_push_cell_link(head->prev, link)->next = n;
    head->prev = n;
}


void
ngx_http_push_cell_remove(uint32_t *first, ngx_http_push_conn_t *ws,
    size_t link)
{
    uint32_t               n;
    ngx_http_push_link_t  *own;

    n = ngx_http_push_cell_number(ws);
    own = ngx_http_push_cell_link(n, link);

    ngx_http_push_cell_link(own->prev, link)->next = own->next;
    ngx_http_push_cell_link(own->next, link)->prev = own->prev;

    if (*first == n) {
        *first = own->next == n ? 0 : own->next;
    }
}
