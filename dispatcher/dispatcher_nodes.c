/*
 * dispatcher_nodes: the edges that are alive, by their leases in Redis
 *
 * in:   push:nodes, push:node:<node>/<instance>.  out: nodes by instance
 * owns: the table, sorted by instance; a timer
 *
 *     not known --lease--> leased --no lease--> lost --forget_nodes--> SREM
 *                             ^---- lease --------+
 */

#include "dispatcher_nodes.h"

#include "http_client.h"
#include "redis.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct dispatcher_nodes {
    struct dispatcher       *dispatcher;
    struct event            *timer;

    struct dispatcher_node **table;     /* sorted by instance */
    size_t                   count;
    size_t                   size;
    struct dispatcher_node **leased;    /* the same pointers, those leased */
    size_t                   leased_count;

    bool                     known;
    unsigned                 round;     /* of the refresh under way or last */
    unsigned                 waiting;   /* replies of it */
    bool                     failed;    /* a reply of it was lost */
    bool                     untrusted; /* bindings are being renewed */
    int64_t                  up_ms;     /* Redis came back, monotonic */
    char                     run_id[64];
};

/* One HMGET: of a refresh (done is NULL), or on demand. */
struct dispatcher_nodes_lease {
    struct dispatcher_nodes *nodes;
    dispatcher_nodes_pt      done;
    void                    *data;
    uint64_t                 instance;
    unsigned                 round;
    char                     name[2 * PUSH_NAME_MAX];
};

static void dispatcher_nodes_timer(int fd, short what, void *data);
static void dispatcher_nodes_members(const struct redis_reply *reply,
    void *data);
static int dispatcher_nodes_read(struct dispatcher_nodes *nodes,
    struct push_str member, dispatcher_nodes_pt done, void *data);
static void dispatcher_nodes_lease(const struct redis_reply *reply,
    void *data);
static void dispatcher_nodes_round_over(struct dispatcher_nodes *nodes);
static struct dispatcher_node *dispatcher_nodes_set(
    struct dispatcher_nodes *nodes, const struct dispatcher_nodes_lease *lease,
    struct push_str deliver);
static void dispatcher_nodes_lose(struct dispatcher_nodes *nodes,
    struct dispatcher_node *node);
static void dispatcher_nodes_list(struct dispatcher_nodes *nodes);
static size_t dispatcher_nodes_place(const struct dispatcher_nodes *nodes,
    uint64_t instance);
static struct dispatcher_node *dispatcher_nodes_any(
    const struct dispatcher_nodes *nodes, uint64_t instance);
static int dispatcher_nodes_member_parse(struct push_str member,
    uint64_t *instance);
static void dispatcher_nodes_free(struct dispatcher_node *node);


int
dispatcher_nodes_create(struct dispatcher *d)
{
    const struct timeval      period = { 0, 100 * 1000 };
    struct dispatcher_nodes  *nodes;

    nodes = calloc(1, sizeof(*nodes));
    if (nodes == NULL) {
        return PUSH_ERROR;
    }

    nodes->dispatcher = d;
    nodes->timer = event_new(d->daemon.base, -1, 0, dispatcher_nodes_timer,
                             nodes);

    if (nodes->timer == NULL || event_add(nodes->timer, &period) != 0) {
        if (nodes->timer != NULL) {
            event_free(nodes->timer);
        }

        free(nodes);
        return PUSH_ERROR;
    }

    d->nodes = nodes;

    return PUSH_OK;
}


/* After redis_destroy() and dispatcher_send_destroy(): nobody points here. */
void
dispatcher_nodes_destroy(struct dispatcher *d)
{
    size_t                    i;
    struct dispatcher_nodes  *nodes = d->nodes;

    if (nodes == NULL) {
        return;
    }

    for (i = 0; i < nodes->count; i++) {
        dispatcher_nodes_free(nodes->table[i]);
    }

    event_free(nodes->timer);
    free(nodes->table);
    free(nodes->leased);
    free(nodes);

    d->nodes = NULL;
}


