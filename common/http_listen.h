/*
 * http_listen: "ip:port", "[ip6]:port" or "unix:/path" to a listening socket
 */

#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

/*
 * The descriptor, non-blocking, or -1 and errno.  A unix socket that is left
 * over at the path is replaced.
 */
int http_listen(const char *value);

#endif
