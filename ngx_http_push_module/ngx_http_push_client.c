/*
 * ngx_http_push_client: what a push.v1 client says (docs/protocol.md 1)
 *
 *     text --push_json--> type --table--> hello, ack, ping, send --> delivery
 *
 * in:   a whole text message, UTF-8 already
 * out:  calls of delivery; 4400 with a sentence for whatever breaks a rule
 * owns: nothing
 */

#include "ngx_http_push_client.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_limit.h"


#define NGX_HTTP_PUSH_MEMBERS  64               /* of a client's message */
#define NGX_HTTP_PUSH_CURSORS  66               /* own log, all, 64 groups */


typedef struct {
    struct push_json_member  members[NGX_HTTP_PUSH_MEMBERS];
    size_t                   count;
} ngx_http_push_client_msg_t;

/* NULL, or a sentence about what is wrong with the message */
typedef const char *(*ngx_http_push_client_pt)(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg);

typedef struct {
    const char               *type;
    ngx_http_push_client_pt   handler;
    unsigned                  free:1;   /* of push_message_rate */
} ngx_http_push_client_type_t;


static const char *ngx_http_push_client_hello(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg);
static const char *ngx_http_push_client_ack(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg);
static const char *ngx_http_push_client_ping(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg);
static const char *ngx_http_push_client_send(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg);
static const char *ngx_http_push_client_cursors(ngx_http_push_hello_t *hello,
    struct push_json_value *value);
static struct push_json_value *ngx_http_push_client_member(
    ngx_http_push_client_msg_t *msg, const char *name);
static ngx_int_t ngx_http_push_client_name(struct push_json_value *value,
    char *buf, struct push_str *name);
static ngx_int_t ngx_http_push_client_log(struct push_str name);


static const ngx_http_push_client_type_t  ngx_http_push_client_types[] = {
    { "ack",   ngx_http_push_client_ack,   1 },
    { "ping",  ngx_http_push_client_ping,  0 },
    { "hello", ngx_http_push_client_hello, 0 },
    { "send",  ngx_http_push_client_send,  0 }
};

/* What a log's name says about the place of its state. */
enum {
    NGX_HTTP_PUSH_CLIENT_ILLEGAL = -2,
    NGX_HTTP_PUSH_CLIENT_OTHER = -1             /* a log that it has not */
};


void
ngx_http_push_client_hello_init(ngx_http_push_hello_t *hello)
{
    ngx_uint_t  i;

    ngx_memzero(hello, sizeof(ngx_http_push_hello_t));

    hello->window = PUSH_WINDOW_DEFAULT;

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        hello->cursors[i] = PUSH_DELIVERY_UNKNOWN;
    }
}


void
ngx_http_push_client_message(ngx_http_push_conn_t *ws, const u_char *text,
    size_t len)
{
    char                         type[16];
    size_t                       n;
    ngx_uint_t                   i;
    const char                  *wrong;
    struct push_str              s;
    struct push_json_value      *value;
    struct push_json_error       error;
    ngx_http_push_client_msg_t   msg;

    s.data = (const char *) text;
    s.len = len;

    if (push_json_object(s, PUSH_DEPTH_MAX, msg.members, NGX_HTTP_PUSH_MEMBERS,
                         &msg.count, &error)
        != PUSH_OK)
    {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_BAD_FRAME, 0, error.text,
                                 ngx_strlen(error.text));
        return;
    }

    wrong = "a message needs a type: hello, ack, ping or send";

    value = ngx_http_push_client_member(&msg, "type");

    if (value && value->type == PUSH_JSON_STRING) {
        n = push_json_string(value, type, sizeof(type));

        for (i = 0; i < sizeof(ngx_http_push_client_types)
                        / sizeof(ngx_http_push_client_types[0]); i++)
        {
            if (n == ngx_strlen(ngx_http_push_client_types[i].type)
                && ngx_memcmp(type, ngx_http_push_client_types[i].type, n)
                   == 0)
            {
                if (!ngx_http_push_client_types[i].free
                    && ngx_http_push_limit_message(ws) != NGX_OK)
                {
                    ngx_http_push_conn_close(ws, PUSH_CLOSE_FLOOD, 0, NULL, 0);
                    return;
                }

                wrong = ngx_http_push_client_types[i].handler(ws, &msg);
                break;
            }
        }
    }

    if (wrong) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_BAD_FRAME, 0, wrong,
                                 ngx_strlen(wrong));
    }
}


