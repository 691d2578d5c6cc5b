/*
 * store_mongo_work: what the threads of store_mongo do
 *
 * in:   what store_mongo.c queues.  out: finished requests
 * owns: nothing: the state is store_mongo's
 *
 * A function that ends in _locked is called with the lock held.
 */

#ifndef STORE_MONGO_WORK_H
#define STORE_MONGO_WORK_H

#include "store_mongo.h"

#include <pthread.h>

#define MONGO_APPENDERS  3
#define MONGO_READERS    2
#define MONGO_THREADS    (MONGO_APPENDERS + MONGO_READERS + 1)
#define MONGO_TICK_MS    1000       /* the GC looks, or a probe */

struct mongo_queue {
    struct store_request  *first;
    struct store_request **last;
};

struct store_mongo;

struct mongo_thread {
    struct store_mongo      *s;
    struct store_mongo_conn  conn;
    pthread_t                thread;
    bool                     running;

    /* an appender's */
    struct store_mongo_append *append;
    struct store_step         *step;
};

struct store_mongo {
    struct store                store;      /* first */
    struct store_conf           conf;       /* its strings are not kept */
    struct store_mongo_db       db;
    int                         fd;         /* eventfd, -1 */
    struct mongo_thread         threads[MONGO_THREADS];
    struct store_mongo_collect *collect;    /* the writer's */
    int64_t                     tick_ms;    /* the writer's: next one */

    pthread_mutex_t             lock;       /* of all below */
    pthread_cond_t              append;
    pthread_cond_t              write;
    pthread_cond_t              read;
    struct store_append_rule   *rule;
    struct mongo_queue          writes;
    struct mongo_queue          reads;
    struct mongo_queue          finished;
    int64_t                     mark;       /* rows handed over */
    int64_t                     commit_ms;  /* the last one */
    size_t                      messages;   /* of appends, submit to finish */
    size_t                      bytes;
    size_t                      puts;       /* other writes, alike */
    size_t                      pending;    /* reads, alike */
    bool                        closing;
    struct store_health         health;
};

/* Threads' mains, data: the struct mongo_thread; they end with `closing`. */
void *mongo_work_append(void *data);
void *mongo_work_write(void *data);
void *mongo_work_read(void *data);

/* The request goes back to the loop. */
void mongo_work_finish_locked(struct store_mongo *s,
    struct store_request *r);

void mongo_queue_init(struct mongo_queue *q);
void mongo_queue_add(struct mongo_queue *q, struct store_request *r);

/* Monotonic. */
int64_t mongo_work_clock_ms(void);

#endif
