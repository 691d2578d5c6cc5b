/*
 * load: what the two files of pushload share
 *
 * pushload.c publishes and measures, load_client.c connects and reads.
 */

#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_MAX      60000
#define PUBLISHERS      16          /* HTTP connections */
#define BUFFER_SIZE     8192

enum state { IDLE, CONNECTING, HANDSHAKE, JOINING, READY, FAILED };

struct client {
    int         fd;
    enum state  state;
    unsigned    synced;             /* logs: 2 when ready */
    size_t      have;               /* bytes in buffer */
    char       *buffer;             /* NULL while idle */
    char       *user;
    char       *token;
    uint64_t    last;               /* highest seq seen */
};

struct publisher {
    int       fd;
    uint64_t  due;                  /* of the message under way, 0: free */
    size_t    have;
    char      buffer[BUFFER_SIZE];
};

struct load {
    int                 epoll;
    struct sockaddr_in  to;
    struct client      *clients;
    size_t              count;
    size_t              next;       /* to be opened */
    size_t              opening;
    size_t              ready;
    size_t              failed;

    struct publisher    publishers[PUBLISHERS];
    char                key[256];
    uint64_t            sent;
    uint64_t            stored;
    uint64_t            refused;
    uint64_t            faults;     /* a seq that is not the last plus one */
    uint32_t           *samples;    /* microseconds */
    size_t              nsamples;
    size_t              room;
};

/* Says why and exits with 1. */
void load_die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

uint64_t load_now_ns(void);

/* Connects; its events come with data.  Ends the program when it cannot. */
int load_open(struct load *l, void *data, uint32_t events);

/* What is sent is small against a socket's buffer: it goes at once or never. */
bool load_send(int fd, const char *data, size_t len);

/* The number behind name in a terminated text. */
bool load_number(const char *text, const char *name, uint64_t *value);

/* A message that was due then has been read by its client now. */
void load_sample(struct load *l, uint64_t due);

/* Opens clients as long as few enough are under way. */
void load_client_open(struct load *l);

/* Something happened on its socket. */
void load_client_event(struct load *l, struct client *c, uint32_t events);

#endif
