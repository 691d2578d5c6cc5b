/*
 * store_append_rule: compare-and-append (docs/rules.md 7), pure
 *
 *     append --add--> | log a: m1 m2 m3 | --next--> step: TIPS, INSERT, KEYS
 *                     | log b: m4       |                 |  carried out by
 *     finished <----- | outcomes, tips  | <---done--------+  the caller
 *
 * in:   appends, results of steps, the time
 * out:  steps: which documents go next; appends that have all their outcomes
 * owns: what waits, by log, and what is known of tips
 *
 * Knows no store, no clock, no thread: the store's workers and the simulator
 * link it.  The caller serialises the calls; any number of steps may be out
 * at a time, because a log is in one step only: its next message goes out
 * when the one before is known to be committed by a majority (R1).
 *
 *     tip unknown, or known for more than 30 s (R6) --TIPS--> tip
 *     INSERT (log, tip + 1)   DONE        STORED, tip + 1
 *                             SEQ_TAKEN   read the tip, again; then pauses
 *                             KEY_TAKEN   KEYS: the first copy
 *                             UNKNOWN     UNKNOWN, read the tip (R2)
 *     KEYS (log, key)         DONE        DUPLICATE or CONFLICT (R3)
 *                             MISSING     again after a pause
 *
 * A tip is a number n that is committed, and nothing above n was ever deleted.
 * It need not be the highest: if n + 1 is there, it cannot be inserted.  So
 * what was once committed and the log's head make a tip; the last message is
 * looked for when n + 1 was taken, or an outcome is unknown.  This holds for
 * STORE_TIP_MS if the collection of garbage waits longer than that between
 * writing a head and deleting what it covers.
 *
 * A log with STORE_RULE_HOT messages waiting gets a step of its own: many
 * documents, n + 1, n + 2, ..., inserted in order, which stops at the first
 * that fails.  n + 2 is then written after n + 1 by one server: if n + 2
 * survives, n + 1 does, so there is no hole; and nothing is told before a
 * majority has all of them.
 */

#ifndef STORE_APPEND_RULE_H
#define STORE_APPEND_RULE_H

#include "store.h"

#define STORE_STEP_MAX    1000              /* documents of a step */
#define STORE_STEP_BYTES  (4 * 1024 * 1024) /* of data, one fits always */
#define STORE_RULE_HOT    16
#define STORE_TIP_MS      30000             /* a tip is believed */
#define STORE_TRIES       8                 /* of one message */

enum store_step_kind {
    STORE_STEP_TIPS,            /* find a tip of each log: the largest of seq,
                                   the last message (if asked for, and read
                                   first), and the head's tip */
    STORE_STEP_KEYS,            /* read the message with each (log, key) */
    STORE_STEP_INSERT           /* insert each (log, seq); w: majority */
};                              /* reads see what a majority has, no more */

/* What became of an item.  What is not said is not known. */
enum store_step_result {
    STORE_STEP_UNKNOWN = 0,
    STORE_STEP_DONE,            /* TIPS: seq is a tip, 0: no message.
                                   KEYS: seq, ts_ms, expires, hash are the
                                   first copy's.  INSERT: a majority has it */
    STORE_STEP_MISSING,         /* KEYS: not there, or no majority has it */
    STORE_STEP_SEQ_TAKEN,       /* INSERT: another one has (log, seq) */
    STORE_STEP_KEY_TAKEN,       /* INSERT: another one has (log, key) */
    STORE_STEP_REFUSED,         /* INSERT: certainly not stored, text */
    STORE_STEP_NOT_TRIED        /* INSERT, ordered: behind one that failed */
};

struct store_rule_log;
struct store_rule_node;

struct store_step_item {
    struct push_str             log;        /* valid until done */
    const struct store_message *message;    /* KEYS, INSERT: borrowed */
    int64_t                     seq;        /* INSERT: to insert; TIPS: known
                                               to be committed */
    bool                        last;       /* TIPS: read the last message */

    /* the caller's answer */
    enum store_step_result      result;
    const char                 *text;       /* static, of REFUSED */
    int64_t                     ts_ms;
    int64_t                     expires;
    uint8_t                     hash[STORE_HASH_LEN];

    /* the rule's */
    struct store_rule_log      *rule_log;
    struct store_rule_node     *node;
};

struct store_step {
    enum store_step_kind   kind;
    bool                   ordered;     /* INSERT: one log, in this order, stop
                                           at the first that fails; else each
                                           item is of another log, and all are
                                           tried */
    int64_t                taken_ms;
    char                   error[STORE_ERROR_SIZE];     /* of UNKNOWN */
    size_t                 count;
    struct store_step_item items[STORE_STEP_MAX];
};

struct store_append_rule;

/* seed: of the pauses.  NULL: out of memory. */
struct store_append_rule *store_append_rule_create(uint64_t seed);

/* Nothing may wait and no step be out. */
void store_append_rule_destroy(struct store_append_rule *rule);

/*
 * Takes an append whose messages are as store_append() wants them; it and all
 * that it borrows stay until the rule gives it back.  PUSH_OK, or PUSH_ERROR:
 * out of memory, nothing was taken.
 */
int store_append_rule_add(struct store_append_rule *rule,
    struct store_append *a);

/*
 * The next step, if there is one now.  now_ms: any clock that never goes back,
 * the same in all calls.  A step must come back by done().
 */
bool store_append_rule_next(struct store_append_rule *rule, int64_t now_ms,
    struct store_step *step);

/* ms until next() has a step although nothing is added; -1: not by itself. */
int64_t store_append_rule_wait(const struct store_append_rule *rule,
    int64_t now_ms);

/*
 * The step was carried out: its items have their results.  Appends that have
 * all their outcomes now, linked by r.next, with result, error and rows; they
 * are the caller's again.  NULL: none.
 */
struct store_request *store_append_rule_done(struct store_append_rule *rule,
    const struct store_step *step, int64_t now_ms);

/*
 * The store cannot be reached: what waits and is in no step is REFUSED (it
 * would meet the same fault, after waiting as long).  text is copied.  As
 * done().
 */
struct store_request *store_append_rule_fail(struct store_append_rule *rule,
    const char *text);

/*
 * The highest seq of the log that is known to be committed, however long ago:
 * the tip is at least that.  0: nothing is known.
 */
int64_t store_append_rule_tip(const struct store_append_rule *rule,
    struct push_str log);

/*
 * Highest row given: rows count the messages stored by this process, above
 * STORE_ROW_ALL.
 */
int64_t store_append_rule_row(const struct store_append_rule *rule);

#endif
