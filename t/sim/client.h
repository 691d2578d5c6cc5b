/*
 * client: a device that follows clients/js/push.js
 *
 *     connect --hello--> welcome, messages, voids, synced --> cursors, acks
 *        ^                                             |
 *        +------------- back-off <-- lost, gap, closed-+
 *
 * in:   frames.  out: frames; what the app was given goes to the checker
 * owns: the cursors, as its storage does
 */

#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "socket.h"

enum client_kind {
    CLIENT_KEEPS,                   /* a device with a storage */
    CLIENT_FORGETS,                 /* a device that was reloaded without */
    CLIENT_NAMELESS                 /* device "-", cursors in memory */
};

struct client {
    unsigned         number;        /* of all devices */
    unsigned         user;
    enum client_kind kind;
    char             device[8];
    unsigned         window;

    int64_t          cursors[FRAME_LOGS];       /* -1: none */
    char             epoch[17];
    struct socket   *socket;        /* NULL: not connected */
    bool             open;          /* welcome came */
    unsigned         tries;
    int64_t          acks[FRAME_LOGS];          /* to be sent, 0: none */
    unsigned         unacked;
    struct sim_event ack;
    struct sim_event retry;
    struct sim_event ping;
    struct sim_event silent;
    int64_t          slow_us;       /* reads nothing until then */
};

void client_init(void);
unsigned client_count(void);
struct client *client_at(unsigned i);

/* When the next frame is taken from the socket. */
int64_t client_read_us(const struct client *c);

/* From the socket. */
void client_receive(struct client *c, struct frame *f);
void client_lost(struct client *c);

/* The nemesis: its network goes; or goes without a word. */
void client_flash(struct client *c);
void client_half_open(struct client *c);

/* All may read again. */
void client_heal(void);

#endif
