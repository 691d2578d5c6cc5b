/*
 * test_push_frame: RFC 6455 section 5, whole and in every cut
 *
 * What a client sends is run through the parser and written down as text:
 * "text(Hello)ping(a)!1002".  The same bytes in other pieces must give the
 * same text; so each case runs whole, byte by byte, cut once at every place,
 * and in random pieces.
 */

#include "push_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FIN   0x80
#define TEXT  PUSH_FRAME_TEXT
#define BIN   PUSH_FRAME_BINARY
#define CONT  PUSH_FRAME_CONT
#define CLOSE PUSH_FRAME_CLOSE
#define PING  PUSH_FRAME_PING
#define PONG  PUSH_FRAME_PONG

#define C     0x100         /* CONT as a first byte, which 0 cannot say */

#define P(s)  { s, sizeof(s) - 1 }

struct bytes {
    const char *data;
    size_t      len;
};

struct frame {
    int          first;     /* byte; 0 ends a list */
    struct bytes payload;
};

struct buffer {
    char  *data;
    size_t len;
    size_t size;
};

static const struct push_frame_limits  limits = { 70000, 16 };


static uint32_t
next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;

    return (uint32_t) (*seed >> 33);
}


static void
add(struct buffer *b, const void *data, size_t len)
{
    if (len > b->size - b->len) {
        b->size = (b->len + len) * 2;
        b->data = realloc(b->data, b->size);
        assert_non_null(b->data);
    }

    if (len) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
}


static void
add_frame(struct buffer *b, int first, const char *data, size_t len,
    uint64_t *seed)
{
    size_t   i, n;
    uint8_t  head[14];

    head[0] = (uint8_t) first;
    n = push_frame_header(head, PUSH_FRAME_TEXT, len);
    head[0] = (uint8_t) first;
    head[1] |= 0x80;

    for (i = 0; i < 4; i++) {
        head[n + i] = (uint8_t) next_random(seed);
    }

    add(b, head, n + 4);

    for (i = 0; i < len; i++) {
        uint8_t  c = (uint8_t) data[i] ^ head[n + (i & 3)];

        add(b, &c, 1);
    }
}


/*
 * Feeds the input in pieces: step > 0: of that size; 0: random.  The text has
 * whole messages and control frames and how it failed.
 */
static char *
run(const struct buffer *input, size_t step, size_t first, uint64_t *seed)
{
    size_t                    from, n;
    char                      code[8];
    uint8_t                  *copy, *pos, *end;
    struct buffer             out, message, control, *to;
    struct push_frame         f;
    struct push_frame_piece   piece;

    static const char *const  names[] = {
        [TEXT] = "text", [BIN] = "binary", [CLOSE] = "close", [PING] = "ping",
        [PONG] = "pong"
    };

    memset(&f, 0, sizeof(f));
    memset(&out, 0, sizeof(out));
    memset(&message, 0, sizeof(message));
    memset(&control, 0, sizeof(control));

    for (from = 0; from < input->len; from += n) {
        n = from == 0 && first ? first
            : step ? step : 1 + next_random(seed) % 40;

        if (n > input->len - from) {
            n = input->len - from;
        }

        /* Its own block, so that reading or writing past it is seen. */

        copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, input->data + from, n);
        pos = copy;
        end = copy + n;

        do {
            if (push_frame_idle(&f)) {
                memset(&f, 0, sizeof(f));       /* as the edge does it */
            }

            push_frame_parse(&f, &limits, &pos, end, &piece);
            assert_true(pos >= copy && pos <= end);

            if (piece.event == PUSH_FRAME_NEED) {
                assert_ptr_equal(pos, end);
                continue;
            }

            if (piece.event == PUSH_FRAME_FAIL) {
                snprintf(code, sizeof(code), "!%u",
                         push_close_code(piece.reason));
                add(&out, code, strlen(code));

                /* It stays failed, whatever comes. */

                pos = (uint8_t *) code;
                push_frame_parse(&f, &limits, &pos, pos + 1, &piece);
                assert_int_equal(piece.event, PUSH_FRAME_FAIL);
                assert_int_equal(push_close_code(piece.reason),
                                 atoi(code + 1));
                break;
            }

            to = piece.event == PUSH_FRAME_DATA ? &message : &control;

            if (piece.first) {
                assert_int_equal(to->len, 0);
                add(to, names[piece.opcode], strlen(names[piece.opcode]));
                add(to, "(", 1);
            }

            assert_int_not_equal(to->len, 0);
            assert_true(piece.len <= (size_t) (end - copy));
            add(to, piece.data, piece.len);

            if (piece.last) {
                add(to, ")", 1);
                add(&out, to->data, to->len);
                to->len = 0;
            }

        } while (pos < end || piece.event != PUSH_FRAME_NEED);

        free(copy);

        if (piece.event == PUSH_FRAME_FAIL) {
            break;
        }
    }

    add(&out, "", 1);
    free(message.data);
    free(control.data);

    return out.data;
}


