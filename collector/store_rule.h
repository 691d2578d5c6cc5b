/*
 * store_rule: what the files of store_append_rule share
 *
 *     store_append_rule.c  what waits, which documents go next
 *     store_rule_done.c    what became of them
 *     store_rule_log.c     the logs, and what is known of each
 *
 * owns: the requests and, by store_rule_log, the logs
 *
 * A log is in one place at a time: in a list of those that are ready for a
 * kind of step, in the list of those that pause, in a step, or idle.
 */

#ifndef STORE_RULE_H
#define STORE_RULE_H

#include "store_append_rule.h"
#include "store_rule_log.h"

#define STORE_RULE_KINDS    3           /* of enum store_step_kind */
#define STORE_RULE_SEQ_MAX  (PUSH_SEQ_MAX - STORE_STEP_MAX)

/* One message that waits. */
struct store_rule_node {
    struct store_rule_node    *next;
    struct store_rule_log     *log;
    struct store_message      *message;
    struct store_rule_request *request;
    unsigned                   tries;
};

/* An append and its messages; freed with its last outcome. */
struct store_rule_request {
    struct store_append    *append;
    size_t                  left;       /* messages without outcome */
    struct store_rule_node  nodes[];
};

/* In the order in which they were done. */
struct store_rule_finished {
    struct store_request  *first;
    struct store_request **last;
};

struct store_append_rule {
    uint64_t                   seed;    /* of the pauses */
    uint64_t                   turn;
    int64_t                    row;
    struct store_rule_list     ready[STORE_RULE_KINDS];
    struct store_rule_list     paused;
    struct store_rule_finished done;    /* of the call under way */
    struct store_rule_logs     logs;
};

/* To the list where it belongs.  It is in none. */
void store_rule_move(struct store_append_rule *rule,
    struct store_rule_log *log);

#endif
