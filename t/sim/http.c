/*
 * http: requests between the daemons and to the edges
 *
 *     http_client_send --network--> dispatcher's handler --+
 *                 |                 or edge_deliver        |
 *     done <------+--- reply, refused, time-out <--network-+
 *
 * in:   common/http_client.h and http_server.h as the daemons call them
 * out:  the same, over net.c.  owns: calls and requests
 */

#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemons.h"
#include "edge.h"
#include "net.h"

#define HTTP_TURN_US  50            /* of the server, before it works */

struct http_client {
    struct sim_proc         *proc;
    struct http_client_call *calls;
};

/* A call is over when done has run or it was cancelled. */
struct http_client_call {
    struct http_client      *client;
    struct http_client_call *next;
    struct http_client_call *prev;
    http_client_pt           done;
    void                    *data;
    struct sim_event         timeout;
    int64_t                  since_us;
    unsigned                 to;        /* enum sim_place */
    struct push_str          body;
    bool                     over;

    unsigned                 status;    /* of the reply under way */
    bool                     sent;
    struct push_str          reply;
    char                     instance[17];
};

static unsigned http_place(const char *url);
static void http_arrive(void *data);
static void http_arrive_again(void *data);
static void http_dispatch(struct http_client_call *call);
static void http_replied(void *data, unsigned status, struct push_str body);
static void http_answer(struct http_client_call *call, unsigned status,
    bool sent, struct push_str body, int64_t us);
static void http_come(void *data);
static void http_timeout(void *data);
static void http_over(struct http_client_call *call, unsigned status,
    bool sent, const char *error);


/* --- common/http_client.h ------------------------------------------------ */

struct http_client *
http_client_create(struct event_base *base, struct log *log,
    const struct http_client_conf *conf)
{
    struct http_client  *c;

    (void) log;
    (void) conf;

    c = sim_alloc(sizeof(*c));
    c->proc = (struct sim_proc *) base;

    return c;
}


void
http_client_destroy(struct http_client *c)
{
    while (c != NULL && c->calls != NULL) {
        http_client_cancel(c->calls);
    }
}


struct http_client_call *
http_client_send(struct http_client *c,
    const struct http_client_request *request, http_client_pt done,
    void *data)
{
    struct http_client_call  *call;

    if (!c->proc->up) {
        return NULL;
    }

    call = sim_alloc(sizeof(*call));
    call->client = c;
    call->done = done;
    call->data = data;
    call->since_us = sim.now_us;
    call->to = http_place(request->url);
    call->body.data = sim_copy(request->body.data, request->body.len);
    call->body.len = request->body.len;

    call->next = c->calls;

    if (c->calls != NULL) {
        c->calls->prev = call;
    }

    c->calls = call;

    call->timeout.fn = http_timeout;
    call->timeout.data = call;
    call->timeout.proc = c->proc;
    sim_at(&call->timeout, sim.now_us + MS(request->timeout_ms));

    if (!net_lost(c->proc->place, call->to)) {
        sim_after(net_delay(), http_arrive, call, sim_proc(call->to));

        if (call->to < PLACE_COLLECTOR && sim_fault(FAULT_TWICE)
            && sim_chance(50))
        {
            sim_after(net_delay() + sim_below(5000000), http_arrive_again,
                      call, sim_proc(call->to));
        }
    }

    return call;
}


void
http_client_cancel(struct http_client_call *call)
{
    call->over = true;
    sim_cancel(&call->timeout);

    if (call->prev != NULL) {
        call->prev->next = call->next;

    } else {
        call->client->calls = call->next;
    }

    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
}


int
http_client_url_check(const char *value, char *error, size_t size)
{
    (void) value;
    (void) error;
    (void) size;

    return PUSH_OK;
}


/* "http://e1/deliver", "http://d0/dispatch" */
static unsigned
http_place(const char *url)
{
    return (url[7] == 'e' ? PLACE_EDGE : PLACE_DISPATCHER)
           + (unsigned) (url[8] - '0');
}


static void
http_arrive(void *data)
{
    uint64_t                  instance;
    struct push_str           reply;
    struct sim_proc          *proc;
    struct http_client_call  *call = data;

    proc = sim_proc(call->to);

    if (!proc->up) {
        http_answer(call, 0, false, PUSH_STR(""), net_delay());
        return;
    }

    if (call->to >= PLACE_DISPATCHER) {
        http_dispatch(call);
        return;
    }

    reply = edge_deliver(call->to - PLACE_EDGE, call->body, &instance);
    push_hex64_write(call->instance, instance);
    http_answer(call, 200, true, reply, HTTP_TURN_US + net_delay());
}


