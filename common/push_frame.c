/*
 * push_frame: WebSocket frames of a server (RFC 6455 section 5)
 *
 *     bytes --head--> checked byte by byte --payload--> unmasked, UTF-8, piece
 *
 * in:   what was read from a client, in any pieces
 * out:  pieces of messages and control frames, or how to close
 * owns: nothing; the caller keeps struct push_frame between reads
 */

#include "push_frame.h"

#include <endian.h>
#include <string.h>

#define PUSH_FRAME_FIN         0x80
#define PUSH_FRAME_RSV         0x70
#define PUSH_FRAME_MASKED      0x80
#define PUSH_FRAME_IS_CONTROL  0x08         /* bit of an opcode */

#define PUSH_FRAME_HIGH_BITS   UINT64_C(0x8080808080808080)

#define PUSH_FRAME_FRAGMENTS_MAX  4095      /* the counter stops there */

/*
 * States of the UTF-8 decoder behind a lead byte: the next byte must lie in
 * [low, low + span], and leads to the state next (RFC 3629 section 4).
 */
enum {
    PUSH_FRAME_UTF8_LAST = 2,       /* one more, any */
    PUSH_FRAME_UTF8_TWO,            /* two more, any */
    PUSH_FRAME_UTF8_E0,             /* two more, not overlong */
    PUSH_FRAME_UTF8_ED,             /* two more, no surrogate */
    PUSH_FRAME_UTF8_THREE,          /* three more, any */
    PUSH_FRAME_UTF8_F0,             /* three more, not overlong */
    PUSH_FRAME_UTF8_F4              /* three more, at most 10ffff */
};

static const struct {
    uint8_t  low;
    uint8_t  span;
    uint8_t  next;
} push_frame_utf8_table[] = {
    [PUSH_FRAME_UTF8_LAST] =  { 0x80, 0x3f, 0 },
    [PUSH_FRAME_UTF8_TWO] =   { 0x80, 0x3f, PUSH_FRAME_UTF8_LAST },
    [PUSH_FRAME_UTF8_E0] =    { 0xa0, 0x1f, PUSH_FRAME_UTF8_LAST },
    [PUSH_FRAME_UTF8_ED] =    { 0x80, 0x1f, PUSH_FRAME_UTF8_LAST },
    [PUSH_FRAME_UTF8_THREE] = { 0x80, 0x3f, PUSH_FRAME_UTF8_TWO },
    [PUSH_FRAME_UTF8_F0] =    { 0x90, 0x2f, PUSH_FRAME_UTF8_TWO },
    [PUSH_FRAME_UTF8_F4] =    { 0x80, 0x0f, PUSH_FRAME_UTF8_TWO }
};

static int push_frame_head(struct push_frame *f,
    const struct push_frame_limits *limits, uint8_t **pos, uint8_t *end,
    enum push_close *reason);
static int push_frame_head_first(const struct push_frame *f);
static int push_frame_head_second(const struct push_frame *f);
static int push_frame_head_whole(struct push_frame *f,
    const struct push_frame_limits *limits, enum push_close *reason);
static unsigned push_frame_length_size(const struct push_frame *f);
static void push_frame_fail(struct push_frame *f,
    struct push_frame_piece *piece, enum push_close reason);
static const uint8_t *push_frame_utf8_skip(const uint8_t *p,
    const uint8_t *end);
static unsigned push_frame_utf8_lead(uint8_t c);


void
push_frame_parse(struct push_frame *f,
    const struct push_frame_limits *limits, uint8_t **pos, uint8_t *end,
    struct push_frame_piece *piece)
{
    int              rc;
    bool             control, whole;
    size_t           len;
    unsigned         utf8;
    enum push_close  reason;

    *piece = (struct push_frame_piece) { .event = PUSH_FRAME_NEED };

    if (f->failed) {
        push_frame_fail(f, piece, f->reason);
        return;
    }

