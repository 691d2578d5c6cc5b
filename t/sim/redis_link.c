/*
 * redis_link: everybody's connections to Redis
 *
 *     redis_command --in order, later--> redis_model --in order, later--> fn
 *
 * in:   common/redis.h as the daemons and the edges call it
 * out:  the same, over net.c.  owns: connections, commands under way
 */

#include "redis_link.h"

#include <stdio.h>
#include <string.h>

#include "net.h"
#include "redis_model.h"

#define LINK_CONNECT_MS  5

struct link_command {
    struct redis        *redis;
    struct link_command *next;
    redis_pt             fn;
    void                *data;
    struct push_str     *argv;
    size_t               argc;
    uint64_t             life;      /* of the connection that it went by */
    struct redis_reply  *reply;
    int64_t              block_us;  /* parked: until when */
    bool                 over;
};

struct redis {
    struct sim_proc     *proc;
    struct redis_conf    conf;
    struct redis        *next;      /* of all */
    struct sim_event     connect;
    struct sim_event     watch;     /* no reply for too long */
    bool                 up;
    bool                 gone;
    bool                 broken;    /* nothing passes, not yet noticed */
    uint64_t             life;
    int64_t              to_us;     /* arrival of the last command */
    int64_t              from_us;   /* and of the last reply */
    unsigned             backoff;
    struct link_command *first;     /* unanswered, in order */
    struct link_command *last;
    size_t               count;
    char                 run_id[24];

    struct link_command *multi[8];  /* between MULTI and EXEC */
    size_t               multi_count;
    bool                 in_multi;
};

static struct redis         *link_all;
static struct link_command  *link_parked;
static bool                  link_up;
static unsigned              link_runs;

static void link_connect(void *data);
static void link_down(struct redis *r);
static void link_break(struct redis *r);
static void link_arrive(void *data);
static void link_run(struct link_command *cmd);
static void link_exec(struct link_command *cmd);
static void link_reply(struct link_command *cmd, struct redis_reply *reply);
static void link_come(void *data);
static void link_unpark(void);
static void link_park_over(void *data);
static void link_watch(void *data);
static void link_lose(struct redis *r);


void
redis_link_init(void)
{
    link_all = NULL;
    link_parked = NULL;
    link_up = true;
    link_runs = 1;
}


void
redis_link_kill(void)
{
    struct redis  *r;

    link_up = false;

    for (r = link_all; r != NULL; r = r->next) {
        r->broken = true;
        sim_after(sim_below(2000), (void (*)(void *)) link_break, r, r->proc);
    }
}


void
redis_link_start(void)
{
    link_up = true;
    link_runs++;
}


void
redis_link_cut(unsigned place)
{
    struct redis  *r;

    for (r = link_all; r != NULL; r = r->next) {
        if (r->proc->place == place && r->up) {
            sim_at(&r->watch, sim.now_us + MS(REDIS_REPLY_MS));
        }
    }
}


struct redis *
redis_create(struct event_base *base, const struct redis_conf *conf)
{
    struct redis  *r;

    r = sim_alloc(sizeof(*r));
    r->proc = (struct sim_proc *) base;
    r->conf = *conf;
    r->next = link_all;
    link_all = r;

    r->connect.fn = link_connect;
    r->connect.data = r;
    r->connect.proc = r->proc;
    r->watch.fn = link_watch;
    r->watch.data = r;
    r->watch.proc = r->proc;

    sim_at(&r->connect, sim.now_us + MS(LINK_CONNECT_MS));

    return r;
}


void
redis_destroy(struct redis *r)
{
    struct redis  **at;

    if (r == NULL) {
        return;
    }

    r->gone = true;
    link_down(r);
    sim_cancel(&r->connect);
    sim_cancel(&r->watch);

    for (at = &link_all; *at != NULL; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            break;
        }
    }
}


bool
redis_is_up(const struct redis *r)
{
    return r->up;
}


const char *
redis_run_id(const struct redis *r)
{
    return r->run_id;
}


int64_t
redis_now_ms(const struct redis *r)
{
    (void) r;

    return sim_unix_ms();
}


size_t
redis_in_flight(const struct redis *r)
{
    return r->count;
}


