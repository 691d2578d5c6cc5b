/*
 * ngx_http_push_device: what a client calls itself in its hello
 *
 * in:   a device, and the epoch that the client knew
 * out:  both, for whoever tells Redis; the epoch until the first answer
 * owns: ws->device: two bytes of lengths, the device, the epoch
 */

#include "ngx_http_push_device.h"
#include "ngx_http_push_slab.h"


#define ngx_http_push_device_size(block)  (2 + (size_t) (block)[0] + (block)[1])


ngx_int_t
ngx_http_push_device_set(ngx_http_push_conn_t *ws, struct push_str device,
    struct push_str epoch)
{
    u_char  *p;

    if (device.len == 0 && epoch.len == 0) {
        return NGX_OK;
    }

    p = ngx_http_push_slab_alloc(2 + device.len + epoch.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p[0] = (u_char) device.len;
    p[1] = (u_char) epoch.len;

    if (device.len) {
        ngx_memcpy(p + 2, device.data, device.len);
    }

    if (epoch.len) {
        ngx_memcpy(p + 2 + device.len, epoch.data, epoch.len);
    }

    ws->device = p;
    ws->has_epoch = (epoch.len != 0);

    return NGX_OK;
}


struct push_str
ngx_http_push_device(ngx_http_push_conn_t *ws)
{
    struct push_str  device;

    if (!ngx_http_push_device_named(ws)) {
        return PUSH_STR("-");
    }

    device.data = (char *) ws->device + 2;
    device.len = ws->device[0];

    return device;
}


ngx_uint_t
ngx_http_push_device_named(ngx_http_push_conn_t *ws)
{
    return ws->device && ws->device[0];
}


struct push_str
ngx_http_push_device_epoch(ngx_http_push_conn_t *ws)
{
    struct push_str  epoch;

    if (!ws->has_epoch) {
        return PUSH_STR("");
    }

    epoch.data = (char *) ws->device + 2 + ws->device[0];
    epoch.len = ws->device[1];

    return epoch;
}


void
ngx_http_push_device_forget_epoch(ngx_http_push_conn_t *ws)
{
    u_char  *p;

    if (!ws->has_epoch) {
        return;
    }

    ws->has_epoch = 0;
    p = ws->device;
    ws->device = NULL;

    if (p[0]
        && ngx_http_push_device_set(ws, (struct push_str) {
                                            .data = (char *) p + 2,
                                            .len = p[0] }, PUSH_STR(""))
           != NGX_OK)
    {
        ws->device = p;         /* no memory for less: the block stays */
        return;
    }

    ngx_http_push_slab_free(p, ngx_http_push_device_size(p));
}


void
ngx_http_push_device_free(ngx_http_push_conn_t *ws)
{
    if (ws->device) {
        ngx_http_push_slab_free(ws->device,
                                ngx_http_push_device_size(ws->device));
        ws->device = NULL;
        ws->has_epoch = 0;
    }
}
