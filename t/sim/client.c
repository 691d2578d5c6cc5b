/*
 * client: a device that follows clients/js/push.js
 */

#include "client.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "daemons.h"
#include "net.h"

#define CLIENT_ACK_MS      200
#define CLIENT_MIN_MS      500      /* back-off: its options */
#define CLIENT_MAX_MS      4000
#define CLIENT_PING_MS     20000    /* push_heartbeat_timeout 40s */
#define CLIENT_SILENT_MS   30000
#define CLIENT_FRAME_US    300

static struct client  clients[SIM_DEVICES];
static unsigned       clients_count;

static void client_connect(void *data);
static void client_arrive(void *data);
static void client_again(struct client *c, int64_t ms);
static void client_drop(struct client *c);
static void client_reconnect(struct client *c, const char *why);
static void client_message(struct client *c, const struct frame *f);
static void client_void(struct client *c, const struct frame *f);
static void client_synced(struct client *c, const struct frame *f);
static void client_reset(struct client *c, const struct frame *f);
static void client_close(struct client *c, unsigned code);
static void client_ack(struct client *c, unsigned log, int64_t seq);
static void client_flush(void *data);
static void client_ping(void *data);
static void client_silent(void *data);


void
client_init(void)
{
    unsigned        i, user, devices;
    struct client  *c;

    memset(clients, 0, sizeof(clients));
    clients_count = 0;

    for (user = 0; user < sim.mix.users; user++) {
        devices = 1 + sim_below(3);

        for (i = 0; i < devices; i++) {
            c = &clients[clients_count];
            c->number = clients_count++;
            c->user = user;
            c->kind = i == 2 ? CLIENT_NAMELESS
                      : sim.mix.faults >> FAULT_AMNESIA & 1 && sim_chance(300)
                      ? CLIENT_FORGETS : CLIENT_KEEPS;
            c->window = 4 + sim_below(sim_chance(500) ? 8 : 60);
            c->cursors[0] = c->cursors[1] = -1;
            snprintf(c->device, sizeof(c->device), "%s%.0u",
                     c->kind == CLIENT_NAMELESS ? "-" : "d",
                     c->kind == CLIENT_NAMELESS ? 0 : i + 1);
            c->retry.fn = client_connect;
            c->retry.data = c;
            c->ack.fn = client_flush;
            c->ack.data = c;
            c->ping.fn = client_ping;
            c->ping.data = c;
            c->silent.fn = client_silent;
            c->silent.data = c;
            sim_at(&c->retry, MS(500) + sim_below(3000000));
        }
    }
}


unsigned
client_count(void)
{
    return clients_count;
}


struct client *
client_at(unsigned i)
{
    return &clients[i];
}


int64_t
client_read_us(const struct client *c)
{
    int64_t  us;

    us = sim_about(CLIENT_FRAME_US);

    return c != NULL && c->slow_us > sim.now_us + us
           ? c->slow_us - sim.now_us : us;
}


/* --- connecting ---------------------------------------------------------- */

static void
client_connect(void *data)
{
    struct client  *c = data;

    if (c->socket == NULL) {
        sim_after(net_delay(), client_arrive, c, NULL);
    }
}


static void
client_arrive(void *data)
{
    struct frame   *f;
    struct client  *c = data;

    if (c->socket != NULL) {
        return;
    }

    if (!socket_open(c, sim_below(sim.mix.edges))) {
        client_again(c, -1);
        return;
    }

    if (c->kind == CLIENT_FORGETS) {
        c->cursors[0] = c->cursors[1] = -1;
        c->epoch[0] = '\0';
    }

    c->open = false;
    sim_at(&c->silent, sim.now_us + MS(CLIENT_SILENT_MS));
    check_connect(c);

    f = socket_frame(FRAME_HELLO);
    memcpy(f->epoch, c->epoch, sizeof(f->epoch));
    memcpy(f->cursors, c->cursors, sizeof(f->cursors));
    f->window = c->window;
    memcpy(f->device, c->device, sizeof(f->device));
    socket_send(c->socket, f);

    sim_at(&c->ping, sim.now_us + MS(CLIENT_PING_MS));
}


static void
client_again(struct client *c, int64_t ms)
{
    int64_t  limit_ms;

    limit_ms = CLIENT_MIN_MS << c->tries;

    if (limit_ms < CLIENT_MAX_MS) {
        c->tries++;

    } else {
        limit_ms = CLIENT_MAX_MS;
    }

    sim_at(&c->retry, sim.now_us + (ms >= 0 ? MS(ms)
                      : sim_below((uint32_t) MS(limit_ms))));
}


static void
client_drop(struct client *c)
{
    struct socket  *s = c->socket;

    c->open = false;
    c->acks[0] = c->acks[1] = 0;
    c->unacked = 0;
    sim_cancel(&c->ack);
    sim_cancel(&c->ping);
    sim_cancel(&c->silent);

    if (s != NULL) {
        socket_leave_client(s);
    }
}


static void
client_reconnect(struct client *c, const char *why)
{
    sim_trace("client %u.%s: reconnects, %s", c->user, c->device, why);
    client_drop(c);
    client_again(c, -1);
}


