/*
 * check: what must never happen, and what must have happened by the end
 */

#include "check_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "daemons.h"

struct check_counts   check_counts;
struct check_message  check_table[SIM_MESSAGES];
unsigned              check_count;
unsigned              check_epoch;
struct check_device   check_devices[SIM_DEVICES];

static int64_t               check_top[SIM_LOGS];       /* acked, this epoch */
static unsigned              check_truth[CHECK_EPOCHS][SIM_LOGS][CHECK_SEQS];
static char                  check_epochs[CHECK_EPOCHS][17];
static char                  check_text[256];
static const char           *check_what;
static int64_t               check_at_us;

static unsigned check_log(const struct client *c, unsigned log);
static int check_epoch_of(const struct client *c);
static void check_agree(unsigned epoch, unsigned log, int64_t seq,
    unsigned message);
static void check_begin(struct client *c, unsigned log, int64_t after);
static void check_inherit(unsigned log, const char *uid, const char *device,
    int64_t seq);


void
check_init(void)
{
    unsigned  i;

    memset(check_table, 0, sizeof(check_table[0]) * check_count);
    memset(check_top, 0, sizeof(check_top));
    memset(check_truth, 0, sizeof(check_truth));
    memset(check_devices, 0, sizeof(check_devices));
    memset(check_epochs, 0, sizeof(check_epochs));
    check_count = 1;                /* message 0 is none */
    check_epoch = 0;
    check_what = NULL;
    memcpy(check_epochs[0], base_epoch, sizeof(base_epoch));

    for (i = 0; i < SIM_DEVICES; i++) {
        check_devices[i].start[0] = check_devices[i].start[1] = -1;
    }
}


const char *
check_verdict(void)
{
    return check_what != NULL ? check_text : NULL;
}


const char *
check_kind(void)
{
    return check_what;
}


int64_t
check_time_us(void)
{
    return check_at_us;
}


bool
check_over(void)
{
    return check_what != NULL;
}


void
check_fail(const char *kind, const char *format, ...)
{
    va_list  args;

    if (check_what != NULL) {
        return;
    }

    check_what = kind;
    check_at_us = sim.now_us;

    va_start(args, format);
    vsnprintf(check_text, sizeof(check_text), format, args);
    va_end(args);

    sim_trace("VIOLATION %s: %s", kind, check_text);
    sim.phase = PHASE_OVER;
}


/* --- publishers ---------------------------------------------------------- */

unsigned
check_invoke(unsigned log, unsigned ttl_s)
{
    struct check_message  *m;

    if (check_count == SIM_MESSAGES) {
        return 0;
    }

    m = &check_table[check_count];
    memset(m, 0, sizeof(*m));
    m->log = log;
    m->invoked_us = sim.now_us;
    m->before = check_top[log];
    m->epoch = check_epoch;
    m->expires = ttl_s != 0 ? sim_unix_ms() / 1000 + ttl_s : 0;

    return check_count++;
}


void
check_ok(unsigned message, int64_t seq, unsigned epoch)
{
    struct check_message  *m = &check_table[message];

    sim_trace("publisher: message %u is %s@%lld", message,
              daemons_log(m->log).data, (long long) seq);

    if (m->ok_us != 0 && m->epoch == epoch) {
        check_counts.duplicates++;

        if (m->seq != seq) {
            check_fail("duplicated", "message %u was acked as %lld and %lld",
                       message, (long long) m->seq, (long long) seq);
        }

        return;
    }

    if (m->ok_us != 0 && m->epoch > epoch) {
        return;
    }

    if (m->epoch == epoch && seq <= m->before) {
        check_fail("reordered", "message %u has seq %lld, but %lld was acked "
                   "before it was published", message, (long long) seq,
                   (long long) m->before);
    }

    m->ok_us = sim.now_us;
    m->seq = seq;
    m->epoch = epoch;
    check_counts.acks++;
    check_agree(epoch, m->log, seq, message);

    if (epoch == check_epoch && seq > check_top[m->log]) {
        check_top[m->log] = seq;
    }
}


unsigned
check_now(void)
{
    return check_epoch;
}


const struct check_message *
check_message(unsigned message)
{
    return &check_table[message];
}


unsigned
check_messages(void)
{
    return check_count;
}


void
check_restored(void)
{
    check_epoch++;
    memcpy(check_epochs[check_epoch], base_epoch, sizeof(base_epoch));
    memset(check_top, 0, sizeof(check_top));
    base_acks(check_inherit);
}


