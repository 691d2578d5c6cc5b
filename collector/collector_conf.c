/*
 * collector_conf: the options of collector.conf, one row each
 *
 * in: the file.  out: a struct collector_conf.  owns: nothing
 */

#include "collector_conf.h"

#include <stdio.h>
#include <string.h>

#include "collector_keys.h"
#include "collector_peers.h"
#include "http_client.h"
#include "redis.h"

static int conf_check_node(const char *value, char *error, size_t size);
static int conf_check_store(const char *value, char *error, size_t size);
static int conf_check_secret(const char *value, char *error, size_t size);

#define CONF_AT(field)  offsetof(struct collector_conf, field)

const struct conf_row collector_conf_rows[] = {

    DAEMON_CONF_ROWS(struct collector_conf, daemon),

    { .name = "redis", .type = CONF_STRING, .offset = CONF_AT(redis),
      .min = 1, .max = 1024, .check = redis_url_check },

    { .name = "node", .type = CONF_STRING, .offset = CONF_AT(node),
      .min = 1, .max = PUSH_NAME_MAX, .check = conf_check_node },

    { .name = "store", .type = CONF_STRING, .offset = CONF_AT(store),
      .min = 1, .max = 1024, .check = conf_check_store },

    { .name = "api_keys", .type = CONF_STRING, .offset = CONF_AT(api_keys),
      .min = 1, .max = 1024, .check = collector_keys_check },

    { .name = "secret_file", .type = CONF_STRING,
      .offset = CONF_AT(secret_file), .min = 1, .max = 1024,
      .check = conf_check_secret },

    { .name = "dispatchers", .type = CONF_LIST,
      .offset = CONF_AT(dispatchers), .min = 1, .max = PEERS_MAX,
      .check = http_client_url_check },

    { .name = "queue_messages", .type = CONF_INT,
      .offset = CONF_AT(queue_messages), .fallback = "10000",
      .min = 100, .max = 10000000 },

    { .name = "queue_bytes", .type = CONF_SIZE,
      .offset = CONF_AT(queue_bytes), .fallback = "64m",
      .min = 1024 * 1024, .max = INT64_C(64) << 30 },

    { .name = "hand_over_bytes", .type = CONF_SIZE,
      .offset = CONF_AT(hand_over_bytes), .fallback = "64m",
      .min = 4 * 1024 * 1024, .max = INT64_C(64) << 30 },

    { .name = NULL }
};


int
collector_conf_load(const char *file, struct collector_conf *conf,
    struct conf_error *error)
{
    size_t  i, j;

    if (conf_load(file, collector_conf_rows, conf, error) != PUSH_OK) {
        return PUSH_ERROR;
    }

    for (i = 1; i < conf->dispatchers.count; i++) {
        for (j = 0; j < i; j++) {
            if (strcmp(conf->dispatchers.items[i], conf->dispatchers.items[j])
                == 0)
            {
                conf_error(error, file, 0, "dispatchers", "%s comes twice",
                           conf->dispatchers.items[i]);
                conf_free(collector_conf_rows, conf);
                return PUSH_ERROR;
            }
        }
    }

    return PUSH_OK;
}


static void
conf_swap(char **a, char **b)
{
    char  *s;

    s = *a;
    *a = *b;
    *b = s;
}


const char *
collector_conf_take(struct collector_conf *conf, struct collector_conf *fresh)
{
    struct conf_list  list;

    conf_swap(&conf->api_keys, &fresh->api_keys);
    conf_swap(&conf->secret_file, &fresh->secret_file);

    list = conf->dispatchers;
    conf->dispatchers = fresh->dispatchers;
    fresh->dispatchers = list;

    conf->daemon.log_level = fresh->daemon.log_level;
    conf->daemon.drain_timeout_ms = fresh->daemon.drain_timeout_ms;

    return strcmp(conf->daemon.listen, fresh->daemon.listen) ? "listen"
           : strcmp(conf->redis, fresh->redis) ? "redis"
           : strcmp(conf->node, fresh->node) ? "node"
           : strcmp(conf->store, fresh->store) ? "store"
           : conf->queue_messages != fresh->queue_messages ? "queue_messages"
           : conf->queue_bytes != fresh->queue_bytes ? "queue_bytes"
           : conf->hand_over_bytes != fresh->hand_over_bytes
             ? "hand_over_bytes" : NULL;
}


static int
conf_check_node(const char *value, char *error, size_t size)
{
    if (!push_name_valid((struct push_str) { value, strlen(value) })) {
        snprintf(error, size, "must be 1 to 128 bytes of A-Z a-z 0-9 . _ : @ "
                 "-");
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
conf_check_store(const char *value, char *error, size_t size)
{
    if ((strncmp(value, "sqlite:", 7) != 0 || value[7] == '\0')
        && strncmp(value, "mongodb://", 10) != 0
        && strncmp(value, "mongodb+srv://", 14) != 0)
    {
        snprintf(error, size, "must be sqlite:/path, or "
                 "mongodb://host,host/database?replicaSet=name");
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
conf_check_secret(const char *value, char *error, size_t size)
{
    int                  rc;
    struct conf_secrets  secrets;

    rc = conf_read_secrets(value, &secrets, error, size);
    explicit_bzero(&secrets, sizeof(secrets));

    return rc;
}
