/*
 * edge_stream: what an edge writes into Redis' streams: requests, acks
 *
 * After ngx_http_push_binding_stream.c.
 */

#include "edge_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plant.h"

#define EDGE_PACK_MS     50


void
edge_word(struct edge_words *w, const char *format, ...)
{
    int      n;
    va_list  args;

    va_start(args, format);
    n = vsnprintf(w->last, (size_t) (w->text + sizeof(w->text) - w->last),
                  format, args);
    va_end(args);

    w->argv[w->count++] = (struct push_str) { w->last, (size_t) n };
    w->last += n;
}


void
edge_begin(struct edge_words *w, const char *verb)
{
    w->count = 0;
    w->last = w->text;
    edge_word(w, "%s", verb);
}


int
edge_send(struct edge *e, struct edge_words *w, redis_pt fn, void *data)
{
    return redis_command(e->redis, fn, data, w->argv, w->count);
}


/* --- requests ------------------------------------------------------------ */

static void
edge_request_words(struct edge *e, struct edge_words *w, uint64_t id,
    const char *uid, const char *device, const char *epoch, bool first,
    unsigned due_ms)
{
    edge_begin(w, "XADD");
    edge_word(w, "push:ev:resync");
    edge_word(w, "*");
    edge_word(w, "v");
    edge_word(w, "1");
    edge_word(w, "node");
    edge_word(w, "%s", e->node);
    edge_word(w, "inst");
    edge_word(w, "%s", e->hex);
    edge_word(w, "conn");
    edge_word(w, "%016llx", (unsigned long long) id);
    edge_word(w, "uid");
    edge_word(w, "%s", uid);
    edge_word(w, "dev");
    edge_word(w, "%s", device);
    edge_word(w, "epoch");
    edge_word(w, "%s", epoch[0] != '\0' ? epoch
                       : e->epoch[0] != '\0' ? e->epoch : "-");
    edge_word(w, "rid");
    edge_word(w, "%u", e->rid);
    edge_word(w, "first");
    edge_word(w, "%d", first);
    edge_word(w, "bytes");
    edge_word(w, "6000");
    edge_word(w, "due_ms");
    edge_word(w, "%lld", (long long) sim_unix_ms() + due_ms);
    edge_word(w, "groups");
    edge_word(w, "%s", "");
    edge_word(w, "logs");
}


static size_t
edge_request_log(char *to, size_t size, const char *name,
    struct push_delivery *d, uint32_t rid, unsigned *due_ms)
{
    int   n;
    char  after[24];

    snprintf(after, sizeof(after), "%lld", (long long) push_delivery_sent(d));

    n = snprintf(to, size, "%s %s %u", name,
                 push_delivery_sent(d) == PUSH_DELIVERY_UNKNOWN ? "-" : after,
                 push_delivery_credit(d));

    push_delivery_asked(d, rid, sim_ms32(), (uint32_t) sim_random64());

    if (d->due_ms - sim_ms32() < *due_ms) {
        *due_ms = d->due_ms - sim_ms32();
    }

    return (size_t) n;
}


