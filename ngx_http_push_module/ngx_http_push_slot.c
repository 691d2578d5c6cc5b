/*
 * ngx_http_push_slot: the worker slots of a node, and their sockets
 *
 *     zone | slot 0: pid, generation, counters, socketpair | slot 1 | ...
 *
 * in:   workers that come and go; out: a slot each, sums over all of them
 * owns: the zone, the socketpairs
 *
 * A worker that is killed leaves its slot claimed.  Whoever takes its place
 * claims the same one, and reads what was queued meanwhile.
 */

#include "ngx_http_push_slot.h"
#include "ngx_http_push_latency.h"
#include "ngx_http_push_limit.h"

#include <sys/random.h>


#define NGX_HTTP_PUSH_SLOT_SNDBUF  (4 * 1024 * 1024)


/* The master's descriptors of a zone; closed with the last cycle of it. */
typedef struct {
    ngx_uint_t                  n;
    int                         fd[2 * NGX_HTTP_PUSH_SLOTS_MAX];
} ngx_http_push_slot_sockets_t;


static ngx_int_t ngx_http_push_slot_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_push_slot_pair(ngx_log_t *log, int *fd);
static void ngx_http_push_slot_close_sockets(void *data);
static void ngx_http_push_slot_free(ngx_http_push_zone_t *zone,
    ngx_http_push_slot_t *slot);
static ngx_atomic_uint_t ngx_http_push_slot_started(ngx_pid_t pid);