void
dispatcher_nodes_redis_up(void *data)
{
    const char               *run_id;
    struct dispatcher        *d = data;
    struct dispatcher_nodes  *nodes = d->nodes;

    run_id = redis_run_id(d->redis);

    if (nodes->known) {
        nodes->up_ms = daemon_monotonic_ms();
    }

    nodes->untrusted = nodes->run_id[0] != '\0'
                       && strcmp(nodes->run_id, run_id) != 0;

    strncpy(nodes->run_id, run_id, sizeof(nodes->run_id) - 1);

    log_info(&d->daemon.log, "redis_up", "restarted=%d", nodes->untrusted);

    event_active(nodes->timer, EV_TIMEOUT, 0);
}


void
dispatcher_nodes_redis_down(void *data)
{
    struct dispatcher  *d = data;

    log_warn(&d->daemon.log, "redis_down", "nodes=%zu",
             dispatcher_nodes_count(d));
}


bool
dispatcher_nodes_known(const struct dispatcher *d)
{
    return d->nodes->known;
}


bool
dispatcher_nodes_bindings_trusted(const struct dispatcher *d)
{
    return redis_is_up(d->redis)
           && (!d->nodes->untrusted
               || daemon_monotonic_ms() - d->nodes->up_ms
                  >= DISPATCHER_RENEW_MS);
}


size_t
dispatcher_nodes_count(const struct dispatcher *d)
{
    return d->nodes->leased_count;
}


struct dispatcher_node *
dispatcher_nodes_at(const struct dispatcher *d, size_t i)
{
    return d->nodes->leased[i];
}


struct dispatcher_node *
dispatcher_nodes_each(const struct dispatcher *d, size_t i)
{
    return i < d->nodes->count ? d->nodes->table[i] : NULL;
}


struct dispatcher_node *
dispatcher_nodes_find(const struct dispatcher *d, uint64_t instance)
{
    struct dispatcher_node  *node;

    node = dispatcher_nodes_any(d->nodes, instance);

    return node != NULL && node->leased ? node : NULL;
}


int
dispatcher_nodes_ask(struct dispatcher *d, struct push_str name,
    uint64_t instance, dispatcher_nodes_pt done, void *data)
{
    char             text[2 * PUSH_NAME_MAX];
    struct push_str  member = { text, name.len + 17 };

    memcpy(text, name.data, name.len);      /* at most PUSH_NAME_MAX */
    text[name.len] = '/';
    push_hex64_write(text + name.len + 1, instance);

    return dispatcher_nodes_read(d->nodes, member, done, data);
}


/* The next refresh, unless the last one has not ended. */
static void
dispatcher_nodes_timer(int fd, short what, void *data)
{
    struct dispatcher_nodes  *nodes = data;
    struct dispatcher        *d = nodes->dispatcher;
    const struct timeval      period = {
        DISPATCHER_REFRESH_MS / 1000, DISPATCHER_REFRESH_MS % 1000 * 1000
    };

    (void) fd;
    (void) what;

    event_add(nodes->timer, &period);

    if (nodes->waiting > 0) {
        return;
    }

    if (redis_call(d->redis, dispatcher_nodes_members, nodes,
                   PUSH_STR("SMEMBERS"), PUSH_STR("push:nodes"))
        == PUSH_OK)
    {
        nodes->waiting = 1;
        nodes->failed = false;
        nodes->round++;
    }
}


static void
dispatcher_nodes_members(const struct redis_reply *reply, void *data)
{
    size_t                    i, count;
    uint64_t                  instance;
    struct push_str           member;
    struct dispatcher_nodes  *nodes = data;

    count = redis_count(reply);

    if (redis_type(reply) != REDIS_ARRAY) {
        nodes->failed = true;

    } else if (count > DISPATCHER_NODES_MAX) {
        log_error(&nodes->dispatcher->daemon.log, "nodes", "error=%s count=%zu",
                  "too many members in push:nodes", count);
        nodes->failed = true;
        count = 0;
    }

    for (i = 0; i < count; i++) {
        member = redis_str(redis_at(reply, i));

        if (dispatcher_nodes_member_parse(member, &instance) != PUSH_OK) {
            log_warn(&nodes->dispatcher->daemon.log, "nodes",
                     "error=%s member=%.*s", "not <node>/<instance>",
                     LOG_STR(member));
            continue;
        }

        if (dispatcher_nodes_read(nodes, member, NULL, NULL) != PUSH_OK) {
            nodes->failed = true;
            break;
        }

        nodes->waiting++;
    }

    if (--nodes->waiting == 0) {
        dispatcher_nodes_round_over(nodes);
    }
}


