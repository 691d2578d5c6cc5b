/*
 * push_frame: WebSocket frames of a server (RFC 6455 section 5)
 *
 *     bytes --push_frame_parse--> events, unmasked in place
 *     payload --push_frame_header--> head of a frame, unmasked as a server's
 *
 * Pure: no buffer of its own.  Payload comes in pieces as it arrives, so that
 * the caller decides what is kept; a message's size is known before memory is
 * taken.
 */

#ifndef PUSH_FRAME_H
#define PUSH_FRAME_H

#include "push.h"

enum push_frame_opcode {
    PUSH_FRAME_CONT = 0x0,
    PUSH_FRAME_TEXT = 0x1,
    PUSH_FRAME_BINARY = 0x2,
    PUSH_FRAME_CLOSE = 0x8,
    PUSH_FRAME_PING = 0x9,
    PUSH_FRAME_PONG = 0xa
};

#define PUSH_FRAME_HEADER_MAX  10       /* of what a server sends */
#define PUSH_FRAME_CONTROL_MAX 125      /* RFC 6455 5.5 */

/*
 * 24 bytes of state; all zero is the start.  Limits are arguments, not state.
 * The fields are the parser's own.
 */
struct push_frame {
    uint32_t message_len;       /* payload bytes of this message so far, with
                                   this frame's announced length */
    union {
        uint8_t      head[14];  /* a head cut across reads */
        struct {
            uint32_t left;      /* payload bytes of this frame to come */
            uint8_t  mask[4];
        };
        uint8_t      reason;    /* failed: why */
    };
    uint16_t         opcode:4;      /* of the frame */
    uint16_t         message:2;     /* opcode of the message under way, or 0 */
    uint16_t         phase:2;       /* of the mask */
    uint16_t         head_len:4;
    uint16_t         utf8:4;        /* state of the decoder */
    uint16_t         fragments:12;  /* frames of the message under way */
    uint16_t         fin:1;
    uint16_t         in_payload:1;
    uint16_t         begun:1;       /* this frame has given a piece */
    uint16_t         failed:1;
};

_Static_assert(sizeof(struct push_frame) == 24, "small");

/*
 * Between two messages: nothing is kept that a state of all zero would not do
 * as well.
 */
static inline bool
push_frame_idle(const struct push_frame *f)
{
    return !f->message && !f->head_len && !f->in_payload && !f->failed;
}

enum push_frame_event {
    PUSH_FRAME_NEED,            /* all input eaten, nothing complete */
    PUSH_FRAME_DATA,            /* a piece of a text or binary message */
    PUSH_FRAME_CONTROL,         /* a piece of a Close, Ping or Pong payload */
    PUSH_FRAME_FAIL             /* reason says how to close */
};

struct push_frame_limits {
    uint32_t message_max;       /* bytes: 1009 */
    unsigned fragments_max;     /* frames of one message: 1008; at most 4095,
                                   0: any number */
};

/* What one call found. */
struct push_frame_piece {
    enum push_frame_event event;
    uint8_t               opcode;   /* of the message (TEXT, BINARY), or of the
                                       control frame */
    bool                  first;    /* begins the message or control frame */
    bool                  last;     /* ends it */
    uint8_t              *data;     /* unmasked in place in the input */
    size_t                len;      /* 0 is possible */
    enum push_close       reason;   /* of FAIL */
};

/*
 * Eats from [*pos, end) and says what it found; call again while *pos < end
 * or the event was not NEED.  An empty message or control frame gives one
 * piece with len 0, first and last.  Text is checked as UTF-8 byte by byte
 * across fragments: FAIL with UTF8 at the first bad byte, and at the end of a
 * message that stops inside a character.  A failed parser stays failed.
 *
 * FAIL PROTOCOL: RSV set, opcode 3-7 or b-f, not masked, control frame longer
 * than 125 or without FIN, length not minimal or above 2^63, CONT without
 * start, new message inside one.  FAIL TOO_BIG by the announced length, before
 * any of that frame's payload.  FAIL POLICY: fragments_max.
 */
void push_frame_parse(struct push_frame *f,
    const struct push_frame_limits *limits, uint8_t **pos, uint8_t *end,
    struct push_frame_piece *piece);

/*
 * A whole Close payload as the client sent it.  PUSH_OK: *code is its code, or
 * 1005 if it is empty.  PUSH_ERROR: *reason is PROTOCOL (one byte, illegal
 * code: RFC 6455 7.4; legal are 1000-1003, 1007-1014, 3000-4999) or UTF8.
 */
int push_frame_close_parse(const uint8_t *data, size_t len, unsigned *code,
    enum push_close *reason);

/*
 * The head of an unfragmented, unmasked frame: 2, 4 or 10 bytes into to.
 * Returns how many.
 */
size_t push_frame_header(uint8_t *to, enum push_frame_opcode opcode,
    uint64_t len);

/*
 * A whole Close frame with code and at most 123 bytes of text: into to, which
 * holds at least 127.  The text is cut at a character's start.  Returns bytes.
 */
size_t push_frame_close(uint8_t *to, unsigned code, const char *text,
    size_t len);

/* dst ^= mask, phase 0 to 3; u64 at a time.  Used by tests as well. */
void push_frame_mask(uint8_t *data, size_t len, const uint8_t mask[4],
    unsigned phase);

/*
 * Incremental UTF-8 (RFC 3629: no surrogates, no overlong forms, <= 10ffff).
 * state 0 is a boundary; returns the new state, or PUSH_FRAME_UTF8_BAD.
 */
#define PUSH_FRAME_UTF8_BAD  1
unsigned push_frame_utf8(unsigned state, const uint8_t *data, size_t len);

#endif