int
redis_command(struct redis *r, redis_pt fn, void *data,
    const struct push_str *argv, size_t argc)
{
    char                 *p;
    size_t                i, len;
    struct link_command  *cmd;

    if (!r->up || !r->proc->up) {
        return PUSH_DECLINED;
    }

    for (i = 0, len = 0; i < argc; i++) {
        len += argv[i].len;
    }

    cmd = sim_alloc(sizeof(*cmd) + argc * sizeof(*argv) + len + 1);
    cmd->redis = r;
    cmd->fn = fn;
    cmd->data = data;
    cmd->argc = argc;
    cmd->argv = (struct push_str *) (cmd + 1);
    cmd->life = r->life;
    p = (char *) (cmd->argv + argc);

    for (i = 0; i < argc; i++) {
        memcpy(p, argv[i].data, argv[i].len);
        cmd->argv[i] = (struct push_str) { p, argv[i].len };
        p += argv[i].len;
    }

    if (r->last != NULL) {
        r->last->next = cmd;

    } else {
        r->first = cmd;
    }

    r->last = cmd;
    r->count++;

    /* what is written in one turn arrives together */

    if (r->to_us <= sim.now_us) {
        r->to_us = sim.now_us + net_delay();
    }

    sim_after(r->to_us - sim.now_us, link_arrive, cmd, NULL);

    return PUSH_OK;
}


enum redis_type
redis_type(const struct redis_reply *reply)
{
    return reply != NULL ? reply->type : REDIS_NIL;
}


struct push_str
redis_str(const struct redis_reply *reply)
{
    return reply != NULL ? reply->str : PUSH_STR("");
}


int64_t
redis_int(const struct redis_reply *reply)
{
    return reply != NULL && reply->type == REDIS_INTEGER ? reply->n : 0;
}


size_t
redis_count(const struct redis_reply *reply)
{
    return reply != NULL && reply->type == REDIS_ARRAY ? reply->count : 0;
}


const struct redis_reply *
redis_at(const struct redis_reply *reply, size_t i)
{
    return i < redis_count(reply) ? &reply->at[i] : NULL;
}


static void
link_connect(void *data)
{
    int64_t        wait_ms;
    struct redis  *r = data;

    if (!r->proc->up) {
        return;
    }

    if (!link_up || net_cut(r->proc->place, PLACE_REDIS)
        || net_cut(PLACE_REDIS, r->proc->place))
    {
        wait_ms = REDIS_BACKOFF_MS << r->backoff;

        if (wait_ms < REDIS_BACKOFF_MAX_MS) {
            r->backoff++;

        } else {
            wait_ms = REDIS_BACKOFF_MAX_MS;
        }

        sim_at(&r->connect, sim.now_us + MS(wait_ms / 2)
                            + sim_below((uint32_t) wait_ms * 1000));
        return;
    }

    r->backoff = 0;
    r->life++;
    r->up = true;
    r->broken = false;
    r->to_us = 0;
    r->from_us = 0;
    r->in_multi = false;
    r->multi_count = 0;
    snprintf(r->run_id, sizeof(r->run_id), "run%u", link_runs);

    sim_trace("%s: redis is up", r->proc->name);

    if (r->conf.on_up != NULL) {
        r->conf.on_up(r->conf.data);
    }
}


static void
link_down(struct redis *r)
{
    struct link_command  *cmd;

    r->up = false;
    r->life++;

    while ((cmd = r->first) != NULL) {
        r->first = cmd->next;

        if (r->first == NULL) {
            r->last = NULL;
        }

        r->count--;
        cmd->over = true;

        if (cmd->fn != NULL) {
            cmd->fn(NULL, cmd->data);
        }
    }
}


static void
link_break(struct redis *r)
{
    if (!r->up || r->gone || !r->proc->up) {
        return;
    }

    sim_trace("%s: redis is down", r->proc->name);
    link_down(r);

    if (r->conf.on_down != NULL) {
        r->conf.on_down(r->conf.data);
    }

    sim_at(&r->connect, sim.now_us + MS(REDIS_BACKOFF_MS));
}


/* A connection that is not used does not notice. */
static void
link_watch(void *data)
{
    struct redis  *r = data;

    if (r->count > 0) {
        link_break(r);

    } else if (r->up && (r->broken || net_cut(r->proc->place, PLACE_REDIS)
                         || net_cut(PLACE_REDIS, r->proc->place)))
    {
        sim_at(&r->watch, sim.now_us + MS(REDIS_REPLY_MS));
    }
}


/* A byte stream: what comes behind a loss cannot be read. */
static void
link_lose(struct redis *r)
{
    r->broken = true;

    if (r->watch.place == 0) {
        sim_at(&r->watch, sim.now_us + MS(REDIS_REPLY_MS));
    }
}


