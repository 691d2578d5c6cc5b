/*
 * load_client: the clients of pushload, which speak push.v1 to its end
 *
 *     WAITING --due--> CONNECTING --> HANDSHAKE --101--> JOINING --synced of
 *        ^                                                  |   each log
 *        |              retry_ms or back-off                v
 *        +------- LEAVING <--Close, echoed--------------- READY: ack, ping
 *
 * in:   events of a client's socket, the time
 * out:  counters and samples in the load; FAILED where nobody is to come back
 * owns: the client's socket, buffer and tracks
 */

#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS       20000       /* for 101, welcome and synced */
#define LEAVING_MS      3000        /* for the end of the socket */
#define PING_MS         25000       /* below the 30 s that welcome asks for */
#define BACK_OFF_MS     100         /* the first wait, doubled each time */
#define BACK_OFF_MAX    8000
#define DRAIN_BACK_MS   2200        /* for who heard 1012 and no bye */

#define WS_KEY          "dGhlIHNhbXBsZSBub25jZQ=="
#define TEXT            0x81
#define CLOSE           0x88

/* A masked frame; the mask is zero, so the payload stays as it is. */
static bool
send_frame(int fd, int head, const char *data, size_t len)
{
    char    frame[512];
    size_t  at = 2;

    if (len + 8 > sizeof(frame)) {
        return false;
    }

    frame[0] = (char) head;

    if (len < 126) {
        frame[1] = (char) (0x80 | len);

    } else {
        frame[1] = (char) (0x80 | 126);
        frame[2] = (char) (len >> 8);
        frame[3] = (char) len;
        at = 4;
    }

    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, data, len);

    return load_send(fd, frame, at + 4 + len);
}

/* --- the ends of a connection -------------------------------------------- */

static void
disconnect(struct load *l, struct client *c)
{
    switch (c->state) {
    case CONNECTING: case HANDSHAKE: case JOINING:
        l->opening--;
        break;
    case READY:
        l->ready--;
        break;
    default:
        break;
    }

    if (c->fd != -1) {
        close(c->fd);
        c->fd = -1;
    }

    free(c->buffer);
    c->buffer = NULL;
    c->have = 0;
    c->unacked = c->unacked_all = 0;
}

static void
back_in(struct load *l, struct client *c, uint32_t ms)
{
    disconnect(l, c);
    c->state = WAITING;
    c->due = load_now() + ms * MS;
}

/* It does not go on: again later, or never. */
static void
client_ended(struct load *l, struct client *c, const char *why)
{
    uint32_t ms = BACK_OFF_MS << (c->failures < 7 ? c->failures : 7);

    if (!l->returns) {
        if (l->failed++ < 5) {
            fprintf(stderr, "pushload: %s: %s\n", c->user, why);
        }

        disconnect(l, c);
        c->state = FAILED;
        return;
    }

    c->failures++;
    ms = ms < BACK_OFF_MAX ? ms : BACK_OFF_MAX;
    back_in(l, c, c->retry_ms ? c->retry_ms : ms / 2 + load_random(ms / 2));
}

/* It broke, or was never made. */
static void
client_failed(struct load *l, struct client *c, const char *why)
{
    l->lost++;
    client_ended(l, c, why);
}

/* The handshake has another answer than 101. */
static void
client_refused(struct load *l, struct client *c)
{
    c->buffer[12] = '\0';                   /* HTTP/1.1 503 */

    if (l->refused++ < 5 && l->returns) {
        fprintf(stderr, "pushload: %s: %s\n", c->user, c->buffer);
    }

    client_ended(l, c, c->buffer);
}

/* The server's Close: it is echoed, and the server ends the socket. */
static void
client_closed(struct load *l, struct client *c, const unsigned char *p,
    size_t len)
{
    unsigned code = len >= 2 ? (unsigned) p[0] << 8 | p[1] : 1005;

    if (!l->returns) {
        client_failed(l, c, "closed by the server");
        return;
    }

    if (code == 1012 || code == 1001) {
        l->restarts++;

    } else if (l->closed++ < 5) {
        fprintf(stderr, "pushload: %s: Close %u %.*s\n", c->user, code,
            (int) (len > 2 ? len - 2 : 0), (const char *) p + 2);
    }

    send_frame(c->fd, CLOSE, (const char *) p, len >= 2 ? 2 : 0);

    if (c->state == READY) {
        l->ready--;

    } else {
        l->opening--;
    }

    if (c->retry_ms == 0) {
        c->retry_ms = 200 + load_random(DRAIN_BACK_MS);
    }

    c->state = LEAVING;
    c->due = load_now() + LEAVING_MS * MS;
}

void
load_client_drop(struct load *l, struct client *c, uint32_t ms)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    if (c->fd != -1 && load_random(2)) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }

    back_in(l, c, ms);
}

/* --- the beginning ------------------------------------------------------- */