    if (!f->in_payload) {
        rc = push_frame_head(f, limits, pos, end, &reason);

        if (rc == PUSH_ERROR) {
            push_frame_fail(f, piece, reason);
            return;
        }

        if (rc == PUSH_AGAIN) {
            return;
        }
    }

    len = (size_t) (end - *pos);

    if (len > f->left) {
        len = f->left;
    }

    if (len == 0 && f->left != 0) {
        return;
    }

    push_frame_mask(*pos, len, f->mask, f->phase);

    control = f->opcode & PUSH_FRAME_IS_CONTROL;

    piece->event = control ? PUSH_FRAME_CONTROL : PUSH_FRAME_DATA;
    piece->opcode = control ? f->opcode : f->message;
    piece->first = !f->begun && f->opcode != PUSH_FRAME_CONT;
    piece->data = *pos;
    piece->len = len;

    *pos += len;
    f->left -= (uint32_t) len;
    f->phase = (f->phase + len) & 3;
    f->begun = 1;

    whole = f->left == 0;
    piece->last = whole && f->fin;

    if (piece->event == PUSH_FRAME_DATA && f->message == PUSH_FRAME_TEXT) {
        utf8 = push_frame_utf8(f->utf8, piece->data, len);

        if (utf8 == PUSH_FRAME_UTF8_BAD || (piece->last && utf8 != 0)) {
            push_frame_fail(f, piece, PUSH_CLOSE_UTF8);
            return;
        }

        f->utf8 = utf8 & 15;
    }

    if (whole) {
        f->in_payload = 0;
        f->head_len = 0;
    }

    if (piece->last && !control) {
        f->message = 0;
    }
}


int
push_frame_close_parse(const uint8_t *data, size_t len, unsigned *code,
    enum push_close *reason)
{
    unsigned  n;

    if (len == 0) {
        *code = 1005;
        return PUSH_OK;
    }

    *reason = PUSH_CLOSE_PROTOCOL;

    if (len == 1 || len > PUSH_FRAME_CONTROL_MAX) {
        return PUSH_ERROR;
    }

    n = (unsigned) data[0] << 8 | data[1];

    if (!((n >= 1000 && n <= 1003) || (n >= 1007 && n <= 1014)
          || (n >= 3000 && n <= 4999)))
    {
        return PUSH_ERROR;
    }

    if (push_frame_utf8(0, data + 2, len - 2) != 0) {
        *reason = PUSH_CLOSE_UTF8;
        return PUSH_ERROR;
    }

    *code = n;

    return PUSH_OK;
}


size_t
push_frame_header(uint8_t *to, enum push_frame_opcode opcode, uint64_t len)
{
    unsigned  i, bytes;

    to[0] = PUSH_FRAME_FIN | (uint8_t) opcode;

    if (len < 126) {
        to[1] = (uint8_t) len;
        return 2;
    }

    to[1] = len < 65536 ? 126 : 127;
    bytes = len < 65536 ? 2 : 8;

    for (i = 0; i < bytes; i++) {
        to[2 + i] = (uint8_t) (len >> 8 * (bytes - 1 - i));
    }

    return 2 + bytes;
}


