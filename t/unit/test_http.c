/*
 * http_server and http_client talk to each other in one loop; what no decent
 * client sends goes through a bare socket.
 */

#include "http_client.h"
#include "http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"

#define TEST_ADDRESS  "127.0.0.1:21020"
#define TEST_BASE     "http://" TEST_ADDRESS
#define TEST_PORT     21020
#define TEST_OTHER    21021             /* scripted peers */
#define TEST_WAIT_MS  10000

struct test {
    struct event_base          *base;
    struct log                  log;
    struct metrics             *metrics;
    struct http_server         *server;
    struct http_client         *client;

    bool                        is_ready;
    unsigned                    handled;
    struct http_server_request *kept[8];
    unsigned                    kept_count;
    unsigned                    cancelled;

    unsigned                    results;
    unsigned                    status;
    bool                        sent;
    char                        error[128];
    char                        body[70000];
    size_t                      body_len;
    char                        wanted[2][128];
};


/* Answers what the handler saw. */
static void
test_echo(struct http_server_request *r, void *data)
{
    char             text[1024];
    int              n;
    const char      *headers[2] = { "-", "-" };
    struct test     *t = data;
    struct push_str  id, q, body;

    t->handled++;
    id = http_server_param(r, "id");
    q = http_server_query(r, "q");
    body = http_server_body(r);

    n = snprintf(text, sizeof(text), "%s id=%.*s q=%.*s(%s) len=%zu n=%zu %s",
                 http_server_method(r), LOG_STR(id), LOG_STR(q),
                 q.data == NULL ? "none" : "some", body.len,
                 http_server_headers(r, "x-two", headers, 2), headers[1]);

    http_server_add_header(r, "X-Echo", "yes");
    http_server_answer(r, 200, "text/plain",
                       (struct push_str) { text, (size_t) n });
}


static void
test_cancelled(void *data)
{
    ((struct test *) data)->cancelled++;
}


static void
test_keep(struct http_server_request *r, void *data)
{
    struct test  *t = data;

    t->kept[t->kept_count++] = r;
    http_server_on_cancel(r, test_cancelled, t);
}


static void
test_early(struct http_server_request *r, void *data)
{
    (void) data;

    if (http_server_header(r, "X-Key") == NULL) {
        http_server_problem(r, 401, "no key \"%s\" \x01 \xff", "x");
    }
}


static void
test_large(struct http_server_request *r, void *data)
{
    char  *body;

    (void) data;

    body = malloc(60000);
    memset(body, 'x', 60000);
    http_server_answer_taken(r, 200, NULL, body, 60000);
}


static const struct http_server_route test_routes[] = {
    { "GET", "/echo/{id}/x", test_echo, 0, NULL },
    { "POST", "/echo/{id}/x", test_echo, 100000, NULL },
    { "PUT", "/put", test_echo, 10, NULL },
    { "GET", "/keep", test_keep, 0, NULL },
    { "POST", "/early", test_echo, 3000000, test_early },
    { "GET", "/large", test_large, 0, NULL },
    { NULL, NULL, NULL, 0, NULL }
};


static bool
test_ready(void *data, char *text, size_t size)
{
    snprintf(text, size, "redis is down");

    return ((struct test *) data)->is_ready;
}


static void
test_turn(struct test *t)
{
    struct timeval  tv = { 0, 10000 };

    event_base_loopexit(t->base, &tv);
    event_base_loop(t->base, EVLOOP_ONCE);
}


#define test_wait(t, condition)                                               \
    ({                                                                        \
        bool     holds_;                                                      \
        int64_t  until_ = daemon_monotonic_ms() + TEST_WAIT_MS;               \
                                                                              \
        while (!(holds_ = (condition)) && daemon_monotonic_ms() < until_) {   \
            test_turn(t);                                                     \
        }                                                                     \
                                                                              \
        holds_;                                                               \
    })


static void
test_server(struct test *t, const char *address)
{
    char                     error[256];
    struct http_server_conf  conf = { 0 };

    conf.listen = address;
    conf.routes = test_routes;
    conf.data = t;
    conf.log = &t->log;
    conf.metrics = t->metrics;
    conf.ready = test_ready;
    conf.bodies_max = 4000000;

    t->server = http_server_create(t->base, &conf, error, sizeof(error));

    if (t->server == NULL) {
        fail_msg("%s", error);
    }
}