/* The backup's cursors are those of then. */
static void
check_inherit(unsigned log, const char *uid, const char *device, int64_t seq)
{
    unsigned        i;
    struct client  *c;

    for (i = 0; i < client_count(); i++) {
        c = client_at(i);

        if (c->user == (unsigned) (uid[1] - '0')
            && strcmp(c->device, device) == 0)
        {
            check_devices[i].acked[check_epoch][log == SIM_ALL] = seq;
        }
    }
}


/* --- clients ------------------------------------------------------------- */

static unsigned
check_log(const struct client *c, unsigned log)
{
    return log == 1 ? SIM_ALL : c->user;
}


/* -1: it has not said, or been told, which history this is. */
static int
check_epoch_of(const struct client *c)
{
    unsigned  i;

    for (i = 0; i <= check_epoch; i++) {
        if (strcmp(check_epochs[i], c->epoch) == 0) {
            return (int) i;
        }
    }

    return check_epoch == 0 ? 0 : -1;
}


static void
check_agree(unsigned epoch, unsigned log, int64_t seq, unsigned message)
{
    unsigned  *truth;

    if (seq >= CHECK_SEQS) {
        return;
    }

    truth = &check_truth[epoch][log][seq];

    if (*truth != 0 && *truth != message) {
        check_fail("disagreement", "%s@%lld is message %u and message %u",
                   daemons_log(log).data, (long long) seq, *truth, message);
    }

    *truth = message;
}


void
check_connect(struct client *c)
{
    unsigned              log;
    struct check_device  *d = &check_devices[c->number];

    d->previous_us = d->connected_us;
    d->connected_us = sim.now_us;
    d->reset = false;

    if (c->epoch[0] == '\0' && d->epoch != check_epoch) {
        /* in this history it is a new device */
        memset(d->had, 0, sizeof(d->had));
        d->start[0] = d->start[1] = -1;
        d->pos[0] = d->pos[1] = -1;
    }

    d->epoch = check_epoch;
    d->seen[0] = d->seen[1] = -1;

    for (log = 0; log < FRAME_LOGS; log++) {
        check_acked(c, log, c->cursors[log]);
    }
}


/*
 * Delivery begins: nothing that was not acked may be left out, but what has
 * expired (a `void` may be lost with its connection).
 */
static void
check_begin(struct client *c, unsigned log, int64_t after)
{
    int64_t               seq;
    struct base_doc      *doc;
    struct check_device  *d = &check_devices[c->number];

    if (d->start[log] < 0) {
        d->start[log] = after;
        d->pos[log] = after;

        return;
    }

    for (seq = d->pos[log] + 1; c->cursors[log] < 0 && seq <= after; seq++) {
        doc = base_by_seq(check_log(c, log), seq, base_commit);

        if (doc == NULL || base_expired(doc)) {
            continue;
        }

        check_fail("lost", "device u%u.%s goes on after %lld of log %u, it "
                   "had %lld", c->user, c->device, (long long) after, log,
                   (long long) d->pos[log]);
    }
}


void
check_frame(struct client *c, const struct frame *f)
{
    int                   epoch;
    unsigned              log;
    struct check_device  *d = &check_devices[c->number];

    check_counts.frames++;
    log = check_log(c, f->log);

    sim_trace("client u%u.%s: %s@%lld is message %u", c->user, c->device,
              daemons_log(log).data, (long long) f->seq, f->message);

    if (f->message == 0 || f->message >= check_count) {
        check_fail("phantom", "message %u was never published", f->message);
        return;
    }

    if (f->foreign || check_table[f->message].log != log) {
        check_fail("crossed", "message %u of log %u reached u%u.%s",
                   f->message, check_table[f->message].log, c->user,
                   c->device);
        return;
    }

    if (d->seen[f->log] >= f->seq) {
        check_fail("duplicated", "%s@%lld came twice on a connection of "
                   "u%u.%s", daemons_log(log).data, (long long) f->seq,
                   c->user, c->device);
        return;
    }

    if ((d->seen[f->log] >= 0 && f->seq != d->seen[f->log] + 1)
        || (c->cursors[f->log] >= 0 && f->seq > c->cursors[f->log] + 1))
    {
        check_fail("reordered", "%s@%lld came after %lld to u%u.%s",
                   daemons_log(log).data, (long long) f->seq,
                   (long long) c->cursors[f->log], c->user, c->device);
        return;
    }

    d->seen[f->log] = f->seq;
    epoch = check_epoch_of(c);

    if (epoch >= 0) {
        check_agree((unsigned) epoch, log, f->seq, f->message);
    }

    check_begin(c, f->log, f->seq - 1);
}