static void
client_open(struct load *l, struct client *c)
{
    c->buffer = malloc(BUFFER_SIZE);
    if (c->buffer == NULL) {
        load_die("out of memory");
    }

    c->synced = 0;
    c->retry_ms = 0;
    c->have = 0;
    c->state = CONNECTING;
    c->due = load_now() + ANSWER_MS * MS;
    l->opening++;
    c->fd = load_open(l, c);

    if (c->fd == -1) {
        client_failed(l, c, "nobody listens");
    }
}

static void
client_connected(struct load *l, struct client *c)
{
    char  text[BUFFER_SIZE];
    int   len;

    len = snprintf(text, sizeof(text),
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: " WS_KEY "\r\nSec-WebSocket-Protocol: push.v1\r\n"
        "Authorization: Bearer %s\r\n\r\n", c->token);

    load_opened(l, c->fd, c);
    c->state = HANDSHAKE;

    if (!load_send(c->fd, text, (size_t) len)) {
        client_failed(l, c, "cannot send the handshake");
    }
}

/* The hello; with cursors, once the logs are known. */
static void
client_upgraded(struct load *l, struct client *c)
{
    char  text[384];
    int   len;

    len = snprintf(text, sizeof(text),
        "{\"type\":\"hello\",\"device\":\"0f8fad5b-d9cb-469f-a165-7086%08zx\"",
        (size_t) (c - l->clients));

    if (c->logs[OWN].begun && c->logs[ALL].begun) {
        len += snprintf(text + len, sizeof(text) - (size_t) len,
            ",\"epoch\":\"%s\",\"cursors\":{\"user\":%llu,\"all\":%llu}",
            c->epoch, (unsigned long long) c->logs[OWN].last,
            (unsigned long long) c->logs[ALL].last);
    }

    text[len++] = '}';
    l->opened++;
    c->state = JOINING;

    if (!send_frame(c->fd, TEXT, text, (size_t) len)) {
        client_failed(l, c, "cannot send the hello");
    }
}

static void
client_ready(struct load *l, struct client *c)
{
    c->state = READY;
    c->failures = 0;
    c->ready = load_now();
    c->due = c->ready + load_random(PING_MS) * MS;
    l->opening--;
    l->ready++;
}

/* --- frames -------------------------------------------------------------- */

static void
client_synced(struct load *l, struct client *c, const char *text)
{
    int          log = strstr(text, "\"log\":\"user\"") != NULL ? OWN : ALL;
    uint64_t     seq = 0;
    const char  *epoch = strstr(text, "\"epoch\":\"");

    load_number(text, "\"seq\":", &seq);

    if (epoch != NULL) {
        epoch += strlen("\"epoch\":\"");
        snprintf(c->epoch, sizeof(c->epoch), "%.*s",
            (int) strcspn(epoch, "\""), epoch);
    }

    if (!c->logs[log].begun) {
        load_track_begin(&c->logs[log], seq);
    }

    c->synced |= 1u << log;

    if (c->state == JOINING && c->synced == (1u << LOGS) - 1) {
        client_ready(l, c);
    }
}

/* Messages of a log were published with n from 1 on, so n is the number. */
static void
client_message(struct load *l, struct client *c, const char *text)
{
    int                 log;
    uint64_t            seq = 0, due = 0, n = 0;
    struct load_track  *t;

    if (!load_number(text, "\"seq\":", &seq)) {
        return;
    }

    log = strstr(text, "\"log\":\"user\"") != NULL ? OWN : ALL;
    t = &c->logs[log];
    l->received++;

    switch (load_track_seen(t, seq)) {
    case LOAD_TRACK_NEXT:
        break;
    case LOAD_TRACK_GAP:
        l->gaps++;
        break;
    case LOAD_TRACK_REORDERED:
        l->reordered++;
        break;
    case LOAD_TRACK_DOUBLED:
    case LOAD_TRACK_BEFORE:
        l->doubled++;
        break;
    }

    if (load_number(text, "\"n\":", &n) && n != seq - t->base) {
        l->foreign++;
    }

    if (load_number(text, "\"data\":{\"t\":", &due) && due != 0) {
        load_sample(&l->samples, due);

        if (c->state == READY && due > c->ready) {
            load_sample(&l->live, due);
        }
    }

    if (log == OWN) {
        c->unacked = t->last;

    } else {
        c->unacked_all = t->last;
    }
}

static bool
is_type(const char *text, const char *type)
{
    size_t len = strlen(type);

    return strncmp(text, "{\"type\":\"", 9) == 0
           && strncmp(text + 9, type, len) == 0 && text[9 + len] == '"';
}

/* text is terminated; the frame before it is not looked at again. */
static void
client_text(struct load *l, struct client *c, const char *text)
{
    uint64_t ms;

    if (is_type(text, "message")) {
        client_message(l, c, text);

    } else if (is_type(text, "synced")) {
        client_synced(l, c, text);

    } else if (is_type(text, "bye")
               && load_number(text, "\"retry_ms\":", &ms))
    {
        c->retry_ms = ms < 600000 ? (uint32_t) ms : 600000;

    } else if (is_type(text, "void") || is_type(text, "reset")) {
        l->voids++;
    }
}

