/*
 * loop: what the daemons' code finds around it, in virtual time
 *
 *     event_add, event_active --> the simulator's events --> callbacks
 *     daemon_monotonic_ms ------> the virtual clock
 *     log_write ----------------> the trace
 *
 * in:   calls of libevent, common/daemon, common/log, common/conf.  out: the
 *       same, played.  owns: events
 *
 * An event_base is a process: it ends with it, and stops when it is stopped.
 */

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "daemon.h"
#include "log.h"
#include "sim.h"

#define LOOP_TURN_US  20            /* from event_active() to the callback */

struct event {
    struct sim_event  timer;
    event_callback_fn fn;
    void             *data;
    int64_t           period_us;    /* of EV_PERSIST */
    short             what;
    struct sim_proc  *proc;
};

static void loop_fire(void *data);


struct event *
event_new(struct event_base *base, evutil_socket_t fd, short what,
    event_callback_fn fn, void *data)
{
    struct event  *e;

    (void) fd;

    e = sim_alloc(sizeof(*e));
    e->fn = fn;
    e->data = data;
    e->what = what;
    e->proc = (struct sim_proc *) base;
    e->timer.fn = loop_fire;
    e->timer.data = e;
    e->timer.proc = e->proc;

    return e;
}


int
event_add(struct event *e, const struct timeval *tv)
{
    int64_t  us;

    if (tv == NULL || !e->proc->up) {
        return 0;
    }

    us = (int64_t) tv->tv_sec * 1000000 + tv->tv_usec;
    e->period_us = e->what & EV_PERSIST ? us : 0;
    sim_at(&e->timer, sim.now_us + us);

    return 0;
}


void
event_active(struct event *e, int what, short calls)
{
    (void) what;
    (void) calls;

    if (e->proc->up && (e->timer.place == 0
                        || e->timer.at_us > sim.now_us + LOOP_TURN_US))
    {
        sim_at(&e->timer, sim.now_us + LOOP_TURN_US);
    }
}


void
event_free(struct event *e)
{
    sim_cancel(&e->timer);
}


static void
loop_fire(void *data)
{
    struct event  *e = data;

    if (!e->proc->up) {
        return;
    }

    if (e->period_us > 0) {
        sim_at(&e->timer, sim.now_us + e->period_us);
    }

    e->fn(-1, EV_TIMEOUT, e->data);
}


int64_t
daemon_monotonic_ms(void)
{
    return sim.now_us / 1000 + 1000000;
}


int64_t
daemon_unix_ms(void)
{
    return sim_unix_ms();
}


void
log_write(struct log *log, enum log_level level, const char *event,
    const char *format, ...)
{
    char     text[512];
    va_list  args;

    if (!sim.trace || level > LOG_LEVEL_INFO) {
        return;
    }

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    sim_tracef("%s: %s %s", log->daemon, event, text);
}


int
conf_read_secrets(const char *path, struct conf_secrets *secrets, char *text,
    size_t size)
{
    (void) path;
    (void) text;
    (void) size;

    memset(secrets, 0, sizeof(*secrets));
    memcpy(secrets->text[0], "0123456789abcdef", 16);
    secrets->count = 1;

    return PUSH_OK;
}


bool
conf_secrets_match(const struct conf_secrets *secrets, const char *given)
{
    (void) secrets;
    (void) given;

    return true;
}
