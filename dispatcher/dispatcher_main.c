/*
 * push-dispatcher: options, configuration, clients, routes, loop, stop
 */

#include "dispatcher.h"

#include "dispatcher_conf.h"
#include "dispatcher_in.h"
#include "dispatcher_nodes.h"
#include "dispatcher_send.h"
#include "http_client.h"
#include "http_server.h"
#include "redis.h"

#include <stdio.h>
#include <string.h>

static int dispatcher_start(struct dispatcher *d);
static int dispatcher_metrics(struct dispatcher *d);
static void dispatcher_stop(struct dispatcher *d);
static bool dispatcher_is_ready(void *data, char *text, size_t size);
static double dispatcher_gauge_nodes(void *data);
static double dispatcher_gauge_items(void *data);
static double dispatcher_gauge_bytes(void *data);
static double dispatcher_gauge_redis(void *data);
static void dispatcher_reload(void *data);
static void dispatcher_drain(void *data);
static bool dispatcher_drained(void *data);

static const struct metrics_row dispatcher_rows[] = {
    DISPATCHER_COUNTERS(METRICS_ROW)
};


int
main(int argc, char **argv)
{
    int                   status;
    struct dispatcher     d;
    struct conf_error     error;
    struct daemon_hooks   hooks = {
        dispatcher_reload, dispatcher_drain, dispatcher_drained, &d
    };

    memset(&d, 0, sizeof(d));

    if (daemon_options(&d.daemon, "push-dispatcher", argc, argv, &status)
        != PUSH_OK)
    {
        return status;
    }

    if (dispatcher_conf_load(d.daemon.conf_file, &d.conf, &d.secrets, &error)
        != PUSH_OK)
    {
        return daemon_conf_bad(&d.daemon, &error);
    }

    if (d.daemon.test) {
        dispatcher_conf_free(&d.conf);
        return daemon_conf_ok(&d.daemon);
    }

    status = 1;

    if (daemon_init(&d.daemon, &d.conf.daemon, &hooks) == PUSH_OK
        && dispatcher_start(&d) == PUSH_OK)
    {
        daemon_ready(&d.daemon);
        status = daemon_loop(&d.daemon);
    }

    dispatcher_stop(&d);
    daemon_deinit(&d.daemon);
    dispatcher_conf_free(&d.conf);

    return status;
}


static int
dispatcher_start(struct dispatcher *d)
{
    char                     error[256] = "out of memory";
    struct redis_conf        redis;
    struct http_client_conf  client = { 8, 2048, 2 * DISPATCHER_NODES_MAX };
    struct http_server_conf  server;

    memset(&redis, 0, sizeof(redis));
    redis.url = d->conf.redis;
    redis.name = d->daemon.name;
    redis.log = &d->daemon.log;
    redis.on_up = dispatcher_nodes_redis_up;
    redis.on_down = dispatcher_nodes_redis_down;
    redis.in_flight = 5 * DISPATCHER_NODES_MAX;
    redis.data = d;

    memset(&server, 0, sizeof(server));
    server.listen = d->conf.daemon.listen;
    server.routes = dispatcher_in_routes;
    server.data = d;
    server.log = &d->daemon.log;
    server.ready = dispatcher_is_ready;

    if (dispatcher_metrics(d) != PUSH_OK
        || dispatcher_nodes_create(d) != PUSH_OK
        || dispatcher_send_create(d) != PUSH_OK
        || (d->client = http_client_create(d->daemon.base, &d->daemon.log,
                                           &client)) == NULL
        || (d->redis = redis_create(d->daemon.base, &redis)) == NULL)
    {
        log_error(&d->daemon.log, "start", "error=%s", error);
        return PUSH_ERROR;
    }

    server.metrics = d->metrics;
    d->server = http_server_create(d->daemon.base, &server, error,
                                   sizeof(error));

    if (d->server == NULL) {
        log_error(&d->daemon.log, "start", "error=%s", error);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
dispatcher_metrics(struct dispatcher *d)
{
    struct metrics  *m;

    m = metrics_create();
    if (m == NULL) {
        return PUSH_ERROR;
    }

    d->metrics = m;

    if (metrics_rows(m, dispatcher_rows, METRICS_COUNT(dispatcher_rows),
                     &d->counters) != PUSH_OK
        || metrics_gauge(m, "push_dispatcher_nodes", "",
                         "Nodes with a lease.", dispatcher_gauge_nodes, d)
           != PUSH_OK
        || metrics_gauge(m, "push_dispatcher_waiting_items", "",
                         "Items that wait for a node or its reply.",
                         dispatcher_gauge_items, d) != PUSH_OK
        || metrics_gauge(m, "push_dispatcher_queue_bytes", "",
                         "Memory of requests and batches.",
                         dispatcher_gauge_bytes, d) != PUSH_OK
        || metrics_gauge(m, "push_dispatcher_redis_up", "",
                         "1 while Redis answers.", dispatcher_gauge_redis, d)
           != PUSH_OK
        || metrics_histogram(m, "push_dispatcher_request_seconds", "",
                             "From a dispatch request to its answer.",
                             &d->request_time) != PUSH_OK
        || metrics_histogram(m, "push_dispatcher_batch_seconds", "",
                             "From a batch to the edge's reply.",
                             &d->batch_time) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


/*
 * The server cancels its requests; what they still wait for is answered as
 * unknown by redis and send, and they are freed with their last item.
 */
static void
dispatcher_stop(struct dispatcher *d)
{
    http_server_destroy(d->server);

    if (d->redis != NULL) {
        redis_destroy(d->redis);
    }

    http_client_destroy(d->client);
    dispatcher_send_destroy(d);
    dispatcher_nodes_destroy(d);

    if (d->metrics != NULL) {
        metrics_destroy(d->metrics);
    }
}


static bool
dispatcher_is_ready(void *data, char *text, size_t size)
{
    struct dispatcher  *d = data;

    if (!redis_is_up(d->redis)) {
        snprintf(text, size, "redis is down%s",
                 dispatcher_nodes_known(d) ? ", items go to all known nodes"
                 : " and no nodes are known");
        return false;
    }

    if (!dispatcher_nodes_known(d)) {
        snprintf(text, size, "the nodes are not known yet");
        return false;
    }

    return true;
}


static double
dispatcher_gauge_nodes(void *data)
{
    return (double) dispatcher_nodes_count(data);
}


static double
dispatcher_gauge_items(void *data)
{
    return (double) dispatcher_send_items(data);
}


static double
dispatcher_gauge_bytes(void *data)
{
    return (double) ((struct dispatcher *) data)->bytes;
}


static double
dispatcher_gauge_redis(void *data)
{
    return redis_is_up(((struct dispatcher *) data)->redis) ? 1 : 0;
}


static void
dispatcher_reload(void *data)
{
    dispatcher_conf_reload(data);
}


static void
dispatcher_drain(void *data)
{
    http_server_drain(((struct dispatcher *) data)->server);
}


static bool
dispatcher_drained(void *data)
{
    return http_server_active(((struct dispatcher *) data)->server) == 0;
}
