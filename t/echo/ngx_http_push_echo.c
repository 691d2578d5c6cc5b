/*
 * ngx_http_push_echo: a location that says back what it hears; tests only
 *
 *     input --message--> the same as one frame --> queue
 *
 * in:   whole messages; out: frames.  owns: nothing
 */

#include "ngx_http_push_module.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_handshake.h"
#include "ngx_http_push_msg.h"


#define NGX_HTTP_PUSH_ECHO_QUEUE  (4 * NGX_HTTP_PUSH_ECHO_SIZE)
#define NGX_HTTP_PUSH_ECHO_COUNT  16384
#define NGX_HTTP_PUSH_ECHO_LEAK   "a message that is never put"


char *
ngx_http_push_echo_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_push_main_conf_t  *pmcf;

    if (plcf->websocket) {
        return "is duplicate";
    }

    plcf->user = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (plcf->user == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&plcf->user->value, "echo");

    plcf->websocket = 1;
    plcf->max_message_size = NGX_HTTP_PUSH_ECHO_SIZE;
    plcf->queue_bytes = NGX_HTTP_PUSH_ECHO_QUEUE;
    plcf->queue_count = NGX_HTTP_PUSH_ECHO_COUNT;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_push_handshake;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_push_module);
    pmcf->used = 1;

    return NGX_CONF_OK;
}


void
ngx_http_push_echo(ngx_http_push_conn_t *ws, enum push_frame_opcode opcode,
    const u_char *data, size_t len)
{
    ngx_http_push_msg_t  *m;

    m = ngx_http_push_msg_text(data, len);
    if (m == NULL) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);
        return;
    }

    m->frame[0] = 0x80 | opcode;

    (void) ngx_http_push_conn_send(ws, m, 1);

    if (len == sizeof(NGX_HTTP_PUSH_ECHO_LEAK) - 1
        && ngx_memcmp(data, NGX_HTTP_PUSH_ECHO_LEAK, len) == 0)
    {
        return;     /* a count too many: t/095-leaks.t has to hear of it */
    }

    ngx_http_push_msg_put(m);
}
