/*
 * daemon: what every daemon's main() is made of
 *
 * in:   argv, signals through libevent.  out: calls of the hooks
 * owns: base, log, signal events
 *
 *     TERM --> hooks.drain --> drained? each 20 ms --> end, or at the deadline
 */

#include "daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DAEMON_POLL_US  20000

static void
daemon_usage(FILE *out, const char *name)
{
    fprintf(out,
            "usage: %s -c FILE        run in the foreground\n"
            "       %s -t -c FILE     test the configuration\n"
            "       %s -V | -h        version, this help\n", name, name, name);
}


int
daemon_options(struct daemon *d, const char *name, int argc, char **argv,
    int *status)
{
    int  c;

    memset(d, 0, sizeof(*d));
    d->name = name;
    log_init(&d->log, name);

    *status = 0;

    while ((c = getopt(argc, argv, "c:tVh")) != -1) {
        switch (c) {

        case 'c':
            d->conf_file = optarg;
            break;

        case 't':
            d->test = true;
            break;

        case 'V':
            printf("%s %s\n", name, PUSH_VERSION);
            return PUSH_DECLINED;

        case 'h':
            daemon_usage(stdout, name);
            return PUSH_DECLINED;

        default:
            goto failed;
        }
    }

    if (optind == argc && d->conf_file != NULL) {
        return PUSH_OK;
    }

    fprintf(stderr, optind < argc ? "%s: unexpected argument\n"
                                  : "%s: -c FILE is needed\n", name);

failed:

    daemon_usage(stderr, name);
    *status = 2;

    return PUSH_DECLINED;
}


int
daemon_conf_ok(struct daemon *d)
{
    printf("%s: configuration %s is ok\n", d->name, d->conf_file);

    return 0;
}


int
daemon_conf_bad(struct daemon *d, const struct conf_error *error)
{
    fprintf(stderr, "%s: %s\n", d->name, error->text);

    return 1;
}


/*
 * sd_notify(3) by hand: one datagram to $NOTIFY_SOCKET.  Nobody listening is
 * no fault of ours.
 */
static void
daemon_notify(const char *state)
{
    int                 fd;
    socklen_t           len;
    const char         *path;
    struct sockaddr_un  sun = { .sun_family = AF_UNIX };

    path = getenv("NOTIFY_SOCKET");

    if (path == NULL || (path[0] != '/' && path[0] != '@')
        || strlen(path) >= sizeof(sun.sun_path))
    {
        return;
    }

    memcpy(sun.sun_path, path, strlen(path));
    len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path));

    if (path[0] == '@') {
        sun.sun_path[0] = '\0';
    }

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }

    (void) sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                  (struct sockaddr *) &sun, len);
    close(fd);
}


static void
daemon_drain_poll(evutil_socket_t fd, short what, void *data)
{
    struct daemon  *d = data;

    (void) fd;
    (void) what;

    if (d->hooks.drained == NULL || d->hooks.drained(d->hooks.data)) {
        d->stop = true;

    } else if (daemon_monotonic_ms() >= d->drain_until_ms) {
        log_warn(&d->log, "drain_timeout", "after_ms=%lld",
                 (long long) d->drain_timeout_ms);
        d->stop = true;
    }
}


void
daemon_stop(struct daemon *d)
{
    struct timeval  poll = { 0, DAEMON_POLL_US };

    if (d->draining) {
        d->stop = true;
        event_base_loopbreak(d->base);
        return;
    }

    d->draining = true;
    d->drain_until_ms = daemon_monotonic_ms() + d->drain_timeout_ms;

    log_info(&d->log, "drain", "timeout_ms=%lld",
             (long long) d->drain_timeout_ms);
    daemon_notify("STOPPING=1");

    if (d->hooks.drain != NULL) {
        d->hooks.drain(d->hooks.data);
    }

    event_add(d->drain_poll, &poll);
}


static void
daemon_signal(evutil_socket_t sig, short what, void *data)
{
    struct daemon  *d = data;

    (void) what;

    if (sig != SIGHUP) {
        daemon_stop(d);

    } else if (!d->draining && d->hooks.reload != NULL) {
        log_info(&d->log, "reload", "conf=%s", d->conf_file);
        d->hooks.reload(d->hooks.data);
    }
}


static void
daemon_tick(evutil_socket_t fd, short what, void *data)
{
    struct daemon  *d = data;

    (void) fd;
    (void) what;

    log_flush(&d->log);
}


