/*
 * http_client: requests to our own daemons, edges and the business (libcurl)
 *
 *     send --> curl's multi <--sockets, timer--> libevent
 *                   \--> done, or the deadline --> result --> callback
 *
 * in:   requests.  out: results, each once
 * owns: curl's handles, events of its sockets, calls until their result
 *
 * The deadline is a timer of ours: curl does not look at calls that wait for
 * a connection.
 */

#include "http_client.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http_reply.h"

#define HTTP_CLIENT_HOST_CONNECTIONS  8
#define HTTP_CLIENT_CONNECTIONS       256
#define HTTP_CLIENT_CALLS             4096
#define HTTP_CLIENT_CONNECT_MS        1000
#define HTTP_CLIENT_TIMEOUT_MS        5000
#define HTTP_CLIENT_REPLY_MAX         (64 * 1024)
#define HTTP_CLIENT_SPARE             32    /* easy handles kept for reuse */

struct http_client {
    struct http_client_conf  conf;
    struct event_base       *base;
    struct log              *log;
    CURLM                   *multi;
    struct event            *timer;         /* curl's */
    struct http_client_call *calls;
    size_t                   active;
    CURL                    *spare[HTTP_CLIENT_SPARE];
    size_t                   spare_count;
};

struct http_client_call {
    struct http_client_call  *next;
    struct http_client_call **prev;
    struct http_client       *client;
    CURL                     *easy;
    struct event             *deadline;
    struct curl_slist        *headers;
    http_client_pt            done;
    void                     *data;
    struct http_reply         reply;
    bool                      lost;     /* sent once already: not repeated */
    uint64_t                  began_us;
    char                      error[CURL_ERROR_SIZE];
};


static uint64_t
http_client_us(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


static void
http_client_call_free(struct http_client_call *call)
{
    struct http_client  *c = call->client;

    if (call->prev != NULL) {
        *call->prev = call->next;

        if (call->next != NULL) {
            call->next->prev = call->prev;
        }

        c->active--;
        curl_multi_remove_handle(c->multi, call->easy);
    }

    if (call->easy != NULL && c->spare_count < HTTP_CLIENT_SPARE) {
        curl_easy_reset(call->easy);
        c->spare[c->spare_count++] = call->easy;

    } else if (call->easy != NULL) {
        curl_easy_cleanup(call->easy);
    }

    if (call->deadline != NULL) {
        event_free(call->deadline);
    }

    curl_slist_free_all(call->headers);
    http_reply_deinit(&call->reply);
    free(call);
}


/* May a byte of the request have reached the peer? */
static bool
http_client_sent(struct http_client_call *call)
{
    long  bytes;

    return curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &bytes)
           != CURLE_OK || bytes > 0;
}


/* The one end of a call that is not cancelled.  error NULL: it was answered. */
static void
http_client_finish(struct http_client_call *call, const char *error)
{
    long                       status;
    size_t                     i;
    struct http_client_result  result = { 0 };

    status = 0;

    if (error == NULL) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    }

    result.status = (unsigned) status;
    result.sent = call->lost || http_client_sent(call);
    result.error = error == NULL ? ""
                   : call->reply.too_large ? "the reply is too large"
                   : call->lost ? "connection closed before a reply" : error;
    result.body.data = call->reply.body != NULL ? call->reply.body : "";
    result.body.len = error == NULL ? call->reply.len : 0;
    result.took_us = http_client_us() - call->began_us;

    for (i = 0; i < HTTP_CLIENT_WANTED; i++) {
        result.wanted[i] = call->reply.values[i];
    }

    call->done(&result, call->data);

    http_client_call_free(call);
}


/* Results that curl has; a callback may send or cancel, so one at a time. */
static void
http_client_results(struct http_client *c)
{
    int                       left;
    CURLMsg                  *msg;
    CURLcode                  code;
    struct http_client_call  *call;

    while ((msg = curl_multi_info_read(c->multi, &left)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);

        http_client_finish(call, code == CURLE_OK ? NULL
                           : call->error[0] != '\0' ? call->error
                           : curl_easy_strerror(code));
    }
}


static void
http_client_socket_event(evutil_socket_t fd, short what, void *data)
{
    int                  running;
    struct http_client  *c = data;

    curl_multi_socket_action(c->multi, fd,
                             (what & EV_READ ? CURL_CSELECT_IN : 0)
                             | (what & EV_WRITE ? CURL_CSELECT_OUT : 0),
                             &running);
    http_client_results(c);
}


