/*
 * base: the documents of the store, and how they came to be
 *
 *     op 1, 2, 3 ... commit ... last        each insert, cursor, head, delete
 *                      |          |         is an op with a number
 *                majority view  local view
 *
 * in:   operations on the primary.  out: what is seen at an op's number
 * owns: documents, cursors, heads, with all their versions
 *
 * A rollback takes back what has a higher number.  A store without replicas
 * has commit == last.
 */

#ifndef BASE_H
#define BASE_H

#include "sim.h"
#include "store.h"

#define BASE_NEVER  INT64_MAX

struct base_doc {
    struct base_doc *by_seq;        /* chains */
    struct base_doc *by_key;
    unsigned         log;
    int64_t          seq;
    struct push_str  key;
    struct push_str  data;
    uint8_t          hash[STORE_HASH_LEN];
    int64_t          ts_ms;
    int64_t          expires;
    int64_t          made;          /* op */
    int64_t          stubbed;       /* op, BASE_NEVER */
    int64_t          deleted;       /* op, BASE_NEVER */
};

enum base_result {
    BASE_OK,
    BASE_DUPLICATE_SEQ,             /* (log, seq) is there */
    BASE_DUPLICATE_KEY              /* (log, key) is there */
};

extern int64_t  base_last;
extern int64_t  base_commit;
extern char     base_epoch[17];

void base_init(void);

/* "user:u3" is 3, "all" is SIM_ALL. */
unsigned base_log(struct push_str log);

/* As the primary does it.  Of two collisions the first one is said. */
enum base_result base_insert(unsigned log, int64_t seq,
    const struct store_message *m);

/* What is visible at the number: NULL, 0: nothing. */
struct base_doc *base_by_seq(unsigned log, int64_t seq, int64_t view);
struct base_doc *base_by_key(unsigned log, struct push_str key, int64_t view);
int64_t base_tip(unsigned log, int64_t view);
int64_t base_head_tip(unsigned log, int64_t view);     /* the head's alone */
int64_t base_floor(unsigned log, int64_t view);
/* The lowest seq above `after` that is visible: for logs with holes. */
struct base_doc *base_next(unsigned log, int64_t after, int64_t view);

bool base_expired(const struct base_doc *d);

/* counter of the planted fault: the next number */
int64_t base_count(unsigned log);

/* false: seq is above the tip, nothing was done. */
bool base_cursor_put(const struct store_cursor *c);
void base_place(struct store_place *p, int64_t view);
/* Each acked cursor once: for the checker. */
void base_acks(void (*fn)(unsigned log, const char *uid, const char *device,
    int64_t seq));

/* GC: first the heads, then, when they are safe, the documents. */
void base_heads(void);
void base_collect(void);

void base_roll_back(int64_t to);

/* Rows of the store without replicas: ops. */
struct base_doc *base_row(int64_t after, int64_t *row);

#endif
