/*
 * socket: a WebSocket between a client and an edge
 */

#include "socket.h"

#include "client.h"
#include "daemons.h"
#include "edge.h"
#include "net.h"

static void socket_down(void *data);
static void socket_up(void *data);
static void socket_edge_lost(void *data);
static void socket_client_lost(void *data);

struct socket_way {
    struct socket *s;
    struct frame  *f;
};


bool
socket_open(struct client *client, unsigned edge)
{
    struct socket  *s;

    if (!sim_proc(PLACE_EDGE + edge)->up) {
        return false;
    }

    s = sim_alloc(sizeof(*s));
    s->client = client;
    s->last = &s->first;
    s->down.fn = socket_down;
    s->down.data = s;
    client->socket = s;
    edge_accept(edge, s, client->user);

    return true;
}


struct frame *
socket_frame(enum frame_kind kind)
{
    struct frame  *f;

    f = sim_alloc(sizeof(*f));
    f->kind = kind;

    return f;
}


void
socket_write(struct socket *s, struct frame *f)
{
    *s->last = f;
    s->last = &f->next;
    s->count++;

    if (s->down.place == 0) {
        sim_at(&s->down, sim.now_us + client_read_us(s->client));
    }
}


bool
socket_room(const struct socket *s)
{
    return s->count < SOCKET_QUEUE;
}


static void
socket_down(void *data)
{
    struct frame   *f;
    struct socket  *s = data;

    f = s->first;

    if (f == NULL || s->half_open || s->client == NULL) {
        return;
    }

    s->first = f->next;
    s->count--;

    if (s->first == NULL) {
        s->last = &s->first;

    } else {
        sim_at(&s->down, sim.now_us + client_read_us(s->client));
    }

    if (s->conn != NULL && s->count == SOCKET_QUEUE / 2) {
        edge_room(s->conn);
    }

    if (s->client != NULL) {
        client_receive(s->client, f);
    }
}


void
socket_send(struct socket *s, struct frame *f)
{
    int64_t             at_us;
    struct socket_way  *way;

    at_us = sim.now_us + net_delay();

    if (at_us < s->up_us) {
        at_us = s->up_us;
    }

    s->up_us = at_us;
    way = sim_alloc(sizeof(*way));
    way->s = s;
    way->f = f;
    sim_after(at_us - sim.now_us, socket_up, way,
              s->conn != NULL ? edge_proc(s->conn) : NULL);
}


static void
socket_up(void *data)
{
    struct socket_way  *way = data;

    if (way->s->conn != NULL && !way->s->half_open) {
        edge_receive(way->s->conn, way->f);
    }
}


void
socket_break(struct socket *s)
{
    socket_leave_edge(s);
    socket_leave_client(s);
}


/* The edge finds out, unless nothing passes. */
void
socket_leave_client(struct socket *s)
{
    if (s->client != NULL) {
        s->client->socket = NULL;
        s->client = NULL;
        sim_cancel(&s->down);
    }

    if (s->conn != NULL && !s->half_open) {
        sim_after(net_delay(), socket_edge_lost, s, edge_proc(s->conn));
    }
}


void
socket_leave_edge(struct socket *s)
{
    s->conn = NULL;

    if (s->client != NULL && !s->half_open) {
        sim_after(net_delay() + sim_below(1000), socket_client_lost, s, NULL);
    }
}


static void
socket_edge_lost(void *data)
{
    struct socket  *s = data;

    if (s->conn != NULL) {
        edge_lost(s->conn);
    }
}


/* What was written before the end is read first. */
static void
socket_client_lost(void *data)
{
    struct socket  *s = data;

    if (s->client == NULL) {
        return;
    }

    if (s->first != NULL) {
        sim_after(MS(50), socket_client_lost, s, NULL);
        return;
    }

    client_lost(s->client);
}
