/*
 * store: what a backend promises, call by call
 *
 *     loop --store_append, store_read, ...--> backend's threads
 *     loop <--store_run: r->done(r)---------- r with its results
 *
 * The store holds the truth: logs of messages, dense from 1 in each log, and
 * cursors.  One contract test (t/unit/test_store.c) runs the same cases on
 * every backend.
 *
 * Asynchronous.  A request is a structure of the caller's.  Submitting it
 * says PUSH_OK: `done` is called exactly once, on the thread that calls
 * store_run() or store_close(), and never from inside the submitting call;
 * until then the request and all that it borrows stay untouched.  Or it says
 * PUSH_DECLINED: the queue is full, nothing was taken, `done` is not called.
 * In `done` the caller may submit again, the same request too.
 *
 * Messages of one log are committed in the order in which they were submitted;
 * every write is durable when `done` says so.  A read sees every write whose
 * `done` was called before the read was submitted, and nothing that may still
 * be rolled back (R4).
 *
 * Times: ts is in Unix ms, expires in Unix s, 0: never.  A message is expired
 * when now >= expires, by the store's clock.
 */

#ifndef STORE_H
#define STORE_H

#include "push.h"

#define STORE_APPEND_MAX    1000        /* messages of one append */
#define STORE_CURSORS_MAX   1000        /* cursors of one put or get */
#define STORE_READ_MAX      1000        /* items of one page */
#define STORE_DEVICES_MAX   32          /* cursors of one (log, uid) */
#define STORE_ACKED_MAX     1000        /* names that store_get lists */
#define STORE_ERROR_SIZE    160
#define STORE_YOUNG_S       3600        /* the GC takes nothing younger, R6 */
#define STORE_KEY_S         86400       /* a key is remembered at least */

struct store;
struct store_request;

struct store_conf {
    const char *url;            /* "sqlite:/path/push.db", or
                                   "mongodb://host,host/push?replicaSet=x" */
    const char *node;           /* this collector's name */
    size_t      queue_messages; /* waiting, beyond that: PUSH_DECLINED */
    size_t      queue_bytes;

    /* Unix ms; called on any thread; NULL: the system's clock. */
    int64_t   (*now_ms)(void *data);
    void       *now_data;
    bool        gc_by_hand;     /* only store_gc() collects: for tests */
};

/* How the caller finds what it may not have handed over before it died. */
enum store_repair {
    STORE_REPAIR_NONE,          /* closed cleanly, or new */
    STORE_REPAIR_ROWS,          /* store_tail() from info.mark tells it */
    STORE_REPAIR_ALL            /* not known: owe `resync *`, and mark the row
                                   STORE_ROW_ALL when it is paid */
};

#define STORE_ROW_ALL  1

/* Fixed from open to close. */
struct store_info {
    char              epoch[PUSH_EPOCH_MAX + 1];  /* 16 hex digits, random */
    enum store_repair repair;
    int64_t           mark;     /* last mark written before this open */
};

/*
 * Blocks: at start only.  Creates what is missing (the epoch too), checks
 * what is there.  PUSH_OK and *store, or PUSH_ERROR and a text that names the
 * file and the fault.
 */
int store_open(struct store **store, const struct store_conf *conf,
    char *error, size_t size);

/*
 * Carries out what is queued, calls every `done`, ends the threads.  Blocks as
 * long as the commits take.  New requests in a `done` are declined.
 */
void store_close(struct store *store);

const struct store_info *store_info(const struct store *store);

/* Readable when store_run() has something to do; owned by the store. */
int store_fd(const struct store *store);
void store_run(struct store *store);

/* Which request it is: set by the calls below. */
enum store_call {
    STORE_APPEND,
    STORE_CURSORS_PUT,
    STORE_MARK_PUT,
    STORE_GC,
    STORE_READ,
    STORE_TAIL,
    STORE_GET,
    STORE_CURSORS_GET,
    STORE_CALL_COUNT
};

enum store_result {
    STORE_OK,
    STORE_UNAVAILABLE           /* error says why.  Reads: nothing was read.
                                   Writes: the outcome is unknown, or see each
                                   message */
};

/* The head of every request.  Zero it, set done and data. */
struct store_request {
    void (*done)(struct store_request *r);
    void                 *data;     /* the caller's */
    enum store_result     result;
    char                  error[STORE_ERROR_SIZE];      /* of UNAVAILABLE */

