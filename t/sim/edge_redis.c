/*
 * edge_redis: what Redis knows of an edge, and what the collector reads
 *
 * After ngx_http_push_binding*.c: bindings, the lease, requests, acks, and
 * what happens when Redis has forgotten us.
 */

#include "edge_state.h"

#include <stdio.h>
#include <string.h>

#include "plant.h"

#define EDGE_TTL_MS      90000
#define EDGE_LEASE_MS    15000
#define EDGE_LEASE_RENEW 5000
#define EDGE_LOSS_MS     7500
#define EDGE_KNOWN_MS    4000
#define EDGE_SPREAD_MS   10000

/* A reply's connection may be gone, its edge may be another one by then. */
struct edge_about {
    struct edge *edge;
    uint64_t     instance;
    uint64_t     id;
    bool         again;             /* was bound before */
};

static void edge_up(void *data);
static void edge_down(void *data);
static void edge_forgotten(struct edge *e, const char *why);
static void edge_walk(void *data);
static void edge_lease(void *data);
static void edge_leased(const struct redis_reply *reply, void *data);
static bool edge_register(struct edge_conn *conn, bool first);
static void edge_bind_later(void *data);
static void edge_zadd(struct edge_conn *conn, redis_pt fn, bool again);
static void edge_look(struct edge_conn *conn, redis_pt fn, bool again);
static void edge_renewed(const struct redis_reply *reply, void *data);
static void edge_added(const struct redis_reply *reply, void *data);
static void edge_members(const struct redis_reply *reply, void *data);
static void edge_compare(struct edge_conn *conn,
    const struct redis_reply *reply, bool again);
static void edge_replace(struct edge_conn *conn, struct push_str member,
    uint64_t instance, uint64_t id);


/* --- words --------------------------------------------------------------- */

static void
edge_key(struct edge_words *w, const struct edge_conn *conn)
{
    edge_word(w, "push:{%s}", conn->uid);
}


static void
edge_member(struct edge_words *w, const struct edge_conn *conn)
{
    edge_word(w, "%s/%s/%016llx/%s/%lld", conn->edge->node, conn->edge->hex,
              (unsigned long long) conn->id, conn->device,
              (long long) conn->since_ms);
}


static struct edge_about *
edge_about(struct edge_conn *conn, bool again)
{
    struct edge_about  *a;

    a = sim_alloc(sizeof(*a));
    a->edge = conn->edge;
    a->instance = conn->edge->instance;
    a->id = conn->id;
    a->again = again;

    return a;
}


/* NULL: it has gone, or is not bound any more. */
static struct edge_conn *
edge_of(const struct edge_about *a)
{
    struct edge_conn  *conn;

    if (!a->edge->proc->up || a->edge->instance != a->instance) {
        return NULL;
    }

    conn = edge_find(a->edge, a->id);

    return conn != NULL && conn->bound && !conn->closing ? conn : NULL;
}


/* --- up, down, the lease ------------------------------------------------- */

void
edge_redis_start(struct edge *e)
{
    struct redis_conf  conf;

    memset(&conf, 0, sizeof(conf));
    conf.on_up = edge_up;
    conf.on_down = edge_down;
    conf.data = e;

    e->down_us = -1;
    e->lease.fn = edge_lease;
    e->lease.data = e;
    e->lease.proc = e->proc;
    e->pack_timer.fn = edge_flush;
    e->pack_timer.data = e;
    e->pack_timer.proc = e->proc;
    e->walk.fn = edge_walk;
    e->walk.data = e;
    e->walk.proc = e->proc;
    e->redis = redis_create((struct event_base *) e->proc, &conf);
}


