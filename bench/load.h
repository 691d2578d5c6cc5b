/*
 * load: what the files of pushload share
 *
 *     pushload --> load_idle     connects and stays
 *              --> load_rate     one message a request: latency
 *              --> load_steady   batches, reconnects, commands: once, in order
 *
 * load_client.c is the client of all three, load_publisher.c publishes for the
 * last one, load_track.c knows what a device has seen, load_io.c has sockets,
 * files and figures.
 */

#ifndef LOAD_H
#define LOAD_H

#include "load_track.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_MAX      60000
#define OPENING_MAX     200         /* handshakes under way, but in a storm */
#define BUFFER_SIZE     8192
#define MS              UINT64_C(1000000)       /* nanoseconds */
#define EPOCH_MAX       64

/* LEAVING: both Closes are said, the end of the socket is waited for. */
enum state { IDLE, WAITING, CONNECTING, HANDSHAKE, JOINING, READY, LEAVING,
             FAILED };

enum { OWN, ALL, LOGS };

struct client {
    int                fd;
    enum state         state;
    unsigned           synced;      /* logs, on this connection */
    unsigned           failures;    /* in a row: for the back-off */
    uint32_t           retry_ms;    /* bye's; 0: none was heard */
    size_t             have;        /* bytes in buffer */
    char              *buffer;      /* NULL while not connected */
    char              *user;
    char              *token;
    uint64_t           due;         /* ns; WAITING: connect, LEAVING: give up,
                                       JOINING: give up, READY: ping */
    uint64_t           ready;       /* ns, since when */
    uint64_t           unacked;     /* seq to be acked by log at the end of */
    uint64_t           unacked_all; /* a read; 0: none */
    char               epoch[EPOCH_MAX];
    struct load_track  logs[LOGS];
    uint64_t           published;   /* messages made for this user */
};

struct samples {
    uint32_t  *us;
    size_t     n;
    size_t     room;
};

struct load {
    int                 epoll;
    struct sockaddr_in  to;
    struct sockaddr_in  from;       /* port 0: the system's choice */
    struct client      *clients;
    size_t              count;
    size_t              next;       /* to be opened for the first time */
    size_t              opening;
    size_t              opening_max;
    size_t              ready;
    size_t              failed;     /* for good, where nobody comes back */
    bool                returns;    /* who is closed comes back */
    uint64_t            looked;     /* ns, at what is due; */
    uint64_t            look_ns;    /* again after that */

    char                key[256];   /* of the API */

    uint64_t            received;   /* messages with a seq */
    uint64_t            doubled;
    uint64_t            reordered;
    uint64_t            gaps;
    uint64_t            foreign;    /* not what was published as that seq */
    uint64_t            voids;      /* and resets */
    uint64_t            opened;     /* 101 */
    uint64_t            refused;    /* handshakes, any other answer */
    uint64_t            lost;       /* connections without a Close */
    uint64_t            restarts;   /* Close 1012 or 1001 */
    uint64_t            closed;     /* any other Close */
    struct samples      samples;    /* all; live: due while its client was */
    struct samples      live;       /* connected */
};

/* --- load_io.c ----------------------------------------------------------- */

/* Says why and exits with 1. */
void load_die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

uint64_t load_now(void);            /* ns */
uint32_t load_random(uint32_t below);

/* IP:PORT, which is changed. */
void load_address(char *text, struct sockaddr_in *to);
/* Lines `user token`; l->clients and l->count, every log's track empty. */
void load_read_tokens(struct load *l, const char *path);
/* The first line `name:key`, into l->key. */
void load_read_key(struct load *l, const char *path);

/* Connects; its events come with data, EPOLLOUT when it is connected.  Ends the
   program when there is no socket, -1 when nobody listens. */
int load_open(struct load *l, void *data);
/* From now on it is read only. */
void load_opened(struct load *l, int fd, void *data);
/* What is sent is small against a socket's buffer: it goes at once or never. */
bool load_send(int fd, const char *data, size_t len);

/* The number behind name in a terminated text. */
bool load_number(const char *text, const char *name, uint64_t *value);

void load_samples_init(struct samples *s, size_t room);
/* A message that was due then is here now; beyond room it is not counted. */
void load_sample(struct samples *s, uint64_t due);
void load_sort(struct samples *s);
uint32_t load_quantile(const struct samples *sorted, double q);

/* --- load_client.c ------------------------------------------------------- */

/* Opens who is due, ends who does not answer, pings who is silent. */
void load_client_tick(struct load *l);
/* Something happened on its socket. */
void load_client_event(struct load *l, struct client *c, uint32_t events);
/* Its socket ends at once, half of them with RST; back after ms. */
void load_client_drop(struct load *l, struct client *c, uint32_t ms);
/* All are ready, or the program ends after so many seconds. */
void load_client_connect_all(struct load *l, unsigned seconds);

/* --- modes --------------------------------------------------------------- */

void load_idle(struct load *l);
void load_rate(struct load *l, uint64_t rate, uint64_t seconds);
void load_steady(struct load *l);

#endif