static void
http_client_timer_event(evutil_socket_t fd, short what, void *data)
{
    int                  running;
    struct http_client  *c = data;

    (void) fd;
    (void) what;

    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    http_client_results(c);
}


static void
http_client_deadline_event(evutil_socket_t fd, short what, void *data)
{
    (void) fd;
    (void) what;

    http_client_finish(data, "no complete reply in time");
}


/* curl: watch this socket, watch it otherwise, forget it. */
static int
http_client_on_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *watched)
{
    short                events;
    struct event        *event = watched;
    struct http_client  *c = data;

    (void) easy;

    if (event != NULL) {
        event_free(event);
        curl_multi_assign(c->multi, fd, NULL);
    }

    if (what == CURL_POLL_REMOVE) {
        return 0;
    }

    events = (short) (EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0)
                      | (what & CURL_POLL_OUT ? EV_WRITE : 0));

    event = event_new(c->base, fd, events, http_client_socket_event, c);

    if (event == NULL || event_add(event, NULL) != 0) {
        log_error(c->log, "out_of_memory", "what=%s", "socket event");
        return -1;
    }

    curl_multi_assign(c->multi, fd, event);

    return 0;
}


static int
http_client_on_timer(CURLM *multi, long ms, void *data)
{
    struct timeval       tv;
    struct http_client  *c = data;

    (void) multi;

    if (ms < 0) {
        event_del(c->timer);
        return 0;
    }

    tv.tv_sec = ms / 1000;
    tv.tv_usec = ms % 1000 * 1000;
    event_add(c->timer, &tv);

    return 0;
}


static size_t
http_client_on_body(char *piece, size_t size, size_t n, void *data)
{
    struct http_client_call  *call = data;

    return http_reply_body(&call->reply, piece, size * n) == PUSH_OK ? size * n
                                                                     : 0;
}


static size_t
http_client_on_header(char *line, size_t size, size_t n, void *data)
{
    struct http_client_call  *call = data;

    http_reply_header(&call->reply, line, size * n);

    return size * n;
}


/*
 * Before each sending.  When a kept connection turns out to be dead curl would
 * send the request once more by itself; whether that may be is for the caller.
 */
static int
http_client_on_send(void *data, char *remote, char *local, int remote_port,
    int local_port)
{
    struct http_client_call  *call = data;

    (void) remote;
    (void) local;
    (void) remote_port;
    (void) local_port;

    if (http_client_sent(call)) {
        call->lost = true;
        return CURL_PREREQFUNC_ABORT;
    }

    return CURL_PREREQFUNC_OK;
}


struct http_client *
http_client_create(struct event_base *base, struct log *log,
    const struct http_client_conf *conf)
{
    struct http_client  *c;

    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(c);
        return NULL;
    }

    c->base = base;
    c->log = log;
    c->conf = *conf;

    if (c->conf.host_connections == 0) {
        c->conf.host_connections = HTTP_CLIENT_HOST_CONNECTIONS;
    }

    if (c->conf.connections == 0) {
        c->conf.connections = HTTP_CLIENT_CONNECTIONS;
    }

    if (c->conf.calls == 0) {
        c->conf.calls = HTTP_CLIENT_CALLS;
    }

    c->multi = curl_multi_init();
    c->timer = event_new(base, -1, 0, http_client_timer_event, c);

    if (c->multi == NULL || c->timer == NULL) {
        http_client_destroy(c);
        return NULL;
    }

    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION,
                      http_client_on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, http_client_on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long) c->conf.host_connections);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      (long) c->conf.connections);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS,
                      (long) c->conf.connections);

    return c;
}


void
http_client_destroy(struct http_client *c)
{
    if (c == NULL) {
        return;
    }

    while (c->calls != NULL) {
        http_client_call_free(c->calls);
    }

    while (c->spare_count > 0) {
        curl_easy_cleanup(c->spare[--c->spare_count]);
    }

    if (c->multi != NULL) {
        curl_multi_cleanup(c->multi);
    }

    if (c->timer != NULL) {
        event_free(c->timer);
    }

    curl_global_cleanup();
    free(c);
}


static int
http_client_add_header(struct http_client_call *call, const char *header)
{
    struct curl_slist  *list;

    list = curl_slist_append(call->headers, header);
    if (list == NULL) {
        return PUSH_ERROR;
    }

    call->headers = list;

    return PUSH_OK;
}


