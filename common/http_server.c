/*
 * http_server: requests to handlers by a table of routes (libmicrohttpd)
 *
 *     epoll of MHD --read event, timer--> MHD_run --> callbacks here
 *     a kept request is suspended; its answer resumes it, and MHD_run must
 *     follow, once a turn for all (else it would hang)
 *
 * in:   what MHD has parsed.  out: calls of handlers
 * owns: MHD's daemon, the events, the list of requests
 */

#include "http_server.h"

#include <errno.h>
#include <event2/event.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http_intake.h"
#include "http_listen.h"

#define HTTP_SERVER_CONNECTIONS  1024
#define HTTP_SERVER_IDLE_S       75
#define HTTP_SERVER_BODIES       ((size_t) 256 * 1024 * 1024)
#define HTTP_SERVER_MEMORY       (64 * 1024)    /* a connection: headers */

static const struct metrics_row http_server_rows[] = {
    HTTP_SERVER_COUNTERS(METRICS_ROW)
};


void
http_server_answered(struct http_server_request *r)
{
    if (r->suspended) {
        r->suspended = false;
        MHD_resume_connection(r->connection);
        event_active(r->server->again, 0, 0);
    }
}


static double
http_server_gauge_active(void *data)
{
    return (double) ((struct http_server *) data)->active;
}


static double
http_server_gauge_bodies(void *data)
{
    return (double) ((struct http_server *) data)->bodies;
}


/* MHD wants the next look at a time of its own; 0 is the next turn. */
static void
http_server_arm(struct http_server *s)
{
    struct timeval          tv;
    MHD_UNSIGNED_LONG_LONG  ms;

    if (MHD_get_timeout(s->mhd, &ms) != MHD_YES) {
        event_del(s->timer);
        return;
    }

    tv.tv_sec = (time_t) (ms / 1000);
    tv.tv_usec = (suseconds_t) (ms % 1000 * 1000);
    event_add(s->timer, &tv);
}


static void
http_server_run(evutil_socket_t fd, short what, void *data)
{
    struct http_server  *s = data;

    (void) fd;
    (void) what;

    MHD_run(s->mhd);
    http_server_arm(s);
}


static int
http_server_start(struct http_server *s, char *error, size_t size)
{
    const char  *value;

    value = s->listen;

    s->listen_fd = http_listen(value);

    if (s->listen_fd < 0) {
        snprintf(error, size, "cannot listen on %.120s: %s", value,
                 strerror(errno));
        return PUSH_ERROR;
    }

    s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0,
                 NULL, NULL, http_intake_access, s,
                 MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
                 MHD_OPTION_URI_LOG_CALLBACK, http_intake_begin, s,
                 MHD_OPTION_NOTIFY_COMPLETED, http_intake_end, s,
                 MHD_OPTION_UNESCAPE_CALLBACK, http_intake_no_unescape, NULL,
                 MHD_OPTION_CONNECTION_LIMIT, s->conf.connections_max,
                 MHD_OPTION_CONNECTION_TIMEOUT, s->conf.idle_timeout_s,
                 MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                 (size_t) HTTP_SERVER_MEMORY,
                 MHD_OPTION_END);

    if (s->mhd == NULL) {
        snprintf(error, size, "cannot start libmicrohttpd on %.120s", value);
        return PUSH_ERROR;
    }

    s->listen_fd = -1;          /* MHD's from here on */

    if (strncmp(value, "unix:", 5) == 0) {
        s->unix_path = value + 5;
    }

    return PUSH_OK;
}


static int
http_server_events(struct http_server *s)
{
    int  fd;

    fd = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;

    s->readable = event_new(s->base, fd, EV_READ | EV_PERSIST,
                            http_server_run, s);
    s->timer = event_new(s->base, -1, 0, http_server_run, s);
    s->again = event_new(s->base, -1, 0, http_server_run, s);

    if (s->readable == NULL || s->timer == NULL || s->again == NULL
        || event_add(s->readable, NULL) != 0)
    {
        return PUSH_ERROR;
    }

    http_server_arm(s);

    return PUSH_OK;
}


static int
http_server_register(struct http_server *s)
{
    struct metrics  *m = s->conf.metrics;

    if (metrics_rows(m, http_server_rows, METRICS_COUNT(http_server_rows),
                     &s->counters) != PUSH_OK
        || metrics_histogram(m, "push_http_answer_seconds", "",
                             "From the first line to the end of the answer.",
                             &s->seconds) != PUSH_OK
        || metrics_gauge(m, "push_http_active", "", "Requests under way.",
                         http_server_gauge_active, s) != PUSH_OK
        || metrics_gauge(m, "push_http_body_bytes", "",
                         "Request bodies in memory.",
                         http_server_gauge_bodies, s) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


struct http_server *
http_server_create(struct event_base *base,
    const struct http_server_conf *conf, char *error, size_t size)
{
    struct http_server  *s;

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        snprintf(error, size, "out of memory");
        return NULL;
    }

    s->base = base;
    s->conf = *conf;
    s->listen_fd = -1;
    s->listen = strdup(conf->listen);

    if (s->listen == NULL) {
        snprintf(error, size, "out of memory");
        goto failed;
    }

    if (s->conf.connections_max == 0) {
        s->conf.connections_max = HTTP_SERVER_CONNECTIONS;
    }

    if (s->conf.idle_timeout_s == 0) {
        s->conf.idle_timeout_s = HTTP_SERVER_IDLE_S;
    }

    if (s->conf.bodies_max == 0) {
        s->conf.bodies_max = HTTP_SERVER_BODIES;
    }

    if (http_server_start(s, error, size) != PUSH_OK) {
        goto failed;
    }

    if (http_server_events(s) != PUSH_OK
        || http_server_register(s) != PUSH_OK)
    {
        snprintf(error, size, "out of memory");
        goto failed;
    }

    return s;

failed:

    http_server_destroy(s);

    return NULL;
}


void
http_server_drain(struct http_server *s)
{
    int  fd;

    if (s->draining) {
        return;
    }

    s->draining = true;
    fd = MHD_quiesce_daemon(s->mhd);

    if (fd >= 0) {
        close(fd);
    }

    event_active(s->again, 0, 0);
}


size_t
http_server_active(const struct http_server *s)
{
    return s->active;
}


void
http_server_destroy(struct http_server *s)
{
    void                       (*cancel)(void *data);
    struct http_server_request  *r;

    if (s == NULL) {
        return;
    }

    s->draining = true;

    if (s->mhd != NULL) {

        /* MHD cannot be stopped while a connection is suspended */

        for (r = s->requests; r != NULL; r = r->next) {
            if (r->suspended) {
                cancel = r->cancel;
                http_server_busy(r, 1, "shutting down");

                if (cancel != NULL) {
                    cancel(r->cancel_data);
                }
            }
        }

        MHD_run(s->mhd);
        MHD_stop_daemon(s->mhd);
    }

    if (s->readable != NULL) {
        event_free(s->readable);
    }

    if (s->timer != NULL) {
        event_free(s->timer);
    }

    if (s->again != NULL) {
        event_free(s->again);
    }

    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }

    if (s->unix_path != NULL) {
        unlink(s->unix_path);
    }

    free(s->listen);
    free(s);
}
