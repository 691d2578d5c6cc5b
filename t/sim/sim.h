/*
 * sim: virtual time, chance, and who lives in the simulated world
 *
 *     events, by time --> fn(data) --> more events ... until the end
 *
 * One thread, one seed: a run is the same each time.  The product's own
 * objects are linked as they are; what surrounds them (libevent, Redis' and
 * HTTP's connections, the clock) is played by loop.c, link.c and http.c, so
 * the world has to be one global: those calls have no argument for it.
 */

#ifndef SIM_H
#define SIM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "push.h"

#define SIM_USERS        4
#define SIM_DEVICES      12         /* of all users together */
#define SIM_EDGES        3
#define SIM_COLLECTORS   3
#define SIM_DISPATCHERS  2
#define SIM_PUBLISHERS   5
#define SIM_LOGS         (SIM_USERS + 1)    /* the last one is `all` */
#define SIM_ALL          SIM_USERS
#define SIM_MESSAGES     8192

#define MS(n)  ((int64_t) (n) * 1000)
#define S(n)   ((int64_t) (n) * 1000000)

/* A process: it can be killed or stopped; its events wait while it is. */
struct sim_proc {
    char     name[16];
    unsigned place;             /* enum sim_place and an index */
    bool     up;
    int64_t  thaw_us;           /* SIGSTOPped until then */
};

enum sim_place {
    PLACE_REDIS,
    PLACE_STORE,
    PLACE_OUTSIDE,              /* publishers and clients */
    PLACE_EDGE,
    PLACE_COLLECTOR = PLACE_EDGE + SIM_EDGES,
    PLACE_DISPATCHER = PLACE_COLLECTOR + SIM_COLLECTORS,
    PLACE_COUNT = PLACE_DISPATCHER + SIM_DISPATCHERS
};

/* place: where it is in the heap, 0: it is not armed.  Zero it. */
struct sim_event {
    int64_t          at_us;
    uint64_t         order;
    size_t           place;
    void           (*fn)(void *data);
    void            *data;
    struct sim_proc *proc;      /* NULL: nobody's */
};

/* What can happen in this run: a random subset. */
#define SIM_FAULTS(X)                                                         \
    X(STEPDOWN, "stepdown")             /* rolls back what was not majority */\
    X(LAG, "lag")                       /* replication is slow for seconds */ \
    X(LOST_ANSWER, "lost-answer")       /* of the store: outcome unknown */   \
    X(STALE_READ, "stale-read")         /* an old primary's majority */       \
    X(ZOMBIE, "zombie-write")           /* carried out after the time-out */  \
    X(WIPE, "redis-wipe")                                                     \
    X(EVICT, "redis-evict")             /* one user's bindings go */          \
    X(REDIS_DOWN, "redis-down")                                               \
    X(SNAPSHOT, "redis-snapshot")       /* comes back as it was */            \
    X(EDGE_KILL, "edge-kill")                                                 \
    X(RELOAD, "reload")                                                       \
    X(COLLECTOR_CRASH, "collector-crash")                                     \
    X(DISPATCHER_CRASH, "dispatcher-crash")                                   \
    X(FREEZE, "freeze")                                                       \
    X(PARTITION, "partition")                                                 \
    X(LOSS, "loss")                     /* of a request or a reply */         \
    X(DELAY, "delay")                                                         \
    X(TWICE, "twice")                   /* a deliver POST arrives again */    \
    X(FLASH, "flash")                                                         \
    X(HALF_OPEN, "half-open")                                                 \
    X(SLOW, "slow")                     /* clients that do not read */        \
    X(AMNESIA, "amnesia")               /* clients that forget cursors */     \
    X(RESTORE, "restore")               /* the store, from a backup */        \
    X(TIGHT, "tight")                   /* little memory for hand-over */     \
    X(COLLECT, "collect")               /* short lives, and a GC */           \
    X(BURST, "burst")                   /* a hot log */                       \
    X(PARALLEL, "parallel")             /* one key to two collectors */

enum sim_fault {
#define X(name, text)  FAULT_##name,
    SIM_FAULTS(X)
#undef X
    FAULT_COUNT
};

enum sim_phase {
    PHASE_FAULTS,
    PHASE_HEALED,               /* nothing breaks any more */
    PHASE_CALM,                 /* what was late must be there by now */
    PHASE_OVER
};

struct sim_mix {
    uint32_t faults;            /* bits of enum sim_fault */
    bool     lite;              /* a store with one writer, no replicas */
    bool     check;             /* the periodic check, each 10 s; else off */
    unsigned users;
    unsigned edges;
    unsigned collectors;
    unsigned dispatchers;
    unsigned publishers;
    int64_t  faults_us;         /* the length of the first phase */
    int64_t  delay_us;          /* of the network, typically */
    int64_t  lag_us;            /* of replication, typically */
};

struct sim {
    int64_t          now_us;
    uint64_t         random;
    uint64_t         order;
    struct sim_event **heap;    /* from 1 */
    size_t           count;
    size_t           size;
    uint64_t         events;    /* that were run */

    uint64_t         seed;
    struct sim_mix   mix;
    enum sim_phase   phase;
    int64_t          heal_us;   /* when the faults ended */
    bool             trace;
    int64_t          base_ms;   /* of the virtual clocks */
};

extern struct sim sim;

/* Random: below n (n >= 1); true in so many of a thousand cases. */
uint32_t sim_below(uint32_t n);
bool sim_chance(unsigned per_mille);
uint64_t sim_random64(void);
/* Between half and one and a half of it, now and then much more. */
int64_t sim_about(int64_t us);

/* The fault is of this run and things still break. */
bool sim_fault(enum sim_fault fault);
const char *sim_fault_text(enum sim_fault fault);

/* Arms it, or moves it. */
void sim_at(struct sim_event *e, int64_t at_us);
void sim_cancel(struct sim_event *e);
/* Runs fn once; a process that has died meanwhile does not prevent it. */
void sim_after(int64_t us, void (*fn)(void *data), void *data,
    struct sim_proc *proc);
/* Runs what is due until then. */
void sim_run(int64_t until_us);
/* The clocks of the product's code. */
int64_t sim_unix_ms(void);
uint32_t sim_ms32(void);

void sim_tracef(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#define sim_trace(...)                                                        \
    do {                                                                      \
        if (sim.trace) {                                                      \
            sim_tracef(__VA_ARGS__);                                          \
        }                                                                     \
    } while (0)

/*
 * Memory of this run, zeroed, never freed by itself: sim_forget() takes all of
 * it at the run's end.  sim_grow: room for count items; the old ones are
 * copied.
 */
void *sim_alloc(size_t size);
void *sim_grow(void *p, size_t *size, size_t count, size_t item);
char *sim_copy(const char *data, size_t len);   /* and a NUL behind it */
void sim_forget(void);

#endif
