/*
 * sim: virtual time and chance
 *
 * in:   events.  out: their calls, by time and then by the order of arming
 * owns: the heap
 */

#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_CHUNK  (1024 * 1024)

struct sim_chunk {
    struct sim_chunk *next;
    size_t            size;
    size_t            used;
    _Alignas(16) char bytes[];
};

struct sim  sim;

static struct sim_chunk  *sim_chunks;
static struct sim_chunk  *sim_spare;

static void sim_up(size_t i);
static void sim_down(size_t i);
static bool sim_earlier(const struct sim_event *a, const struct sim_event *b);
static void sim_put(size_t i, struct sim_event *e);


uint64_t
sim_random64(void)
{
    uint64_t  z;

    z = sim.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);

    return z ^ (z >> 31);
}


uint32_t
sim_below(uint32_t n)
{
    return (uint32_t) ((sim_random64() >> 32) * n >> 32);
}


bool
sim_chance(unsigned per_mille)
{
    return sim_below(1000) < per_mille;
}


int64_t
sim_about(int64_t us)
{
    int64_t  t;

    t = us / 2 + sim_below((uint32_t) us + 1);

    return sim_chance(20) ? 10 * t : t;
}


bool
sim_fault(enum sim_fault fault)
{
    return sim.phase == PHASE_FAULTS && (sim.mix.faults >> fault & 1);
}


const char *
sim_fault_text(enum sim_fault fault)
{
    static const char *const texts[] = {
#define X(name, text)  text,
        SIM_FAULTS(X)
#undef X
    };

    return texts[fault];
}


void
sim_at(struct sim_event *e, int64_t at_us)
{
    size_t  place;

    e->at_us = at_us < sim.now_us ? sim.now_us : at_us;
    e->order = ++sim.order;

    if (e->place == 0) {
        sim.heap = sim_grow(sim.heap, &sim.size, sim.count + 2,
                            sizeof(*sim.heap));
        sim_put(++sim.count, e);
    }

    place = e->place;
    sim_up(place);
    sim_down(e->place);
}


void
sim_cancel(struct sim_event *e)
{
    size_t             i;
    struct sim_event  *last;

    i = e->place;

    if (i == 0) {
        return;
    }

    e->place = 0;
    last = sim.heap[sim.count--];

    if (last != e) {
        sim_put(i, last);
        sim_up(i);
        sim_down(last->place);
    }
}


void
sim_after(int64_t us, void (*fn)(void *data), void *data,
    struct sim_proc *proc)
{
    struct sim_event  *e;

    e = sim_alloc(sizeof(*e));
    e->fn = fn;
    e->data = data;
    e->proc = proc;

    sim_at(e, sim.now_us + us);
}


void
sim_run(int64_t until_us)
{
    struct sim_event  *e;

    while (sim.count > 0 && sim.phase != PHASE_OVER) {
        e = sim.heap[1];

        if (e->at_us > until_us) {
            break;
        }

        sim.now_us = e->at_us;

        if (e->proc != NULL && e->proc->thaw_us > sim.now_us) {
            sim_at(e, e->proc->thaw_us);
            continue;
        }

        sim_cancel(e);
        sim.events++;
        e->fn(e->data);
    }

    if (sim.now_us < until_us) {
        sim.now_us = until_us;
    }
}


int64_t
sim_unix_ms(void)
{
    return sim.base_ms + sim.now_us / 1000;
}


uint32_t
sim_ms32(void)
{
    return (uint32_t) sim_unix_ms();
}


void
sim_tracef(const char *format, ...)
{
    va_list  args;

    printf("%10.3f  ", (double) sim.now_us / 1e6);

    va_start(args, format);
    vprintf(format, args);
    va_end(args);

    putchar('\n');
}


void *
sim_alloc(size_t size)
{
    void              *p;
    struct sim_chunk  *c;

    size = (size + 15) & ~(size_t) 15;

    if (sim_chunks == NULL || size > sim_chunks->size - sim_chunks->used) {
        c = sim_spare;

        if (c != NULL && size <= c->size) {
            sim_spare = c->next;

        } else {
            c = malloc(sizeof(*c) + (size > SIM_CHUNK ? size : SIM_CHUNK));

            if (c == NULL) {
                fprintf(stderr, "sim: out of memory\n");
                exit(2);
            }

            c->size = size > SIM_CHUNK ? size : SIM_CHUNK;
        }

        c->used = 0;
        c->next = sim_chunks;
        sim_chunks = c;
    }

    p = sim_chunks->bytes + sim_chunks->used;
    sim_chunks->used += size;

    return memset(p, 0, size);
}


void *
sim_grow(void *p, size_t *size, size_t count, size_t item)
{
    void    *more;
    size_t   n;

    if (count <= *size) {
        return p;
    }

    for (n = *size == 0 ? 16 : *size; n < count; n *= 2) {
        /* void */
    }

    more = sim_alloc(n * item);

    if (*size > 0) {
        memcpy(more, p, *size * item);
    }

    *size = n;

    return more;
}


char *
sim_copy(const char *data, size_t len)
{
    char  *p;

    p = sim_alloc(len + 1);

    if (len > 0) {
        memcpy(p, data, len);
    }

    return p;
}


/* Chunks are kept for the next run. */
void
sim_forget(void)
{
    struct sim_chunk  *c;

    while ((c = sim_chunks) != NULL) {
        sim_chunks = c->next;
        c->next = sim_spare;
        sim_spare = c;
    }

    sim.heap = NULL;
    sim.size = 0;
    sim.count = 0;
}


static void
sim_up(size_t i)
{
    struct sim_event  *e = sim.heap[i];

    while (i > 1 && sim_earlier(e, sim.heap[i / 2])) {
        sim_put(i, sim.heap[i / 2]);
        i /= 2;
    }

    sim_put(i, e);
}


static void
sim_down(size_t i)
{
    size_t             child;
    struct sim_event  *e = sim.heap[i];

    while ((child = 2 * i) <= sim.count) {

        if (child < sim.count
            && sim_earlier(sim.heap[child + 1], sim.heap[child]))
        {
            child++;
        }

        if (!sim_earlier(sim.heap[child], e)) {
            break;
        }

        sim_put(i, sim.heap[child]);
        i = child;
    }

    sim_put(i, e);
}


static bool
sim_earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}


static void
sim_put(size_t i, struct sim_event *e)
{
    sim.heap[i] = e;
    e->place = i;
}