/* A byte stream has no such thing: somebody tries again who should not. */
static void
http_arrive_again(void *data)
{
    uint64_t                  instance;
    struct http_client_call  *call = data;

    if (sim_proc(call->to)->up) {
        (void) edge_deliver(call->to - PLACE_EDGE, call->body, &instance);
    }
}


static void
http_dispatch(struct http_client_call *call)
{
    struct http_server_request  *r;

    r = http_request(sim_proc(call->to), call->body, http_replied, call);

    dispatcher_in_routes[0].handler(r, daemons_dispatcher(call->to
                                                          - PLACE_DISPATCHER));
}


static void
http_replied(void *data, unsigned status, struct push_str body)
{
    http_answer(data, status, true, body, HTTP_TURN_US + net_delay());
}


static void
http_answer(struct http_client_call *call, unsigned status, bool sent,
    struct push_str body, int64_t us)
{
    call->status = status;
    call->sent = sent;
    call->reply = body;

    if (!net_lost(call->to, call->client->proc->place)) {
        sim_after(us, http_come, call, call->client->proc);
    }
}


static void
http_come(void *data)
{
    struct http_client_call  *call = data;

    if (!call->over) {
        http_over(call, call->status, call->sent, "refused or broken");
    }
}


static void
http_timeout(void *data)
{
    http_over(data, 0, true, "time-out");
}


static void
http_over(struct http_client_call *call, unsigned status, bool sent,
    const char *error)
{
    struct http_client_result  result;

    http_client_cancel(call);

    memset(&result, 0, sizeof(result));
    result.status = status;
    result.sent = sent;
    result.error = status == 0 ? error : "";
    result.took_us = (uint64_t) (sim.now_us - call->since_us);

    if (status != 0) {
        result.body = call->reply;
        result.wanted[0] = call->instance[0] ? call->instance : NULL;
    }

    call->done(&result, call->data);
}


/* --- common/http_server.h ------------------------------------------------ */

struct http_server_request {
    struct sim_proc            *proc;
    struct push_str             body;
    http_reply_pt               reply;
    void                       *data;
    void                      (*on_cancel)(void *data);
    void                       *cancel_data;
    struct http_server_request *next;       /* of the process: unanswered */
    struct http_server_request *prev;
};

static struct http_server_request  *http_requests[PLACE_COUNT];

static void http_unlink(struct http_server_request *r);


void
http_init(void)
{
    memset(http_requests, 0, sizeof(http_requests));
}


struct http_server_request *
http_request(struct sim_proc *proc, struct push_str body, http_reply_pt reply,
    void *data)
{
    struct http_server_request  *r;

    r = sim_alloc(sizeof(*r));
    r->proc = proc;
    r->body = body;
    r->reply = reply;
    r->data = data;
    r->next = http_requests[proc->place];

    if (r->next != NULL) {
        r->next->prev = r;
    }

    http_requests[proc->place] = r;

    return r;
}


/* Whoever waits sees the connection break. */
void
http_killed(struct sim_proc *proc)
{
    struct http_server_request  *r;

    while ((r = http_requests[proc->place]) != NULL) {
        http_unlink(r);

        if (r->on_cancel != NULL) {
            r->on_cancel(r->cancel_data);
        }

        r->reply(r->data, 0, PUSH_STR(""));
    }
}


static void
http_unlink(struct http_server_request *r)
{
    if (r->prev != NULL) {
        r->prev->next = r->next;

    } else {
        http_requests[r->proc->place] = r->next;
    }

    if (r->next != NULL) {
        r->next->prev = r->prev;
    }
}


struct push_str
http_server_body(const struct http_server_request *r)
{
    return r->body;
}


const char *
http_server_header(const struct http_server_request *r, const char *name)
{
    (void) r;
    (void) name;

    return NULL;
}


void
http_server_on_cancel(struct http_server_request *r, void (*fn)(void *data),
    void *data)
{
    r->on_cancel = fn;
    r->cancel_data = data;
}


void
http_server_add_header(struct http_server_request *r, const char *name,
    const char *value)
{
    (void) r;
    (void) name;
    (void) value;
}


void
http_server_answer_taken(struct http_server_request *r, unsigned status,
    const char *type, char *body, size_t len)
{
    (void) type;

    http_unlink(r);
    r->reply(r->data, status,
             (struct push_str) { sim_copy(body, len), len });
    free(body);
}


void
http_server_problem(struct http_server_request *r, unsigned status,
    const char *format, ...)
{
    (void) format;

    http_unlink(r);
    r->reply(r->data, status, PUSH_STR(""));
}


void
http_server_busy(struct http_server_request *r, unsigned retry_after_s,
    const char *detail)
{
    (void) retry_after_s;
    (void) detail;

    http_unlink(r);
    r->reply(r->data, 503, PUSH_STR(""));
}
