/*
 * redis_url: where a Redis is, and as whom
 *
 *     redis://user:p%40ss@[::1]:6379/2  -->  user, "p@ss", ::1, 6379, "2"
 */

#include "redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_route.h"
#include "redis.h"

#define REDIS_URL_PORT  6379


void
redis_url_free(struct redis_url *url)
{
    if (url->password != NULL) {
        explicit_bzero(url->password, strlen(url->password));
    }

    free(url->host);
    free(url->path);
    free(url->user);
    free(url->password);
    free(url->db);
    memset(url, 0, sizeof(*url));
}


/* NULL: bad escape, NUL inside, or out of memory. */
static char *
redis_url_decode(const char *s, size_t len)
{
    char    *to;
    size_t   n;

    to = malloc(len + 1);
    if (to == NULL) {
        return NULL;
    }

    n = http_route_decode(to, s, len, false);

    if (n == (size_t) -1 || memchr(to, '\0', n) != NULL) {
        free(to);
        return NULL;
    }

    to[n] = '\0';

    return to;
}


/* "[user]:password" */
static int
redis_url_login(struct redis_url *url, const char *s, size_t len)
{
    size_t       n;
    const char  *colon;

    colon = memchr(s, ':', len);
    if (colon == NULL) {
        return PUSH_ERROR;
    }

    n = (size_t) (colon - s);

    if (n > 0) {
        url->user = redis_url_decode(s, n);
        if (url->user == NULL) {
            return PUSH_ERROR;
        }
    }

    url->password = redis_url_decode(colon + 1, len - n - 1);

    return url->password != NULL && url->password[0] != '\0' ? PUSH_OK
                                                             : PUSH_ERROR;
}


/* "host[:port]" or "[ip6][:port]" */
static int
redis_url_host(struct redis_url *url, const char *s, size_t len)
{
    size_t       n;
    uint64_t     port;
    const char  *end;

    port = REDIS_URL_PORT;

    if (len > 0 && s[0] == '[') {
        end = memchr(s, ']', len);
        if (end == NULL) {
            return PUSH_ERROR;
        }

        url->host = strndup(s + 1, (size_t) (end - s) - 1);
        n = (size_t) (end - s) + 1;

    } else {
        end = memchr(s, ':', len);
        n = end != NULL ? (size_t) (end - s) : len;
        url->host = strndup(s, n);
    }

    if (url->host == NULL || url->host[0] == '\0') {
        return PUSH_ERROR;
    }

    if (n < len
        && (s[n] != ':'
            || push_uint_parse((struct push_str) { s + n + 1, len - n - 1 },
                               65535, &port) != PUSH_OK
            || port == 0))
    {
        return PUSH_ERROR;
    }

    url->port = (unsigned) port;

    return PUSH_OK;
}


static int
redis_url_parts(struct redis_url *url, const char *value)
{
    size_t       len;
    uint64_t     db;
    const char  *s, *at, *slash;

    if (strncmp(value, "unix:/", 6) == 0) {
        url->path = strdup(value + 5);
        return url->path != NULL ? PUSH_OK : PUSH_ERROR;
    }

    if (strncmp(value, "redis://", 8) != 0) {
        return PUSH_ERROR;
    }

    s = value + 8;
    at = strrchr(s, '@');

    if (at != NULL) {
        if (redis_url_login(url, s, (size_t) (at - s)) != PUSH_OK) {
            return PUSH_ERROR;
        }

        s = at + 1;
    }

    slash = strchr(s, '/');
    len = slash != NULL ? (size_t) (slash - s) : strlen(s);

    if (slash != NULL && slash[1] != '\0') {
        if (push_uint_parse((struct push_str) { slash + 1, strlen(slash + 1) },
                            65535, &db) != PUSH_OK)
        {
            return PUSH_ERROR;
        }

        url->db = strdup(slash + 1);
        if (url->db == NULL) {
            return PUSH_ERROR;
        }
    }

    return redis_url_host(url, s, len);
}


int
redis_url_parse(struct redis_url *url, const char *value)
{
    int  rc;

    memset(url, 0, sizeof(*url));
    rc = redis_url_parts(url, value);

    if (rc != PUSH_OK) {
        redis_url_free(url);
    }

    return rc;
}


int
redis_url_check(const char *value, char *error, size_t size)
{
    int               rc;
    struct redis_url  url;

    rc = redis_url_parse(&url, value);

    if (rc != PUSH_OK) {
        /* what was given may hold a password: it is not shown */
        snprintf(error, size, "must be redis://[[user]:password@]host[:port]"
                 "[/db] or unix:/path");
    }

    redis_url_free(&url);

    return rc;
}
