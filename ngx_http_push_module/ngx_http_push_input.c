/*
 * ngx_http_push_input: what comes from one client
 *
 *     socket --recv--> scratch --push_frame--> message --> client.c
 *                                         \--> ping, pong, close --> conn.c
 *
 * A message that came whole is used where it stands, in the worker's scratch.
 * Memory is taken only for one that is cut across reads, for as much of it as
 * is here, and never more than push_max_message_size.
 *
 * in:   bytes; out: messages, signs of life, a close with its reason
 * owns: ws->input
 */

#include "ngx_http_push_input.h"
#include "ngx_http_push_client.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_conn_log.h"
#include "ngx_http_push_limit.h"
#include "ngx_http_push_msg.h"
#include "ngx_http_push_queue.h"
#include "ngx_http_push_slab.h"


#define NGX_HTTP_PUSH_INPUT_READS      16       /* of one turn, then others */
#define NGX_HTTP_PUSH_INPUT_FRAGMENTS  1024     /* of one message */
#define NGX_HTTP_PUSH_INPUT_START      512      /* bytes of a cut message */
#define NGX_HTTP_PUSH_INPUT_ANSWERS    64       /* frames: one writev */

#define NGX_HTTP_PUSH_INPUT_CUT_MS     10000    /* a message in its pieces */

#define NGX_HTTP_PUSH_INPUT_FLOOD      "too many pings and pongs"


typedef struct {
    uint8_t  len;               /* of a control frame that is cut */
    uint8_t  pong_len;
    u_char   data[PUSH_FRAME_CONTROL_MAX];
    u_char   pong[PUSH_FRAME_CONTROL_MAX];
} ngx_http_push_control_t;

struct ngx_http_push_input_s {
    struct push_frame         frame;
    u_char                   *message;  /* cut across reads; or early bytes */
    uint32_t                  len;
    uint32_t                  size;     /* memory behind message */
    ngx_http_push_control_t  *control;  /* NULL: no control frame is cut, no
                                           pong waits */
    uint32_t                  cut_ms;   /* when what is cut began */
    unsigned                  cut:1;
    unsigned                  early:1;  /* bytes behind the request */
};


static void ngx_http_push_input_read(ngx_http_push_conn_t *ws);
static void ngx_http_push_input_end(ngx_http_push_conn_t *ws);
static void ngx_http_push_input_parse(ngx_http_push_conn_t *ws, u_char *pos,
    u_char *end);
static void ngx_http_push_input_data(ngx_http_push_conn_t *ws,
    struct push_frame_piece *piece);
static ngx_int_t ngx_http_push_input_append(ngx_http_push_conn_t *ws,
    struct push_frame_piece *piece);
static void ngx_http_push_input_control(ngx_http_push_conn_t *ws,
    struct push_frame_piece *piece);
static void ngx_http_push_input_ping(ngx_http_push_conn_t *ws,
    const u_char *data, size_t len);
static void ngx_http_push_input_close(ngx_http_push_conn_t *ws,
    const u_char *data, size_t len);
static ngx_http_push_control_t *ngx_http_push_input_get_control(
    ngx_http_push_input_t *input);
static ngx_http_push_input_t *ngx_http_push_input_create(void);
static void ngx_http_push_input_trim(ngx_http_push_conn_t *ws);


ngx_http_push_input_t *
ngx_http_push_input_early(const u_char *data, size_t len)
{
    ngx_http_push_input_t  *input;

    input = ngx_http_push_input_create();
    if (input == NULL) {
        return NULL;
    }

    input->message = ngx_alloc(len, ngx_cycle->log);
    if (input->message == NULL) {
        ngx_http_push_slab_free(input, sizeof(ngx_http_push_input_t));
        return NULL;
    }

    ngx_memcpy(input->message, data, len);

    input->len = (uint32_t) len;
    input->early = 1;

    return input;
}