static void
edge_up(void *data)
{
    bool          other;
    struct edge  *e = data;

    other = e->run_id[0] != '\0'
            && strcmp(e->run_id, redis_run_id(e->redis)) != 0;
    snprintf(e->run_id, sizeof(e->run_id), "%s", redis_run_id(e->redis));

    if (other) {
        edge_forgotten(e, "another start");

    } else if (e->down_us >= 0 && sim.now_us - e->down_us > MS(EDGE_LOSS_MS))
    {
        edge_forgotten(e, "away for long");

    } else {
        sim_at(&e->walk, sim.now_us + MS(1));
    }

    e->down_us = -1;
    edge_lease(e);
    edge_flush(e);
}


static void
edge_down(void *data)
{
    struct edge  *e = data;

    if (e->down_us < 0) {
        e->down_us = sim.now_us;
    }

    sim_cancel(&e->walk);
}


static void
edge_forgotten(struct edge *e, const char *why)
{
    if (plant(PLANT_NO_LEASE)) {
        sim_at(&e->walk, sim.now_us + MS(1));
        return;
    }

    sim_trace("%s: forgotten, %s", e->proc->name, why);
    e->walk_all = true;
    edge_ring_resync(e);
    sim_at(&e->walk, sim.now_us + MS(1));
}


static void
edge_walk(void *data)
{
    bool               again;
    struct edge       *e = data;
    struct edge_conn  *conn;

    again = false;

    for (conn = e->conns; conn != NULL; conn = conn->next) {

        if (conn->closing
            || !(conn->bind_dirty || (e->walk_all && conn->bound)))
        {
            continue;
        }

        if (!edge_register(conn, false)) {
            conn->bind_dirty = true;
            again = true;
        }

        if (e->walk_all) {
            edge_resync(conn, sim_ms32() + sim_below(EDGE_SPREAD_MS));

        } else {
            edge_wake_at(conn, sim_ms32());
        }
    }

    e->walk_all = false;

    if (again) {
        sim_at(&e->walk, sim.now_us + MS(EDGE_RETRY_MS));
    }
}


static void
edge_lease(void *data)
{
    struct edge        *e = data;
    struct edge_words   w;

    sim_at(&e->lease, sim.now_us + MS(EDGE_LEASE_RENEW));

    edge_begin(&w, "HSET");
    edge_word(&w, "push:node:%s/%s", e->node, e->hex);
    edge_word(&w, "deliver");
    edge_word(&w, "http://%s/deliver", e->node);
    (void) edge_send(e, &w, edge_leased, e);

    edge_begin(&w, "PEXPIRE");
    edge_word(&w, "push:node:%s/%s", e->node, e->hex);
    edge_word(&w, "%d", EDGE_LEASE_MS);
    (void) edge_send(e, &w, NULL, NULL);

    edge_begin(&w, "SADD");
    edge_word(&w, "push:nodes");
    edge_word(&w, "%s/%s", e->node, e->hex);
    (void) edge_send(e, &w, NULL, NULL);
}


static void
edge_leased(const struct redis_reply *reply, void *data)
{
    struct edge  *e = data;

    if (redis_type(reply) != REDIS_INTEGER || !e->proc->up) {
        return;
    }

    if (e->leased && redis_int(reply) > 0) {
        edge_forgotten(e, "the lease had gone");
    }

    e->leased = true;

    if (redis_int(reply) > 0) {
        e->lease_new = true;
        e->lease_us = sim.now_us;

    } else if (e->lease_new && sim.now_us - e->lease_us >= MS(EDGE_KNOWN_MS))
    {
        e->lease_new = false;
        edge_ring_resync(e);
    }
}


/* --- bindings ------------------------------------------------------------ */

void
edge_bind(struct edge_conn *conn)
{
    if (plant(PLANT_LATE_BIND)) {
        sim_after(sim_below(800000), edge_bind_later, edge_about(conn, false),
                  conn->edge->proc);
        return;
    }

    if (!edge_register(conn, true)) {
        conn->bind_dirty = true;
    }
}


static void
edge_bind_later(void *data)
{
    struct edge_about  *a = data;
    struct edge_conn   *conn;

    if (a->edge->proc->up && a->edge->instance == a->instance
        && (conn = edge_find(a->edge, a->id)) != NULL
        && !edge_register(conn, true))
    {
        conn->bind_dirty = true;
    }
}


