/*
 * ngx_http_push_latency: how long things take inside the edge
 *
 *     deliver, inbox --begin--> item --written--> flush --flushed--> histogram
 *
 * in:   moments of the monotonic clock, which all workers of a node share
 * out:  histograms in the worker's slot, summed and shown by status.c
 * owns: the moments of bodies whose messages are not written yet
 */

#include "ngx_http_push_latency.h"


/* ten a decade, from 10 us to 8 s */
#define NGX_HTTP_PUSH_LATENCY_STEPS  10


static const uint32_t  ngx_http_push_latency_steps[] = {
    10, 13, 16, 20, 25, 32, 40, 50, 63, 80
};


uint32_t
ngx_http_push_latency_bound(ngx_uint_t i)
{
    uint32_t  bound;

    bound = ngx_http_push_latency_steps[i % NGX_HTTP_PUSH_LATENCY_STEPS];

    for (i /= NGX_HTTP_PUSH_LATENCY_STEPS; i; i--) {
        bound *= 10;
    }

    return bound;
}


ngx_uint_t
ngx_http_push_latency_round(ngx_uint_t i)
{
    switch (ngx_http_push_latency_steps[i % NGX_HTTP_PUSH_LATENCY_STEPS]) {

    case 10:
    case 20:
    case 50:
        return 1;

    default:
        return 0;
    }
}


void
ngx_http_push_latency_add(ngx_http_push_time_t *t, uint64_t us, ngx_uint_t n)
{
    uint64_t    scale;
    ngx_uint_t  i;

    i = 0;
    scale = 1;

    while (i < NGX_HTTP_PUSH_TIME_BUCKETS - 1 && us > 80 * scale) {
        i += NGX_HTTP_PUSH_LATENCY_STEPS;
        scale *= 10;
    }

    while (i < NGX_HTTP_PUSH_TIME_BUCKETS - 1
           && us > scale * ngx_http_push_latency_steps
                               [i % NGX_HTTP_PUSH_LATENCY_STEPS])
    {
        i++;
    }

    t->buckets[i] += n;
    t->sum += us * n;
    t->max = ngx_max(t->max, us);
}


void
ngx_http_push_latency_sum(ngx_http_push_time_t *into,
    const ngx_http_push_time_t *from)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_PUSH_TIME_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }

    into->sum += from->sum;
    into->max = ngx_max(into->max, from->max);
}


ngx_uint_t
ngx_http_push_latency_quantile(const ngx_http_push_time_t *t,
    ngx_uint_t permille)
{
    uint64_t    count, seen;
    ngx_uint_t  i;

    count = 0;

    for (i = 0; i < NGX_HTTP_PUSH_TIME_BUCKETS; i++) {
        count += t->buckets[i];
    }

    if (count == 0) {
        return 0;
    }

    seen = 0;

    for (i = 0; i < NGX_HTTP_PUSH_TIME_BUCKETS - 1; i++) {
        seen += t->buckets[i];

        if (seen * 1000 >= count * permille) {
            return ngx_min(ngx_http_push_latency_bound(i), t->max);
        }
    }

    return t->max;
}


/* --- from an item to its write ------------------------------------------- */

uint64_t
ngx_http_push_latency_now(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}


void
ngx_http_push_latency_begin(uint64_t at_us)
{
    ngx_http_push_moments_t  *m;

    m = &ngx_http_push_worker->moments;

    /* when all places are taken, the last keeps its own, earlier one */

    if (m->moment[m->n].messages == 0) {
        m->moment[m->n].at_us = at_us;

    } else if (m->n < NGX_HTTP_PUSH_MOMENTS - 1) {
        m->n++;
        m->moment[m->n].at_us = at_us;
    }
}


void
ngx_http_push_latency_written(ngx_uint_t n)
{
    ngx_http_push_moments_t  *m;

    m = &ngx_http_push_worker->moments;

    m->moment[m->n].messages += n;
}


void
ngx_http_push_latency_flushed(void)
{
    uint64_t                  now;
    ngx_uint_t                i;
    ngx_http_push_time_t     *t;
    ngx_http_push_worker_t   *w;
    ngx_http_push_moments_t  *m;

    w = ngx_http_push_worker;
    m = &w->moments;

    if (m->moment[0].messages == 0) {
        return;
    }

    t = &w->counters->unicast_us;
    now = ngx_http_push_latency_now();

    for (i = 0; i <= m->n && m->moment[i].messages; i++) {

        /* a moment of another worker: believed, but never in the future */

        ngx_http_push_latency_add(t, now > m->moment[i].at_us
                                     ? now - m->moment[i].at_us : 0,
                                  m->moment[i].messages);
        m->moment[i].messages = 0;
    }

    m->n = 0;
}