void
check_app(struct client *c, const struct frame *f)
{
    struct check_device  *d = &check_devices[c->number];

    check_counts.app++;

    if (d->had[f->message] && c->kind != CLIENT_FORGETS) {
        check_fail("duplicated", "u%u.%s was given message %u twice", c->user,
                   c->device, f->message);
    }

    d->had[f->message] = 1;

    if (f->seq > d->pos[f->log]) {
        d->pos[f->log] = f->seq;
    }
}


void
check_void(struct client *c, const struct frame *f)
{
    int                    epoch;
    int64_t                seq;
    unsigned               log;
    struct base_doc       *doc;
    struct check_device   *d = &check_devices[c->number];

    check_counts.voids++;
    log = check_log(c, f->log);
    epoch = check_epoch_of(c);

    sim_trace("client u%u.%s: %s void %lld..%lld", c->user, c->device,
              daemons_log(log).data, (long long) f->seq, (long long) f->to);

    if ((d->seen[f->log] >= 0 && f->seq != d->seen[f->log] + 1)
        || (c->cursors[f->log] >= 0 && f->seq > c->cursors[f->log] + 1))
    {
        check_fail("reordered", "void %lld..%lld of log %u came after %lld to "
                   "u%u.%s", (long long) f->seq, (long long) f->to, log,
                   (long long) c->cursors[f->log], c->user, c->device);
        return;
    }

    d->seen[f->log] = f->to;
    check_begin(c, f->log, f->seq - 1);

    if (f->to > d->pos[f->log]) {
        d->pos[f->log] = f->to;
    }

    for (seq = f->seq; epoch == (int) check_epoch && seq <= f->to; seq++) {
        doc = base_by_seq(log, seq, base_commit);

        if (doc == NULL && seq > base_floor(log, base_commit)) {
            check_fail("hole", "%s@%lld was voided and was never there",
                       daemons_log(log).data, (long long) seq);

        } else if (doc != NULL && !base_expired(doc)) {
            check_fail("lost", "%s@%lld was voided and has not expired",
                       daemons_log(log).data, (long long) seq);
        }
    }
}


void
check_synced(struct client *c, const struct frame *f)
{
    sim_trace("client u%u.%s: synced, log %u at %lld", c->user, c->device,
              f->log, (long long) f->seq);

    if (c->cursors[f->log] != f->seq) {
        check_fail("reordered", "synced with %lld of log %u, u%u.%s has %lld",
                   (long long) f->seq, f->log, c->user, c->device,
                   (long long) c->cursors[f->log]);
        return;
    }

    if (check_devices[c->number].start[f->log] < 0) {
        check_devices[c->number].start[f->log] = f->seq;
        check_devices[c->number].pos[f->log] = f->seq;
    }
}


void
check_reset(struct client *c, const struct frame *f)
{
    unsigned              log;
    struct check_device  *d = &check_devices[c->number];

    check_counts.resets++;
    sim_trace("client u%u.%s: reset to %lld, %lld", c->user, c->device,
              (long long) f->cursors[0], (long long) f->cursors[1]);

    if (strcmp(c->epoch, f->epoch) == 0 && d->seen[0] < 0 && d->seen[1] < 0
        && d->reset)
    {
        return;                     /* a late answer said it again */
    }

    d->reset = true;

    if (strcmp(c->epoch, f->epoch) == 0
        || (c->epoch[0] == '\0' && check_epoch == 0))
    {
        check_fail("wrong-end", "u%u.%s was reset in its own history", c->user,
                   c->device);
        return;
    }

    memset(d->had, 0, sizeof(d->had));

    for (log = 0; log < FRAME_LOGS; log++) {
        d->start[log] = f->cursors[log];
        d->pos[log] = f->cursors[log];
        d->seen[log] = -1;
    }
}


void
check_close(struct client *c, unsigned code)
{
    struct check_device  *d = &check_devices[c->number];

    /*
     * Who connects twice within seconds, while an edge's way to Redis is slow,
     * may lose the newer connection: Redis' order decides, not the clocks.
     */
    if (code == 4003 && d->connected_us - d->previous_us < S(5)) {
        check_counts.replaced++;
        return;
    }

    if (code == 4400 || code == 4003
        || (code == 4008 && !(sim.mix.faults >> FAULT_SLOW & 1)))
    {
        check_fail("wrong-end", "u%u.%s was closed with %u", c->user,
                   c->device, code);
    }
}


void
check_acked(struct client *c, unsigned log, int64_t seq)
{
    int                   epoch;
    unsigned              i;
    struct check_device  *d = &check_devices[c->number];

    epoch = check_epoch_of(c);

    for (i = 0; i <= check_epoch; i++) {
        if ((epoch < 0 || i == (unsigned) epoch) && seq > d->acked[i][log]) {
            d->acked[i][log] = seq;
        }
    }
}