static int
test_setup(void **state)
{
    struct test              *t;
    struct http_client_conf   conf = { .host_connections = 4, .calls = 200 };

    t = calloc(1, sizeof(*t));
    *state = t;

    t->base = event_base_new();
    t->is_ready = true;
    log_init(&t->log, "test");
    t->metrics = metrics_create();
    test_server(t, TEST_ADDRESS);
    t->client = http_client_create(t->base, &t->log, &conf);
    assert_non_null(t->client);

    return 0;
}


static int
test_teardown(void **state)
{
    struct test  *t = *state;

    http_client_destroy(t->client);
    http_server_destroy(t->server);
    metrics_destroy(t->metrics);
    event_base_free(t->base);
    log_deinit(&t->log);
    free(t);

    return 0;
}


static void
test_on_result(const struct http_client_result *result, void *data)
{
    struct test  *t = data;

    t->results++;
    t->status = result->status;
    t->sent = result->sent;
    snprintf(t->error, sizeof(t->error), "%s", result->error);
    assert_true(result->body.len < sizeof(t->body));
    memcpy(t->body, result->body.data, result->body.len);
    t->body[result->body.len] = '\0';
    t->body_len = result->body.len;
    snprintf(t->wanted[0], sizeof(t->wanted[0]), "%s",
             result->wanted[0] != NULL ? result->wanted[0] : "(none)");
    snprintf(t->wanted[1], sizeof(t->wanted[1]), "%s",
             result->wanted[1] != NULL ? result->wanted[1] : "(none)");
}


static struct http_client_call *
test_send(struct test *t, const char *method, const char *url,
    const char *header, const char *body, size_t len)
{
    const char                 *headers[] = { header, NULL };
    struct http_client_request  request = { 0 };

    request.method = method;
    request.url = url;
    request.headers = headers;
    request.body = (struct push_str) { body, len };
    request.wanted[0] = "Allow";
    request.wanted[1] = "Content-Type";
    request.timeout_ms = 3000;

    return http_client_send(t->client, &request, test_on_result, t);
}


/* One request, to its end. */
static void
test_ask(struct test *t, const char *method, const char *path,
    const char *header, const char *body, size_t len)
{
    char      url[512];
    unsigned  before = t->results;

    snprintf(url, sizeof(url), TEST_BASE "%s", path);
    assert_non_null(test_send(t, method, url, header, body, len));
    assert_int_equal(t->results, before);
    assert_true(test_wait(t, t->results == before + 1));
}


static void
test_routing(void **state)
{
    struct test  *t = *state;

    test_ask(t, "GET", "/echo/a%2Fb%25/x?z=1&q=%20y+z", NULL, "", 0);
    assert_int_equal(t->status, 200);
    assert_string_equal(t->body, "GET id=a/b% q= y z(some) len=0 n=0 -");
    assert_string_equal(t->wanted[1], "text/plain");

    test_ask(t, "GET", "/echo/a/x", "X-Two: v", "", 0);
    assert_string_equal(t->body, "GET id=a q=(none) len=0 n=1 -");

    test_ask(t, "PUT", "/put", NULL, "0123456789", 10);
    assert_string_equal(t->body, "PUT id= q=(none) len=10 n=0 -");

    test_ask(t, "DELETE", "/echo/a/x", NULL, "", 0);
    assert_int_equal(t->status, 405);
    assert_string_equal(t->wanted[0], "GET, HEAD, POST");
    assert_string_equal(t->wanted[1], "application/problem+json");
    assert_string_equal(t->body, "{\"type\":\"about:blank\",\"title\":"
                        "\"Method Not Allowed\",\"status\":405,\"detail\":"
                        "\"only GET, HEAD, POST is possible here\"}\n");

    test_ask(t, "GET", "/nothing", NULL, "", 0);
    assert_int_equal(t->status, 404);
    test_ask(t, "GET", "/echo//x", NULL, "", 0);
    assert_int_equal(t->status, 404);
    test_ask(t, "GET", "/echo/a/x/", NULL, "", 0);
    assert_int_equal(t->status, 404);
    test_ask(t, "GET", "/echo/%4/x", NULL, "", 0);
    assert_int_equal(t->status, 400);
    test_ask(t, "GET", "/echo/a/x?q=%zz", NULL, "", 0);
    assert_int_equal(t->status, 400);
}