void
ngx_http_push_input_handler(ngx_event_t *rev)
{
    u_char                 *early;
    size_t                  len;
    ngx_connection_t       *c;
    ngx_http_push_conn_t   *ws;
    ngx_http_push_input_t  *input;

    c = rev->data;
    ws = c->data;

    if (ws->dead) {
        return;
    }

    if (c->close) {
        /* worker_shutdown_timeout: no time for words */
        ngx_http_push_conn_abort(ws, PUSH_CLOSE_GOING_AWAY);
        return;
    }

    ngx_http_push_conn_log_enter(ws);

    input = ws->input;

    if (input && input->early) {
        early = input->message;
        len = input->len;

        input->early = 0;
        input->message = NULL;
        input->len = 0;

        ngx_http_push_count_n(bytes_in, len);
        ngx_http_push_input_parse(ws, early, early + len);

        ngx_free(early);
    }

    ngx_http_push_input_read(ws);

    ngx_http_push_conn_log_leave(ws);
}


static void
ngx_http_push_input_read(ngx_http_push_conn_t *ws)
{
    u_char            *scratch;
    ssize_t            n;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = ws->c;
    rev = c->read;
    scratch = ngx_http_push_worker->scratch;

    for (i = 0; rev->ready && !ws->dead; i++) {

        if (i == NGX_HTTP_PUSH_INPUT_READS) {
            ngx_post_event(rev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, scratch, NGX_HTTP_PUSH_SCRATCH);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_http_push_input_end(ws);
            return;
        }

        ngx_http_push_count_n(bytes_in, n);
        ngx_http_push_input_parse(ws, scratch, scratch + n);
    }

    if (!ws->dead && ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_push_conn_abort(ws, PUSH_CLOSE_INTERNAL);
    }
}


/* FIN or RST: what was said before it still gets its answer, if that can be */

static void
ngx_http_push_input_end(ngx_http_push_conn_t *ws)
{
    if (ws->closing && !ws->close_sent && !ws->c->read->error) {
        ngx_http_push_conn_flush(ws);
    }

    ngx_http_push_conn_abort(ws, PUSH_CLOSE_LOST);
}


static void
ngx_http_push_input_parse(ngx_http_push_conn_t *ws, u_char *pos, u_char *end)
{
    ngx_http_push_input_t    *input;
    struct push_frame_piece   piece;
    struct push_frame_limits  limits;

    if (ws->input == NULL) {
        ws->input = ngx_http_push_input_create();

        if (ws->input == NULL) {
            ngx_http_push_conn_abort(ws, PUSH_CLOSE_INTERNAL);
            return;
        }
    }

    input = ws->input;

    limits.message_max = ws->conf->max_message_size;
    limits.fragments_max = ngx_http_push_echoes(ws)
                           ? 0 : NGX_HTTP_PUSH_INPUT_FRAGMENTS;

    while (!ws->dead && !ws->failed && !ws->fin_sent) {

        push_frame_parse(&input->frame, &limits, &pos, end, &piece);

        switch (piece.event) {

        case PUSH_FRAME_NEED:
            ngx_http_push_input_trim(ws);
            return;

        case PUSH_FRAME_DATA:
            if (!ws->closing) {
                ngx_http_push_input_data(ws, &piece);
            }

            break;

        case PUSH_FRAME_CONTROL:
            ngx_http_push_input_control(ws, &piece);
            break;

        case PUSH_FRAME_FAIL:
            ws->failed = 1;
            ngx_http_push_conn_close(ws, piece.reason, 0, NULL, 0);
            ngx_http_push_conn_finish(ws);
            break;
        }

        if (push_frame_idle(&input->frame)) {
            input->cut = 0;
        }

        /* many small frames in one read: their answers need not wait */

        if (ngx_http_push_queue_count(ws) >= NGX_HTTP_PUSH_INPUT_ANSWERS
            && !ws->closing && ws->c->write->ready)
        {
            ngx_http_push_conn_flush(ws);
        }
    }
}


static void
ngx_http_push_input_data(ngx_http_push_conn_t *ws,
    struct push_frame_piece *piece)
{
    const u_char  *text;
    size_t         len;