/* All in one pipeline.  false: Redis is down. */
static bool
edge_register(struct edge_conn *conn, bool first)
{
    struct edge        *e = conn->edge;
    struct edge_words   w;

    if (!redis_is_up(e->redis)) {
        return false;
    }

    edge_begin(&w, "ZREMRANGEBYSCORE");
    edge_key(&w, conn);
    edge_word(&w, "-inf");
    edge_word(&w, "%lld", (long long) sim_unix_ms());
    (void) edge_send(e, &w, NULL, NULL);

    if (first && conn->device[0] != '-') {
        edge_begin(&w, "MULTI");
        (void) edge_send(e, &w, NULL, NULL);
        edge_zadd(conn, NULL, false);
        edge_look(conn, NULL, false);
        edge_begin(&w, "EXEC");
        (void) edge_send(e, &w, edge_members, edge_about(conn, false));

    } else {
        edge_zadd(conn, conn->bind_dirty ? edge_renewed : edge_added, true);

        if (conn->device[0] != '-') {
            edge_look(conn, edge_members, true);
        }
    }

    conn->bound = true;
    conn->bind_dirty = false;

    return true;
}


static void
edge_zadd(struct edge_conn *conn, redis_pt fn, bool again)
{
    struct edge_words  w;

    edge_begin(&w, "ZADD");
    edge_key(&w, conn);
    edge_word(&w, "%lld", (long long) sim_unix_ms() + EDGE_TTL_MS);
    edge_member(&w, conn);
    (void) edge_send(conn->edge, &w, fn,
                     fn != NULL ? edge_about(conn, again) : NULL);

    edge_begin(&w, "PEXPIRE");
    edge_key(&w, conn);
    edge_word(&w, "%d", EDGE_TTL_MS);
    (void) edge_send(conn->edge, &w, NULL, NULL);
}


static void
edge_look(struct edge_conn *conn, redis_pt fn, bool again)
{
    struct edge_words  w;

    edge_begin(&w, "ZRANGEBYSCORE");
    edge_key(&w, conn);
    edge_word(&w, "%lld", (long long) sim_unix_ms());
    edge_word(&w, "+inf");
    (void) edge_send(conn->edge, &w, fn,
                     fn != NULL ? edge_about(conn, again) : NULL);
}


void
edge_renew(struct edge_conn *conn)
{
    struct edge_words  w;

    if (conn->bind_dirty || !redis_is_up(conn->edge->redis)) {
        conn->bind_dirty = true;
        return;
    }

    if (plant(PLANT_EXPIRE_ONLY)) {
        edge_begin(&w, "PEXPIRE");
        edge_key(&w, conn);
        edge_word(&w, "%d", EDGE_TTL_MS);
        (void) edge_send(conn->edge, &w, NULL, NULL);
        return;
    }

    edge_zadd(conn, edge_renewed, true);
}


void
edge_unbind(struct edge_conn *conn)
{
    struct edge_words  w;

    if (!conn->bound && !conn->bind_dirty) {
        return;
    }

    edge_begin(&w, plant(PLANT_BLIND_DELETE) ? "DEL" : "ZREM");
    edge_key(&w, conn);
    edge_member(&w, conn);
    (void) edge_send(conn->edge, &w, NULL, NULL);

    conn->bound = false;
    conn->bind_dirty = false;
}


static void
edge_added(const struct redis_reply *reply, void *data)
{
    struct edge_conn  *conn;

    conn = edge_of(data);

    if (conn != NULL && redis_type(reply) != REDIS_INTEGER) {
        conn->bound = false;
        conn->bind_dirty = true;
    }
}


static void
edge_renewed(const struct redis_reply *reply, void *data)
{
    struct edge_conn  *conn;

    conn = edge_of(data);

    if (conn == NULL) {
        return;
    }

    if (redis_type(reply) != REDIS_INTEGER) {
        conn->bind_dirty = true;
        return;
    }

    if (redis_int(reply) == 1) {
        edge_resync(conn, sim_ms32());

        if (conn->device[0] != '-') {
            edge_look(conn, edge_members, true);
        }
    }
}


