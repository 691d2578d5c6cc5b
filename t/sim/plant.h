/*
 * plant: faults that are built in on purpose, one at a time
 *
 *     --plant NAME --> plant(PLANT_X) is true where a model or a seam asks
 *
 * Each breaks one rule of docs/rules.md or of the store.  A simulator that
 * does not find one of them within a few seeds proves nothing.
 */

#ifndef PLANT_H
#define PLANT_H

#include <stdbool.h>

#define SIM_PLANTS(X)                                                         \
    X(TIP_LOCAL, "tip-local", "R1: the tip is read before it is majority")    \
    X(UNKNOWN_TIP, "unknown-tip", "R2: an unknown outcome advances the tip")  \
    X(EARLY_DUPLICATE, "early-duplicate",                                     \
      "R3: a duplicate is acked though its first copy is not majority")       \
    X(EARLY_DISPATCH, "early-dispatch", "R4: handed over before majority")    \
    X(EARLY_REPLAY, "early-replay", "R4: answers are read before majority")   \
    X(GC_TIP, "gc-tip", "R5: the GC does not keep the tip")                   \
    X(GC_YOUNG, "gc-young", "R6: the GC takes young ones, tips are kept "     \
      "for ever")                                                             \
    X(NO_CHECK, "no-check", "no periodic check")                              \
    X(COUNTER, "counter", "a counter, then the insert")                       \
    X(TIMESTAMP, "timestamp", "the time is the cursor")                       \
    X(GAPS, "gaps", "the edge accepts gaps")                                  \
    X(W1, "w1", "acked by the primary alone")                                 \
    X(NO_KEY, "no-key", "no unique index on (log, key)")                      \
    X(UNORDERED, "unordered", "a hot log's bulk is not ordered")              \
    X(EXPIRE_ONLY, "expire-only", "a renewal only extends the binding")       \
    X(BLIND_DELETE, "blind-delete", "a close removes all of the user's")      \
    X(LATE_BIND, "late-bind", "asks before it is bound")                      \
    X(NO_ASK, "no-ask", "no ask after an answer")                             \
    X(NO_LEASE, "no-lease", "no trigger when the lease has lapsed")           \
    X(NO_DEBT, "no-debt", "no debt after a drop")                             \
    X(SAME_CONN, "same-conn", "a connection's id is used again")              \
    X(OLD_ACK, "old-ack", "acks of an old epoch count")                       \
    X(PAST, "past", "connections of an old epoch go on until they are "       \
      "closed")                                                               \
    X(APART, "apart", "a first request is repeated log by log")              \
    X(STALE_RESET, "stale-reset", "a tip of an old primary resets")          \
    X(VOID_WINDOW, "void-window", "a void uses the window")

enum plant {
    PLANT_NONE,
#define X(name, text, what)  PLANT_##name,
    SIM_PLANTS(X)
#undef X
    PLANT_COUNT
};

/* This one is built in. */
bool plant(enum plant p);

/* PLANT_NONE: all is right. */
void plant_set(enum plant p);

/* PLANT_COUNT: no such name. */
enum plant plant_by_name(const char *name);
const char *plant_name(enum plant p);
const char *plant_what(enum plant p);

#endif
