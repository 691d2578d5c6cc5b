/*
 * collector_in: the routes of the publishing API
 *
 *     request --early: API key--> handler --> collector_append, or a store read
 *
 * in: HTTP requests.  out: their answers.  owns: the server, waiting GETs
 */

#include "collector_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector_append.h"
#include "collector_check.h"
#include "collector_keys.h"
#include "collector_text.h"
#include "http_server.h"
#include "redis.h"

#define IN_PAGE_BYTES     (1024 * 1024)     /* data of one page */
#define IN_RETRY_AFTER_S  1

/* A GET that waits for the store. */
struct in_read {
    union {
        struct store_request    r;
        struct store_get        get;
        struct store_read       read;
    } store;
    struct http_server_request *request;    /* NULL: it has ended */
    char                        log[PUSH_LOG_MAX];
    size_t                      log_len;
};

static void in_early(struct http_server_request *r, void *data);
static void in_publish(struct http_server_request *r, void *data);
static void in_batch(struct http_server_request *r, void *data);
static void in_message(struct http_server_request *r, void *data);
static void in_message_done(struct store_request *r);
static void in_message_text(const struct in_read *in,
    struct collector_text *t);
static void in_messages(struct http_server_request *r, void *data);
static void in_messages_done(struct store_request *r);
static void in_messages_text(const struct in_read *in,
    struct collector_text *t);
static void in_groups(struct http_server_request *r, void *data);
static struct in_read *in_read_create(struct http_server_request *r,
    struct push_str log);
static void in_read_start(struct in_read *in, int rc);
static void in_read_answer(struct in_read *in, struct collector_text *t);
static void in_read_free(struct in_read *in);
static void in_cancelled(void *data);
static bool in_ready(void *data, char *text, size_t size);

static const struct http_server_route in_routes[] = {
    { "POST",   "/v1/messages",                     in_publish,
      CHECK_BODY_MAX, in_early },
    { "POST",   "/v1/messages/batch",               in_batch,
      CHECK_BATCH_MAX, in_early },
    { "GET",    "/v1/messages/{id}",                in_message,
      0, in_early },
    { "GET",    "/v1/users/{uid}/messages",         in_messages,
      0, in_early },
    { "PUT",    "/v1/groups/{group}/members/{uid}", in_groups,
      CHECK_BODY_MAX, in_early },
    { "DELETE", "/v1/groups/{group}/members/{uid}", in_groups,
      CHECK_BODY_MAX, in_early },
    { NULL, NULL, NULL, 0, NULL }
};


int
collector_in_create(struct collector *c, char *error, size_t size)
{
    struct http_server_conf  conf;

    memset(&conf, 0, sizeof(conf));
    conf.listen = c->conf.daemon.listen;
    conf.routes = in_routes;
    conf.data = c;
    conf.log = c->log;
    conf.metrics = c->metrics;
    conf.ready = in_ready;

    c->server = http_server_create(c->base, &conf, error, size);

    return c->server ? PUSH_OK : PUSH_ERROR;
}


void
collector_in_drain(struct collector *c)
{
    http_server_drain(c->server);
}


bool
collector_in_idle(const struct collector *c)
{
    return http_server_active(c->server) == 0;
}


void
collector_in_destroy(struct collector *c)
{
    http_server_destroy(c->server);
    c->server = NULL;
}


/* The store must take writes, and Redis must bring requests and acks. */
static bool
in_ready(void *data, char *text, size_t size)
{
    struct collector    *c;
    struct store_health  health;

    c = data;
    store_health(c->store, &health);

    if (!health.ready) {
        snprintf(text, size, "store: %s", health.text);
        return false;
    }

    if (!redis_is_up(c->redis)) {
        snprintf(text, size, "redis is down");
        return false;
    }

    return true;
}


static void
in_early(struct http_server_request *r, void *data)
{
    struct collector  *c;

    c = data;

    if (collector_keys_find(c->keys, http_server_header(r, "Authorization"))) {
        return;
    }

    metrics_add(&c->counters.unauthorized, 1);
    http_server_add_header(r, "WWW-Authenticate", "Bearer");
    http_server_problem(r, 401, "Authorization: Bearer <API key> is missing, "
                        "or the key is not known");
}