static int
http_client_headers(struct http_client_call *call, const char *const *headers)
{
    bool  type;

    type = false;

    /* no waiting for 100 Continue */
    if (http_client_add_header(call, "Expect:") != PUSH_OK) {
        return PUSH_ERROR;
    }

    for ( ; headers != NULL && *headers != NULL; headers++) {
        type = type || strncasecmp(*headers, "Content-Type:", 13) == 0;

        if (http_client_add_header(call, *headers) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    /* curl would call any body a form */
    return type ? PUSH_OK : http_client_add_header(call, "Content-Type:");
}


static int
http_client_options(struct http_client_call *call,
    const struct http_client_request *request)
{
    bool   ok;
    CURL  *e = call->easy;

    ok = curl_easy_setopt(e, CURLOPT_URL, request->url) == CURLE_OK;

    if (strcmp(request->method, "GET") != 0 || request->body.len > 0) {
        ok = ok
            && curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK
            && curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                                (curl_off_t) request->body.len) == CURLE_OK
            && curl_easy_setopt(e, CURLOPT_POSTFIELDS,
                                request->body.len > 0 ? request->body.data
                                                      : "") == CURLE_OK
            && curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, request->method)
               == CURLE_OK;
    }

#if LIBCURL_VERSION_NUM >= 0x075500
    ok = ok && curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https")
               == CURLE_OK;
#else
    ok = ok && curl_easy_setopt(e, CURLOPT_PROTOCOLS,
                                (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS))
               == CURLE_OK;
#endif

    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "push/" PUSH_VERSION);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long) (request->connect_timeout_ms != 0
                             ? request->connect_timeout_ms
                             : HTTP_CLIENT_CONNECT_MS));
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(e, CURLOPT_PRIVATE, call);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_client_on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, http_client_on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, http_client_on_send);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, call);

    return ok ? PUSH_OK : PUSH_ERROR;
}


struct http_client_call *
http_client_send(struct http_client *c,
    const struct http_client_request *request, http_client_pt done, void *data)
{
    unsigned                  ms;
    struct timeval            tv;
    struct http_client_call  *call;

    if (c->active >= c->conf.calls) {
        return NULL;
    }

    call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }

    call->client = c;
    call->done = done;
    call->data = data;
    call->began_us = http_client_us();
    http_reply_init(&call->reply, request->wanted,
                    request->reply_max != 0 ? request->reply_max
                                            : HTTP_CLIENT_REPLY_MAX);

    call->deadline = event_new(c->base, -1, 0, http_client_deadline_event,
                               call);
    call->easy = c->spare_count > 0 ? c->spare[--c->spare_count]
                                    : curl_easy_init();

    if (call->deadline == NULL || call->easy == NULL
        || http_client_headers(call, request->headers) != PUSH_OK
        || http_client_options(call, request) != PUSH_OK)
    {
        goto failed;
    }

    ms = request->timeout_ms != 0 ? request->timeout_ms
                                  : HTTP_CLIENT_TIMEOUT_MS;
    tv.tv_sec = (time_t) (ms / 1000);
    tv.tv_usec = (suseconds_t) (ms % 1000 * 1000);

    if (event_add(call->deadline, &tv) != 0
        || curl_multi_add_handle(c->multi, call->easy) != CURLM_OK)
    {
        goto failed;
    }

    call->next = c->calls;
    call->prev = &c->calls;

    if (call->next != NULL) {
        call->next->prev = &call->next;
    }

    c->calls = call;
    c->active++;

    return call;

failed:

    http_client_call_free(call);

    return NULL;
}


void
http_client_cancel(struct http_client_call *call)
{
    http_client_call_free(call);
}


size_t
http_client_active(const struct http_client *c)
{
    return c->active;
}


int
http_client_url_check(const char *value, char *error, size_t size)
{
    int     rc;
    CURLU  *url;
    char   *scheme, *host;

    rc = PUSH_ERROR;
    scheme = NULL;
    host = NULL;

    url = curl_url();

    if (url != NULL
        && curl_url_set(url, CURLUPART_URL, value, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0))
    {
        rc = PUSH_OK;

    } else {
        snprintf(error, size, "must be http://host:port or https://host:port, "
                 "not \"%.80s\"", value);
    }

    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(url);

    return rc;
}