static void
test_bodies(void **state)
{
    char         *body;
    struct test  *t = *state;

    body = calloc(1, 3000001);

    test_ask(t, "POST", "/echo/a/x", NULL, body, 100000);
    assert_string_equal(t->body, "POST id=a q=(none) len=100000 n=0 -");

    test_ask(t, "POST", "/echo/a/x", NULL, body, 100001);
    assert_int_equal(t->status, 413);
    assert_non_null(strstr(t->body, "larger than 100000 bytes"));

    test_ask(t, "POST", "/early", "X-Key: k", body, 3000001);
    assert_int_equal(t->status, 413);

    /* the connection is of use after that */
    test_ask(t, "PUT", "/put", NULL, "01234567890", 11);
    assert_int_equal(t->status, 413);
    test_ask(t, "POST", "/keep", NULL, body, 5);
    assert_int_equal(t->status, 405);

    /* before the body: 401, the handler hears nothing */
    t->handled = 0;
    test_ask(t, "POST", "/early", NULL, body, 1000000);
    assert_int_equal(t->status, 401);
    assert_int_equal(t->handled, 0);
    assert_non_null(strstr(t->body, "no key \\\"x\\\" \\u0001 ?"));

    test_ask(t, "POST", "/early", "X-Key: k", body, 3000000);
    assert_int_equal(t->status, 200);
    assert_int_equal(t->handled, 1);

    /* chunked: counted as it comes */
    test_ask(t, "POST", "/echo/a/x", "Transfer-Encoding: chunked", body, 50000);
    assert_int_equal(t->status, 200);
    test_ask(t, "POST", "/echo/a/x", "Transfer-Encoding: chunked", body,
             200000);
    assert_int_equal(t->status, 413);

    free(body);
}


static void
test_later(void **state)
{
    unsigned      i;
    struct test  *t = *state;

    for (i = 0; i < 4; i++) {
        test_send(t, "GET", TEST_BASE "/keep", NULL, "", 0);
    }

    assert_true(test_wait(t, t->kept_count == 4));
    assert_int_equal(http_server_active(t->server), 4);
    assert_int_equal(t->results, 0);

    /* not in the order in which they came */

    http_server_answer(t->kept[2], 200, NULL, PUSH_STR("two"));
    assert_true(test_wait(t, t->results == 1));
    assert_string_equal(t->body, "two");

    for (i = 0; i < 4; i++) {
        if (i != 2) {
            http_server_answer(t->kept[i], 204, NULL, PUSH_STR(""));
        }
    }

    assert_true(test_wait(t, t->results == 4));
    assert_int_equal(t->status, 204);
    assert_true(test_wait(t, http_server_active(t->server) == 0));
    assert_int_equal(t->cancelled, 0);
}


static void
test_cancel(void **state)
{
    struct test              *t = *state;
    struct http_client_call  *call;

    /* a client that does not wait */

    call = test_send(t, "GET", TEST_BASE "/keep", NULL, "", 0);
    assert_true(test_wait(t, t->kept_count == 1));
    http_client_cancel(call);
    assert_int_equal(http_client_active(t->client), 0);
    test_turn(t);
    http_server_answer(t->kept[0], 200, NULL, PUSH_STR("late"));
    assert_true(test_wait(t, http_server_active(t->server) == 0));
    assert_int_equal(t->results, 0);

    /* a server that goes away */

    test_send(t, "GET", TEST_BASE "/keep", NULL, "", 0);
    assert_true(test_wait(t, t->kept_count == 2));
    http_server_destroy(t->server);
    t->server = NULL;
    assert_int_equal(t->cancelled, 1);
    assert_true(test_wait(t, t->results == 1));
}


static void
test_drain(void **state)
{
    struct test  *t = *state;

    test_ask(t, "GET", "/readyz", NULL, "", 0);
    assert_int_equal(t->status, 200);

    test_send(t, "GET", TEST_BASE "/keep", NULL, "", 0);
    test_ask(t, "GET", "/healthz", NULL, "", 0);
    assert_true(test_wait(t, t->kept_count == 1));

    http_server_drain(t->server);

    /* on the connection that is open: refused, then closed */

    test_ask(t, "GET", "/echo/a/x", NULL, "", 0);
    assert_int_equal(t->status, 503);
    assert_non_null(strstr(t->body, "draining"));

    /* no new ones */

    test_ask(t, "GET", "/echo/a/x", NULL, "", 0);
    assert_int_equal(t->status, 0);
    assert_false(t->sent);

    http_server_answer(t->kept[0], 200, NULL, PUSH_STR("end"));
    assert_true(test_wait(t, t->status == 200));
    assert_true(test_wait(t, http_server_active(t->server) == 0));
}