static void
in_publish(struct http_server_request *r, void *data)
{
    collector_append_publish(data, r);
}


static void
in_batch(struct http_server_request *r, void *data)
{
    collector_append_batch(data, r);
}


static void
in_groups(struct http_server_request *r, void *data)
{
    (void) data;

    http_server_problem(r, 404, "groups are not available in this version");
}


static void
in_message(struct http_server_request *r, void *data)
{
    int64_t            seq;
    struct in_read    *in;
    struct push_str    id, log;
    struct collector  *c;

    c = data;
    id = http_server_param(r, "id");

    if (collector_check_id(id, &log, &seq) != PUSH_OK) {
        http_server_problem(r, 404, "no such message: an id is <log>@<seq>, "
                            "such as user:u42@18");
        return;
    }

    in = in_read_create(r, log);

    if (in) {
        in->store.r.done = in_message_done;
        in->store.get.log.data = in->log;
        in->store.get.log.len = in->log_len;
        in->store.get.seq = seq;
        in_read_start(in, store_get(c->store, &in->store.get));
    }
}


static void
in_message_done(struct store_request *r)
{
    struct in_read        *in;
    struct collector_text  t;

    in = r->data;
    memset(&t, 0, sizeof(t));

    if (in->request && r->result == STORE_OK) {

        if (in->store.get.state == STORE_NEVER) {
            http_server_problem(in->request, 404, "no such message");
            in_read_free(in);
            return;
        }

        in_message_text(in, &t);
    }

    in_read_answer(in, &t);
}


static void
in_message_text(const struct in_read *in, struct collector_text *t)
{
    bool                     shared;
    size_t                   i;
    struct push_str          log;
    const struct store_get  *g;

    g = &in->store.get;
    log.data = in->log;
    log.len = in->log_len;
    shared = memcmp(in->log, "user:", 5 < log.len ? 5 : log.len) != 0;

    collector_text_lit(t, "{\"id\":\"");
    collector_text_id(t, log, g->seq);
    collector_text_lit(t, "\",\"log\":\"");
    collector_text_add(t, log);
    collector_text_lit(t, "\",\"seq\":");
    collector_text_int(t, g->seq);
    collector_text_lit(t, ",\"ts\":");

    if (g->ts_ms) {
        collector_text_int(t, g->ts_ms);

    } else {
        collector_text_lit(t, "null");
    }

    collector_text_lit(t, ",\"expires\":");

    if (g->expires) {
        collector_text_int(t, g->expires);

    } else {
        collector_text_lit(t, "null");
    }

    collector_text_lit(t, ",\"state\":\"");
    collector_text_add(t, g->state == STORE_EXPIRED ? PUSH_STR("expired")
                          : g->acked_count ? PUSH_STR("acked")
                                           : PUSH_STR("stored"));
    collector_text_lit(t, "\",\"acked\":[");

    for (i = 0; i < g->acked_listed; i++) {
        collector_text_add(t, i ? PUSH_STR(",\"") : PUSH_STR("\""));

        if (shared) {
            collector_text_add(t, g->acked[i].uid);
            collector_text_lit(t, "/");
        }

        collector_text_add(t, g->acked[i].device);
        collector_text_lit(t, "\"");
    }

    collector_text_lit(t, "]");

    if (shared) {
        collector_text_lit(t, ",\"acked_count\":");
        collector_text_int(t, g->acked_count);
    }

    collector_text_lit(t, "}");
}


