/*
 * auth_conf: the options of push-auth, one row each
 */

#include "auth_conf.h"

#include "auth_verify.h"

#define AUTH_CONF_KEYS  64

const char *const auth_conf_algorithms[] = {
    "HS256", "RS256", "ES256", NULL
};

static const struct conf_row auth_conf_key_rows[] = {
    { .name = "algorithm", .type = CONF_WORD,
      .offset = offsetof(struct auth_conf_key, algorithm),
      .words = auth_conf_algorithms },
    { .name = "file", .type = CONF_STRING,
      .offset = offsetof(struct auth_conf_key, file), .min = 1, .max = 4096 },
    { .name = "kid", .type = CONF_STRING,
      .offset = offsetof(struct auth_conf_key, kid), .fallback = "",
      .min = 1, .max = AUTH_KID_MAX },
    { .name = NULL }
};

static const struct conf_row auth_conf_rows[] = {
    DAEMON_CONF_ROWS(struct auth_conf, daemon),
    { .name = "audience", .type = CONF_STRING,
      .offset = offsetof(struct auth_conf, audience), .fallback = "push",
      .min = 1, .max = 256 },
    { .name = "issuer", .type = CONF_STRING,
      .offset = offsetof(struct auth_conf, issuer), .fallback = "",
      .min = 1, .max = 256 },
    { .name = "groups_claim", .type = CONF_STRING,
      .offset = offsetof(struct auth_conf, groups_claim),
      .fallback = "groups", .min = 1, .max = 64 },
    { .name = "leeway", .type = CONF_TIME,
      .offset = offsetof(struct auth_conf, leeway_ms), .fallback = "30s",
      .max = AUTH_LEEWAY_MAX * 1000 },
    { .name = "key", .type = CONF_SECTIONS,
      .offset = offsetof(struct auth_conf, keys), .min = 1,
      .max = AUTH_CONF_KEYS, .rows = auth_conf_key_rows,
      .size = sizeof(struct auth_conf_key) },
    { .name = NULL }
};


int
auth_conf_load(const char *file, struct auth_conf *conf,
    struct conf_error *error)
{
    return conf_load(file, auth_conf_rows, conf, error);
}


void
auth_conf_free(struct auth_conf *conf)
{
    conf_free(auth_conf_rows, conf);
}