size_t
push_frame_close(uint8_t *to, unsigned code, const char *text, size_t len)
{
    if (len > PUSH_FRAME_CONTROL_MAX - 2) {
        len = PUSH_FRAME_CONTROL_MAX - 2;

        while (len > 0 && (text[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    push_frame_header(to, PUSH_FRAME_CLOSE, len + 2);

    to[2] = (uint8_t) (code >> 8);
    to[3] = (uint8_t) code;

    if (len) {
        memcpy(to + 4, text, len);
    }

    return len + 4;
}


void
push_frame_mask(uint8_t *data, size_t len, const uint8_t mask[4],
    unsigned phase)
{
    size_t    i;
    uint8_t   key[8];
    uint64_t  word, wide;

    for (i = 0; i < 8; i++) {
        key[i] = mask[(phase + i) & 3];
    }

    memcpy(&wide, key, 8);

    for (i = 0; i + 8 <= len; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= wide;
        memcpy(data + i, &word, 8);
    }

    for ( ; i < len; i++) {
        data[i] ^= key[i & 7];
    }
}


unsigned
push_frame_utf8(unsigned state, const uint8_t *data, size_t len)
{
    uint8_t         c;
    const uint8_t  *end;

    if (len == 0) {
        return state;           /* data may be NULL */
    }

    end = data + len;

    while (data != end && state != PUSH_FRAME_UTF8_BAD) {

        if (state == 0) {
            data = push_frame_utf8_skip(data, end);

            if (data == end) {
                break;
            }

            c = *data++;
            state = c < 0x80 ? 0 : push_frame_utf8_lead(c);
            continue;
        }

        c = *data++ - push_frame_utf8_table[state].low;
        state = c <= push_frame_utf8_table[state].span
                ? push_frame_utf8_table[state].next : PUSH_FRAME_UTF8_BAD;
    }

    return state;
}


/*
 * Takes the head byte by byte, so that it may be cut anywhere and each fault
 * is found at its byte.  PUSH_OK: f describes the payload that follows.
 */
static int
push_frame_head(struct push_frame *f, const struct push_frame_limits *limits,
    uint8_t **pos, uint8_t *end, enum push_close *reason)
{
    *reason = PUSH_CLOSE_PROTOCOL;

    while (*pos != end) {
        f->head[f->head_len] = *(*pos)++;
        f->head_len++;

        if (f->head_len == 1) {
            if (push_frame_head_first(f) != PUSH_OK) {
                return PUSH_ERROR;
            }

        } else if (f->head_len == 2) {
            if (push_frame_head_second(f) != PUSH_OK) {
                return PUSH_ERROR;
            }

        } else if (f->head_len == 2 + push_frame_length_size(f) + 4) {
            return push_frame_head_whole(f, limits, reason);
        }
    }

    return PUSH_AGAIN;
}


static int
push_frame_head_first(const struct push_frame *f)
{
    uint8_t  opcode;

    if (f->head[0] & PUSH_FRAME_RSV) {
        return PUSH_ERROR;
    }

    opcode = f->head[0] & 0x0f;

    switch (opcode) {

    case PUSH_FRAME_CONT:
        return f->message ? PUSH_OK : PUSH_ERROR;

    case PUSH_FRAME_TEXT:
    case PUSH_FRAME_BINARY:
        return f->message ? PUSH_ERROR : PUSH_OK;

    case PUSH_FRAME_CLOSE:
    case PUSH_FRAME_PING:
    case PUSH_FRAME_PONG:
        return f->head[0] & PUSH_FRAME_FIN ? PUSH_OK : PUSH_ERROR;

    default:
        return PUSH_ERROR;
    }
}


static int
push_frame_head_second(const struct push_frame *f)
{
    if (!(f->head[1] & PUSH_FRAME_MASKED)) {
        return PUSH_ERROR;
    }

    if ((f->head[0] & PUSH_FRAME_IS_CONTROL)
        && (f->head[1] & 0x7f) > PUSH_FRAME_CONTROL_MAX)
    {
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
push_frame_head_whole(struct push_frame *f,
    const struct push_frame_limits *limits, enum push_close *reason)
{
    uint8_t   opcode, fin, mask[4];
    uint64_t  len;
    unsigned  i, size;

    size = push_frame_length_size(f);
    len = size ? 0 : f->head[1] & 0x7f;

    for (i = 0; i < size; i++) {
        len = len << 8 | f->head[2 + i];
    }

    if ((size == 2 && len < 126) || (size == 8 && (len < 65536 || len >> 63)))
    {
        return PUSH_ERROR;
    }

    opcode = f->head[0] & 0x0f;
    fin = f->head[0] >> 7;

    if (!(opcode & PUSH_FRAME_IS_CONTROL)) {

        if (opcode != PUSH_FRAME_CONT) {
            f->message = opcode & 3;
            f->message_len = 0;
            f->fragments = 0;
        }

        if (len > limits->message_max
            || f->message_len > limits->message_max - (uint32_t) len)
        {
            *reason = PUSH_CLOSE_TOO_BIG;
            return PUSH_ERROR;
        }

        if (limits->fragments_max
            && (f->fragments >= limits->fragments_max
                || f->fragments == PUSH_FRAME_FRAGMENTS_MAX))
        {
            *reason = PUSH_CLOSE_POLICY;
            return PUSH_ERROR;
        }

        f->message_len += (uint32_t) len;

        if (f->fragments < PUSH_FRAME_FRAGMENTS_MAX) {
            f->fragments++;
        }
    }

    /* From here on the head's bytes are left and mask. */

    memcpy(mask, f->head + 2 + size, 4);
    memcpy(f->mask, mask, 4);

    f->left = (uint32_t) len;
    f->opcode = opcode & 15;
    f->fin = fin & 1;
    f->phase = 0;
    f->begun = 0;
    f->in_payload = 1;

    return PUSH_OK;
}


/* Bytes of the extended length: 0, 2 or 8. */
static unsigned
push_frame_length_size(const struct push_frame *f)
{
    switch (f->head[1] & 0x7f) {
    case 126:
        return 2;
    case 127:
        return 8;
    default:
        return 0;
    }
}


static void
push_frame_fail(struct push_frame *f, struct push_frame_piece *piece,
    enum push_close reason)
{
    f->failed = 1;
    f->reason = (uint8_t) reason;

    *piece = (struct push_frame_piece) {
        .event = PUSH_FRAME_FAIL,
        .reason = reason
    };
}


/*
 * From a boundary over whole characters of 1 to 3 bytes, as far as four bytes
 * or 32 of ASCII can be looked at together; the rest is left to the states.
 */
static const uint8_t *
push_frame_utf8_skip(const uint8_t *p, const uint8_t *end)
{
    uint32_t  c;
    uint64_t  w[4];

    while (end - p >= 4) {

        while (end - p >= 32 && *p < 0x80) {
            memcpy(w, p, 32);

            if ((w[0] | w[1] | w[2] | w[3]) & PUSH_FRAME_HIGH_BITS) {
                break;
            }

            p += 32;
        }

        if (end - p < 4) {
            break;
        }

        memcpy(&c, p, 4);
        c = be32toh(c);

        if (c < 0x80000000) {
            p++;

        } else if ((c & 0xe0c00000) == 0xc0800000
                   && (c & 0x1e000000) != 0)            /* not overlong */
        {
            p += 2;

        } else if ((c & 0xf0c0c000) == 0xe0808000
                   && (c & 0x0f200000) != 0             /* not overlong */
                   && (c & 0x0f200000) != 0x0d200000)   /* no surrogate */
        {
            p += 3;

        } else {
            break;
        }
    }

    return p;
}


/* The state behind the first byte of a character that is not ASCII. */
static unsigned
push_frame_utf8_lead(uint8_t c)
{
    if (c < 0xc2 || c > 0xf4) {
        return PUSH_FRAME_UTF8_BAD;     /* goes on, overlong, above 10ffff */
    }

    if (c < 0xe0) {
        return PUSH_FRAME_UTF8_LAST;
    }

    if (c < 0xf0) {
        return c == 0xe0 ? PUSH_FRAME_UTF8_E0
               : c == 0xed ? PUSH_FRAME_UTF8_ED : PUSH_FRAME_UTF8_TWO;
    }

    return c == 0xf0 ? PUSH_FRAME_UTF8_F0
           : c == 0xf4 ? PUSH_FRAME_UTF8_F4 : PUSH_FRAME_UTF8_THREE;
}
