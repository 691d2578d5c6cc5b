/*
 * check: what must never happen, and what must have happened by the end
 *
 *     invoke, ok ---------------+
 *     frame, app, void, ack ----+--> the first violation ends the run
 *     the store, at the end ----+
 *
 *     lost          acked, not expired, not voided, and a device never had it;
 *                   or a void for a message that lives
 *     duplicated    a key with two seqs; the app called twice for a message;
 *                   a seq twice on a connection
 *     reordered     seq is not the previous one + 1; or acked before another
 *                   was published, with a higher seq
 *     crossed       somebody else's message
 *     disagreement  (epoch, log, seq) is two messages
 *     phantom       a message that nobody published
 *     hole          the log is not floor + 1 .. tip
 *     false-ack     a stored cursor above what the device acked
 *     wrong-end     4400; 4003 and no newer connection; 4008 to who reads;
 *                   reset without another epoch
 *     liveness      not there so long after all faults have ended
 */

#ifndef CHECK_H
#define CHECK_H

#include "client.h"

#define CHECK_SETTLE_MS  60000      /* all is there so long after the faults: a
                                       repeat waits 30 s + 50 %, no less */
#define CHECK_PACE_MS    10000      /* more after a collector's crash */
#define CHECK_CALM_MS    5000       /* when nothing has been broken for long */
#define CHECK_ACK_MS     15000      /* the publishers are answered again */

struct check_message {
    unsigned log;
    int64_t  invoked_us;
    int64_t  ok_us;                 /* 0: not acked */
    int64_t  seq;                   /* as acked */
    int64_t  before;                /* highest seq acked when it was invoked */
    int64_t  expires;               /* s, roughly; 0: never */
    unsigned epoch;                 /* of the ack: 0, 1 after a restore */
    uint32_t ready;                 /* calm: bits of devices that lack nothing
                                       when it is published */
};

void check_init(void);

/* The first violation; NULL: none. */
const char *check_verdict(void);
const char *check_kind(void);
int64_t check_time_us(void);

void check_fail(const char *kind, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Publishers. */
unsigned check_invoke(unsigned log, unsigned ttl_s);
/* epoch: check_now() when the collector said it. */
void check_ok(unsigned message, int64_t seq, unsigned epoch);
unsigned check_now(void);
const struct check_message *check_message(unsigned message);
unsigned check_messages(void);

/* Clients. */
void check_connect(struct client *c);
void check_frame(struct client *c, const struct frame *f);
void check_app(struct client *c, const struct frame *f);
void check_void(struct client *c, const struct frame *f);
void check_synced(struct client *c, const struct frame *f);
void check_reset(struct client *c, const struct frame *f);
void check_close(struct client *c, unsigned code);
void check_acked(struct client *c, unsigned log, int64_t seq);

/* The store has another epoch from now on. */
void check_restored(void);

/* All that was acked is where it must be; the store itself. */
void check_settled(void);
/* The same, earlier, of those who lack something and do not even ask. */
void check_idle(void);
void check_store(void);
/* An ack is written: nobody may have acked less. */
void check_cursor(unsigned log, const char *uid, const char *device,
    int64_t seq);
/* A message of the calm phase. */
void check_calm_begins(unsigned message);
void check_calm(unsigned message);

struct check_counts {
    uint64_t acks, app, frames, voids, resets, duplicates, replaced;
};

extern struct check_counts  check_counts;

#endif
