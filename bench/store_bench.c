/*
 * store_bench: durable messages a second through a store
 *
 *     store_bench URL SECONDS BATCH PRODUCERS [USERS [KEYS]]
 *     store_bench sqlite:/tmp/bench.db 5 100 8
 *     store_bench mongodb://127.0.0.1:7720/bench?replicaSet=push 5 100 8
 *
 * PRODUCERS appends of BATCH messages of 300 bytes are under way at a time, to
 * random users; KEYS of a hundred messages have a random key.  Prints
 * messages/s, CPU a message of the whole process, and an append's p50 and p99.
 * (bench/insert_bench.c is what MongoDB does without all this.)
 */

#include "store.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BENCH_DATA     300
#define BENCH_SAMPLES  1000000

struct bench;

struct producer {
    struct store_append    a;       /* first */
    struct bench          *bench;
    struct store_message  *messages;
    char                 (*logs)[PUSH_LOG_MAX];
    char                 (*keys)[PUSH_KEY_MAX];
    int64_t                began_us;
};

struct bench {
    struct store   *store;
    size_t          batch;
    uint64_t        users;
    unsigned        keys;           /* of 100 */
    uint64_t        seed;
    uint64_t        stored;
    uint64_t        failed;
    int64_t         until_us;
    size_t          under_way;
    uint32_t       *samples;        /* us */
    size_t          sample_count;
    char            data[BENCH_DATA];
};


static int64_t
now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static uint64_t
bench_random(struct bench *b)
{
    b->seed ^= b->seed << 13;
    b->seed ^= b->seed >> 7;
    b->seed ^= b->seed << 17;

    return b->seed;
}


static void
producer_start(struct producer *p)
{
    size_t                 i;
    struct bench          *b;
    struct store_message  *m;

    b = p->bench;

    for (i = 0; i < b->batch; i++) {
        m = &p->messages[i];
        memset(m, 0, sizeof(*m));

        m->log.data = p->logs[i];
        m->log.len = (size_t) snprintf(p->logs[i], PUSH_LOG_MAX, "user:u%llu",
                         (unsigned long long) (bench_random(b) % b->users));
        m->data.data = b->data;
        m->data.len = BENCH_DATA;
        m->ts_ms = 1700000000000;

        if (bench_random(b) % 100 < b->keys) {
            m->key.data = p->keys[i];
            m->key.len = (size_t) snprintf(p->keys[i], PUSH_KEY_MAX, "%016llx",
                             (unsigned long long) bench_random(b));
        }
    }

    p->a.messages = p->messages;
    p->a.count = b->batch;
    p->began_us = now_us();

    if (store_append(b->store, &p->a) != PUSH_OK) {
        fprintf(stderr, "store_bench: the queue is full\n");
        exit(1);
    }

    b->under_way++;
}


static void
producer_done(struct store_request *r)
{
    size_t            i;
    int64_t           now;
    struct bench     *b;
    struct producer  *p;

    p = (struct producer *) r;
    b = p->bench;
    now = now_us();
    b->under_way--;

    for (i = 0; i < b->batch; i++) {
        if (p->messages[i].outcome == STORE_STORED) {
            b->stored++;

        } else {
            b->failed++;
        }
    }

    if (b->sample_count < BENCH_SAMPLES) {
        b->samples[b->sample_count++] = (uint32_t) (now - p->began_us);
    }

    if (now < b->until_us) {
        producer_start(p);
    }
}


static int
sample_cmp(const void *a, const void *b)
{
    uint32_t  x, y;

    x = *(const uint32_t *) a;
    y = *(const uint32_t *) b;

    return x < y ? -1 : x > y;
}


int
main(int argc, char **argv)
{
    char               error[512];
    size_t             i, producers;
    double             seconds, cpu;
    int64_t            began;
    struct bench       b;
    struct pollfd      poll_fd;
    struct rusage      usage;
    struct producer   *p;
    struct store_conf  conf;

    if (argc < 5) {
        fprintf(stderr, "usage: store_bench URL SECONDS BATCH PRODUCERS "
                "[USERS [KEYS]]\n");
        return 2;
    }

    memset(&b, 0, sizeof(b));
    memset(&conf, 0, sizeof(conf));
    seconds = atof(argv[2]);
    b.batch = (size_t) strtoul(argv[3], NULL, 10);
    producers = (size_t) strtoul(argv[4], NULL, 10);
    b.users = argc > 5 ? strtoull(argv[5], NULL, 10) : 100000;
    b.keys = argc > 6 ? (unsigned) strtoul(argv[6], NULL, 10) : 0;
    b.seed = 88172645463325252;
    b.samples = calloc(BENCH_SAMPLES, sizeof(uint32_t));
    p = calloc(producers, sizeof(*p));

    if (b.batch == 0 || b.batch > STORE_APPEND_MAX || producers == 0
        || b.users == 0 || b.samples == NULL || p == NULL)
    {
        fprintf(stderr, "store_bench: BATCH is 1 to %d, PRODUCERS and USERS "
                "at least 1\n", STORE_APPEND_MAX);
        return 2;
    }

    memset(b.data, 'x', sizeof(b.data));
    b.data[0] = '"';
    b.data[BENCH_DATA - 1] = '"';

    conf.url = argv[1];
    conf.node = "bench";
    conf.queue_messages = b.batch * producers;
    conf.queue_bytes = SIZE_MAX / 2;

    if (store_open(&b.store, &conf, error, sizeof(error)) != PUSH_OK) {
        fprintf(stderr, "store_bench: %s\n", error);
        return 1;
    }

    began = now_us();
    b.until_us = began + (int64_t) (seconds * 1e6);

    for (i = 0; i < producers; i++) {
        p[i].bench = &b;
        p[i].a.r.done = producer_done;
        p[i].messages = calloc(b.batch, sizeof(struct store_message));
        p[i].logs = calloc(b.batch, PUSH_LOG_MAX);
        p[i].keys = calloc(b.batch, PUSH_KEY_MAX);

        if (!p[i].messages || !p[i].logs || !p[i].keys) {
            return 1;
        }

        producer_start(&p[i]);
    }

    while (b.under_way) {
        poll_fd.fd = store_fd(b.store);
        poll_fd.events = POLLIN;
        poll(&poll_fd, 1, 1000);
        store_run(b.store);
    }

    seconds = (double) (now_us() - began) / 1e6;
    getrusage(RUSAGE_SELF, &usage);
    cpu = (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
          + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    qsort(b.samples, b.sample_count, sizeof(uint32_t), sample_cmp);

    printf("%.0f msg/s, %.2f us CPU a message, append p50 %.2f ms p99 %.2f ms,"
           " %llu stored, %llu not\n", (double) b.stored / seconds,
           cpu / (double) (b.stored + b.failed),
           b.samples[b.sample_count / 2] / 1e3,
           b.samples[b.sample_count * 99 / 100] / 1e3,
           (unsigned long long) b.stored, (unsigned long long) b.failed);

    store_close(b.store);

    for (i = 0; i < producers; i++) {
        free(p[i].messages);
        free(p[i].logs);
        free(p[i].keys);
    }

    free(p);
    free(b.samples);

    return 0;
}
