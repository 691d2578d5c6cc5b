/*
 * redis_url: where a Redis is, and as whom
 *
 * in:   a URL of a configuration.  out: its parts.  owns: them
 *
 * Only for redis.c.
 */

#ifndef REDIS_URL_H
#define REDIS_URL_H

#include "push.h"

struct redis_url {
    char    *host;              /* NULL: path counts */
    unsigned port;
    char    *path;              /* of a unix socket */
    char    *user;              /* NULL: none */
    char    *password;          /* NULL: none */
    char    *db;                /* digits; NULL: 0 */
};

/*
 * redis://[[user]:password@]host[:port][/db], [ip6] for an IPv6 address, user
 * and password percent-encoded; or unix:/path.  PUSH_OK, or PUSH_ERROR and
 * *url is empty.
 */
int redis_url_parse(struct redis_url *url, const char *value);

/* The password is wiped. */
void redis_url_free(struct redis_url *url);

#endif