    if (ws->raw && !ngx_http_push_echoes(ws)) {
        /* a sign of life, whatever it says */

        if (piece->last) {
            ngx_http_push_limit_seen(ws);
            ngx_http_push_count(messages_in);

            if (ngx_http_push_limit_message(ws) != NGX_OK) {
                ngx_http_push_conn_close(ws, PUSH_CLOSE_FLOOD, 0, NULL, 0);
            }
        }

        return;
    }

    if (piece->opcode != PUSH_FRAME_TEXT && !ngx_http_push_echoes(ws)) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_BINARY, 0, NULL, 0);
        return;
    }

    if (piece->first && piece->last) {
        text = piece->data;
        len = piece->len;

    } else {
        if (ngx_http_push_input_append(ws, piece) != NGX_OK) {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);
            return;
        }

        if (!piece->last) {
            return;
        }

        text = ws->input->message;
        len = ws->input->len;
    }

    ngx_http_push_limit_seen(ws);
    ngx_http_push_count(messages_in);

    if (ngx_http_push_echoes(ws)) {
        ngx_http_push_echo(ws, piece->opcode, text, len);

    } else {
        ngx_http_push_client_message(ws, text, len);
    }

    if (ws->input->message) {
        ngx_free(ws->input->message);
        ws->input->message = NULL;
        ws->input->len = 0;
        ws->input->size = 0;
    }
}


static ngx_int_t
ngx_http_push_input_append(ngx_http_push_conn_t *ws,
    struct push_frame_piece *piece)
{
    size_t                  need, size;
    u_char                 *p;
    ngx_http_push_input_t  *input;

    input = ws->input;
    need = input->len + piece->len;

    if (need > input->size || input->message == NULL) {

        /* doubled, but not beyond what the message can still become */

        size = ngx_max(2 * input->size, NGX_HTTP_PUSH_INPUT_START);
        size = ngx_min(size, ws->conf->max_message_size);
        size = ngx_max(size, need);

        p = realloc(input->message, size);
        if (p == NULL) {
            ngx_log_error(NGX_LOG_EMERG, ws->c->log, ngx_errno,
                          "realloc(%uz) failed", size);
            return NGX_ERROR;
        }

        input->message = p;
        input->size = (uint32_t) size;
    }

    if (piece->len) {
        ngx_memcpy(input->message + input->len, piece->data, piece->len);
    }

    input->len = (uint32_t) need;

    return NGX_OK;
}


/* A control frame is whole nearly always; it may be cut like any other. */

static void
ngx_http_push_input_control(ngx_http_push_conn_t *ws,
    struct push_frame_piece *piece)
{
    const u_char             *data;
    size_t                    len;
    ngx_http_push_control_t  *control;

    data = piece->data;
    len = piece->len;

    if (!piece->first || !piece->last) {
        control = ngx_http_push_input_get_control(ws->input);
        if (control == NULL) {
            ngx_http_push_conn_abort(ws, PUSH_CLOSE_INTERNAL);
            return;
        }

        if (piece->first) {
            control->len = 0;
        }

        ngx_memcpy(control->data + control->len, data, len);
        control->len += len;

        if (!piece->last) {
            return;
        }

        data = control->data;
        len = control->len;
    }

    if (piece->opcode == PUSH_FRAME_CLOSE) {
        ngx_http_push_input_close(ws, data, len);

    } else if (!ws->closing) {
        ngx_http_push_limit_seen(ws);

        if (ngx_http_push_limit_control(ws) != NGX_OK) {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_POLICY, 0,
                                     NGX_HTTP_PUSH_INPUT_FLOOD,
                                     sizeof(NGX_HTTP_PUSH_INPUT_FLOOD) - 1);

        } else if (piece->opcode == PUSH_FRAME_PING) {
            ngx_http_push_input_ping(ws, data, len);
        }
    }
}