/* member is legal. */
static int
dispatcher_nodes_read(struct dispatcher_nodes *nodes, struct push_str member,
    dispatcher_nodes_pt done, void *data)
{
    int                             rc;
    char                            key[10 + 2 * PUSH_NAME_MAX];
    struct push_str                 name = { key, member.len + 10 };
    struct dispatcher_nodes_lease  *lease;

    lease = malloc(sizeof(*lease));
    if (lease == NULL) {
        return PUSH_DECLINED;
    }

    lease->nodes = nodes;
    lease->done = done;
    lease->data = data;
    lease->round = nodes->round;
    memcpy(lease->name, member.data, member.len);
    lease->name[member.len] = '\0';
    (void) dispatcher_nodes_member_parse(member, &lease->instance);

    memcpy(key, "push:node:", 10);
    memcpy(key + 10, member.data, member.len);

    rc = redis_call(nodes->dispatcher->redis, dispatcher_nodes_lease, lease,
                    PUSH_STR("HMGET"), name, PUSH_STR("deliver"));

    if (rc != PUSH_OK) {
        free(lease);
    }

    return rc;
}


static void
dispatcher_nodes_lease(const struct redis_reply *reply, void *data)
{
    struct push_str                 deliver;
    struct dispatcher_node         *node;
    struct dispatcher_nodes_lease  *lease = data;
    struct dispatcher_nodes        *nodes = lease->nodes;

    deliver = redis_str(redis_at(reply, 0));
    node = NULL;

    if (redis_count(reply) == 1) {
        node = dispatcher_nodes_set(nodes, lease, deliver);
    }

    if (lease->done != NULL) {
        lease->done(node != NULL && node->leased ? node : NULL, node != NULL,
                    lease->data);

    } else {
        nodes->failed |= node == NULL;

        if (--nodes->waiting == 0) {
            dispatcher_nodes_round_over(nodes);
        }
    }

    free(lease);
}


/* Who was not seen has left the set; who is lost for long is taken out. */
static void
dispatcher_nodes_round_over(struct dispatcher_nodes *nodes)
{
    size_t                   i, kept;
    int64_t                  now_ms;
    struct push_str          name;
    struct dispatcher       *d = nodes->dispatcher;
    struct dispatcher_node  *node;

    if (nodes->failed) {
        return;
    }

    now_ms = daemon_monotonic_ms();
    kept = 0;

    for (i = 0; i < nodes->count; i++) {
        node = nodes->table[i];

        if (node->round != nodes->round) {
            dispatcher_nodes_lose(nodes, node);

            if (!node->leased && node->head == NULL && !node->ready) {
                dispatcher_nodes_free(node);
                continue;
            }

        } else if (!node->leased
                   && now_ms - node->lost_ms >= d->conf.forget_nodes_ms)
        {
            name.data = node->name;
            name.len = strlen(node->name);

            if (redis_call(d->redis, NULL, NULL, PUSH_STR("SREM"),
                           PUSH_STR("push:nodes"), name)
                == PUSH_OK)
            {
                log_info(&d->daemon.log, "node_forgotten", "node=%s",
                         node->name);
            }
        }

        nodes->table[kept++] = node;
    }

    nodes->count = kept;
    nodes->known = true;

    dispatcher_nodes_list(nodes);
}


/*
 * What Redis says of one lease; deliver empty: there is none.  NULL: out of
 * memory, or the table is full.
 */