static const char *
ngx_http_push_client_hello(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg)
{
    char                     device[PUSH_NAME_MAX], epoch[PUSH_EPOCH_MAX];
    size_t                   n, i;
    uint64_t                 window;
    const char              *wrong;
    ngx_http_push_hello_t    hello;
    struct push_json_value  *value;

    if (ws->ready) {
        return "hello must be the first frame, within a second";
    }

    ngx_http_push_client_hello_init(&hello);

    value = ngx_http_push_client_member(msg, "device");
    if (value
        && ngx_http_push_client_name(value, device, &hello.device) != NGX_OK)
    {
        return "device must be 1 to 128 of A-Z a-z 0-9 . _ : @ -";
    }

    /* the shared nameless device, said aloud */
    if (push_str_eq(hello.device, PUSH_STR("-"))) {
        hello.device.len = 0;
    }

    value = ngx_http_push_client_member(msg, "epoch");
    if (value) {
        n = value->type == PUSH_JSON_STRING
            ? push_json_string(value, epoch, sizeof(epoch)) : (size_t) -1;

        if (n == (size_t) -1) {
            return "epoch must be a string as in synced";
        }

        for (i = 0; i < n; i++) {
            if (!((epoch[i] >= '0' && epoch[i] <= '9')
                  || (epoch[i] >= 'a' && epoch[i] <= 'z')))
            {
                return "epoch must be a string as in synced";
            }
        }

        hello.epoch.data = epoch;
        hello.epoch.len = n;
    }

    value = ngx_http_push_client_member(msg, "window");
    if (value) {
        if (push_json_uint(value, PUSH_WINDOW_MAX, &window) != PUSH_OK
            || window == 0)
        {
            return "window must be an integer, 1 to 256";
        }

        hello.window = window;
    }

    value = ngx_http_push_client_member(msg, "cursors");
    if (value) {
        wrong = ngx_http_push_client_cursors(&hello, value);
        if (wrong) {
            return wrong;
        }
    }

    ngx_http_push_delivery_hello(ws, &hello);

    return NULL;
}


static const char *
ngx_http_push_client_cursors(ngx_http_push_hello_t *hello,
    struct push_json_value *value)
{
    char                     buf[PUSH_LOG_MAX];
    size_t                   i, n, count;
    uint64_t                 seq;
    ngx_int_t                log;
    struct push_str          name;
    struct push_json_value   quoted;
    struct push_json_error   error;
    struct push_json_member  members[NGX_HTTP_PUSH_CURSORS];

    if (value->type != PUSH_JSON_OBJECT
        || push_json_object(value->raw, PUSH_DEPTH_MAX, members,
                            NGX_HTTP_PUSH_CURSORS, &count, &error)
           != PUSH_OK)
    {
        return "cursors must be an object of log and seq, each log once";
    }

    for (i = 0; i < count; i++) {
        name = members[i].name;

        if (members[i].escaped) {
            /* the raw text stands between its quotes */
            quoted.type = PUSH_JSON_STRING;
            quoted.raw.data = name.data - 1;
            quoted.raw.len = name.len + 2;

            n = push_json_string(&quoted, buf, sizeof(buf));

            name.data = buf;
            name.len = n == (size_t) -1 ? 0 : n;
        }

        log = ngx_http_push_client_log(name);

        if (log == NGX_HTTP_PUSH_CLIENT_ILLEGAL) {
            return "cursors names a log that is not user, all or group:<name>";
        }

        if (push_json_uint(&members[i].value, PUSH_SEQ_MAX, &seq) != PUSH_OK) {
            return "a cursor must be an integer, 0 to 2^53 - 1";
        }

        if (log >= 0) {
            hello->cursors[log] = seq;
        }
    }

    return NULL;
}