static void
client_ack(struct load *l, struct client *c, const char *log, uint64_t seq)
{
    char  ack[128];
    int   len;

    if (seq == 0 || (c->state != READY && c->state != JOINING)) {
        return;
    }

    len = snprintf(ack, sizeof(ack),
        "{\"type\":\"ack\",\"log\":\"%s\",\"seq\":%llu}", log,
        (unsigned long long) seq);

    if (!send_frame(c->fd, TEXT, ack, (size_t) len)) {
        client_failed(l, c, "cannot send an ack");
    }
}

/* Whole frames out of the buffer. */
static void
client_frames(struct load *l, struct client *c)
{
    size_t at = 0;

    while (c->have - at >= 2) {
        unsigned char *p = (unsigned char *) c->buffer + at;
        size_t         head = 2, len = p[1];
        unsigned char  kept;

        if (len == 126) {
            if (c->have - at < 4) {
                break;
            }

            len = (size_t) p[2] << 8 | p[3];
            head = 4;
        }

        if (p[1] == 127 || head + len >= BUFFER_SIZE) {
            client_failed(l, c, "a frame that is too long");
            return;
        }

        if (c->have - at < head + len) {
            break;
        }

        if ((p[0] & 15) == 8) {
            client_closed(l, c, p + head, len);
            return;
        }

        kept = p[head + len];               /* the buffer has one byte more */
        p[head + len] = '\0';
        client_text(l, c, (char *) p + head);
        p[head + len] = kept;
        at += head + len;
    }

    memmove(c->buffer, c->buffer + at, c->have - at);
    c->have -= at;

    client_ack(l, c, "user", c->unacked);
    client_ack(l, c, "all", c->unacked_all);
    c->unacked = c->unacked_all = 0;
}

static void
client_handshake(struct load *l, struct client *c)
{
    char *end;

    c->buffer[c->have] = '\0';
    end = strstr(c->buffer, "\r\n\r\n");

    if (end == NULL) {
        return;
    }

    if (strncmp(c->buffer, "HTTP/1.1 101 ", 13) != 0) {
        client_refused(l, c);
        return;
    }

    end += 4;
    c->have -= (size_t) (end - c->buffer);
    memmove(c->buffer, end, c->have);
    client_upgraded(l, c);
}

static void
client_read(struct load *l, struct client *c)
{
    ssize_t n;

    n = recv(c->fd, c->buffer + c->have, BUFFER_SIZE - 1 - c->have, 0);

    if (c->state == LEAVING) {
        c->have = 0;                        /* nothing counts behind a Close */

        if (n == 0 || (n == -1 && errno != EAGAIN)) {
            back_in(l, c, c->retry_ms);
        }

        return;
    }

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            client_failed(l, c, "lost");
        }

        return;
    }

    c->have += (size_t) n;

    if (c->state == HANDSHAKE) {
        client_handshake(l, c);
    }

    if (c->state == JOINING || c->state == READY) {
        client_frames(l, c);
    }
}

void
load_client_event(struct load *l, struct client *c, uint32_t events)
{
    if (c->state == CONNECTING && (events & (EPOLLERR | EPOLLHUP))) {
        client_failed(l, c, "cannot connect");

    } else if (c->state == CONNECTING && (events & EPOLLOUT)) {
        client_connected(l, c);

    } else if (c->fd != -1) {
        client_read(l, c);
    }
}

/* --- the time ------------------------------------------------------------ */

static void
client_tick(struct load *l, struct client *c, uint64_t now)
{
    switch (c->state) {

    case WAITING:
        if (l->opening < l->opening_max) {
            client_open(l, c);
        }
        break;

    case CONNECTING: case HANDSHAKE: case JOINING:
        client_failed(l, c, "no answer");
        break;

    case READY:
        c->due = now + PING_MS * MS;

        if (!send_frame(c->fd, TEXT, "{\"type\":\"ping\"}", 15)) {
            client_failed(l, c, "cannot send a ping");
        }
        break;

    case LEAVING:
        back_in(l, c, c->retry_ms);
        break;

    case IDLE: case FAILED:
        break;
    }
}

void
load_client_tick(struct load *l)
{
    size_t    i;
    uint64_t  now = load_now();

    while (l->next < l->count && l->opening < l->opening_max) {
        client_open(l, &l->clients[l->next++]);
    }

    if (now < l->looked + l->look_ns) {
        return;
    }

    l->looked = now;

    for (i = 0; i < l->next; i++) {
        if (l->clients[i].due <= now) {
            client_tick(l, &l->clients[i], now);
        }
    }
}

void
load_client_connect_all(struct load *l, unsigned seconds)
{
    int                 i, n;
    uint64_t            until = load_now() + seconds * 1000 * MS;
    struct epoll_event  events[256];

    while (l->ready + l->failed < l->count) {
        load_client_tick(l);
        n = epoll_wait(l->epoll, events, 256, 5);

        for (i = 0; i < n; i++) {
            load_client_event(l, events[i].data.ptr, events[i].events);
        }

        if (load_now() > until) {
            load_die("%zu of %zu clients are ready after %u s", l->ready,
                l->count, seconds);
        }
    }

    if (l->failed) {
        load_die("%zu clients failed", l->failed);
    }
}
