/*
 * ngx_http_push_conf_limit: directives that bound something
 *
 * in:   their words; out: main and location conf, or a sentence for the
 *       operator.  owns: nothing
 */

#include "ngx_http_push_conf.h"
#include "push_limit.h"


#define NGX_HTTP_PUSH_CONF_CONNECTIONS  10000000
#define NGX_HTTP_PUSH_CONF_RATE         10000       /* messages a second */
#define NGX_HTTP_PUSH_CONF_BURST        1000000     /* messages */


static ngx_int_t ngx_http_push_conf_number(ngx_str_t *value, ngx_uint_t max,
    ngx_uint_t *number);
static ngx_uint_t ngx_http_push_conf_off(ngx_str_t *value);


char *
ngx_http_push_conf_msec_bounds(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t                   *msec = data;
    ngx_http_push_conf_bounds_t  *b = post;

    return (*msec < b->min || *msec > b->max) ? b->text : NGX_CONF_OK;
}


char *
ngx_http_push_conf_size_bounds(ngx_conf_t *cf, void *post, void *data)
{
    size_t                       *size = data;
    ngx_http_push_conf_bounds_t  *b = post;

    return (*size < b->min || *size > b->max) ? b->text : NGX_CONF_OK;
}


char *
ngx_http_push_conf_limit_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_push_main_conf_t  *pmcf = conf;

    ngx_str_t  *value;

    if (pmcf->limit_connections != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_push_conf_number(&value[1], NGX_HTTP_PUSH_CONF_CONNECTIONS,
                                  &pmcf->limit_connections)
        != NGX_OK)
    {
        return "needs a number of 1 to 10000000, or off";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_push_conf_limit_user(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   number;

    if (plcf->limit_user != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_push_conf_off(&value[1])) {
        plcf->limit_user = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_http_script_variables_count(&value[1]) == 0
        && ngx_http_push_conf_number(&value[1], PUSH_LIMIT_MAX, &number)
           != NGX_OK)
    {
        return "needs a number of 1 to 65535, a variable, or off";
    }

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


char *
ngx_http_push_conf_limit_addr(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    ngx_str_t  *value;

    if (plcf->limit_addr != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_push_conf_number(&value[1], PUSH_LIMIT_MAX,
                                  &plcf->limit_addr)
        != NGX_OK)
    {
        return "needs a number of 1 to 65535, or off";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_push_conf_message_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    ngx_str_t  *value, number;

    if (plcf->message_rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_http_push_conf_off(&value[1])) {
        plcf->message_rate = 0;
        plcf->message_burst = 0;
        return NGX_CONF_OK;
    }

    number = value[1];

    if (number.len < 3
        || ngx_strncmp(&number.data[number.len - 2], "/s", 2) != 0)
    {
        return "needs a rate of 1/s to 10000/s, or off";
    }

    number.len -= 2;

    if (ngx_http_push_conf_off(&number)
        || ngx_http_push_conf_number(&number, NGX_HTTP_PUSH_CONF_RATE,
                                     &plcf->message_rate)
           != NGX_OK)
    {
        return "needs a rate of 1/s to 10000/s, or off";
    }

    plcf->message_burst = plcf->message_rate;

    if (cf->args->nelts == 3) {
        number = value[2];

        if (number.len < 6 || ngx_strncmp(number.data, "burst=", 6) != 0) {
            return "takes burst=N behind its rate";
        }

        number.data += 6;
        number.len -= 6;

        if (ngx_http_push_conf_off(&number)
            || ngx_http_push_conf_number(&number, NGX_HTTP_PUSH_CONF_BURST,
                                         &plcf->message_burst)
               != NGX_OK)
        {
            return "needs a burst of 1 to 1000000 messages";
        }
    }

    return NGX_CONF_OK;
}


/* 1 to max, or off: 0 */

static ngx_int_t
ngx_http_push_conf_number(ngx_str_t *value, ngx_uint_t max, ngx_uint_t *number)
{
    ngx_int_t  n;

    if (ngx_http_push_conf_off(value)) {
        *number = 0;
        return NGX_OK;
    }

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || n < 1 || (ngx_uint_t) n > max) {
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_push_conf_off(ngx_str_t *value)
{
    return value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0;
}
