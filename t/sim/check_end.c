/*
 * check_end: what must have happened when all faults are over
 *
 * in:   what the checker remembers, the store.  out: a violation
 */

#include "check_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemons.h"
#include "edge.h"

static void check_delivered(unsigned m, const struct base_doc *d);


void
check_settled(void)
{
    unsigned               m;
    char                   key[16];
    struct base_doc       *doc;
    struct check_message  *message;

    for (m = 1; m < check_count && !check_over(); m++) {
        message = &check_table[m];

        if (message->ok_us == 0) {

            if (message->invoked_us > sim.heal_us - MS(CHECK_ACK_MS)) {
                check_fail("liveness", "message %u was never acked", m);
            }

            continue;
        }

        snprintf(key, sizeof(key), "k%u", m);
        doc = base_by_key(message->log,
                          (struct push_str) { key, strlen(key) }, base_commit);

        if (message->epoch != check_epoch) {
            continue;               /* what the backup had not is gone */
        }

        if (doc == NULL) {

            if (message->expires == 0
                || message->expires > sim_unix_ms() / 1000)
            {
                check_fail("lost", "message %u was acked as %lld and is not "
                           "in the store", m, (long long) message->seq);
            }

        } else if (doc->seq != message->seq) {
            check_fail("duplicated", "message %u was acked as %lld and is "
                       "%lld", m, (long long) message->seq,
                       (long long) doc->seq);

        } else {
            check_delivered(m, doc);
        }
    }
}


void
check_idle(void)
{
    unsigned               i, m, log;
    struct client         *c;
    struct check_device   *d;
    struct check_message  *message;

    for (m = 1; m < check_count && !check_over(); m++) {
        message = &check_table[m];

        if (message->ok_us == 0 || message->ok_us > sim.now_us - S(10)
            || message->expires != 0 || message->epoch != check_epoch)
        {
            continue;
        }

        log = message->log == SIM_ALL;

        for (i = 0; i < client_count(); i++) {
            c = client_at(i);
            d = &check_devices[i];

            if ((log || c->user == message->log) && c->open
                && c->socket->conn != NULL && !c->socket->half_open
                && d->connected_us < sim.now_us - S(25)
                && !edge_asking(c->socket->conn, log)
                && d->start[log] >= 0 && message->seq > d->pos[log])
            {
                check_fail("liveness", "u%u.%s has not got message %u, "
                           "%s@%lld, and does not ask", c->user, c->device, m,
                           daemons_log(message->log).data,
                           (long long) message->seq);
                return;
            }
        }
    }
}


static void
check_delivered(unsigned m, const struct base_doc *doc)
{
    unsigned               i, log;
    struct client         *c;
    struct check_device   *d;

    for (i = 0; i < client_count(); i++) {
        c = client_at(i);
        d = &check_devices[i];
        log = doc->log == SIM_ALL;

        if ((!log && c->user != doc->log) || d->start[log] < 0
            || doc->seq <= d->start[log])
        {
            continue;
        }

        /* that it is gone may be told with the next message */

        if (!d->had[m] && !base_expired(doc)) {
            check_fail(d->pos[log] >= doc->seq ? "lost" : "liveness",
                       "u%u.%s has not got message %u, %s@%lld (it is at "
                       "%lld%s)", c->user, c->device, m,
                       daemons_log(doc->log).data, (long long) doc->seq,
                       (long long) d->pos[log],
                       c->socket != NULL ? "" : ", not connected");
            return;
        }
    }
}


/* Who is connected and lacks nothing must get it at once. */
void
check_calm_begins(unsigned message)
{
    unsigned               i, log;
    struct client         *c;
    struct check_device   *d;
    struct check_message  *m = &check_table[message];

    log = m->log == SIM_ALL;

    for (i = 0; i < client_count(); i++) {
        c = client_at(i);
        d = &check_devices[i];

        if ((log || c->user == m->log) && c->open
            && c->socket->conn != NULL && !edge_asking(c->socket->conn, log)
            && d->connected_us < sim.now_us - S(5) && d->start[log] >= 0
            && d->pos[log] >= base_tip(m->log, base_commit))
        {
            m->ready |= 1u << i;
        }
    }
}


void
check_calm(unsigned message)
{
    unsigned               i;
    struct client         *c;
    struct check_device   *d;
    struct check_message  *m = &check_table[message];

    if (m->ok_us == 0) {
        check_fail("liveness", "message %u, of a calm time, was not acked",
                   message);
        return;
    }

    for (i = 0; i < client_count(); i++) {
        c = client_at(i);
        d = &check_devices[i];

        if ((m->ready >> i & 1) && !d->had[message] && c->open
            && d->connected_us < m->invoked_us)
        {
            check_fail("liveness", "u%u.%s has not got message %u, %s@%lld, "
                       "of a calm time", c->user, c->device, message,
                       daemons_log(m->log).data, (long long) m->seq);
            return;
        }
    }
}


void
check_store(void)
{
    int64_t           seq;
    unsigned          log, m, twice;
    char              key[16];
    struct base_doc  *d;

    for (log = 0; log < SIM_LOGS; log++) {
        for (seq = base_floor(log, base_commit) + 1;
             seq <= base_tip(log, base_commit) && !check_over()
             && seq < CHECK_SEQS;
             seq++)
        {
            if (base_by_seq(log, seq, base_commit) == NULL) {
                check_fail("hole", "%s@%lld is not there, the tip is %lld",
                           daemons_log(log).data, (long long) seq,
                           (long long) base_tip(log, base_commit));
            }
        }
    }

    for (m = 1; m < check_count && !check_over(); m++) {
        snprintf(key, sizeof(key), "k%u", m);
        d = base_by_key(check_table[m].log,
                        (struct push_str) { key, strlen(key) }, base_commit);

        for (twice = 0; d != NULL; d = d->by_key) {
            twice += d->log == check_table[m].log && d->made <= base_commit
                     && d->deleted > base_commit && strlen(key) == d->key.len
                     && memcmp(key, d->key.data, d->key.len) == 0;
        }

        if (twice > 1) {
            check_fail("duplicated", "message %u is stored %u times", m,
                       twice);
        }
    }

    base_acks(check_cursor);
}


void
check_cursor(unsigned log, const char *uid, const char *device, int64_t seq)
{
    int64_t               most;
    unsigned              i, own;
    struct client        *c;
    struct base_doc      *doc;
    struct check_device  *d;

    own = log == SIM_ALL;

    for (i = 0, most = 0; i < client_count(); i++) {
        c = client_at(i);
        d = &check_devices[i];

        if (c->user == (unsigned) (uid[1] - '0')
            && strcmp(c->device, device) == 0
            && d->acked[check_epoch][own] > most)
        {
            most = d->acked[check_epoch][own];
        }
    }

    /* what was voided behind the last ack counts as told */

    while (most < seq && (doc = base_by_seq(log, most + 1, base_commit),
                          doc == NULL || base_expired(doc)))
    {
        most++;
    }

    if (seq > most) {
        check_fail("false-ack", "the cursor of %s.%s in log %u is %lld, it "
                   "acked %lld", uid, device, log, (long long) seq,
                   (long long) most);
    }
}
