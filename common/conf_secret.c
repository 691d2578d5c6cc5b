/*
 * conf_secret: files of keys and of shared secrets
 *
 * in:   a path.  out: bytes that the caller wipes, or what is wrong
 * owns: nothing
 */

#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_SECRET_MIN  16
#define CONF_SECRET_MAX  256


static int
conf_secret_read(int fd, char *data, size_t size, size_t *len)
{
    ssize_t  n;

    for (*len = 0; *len < size; *len += (size_t) n) {
        n = read(fd, data + *len, size - *len);

        if (n < 0 && errno == EINTR) {
            n = 0;

        } else if (n < 0) {
            return PUSH_ERROR;

        } else if (n == 0) {
            break;
        }
    }

    return PUSH_OK;
}


int
conf_read_secret(const char *path, bool private, size_t min, size_t max,
    char **data, size_t *len, char *text, size_t size)
{
    int          fd;
    struct stat  st;

    *data = NULL;
    *len = 0;

    /* NONBLOCK: a FIFO in its place must not hang the start */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        snprintf(text, size, "cannot open %.200s: %s", path, strerror(errno));
        return PUSH_ERROR;
    }

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        snprintf(text, size, "%.200s is no regular file", path);
        goto failed;
    }

    if (private && (st.st_mode & 077) != 0) {
        snprintf(text, size, "%.200s must not be accessible by others than "
                 "its owner (mode is 0%o, 0600 is wanted)", path,
                 (unsigned) st.st_mode & 07777);
        goto failed;
    }

    *data = malloc(max + 2);
    if (*data == NULL) {
        snprintf(text, size, "out of memory");
        goto failed;
    }

    /* one more than allowed, to see that it is too long */
    if (conf_secret_read(fd, *data, max + 1, len) != PUSH_OK) {
        snprintf(text, size, "cannot read %.200s: %s", path, strerror(errno));
        goto failed;
    }

    if (*len < min || *len > max) {
        snprintf(text, size, "%.200s must have %zu to %zu bytes", path, min,
                 max);
        goto failed;
    }

    (*data)[*len] = '\0';
    close(fd);

    return PUSH_OK;

failed:

    close(fd);
    conf_secret_free(*data, *len);
    *data = NULL;
    *len = 0;

    return PUSH_ERROR;
}


void
conf_secret_free(char *data, size_t len)
{
    if (data != NULL) {
        explicit_bzero(data, len);
        free(data);
    }
}


static int
conf_secret_line(struct conf_secrets *secrets, const char *line, size_t len)
{
    size_t  i;

    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }

    if (len < CONF_SECRET_MIN || len > CONF_SECRET_MAX
        || secrets->count == 2)
    {
        return PUSH_ERROR;
    }

    for (i = 0; i < len; i++) {
        if (line[i] <= ' ' || line[i] > '~') {
            return PUSH_ERROR;
        }
    }

    memcpy(secrets->text[secrets->count], line, len);
    secrets->text[secrets->count++][len] = '\0';

    return PUSH_OK;
}


int
conf_read_secrets(const char *path, struct conf_secrets *secrets, char *text,
    size_t size)
{
    int          rc;
    char        *data;
    size_t       len, pos, n;
    const char  *end;

    memset(secrets, 0, sizeof(*secrets));

    if (conf_read_secret(path, true, CONF_SECRET_MIN,
                         2 * (CONF_SECRET_MAX + 2), &data, &len, text, size)
        != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    rc = PUSH_OK;

    for (pos = 0; rc == PUSH_OK && pos < len; pos += n + 1) {
        end = memchr(data + pos, '\n', len - pos);
        n = end != NULL ? (size_t) (end - data) - pos : len - pos;
        rc = conf_secret_line(secrets, data + pos, n);
    }

    conf_secret_free(data, len);

    if (rc != PUSH_OK) {
        explicit_bzero(secrets, sizeof(*secrets));
        snprintf(text, size, "%.200s must have one or two lines of %d to %d "
                 "printable bytes without space", path, CONF_SECRET_MIN,
                 CONF_SECRET_MAX);
    }

    return rc;
}


bool
conf_secrets_match(const struct conf_secrets *secrets, const char *given)
{
    bool      match;
    size_t    i, len;
    unsigned  s, differ;

    if (given == NULL) {
        return false;
    }

    match = false;
    len = strlen(given);

    /* the time depends on what was given only, not on what is right */

    for (s = 0; s < secrets->count; s++) {
        differ = len != strlen(secrets->text[s]);

        for (i = 0; i < len; i++) {
            differ |= (unsigned char) (given[i]
                                       ^ secrets->text[s][i % sizeof(
                                           secrets->text[s])]);
        }

        match |= differ == 0;
    }

    return match;
}