static void
test_builtin(void **state)
{
    struct test  *t = *state;

    test_ask(t, "GET", "/healthz", NULL, "", 0);
    assert_int_equal(t->status, 200);

    t->is_ready = false;
    test_ask(t, "GET", "/readyz", NULL, "", 0);
    assert_int_equal(t->status, 503);
    assert_non_null(strstr(t->body, "redis is down"));

    test_ask(t, "GET", "/metrics", NULL, "", 0);
    assert_int_equal(t->status, 200);
    assert_string_equal(t->wanted[1], "text/plain; version=0.0.4");
    assert_non_null(strstr(t->body,
                           "push_http_answers_total{code=\"2xx\"} 1\n"));
    assert_non_null(strstr(t->body,
                           "push_http_answers_total{code=\"5xx\"} 1\n"));
    assert_non_null(strstr(t->body, "push_http_answer_seconds_count 2\n"));

    test_ask(t, "POST", "/metrics", NULL, "", 0);
    assert_int_equal(t->status, 405);
}


static void
test_client_limits(void **state)
{
    unsigned                    i;
    struct test                *t = *state;
    struct http_client_request  request = { 0 };

    /* replies have a bound */

    request.method = "GET";
    request.url = TEST_BASE "/large";
    request.reply_max = 59999;
    http_client_send(t->client, &request, test_on_result, t);
    assert_true(test_wait(t, t->results == 1));
    assert_int_equal(t->status, 0);
    assert_true(t->sent);
    assert_string_equal(t->error, "the reply is too large");

    request.reply_max = 60000;
    http_client_send(t->client, &request, test_on_result, t);
    assert_true(test_wait(t, t->results == 2));
    assert_int_equal(t->body_len, 60000);

    /* more calls than connections wait, more than calls are refused */

    for (i = 0; test_send(t, "GET", TEST_BASE "/echo/a/x", NULL, "", 0); i++) {
        assert_true(i < 200);
    }

    assert_int_equal(i, 200);
    assert_true(test_wait(t, t->results == 202));
    assert_int_equal(t->status, 200);

    /* the deadline counts for those that wait, too */

    for (i = 0; i < 8; i++) {
        request.url = TEST_BASE "/keep";
        request.timeout_ms = 200;
        http_client_send(t->client, &request, test_on_result, t);
    }

    assert_true(test_wait(t, t->results == 210));
    assert_int_equal(t->status, 0);
    assert_string_equal(t->error, "no complete reply in time");

    for (i = 0; i < t->kept_count; i++) {
        http_server_answer(t->kept[i], 200, NULL, PUSH_STR(""));
    }

    /* nobody there, and no URL */

    test_send(t, "GET", "http://127.0.0.1:21029/", NULL, "", 0);
    assert_true(test_wait(t, t->results == 211));
    assert_int_equal(t->status, 0);
    assert_false(t->sent);

    test_send(t, "GET", "ftp://127.0.0.1/", NULL, "", 0);
    assert_true(test_wait(t, t->results == 212));
    assert_int_equal(t->status, 0);
    assert_false(t->sent);
}


/* A peer that answers `answers` requests, then reads one and breaks off. */
struct test_peer {
    struct event  *event;
    int            fd;
    unsigned       answers;
    unsigned       requests;
    unsigned       connections;
    struct event  *client;
};

static void
test_peer_read(evutil_socket_t fd, short what, void *data)
{
    char               text[4096];
    ssize_t            n;
    struct test_peer  *p = data;

    (void) what;

    static const char  answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                                  "allow:  GET \r\n\r\n";

    n = read(fd, text, sizeof(text));

    if (n > 0) {
        p->requests++;

        if (p->requests <= p->answers) {
            assert_int_equal(write(fd, answer, sizeof(answer) - 1),
                             (ssize_t) sizeof(answer) - 1);
            return;
        }
    }

    event_free(p->client);
    p->client = NULL;
    close(fd);
}

static void
test_peer_accept(evutil_socket_t fd, short what, void *data)
{
    int                one;
    struct test_peer  *p = data;

    (void) what;

    one = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    p->connections++;
    p->client = event_new(event_get_base(p->event), one, EV_READ | EV_PERSIST,
                          test_peer_read, p);
    event_add(p->client, NULL);
}

