/*
 * dispatcher_conf: the options of dispatcher.conf
 *
 * in: a file.  out: a struct, or the line that is wrong.  owns: nothing
 */

#include "dispatcher_conf.h"

#include "redis.h"

#include <string.h>

static int dispatcher_conf_secret_check(const char *value, char *error,
    size_t size);

#define OFFSET(field)  offsetof(struct dispatcher_conf, field)

static const struct conf_row dispatcher_conf_rows[] = {

    DAEMON_CONF_ROWS(struct dispatcher_conf, daemon),

    { .name = "redis", .type = CONF_STRING, .offset = OFFSET(redis),
      .min = 1, .max = 1024, .check = redis_url_check },

    { .name = "secret_file", .type = CONF_STRING,
      .offset = OFFSET(secret_file), .min = 1, .max = 4096,
      .check = dispatcher_conf_secret_check },

    { .name = "queue_bytes", .type = CONF_SIZE, .offset = OFFSET(queue_bytes),
      .fallback = "64m", .min = 8 * PUSH_BODY_MAX,
      .max = INT64_C(64) << 30 },

    { .name = "node_queue_bytes", .type = CONF_SIZE,
      .offset = OFFSET(node_queue_bytes), .fallback = "8m",
      .min = 4 * PUSH_BODY_MAX, .max = INT64_C(64) << 30 },

    { .name = "forget_nodes", .type = CONF_TIME,
      .offset = OFFSET(forget_nodes_ms), .fallback = "1h",
      .min = 1000, .max = INT64_C(30) * 24 * 3600 * 1000 },

    { .name = NULL }
};


int
dispatcher_conf_load(const char *file, struct dispatcher_conf *conf,
    struct conf_secrets *secrets, struct conf_error *error)
{
    char  text[256];

    if (conf_load(file, dispatcher_conf_rows, conf, error) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (conf_read_secrets(conf->secret_file, secrets, text, sizeof(text))
        != PUSH_OK)
    {
        conf_error(error, file, 0, "secret_file", "%s", text);
        conf_free(dispatcher_conf_rows, conf);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


void
dispatcher_conf_free(struct dispatcher_conf *conf)
{
    conf_free(dispatcher_conf_rows, conf);
}


void
dispatcher_conf_reload(struct dispatcher *d)
{
    struct conf_error       error;
    struct conf_secrets     secrets;
    struct dispatcher_conf  conf;

    if (dispatcher_conf_load(d->daemon.conf_file, &conf, &secrets, &error)
        != PUSH_OK)
    {
        log_error(&d->daemon.log, "reload", "error=%s", error.text);
        return;
    }

    if (strcmp(conf.daemon.listen, d->conf.daemon.listen) != 0
        || strcmp(conf.redis, d->conf.redis) != 0)
    {
        log_warn(&d->daemon.log, "reload", "note=%s",
                 "listen and redis change at a restart only");
    }

    d->secrets = secrets;
    d->conf.queue_bytes = conf.queue_bytes;
    d->conf.node_queue_bytes = conf.node_queue_bytes;
    d->conf.forget_nodes_ms = conf.forget_nodes_ms;
    d->daemon.drain_timeout_ms = conf.daemon.drain_timeout_ms;
    d->daemon.log.level = (enum log_level) conf.daemon.log_level;

    dispatcher_conf_free(&conf);

    log_info(&d->daemon.log, "reload", "secrets=%u", d->secrets.count);
}


/* Here as well as after the load, so that an error has the option's line. */
static int
dispatcher_conf_secret_check(const char *value, char *error, size_t size)
{
    int                  rc;
    struct conf_secrets  secrets;

    rc = conf_read_secrets(value, &secrets, error, size);
    explicit_bzero(&secrets, sizeof(secrets));

    return rc;
}
