/*
 * http_listen: "ip:port", "[ip6]:port" or "unix:/path" to a listening socket
 *
 * in:   an address that daemon_listen_check() has passed.  out: a descriptor
 */

#include "http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HTTP_LISTEN_BACKLOG  1024


static int
http_listen_unix(const char *path)
{
    int                 fd;
    struct stat         st;
    struct sockaddr_un  sun = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(sun.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    memcpy(sun.sun_path, path, strlen(path) + 1);

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(path);
    }

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }

    if (bind(fd, (struct sockaddr *) &sun, sizeof(sun)) != 0) {
        close(fd);
        return -1;
    }

    return fd;
}


/* value has passed daemon_listen_check(): "ip:port" or "[ip6]:port". */
static int
http_listen_tcp(const char *value)
{
    int                      fd, one;
    char                     host[INET6_ADDRSTRLEN];
    size_t                   len;
    socklen_t                size;
    const char              *colon;
    struct sockaddr_storage  ss = { 0 };
    struct sockaddr_in      *in = (struct sockaddr_in *) &ss;
    struct sockaddr_in6     *in6 = (struct sockaddr_in6 *) &ss;

    one = 1;
    colon = strrchr(value, ':');
    len = colon != NULL ? (size_t) (colon - value) : 0;

    if (len > 2 && value[0] == '[') {
        value++;
        len -= 2;
    }

    if (len == 0 || len >= sizeof(host)) {
        errno = EINVAL;
        return -1;
    }

    memcpy(host, value, len);
    host[len] = '\0';

    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t) atoi(colon + 1));
        size = sizeof(*in);

    } else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t) atoi(colon + 1));
        size = sizeof(*in6);

    } else {
        errno = EINVAL;
        return -1;
    }

    fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));

    if (bind(fd, (struct sockaddr *) &ss, size) != 0) {
        close(fd);
        return -1;
    }

    return fd;
}


int
http_listen(const char *value)
{
    int  fd;

    fd = strncmp(value, "unix:", 5) == 0 ? http_listen_unix(value + 5)
                                         : http_listen_tcp(value);

    if (fd >= 0 && listen(fd, HTTP_LISTEN_BACKLOG) != 0) {
        close(fd);
        return -1;
    }

    return fd;
}