static void
link_arrive(void *data)
{
    struct link_command  *cmd = data;
    struct redis         *r = cmd->redis;

    if (cmd->life != r->life || r->broken || !link_up) {
        return;
    }

    if (net_cut(r->proc->place, PLACE_REDIS)
        || (sim_fault(FAULT_LOSS) && sim_chance(1)))
    {
        link_lose(r);
        return;
    }

    link_run(cmd);
}


static void
link_run(struct link_command *cmd)
{
    int64_t              block_ms;
    struct redis        *r = cmd->redis;
    struct redis_reply  *reply;

    if (push_str_eq(cmd->argv[0], PUSH_STR("MULTI"))) {
        r->in_multi = true;
        r->multi_count = 0;
        link_reply(cmd, sim_alloc(sizeof(*reply)));
        return;
    }

    if (push_str_eq(cmd->argv[0], PUSH_STR("EXEC"))) {
        link_exec(cmd);
        return;
    }

    if (r->in_multi) {
        r->multi[r->multi_count++] = cmd;
        link_reply(cmd, sim_alloc(sizeof(*reply)));
        return;
    }

    block_ms = 0;
    reply = redis_model_run(cmd->argv, cmd->argc, &block_ms);

    if (reply == NULL) {
        cmd->block_us = sim.now_us + MS(block_ms);

        struct link_command *park = sim_alloc(sizeof(*park));

        *park = *cmd;
        park->data = cmd;
        park->next = link_parked;
        link_parked = park;
        sim_after(MS(block_ms), link_park_over, cmd, NULL);
        return;
    }

    link_reply(cmd, reply);

    if (push_str_eq(cmd->argv[0], PUSH_STR("XADD"))) {
        link_unpark();
    }
}


static void
link_exec(struct link_command *cmd)
{
    size_t               i;
    int64_t              block_ms;
    struct redis        *r = cmd->redis;
    struct redis_reply  *reply;

    reply = sim_alloc(sizeof(*reply));
    reply->type = REDIS_ARRAY;
    reply->count = r->multi_count;
    reply->at = sim_alloc(r->multi_count * sizeof(*reply));

    for (i = 0; i < r->multi_count; i++) {
        reply->at[i] = *redis_model_run(r->multi[i]->argv, r->multi[i]->argc,
                                        &block_ms);
    }

    r->in_multi = false;
    r->multi_count = 0;

    link_reply(cmd, reply);
}


static void
link_reply(struct link_command *cmd, struct redis_reply *reply)
{
    int64_t        at_us;
    struct redis  *r = cmd->redis;

    cmd->reply = reply;

    if (net_cut(PLACE_REDIS, r->proc->place)) {
        link_lose(r);
        return;
    }

    at_us = sim.now_us + net_delay();

    if (at_us < r->from_us) {
        at_us = r->from_us;
    }

    r->from_us = at_us;
    sim_after(at_us - sim.now_us, link_come, cmd, r->proc);
}


static void
link_come(void *data)
{
    struct link_command  *cmd = data;
    struct redis         *r = cmd->redis;

    if (cmd->over || cmd->life != r->life || !r->proc->up) {
        return;
    }

    /* replies come in order: it is the first */

    r->first = cmd->next;

    if (r->first == NULL) {
        r->last = NULL;
    }

    r->count--;
    cmd->over = true;

    if (cmd->fn != NULL) {
        cmd->fn(cmd->reply, cmd->data);
    }
}


/* A stream has grown: whoever waits for it looks again. */
static void
link_unpark(void)
{
    int64_t               block_ms;
    struct redis_reply   *reply;
    struct link_command  *park, *cmd, **at;

    for (at = &link_parked; (park = *at) != NULL; ) {
        cmd = park->data;

        if (cmd->over || cmd->life != cmd->redis->life || cmd->reply != NULL) {
            *at = park->next;
            continue;
        }

        reply = redis_model_run(cmd->argv, cmd->argc, &block_ms);

        if (reply == NULL) {
            at = &park->next;
            continue;
        }

        *at = park->next;
        link_reply(cmd, reply);
    }
}


static void
link_park_over(void *data)
{
    struct link_command  *cmd = data;

    if (!cmd->over && cmd->life == cmd->redis->life && cmd->reply == NULL
        && link_up)
    {
        link_reply(cmd, sim_alloc(sizeof(*cmd->reply)));
    }
}
