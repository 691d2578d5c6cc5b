/*
 * load_client: the clients of pushload
 *
 *     open --101--> hello --synced, synced--> ready --message--> sample, ack
 *
 * in:   events of a client's socket.  out: counters and samples in the load
 * owns: the client's socket and buffer
 */

#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPENING_MAX  200            /* handshakes under way */
#define WS_KEY       "dGhlIHNhbXBsZSBub25jZQ=="

/* A masked text frame; the mask is zero, so the text stays as it is. */
static bool
send_text(int fd, const char *text, size_t len)
{
    char    frame[512];
    size_t  at = 2;

    if (len + 8 > sizeof(frame)) {
        return false;
    }

    frame[0] = (char) 0x81;

    if (len < 126) {
        frame[1] = (char) (0x80 | len);

    } else {
        frame[1] = (char) (0x80 | 126);
        frame[2] = (char) (len >> 8);
        frame[3] = (char) len;
        at = 4;
    }

    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, text, len);

    return load_send(fd, frame, at + 4 + len);
}

static void
client_failed(struct load *l, struct client *c, const char *why)
{
    if (l->failed++ < 5) {
        fprintf(stderr, "pushload: %s: %s\n", c->user, why);
    }

    if (c->state == READY) {
        l->ready--;

    } else {
        l->opening--;
    }

    close(c->fd);
    c->state = FAILED;
}

void
load_client_open(struct load *l)
{
    while (l->next < l->count && l->opening < OPENING_MAX) {
        struct client *c = &l->clients[l->next++];

        c->buffer = malloc(BUFFER_SIZE);
        if (c->buffer == NULL) {
            load_die("out of memory");
        }

        c->state = CONNECTING;
        c->fd = load_open(l, c, EPOLLIN | EPOLLOUT);
        l->opening++;
    }
}

static void
client_connected(struct load *l, struct client *c)
{
    char                text[BUFFER_SIZE];
    int                 len;
    struct epoll_event  ev = { .events = EPOLLIN, .data.ptr = c };

    len = snprintf(text, sizeof(text),
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: " WS_KEY "\r\nSec-WebSocket-Protocol: push.v1\r\n"
        "Authorization: Bearer %s\r\n\r\n", c->token);

    epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &ev);
    c->state = HANDSHAKE;

    if (!load_send(c->fd, text, (size_t) len)) {
        client_failed(l, c, "cannot send the handshake");
    }
}

static void
client_upgraded(struct load *l, struct client *c)
{
    char  text[256];
    int   len;

    len = snprintf(text, sizeof(text),
        "{\"type\":\"hello\",\"device\":\"0f8fad5b-d9cb-469f-a165-7086%08zx\"}",
        (size_t) (c - l->clients));

    c->state = JOINING;

    if (!send_text(c->fd, text, (size_t) len)) {
        client_failed(l, c, "cannot send the hello");
    }
}

/* text is terminated; the frame before it is not looked at again. */
static void
client_message(struct load *l, struct client *c, const char *text)
{
    char      ack[128];
    int       len;
    uint64_t  seq = 0, due;

    if (strstr(text, "\"type\":\"synced\"") != NULL) {
        if (c->state == JOINING && ++c->synced == 2) {
            c->state = READY;
            l->opening--;
            l->ready++;
        }

        load_number(text, "\"seq\":", &seq);

        if (strstr(text, "\"log\":\"user\"") != NULL) {
            c->last = seq;
        }

        return;
    }

    if (strstr(text, "\"type\":\"message\"") == NULL
        || !load_number(text, "\"seq\":", &seq))
    {
        return;
    }

    if (load_number(text, "\"data\":{\"t\":", &due) && due != 0) {
        load_sample(l, due);
    }

    if (c->last != 0 && seq != c->last + 1) {
        l->faults++;
    }

    c->last = seq;
    len = snprintf(ack, sizeof(ack),
        "{\"type\":\"ack\",\"log\":\"user\",\"seq\":%llu}",
        (unsigned long long) seq);

    if (!send_text(c->fd, ack, (size_t) len)) {
        client_failed(l, c, "cannot send an ack");
    }
}

/* Whole frames out of the buffer; false: the connection has ended. */
static bool
client_frames(struct load *l, struct client *c)
{
    size_t at = 0;

    while (c->have - at >= 2) {
        unsigned char *p = (unsigned char *) c->buffer + at;
        size_t         head = 2, len = p[1];
        char           kept;

        if (len == 126) {
            if (c->have - at < 4) {
                break;
            }

            len = (size_t) p[2] << 8 | p[3];
            head = 4;
        }

        if (p[1] == 127 || head + len >= BUFFER_SIZE) {
            client_failed(l, c, "a frame that is too long");
            return false;
        }

        if (c->have - at < head + len) {
            break;
        }

        if ((p[0] & 15) == 8) {
            client_failed(l, c, "closed by the server");
            return false;
        }

        kept = (char) p[head + len];        /* the buffer has one byte more */
        p[head + len] = '\0';
        client_message(l, c, (char *) p + head);
        p[head + len] = (unsigned char) kept;
        at += head + len;

        if (c->state == FAILED) {
            return false;
        }
    }

    memmove(c->buffer, c->buffer + at, c->have - at);
    c->have -= at;

    return true;
}

static void
client_read(struct load *l, struct client *c)
{
    ssize_t  n;
    char    *end;

    n = recv(c->fd, c->buffer + c->have, BUFFER_SIZE - 1 - c->have, 0);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            client_failed(l, c, "lost");
        }

        return;
    }

    c->have += (size_t) n;

    if (c->state == HANDSHAKE) {
        c->buffer[c->have] = '\0';
        end = strstr(c->buffer, "\r\n\r\n");

        if (end == NULL) {
            return;
        }

        if (strncmp(c->buffer, "HTTP/1.1 101 ", 13) != 0) {
            c->buffer[12] = '\0';
            client_failed(l, c, c->buffer);
            return;
        }

        end += 4;
        c->have -= (size_t) (end - c->buffer);
        memmove(c->buffer, end, c->have);
        client_upgraded(l, c);

        if (c->state == FAILED) {
            return;
        }
    }

    client_frames(l, c);
}

void
load_client_event(struct load *l, struct client *c, uint32_t events)
{
    if (c->state == CONNECTING && (events & EPOLLOUT)) {
        client_connected(l, c);

    } else if (c->state != FAILED) {
        client_read(l, c);
    }
}