int
daemon_init(struct daemon *d, const struct daemon_conf *conf,
    const struct daemon_hooks *hooks)
{
    size_t                      i;
    struct timeval              second = { 1, 0 };
    struct event_config        *config;

    static const int            signals[] = { SIGHUP, SIGTERM, SIGINT };

    d->hooks = *hooks;
    d->drain_timeout_ms = conf->drain_timeout_ms;
    d->log.level = (enum log_level) conf->log_level;

    signal(SIGPIPE, SIG_IGN);

    config = event_config_new();
    if (config == NULL) {
        goto failed;
    }

    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK
                                  | EVENT_BASE_FLAG_PRECISE_TIMER);
    d->base = event_base_new_with_config(config);
    event_config_free(config);

    if (d->base == NULL) {
        goto failed;
    }

    for (i = 0; i < 3; i++) {
        d->signals[i] = evsignal_new(d->base, signals[i], daemon_signal, d);

        if (d->signals[i] == NULL || event_add(d->signals[i], NULL) != 0) {
            goto failed;
        }
    }

    d->tick = event_new(d->base, -1, EV_PERSIST, daemon_tick, d);
    d->drain_poll = event_new(d->base, -1, EV_PERSIST, daemon_drain_poll, d);

    if (d->tick == NULL || d->drain_poll == NULL
        || event_add(d->tick, &second) != 0)
    {
        goto failed;
    }

    return PUSH_OK;

failed:

    log_error(&d->log, "start_failed", "reason=%s", "no event loop");
    daemon_deinit(d);

    return PUSH_ERROR;
}


void
daemon_ready(struct daemon *d)
{
    log_info(&d->log, "ready", "version=%s conf=%s pid=%d", PUSH_VERSION,
             d->conf_file, (int) getpid());
    daemon_notify("READY=1");
}


int
daemon_loop(struct daemon *d)
{
    int  rc;

    rc = 0;

    while (!d->stop && rc == 0) {
        rc = event_base_loop(d->base, EVLOOP_ONCE);
    }

    log_info(&d->log, "exit", "status=%d", rc == 0 ? 0 : 1);

    return rc == 0 ? 0 : 1;
}


void
daemon_deinit(struct daemon *d)
{
    size_t  i;

    for (i = 0; i < 3; i++) {
        if (d->signals[i] != NULL) {
            event_free(d->signals[i]);
            d->signals[i] = NULL;
        }
    }

    if (d->tick != NULL) {
        event_free(d->tick);
        d->tick = NULL;
    }

    if (d->drain_poll != NULL) {
        event_free(d->drain_poll);
        d->drain_poll = NULL;
    }

    if (d->base != NULL) {
        event_base_free(d->base);
        d->base = NULL;
    }

    log_deinit(&d->log);
}


static int64_t
daemon_clock_ms(clockid_t id)
{
    struct timespec  now;

    clock_gettime(id, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


int64_t
daemon_unix_ms(void)
{
    return daemon_clock_ms(CLOCK_REALTIME);
}


int64_t
daemon_monotonic_ms(void)
{
    return daemon_clock_ms(CLOCK_MONOTONIC);
}


uint32_t
daemon_random(uint32_t below)
{
    uint32_t  n;

    evutil_secure_rng_get_bytes(&n, sizeof(n));

    return below == 0 ? 0 : (uint32_t) ((uint64_t) n * below >> 32);
}


int
daemon_listen_check(const char *value, char *error, size_t size)
{
    char         host[INET6_ADDRSTRLEN + 1], addr[sizeof(struct in6_addr)];
    size_t       len;
    uint64_t     port;
    const char  *colon;

    if (strncmp(value, "unix:/", 6) == 0 && strlen(value + 5)
        < sizeof(((struct sockaddr_un *) NULL)->sun_path))
    {
        return PUSH_OK;
    }

    colon = strrchr(value, ':');
    if (colon == NULL) {
        goto failed;
    }

    len = (size_t) (colon - value);

    if (len >= 2 && value[0] == '[' && colon[-1] == ']') {
        value++;
        len -= 2;
    }

    if (len == 0 || len >= sizeof(host)
        || push_uint_parse((struct push_str) { colon + 1, strlen(colon + 1) },
                           65535, &port) != PUSH_OK
        || port == 0)
    {
        goto failed;
    }

    memcpy(host, value, len);
    host[len] = '\0';

    if (inet_pton(AF_INET, host, addr) == 1
        || inet_pton(AF_INET6, host, addr) == 1)
    {
        return PUSH_OK;
    }

failed:

    snprintf(error, size, "must be \"ip:port\", \"[ip6]:port\" or "
             "\"unix:/path\", not \"%.80s\"", value);

    return PUSH_ERROR;
}
