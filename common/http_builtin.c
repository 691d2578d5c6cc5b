/*
 * http_builtin: GET /healthz, /readyz and /metrics of every daemon
 *
 * in:   requests.  out: alive; the conf's ready(); the text of metrics
 */

#include "http_builtin.h"

static void http_builtin_healthz(struct http_server_request *r, void *data);
static void http_builtin_readyz(struct http_server_request *r, void *data);
static void http_builtin_metrics(struct http_server_request *r, void *data);

const struct http_server_route http_builtin_routes[] = {
    { "GET", "/healthz", http_builtin_healthz, 0, NULL },
    { "GET", "/readyz", http_builtin_readyz, 0, NULL },
    { "GET", "/metrics", http_builtin_metrics, 0, NULL },
    { NULL, NULL, NULL, 0, NULL }
};


static void
http_builtin_healthz(struct http_server_request *r, void *data)
{
    (void) data;

    http_server_answer(r, 200, "text/plain", PUSH_STR("ok\n"));
}


static void
http_builtin_readyz(struct http_server_request *r, void *data)
{
    char                 text[256];
    struct http_server  *s = r->server;

    (void) data;

    if (s->draining) {
        http_server_busy(r, 1, "draining");

    } else if (s->conf.ready != NULL
               && !s->conf.ready(s->conf.data, text, sizeof(text)))
    {
        http_server_busy(r, 1, text);

    } else {
        http_server_answer(r, 200, "text/plain", PUSH_STR("ready\n"));
    }
}


static void
http_builtin_metrics(struct http_server_request *r, void *data)
{
    char    *text;
    size_t   len;

    (void) data;

    text = metrics_text(r->server->conf.metrics, &len);

    if (text == NULL) {
        http_server_problem(r, 500, "out of memory");
        return;
    }

    http_server_answer_taken(r, 200, "text/plain; version=0.0.4", text, len);
}