static void
ngx_http_push_input_ping(ngx_http_push_conn_t *ws, const u_char *data,
    size_t len)
{
    ngx_http_push_msg_t      *m;
    ngx_http_push_control_t  *control;

    if (ws->queue && !ws->c->write->ready) {

        /* RFC 6455 5.5.3: only the latest ping needs a pong */

        control = ngx_http_push_input_get_control(ws->input);

        if (control) {
            ngx_memmove(control->pong, data, len);
            control->pong_len = (uint8_t) len;
            ws->pong_wanted = 1;
        }

        return;
    }

    m = ngx_http_push_msg_control(PUSH_FRAME_PONG, data, len);

    if (m) {
        (void) ngx_http_push_conn_send(ws, m, 1);
        ngx_http_push_msg_put(m);
    }
}


static void
ngx_http_push_input_close(ngx_http_push_conn_t *ws, const u_char *data,
    size_t len)
{
    unsigned         code;
    enum push_close  reason;

    ws->peer_closed = 1;

    if (push_frame_close_parse(data, len, &code, &reason) == PUSH_OK) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_NORMAL, code, "", 0);

    } else {
        ngx_http_push_conn_close(ws, reason, 0, NULL, 0);
    }

    /* after Close comes nothing: RFC 6455 5.5.1 */

    ws->failed = 1;
    ngx_http_push_conn_finish(ws);
}


ngx_int_t
ngx_http_push_input_look(ngx_http_push_conn_t *ws, uint32_t *at_ms)
{
    if (ws->input == NULL || !ws->input->cut) {
        return NGX_OK;
    }

    *at_ms = ws->input->cut_ms + NGX_HTTP_PUSH_INPUT_CUT_MS;

    return NGX_AGAIN;
}


ngx_http_push_msg_t *
ngx_http_push_input_pong(ngx_http_push_conn_t *ws)
{
    ngx_http_push_msg_t      *m;
    ngx_http_push_control_t  *control;

    if (!ws->pong_wanted) {
        return NULL;
    }

    control = ws->input->control;

    m = ngx_http_push_msg_control(PUSH_FRAME_PONG, control->pong,
                                  control->pong_len);
    ws->pong_wanted = 0;

    return m;
}


void
ngx_http_push_input_free(ngx_http_push_conn_t *ws)
{
    ngx_http_push_input_t  *input;

    input = ws->input;

    if (input == NULL) {
        return;
    }

    if (input->message) {
        ngx_free(input->message);
    }

    ngx_http_push_slab_free(input->control, sizeof(ngx_http_push_control_t));
    ngx_http_push_slab_free(input, sizeof(ngx_http_push_input_t));

    ws->input = NULL;
}


/* All that has come is eaten: what is kept is for what is still to come. */

static void
ngx_http_push_input_trim(ngx_http_push_conn_t *ws)
{
    ngx_http_push_input_t  *input;

    input = ws->input;

    if (!push_frame_idle(&input->frame)) {

        if (!input->cut && !ngx_http_push_echoes(ws)) {
            input->cut = 1;
            input->cut_ms = ngx_http_push_now();
            ngx_http_push_conn_wake_at(ws, input->cut_ms
                                           + NGX_HTTP_PUSH_INPUT_CUT_MS);
        }

        return;
    }

    if (input->message || ws->pong_wanted) {
        return;
    }

    ngx_http_push_input_free(ws);
}


static ngx_http_push_input_t *
ngx_http_push_input_create(void)
{
    ngx_http_push_input_t  *input;

    input = ngx_http_push_slab_alloc(sizeof(ngx_http_push_input_t));

    if (input) {
        ngx_memzero(input, sizeof(ngx_http_push_input_t));
    }

    return input;
}


static ngx_http_push_control_t *
ngx_http_push_input_get_control(ngx_http_push_input_t *input)
{
    if (input->control == NULL) {
        input->control = ngx_http_push_slab_alloc(
                                            sizeof(ngx_http_push_control_t));
        if (input->control) {
            input->control->len = 0;
            input->control->pong_len = 0;
        }
    }

    return input->control;
}
