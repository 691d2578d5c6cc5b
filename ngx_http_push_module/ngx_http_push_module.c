/*
 * ngx_http_push_module: directives, their merge, and nginx's hooks
 *
 *     nginx.conf --> main conf, location confs --> worker.c
 *
 * in:   directives; out: handlers of locations, phases, the zone
 * owns: nothing
 *
 * Loaded but unused it adds no zone, socket, timer or phase handler.  What
 * push_redis and push_secret_file say is read by ngx_http_push_conf.c.
 */

#include "ngx_http_push_module.h"
#include "ngx_http_push_conf.h"
#include "ngx_http_push_deliver.h"
#include "ngx_http_push_handshake.h"
#include "ngx_http_push_slot.h"
#include "ngx_http_push_status.h"
#include "ngx_http_push_upgrade.h"
#include "ngx_http_push_worker.h"


static ngx_int_t ngx_http_push_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_push_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_push_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_push_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_push_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_push_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

static char *ngx_http_push_websocket(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_push_deliver_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_push_status_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static ngx_int_t ngx_http_push_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_push_init_process(ngx_cycle_t *cycle);
static void ngx_http_push_exit_process(ngx_cycle_t *cycle);


static ngx_http_push_conf_bounds_t  ngx_http_push_drain_bounds = {
    { ngx_http_push_conf_msec_bounds }, 0, 3600000, "must be at most 1h"
};

static ngx_http_push_conf_bounds_t  ngx_http_push_ring_bounds = {
    { ngx_http_push_conf_size_bounds }, 65536, 1073741824,
    "must be 64k to 1g"
};

static ngx_http_push_conf_bounds_t  ngx_http_push_memory_bounds = {
    { ngx_http_push_conf_size_bounds }, 2097152, 1099511627776,
    "must be 2m to 1048576m"
};

static ngx_http_push_conf_bounds_t  ngx_http_push_heartbeat_bounds = {
    { ngx_http_push_conf_msec_bounds }, 5000, 3600000,
    "must be at least 5s, and at most 1h"
};

static ngx_http_push_conf_bounds_t  ngx_http_push_hello_bounds = {
    { ngx_http_push_conf_msec_bounds }, 100, 60000,
    "must be at least 100ms, and at most 1m"
};

static ngx_http_push_conf_bounds_t  ngx_http_push_ack_bounds = {
    { ngx_http_push_conf_msec_bounds }, 100, 600000,
    "must be at least 100ms, and at most 10m"
};

static ngx_http_push_conf_bounds_t  ngx_http_push_resync_bounds = {
    { ngx_http_push_conf_msec_bounds }, 10000, 3600000,
    "must be at least 10s, and at most 1h"
};

static ngx_http_push_conf_bounds_t  ngx_http_push_message_bounds = {
    { ngx_http_push_conf_size_bounds }, 256, 1048576,
    "must be at least 256 bytes, and at most 1m"
};


static ngx_command_t  ngx_http_push_commands[] = {

    { ngx_string("push_node"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_push_conf_node,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_push_conf_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_secret_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_push_conf_secret_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_drain_time"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_push_main_conf_t, drain_time),
      &ngx_http_push_drain_bounds },

    { ngx_string("push_ring_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_push_main_conf_t, ring_bytes),
      &ngx_http_push_ring_bounds },

    { ngx_string("push_send_memory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_push_main_conf_t, send_memory),
      &ngx_http_push_memory_bounds },

    { ngx_string("push_limit_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_push_conf_limit_connections,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_websocket"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_push_websocket,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, user),
      NULL },

    { ngx_string("push_expires"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, expires),
      NULL },

    { ngx_string("push_origins"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_push_conf_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_heartbeat_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, heartbeat_timeout),
      &ngx_http_push_heartbeat_bounds },

    { ngx_string("push_hello_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, hello_timeout),
      &ngx_http_push_hello_bounds },

    { ngx_string("push_ack_interval"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, ack_interval),
      &ngx_http_push_ack_bounds },

    { ngx_string("push_resync_interval"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, resync_interval),
      &ngx_http_push_resync_bounds },

    { ngx_string("push_max_message_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, max_message_size),
      &ngx_http_push_message_bounds },

    { ngx_string("push_send_queue"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_push_conf_send_queue,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_limit_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_push_conf_limit_user,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_push_loc_conf_t, limit_user),
      NULL },

    { ngx_string("push_limit_addr"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_push_conf_limit_addr,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_message_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_push_conf_message_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_deliver"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_push_deliver_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("push_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_push_status_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      NGX_HTTP_PUSH_ECHO_COMMANDS

      ngx_null_command
};


static ngx_http_module_t  ngx_http_push_module_ctx = {
    ngx_http_push_preconfiguration,        /* preconfiguration */
    ngx_http_push_postconfiguration,       /* postconfiguration */

    ngx_http_push_create_main_conf,        /* create main configuration */
    ngx_http_push_init_main_conf,          /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_push_create_loc_conf,         /* create location configuration */
    ngx_http_push_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_http_push_module = {
    NGX_MODULE_V1,
    &ngx_http_push_module_ctx,             /* module context */
    ngx_http_push_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_push_init_module,             /* init module */
    ngx_http_push_init_process,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_push_exit_process,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* --- configuration ------------------------------------------------------ */

static ngx_int_t
ngx_http_push_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_push_upgrade_variables(cf);
}


static void *
ngx_http_push_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_push_main_conf_t  *pmcf;

    pmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_push_main_conf_t));
    if (pmcf == NULL) {
        return NULL;
    }

    pmcf->drain_time = NGX_CONF_UNSET_MSEC;
    pmcf->ring_bytes = NGX_CONF_UNSET_SIZE;
    pmcf->send_memory = NGX_CONF_UNSET_SIZE;
    pmcf->limit_connections = NGX_CONF_UNSET_UINT;

    return pmcf;
}


static char *
ngx_http_push_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_push_main_conf_t  *pmcf = conf;

    struct push_str  host;

    ngx_conf_init_msec_value(pmcf->drain_time, 30000);
    ngx_conf_init_size_value(pmcf->ring_bytes, 1048576);
    ngx_conf_init_size_value(pmcf->send_memory, 268435456);
    ngx_conf_init_uint_value(pmcf->limit_connections, 0);

    if (pmcf->redis_url.len && pmcf->deliver.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"push_redis\" needs \"push_node NAME deliver=URL\", "
                      "by which dispatchers find this node, in %V:%ui",
                      &pmcf->redis_file, pmcf->redis_line);
        return NGX_CONF_ERROR;
    }

    if (pmcf->node.len == 0) {
        host.data = (char *) cf->cycle->hostname.data;
        host.len = cf->cycle->hostname.len;

        if (push_name_valid(host)) {
            pmcf->node = cf->cycle->hostname;

        } else {
            ngx_str_set(&pmcf->node, "edge");
        }
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_push_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_push_loc_conf_t  *plcf;

    plcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_push_loc_conf_t));
    if (plcf == NULL) {
        return NULL;
    }

    plcf->user = NGX_CONF_UNSET_PTR;
    plcf->expires = NGX_CONF_UNSET_PTR;
    plcf->origins = NGX_CONF_UNSET_PTR;
    plcf->heartbeat_timeout = NGX_CONF_UNSET_MSEC;
    plcf->hello_timeout = NGX_CONF_UNSET_MSEC;
    plcf->ack_interval = NGX_CONF_UNSET_MSEC;
    plcf->resync_interval = NGX_CONF_UNSET_MSEC;
    plcf->max_message_size = NGX_CONF_UNSET_SIZE;
    plcf->queue_bytes = NGX_CONF_UNSET_SIZE;
    plcf->queue_count = NGX_CONF_UNSET_UINT;
    plcf->limit_user = NGX_CONF_UNSET_PTR;
    plcf->limit_addr = NGX_CONF_UNSET_UINT;
    plcf->message_rate = NGX_CONF_UNSET_UINT;
    plcf->message_burst = NGX_CONF_UNSET_UINT;

    return plcf;
}


static char *
ngx_http_push_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_push_loc_conf_t  *prev = parent;
    ngx_http_push_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    conf->main = ngx_http_conf_get_module_main_conf(cf, ngx_http_push_module);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    conf->error_log = clcf->error_log;

    ngx_conf_merge_ptr_value(conf->user, prev->user, NULL);
    ngx_conf_merge_ptr_value(conf->expires, prev->expires, NULL);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_msec_value(conf->heartbeat_timeout,
                              prev->heartbeat_timeout, 60000);
    ngx_conf_merge_msec_value(conf->hello_timeout, prev->hello_timeout, 1000);
    ngx_conf_merge_msec_value(conf->ack_interval, prev->ack_interval, 5000);
    ngx_conf_merge_msec_value(conf->resync_interval, prev->resync_interval,
                              300000);
    ngx_conf_merge_size_value(conf->max_message_size, prev->max_message_size,
                              16384);
    ngx_conf_merge_size_value(conf->queue_bytes, prev->queue_bytes, 65536);
    ngx_conf_merge_uint_value(conf->queue_count, prev->queue_count, 128);
    ngx_conf_merge_ptr_value(conf->limit_user, prev->limit_user, NULL);
    ngx_conf_merge_uint_value(conf->limit_addr, prev->limit_addr, 0);
    ngx_conf_merge_uint_value(conf->message_rate, prev->message_rate, 0);
    ngx_conf_merge_uint_value(conf->message_burst, prev->message_burst, 0);

    if (conf->websocket && (conf->limit_user || conf->limit_addr)) {
        conf->main->limits = 1;
    }

    if (conf->websocket && conf->user == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"push_websocket\" needs \"push_user\" in %V:%ui",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->deliver) {
        ngx_http_push_deliver_merge(cf);
    }

    if (conf->deliver && conf->main->nsecrets == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"push_deliver\" needs \"push_secret_file\" in %V:%ui",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_push_postconfiguration(ngx_conf_t *cf)
{
    ngx_int_t                   workers;
    ngx_core_conf_t            *ccf;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_push_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_push_module);

    if (!pmcf->used) {
        return NGX_OK;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    /* worker_processes may stand below the http block, unread as yet */

    workers = ngx_max(ccf->worker_processes, ngx_ncpu);
    pmcf->slots = ngx_min(255, ngx_max(64, 4 * workers));

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_push_handshake_rewrite;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_push_handshake_preaccess;

    return ngx_http_push_slot_add_zone(cf, pmcf);
}


/* --- directives --------------------------------------------------------- */

/* A location has one content handler, and it is one of ours or another's. */

static char *
ngx_http_push_handler(ngx_conf_t *cf, ngx_http_push_loc_conf_t *plcf,
    ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_push_main_conf_t  *pmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == handler) {
        return "is duplicate";
    }

    if (clcf->handler) {
        return "stands beside another handler of its location";
    }

    clcf->handler = handler;

    plcf->file = cf->conf_file->file.name;
    plcf->line = cf->conf_file->line;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_push_module);
    pmcf->used = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_push_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    plcf->websocket = 1;

    return ngx_http_push_handler(cf, plcf, ngx_http_push_handshake);
}


static char *
ngx_http_push_deliver_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_push_loc_conf_t  *plcf = conf;

    plcf->deliver = 1;

    return ngx_http_push_handler(cf, plcf, ngx_http_push_deliver);
}


static char *
ngx_http_push_status_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_push_handler(cf, conf, ngx_http_push_status);
}


/* --- processes ---------------------------------------------------------- */

static ngx_http_push_main_conf_t *
ngx_http_push_used_conf(ngx_cycle_t *cycle)
{
    ngx_http_push_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_push_module);

    return (pmcf && pmcf->used) ? pmcf : NULL;      /* NULL: no http block */
}


static ngx_int_t
ngx_http_push_init_module(ngx_cycle_t *cycle)
{
    ngx_http_push_main_conf_t  *pmcf;

    pmcf = ngx_http_push_used_conf(cycle);

    if (pmcf == NULL || ngx_test_config) {
        return NGX_OK;
    }

    return ngx_http_push_slot_init_module(cycle, pmcf);
}


static ngx_int_t
ngx_http_push_init_process(ngx_cycle_t *cycle)
{
    ngx_http_push_main_conf_t  *pmcf;

    pmcf = ngx_http_push_used_conf(cycle);

    if (pmcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;      /* cache manager and loader come here too */
    }

    return ngx_http_push_worker_init(cycle, pmcf);
}


static void
ngx_http_push_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_push_worker_deinit();
}