void
client_lost(struct client *c)
{
    client_reconnect(c, "lost");
}


void
client_flash(struct client *c)
{
    if (c->socket != NULL) {
        socket_break(c->socket);
        client_reconnect(c, "flash");
    }
}


/* It may notice at once, or when nothing has come for long. */
void
client_half_open(struct client *c)
{
    if (c->socket != NULL) {
        c->socket->half_open = true;
        sim_trace("client %u.%s: half-open", c->user, c->device);

        if (sim_chance(700)) {
            client_reconnect(c, "another network");
        }
    }
}


void
client_heal(void)
{
    unsigned  i;

    for (i = 0; i < clients_count; i++) {
        if (clients[i].slow_us > sim.now_us) {
            clients[i].slow_us = sim.now_us;

            if (clients[i].socket != NULL
                && clients[i].socket->first != NULL)
            {
                sim_at(&clients[i].socket->down, sim.now_us + 1000);
            }
        }
    }
}


static void
client_ping(void *data)
{
    struct client  *c = data;

    if (c->socket == NULL) {
        return;
    }

    if (!c->socket->half_open && c->slow_us <= sim.now_us) {
        sim_at(&c->silent, sim.now_us + MS(CLIENT_SILENT_MS));  /* a pong */
    }

    socket_send(c->socket, socket_frame(FRAME_PING));
    sim_at(&c->ping, sim.now_us + MS(CLIENT_PING_MS));
}


static void
client_silent(void *data)
{
    struct client  *c = data;

    if (c->slow_us > sim.now_us) {
        sim_at(&c->silent, c->slow_us + MS(CLIENT_SILENT_MS));

    } else if (c->socket != NULL) {
        client_reconnect(c, "silence");
    }
}


/* --- receiving ----------------------------------------------------------- */

void
client_receive(struct client *c, struct frame *f)
{
    sim_at(&c->silent, sim.now_us + MS(CLIENT_SILENT_MS));

    switch (f->kind) {

    case FRAME_WELCOME:
        c->open = true;
        c->tries = 0;
        break;

    case FRAME_MESSAGE:
        client_message(c, f);
        break;

    case FRAME_VOID:
        client_void(c, f);
        break;

    case FRAME_SYNCED:
        client_synced(c, f);
        break;

    case FRAME_RESET:
        client_reset(c, f);
        break;

    case FRAME_CLOSE:
        client_close(c, (unsigned) f->seq);
        break;

    default:
        break;
    }
}


static void
client_message(struct client *c, const struct frame *f)
{
    int64_t  had;

    had = c->cursors[f->log];
    check_frame(c, f);

    if (had >= 0 && f->seq > had + 1) {
        client_reconnect(c, "gap");
        return;
    }

    if (had < 0 || f->seq > had) {
        check_app(c, f);
        c->cursors[f->log] = f->seq;
    }

    client_ack(c, f->log, c->cursors[f->log]);
}


static void
client_void(struct client *c, const struct frame *f)
{
    int64_t  had;

    had = c->cursors[f->log];
    check_void(c, f);

    if (had >= 0 && f->seq > had + 1) {
        client_reconnect(c, "gap");
        return;
    }

    if (had < 0 || f->to > had) {
        c->cursors[f->log] = f->to;
    }
}


static void
client_synced(struct client *c, const struct frame *f)
{
    if (c->cursors[f->log] >= 0 && c->cursors[f->log] < f->seq) {
        check_synced(c, f);
        client_reconnect(c, "gap");
        return;
    }

    c->cursors[f->log] = f->seq;
    memcpy(c->epoch, f->epoch, sizeof(c->epoch));
    check_synced(c, f);
}


static void
client_reset(struct client *c, const struct frame *f)
{
    check_reset(c, f);

    memcpy(c->epoch, f->epoch, sizeof(c->epoch));
    memcpy(c->cursors, f->cursors, sizeof(c->cursors));
    c->acks[0] = c->acks[1] = 0;
}


static void
client_close(struct client *c, unsigned code)
{
    sim_trace("client %u.%s: closed %u", c->user, c->device, code);
    check_close(c, code);
    client_drop(c);

    /* after 4003 somebody has to reload the page */

    client_again(c, code == 4003 ? 2000 : code == 1012 ? (int64_t) sim_below(2000) : -1);
}


/* --- acks ---------------------------------------------------------------- */

static void
client_ack(struct client *c, unsigned log, int64_t seq)
{
    c->acks[log] = seq;

    if (++c->unacked >= (c->window + 3) / 4) {
        client_flush(c);

    } else if (c->ack.place == 0) {
        sim_at(&c->ack, sim.now_us + MS(CLIENT_ACK_MS));
    }
}


static void
client_flush(void *data)
{
    unsigned        log;
    struct frame   *f;
    struct client  *c = data;

    sim_cancel(&c->ack);
    c->unacked = 0;

    for (log = 0; log < FRAME_LOGS; log++) {
        if (c->acks[log] > 0 && c->socket != NULL) {
            f = socket_frame(FRAME_ACK);
            f->log = log;
            f->seq = c->acks[log];
            check_acked(c, log, f->seq);
            socket_send(c->socket, f);
        }

        c->acks[log] = 0;
    }
}