static void
in_messages(struct http_server_request *r, void *data)
{
    char                          name[PUSH_LOG_MAX];
    size_t                        max;
    int64_t                       after;
    struct in_read               *in;
    struct push_str               uid;
    struct collector             *c;
    struct collector_check_error  error;

    c = data;
    uid = http_server_param(r, "uid");

    if (collector_check_uid(uid, &error) != PUSH_OK
        || collector_check_page(http_server_query(r, "after"),
                                http_server_query(r, "limit"), &after, &max,
                                &error) != PUSH_OK)
    {
        http_server_problem(r, error.status, "%s", error.text);
        return;
    }

    memcpy(name, "user:", 5);
    memcpy(name + 5, uid.data, uid.len);

    in = in_read_create(r, (struct push_str) { name, uid.len + 5 });

    if (in) {
        in->store.r.done = in_messages_done;
        in->store.read.log.data = in->log;
        in->store.read.log.len = in->log_len;
        in->store.read.after = after;
        in->store.read.max = max;
        in->store.read.max_bytes = IN_PAGE_BYTES;
        in_read_start(in, store_read(c->store, &in->store.read));
    }
}


static void
in_messages_done(struct store_request *r)
{
    struct in_read        *in;
    struct collector_text  t;

    in = r->data;
    memset(&t, 0, sizeof(t));

    if (in->request && r->result == STORE_OK) {
        in_messages_text(in, &t);
    }

    in_read_answer(in, &t);
}


/* `last`: where the next page begins; what is gone may lie before it. */
static void
in_messages_text(const struct in_read *in, struct collector_text *t)
{
    bool                      first;
    size_t                    i;
    struct push_str           log;
    const struct store_item  *item;
    const struct store_read  *page;

    page = &in->store.read;
    log.data = in->log;
    log.len = in->log_len;
    first = true;

    collector_text_lit(t, "{\"messages\":[");

    for (i = 0; i < page->count; i++) {
        item = &page->items[i];

        if (item->why) {
            continue;
        }

        collector_text_add(t, first ? PUSH_STR("{\"seq\":")
                                    : PUSH_STR(",{\"seq\":"));
        collector_text_int(t, item->seq);
        collector_text_lit(t, ",\"id\":\"");
        collector_text_id(t, log, item->seq);
        collector_text_lit(t, "\",\"ts\":");
        collector_text_int(t, item->ts_ms);
        collector_text_lit(t, ",\"data\":");
        collector_text_add(t, item->data);
        collector_text_lit(t, "}");
        first = false;
    }

    collector_text_lit(t, "],\"floor\":");
    collector_text_int(t, page->floor);
    collector_text_lit(t, ",\"tip\":");
    collector_text_int(t, page->tip);
    collector_text_lit(t, ",\"last\":");
    collector_text_int(t, page->last);
    collector_text_lit(t, "}");
}


/* NULL: it is answered. */
static struct in_read *
in_read_create(struct http_server_request *r, struct push_str log)
{
    struct in_read  *in;

    in = calloc(1, sizeof(*in));

    if (in == NULL) {
        http_server_busy(r, IN_RETRY_AFTER_S, "out of memory");
        return NULL;
    }

    in->store.r.data = in;
    in->request = r;
    in->log_len = log.len;
    memcpy(in->log, log.data, log.len);

    return in;
}


static void
in_read_start(struct in_read *in, int rc)
{
    if (rc == PUSH_OK) {
        http_server_on_cancel(in->request, in_cancelled, in);
        return;
    }

    http_server_busy(in->request, IN_RETRY_AFTER_S, "too many requests wait "
                     "for the store");
    free(in);
}


static void
in_read_answer(struct in_read *in, struct collector_text *t)
{
    if (in->request == NULL) {
        collector_text_free(t);

    } else if (in->store.r.result != STORE_OK) {
        http_server_busy(in->request, IN_RETRY_AFTER_S, in->store.r.error);

    } else if (t->failed) {
        collector_text_free(t);
        http_server_busy(in->request, IN_RETRY_AFTER_S, "out of memory");

    } else {
        http_server_answer_taken(in->request, 200, "application/json",
                                 t->data, t->len);
    }

    in_read_free(in);
}


static void
in_read_free(struct in_read *in)
{
    store_release(&in->store.r);
    free(in);
}


static void
in_cancelled(void *data)
{
    ((struct in_read *) data)->request = NULL;
}