static void
check(const struct buffer *input, const char *want)
{
    int       i;
    char     *got;
    size_t    at;
    uint64_t  seed;

    seed = 1;

    got = run(input, input->len ? input->len : 1, 0, &seed);
    assert_string_equal(got, want);
    free(got);

    got = run(input, 1, 0, &seed);
    assert_string_equal(got, want);
    free(got);

    for (at = 1; at < input->len && at < 400; at++) {
        got = run(input, input->len, at, &seed);
        assert_string_equal(got, want);
        free(got);
    }

    for (i = 0; i < 50; i++) {
        got = run(input, 0, 0, &seed);
        assert_string_equal(got, want);
        free(got);
    }
}


static void
check_frames(const struct frame *frames, size_t n, const char *want)
{
    size_t         i;
    uint64_t       seed;
    struct buffer  b;

    seed = 7;
    memset(&b, 0, sizeof(b));

    for (i = 0; i < n && frames[i].first != 0; i++) {
        add_frame(&b, frames[i].first, frames[i].payload.data,
                  frames[i].payload.len, &seed);
    }

    check(&b, want);
    free(b.data);
}


static void
test_the_examples_of_rfc_6455_5_7(void **state)
{
    size_t         i;
    struct buffer  b;

    static const struct {
        struct bytes input;
        const char  *want;
    } cases[] = {
        /* a single-frame masked text message */
        { P("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text(Hello)" },
        /* a single-frame unmasked text message: not from a client */
        { P("\x81\x05\x48\x65\x6c\x6c\x6f"), "!1002" },
        /* a fragmented unmasked text message */
        { P("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"), "!1002" },
        /* an unmasked ping, a masked pong */
        { P("\x89\x05\x48\x65\x6c\x6c\x6f"), "!1002" },
        { P("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong(Hello)" }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        b.data = (char *) cases[i].input.data;
        b.len = b.size = cases[i].input.len;
        check(&b, cases[i].want);
    }
}


/* Groups 1 and 2 of the well-known case list: sizes, pings. */
static void
test_payloads_of_every_size_class_pass(void **state)
{
    size_t         i, j;
    char          *data, *want;
    uint64_t       seed;
    struct buffer  b;

    static const size_t  sizes[] = {
        0, 1, 7, 8, 9, 124, 125, 126, 127, 128, 65535, 65536, 70000
    };
    static const int  opcodes[] = { TEXT, BIN };

    (void) state;

    data = malloc(70001);
    want = malloc(70020);
    assert_true(data != NULL && want != NULL);
    seed = 3;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (j = 0; j < 2; j++) {
            memset(data, '*', 70000);
            data[sizes[i]] = '\0';
            sprintf(want, "%s(%s)", j ? "binary" : "text", data);

            memset(&b, 0, sizeof(b));
            add_frame(&b, FIN | opcodes[j], data, sizes[i], &seed);
            check(&b, want);
            free(b.data);
        }
    }

    memset(&b, 0, sizeof(b));
    memset(data, '*', 70001);
    add_frame(&b, FIN | TEXT, data, 70001, &seed);
    check(&b, "!1009");
    free(b.data);

    for (i = 0; i <= 126; i++) {
        memset(data, '-', i);
        data[i] = '\0';
        sprintf(want, "ping(%s)", data);

        memset(&b, 0, sizeof(b));
        add_frame(&b, FIN | PING, data, i, &seed);
        check(&b, i <= PUSH_FRAME_CONTROL_MAX ? want : "!1002");
        free(b.data);
    }

    free(data);
    free(want);
}


/* Groups 2, 3, 4, 5 and 7 of the well-known case list. */
static void
test_frames_are_judged_by_their_first_byte_and_place(void **state)
{
    size_t  i;

    static const struct {
        struct frame frames[8];
        const char  *want;
    } cases[] = {

        /* pings and pongs */

        { { { FIN | PING, P("") } }, "ping()" },
        { { { FIN | PING, P("\xff\xfe\xfd\xfc\xfb") } },
          "ping(\xff\xfe\xfd\xfc\xfb)" },
        { { { FIN | PONG, P("") } }, "pong()" },
        { { { FIN | PONG, P("unsolicited") }, { FIN | PING, P("a") } },
          "pong(unsolicited)ping(a)" },
        { { { FIN | PING, P("1") }, { FIN | PING, P("2") },
            { FIN | PING, P("3") } }, "ping(1)ping(2)ping(3)" },

        /* reserved bits */

        { { { FIN | 0x40 | TEXT, P("a") } }, "!1002" },
        { { { FIN | 0x20 | TEXT, P("a") } }, "!1002" },
        { { { FIN | 0x10 | TEXT, P("a") } }, "!1002" },
        { { { FIN | 0x70 | TEXT, P("a") } }, "!1002" },
        { { { FIN | 0x40 | PING, P("a") } }, "!1002" },
        { { { FIN | 0x70 | CLOSE, P("") } }, "!1002" },
        { { { FIN | TEXT, P("a") }, { FIN | 0x40 | TEXT, P("b") } },
          "text(a)!1002" },

        /* reserved opcodes */

        { { { FIN | 3, P("") } }, "!1002" },
        { { { FIN | 4, P("a") } }, "!1002" },
        { { { FIN | 5, P("a") } }, "!1002" },
        { { { FIN | 6, P("a") } }, "!1002" },
        { { { FIN | 7, P("a") } }, "!1002" },
        { { { FIN | 11, P("a") } }, "!1002" },
        { { { FIN | 12, P("a") } }, "!1002" },
        { { { FIN | 13, P("a") } }, "!1002" },
        { { { FIN | 14, P("a") } }, "!1002" },
        { { { FIN | 15, P("a") } }, "!1002" },
        { { { 3, P("") } }, "!1002" },
        { { { FIN | TEXT, P("a") }, { FIN | 3, P("b") },
            { FIN | PING, P("") } }, "text(a)!1002" },

        /* fragments */

        { { { PING, P("a") }, { FIN | CONT, P("b") } }, "!1002" },
        { { { PONG, P("a") }, { FIN | CONT, P("b") } }, "!1002" },
        { { { CLOSE, P("") } }, "!1002" },
        { { { TEXT, P("a") }, { FIN | CONT, P("b") } }, "text(ab)" },
        { { { BIN, P("a") }, { FIN | CONT, P("b") } }, "binary(ab)" },
        { { { TEXT, P("a") }, { FIN | PING, P("p") }, { FIN | CONT, P("b") } },
          "ping(p)text(ab)" },
        { { { TEXT, P("1") }, { C, P("2") }, { FIN | PING, P("p") },
            { C, P("3") }, { FIN | PONG, P("q") }, { FIN | CONT, P("4") } },
          "ping(p)pong(q)text(1234)" },
        { { { TEXT, P("") }, { C, P("") }, { FIN | CONT, P("") } }, "text()" },
        { { { TEXT, P("") }, { C, P("x") }, { FIN | CONT, P("") } },
          "text(x)" },
        { { { FIN | CONT, P("a") } }, "!1002" },
        { { { C, P("a") } }, "!1002" },
        { { { FIN | TEXT, P("a") }, { FIN | CONT, P("b") } },
          "text(a)!1002" },
        { { { TEXT, P("a") }, { FIN | CONT, P("b") }, { FIN | CONT, P("c") } },
          "text(ab)!1002" },
        { { { TEXT, P("a") }, { FIN | TEXT, P("b") } }, "!1002" },
        { { { TEXT, P("a") }, { FIN | BIN, P("b") } }, "!1002" },
        { { { TEXT, P("a") }, { C, P("b") }, { TEXT, P("c") } }, "!1002" },

        /* Close is a control frame; what its payload says: see below */

        { { { FIN | CLOSE, P("") } }, "close()" },
        { { { FIN | CLOSE, P("\x03\xe8") } }, "close(\x03\xe8)" },
        { { { FIN | CLOSE, P("x") } }, "close(x)" },
        { { { TEXT, P("a") }, { FIN | CLOSE, P("") } }, "close()" }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_frames(cases[i].frames, 8, cases[i].want);
    }
}


static void
test_a_length_is_minimal_and_bounded(void **state)
{
    size_t         i;
    struct buffer  b;

    static const struct {
        struct bytes input;
        const char  *want;
    } cases[] = {
        { P("\x81\xfe\x00\x7d" "mask"), "!1002" },      /* 125 in 2 bytes */
        { P("\x81\xfe\x00\x00" "mask"), "!1002" },
        { P("\x81\xff\0\0\0\0\0\0\xff\xff" "mask"), "!1002" },
        { P("\x81\xff\0\0\0\0\0\0\0\x05" "mask"), "!1002" },
        { P("\x81\xff\x80\0\0\0\0\0\0\x05" "mask"), "!1002" },
        { P("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" "mask"), "!1002" },
        { P("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" "mask"), "!1009" },
        { P("\x81\xff\0\0\0\x01\0\0\0\0" "mask"), "!1009" },    /* 2^32 */
        { P("\x81\xff\0\0\0\x01\0\0\0\x05" "mask"), "!1009" },
        { P("\x81\xff\0\0\0\0\x80\0\0\0" "mask"), "!1009" },    /* 2^31 */
        { P("\x81\xff\0\0\0\0\xff\xff\xff\xff" "mask"), "!1009" },
        { P("\x81\xff\0\0\0\0\0\x01\x11\x71" "mask"), "!1009" },  /* 70001 */
        { P("\x89\xfe\x00\x7e" "mask"), "!1002" },      /* a ping of 126 */
        { P("\x88\xff\0\0\0\0\0\x01\0\0" "mask"), "!1002" },
        { P("\x81\x7e"), "!1002" },                     /* not masked */
        { P("\x81\x00"), "!1002" },
        { P("\x81\xfe\x01\x00" "mas"), "" },            /* more is to come */
        { P("\x81\x85mask"), "" },
        { P("\x81"), "" }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        b.data = (char *) cases[i].input.data;
        b.len = b.size = cases[i].input.len;
        check(&b, cases[i].want);
    }
}


static void
test_a_message_is_bounded_by_bytes_and_fragments(void **state)
{
    int            i, n;
    char          *data;
    uint64_t       seed;
    struct buffer  b, want;

    (void) state;

    data = calloc(1, 70000);
    assert_non_null(data);
    memset(data, 'x', 70000);
    seed = 5;

    /* 69999 + 1 fit, 69999 + 2 do not; 1009 comes with the head alone. */

    for (i = 1; i <= 2; i++) {
        memset(&b, 0, sizeof(b));
        memset(&want, 0, sizeof(want));
        add_frame(&b, TEXT, data, 69999, &seed);
        add_frame(&b, FIN | CONT, data, (size_t) i, &seed);

        if (i == 2) {
            b.len -= 2;
            add(&want, "!1009", 6);

        } else {
            add(&want, "text(", 5);
            add(&want, data, 70000);
            add(&want, ")", 2);
        }

        check(&b, want.data);
        free(b.data);
        free(want.data);
    }

    /* 16 frames of a message pass, 17 do not; control frames do not count. */

    for (n = 16; n <= 17; n++) {
        memset(&b, 0, sizeof(b));
        add_frame(&b, TEXT, "a", 1, &seed);

        for (i = 2; i < n; i++) {
            add_frame(&b, CONT, "a", 1, &seed);
        }

        add_frame(&b, FIN | PONG, "", 0, &seed);
        add_frame(&b, FIN | CONT, "a", 1, &seed);
        add_frame(&b, FIN | TEXT, "b", 1, &seed);

        check(&b, n == 16 ? "pong()text(aaaaaaaaaaaaaaaa)text(b)"
                          : "pong()!1008");
        free(b.data);
    }

    free(data);
}


static void
test_without_a_limit_any_number_of_fragments_is_taken(void **state)
{
    int                      i;
    uint8_t                  frame[6], *pos;
    struct push_frame        f;
    struct push_frame_piece  piece;

    static const struct push_frame_limits  no_limit = { 100000, 0 };

    (void) state;

    memset(&f, 0, sizeof(f));

    for (i = 0; i < 70000; i++) {
        memset(frame, 0, sizeof(frame));
        frame[0] = i == 0 ? BIN : CONT;
        frame[1] = 0x80;
        pos = frame;

        push_frame_parse(&f, &no_limit, &pos, frame + 6, &piece);

        assert_int_equal(piece.event, PUSH_FRAME_DATA);
        assert_int_equal(piece.first, i == 0);
        assert_false(piece.last);
    }
}


/* Group 6 of the well-known case list; RFC 3629; Unicode's table 3-7. */
static void
test_text_is_utf8(void **state)
{
    size_t         i, cut;
    bool           good;
    char           want[64];
    uint64_t       seed;
    struct buffer  b;

    static const struct {
        struct bytes text;
        bool         good;
    } cases[] = {
        { P("Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1"
            "-UTF-8!!"), true },
        { P("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), true },
        { P("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
            "edited"), false },
        { P("\x7f"), true },
        { P("\xc2\x80"), true },
        { P("\xdf\xbf"), true },
        { P("\xe0\xa0\x80"), true },
        { P("\xe1\x80\x80"), true },
        { P("\xec\xbf\xbf"), true },
        { P("\xed\x80\x80"), true },
        { P("\xed\x9f\xbf"), true },
        { P("\xee\x80\x80"), true },
        { P("\xef\xbf\xbd"), true },
        { P("\xef\xbf\xbf"), true },              /* a noncharacter */
        { P("\xf0\x90\x80\x80"), true },
        { P("\xf0\x9f\x98\x80"), true },
        { P("\xf3\xbf\xbf\xbf"), true },
        { P("\xf4\x8f\xbf\xbf"), true },
        { P("\xc0\x80"), false },                   /* overlong */
        { P("\xc0\xaf"), false },
        { P("\xc1\xbf"), false },
        { P("\xe0\x80\x80"), false },
        { P("\xe0\x9f\xbf"), false },
        { P("\xf0\x80\x80\x80"), false },
        { P("\xf0\x8f\xbf\xbf"), false },
        { P("\xf8\x88\x80\x80\x80"), false },
        { P("\xfc\x84\x80\x80\x80\x80"), false },
        { P("\xed\xa0\x80"), false },               /* surrogates */
        { P("\xed\xaf\xbf\xed\xbf\xbf"), false },
        { P("\xed\xbf\xbf"), false },
        { P("\xf4\x90\x80\x80"), false },           /* above 10ffff */
        { P("\xf5\x80\x80\x80"), false },
        { P("\xf7\xbf\xbf\xbf"), false },
        { P("\x80"), false },                       /* goes on from nothing */
        { P("\xbf"), false },
        { P("a\x80" "b"), false },
        { P("\xc2\x80\x80"), false },
        { P("\xe1\x80\x80\x80"), false },
        { P("\xc2"), false },                       /* stops too early */
        { P("\xc2" "a"), false },
        { P("\xe1\x80"), false },
        { P("\xe1\x80" "a"), false },
        { P("\xf1\x80\x80"), false },
        { P("\xf1\x80" "a"), false },
        { P("0123456789abcdef\xf1\x80\x80"), false },
        { P("0123456789abcdef0123456789abcdef\xe2\x82\xac"), true },
        { P("0123456789abcdef0123456789abcde\xe2\x82\xac"), true },
        { P("\xfe"), false },
        { P("\xff"), false }
    };

    (void) state;

    seed = 11;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        good = cases[i].good;
        snprintf(want, sizeof(want), good ? "text(%.*s)" : "!1007",
                 (int) cases[i].text.len, cases[i].text.data);

        memset(&b, 0, sizeof(b));
        add_frame(&b, FIN | TEXT, cases[i].text.data, cases[i].text.len,
                  &seed);
        check(&b, want);
        free(b.data);

        /* The same in two fragments, cut at every byte. */

        for (cut = 0; cut <= cases[i].text.len; cut++) {
            memset(&b, 0, sizeof(b));
            add_frame(&b, TEXT, cases[i].text.data, cut, &seed);
            add_frame(&b, FIN | CONT, cases[i].text.data + cut,
                      cases[i].text.len - cut, &seed);
            check(&b, want);
            free(b.data);
        }

        /* Binary may be anything. */

        memset(&b, 0, sizeof(b));
        add_frame(&b, FIN | BIN, cases[i].text.data, cases[i].text.len,
                  &seed);
        snprintf(want, sizeof(want), "binary(%.*s)",
                 (int) cases[i].text.len, cases[i].text.data);
        check(&b, want);
        free(b.data);
    }
}


static void
test_bad_utf8_is_found_at_its_byte(void **state)
{
    uint8_t                  frame[6 + 3], *pos;
    struct push_frame        f;
    struct push_frame_piece  piece;

    static const uint8_t  start[] = { 0x01, 0xfe, 0x10, 0x00, 0, 0, 0, 0 };

    (void) state;

    /* 4096 bytes announced, but two of them are enough. */

    memset(&f, 0, sizeof(f));
    memcpy(frame, start, 8);
    pos = frame;
    push_frame_parse(&f, &limits, &pos, frame + 8, &piece);
    assert_int_equal(piece.event, PUSH_FRAME_NEED);

    frame[0] = 0xe0;
    pos = frame;
    push_frame_parse(&f, &limits, &pos, frame + 1, &piece);
    assert_int_equal(piece.event, PUSH_FRAME_DATA);
    assert_true(piece.first);

    frame[0] = 0x80;
    pos = frame;
    push_frame_parse(&f, &limits, &pos, frame + 1, &piece);
    assert_int_equal(piece.event, PUSH_FRAME_FAIL);
    assert_int_equal(piece.reason, PUSH_CLOSE_UTF8);
}


/* Every sequence of 1 to 3 bytes and some of 4, against the RFC's ranges. */
static void
test_utf8_agrees_with_the_definition(void **state)
{
    uint32_t  i, c;
    uint8_t   s[4];
    bool      want;

    (void) state;

    for (i = 0; i < 0x1000000; i += (i & 0xff) == 0xff ? 1 : 3) {
        s[0] = (uint8_t) (i >> 16);
        s[1] = (uint8_t) (i >> 8);
        s[2] = (uint8_t) i;

        c = (uint32_t) (s[0] & 15) << 12 | (uint32_t) (s[1] & 63) << 6
            | (s[2] & 63);
        want = (s[0] & 0xf0) == 0xe0 && (s[1] & 0xc0) == 0x80
               && (s[2] & 0xc0) == 0x80 && c >= 0x800
               && (c < 0xd800 || c > 0xdfff);
        want = want || (s[0] < 128 && s[1] < 128 && s[2] < 128)
               || (s[0] < 128 && (s[1] & 0xe0) == 0xc0 && s[1] >= 0xc2
                   && (s[2] & 0xc0) == 0x80)
               || ((s[0] & 0xe0) == 0xc0 && s[0] >= 0xc2
                   && (s[1] & 0xc0) == 0x80 && s[2] < 128);

        s[3] = 'a';     /* with a fourth byte they are looked at together */

        if ((push_frame_utf8(0, s, 3) == 0) != want
            || (push_frame_utf8(0, s, 4) == 0) != want)
        {
            fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
        }
    }

    for (c = 0; c < 0x200000; c++) {
        s[0] = (uint8_t) (0xf0 | c >> 18);
        s[1] = (uint8_t) (0x80 | (c >> 12 & 63));
        s[2] = (uint8_t) (0x80 | (c >> 6 & 63));
        s[3] = (uint8_t) (0x80 | (c & 63));

        want = c >= 0x10000 && c <= 0x10ffff;

        if ((push_frame_utf8(0, s, 4) == 0) != want) {
            fail_msg("%x", c);
        }
    }

    assert_int_equal(push_frame_utf8(PUSH_FRAME_UTF8_BAD, s, 0),
                     PUSH_FRAME_UTF8_BAD);
    assert_int_equal(push_frame_utf8(0, NULL, 0), 0);
}


static void
test_the_mask_has_four_phases(void **state)
{
    size_t    len, from, i;
    uint8_t   data[80], want[80];
    unsigned  phase;

    static const uint8_t  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    (void) state;

    for (phase = 0; phase < 4; phase++) {
        for (from = 0; from < 9; from++) {
            for (len = 0; len + from <= sizeof(data); len++) {
                for (i = 0; i < sizeof(data); i++) {
                    data[i] = want[i] = (uint8_t) (i * 7);

                    if (i >= from && i < from + len) {
                        want[i] ^= mask[(i - from + phase) & 3];
                    }
                }

                push_frame_mask(data + from, len, mask, phase);
                assert_memory_equal(data, want, sizeof(data));
            }
        }
    }
}


static void
test_a_close_payload_is_judged(void **state)
{
    int              rc;
    size_t           i;
    bool             legal;
    uint8_t          payload[126];
    unsigned         n, code;
    enum push_close  reason;

    static const unsigned  illegal[] = {
        0, 1, 100, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
        9999, 65535
    };

    static const struct {
        struct bytes    payload;
        int             rc;
        unsigned        code;
        enum push_close reason;
    } cases[] = {
        { P(""), PUSH_OK, 1005, 0 },
        { P("\x03"), PUSH_ERROR, 0, PUSH_CLOSE_PROTOCOL },
        { P("\x03\xe8"), PUSH_OK, 1000, 0 },
        { P("\x03\xe8" "bye"), PUSH_OK, 1000, 0 },
        { P("\x03\xf1\xce\xba"), PUSH_OK, 1009, 0 },
        { P("\x03\xe8\xce"), PUSH_ERROR, 0, PUSH_CLOSE_UTF8 },
        { P("\x03\xe8\xed\xa0\x80"), PUSH_ERROR, 0, PUSH_CLOSE_UTF8 },
        { P("\x03\xed" "a"), PUSH_ERROR, 0, PUSH_CLOSE_PROTOCOL },
        { P("\x03\xed\xff"), PUSH_ERROR, 0, PUSH_CLOSE_PROTOCOL }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rc = push_frame_close_parse((const uint8_t *) cases[i].payload.data,
                                    cases[i].payload.len, &code, &reason);
        assert_int_equal(rc, cases[i].rc);

        if (rc == PUSH_OK) {
            assert_int_equal(code, cases[i].code);

        } else {
            assert_int_equal(reason, cases[i].reason);
        }
    }

    for (n = 0; n < 65536; n++) {
        legal = (n >= 1000 && n <= 1014 && (n < 1004 || n > 1006))
                || (n >= 3000 && n < 5000);

        payload[0] = (uint8_t) (n >> 8);
        payload[1] = (uint8_t) n;

        rc = push_frame_close_parse(payload, 2, &code, &reason);
        assert_int_equal(rc, legal ? PUSH_OK : PUSH_ERROR);
    }

    for (i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
        payload[0] = (uint8_t) (illegal[i] >> 8);
        payload[1] = (uint8_t) illegal[i];
        assert_int_equal(push_frame_close_parse(payload, 2, &code, &reason),
                         PUSH_ERROR);
    }

    memset(payload, 'x', sizeof(payload));
    payload[0] = 0x03;
    payload[1] = 0xe8;
    assert_int_equal(push_frame_close_parse(payload, 125, &code, &reason),
                     PUSH_OK);
    assert_int_equal(push_frame_close_parse(payload, 126, &code, &reason),
                     PUSH_ERROR);
}


static void
test_heads_are_minimal(void **state)
{
    size_t   i, n;
    uint8_t  head[PUSH_FRAME_HEADER_MAX + 1];

    static const struct {
        uint64_t     len;
        struct bytes want;
    } cases[] = {
        { 0, P("\x81\x00") },
        { 5, P("\x81\x05") },
        { 125, P("\x81\x7d") },
        { 126, P("\x81\x7e\x00\x7e") },
        { 256, P("\x81\x7e\x01\x00") },
        { 65535, P("\x81\x7e\xff\xff") },
        { 65536, P("\x81\x7f\0\0\0\0\0\x01\0\0") },
        { UINT64_C(0x0102030405060708),
          P("\x81\x7f\x01\x02\x03\x04\x05\x06\x07\x08") }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(head, 0xcc, sizeof(head));
        n = push_frame_header(head, PUSH_FRAME_TEXT, cases[i].len);
        assert_int_equal(n, cases[i].want.len);
        assert_memory_equal(head, cases[i].want.data, n);
        assert_int_equal(head[n], 0xcc);
    }

    push_frame_header(head, PUSH_FRAME_PONG, 3);
    assert_int_equal(head[0], 0x8a);
}


static void
test_a_close_frame_cuts_its_text_at_a_character(void **state)
{
    size_t           i, n;
    char             text[200];
    uint8_t          to[128];
    unsigned         code;
    enum push_close  reason;

    (void) state;

    n = push_frame_close(to, 1012, "restart", 7);
    assert_int_equal(n, 11);
    assert_memory_equal(to, "\x88\x09\x03\xf4restart", n);

    n = push_frame_close(to, 1000, NULL, 0);
    assert_int_equal(n, 4);
    assert_memory_equal(to, "\x88\x02\x03\xe8", n);

    memset(text, 'a', sizeof(text));
    assert_int_equal(push_frame_close(to, 1000, text, 123), 127);
    assert_int_equal(push_frame_close(to, 1000, text, 124), 127);

    for (i = 110; i < 130; i++) {
        memset(text, 'a', sizeof(text));
        memcpy(text + i, "\xf0\x9f\x98\x80", 4);

        memset(to, 0xcc, sizeof(to));
        n = push_frame_close(to, 4008, text, i + 4);

        assert_int_equal(n, i + 4 <= 123 ? i + 8 : i < 123 ? i + 4 : 127);
        assert_int_equal(to[1], n - 2);
        assert_int_equal(to[127], 0xcc);
        assert_int_equal(push_frame_close_parse(to + 2, n - 2, &code, &reason),
                         PUSH_OK);
        assert_int_equal(code, 4008);
    }
}


/* Long random streams of legal frames, then one bad byte in some of them. */
static void
test_random_streams_are_the_same_in_random_pieces(void **state)
{
    int            i, j, broken;
    char          *whole, *pieces;
    size_t         len;
    uint64_t       seed;
    uint32_t       r;
    struct buffer  b;

    static const char  text[] =
        "a long text with \xc3\xa9, \xe2\x82\xac and \xf0\x9f\x98\x80 in it, "
        "so that characters are cut in every way";

    (void) state;

    for (i = 0; i < 400; i++) {
        seed = (uint64_t) i + 1000;
        broken = i % 2;
        memset(&b, 0, sizeof(b));

        for (j = 0; j < 30; j++) {
            r = next_random(&seed);
            len = r % sizeof(text);

            while ((text[len] & 0xc0) == 0x80) {
                len++;
            }

            switch (r >> 16 & 3) {

            case 0:
                add_frame(&b, FIN | TEXT, text, len, &seed);
                break;

            case 1:
                add_frame(&b, FIN | PING, text, len, &seed);
                break;

            case 2:
                add_frame(&b, TEXT, text, r >> 8 & 63, &seed);
                add_frame(&b, FIN | PONG, text, 3, &seed);
                add_frame(&b, FIN | CONT, text + (r >> 8 & 63),
                          sizeof(text) - 1 - (r >> 8 & 63), &seed);
                break;

            default:
                add_frame(&b, FIN | BIN, text, len, &seed);
            }
        }

        if (broken) {
            b.data[next_random(&seed) % b.len] ^= (char) (1 << (i % 8));
        }

        whole = run(&b, b.len, 0, &seed);

        if (!broken) {
            assert_null(strchr(whole, '!'));
        }

        for (j = 0; j < 20; j++) {
            pieces = run(&b, 0, 0, &seed);
            assert_string_equal(pieces, whole);
            free(pieces);
        }

        free(whole);
        free(b.data);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_the_examples_of_rfc_6455_5_7),
        cmocka_unit_test(test_payloads_of_every_size_class_pass),
        cmocka_unit_test(test_frames_are_judged_by_their_first_byte_and_place),
        cmocka_unit_test(test_a_length_is_minimal_and_bounded),
        cmocka_unit_test(test_a_message_is_bounded_by_bytes_and_fragments),
        cmocka_unit_test(test_without_a_limit_any_number_of_fragments_is_taken),
        cmocka_unit_test(test_text_is_utf8),
        cmocka_unit_test(test_bad_utf8_is_found_at_its_byte),
        cmocka_unit_test(test_utf8_agrees_with_the_definition),
        cmocka_unit_test(test_the_mask_has_four_phases),
        cmocka_unit_test(test_a_close_payload_is_judged),
        cmocka_unit_test(test_heads_are_minimal),
        cmocka_unit_test(test_a_close_frame_cuts_its_text_at_a_character),
        cmocka_unit_test(test_random_streams_are_the_same_in_random_pieces)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