static const char *
ngx_http_push_client_ack(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg)
{
    char                     buf[PUSH_LOG_MAX];
    size_t                   n;
    uint64_t                 seq;
    ngx_int_t                log;
    struct push_str          name;
    struct push_json_value  *value;

    value = ngx_http_push_client_member(msg, "log");
    n = value && value->type == PUSH_JSON_STRING
        ? push_json_string(value, buf, sizeof(buf)) : (size_t) -1;

    if (n == (size_t) -1) {
        return "an ack needs log: user, all or group:<name>";
    }

    name.data = buf;
    name.len = n;

    log = ngx_http_push_client_log(name);

    if (log == NGX_HTTP_PUSH_CLIENT_ILLEGAL) {
        return "an ack needs log: user, all or group:<name>";
    }

    value = ngx_http_push_client_member(msg, "seq");

    if (value == NULL || push_json_uint(value, PUSH_SEQ_MAX, &seq) != PUSH_OK) {
        return "an ack needs seq: an integer, 0 to 2^53 - 1";
    }

    ngx_http_push_delivery_begin(ws);

    if (log >= 0) {
        ngx_http_push_delivery_ack(ws, log, seq);
    }

    return NULL;
}


static const char *
ngx_http_push_client_ping(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg)
{
    struct push_json_value  *value;

    value = ngx_http_push_client_member(msg, "token");

    if (value && value->type != PUSH_JSON_STRING) {
        return "token must be a string";
    }

    ngx_http_push_delivery_begin(ws);

    if (value) {
        (void) ngx_http_push_conn_sendf(ws,
            "{\"type\":\"token\",\"error\":\"not supported\"}");
    }

    (void) ngx_http_push_conn_sendf(ws, "{\"type\":\"pong\"}");

    return NULL;
}


static const char *
ngx_http_push_client_send(ngx_http_push_conn_t *ws,
    ngx_http_push_client_msg_t *msg)
{
    char                     buf[PUSH_KEY_MAX];
    size_t                   n;
    struct push_str          id;
    struct push_json_value  *value;

    value = ngx_http_push_client_member(msg, "id");
    n = value && value->type == PUSH_JSON_STRING
        ? push_json_string(value, buf, sizeof(buf)) : (size_t) -1;

    id.data = buf;
    id.len = n;

    if (n == (size_t) -1 || !push_key_valid(id)) {
        return "send needs id: 1 to 64 of A-Z a-z 0-9 . _ : -";
    }

    if (ngx_http_push_client_member(msg, "data") == NULL) {
        return "send needs data";
    }

    ngx_http_push_delivery_begin(ws);

    /* never taken and then lost: nobody reads an uplink in this version */
    (void) ngx_http_push_conn_sendf(ws,
        "{\"type\":\"sent\",\"id\":\"%*s\",\"error\":\"not supported\"}",
        id.len, id.data);

    return NULL;
}


static struct push_json_value *
ngx_http_push_client_member(ngx_http_push_client_msg_t *msg, const char *name)
{
    size_t  i;

    for (i = 0; i < msg->count; i++) {
        if (push_json_name_is(&msg->members[i], name)) {
            return &msg->members[i].value;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_push_client_name(struct push_json_value *value, char *buf,
    struct push_str *name)
{
    size_t  n;

    if (value->type != PUSH_JSON_STRING) {
        return NGX_ERROR;
    }

    n = push_json_string(value, buf, PUSH_NAME_MAX);
    if (n == (size_t) -1) {
        return NGX_ERROR;
    }

    name->data = buf;
    name->len = n;

    return push_name_valid(*name) ? NGX_OK : NGX_ERROR;
}


/* the place of its state in ws->logs, OTHER or ILLEGAL */

static ngx_int_t
ngx_http_push_client_log(struct push_str name)
{
    struct push_str  group;

    if (push_str_eq(name, PUSH_STR("user"))) {
        return NGX_HTTP_PUSH_OWN;
    }

    if (push_str_eq(name, PUSH_STR("all"))) {
        return NGX_HTTP_PUSH_ALL;
    }

    if (name.len > 6 && ngx_memcmp(name.data, "group:", 6) == 0) {
        group.data = name.data + 6;
        group.len = name.len - 6;

        return push_name_valid(group) ? NGX_HTTP_PUSH_CLIENT_OTHER
                                      : NGX_HTTP_PUSH_CLIENT_ILLEGAL;
    }

    return NGX_HTTP_PUSH_CLIENT_ILLEGAL;
}
