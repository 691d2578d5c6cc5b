/*
 * fan_crowd: users elsewhere, whose reading takes no processor of the edge
 *
 * in:   the edge's broadcasts, now and then a few clients' at a time
 * out:  how many each has got.  owns: the processes of clients
 */

#include "fan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BURST           32          /* clients that are read at a time, */
#define BURST_PAUSE_NS  2000000     /* with such a pause behind it */

struct report {
    uint64_t  clients;
    uint64_t  messages;
    uint64_t  least;                /* of a client */
    uint64_t  most;
    uint64_t  faults;
};

/* --- the crowd ---------------------------------------------------------- */

static void
crowd_sweep(struct crowd *w)
{
    unsigned        i;
    struct timespec pause = { .tv_nsec = BURST_PAUSE_NS };

    for (i = 0; i < w->count; i++) {
        while (client_read(w, &w->clients[i])) { /* void */ }

        if (i % BURST == 0) {
            nanosleep(&pause, NULL);
        }
    }
}

/* A child: says one byte when all are here, reads until its input ends. */
static void
crowd_child(struct crowd *w, int in, int out)
{
    char           byte = 'r';
    unsigned       i;
    struct report  r = { .least = UINT64_MAX };

    crowd_connect(w);

    /* nothing waits for their data: the edge pays for their sockets alone */
    close(w->epoll);

    if (write(out, &byte, 1) != 1) {
        exit(1);
    }

    while (recv(in, &byte, 1, MSG_DONTWAIT) == -1) {
        crowd_sweep(w);
    }

    crowd_sweep(w);

    for (i = 0; i < w->count; i++) {
        uint64_t got = w->clients[i].got;

        r.messages += got;
        r.least = got < r.least ? got : r.least;
        r.most = got > r.most ? got : r.most;
    }

    r.clients = w->count;
    r.faults = w->faults;

    exit(write(out, &r, sizeof(r)) != (ssize_t) sizeof(r));
}

void
crowd_main(char **argv)
{
    int            sv[32][2];
    char           byte;
    unsigned       i, n, left, count = count_of(argv[1], 30 * PROCESS_MAX);
    struct crowd   w = { .to = address(argv[0]), .prefix = "c" };
    struct report  r, all = { .least = UINT64_MAX };

    n = (count + PROCESS_MAX - 1) / PROCESS_MAX;
    left = count;

    run_at(19);

    for (i = 0; i < n; i++) {
        w.count = (left + (n - i) - 1) / (n - i);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv[i]) == -1) {
            die("socketpair: %s", strerror(errno));
        }

        if (fork() == 0) {
            unsigned other;

            for (other = 0; other <= i; other++) {
                close(sv[other][0]);
            }

            crowd_child(&w, sv[i][1], sv[i][1]);
        }

        close(sv[i][1]);
        w.first += w.count;
        left -= w.count;
    }

    for (i = 0; i < n; i++) {
        if (read(sv[i][0], &byte, 1) != 1) {
            die("a process of clients has failed");
        }
    }

    say("ready");

    while (read(0, &byte, 1) > 0) { /* void */ }

    for (i = 0; i < n; i++) {
        shutdown(sv[i][0], SHUT_WR);

        if (read(sv[i][0], &r, sizeof(r)) != (ssize_t) sizeof(r)) {
            die("a process of clients has failed");
        }

        all.clients += r.clients;
        all.messages += r.messages;
        all.faults += r.faults;
        all.least = r.least < all.least ? r.least : all.least;
        all.most = r.most > all.most ? r.most : all.most;
    }

    while (wait(NULL) > 0) { /* void */ }

    printf("{\"clients\":%llu,\"messages\":%llu,\"least\":%llu,\"most\":%llu,"
           "\"faults\":%llu}\n",
           (unsigned long long) all.clients, (unsigned long long) all.messages,
           (unsigned long long) all.least, (unsigned long long) all.most,
           (unsigned long long) all.faults);
}