/* Of EXEC: the reply of its last command. */
static void
edge_members(const struct redis_reply *reply, void *data)
{
    struct edge_conn   *conn;
    struct edge_about  *a = data;

    conn = edge_of(a);

    if (conn == NULL) {
        return;
    }

    if (a->again) {
        edge_compare(conn, reply, true);

    } else {
        edge_compare(conn, redis_at(reply, 2), false);
    }
}


/* Older ones of our device go; or a newer one replaces us. */
static void
edge_compare(struct edge_conn *conn, const struct redis_reply *reply,
    bool again)
{
    int                order, n;
    bool               found, by_since;
    char               node[8], device[16], text[128];
    size_t             i;
    long long          since;
    struct push_str    member;
    unsigned long long instance, id;

    found = false;
    by_since = again || sim_unix_ms() > conn->since_ms + EDGE_PROMPT_MS;

    for (i = 0; i < redis_count(reply); i++) {
        member = redis_str(redis_at(reply, i));
        snprintf(text, sizeof(text), "%.*s", (int) member.len, member.data);
        n = sscanf(text, "%7[^/]/%llx/%llx/%15[^/]/%lld", node, &instance,
                   &id, device, &since);

        if (n != 5 || strcmp(device, conn->device) != 0) {
            continue;
        }

        if (instance == conn->edge->instance && id == conn->id) {
            found = true;
            continue;
        }

        order = since != conn->since_ms ? (since < conn->since_ms ? -1 : 1)
                : id < conn->id ? -1 : 1;

        if (order < 0 || !by_since) {
            edge_replace(conn, member, instance, id);

        } else {
            edge_close(conn, 4003, true);
            return;
        }
    }

    if (!found && !again) {
        conn->bound = false;
        conn->bind_dirty = true;
        sim_at(&conn->edge->walk, sim.now_us + MS(EDGE_RETRY_MS));
    }
}


static void
edge_replace(struct edge_conn *conn, struct push_str member,
    uint64_t instance, uint64_t id)
{
    struct edge        *e = conn->edge;
    struct edge_conn   *old;
    struct edge_words   w;

    sim_trace("%s: %.*s is replaced by %016llx, since %lld", e->proc->name,
              (int) member.len, member.data, (unsigned long long) conn->id,
              (long long) conn->since_ms);

    edge_begin(&w, "ZREM");
    edge_key(&w, conn);
    edge_word(&w, "%.*s", (int) member.len, member.data);
    (void) edge_send(e, &w, NULL, NULL);

    if (instance == e->instance) {
        old = edge_find(e, id);

        if (old != NULL) {
            edge_close(old, 4003, true);
        }

        return;
    }

    edge_begin(&w, "XADD");
    edge_word(&w, "push:ev:conn");
    edge_word(&w, "*");
    edge_word(&w, "v");
    edge_word(&w, "1");
    edge_word(&w, "node");
    edge_word(&w, "%.2s", member.data);
    edge_word(&w, "inst");
    edge_word(&w, "%016llx", (unsigned long long) instance);
    edge_word(&w, "conn");
    edge_word(&w, "%016llx", (unsigned long long) id);
    edge_word(&w, "uid");
    edge_word(&w, "%s", conn->uid);
    edge_word(&w, "dev");
    edge_word(&w, "%s", conn->device);
    edge_word(&w, "event");
    edge_word(&w, "replace");
    edge_word(&w, "code");
    edge_word(&w, "4003");
    edge_word(&w, "since_ms");
    edge_word(&w, "%lld", (long long) conn->since_ms);
    edge_word(&w, "at_ms");
    edge_word(&w, "%lld", (long long) sim_unix_ms());
    (void) edge_send(e, &w, NULL, NULL);
}