static struct dispatcher_node *
dispatcher_nodes_set(struct dispatcher_nodes *nodes,
    const struct dispatcher_nodes_lease *lease, struct push_str deliver)
{
    char                     *url, error[128];
    size_t                    at, size;
    struct log               *log = &nodes->dispatcher->daemon.log;
    struct dispatcher_node   *node, **table;

    node = dispatcher_nodes_any(nodes, lease->instance);

    if (node == NULL) {

        if (nodes->count == nodes->size) {
            size = nodes->size == 0 ? 16 : 2 * nodes->size;

            if (nodes->count >= 2 * DISPATCHER_NODES_MAX) {
                return NULL;
            }

            table = realloc(nodes->table, size * sizeof(*table));
            if (table == NULL) {
                return NULL;
            }

            nodes->table = table;

            table = realloc(nodes->leased, size * sizeof(*table));
            if (table == NULL) {
                return NULL;
            }

            nodes->leased = table;
            nodes->size = size;
        }

        node = calloc(1, sizeof(*node));
        if (node == NULL) {
            return NULL;
        }

        node->instance = lease->instance;
        memcpy(node->name, lease->name, sizeof(node->name));
        node->lost_ms = daemon_monotonic_ms();

        at = dispatcher_nodes_place(nodes, lease->instance);
        memmove(nodes->table + at + 1, nodes->table + at,
                (nodes->count - at) * sizeof(*nodes->table));
        nodes->table[at] = node;
        nodes->count++;
    }

    node->round = lease->round;

    if (deliver.len == 0) {
        dispatcher_nodes_lose(nodes, node);
        dispatcher_nodes_list(nodes);
        return node;
    }

    if (node->deliver == NULL || strlen(node->deliver) != deliver.len
        || memcmp(node->deliver, deliver.data, deliver.len) != 0)
    {
        url = strndup(deliver.data, deliver.len);

        if (url == NULL || http_client_url_check(url, error, sizeof(error))
                           != PUSH_OK)
        {
            log_warn(log, "nodes", "node=%s error=%s", node->name,
                     url == NULL ? "out of memory" : error);
            free(url);
            dispatcher_nodes_lose(nodes, node);
            dispatcher_nodes_list(nodes);
            return node;
        }

        free(node->deliver);
        node->deliver = url;
    }

    if (!node->leased) {
        node->leased = true;
        dispatcher_nodes_list(nodes);
        log_info(log, "node_up", "node=%s deliver=%s", node->name,
                 node->deliver);
    }

    return node;
}


/* The caller makes the list of leased nodes anew. */
static void
dispatcher_nodes_lose(struct dispatcher_nodes *nodes,
    struct dispatcher_node *node)
{
    int64_t  now_ms = daemon_monotonic_ms();

    if (!node->leased
        || (nodes->up_ms != 0 && now_ms - nodes->up_ms < DISPATCHER_LEASE_MS))
    {
        return;
    }

    node->leased = false;
    node->lost_ms = now_ms;

    log_info(&nodes->dispatcher->daemon.log, "node_down", "node=%s",
             node->name);
}


static void
dispatcher_nodes_list(struct dispatcher_nodes *nodes)
{
    size_t  i;

    nodes->leased_count = 0;

    for (i = 0; i < nodes->count; i++) {
        if (nodes->table[i]->leased) {
            nodes->leased[nodes->leased_count++] = nodes->table[i];
        }
    }
}


/* Where an instance stands in the table, or would. */
static size_t
dispatcher_nodes_place(const struct dispatcher_nodes *nodes,
    uint64_t instance)
{
    size_t  low = 0, high = nodes->count, middle;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (nodes->table[middle]->instance < instance) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


static struct dispatcher_node *
dispatcher_nodes_any(const struct dispatcher_nodes *nodes, uint64_t instance)
{
    size_t  at = dispatcher_nodes_place(nodes, instance);

    return at < nodes->count && nodes->table[at]->instance == instance
           ? nodes->table[at] : NULL;
}


/* "<node>/<16 hex>" */
static int
dispatcher_nodes_member_parse(struct push_str member, uint64_t *instance)
{
    struct push_str  name, hex;

    if (member.len < 18 || member.data[member.len - 17] != '/') {
        return PUSH_ERROR;
    }

    name.data = member.data;
    name.len = member.len - 17;
    hex.data = member.data + name.len + 1;
    hex.len = 16;

    return push_name_valid(name) ? push_hex64_parse(hex, instance)
                                 : PUSH_ERROR;
}


static void
dispatcher_nodes_free(struct dispatcher_node *node)
{
    free(node->deliver);
    free(node);
}
