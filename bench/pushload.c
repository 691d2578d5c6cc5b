/*
 * pushload: many push.v1 clients and some publishers, to measure and test with
 *
 *     pushload idle IP:PORT TOKENS [SOURCE]   connects one client a line, says
 *                                             "ready", stays until its input
 *                                             ends
 *     pushload rate IP:PORT TOKENS KEYS RATE SECONDS
 *                                             publishes to them at RATE a
 *                                             second, a request a message;
 *                                             prints JSON
 *     pushload steady IP:PORT TOKENS KEYS     obeys commands: load_steady.c
 *
 * in:   TOKENS: lines `user token`; KEYS: an API key file (`name:key`); SOURCE:
 *       the address that clients connect from, such as 127.0.0.2
 * out:  see the files of the modes; latencies are in microseconds
 * owns: all sockets; one thread, one epoll
 */

#include "load.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define CONNECT_S  120

static bool
is_mode(int argc, char **argv, const char *name, int args, int more)
{
    return argc >= 2 + args && argc <= 2 + args + more
           && strcmp(argv[1], name) == 0;
}

int
main(int argc, char **argv)
{
    bool           idle = is_mode(argc, argv, "idle", 2, 1);
    bool           rate = is_mode(argc, argv, "rate", 5, 0);
    bool           steady = is_mode(argc, argv, "steady", 3, 0);
    struct load    l = { .opening_max = OPENING_MAX, .look_ns = 5 * MS };
    struct rlimit  limit;

    if (!idle && !rate && !steady) {
        load_die("usage: idle IP:PORT TOKENS [SOURCE] | rate IP:PORT TOKENS "
            "KEYS RATE SECONDS | steady IP:PORT TOKENS KEYS");
    }

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    srandom((unsigned) load_now());
    load_address(argv[2], &l.to);
    load_read_tokens(&l, argv[3]);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);

    if (idle) {
        if (argc == 5 && inet_pton(AF_INET, argv[4], &l.from.sin_addr) == 1) {
            l.from.sin_family = AF_INET;
        }

        load_idle(&l);
        return 0;
    }

    load_read_key(&l, argv[4]);

    if (rate) {
        load_client_connect_all(&l, CONNECT_S);
        load_rate(&l, strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10));

    } else {
        load_steady(&l);
    }

    return 0;
}
