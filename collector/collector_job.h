/*
 * collector_job: a publish request under way
 *
 * For collector_append.c, which fills it, and collector_result.c, which makes
 * its answer.  An entry is one publish: the body, or one line of a batch.  Its
 * messages stand together, one a target.
 */

#ifndef COLLECTOR_JOB_H
#define COLLECTOR_JOB_H

#include "collector.h"
#include "collector_text.h"

struct http_server_request;

struct collector_entry {
    unsigned               status;      /* 0: its messages tell */
    bool                   users;
    size_t                 first;       /* in messages */
    size_t                 count;
    size_t                 detail;      /* of a fault: offset in details */
    size_t                 detail_len;
    char                   key[PUSH_KEY_MAX];
};

struct collector_job_log {
    char                   name[PUSH_LOG_MAX];
};

struct collector_job {
    struct collector_append    *append;
    struct http_server_request *request;    /* NULL: it has ended */
    bool                        batch;
    int64_t                     began_us;

    struct push_str             body;       /* a copy */
    const char                 *pos;        /* behind the last entry */
    unsigned                    line;
    bool                        over;       /* no more entries */
    bool                        declined;   /* the queue took nothing of it */

    /* the slice */
    struct store_append         store;
    struct collector_entry        *entries;
    struct store_message       *messages;
    struct collector_job_log          *logs;       /* one a message */
    struct collector_message   *committed;
    size_t                      size;       /* of each of these */
    size_t                      entry_count;
    size_t                      count;      /* messages */
    struct collector_text       details;

    struct collector_text       out;        /* of a batch */
};

#endif
