/*
 * socket: a WebSocket between a client and an edge
 *
 *     edge --frames, in order--> queue --> client      client --frames--> edge
 *
 * in:   frames of both sides.  out: the same, later; or the end
 * owns: what is on the way
 */

#ifndef SIM_SOCKET_H
#define SIM_SOCKET_H

#include "sim.h"

#define SOCKET_QUEUE  16            /* messages that wait: then it is full */

struct client;
struct edge_conn;

enum frame_kind {
    FRAME_HELLO, FRAME_ACK, FRAME_PING,
    FRAME_WELCOME, FRAME_MESSAGE, FRAME_VOID, FRAME_SYNCED, FRAME_RESET,
    FRAME_CLOSE
};

#define FRAME_LOGS  2               /* a connection's: its own, `all` */

struct frame {
    struct frame   *next;
    enum frame_kind kind;
    unsigned        log;            /* 0: own, 1: `all` */
    int64_t         seq;            /* from; close: the code */
    int64_t         to;
    unsigned        message;        /* whose body it is */
    bool            foreign;        /* the frame's own id says another log */
    char            epoch[17];      /* empty: none */
    int64_t         cursors[FRAME_LOGS];    /* hello: -1 none; reset: floors */
    unsigned        window;
    char            device[8];
};

struct socket {
    struct edge_conn *conn;         /* NULL: the edge's side is gone */
    struct client    *client;       /* NULL: the client's side is gone */
    bool              half_open;    /* nothing passes, nobody is told */
    struct frame     *first;        /* to the client */
    struct frame    **last;
    unsigned          count;
    struct sim_event  down;
    int64_t           up_us;        /* arrival of the last frame at the edge */
};

/* The edge accepts; false: it is not there. */
bool socket_open(struct client *client, unsigned edge);

struct frame *socket_frame(enum frame_kind kind);
void socket_write(struct socket *s, struct frame *f);
bool socket_room(const struct socket *s);
void socket_send(struct socket *s, struct frame *f);

/* Both sides learn of it, the edge a bit later. */
void socket_break(struct socket *s);
/* One side goes; the other learns of it if it can. */
void socket_leave_client(struct socket *s);
void socket_leave_edge(struct socket *s);

#endif
