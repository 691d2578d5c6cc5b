/*
 * load_idle: clients that connect and stay, with a ping now and then
 *
 * in:   the clients.  out: "ready" when all of them are; the end of its input
 *       ends it
 * owns: nothing
 */

#include "load.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECT_S  300
#define LOOK_MS    200              /* only pings are due */

void
load_idle(struct load *l)
{
    int                 i, n, done = 0;
    char                byte;
    struct epoll_event  events[256],
                        input = { .events = EPOLLIN, .data.ptr = NULL };

    load_client_connect_all(l, CONNECT_S);
    l->look_ns = LOOK_MS * MS;
    printf("ready\n");
    fflush(stdout);

    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) == -1) {
        return;                         /* a file: it has ended already */
    }

    while (!done) {
        load_client_tick(l);
        n = epoll_wait(l->epoll, events, 256, 50);

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                done = read(STDIN_FILENO, &byte, 1) <= 0;

            } else {
                load_client_event(l, events[i].data.ptr, events[i].events);
            }
        }
    }

    if (l->failed) {
        load_die("%zu idle clients were closed", l->failed);
    }
}