static int
test_socket(int port, bool listening)
{
    int                 fd, one = 1;
    struct sockaddr_in  in = { .sin_family = AF_INET };

    in.sin_port = htons((uint16_t) port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listening) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        assert_int_equal(bind(fd, (struct sockaddr *) &in, sizeof(in)), 0);
        assert_int_equal(listen(fd, 16), 0);

    } else {
        assert_int_equal(connect(fd, (struct sockaddr *) &in, sizeof(in)), 0);
    }

    fcntl(fd, F_SETFL, O_NONBLOCK);

    return fd;
}


static void
test_no_repeat(void **state)
{
    struct test       *t = *state;
    struct test_peer   p = { .answers = 1 };

    p.fd = test_socket(TEST_OTHER, true);
    p.event = event_new(t->base, p.fd, EV_READ | EV_PERSIST, test_peer_accept,
                        &p);
    event_add(p.event, NULL);

    test_send(t, "POST", "http://127.0.0.1:21021/", NULL, "one", 3);
    assert_true(test_wait(t, t->results == 1));
    assert_int_equal(t->status, 200);
    assert_string_equal(t->wanted[0], "GET");

    /* the kept connection breaks after the request: it went out once only */

    test_send(t, "POST", "http://127.0.0.1:21021/", NULL, "two", 3);
    assert_true(test_wait(t, t->results == 2));
    assert_int_equal(t->status, 0);
    assert_true(t->sent);
    assert_int_equal(p.requests, 2);
    assert_true(test_wait(t, p.client == NULL));

    event_free(p.event);
    close(p.fd);
}


/* Sends bytes, gives the first line of what comes back. */
static void
test_bare(struct test *t, const char *text, char *line, size_t size)
{
    int       fd;
    ssize_t   n;

    fd = test_socket(TEST_PORT, false);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));

    n = -1;
    assert_true(test_wait(t, (n = read(fd, line, size - 1)) >= 0));
    line[n] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    close(fd);
}


static void
test_bad_requests(void **state)
{
    char          line[1024];
    struct test  *t = *state;

    test_bare(t, "GET /echo/a/x HTTP/1.1\r\nHost: h\r\n\r\n", line,
              sizeof(line));
    assert_string_equal(line, "HTTP/1.1 200 OK");

    test_bare(t, "POST /put HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
              line, sizeof(line));
    assert_string_equal(line, "HTTP/1.1 400 Bad Request");

    test_bare(t, "POST /early HTTP/1.1\r\nHost: h\r\nX-Key: k\r\n"
              "Content-Length: 99999999999999999999\r\n\r\n", line,
              sizeof(line));
    assert_non_null(strstr(line, " 4"));

    test_bare(t, "POST /early HTTP/1.1\r\nHost: h\r\nX-Key: k\r\n"
              "Content-Length: 9999999999\r\n\r\n", line, sizeof(line));
    assert_non_null(strstr(line, " 413 "));

    test_bare(t, "GET http://h/echo/a/x HTTP/1.1\r\nHost: h\r\n\r\n", line,
              sizeof(line));
    assert_non_null(strstr(line, " 404 "));

    test_bare(t, "HEAD /echo/a/x HTTP/1.1\r\nHost: h\r\n\r\n", line,
              sizeof(line));
    assert_string_equal(line, "HTTP/1.1 200 OK");
    assert_int_equal(http_server_active(t->server), 0);
}


static void
test_unix(void **state)
{
    int                 fd;
    char                line[64];
    ssize_t             n;
    struct test        *t = *state;
    struct sockaddr_un  sun = { .sun_family = AF_UNIX,
                                .sun_path = "/tmp/push-http-21020.sock" };

    http_server_destroy(t->server);
    metrics_destroy(t->metrics);
    t->metrics = metrics_create();
    test_server(t, "unix:/tmp/push-http-21020.sock");

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &sun, sizeof(sun)), 0);
    assert_int_equal(write(fd, "GET /healthz HTTP/1.0\r\n\r\n", 25), 25);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    n = -1;
    assert_true(test_wait(t, (n = read(fd, line, sizeof(line))) > 0));
    assert_memory_equal(line + 8, " 200 OK", 7);
    close(fd);

    http_server_destroy(t->server);
    t->server = NULL;
    assert_int_equal(access(sun.sun_path, F_OK), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
#define X(name)                                                               \
        cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)

        X(test_routing),
        X(test_bodies),
        X(test_later),
        X(test_cancel),
        X(test_drain),
        X(test_builtin),
        X(test_client_limits),
        X(test_no_repeat),
        X(test_bad_requests),
        X(test_unix),
#undef X
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
