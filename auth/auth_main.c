/*
 * push-auth: options, configuration, keys, route, loop, stop
 */

#include "auth.h"

#include "auth_in.h"
#include "auth_keys.h"
#include "http_server.h"

#include <string.h>

static int auth_load(const char *file, struct auth_conf *conf,
    struct auth_keys **keys, struct conf_error *error);
static int auth_start(struct auth *auth);
static void auth_stop(struct auth *auth);
static void auth_reload(void *data);
static void auth_drain(void *data);
static bool auth_drained(void *data);

static const struct metrics_row auth_rows[] = {
#define X(name, status, text, label)                                          \
    { "push_auth_verify_total", "result=\"" #label "\"", "Tokens checked." },
    AUTH_REASONS(X)
#undef X
};


int
main(int argc, char **argv)
{
    int                  status;
    struct auth          auth;
    struct conf_error    error;
    struct daemon_hooks  hooks = {
        auth_reload, auth_drain, auth_drained, &auth
    };

    memset(&auth, 0, sizeof(auth));

    if (daemon_options(&auth.daemon, "push-auth", argc, argv, &status)
        != PUSH_OK)
    {
        return status;
    }

    if (auth_load(auth.daemon.conf_file, &auth.conf, &auth.keys, &error)
        != PUSH_OK)
    {
        return daemon_conf_bad(&auth.daemon, &error);
    }

    if (auth.daemon.test) {
        auth_stop(&auth);
        return daemon_conf_ok(&auth.daemon);
    }

    status = 1;

    if (daemon_init(&auth.daemon, &auth.conf.daemon, &hooks) == PUSH_OK
        && auth_start(&auth) == PUSH_OK)
    {
        daemon_ready(&auth.daemon);
        status = daemon_loop(&auth.daemon);
    }

    auth_stop(&auth);
    daemon_deinit(&auth.daemon);

    return status;
}


/* The file and all keys that it names, or nothing. */
static int
auth_load(const char *file, struct auth_conf *conf, struct auth_keys **keys,
    struct conf_error *error)
{
    if (auth_conf_load(file, conf, error) != PUSH_OK) {
        return PUSH_ERROR;
    }

    *keys = auth_keys_load(conf, file, error);

    if (*keys == NULL) {
        auth_conf_free(conf);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
auth_start(struct auth *auth)
{
    char                     error[256] = "out of memory";
    struct http_server_conf  server = { 0 };

    auth->metrics = metrics_create();

    if (auth->metrics != NULL
        && metrics_rows(auth->metrics, auth_rows, METRICS_COUNT(auth_rows),
                        &auth->counters) == PUSH_OK)
    {
        server.listen = auth->conf.daemon.listen;
        server.routes = auth_in_routes;
        server.data = auth;
        server.log = &auth->daemon.log;
        server.metrics = auth->metrics;

        auth->server = http_server_create(auth->daemon.base, &server, error,
                                          sizeof(error));
    }

    if (auth->server == NULL) {
        log_error(&auth->daemon.log, "start_failed", "reason=%s", error);
        return PUSH_ERROR;
    }

    log_info(&auth->daemon.log, "keys", "count=%zu",
             auth_keys_count(auth->keys));

    return PUSH_OK;
}


static void
auth_stop(struct auth *auth)
{
    http_server_destroy(auth->server);
    metrics_destroy(auth->metrics);
    auth_keys_free(auth->keys);
    auth_conf_free(&auth->conf);
}


/* HUP: keys, audience, issuer, leeway; all of it, or the old ones stay. */
static void
auth_reload(void *data)
{
    struct auth        *auth = data;
    struct auth_conf    conf;
    struct auth_keys   *keys;
    struct conf_error   error;

    if (auth_load(auth->daemon.conf_file, &conf, &keys, &error) != PUSH_OK) {
        log_error(&auth->daemon.log, "reload_failed", "reason=%s", error.text);
        return;
    }

    if (strcmp(conf.daemon.listen, auth->conf.daemon.listen) != 0) {
        log_warn(&auth->daemon.log, "restart_needed", "option=%s", "listen");
    }

    auth->daemon.log.level = (enum log_level) conf.daemon.log_level;
    auth->daemon.drain_timeout_ms = conf.daemon.drain_timeout_ms;

    auth_keys_free(auth->keys);
    auth_conf_free(&auth->conf);
    auth->keys = keys;
    auth->conf = conf;

    log_info(&auth->daemon.log, "reloaded", "keys=%zu", auth_keys_count(keys));
}


static void
auth_drain(void *data)
{
    http_server_drain(((struct auth *) data)->server);
}


static bool
auth_drained(void *data)
{
    return http_server_active(((struct auth *) data)->server) == 0;
}
