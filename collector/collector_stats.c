/*
 * collector_stats: what /metrics says of a collector, one row a number
 *
 * in: the state.  out: rows of metrics.h.  owns: nothing
 */

#include "collector_stats.h"

#include "collector_hand_over.h"
#include "redis.h"

/* X(symbol, metric, field, help) */
#define STATS_STORE(X)                                                        \
    X(ready, "store_ready", ready, "1 while the store takes writes.")         \
    X(queue_messages, "store_queue_messages", queue_messages,                 \
      "Messages that wait for their commit.")                                 \
    X(queue_bytes, "store_queue_bytes", queue_bytes, "Their data.")           \
    X(commits, "store_commits", commits, "Transactions since the start.")     \
    X(failed, "store_commits_failed", commits_failed,                         \
      "Transactions that failed.")                                            \
    X(stored, "store_messages", stored, "Messages stored since the start.")   \
    X(collected, "store_collected", collected, "Bodies that the GC took.")    \
    X(wal, "store_wal_bytes", wal_bytes, "Size of the write-ahead log.")

#define STATS_HAND_OVER(X)                                                    \
    X(items, "hand_over_waiting_items", items,                                \
      "Items that wait for a dispatcher or its answer.")                      \
    X(bytes, "hand_over_waiting_bytes", bytes, "Their memory.")               \
    X(debts, "hand_over_debts", debts, "Names that are owed a resync.")       \
    X(peers_up, "dispatchers_up", peers_up, "Dispatchers that answer.")

#define STATS_ROW(symbol, metric, field, help)                                \
    { "push_collector_" metric, help, stats_##symbol },

#define X(symbol, metric, field, help)                                        \
static double                                                                 \
stats_##symbol(void *data)                                                    \
{                                                                             \
    struct store_health  health;                                              \
                                                                              \
    store_health(((struct collector *) data)->store, &health);                \
                                                                              \
    return (double) health.field;                                             \
}
STATS_STORE(X)
#undef X

#define X(symbol, metric, field, help)                                        \
static double                                                                 \
stats_##symbol(void *data)                                                    \
{                                                                             \
    struct collector_hand_over_state  state;                                  \
                                                                              \
    collector_hand_over_state(data, &state);                                  \
                                                                              \
    return (double) state.field;                                              \
}
STATS_HAND_OVER(X)
#undef X


static double
stats_redis(void *data)
{
    return redis_is_up(((struct collector *) data)->redis) ? 1 : 0;
}


struct stats_gauge {
    const char *name;
    const char *help;
    double    (*fn)(void *data);
};

static const struct stats_gauge stats_gauges[] = {
    STATS_STORE(STATS_ROW)
    STATS_HAND_OVER(STATS_ROW)
    { "push_collector_redis_up", "1 while Redis answers.", stats_redis },
};

static const struct metrics_row stats_rows[] = {
    COLLECTOR_COUNTERS(METRICS_ROW)
};

int
collector_stats_create(struct collector *c)
{
    size_t  i;

    c->metrics = metrics_create();

    if (c->metrics == NULL
        || metrics_rows(c->metrics, stats_rows, METRICS_COUNT(stats_rows),
                        &c->counters) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    for (i = 0; i < METRICS_COUNT(stats_gauges); i++) {
        if (metrics_gauge(c->metrics, stats_gauges[i].name, "",
                          stats_gauges[i].help, stats_gauges[i].fn, c)
            != PUSH_OK)
        {
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}
