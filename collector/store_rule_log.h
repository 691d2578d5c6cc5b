/*
 * store_rule_log: the logs of store_append_rule
 *
 *     ready, paused, in a step --nothing waits--> idle --too many--> gone
 *               ^                                  |
 *               +-------------- get ---------------+
 *
 * in:   names of logs.  out: what is known of each
 * owns: the logs, each in one place at a time; the idle ones are remembered for
 *       their tips, as many as there is room for
 *
 * Pure, and for the files of store_append_rule alone (store_rule.h).
 */

#ifndef STORE_RULE_LOG_H
#define STORE_RULE_LOG_H

#include "push.h"

#define STORE_RULE_BUCKETS  131072      /* a power of 2 */

struct store_rule_node;

struct store_rule_log {
    struct store_rule_log   *chain;     /* of its bucket */
    struct store_rule_log   *next;      /* of its list */
    struct store_rule_log   *before;    /* of the idle */
    struct store_rule_node  *first;     /* waiting, in order */
    struct store_rule_node **end;
    size_t                   waiting;
    uint64_t                 turn;      /* when it became ready */
    int64_t                  tip;       /* committed, whether believed or not */
    int64_t                  known_ms;  /* since when */
    int64_t                  pause_ms;  /* until then */
    uint32_t                 hash;
    bool                     believed;  /* tip: an insert may follow it */
    bool                     last;      /* the last message has to be read */
    bool                     key;       /* the first has met its key */
    bool                     idle;
    bool                     fresh;     /* in no list: nothing waits yet */
    uint8_t                  len;
    char                     name[];
};

/* Zeroed at first. */
struct store_rule_logs {
    struct store_rule_log *idle_first;  /* the longest */
    struct store_rule_log *idle_last;
    size_t                 idle_count;
    struct store_rule_log *buckets[STORE_RULE_BUCKETS];
};

void store_rule_logs_deinit(struct store_rule_logs *logs);

/*
 * The log, which is not idle any more; `fresh`, if it is in no list yet.
 * NULL: out of memory.
 */
struct store_rule_log *store_rule_log_get(struct store_rule_logs *logs,
    struct push_str name);

/* Nothing came into it after all. */
void store_rule_log_unget(struct store_rule_logs *logs,
    struct store_rule_log *log);

/* The log if it is known; it stays where it is. */
const struct store_rule_log *store_rule_log_find(
    const struct store_rule_logs *logs, struct push_str name);

/* Nothing waits: only its tip is remembered, if there is room. */
void store_rule_log_idle(struct store_rule_logs *logs,
    struct store_rule_log *log);

/* seq is a tip since known_ms; it is not to be believed any more. */
void store_rule_log_know(struct store_rule_log *log, int64_t seq,
    int64_t known_ms);
void store_rule_log_forget(struct store_rule_log *log);

/* In order of coming. */
struct store_rule_list {
    struct store_rule_log  *first;
    struct store_rule_log **last;
};

void store_rule_list_init(struct store_rule_list *list);
void store_rule_list_add(struct store_rule_list *list,
    struct store_rule_log *log);
struct store_rule_log *store_rule_list_take(struct store_rule_list *list);

#endif