bool
edge_request(struct edge_conn *conn, uint32_t *again_ms)
{
    bool                  first, whole;
    char                  logs[128], own[16];
    size_t                n;
    unsigned              i, due_ms;
    struct edge          *e = conn->edge;
    struct edge_words     w;
    struct push_delivery  d[FRAME_LOGS];

    *again_ms = sim_ms32() + EDGE_RETRY_MS + sim_below(EDGE_RETRY_MS);

    if (!redis_is_up(e->redis) || conn->bind_dirty) {
        return false;
    }

    memcpy(d, conn->logs, sizeof(d));
    snprintf(own, sizeof(own), "user:%s", conn->uid);
    first = true;
    due_ms = 2 * PUSH_DELIVERY_REPEAT_MAX_MS;

    for (i = 0, whole = false; i < FRAME_LOGS; i++) {
        whole |= push_delivery_ask_due(&d[i], sim_ms32())
                 && (d[i].flags & PUSH_DELIVERY_FIRST)
                 && !plant(PLANT_APART);
    }

    for (i = 0, n = 0; i < FRAME_LOGS; i++) {

        if (whole ? !(d[i].flags & PUSH_DELIVERY_FIRST)
                  : !push_delivery_ask_due(&d[i], sim_ms32()))
        {
            continue;
        }

        first &= (d[i].flags & PUSH_DELIVERY_FIRST) && d[i].unacked == 0;

        if (n > 0) {
            logs[n++] = '\n';
        }

        n += edge_request_log(logs + n, sizeof(logs) - n,
                              i == EDGE_OWN ? own : "all", &d[i], e->rid + 1,
                              &due_ms);
    }

    e->rid++;
    sim_trace("%s: u%u.%s asks, rid %u: %.*s", e->proc->name, conn->user,
              conn->device, e->rid, (int) n, logs);
    edge_request_words(e, &w, conn->id, conn->uid, conn->device,
                       whole || plant(PLANT_APART) ? conn->epoch : "", first,
                       due_ms);
    edge_word(&w, "%.*s", (int) n, logs);

    if (edge_send(e, &w, NULL, NULL) == PUSH_OK) {
        memcpy(conn->logs, d, sizeof(d));
    }

    return true;
}


bool
edge_request_all(struct edge *e)
{
    char                  logs[64];
    size_t                n;
    unsigned              due_ms;
    struct edge_words     w;
    struct push_delivery  d;

    if (!redis_is_up(e->redis)) {
        return false;
    }

    d = e->ring.d;
    due_ms = 2 * PUSH_DELIVERY_REPEAT_MAX_MS;
    n = edge_request_log(logs, sizeof(logs), "all", &d, ++e->rid, &due_ms);

    sim_trace("%s: asks, rid %u: %s", e->proc->name, e->rid, logs);
    edge_request_words(e, &w, push_conn_make(1, plant(PLANT_SAME_CONN) ? 1 : 7,
                                             0),
                       "-", "-", "", false, due_ms);
    edge_word(&w, "%.*s", (int) n, logs);

    if (edge_send(e, &w, NULL, NULL) == PUSH_OK) {
        e->ring.d = d;
    }

    return true;
}


/* --- acks ---------------------------------------------------------------- */

void
edge_send_ack(struct edge_conn *conn, unsigned log, int64_t seq)
{
    int           n;
    struct edge  *e = conn->edge;

    if (e->pack_len > 0 && strcmp(e->pack_epoch, e->epoch) != 0) {
        edge_flush(e);
        e->pack_len = 0;        /* of another epoch: worth nothing later */
    }

    if (e->pack_len > sizeof(e->pack) - 128) {
        return;
    }

    memcpy(e->pack_epoch, e->epoch, sizeof(e->epoch));
    n = snprintf(e->pack + e->pack_len, sizeof(e->pack) - e->pack_len,
                 "%s%s %s %s%s %lld", e->pack_len > 0 ? "\n" : "", conn->uid,
                 conn->device, log == EDGE_ALL ? "all" : "user:",
                 log == EDGE_ALL ? "" : conn->uid, (long long) seq);
    e->pack_len += (size_t) n;

    if (e->pack_timer.place == 0) {
        sim_at(&e->pack_timer, sim.now_us + MS(EDGE_PACK_MS));
    }
}


void
edge_flush(void *data)
{
    struct edge      *e = data;
    struct push_str   argv[] = {
        PUSH_STR("XADD"), PUSH_STR("push:ev:ack"), PUSH_STR("*"),
        PUSH_STR("v"), PUSH_STR("1"),
        PUSH_STR("node"), { e->node, strlen(e->node) },
        PUSH_STR("epoch"), { e->pack_epoch, strlen(e->pack_epoch) },
        PUSH_STR("acks"), { e->pack, e->pack_len }
    };

    if (e->pack_len == 0) {
        return;
    }

    if (e->pack_epoch[0] == '\0') {
        argv[8] = PUSH_STR("-");
    }

    if (redis_command(e->redis, NULL, NULL, argv,
                      sizeof(argv) / sizeof(argv[0]))
        == PUSH_OK)
    {
        e->pack_len = 0;

    } else {
        sim_at(&e->pack_timer, sim.now_us + MS(EDGE_RETRY_MS));
    }
}
