/*
 * push-collector: options, configuration, store, clients, parts, loop, stop
 */

#include "collector.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "collector_append.h"
#include "collector_conf.h"
#include "collector_conns.h"
#include "collector_cursors.h"
#include "collector_hand_over.h"
#include "collector_in.h"
#include "collector_keys.h"
#include "collector_resync.h"
#include "collector_stats.h"
#include "http_client.h"
#include "redis.h"

#define MAIN_ERROR_SIZE  512

static int main_start(struct collector *c);
static int main_store(struct collector *c, char *error, size_t size);
static void main_store_run(evutil_socket_t fd, short what, void *data);
static int main_clients(struct collector *c, char *error, size_t size);
static void main_stop(struct collector *c);
static void main_reload(void *data);
static void main_drain(void *data);
static bool main_drained(void *data);


int
main(int argc, char **argv)
{
    int                  status;
    struct collector     c;
    struct conf_error    error;
    struct daemon_hooks  hooks = { main_reload, main_drain, main_drained, &c };

    memset(&c, 0, sizeof(c));

    if (daemon_options(&c.daemon, "push-collector", argc, argv, &status)
        != PUSH_OK)
    {
        return status;
    }

    if (collector_conf_load(c.daemon.conf_file, &c.conf, &error) != PUSH_OK) {
        return daemon_conf_bad(&c.daemon, &error);
    }

    if (c.daemon.test) {
        conf_free(collector_conf_rows, &c.conf);
        return daemon_conf_ok(&c.daemon);
    }

    status = 1;

    if (daemon_init(&c.daemon, &c.conf.daemon, &hooks) == PUSH_OK
        && main_start(&c) == PUSH_OK)
    {
        daemon_ready(&c.daemon);
        status = daemon_loop(&c.daemon);
    }

    main_stop(&c);
    daemon_deinit(&c.daemon);
    conf_free(collector_conf_rows, &c.conf);

    return status;
}


/* What is published last, listens last. */
static int
main_start(struct collector *c)
{
    char  error[MAIN_ERROR_SIZE] = "out of memory";

    c->base = c->daemon.base;
    c->log = &c->daemon.log;

    if (collector_stats_create(c) != PUSH_OK
        || main_store(c, error, sizeof(error)) != PUSH_OK
        || main_clients(c, error, sizeof(error)) != PUSH_OK
        || collector_hand_over_create(c, error, sizeof(error)) != PUSH_OK
        || collector_cursors_create(c, error, sizeof(error)) != PUSH_OK
        || collector_resync_create(c, error, sizeof(error)) != PUSH_OK
        || collector_conns_create(c, error, sizeof(error)) != PUSH_OK
        || collector_append_create(c, error, sizeof(error)) != PUSH_OK
        || (c->keys = collector_keys_create(c->conf.api_keys, error,
                                            sizeof(error))) == NULL
        || collector_in_create(c, error, sizeof(error)) != PUSH_OK)
    {
        log_error(c->log, "start", "error=%s", error);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
main_store(struct collector *c, char *error, size_t size)
{
    struct store_conf         conf;
    const struct store_info  *info;

    memset(&conf, 0, sizeof(conf));
    conf.url = c->conf.store;
    conf.node = c->conf.node;
    conf.queue_messages = (size_t) c->conf.queue_messages;
    conf.queue_bytes = (size_t) c->conf.queue_bytes;

    if (store_open(&c->store, &conf, error, size) != PUSH_OK) {
        return PUSH_ERROR;
    }

    info = store_info(c->store);
    log_info(c->log, "store_open", "epoch=%s repair=%s", info->epoch,
             info->repair == STORE_REPAIR_NONE ? "none"
             : info->repair == STORE_REPAIR_ROWS ? "rows" : "all");

    c->store_event = event_new(c->base, store_fd(c->store),
                               EV_READ | EV_PERSIST, main_store_run, c);

    if (c->store_event == NULL || event_add(c->store_event, NULL) != 0) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static void
main_store_run(evutil_socket_t fd, short what, void *data)
{
    (void) fd;
    (void) what;

    store_run(((struct collector *) data)->store);
}


static int
main_clients(struct collector *c, char *error, size_t size)
{
    struct redis_conf        redis;
    struct http_client_conf  client;

    memset(&redis, 0, sizeof(redis));
    redis.url = c->conf.redis;
    redis.name = c->daemon.name;
    redis.log = c->log;

    memset(&client, 0, sizeof(client));

    c->redis = redis_create(c->base, &redis);
    c->client = http_client_create(c->base, c->log, &client);

    if (c->redis == NULL || c->client == NULL) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


/*
 * Requests in work end in the store's `done`, so what they use outlives
 * store_close(): the mark that hand_over writes last goes through it too.
 */
static void
main_stop(struct collector *c)
{
    collector_in_destroy(c);
    collector_conns_destroy(c);
    collector_resync_destroy(c);
    collector_cursors_destroy(c);
    collector_hand_over_destroy(c);

    if (c->store) {
        if (c->store_event) {
            event_free(c->store_event);
        }

        store_close(c->store);
    }

    collector_append_destroy(c);
    collector_keys_destroy(c->keys);
    http_client_destroy(c->client);

    if (c->redis) {
        redis_destroy(c->redis);
    }

    if (c->metrics) {
        metrics_destroy(c->metrics);
    }
}


/* All files are read before anything is changed. */
static void
main_reload(void *data)
{
    char                    text[MAIN_ERROR_SIZE];
    const char             *fixed;
    struct collector       *c;
    struct conf_error       error;
    struct collector_conf   fresh;
    struct collector_keys  *keys;

    c = data;

    if (collector_conf_load(c->daemon.conf_file, &fresh, &error) != PUSH_OK) {
        log_error(c->log, "reload", "error=%s", error.text);
        return;
    }

    keys = collector_keys_create(fresh.api_keys, text, sizeof(text));

    if (keys == NULL) {
        log_error(c->log, "reload", "error=%s", text);
        conf_free(collector_conf_rows, &fresh);
        return;
    }

    fixed = collector_conf_take(&c->conf, &fresh);

    if (collector_hand_over_reload(c, text, sizeof(text)) != PUSH_OK) {
        log_error(c->log, "reload", "error=%s", text);
        (void) collector_conf_take(&c->conf, &fresh);       /* back again */
        collector_keys_destroy(keys);
        conf_free(collector_conf_rows, &fresh);
        return;
    }

    collector_keys_destroy(c->keys);
    c->keys = keys;
    c->log->level = (enum log_level) c->conf.daemon.log_level;
    c->daemon.drain_timeout_ms = c->conf.daemon.drain_timeout_ms;

    log_info(c->log, "reload", "restart_needed_for=%s", fixed ? fixed : "-");
    conf_free(collector_conf_rows, &fresh);
}


static void
main_drain(void *data)
{
    struct collector  *c;

    c = data;
    collector_in_drain(c);
    collector_resync_stop(c);
    collector_cursors_stop(c);
    collector_conns_stop(c);
}


/* What no dispatcher takes now, the next start hands over. */
static bool
main_drained(void *data)
{
    struct collector                 *c;
    struct collector_hand_over_state  out;

    c = data;
    collector_hand_over_state(c, &out);

    return collector_in_idle(c) && collector_append_idle(c)
           && collector_resync_idle(c) && collector_cursors_idle(c)
           && (out.peers_up == 0 || collector_hand_over_idle(c));
}