    /* the store's */
    enum store_call       call;
    struct store_request *next;
    void                 *memory;   /* of results: store_release() */
};

/* Frees the results of a read; the caller calls it once done was called. */
void store_release(struct store_request *r);

/*
 * Append: compare-and-append.  Every message has its own outcome; those of one
 * log are appended in the order of the array.
 */
enum store_outcome {
    STORE_UNKNOWN,              /* may or may not be stored: repeat with the
                                   same key.  text says why */
    STORE_REFUSED,              /* certainly not stored.  text says why */
    STORE_STORED,               /* committed: seq, row */
    STORE_DUPLICATE,            /* (log, key) is there and committed, with the
                                   same hash: seq, ts_ms, expires are the first
                                   copy's */
    STORE_CONFLICT              /* (log, key) is there with another hash: seq */
};

#define STORE_HASH_LEN  32      /* SHA-256 of the text of data */

struct store_message {
    struct push_str    log;     /* full name */
    struct push_str    key;     /* empty: none */
    struct push_str    data;    /* borrowed as the rest; neighbours that share
                                   it are counted once in queue_bytes */
    uint8_t            hash[STORE_HASH_LEN];    /* unused without a key */
    int64_t            ts_ms;
    int64_t            expires;

    /* results */
    enum store_outcome outcome;
    int64_t            seq;
    int64_t            row;     /* for mark_put: grows in the order in which
                                   appends are done */
    const char        *text;    /* static, or in the request's error */
};

struct store_append {
    struct store_request  r;
    struct store_message *messages;
    size_t                count;    /* 1 to STORE_APPEND_MAX */

    /* the store's */
    size_t                committed;    /* how far it is */
    size_t                bytes;        /* in queue_bytes */
};

int store_append(struct store *store, struct store_append *a);

/*
 * Cursors.  A row of (log, uid, device) has where the device started and the
 * highest ack.  Its cursor is the larger of the two; only acks count as acks.
 */
struct store_cursor {
    struct push_str log;
    struct push_str uid;
    struct push_str device;     /* "-" is one cursor of the user's */
    int64_t         seq;
    bool            start;      /* put: where it starts, if the row is not
                                   there yet; else an ack: keeps the maximum */

    /* result of put: seq is above the log's tip, nothing was written */
    bool            above;
};

/*
 * All of them in one commit.  A (log, uid) that has STORE_DEVICES_MAX devices
 * loses the one that was written longest ago to a new one.
 */
struct store_cursors_put {
    struct store_request r;
    struct store_cursor *cursors;
    size_t               count;     /* 1 to STORE_CURSORS_MAX */
};

int store_cursors_put(struct store *store, struct store_cursors_put *p);

/* What is known of a device's place in a log. */
struct store_place {
    struct push_str log;
    struct push_str uid;
    struct push_str device;

    /* results */
    int64_t         cursor;     /* of the device, -1: never seen */
    int64_t         acked;      /* highest ack of any device of uid in this
                                   log, -1: none */
    int64_t         floor;      /* of the log; highest seq that is gone */
    int64_t         tip;        /* of the log, 0: empty */
};

struct store_cursors_get {
    struct store_request r;
    struct store_place  *places;
    size_t               count;     /* 1 to STORE_CURSORS_MAX */
    bool                 certain;   /* tips are not below what anybody was told
                                       before the call: a primary that is none
                                       any more must not answer */
};

int store_cursors_get(struct store *store, struct store_cursors_get *g);

/* One step of a page: a message, or a range that is gone. */
struct store_item {
    struct push_str log;        /* in tail only: full name */
    int64_t         seq;        /* the message's; of a range its first */
    int64_t         to;         /* the range's last; of a message: seq */
    const char     *why;        /* NULL: a message; else "expired" */
    int64_t         ts_ms;
    int64_t         expires;
    struct push_str data;
    int64_t         row;        /* in tail only */
};

#define STORE_AFTER_FLOOR  (-1)     /* begin behind what is gone */
#define STORE_AFTER_TIP    (-2)     /* begin with what comes from now on */

/*
 * A page of one log.  The items cover each seq from after + 1 to `last` once,
 * in order; last == tip if the page reaches the end.  At most max items, and
 * at most max_bytes of data, but at least one item if anything is there.
 * after > tip (another history): no items, last == after.
 */
