/*
 * ngx_http_push_conf: directives that say more than a number
 *
 * in:   their words; out: main and location conf, or a sentence that nginx
 *       prints with file and line.  owns: nothing
 */

#ifndef NGX_HTTP_PUSH_CONF_H
#define NGX_HTTP_PUSH_CONF_H

#include "ngx_http_push_module.h"

/* push_node NAME [deliver=URL] */
char *ngx_http_push_conf_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
/* push_redis redis://[[user]:password@]host[:port][/db] or unix:/path */
char *ngx_http_push_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
/* push_secret_file PATH: one or two lines, read here */
char *ngx_http_push_conf_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* push_origins any | ORIGIN... */
char *ngx_http_push_conf_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* push_send_queue COUNT SIZE */
char *ngx_http_push_conf_send_queue(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* push_limit_connections N | off */
char *ngx_http_push_conf_limit_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* push_limit_user N | off, N may have variables; at cmd->offset */
char *ngx_http_push_conf_limit_user(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* push_limit_addr N | off */
char *ngx_http_push_conf_limit_addr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* push_message_rate N/s [burst=N] | off */
char *ngx_http_push_conf_message_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Bounds of a number, as the `post` of a command, and what is said to who
   leaves them. */
typedef struct {
    ngx_conf_post_t  post;          /* first: nginx gives us this */
    ngx_uint_t       min;
    ngx_uint_t       max;
    char            *text;
} ngx_http_push_conf_bounds_t;

char *ngx_http_push_conf_msec_bounds(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_push_conf_size_bounds(ngx_conf_t *cf, void *post, void *data);

#endif