ngx_int_t
ngx_http_push_slot_add_zone(ngx_conf_t *cf, ngx_http_push_main_conf_t *conf)
{
    size_t     size;
    ngx_str_t  name = ngx_string("ngx_http_push");

    /* the slab pool's head and page table come on top of the blocks */

    size = offsetof(ngx_http_push_zone_t, slot)
           + conf->slots * sizeof(ngx_http_push_slot_t);

    if (conf->limits) {
        size = ngx_align(size, ngx_pagesize)
               + ngx_http_push_limit_size(conf->slots);
    }

    size = ngx_align(size, ngx_pagesize) + 8 * ngx_pagesize + size / 64;

    conf->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                           &ngx_http_push_module);
    if (conf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    conf->shm_zone->init = ngx_http_push_slot_init_zone;
    conf->shm_zone->data = conf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_push_slot_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t                  slots;
    ngx_slab_pool_t            *shpool;
    ngx_http_push_zone_t       *zone;
    ngx_http_push_main_conf_t  *conf;

    if (data) {
        shm_zone->data = data;      /* a reload: workers of both use it */
        return NGX_OK;
    }

    conf = shm_zone->data;
    slots = conf->slots;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    zone = ngx_slab_calloc(shpool, offsetof(ngx_http_push_zone_t, slot)
                                   + slots * sizeof(ngx_http_push_slot_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->slots = slots;

    if (getrandom(&zone->instance, sizeof(uint64_t), 0) != sizeof(uint64_t)) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, ngx_errno,
                      "push: getrandom() failed");
        return NGX_ERROR;
    }

    if (conf->limits
        && ngx_http_push_limit_init_zone(zone, shpool, shm_zone->shm.log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    shm_zone->data = zone;

    return NGX_OK;
}


ngx_int_t
ngx_http_push_slot_init_module(ngx_cycle_t *cycle,
    ngx_http_push_main_conf_t *conf)
{
    ngx_uint_t                      i;
    ngx_pool_cleanup_t             *cln;
    ngx_http_push_zone_t           *zone;
    ngx_http_push_slot_sockets_t  *sockets, *old;

    zone = conf->shm_zone->data;

    cln = ngx_pool_cleanup_add(cycle->pool,
                               sizeof(ngx_http_push_slot_sockets_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    sockets = cln->data;
    sockets->n = 0;
    cln->handler = ngx_http_push_slot_close_sockets;

    old = zone->sockets;

    if (old) {
        /* a reload: this cycle closes them, the old one does not */
        sockets->n = old->n;
        ngx_memcpy(sockets->fd, old->fd, old->n * sizeof(int));
        old->n = 0;
        zone->sockets = sockets;
        return NGX_OK;
    }

    for (i = 0; i < zone->slots; i++) {
        if (ngx_http_push_slot_pair(cycle->log, &sockets->fd[sockets->n])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        zone->slot[i].fd_tx = sockets->fd[sockets->n++];
        zone->slot[i].fd_rx = sockets->fd[sockets->n++];
    }

    zone->sockets = sockets;

    return NGX_OK;
}


static ngx_int_t
ngx_http_push_slot_pair(ngx_log_t *log, int *fd)
{
    int  size;

    if (socketpair(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, fd)
        == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "push: socketpair() failed");
        return NGX_ERROR;
    }

    size = NGX_HTTP_PUSH_SLOT_SNDBUF;

    /* FORCE is for root; else as much as net.core.wmem_max allows */

    if (setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(int))
        == -1)
    {
        (void) setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(int));
    }

    return NGX_OK;
}


static void
ngx_http_push_slot_close_sockets(void *data)
{
    ngx_uint_t                      i;
    ngx_http_push_slot_sockets_t  *sockets;

    sockets = data;

    for (i = 0; i < sockets->n; i++) {
        (void) close(sockets->fd[i]);
    }
}


/*
 * A slot whose process has gone, so that its queue has a reader again; else
 * the first that is free.
 */

ngx_int_t
ngx_http_push_slot_claim(ngx_http_push_worker_t *w)
{
    ngx_uint_t             i, n;
    ngx_slab_pool_t       *shpool;
    ngx_http_push_slot_t  *slot;
    ngx_http_push_zone_t  *zone;

    zone = w->conf->shm_zone->data;
    shpool = (ngx_slab_pool_t *) w->conf->shm_zone->shm.addr;

    w->zone = zone;
    w->instance = zone->instance;

    /* the master frees the mutex of a worker that dies in here */
    ngx_shmtx_lock(&shpool->mutex);

    n = zone->slots;

    for (i = 0; i < zone->slots; i++) {
        slot = &zone->slot[i];

        if (slot->pid == 0) {
            n = ngx_min(n, i);

        } else if (!ngx_http_push_slot_alive(slot)) {
            n = i;
            break;
        }
    }

    if (n < zone->slots) {
        slot = &zone->slot[n];

        ngx_http_push_slot_free(zone, slot);
        ngx_http_push_limit_clear(zone, n);

        slot->generation = (slot->generation + 1) & 0xffff;
        slot->worker = ngx_worker;
        slot->started = ngx_http_push_slot_started(ngx_pid);
        slot->pid = ngx_pid;
        slot->state = NGX_HTTP_PUSH_SLOT_RUN;

        w->slot = slot;
        w->slot_number = n;
        w->generation = slot->generation;
        w->counters = &slot->counters;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return w->slot ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_push_slot_close(ngx_http_push_worker_t *w)
{
    /* our pid keeps others from claiming it */

    w->slot->state = NGX_HTTP_PUSH_SLOT_FREE;
    ngx_memory_barrier();
}


void
ngx_http_push_slot_leave(ngx_http_push_worker_t *w)
{
    ngx_slab_pool_t  *shpool;

    if (w->slot == NULL) {
        return;
    }

    shpool = (ngx_slab_pool_t *) w->conf->shm_zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);
    ngx_http_push_slot_free(w->zone, w->slot);
    ngx_shmtx_unlock(&shpool->mutex);

    w->slot = NULL;
}


/* Under the mutex.  What was counted here stays counted. */

static void
ngx_http_push_slot_free(ngx_http_push_zone_t *zone,
    ngx_http_push_slot_t *slot)
{
    slot->state = NGX_HTTP_PUSH_SLOT_FREE;
    slot->pid = 0;

    ngx_http_push_slot_add(&zone->gone, &slot->counters);
    ngx_memzero(&slot->counters, sizeof(ngx_http_push_counters_t));
}


void
ngx_http_push_slot_add(ngx_http_push_counters_t *into,
    const ngx_http_push_counters_t *from)
{
#define X(name, help)  into->name += from->name;
    NGX_HTTP_PUSH_COUNTERS(X)
#undef X
#define X(name, code, text, counter)  into->counter += from->counter;
    PUSH_CLOSE_REASONS(X)
#undef X
#define X(name, seconds, help)                                                \
    ngx_http_push_latency_sum(&into->name, &from->name);
    NGX_HTTP_PUSH_TIMES(X)
#undef X
}


ngx_uint_t
ngx_http_push_slot_alive(ngx_http_push_slot_t *slot)
{
    ngx_pid_t          pid;
    ngx_atomic_uint_t  started;

    pid = (ngx_pid_t) slot->pid;

    if (pid == 0 || (kill(pid, 0) == -1 && ngx_errno == ESRCH)) {
        return 0;
    }

    /* the number may be another process by now */
    started = ngx_http_push_slot_started(pid);

    return started == 0 || slot->started == 0 || started == slot->started;
}


void
ngx_http_push_slot_sum(ngx_http_push_zone_t *zone,
    ngx_http_push_slot_sum_t *sum)
{
    ngx_uint_t             i;
    ngx_http_push_slot_t  *slot;

    ngx_memzero(sum, sizeof(ngx_http_push_slot_sum_t));

    for (i = 0; i < zone->slots; i++) {
        slot = &zone->slot[i];

        if (slot->state != NGX_HTTP_PUSH_SLOT_FREE
            && ngx_http_push_slot_alive(slot))
        {
            sum->workers++;
            sum->leaving += (slot->state == NGX_HTTP_PUSH_SLOT_DRAIN);
            sum->connections += slot->counters.connections;
        }
    }
}


/* Field 22 of /proc/PID/stat; 0: not to be had. */

static ngx_atomic_uint_t
ngx_http_push_slot_started(ngx_pid_t pid)
{
    int                 fd;
    u_char             *p, *last, name[sizeof("/proc//stat") + NGX_INT64_LEN];
    u_char              stat[1024];
    ssize_t             n;
    ngx_uint_t          field;
    ngx_atomic_uint_t   started;

    ngx_sprintf(name, "/proc/%P/stat%Z", pid);

    fd = open((char *) name, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, stat, sizeof(stat));
    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    last = stat + n;

    /* field 2 is the name in parentheses, and may hold any character */

    for (p = last; p > stat && p[-1] != ')'; p--) { /* void */ }

    for (field = 2; p < last && field < 22; p++) {
        if (*p == ' ') {
            field++;
        }
    }

    for (started = 0; p < last && *p >= '0' && *p <= '9'; p++) {
        started = started * 10 + (*p - '0');
    }

    return started;
}