struct store_read {
    struct store_request r;
    struct push_str      log;
    int64_t              after;     /* FLOOR, TIP: the result is what it was */
    size_t               max;       /* 1 to STORE_READ_MAX */
    size_t               max_bytes;

    /* results: valid until store_release() */
    struct store_item   *items;
    size_t               count;
    int64_t              last;
    int64_t              floor;
    int64_t              tip;
};

int store_read(struct store *store, struct store_read *r);

/*
 * Committed messages of all logs above a row, in the order of commits: what
 * was perhaps not handed over.  Expired ones are left out.  No items and
 * last == after: the end.  A store whose rows are this process's alone never
 * has STORE_REPAIR_ROWS and answers with no items.
 */
struct store_tail {
    struct store_request r;
    int64_t              after;     /* row */
    int64_t              until;     /* row; 0: to the end */
    size_t               max;       /* 1 to STORE_READ_MAX */
    size_t               max_bytes; /* at least one item comes */

    /* results: valid until store_release() */
    struct store_item   *items;
    size_t               count;
    int64_t              last;      /* row that was looked at last */
};

int store_tail(struct store *store, struct store_tail *t);

/*
 * One message and who has acked it.  State without data: a message that is
 * gone may have lost its ts.
 */
enum store_state {
    STORE_NEVER,                /* no such seq in this log */
    STORE_THERE,
    STORE_EXPIRED               /* ts_ms and expires may be 0: not known */
};

struct store_device {
    struct push_str uid;
    struct push_str device;
};

struct store_get {
    struct store_request r;
    struct push_str      log;
    int64_t              seq;

    /* results: valid until store_release() */
    enum store_state     state;
    int64_t              ts_ms;
    int64_t              expires;
    struct store_device *acked;     /* at most STORE_ACKED_MAX */
    size_t               acked_listed;
    int64_t              acked_count;   /* of all */
};

int store_get(struct store *store, struct store_get *g);

/*
 * All rows up to this one have been handed over.  A mark below the last one
 * changes nothing.  After an open it is info.mark.  A store that is closed
 * with its last row marked has nothing to repair at the next open.
 */
struct store_mark_put {
    struct store_request r;
    int64_t              row;
};

int store_mark_put(struct store *store, struct store_mark_put *m);

/*
 * Collects all that is expired now, in small slices between other writes; the
 * store does so by itself now and then.  Bodies go, keys stay as stubs for
 * STORE_KEY_S, nothing younger than STORE_YOUNG_S is touched, the log's floor
 * and tip are written before anything is deleted (R5, R6).
 */
struct store_gc {
    struct store_request r;
    int64_t              stubbed;   /* results */
    int64_t              deleted;
};

int store_gc(struct store *store, struct store_gc *g);

/* For /readyz, /metrics: at any time, never blocks. */
struct store_health {
    bool     ready;             /* the last write was committed */
    char     text[STORE_ERROR_SIZE];    /* why not */
    size_t   queue_messages;    /* waiting */
    size_t   queue_bytes;
    uint64_t commits;
    uint64_t commits_failed;
    uint64_t commit_us;         /* sum */
    uint64_t stored;            /* messages */
    uint64_t duplicates;
    uint64_t reads;
    uint64_t collected;         /* bodies by the GC */
    uint64_t wal_bytes;         /* what waits for a checkpoint, or 0 */
};

void store_health(struct store *store, struct store_health *health);

/*
 * For backends: struct store is the head of theirs.  One more backend is one
 * row in store.c.
 */
struct store_backend {
    const char *scheme;         /* "sqlite:" */
    int       (*open)(struct store **store, const struct store_conf *conf,
                      char *error, size_t size);
    void      (*close)(struct store *store);
    int       (*fd)(const struct store *store);
    void      (*run)(struct store *store);
    int       (*submit)(struct store *store, struct store_request *r);
    void      (*health)(struct store *store, struct store_health *health);
};

struct store {
    const struct store_backend *backend;
    struct store_info           info;
};

extern const struct store_backend store_sqlite;
extern const struct store_backend store_mongo;

/* Of data, neighbours that share it once: what counts in queue_bytes. */
size_t store_append_bytes(const struct store_append *a);

#endif
