/*
 * dispatcher_in: POST /dispatch
 *
 * in:   bodies, final answers of items.  out: one reply a body
 * owns: requests and their items
 */

#include "dispatcher_in.h"

#include "dispatcher_lookup.h"
#include "fault_point.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void dispatcher_in_early(struct http_server_request *r, void *data);
static void dispatcher_in_dispatch(struct http_server_request *r, void *data);
static struct dispatcher_request *dispatcher_in_create(struct dispatcher *d,
    struct push_str body);
static int dispatcher_in_parse(struct dispatcher_request *request);
static void dispatcher_in_cancelled(void *data);
static void dispatcher_in_reply(struct dispatcher_request *request);
static void dispatcher_in_destroy(struct dispatcher_request *request);
static bool dispatcher_in_full(const struct dispatcher *d, size_t more);

const struct http_server_route dispatcher_in_routes[] = {
    { .method = "POST", .path = "/dispatch", .body_max = PUSH_BODY_MAX,
      .handler = dispatcher_in_dispatch, .early = dispatcher_in_early },
    { .method = NULL }
};


void
dispatcher_in_answered(struct dispatcher_item *item)
{
    struct dispatcher_request *request = item->request;
    uint64_t                  *replies;

    replies = &request->dispatcher->counters.items_offline;
    metrics_add(&replies[item->plan.answer.reply], 1);

    dispatcher_lookup_forget(item);

    if (--request->waiting == 0) {
        dispatcher_in_reply(request);
    }
}


/* Before the body is read. */
static void
dispatcher_in_early(struct http_server_request *r, void *data)
{
    struct dispatcher  *d = data;

    if (!conf_secrets_match(&d->secrets, http_server_header(r, "Push-Secret")))
    {
        metrics_add(&d->counters.requests_refused, 1);
        http_server_problem(r, 403, "missing or wrong Push-Secret");
        return;
    }

    if (dispatcher_in_full(d, 0)) {
        metrics_add(&d->counters.requests_full, 1);
        http_server_busy(r, 1, "too much is under way");
    }
}


static void
dispatcher_in_dispatch(struct http_server_request *r, void *data)
{
    unsigned                    i;
    struct push_str             body;
    struct dispatcher          *d = data;
    struct dispatcher_request  *request;

    body = http_server_body(r);
    request = dispatcher_in_full(d, body.len) ? NULL
              : dispatcher_in_create(d, body);

    if (request == NULL) {
        metrics_add(&d->counters.requests_full, 1);
        http_server_busy(r, 1, "too much is under way");
        return;
    }

    request->r = r;
    http_server_on_cancel(r, dispatcher_in_cancelled, request);

    /* One more, so that the last item does not end it before all began. */

    request->waiting = request->count + 1;

    for (i = 0; i < request->count; i++) {
        dispatcher_lookup_start(&request->items[i]);
    }

    if (--request->waiting == 0) {
        dispatcher_in_reply(request);
    }
}


/* NULL: out of memory. */
static struct dispatcher_request *
dispatcher_in_create(struct dispatcher *d, struct push_str body)
{
    struct dispatcher_request  *request;

    request = calloc(1, sizeof(*request));
    if (request == NULL) {
        return NULL;
    }

    request->dispatcher = d;
    request->since_ms = daemon_monotonic_ms();
    request->len = body.len;
    request->body = malloc(body.len + 1);
    d->bytes += body.len;

    if (request->body == NULL) {
        dispatcher_in_destroy(request);
        return NULL;
    }

    memcpy(request->body, body.data, body.len);

    if (dispatcher_in_parse(request) != PUSH_OK) {
        dispatcher_in_destroy(request);
        return NULL;
    }

    return request;
}


/*
 * Items up to the first error, which is kept in the request.  PUSH_ERROR: out
 * of memory.
 */
static int
dispatcher_in_parse(struct dispatcher_request *request)
{
    int                      rc;
    unsigned                 size;
    struct push_str          node = { NULL, 0 };
    uint64_t                 instance = 0;
    struct push_lines        l;
    struct push_lines_item   line;
    struct dispatcher_item  *item, *items;

    push_lines_init(&l, request->body, request->len, true);
    size = 0;

    while ((rc = push_lines_next(&l, &line)) == PUSH_OK) {

        if (line.verb == PUSH_LINES_EPOCH) {
            request->epoch = line.epoch;
            continue;
        }

        if (line.verb == PUSH_LINES_NODE) {
            node = line.name;
            instance = line.id.instance;
            continue;
        }

        if (dispatcher_plan_route(line.verb, node.len != 0)
            == PLAN_ROUTE_REFUSED)
        {
            request->error_line = line.line;
            snprintf(request->error, sizeof(request->error),
                     "%s: needs a node line before it",
                     push_lines_verb_text(line.verb));
            return PUSH_OK;
        }

        if (request->count == size) {
            size = size == 0 ? 16 : 4 * size;
            items = realloc(request->items, size * sizeof(*items));

            if (items == NULL) {
                return PUSH_ERROR;
            }

            request->items = items;
        }

        item = &request->items[request->count++];
        item->request = request;
        item->line = line;
        item->node = node;
        item->instance = instance;
        dispatcher_plan_init(&item->plan);
    }

    if (rc == PUSH_ERROR) {
        request->error_line = l.error_line;
        memcpy(request->error, l.error, sizeof(request->error));
    }

    return PUSH_OK;
}


/* The collector has left; the items are on their way and go on. */
static void
dispatcher_in_cancelled(void *data)
{
    struct dispatcher_request  *request = data;

    request->r = NULL;
}


static void
dispatcher_in_reply(struct dispatcher_request *request)
{
    char               *text;
    size_t              len;
    unsigned            i;
    struct dispatcher  *d = request->dispatcher;

    if (request->r == NULL) {
        dispatcher_in_destroy(request);
        return;
    }

    metrics_observe_us(&d->request_time,
                       (uint64_t) (daemon_monotonic_ms() - request->since_ms)
                       * 1000);

    text = malloc(request->count * PUSH_LINES_ANSWER_MAX
                  + sizeof(request->error) + 32);

    if (text == NULL) {
        http_server_busy(request->r, 1, "out of memory");
        dispatcher_in_destroy(request);
        return;
    }

    PUSH_FAULT_POINT("dispatch-reply");
    len = 0;

    for (i = 0; i < request->count; i++) {
        len += push_lines_answer_write(text + len,
                                       request->items[i].plan.answer);
    }

    if (request->error_line != 0) {
        len += (size_t) sprintf(text + len, "error %u %s\n",
                                request->error_line, request->error);

        metrics_add(&d->counters.requests_bad, 1);
        log_warn(&d->daemon.log, "bad_body", "line=%u error=%s",
                 request->error_line, request->error);

    } else {
        metrics_add(&d->counters.requests, 1);
    }

    http_server_answer_taken(request->r, request->error_line != 0 ? 400 : 200,
                             "text/plain", text, len);
    dispatcher_in_destroy(request);
}


static void
dispatcher_in_destroy(struct dispatcher_request *request)
{
    request->dispatcher->bytes -= request->len;

    free(request->items);
    free(request->body);
    free(request);
}


static bool
dispatcher_in_full(const struct dispatcher *d, size_t more)
{
    return d->bytes + more > (size_t) d->conf.queue_bytes / 2;
}
