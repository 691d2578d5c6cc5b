/*
 * store_rule_log: the logs of store_append_rule
 */

#include "store_rule_log.h"

#include <stdlib.h>
#include <string.h>

#define LOG_IDLE_MAX  262144            /* logs that are remembered */

static struct store_rule_log *log_find(const struct store_rule_logs *logs,
    struct push_str name, uint32_t hash);
static void log_wake(struct store_rule_logs *logs, struct store_rule_log *log);
static void log_free(struct store_rule_logs *logs, struct store_rule_log *log);
static uint32_t log_hash(struct push_str name);


void
store_rule_logs_deinit(struct store_rule_logs *logs)
{
    size_t                  i;
    struct store_rule_log  *log, *next;

    for (i = 0; i < STORE_RULE_BUCKETS; i++) {
        for (log = logs->buckets[i]; log; log = next) {
            next = log->chain;
            free(log);
        }
    }
}


struct store_rule_log *
store_rule_log_get(struct store_rule_logs *logs, struct push_str name)
{
    uint32_t                 hash;
    struct store_rule_log   *log, **bucket;

    hash = log_hash(name);
    log = log_find(logs, name, hash);

    if (log) {
        if (log->idle) {
            log_wake(logs, log);
        }

        return log;
    }

    log = calloc(1, sizeof(*log) + name.len);

    if (log == NULL) {
        return NULL;
    }

    bucket = &logs->buckets[hash & (STORE_RULE_BUCKETS - 1)];
    log->hash = hash;
    log->end = &log->first;
    log->fresh = true;
    log->len = (uint8_t) name.len;
    memcpy(log->name, name.data, name.len);
    log->chain = *bucket;
    *bucket = log;

    return log;
}


void
store_rule_log_unget(struct store_rule_logs *logs, struct store_rule_log *log)
{
    if (log->fresh) {
        log->fresh = false;
        store_rule_log_idle(logs, log);
    }
}


const struct store_rule_log *
store_rule_log_find(const struct store_rule_logs *logs, struct push_str name)
{
    return log_find(logs, name, log_hash(name));
}


static struct store_rule_log *
log_find(const struct store_rule_logs *logs, struct push_str name,
    uint32_t hash)
{
    struct store_rule_log  *log;

    for (log = logs->buckets[hash & (STORE_RULE_BUCKETS - 1)]; log;
         log = log->chain)
    {
        if (log->hash == hash && log->len == name.len
            && memcmp(log->name, name.data, name.len) == 0)
        {
            return log;
        }
    }

    return NULL;
}


/* The one that was idle longest makes room. */
void
store_rule_log_idle(struct store_rule_logs *logs, struct store_rule_log *log)
{
    log->idle = true;
    log->next = NULL;
    log->before = logs->idle_last;

    if (log->before) {
        log->before->next = log;

    } else {
        logs->idle_first = log;
    }

    logs->idle_last = log;

    if (++logs->idle_count > LOG_IDLE_MAX) {
        log = logs->idle_first;
        log_wake(logs, log);
        log_free(logs, log);
    }
}


static void
log_wake(struct store_rule_logs *logs, struct store_rule_log *log)
{
    if (log->before) {
        log->before->next = log->next;

    } else {
        logs->idle_first = log->next;
    }

    if (log->next) {
        log->next->before = log->before;

    } else {
        logs->idle_last = log->before;
    }

    logs->idle_count--;
    log->idle = false;
    log->fresh = true;
}


static void
log_free(struct store_rule_logs *logs, struct store_rule_log *log)
{
    struct store_rule_log  **at;

    at = &logs->buckets[log->hash & (STORE_RULE_BUCKETS - 1)];

    while (*at != log) {
        at = &(*at)->chain;
    }

    *at = log->chain;
    free(log);
}


void
store_rule_log_know(struct store_rule_log *log, int64_t seq, int64_t known_ms)
{
    log->tip = seq;
    log->known_ms = known_ms;
    log->believed = true;
}


void
store_rule_log_forget(struct store_rule_log *log)
{
    log->believed = false;
    log->last = true;
}


/* FNV-1a */
static uint32_t
log_hash(struct push_str name)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261u;

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (uint8_t) name.data[i]) * 16777619u;
    }

    return hash ^ (hash >> 16);
}


void
store_rule_list_init(struct store_rule_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}


void
store_rule_list_add(struct store_rule_list *list, struct store_rule_log *log)
{
    log->next = NULL;
    *list->last = log;
    list->last = &log->next;
}


struct store_rule_log *
store_rule_list_take(struct store_rule_list *list)
{
    struct store_rule_log  *log;

    log = list->first;

    if (log) {
        list->first = log->next;

        if (list->first == NULL) {
            list->last = &list->first;
        }
    }

    return log;
}
