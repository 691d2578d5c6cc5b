/*
 * insert_bench: durable documents a second by nothing but insertMany
 *
 *     insert_bench URL SECONDS BATCH THREADS [USERS]
 *
 * What store_bench is compared with: the same documents (_id {log, seq}, ts,
 * 300 bytes of data) in the same indexes with the same write concern, from
 * THREADS threads with BATCH documents a command; but the numbers are counted
 * here, nothing is asked, and no outcome is looked at.  Prints documents/s.
 */

#include <mongoc/mongoc.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_DATA   300
#define BENCH_BATCH  1000
#define BENCH_MS     1700000000000

struct worker {
    pthread_t              thread;
    mongoc_client_pool_t  *pool;
    const char            *database;
    int64_t                until_us;
    size_t                 batch;
    uint64_t               seed;
    uint64_t               users;
    int64_t                stored;
    int64_t               *tips;        /* shared: one thread a slice */
    bson_t                *documents;
    const bson_t         **pointers;
    bson_error_t           error;
};


static int64_t
now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
worker_document(struct worker *w, bson_t *to)
{
    char      log[32], data[BENCH_DATA];
    bson_t    id;
    uint64_t  user;

    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    user = w->seed % w->users;

    memset(data, 'x', sizeof(data));
    snprintf(log, sizeof(log), "user:u%llu", (unsigned long long) user);

    bson_reinit(to);
    bson_append_document_begin(to, "_id", -1, &id);
    bson_append_utf8(&id, "log", -1, log, -1);
    bson_append_int64(&id, "seq", -1,
                      __atomic_add_fetch(&w->tips[user], 1, __ATOMIC_RELAXED));
    bson_append_document_end(to, &id);
    bson_append_int64(to, "ts", -1, BENCH_MS);
    bson_append_utf8(to, "data", -1, data, sizeof(data));
}


static void *
worker_run(void *data)
{
    bool                     ok;
    size_t                   i;
    bson_t                   options;
    struct worker           *w;
    mongoc_client_t         *client;
    mongoc_collection_t     *messages;
    mongoc_write_concern_t  *concern;

    w = data;
    client = mongoc_client_pool_pop(w->pool);
    messages = mongoc_client_get_collection(client, w->database, "messages");
    concern = mongoc_write_concern_new();
    mongoc_write_concern_set_wmajority(concern, 5000);
    mongoc_write_concern_set_journal(concern, true);
    mongoc_collection_set_write_concern(messages, concern);

    bson_init(&options);
    bson_append_bool(&options, "ordered", -1, false);
    bson_append_bool(&options, "validate", -1, false);

    do {
        for (i = 0; i < w->batch; i++) {
            worker_document(w, &w->documents[i]);
        }

        ok = mongoc_collection_insert_many(messages, w->pointers, w->batch,
                                           &options, NULL, &w->error);
        w->stored += ok ? (int64_t) w->batch : 0;
    } while (ok && now_us() < w->until_us);

    bson_destroy(&options);
    mongoc_write_concern_destroy(concern);
    mongoc_collection_destroy(messages);
    mongoc_client_pool_push(w->pool, client);

    return NULL;
}


static int
bench_run(mongoc_uri_t *uri, double seconds, size_t batch, size_t threads,
    uint64_t users)
{
    size_t                 i, j;
    int64_t                began, stored, *tips;
    const char            *database;
    struct worker         *w;
    mongoc_client_pool_t  *pool;

    pool = mongoc_client_pool_new(uri);
    database = mongoc_uri_get_database(uri);
    tips = calloc(users, sizeof(int64_t));
    w = calloc(threads, sizeof(struct worker));

    if (pool == NULL || database == NULL || tips == NULL || w == NULL) {
        fprintf(stderr, "insert_bench: no database in the URL, or no memory\n");
        return 1;
    }

    began = now_us();

    for (i = 0; i < threads; i++) {
        w[i].pool = pool;
        w[i].database = database;
        w[i].until_us = began + (int64_t) (seconds * 1e6);
        w[i].batch = batch;
        w[i].seed = 88172645463325252u + i;
        w[i].users = users;
        w[i].tips = tips;
        w[i].documents = calloc(batch, sizeof(bson_t));
        w[i].pointers = calloc(batch, sizeof(bson_t *));

        for (j = 0; j < batch; j++) {
            bson_init(&w[i].documents[j]);
            w[i].pointers[j] = &w[i].documents[j];
        }

        pthread_create(&w[i].thread, NULL, worker_run, &w[i]);
    }

    stored = 0;

    for (i = 0; i < threads; i++) {
        pthread_join(w[i].thread, NULL);
        stored += w[i].stored;

        if (w[i].error.message[0]) {
            fprintf(stderr, "insert_bench: %s\n", w[i].error.message);
        }

        for (j = 0; j < batch; j++) {
            bson_destroy(&w[i].documents[j]);
        }

        free(w[i].documents);
        free(w[i].pointers);
    }

    printf("%.0f documents/s\n",
           (double) stored / ((double) (now_us() - began) / 1e6));

    free(w);
    free(tips);
    mongoc_client_pool_destroy(pool);

    return 0;
}


int
main(int argc, char **argv)
{
    int            rc;
    size_t         batch, threads;
    bson_error_t   error;
    mongoc_uri_t  *uri;

    if (argc < 5) {
        fprintf(stderr, "usage: insert_bench URL SECONDS BATCH THREADS "
                "[USERS]\n");
        return 2;
    }

    mongoc_init();
    uri = mongoc_uri_new_with_error(argv[1], &error);
    batch = (size_t) strtoul(argv[3], NULL, 10);
    threads = (size_t) strtoul(argv[4], NULL, 10);

    if (uri == NULL || batch == 0 || batch > BENCH_BATCH || threads == 0
        || threads > 64)
    {
        fprintf(stderr, "insert_bench: %s\n", uri ? "BATCH is 1 to 1000, "
                "THREADS 1 to 64" : error.message);
        return 2;
    }

    rc = bench_run(uri, atof(argv[2]), batch, threads,
                   argc > 5 ? strtoull(argv[5], NULL, 10) : 100000);
    mongoc_uri_destroy(uri);
    mongoc_cleanup();

    return rc;
}
