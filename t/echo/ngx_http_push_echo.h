/*
 * ngx_http_push_echo: a location that says back what it hears; tests only
 *
 * Part of builds with -DNGX_HTTP_PUSH_TEST, seen by ngx_http_push_module.h.
 *
 *     location / { push_test_echo; }
 *
 * Parser, control frames, queue and sender are the product's.  No user is
 * asked for; text and binary messages of up to 32 MB in any number of frames
 * are sent back as one frame each.
 */

#ifndef NGX_HTTP_PUSH_ECHO_H
#define NGX_HTTP_PUSH_ECHO_H

#define NGX_HTTP_PUSH_ECHO_SIZE  (32 * 1024 * 1024)

/* its row in the table of directives */
#define NGX_HTTP_PUSH_ECHO_COMMANDS                                           \
    { ngx_string("push_test_echo"),                                           \
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,                                      \
      ngx_http_push_echo_set,                                                 \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      0,                                                                      \
      NULL },

/* true in an echo location: no other takes messages of that size */
#define ngx_http_push_echoes(ws)                                              \
    ((ws)->conf->max_message_size == NGX_HTTP_PUSH_ECHO_SIZE)

char *ngx_http_push_echo_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* A whole message: goes back, or closes the connection. */
void ngx_http_push_echo(ngx_http_push_conn_t *ws,
    enum push_frame_opcode opcode, const u_char *data, size_t len);

#endif
