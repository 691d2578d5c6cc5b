/*
 * push_json_string: what stands between the quotes of a JSON string
 *
 * in:   bytes behind an opening quote, or a string that was checked
 * out:  where it ends; its characters.  owns: nothing
 */

#include "push_json_string.h"
#include "push_frame.h"

#include <endian.h>
#include <string.h>

#define PUSH_JSON_EACH  UINT64_C(0x0101010101010101)    /* times a byte */

/* A surrogate without its other half, never equal to a character. */
#define PUSH_JSON_LONE  UINT32_C(0x80000000)

static const char *push_json_string_escape(const char *p, const char *end,
    struct push_json_fault *fault);
static const char *push_json_string_utf8(const char *p, const char *end,
    struct push_json_fault *fault);
static const char *push_json_string_fail(struct push_json_fault *fault,
    const char *at, const char *text);
static const char *push_json_string_plain(const char *p, const char *end);
static uint32_t push_json_string_char(const char **pos);
static uint32_t push_json_string_hex4(const char *p);
static size_t push_json_string_encode(char *to, uint32_t c);


const char *
push_json_string_scan(const char *p, const char *end,
    struct push_json_fault *fault)
{
    unsigned char  c;

    while (p != NULL) {
        p = push_json_string_plain(p, end);

        if (p == end) {
            return push_json_string_fail(fault, p,
                                         "the text ends inside a string");
        }

        c = (unsigned char) *p;

        if (c == '"') {
            return p + 1;
        }

        if (c == '\\') {
            p = push_json_string_escape(p, end, fault);

        } else if (c >= 0x80) {
            p = push_json_string_utf8(p, end, fault);

        } else {
            return push_json_string_fail(fault, p, "a control character in "
                                         "a string must be escaped");
        }
    }

    return NULL;
}


bool
push_json_string_eq(struct push_str a, struct push_str b)
{
    const char  *p, *q, *p_end, *q_end;

    p = a.data;
    q = b.data;
    p_end = p + a.len;
    q_end = q + b.len;

    while (p != p_end && q != q_end) {
        if (push_json_string_char(&p) != push_json_string_char(&q)) {
            return false;
        }
    }

    return p == p_end && q == q_end;
}


size_t
push_json_string_decode(struct push_str s, char *to, size_t size)
{
    char         c[4];
    size_t       n, len;
    const char  *pos, *end;

    if (s.len == 0) {
        return 0;
    }

    if (memchr(s.data, '\\', s.len) == NULL) {
        if (s.len > size) {
            return (size_t) -1;
        }

        memcpy(to, s.data, s.len);

        return s.len;
    }

    pos = s.data;
    end = pos + s.len;
    len = 0;

    while (pos != end) {
        n = push_json_string_encode(c, push_json_string_char(&pos));

        if (n == 0 || n > size - len) {
            return (size_t) -1;
        }

        memcpy(to + len, c, n);
        len += n;
    }

    return len;
}


/*
 * Skips to a quote, a backslash, a control character, what is not ASCII, or
 * the end: eight bytes at a time.  A borrow of the subtractions can only touch
 * bytes behind the first of these, and the first one is looked for.
 */
static const char *
push_json_string_plain(const char *p, const char *end)
{
    uint64_t       w;
    unsigned char  c;

    while (end - p >= 8) {
        memcpy(&w, p, 8);
        w = le64toh(w);

        w = ((w - PUSH_JSON_EACH * ' ')
             | ((w ^ PUSH_JSON_EACH * '"') - PUSH_JSON_EACH)
             | ((w ^ PUSH_JSON_EACH * '\\') - PUSH_JSON_EACH)
             | w) & PUSH_JSON_EACH * 0x80;

        if (w) {
            return p + __builtin_ctzll(w) / 8;
        }

        p += 8;
    }

    while (p != end) {
        c = (unsigned char) *p;

        if (c < ' ' || c == '"' || c == '\\' || c >= 0x80) {
            break;
        }

        p++;
    }

    return p;
}


static const char *
push_json_string_escape(const char *p, const char *end,
    struct push_json_fault *fault)
{
    int       c;
    unsigned  i;

    p++;
    c = p != end ? (unsigned char) *p : -1;

    switch (c) {

    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;

    case 'u':
        p++;
        break;

    case -1:
        return push_json_string_fail(fault, p,
                                     "the text ends inside a string");

    default:
        return push_json_string_fail(fault, p, "unknown escape in a string");
    }

    for (i = 0; i < 4; i++, p++) {
        c = p != end ? (unsigned char) *p : -1;

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')
              || (c >= 'A' && c <= 'F')))
        {
            return push_json_string_fail(fault, p, "expected four hex digits "
                                         "after \\u");
        }
    }

    return p;
}


/* A run of bytes that are not ASCII: whole characters only. */
static const char *
push_json_string_utf8(const char *p, const char *end,
    struct push_json_fault *fault)
{
    unsigned     state;
    const char  *run;

    run = p;

    while (p != end && (unsigned char) *p >= 0x80) {
        p++;
    }

    if (push_frame_utf8(0, (const uint8_t *) run, (size_t) (p - run)) == 0) {
        return p;
    }

    /* Bad: find the byte, or the end of the run if it stops too early. */

    for (state = 0; run != p; run++) {
        state = push_frame_utf8(state, (const uint8_t *) run, 1);

        if (state == PUSH_FRAME_UTF8_BAD) {
            break;
        }
    }

    return push_json_string_fail(fault, run, "invalid UTF-8 in a string");
}


static const char *
push_json_string_fail(struct push_json_fault *fault, const char *at,
    const char *text)
{
    fault->at = at;
    fault->text = text;

    return NULL;
}


/*
 * The next character of a validated string; a surrogate that has no other
 * half comes with PUSH_JSON_LONE.  The closing quote stands behind each
 * string, so that looking ahead by one is safe.
 */
static uint32_t
push_json_string_char(const char **pos)
{
    uint8_t      c;
    uint32_t     code, low;
    unsigned     more;
    const char  *p;

    p = *pos;
    c = (uint8_t) *p++;

    if (c == '\\') {
        c = (uint8_t) *p++;
        code = c;

        switch (c) {

        case 'b':
            code = '\b';
            break;

        case 'f':
            code = '\f';
            break;

        case 'n':
            code = '\n';
            break;

        case 'r':
            code = '\r';
            break;

        case 't':
            code = '\t';
            break;

        case 'u':
            code = push_json_string_hex4(p);
            p += 4;

            if (code < 0xd800 || code > 0xdfff) {
                break;
            }

            if (code < 0xdc00 && p[0] == '\\' && p[1] == 'u') {
                low = push_json_string_hex4(p + 2);

                if (low >= 0xdc00 && low <= 0xdfff) {
                    p += 6;
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    break;
                }
            }

            code |= PUSH_JSON_LONE;
            break;
        }

    } else if (c < 0x80) {
        code = c;

    } else {
        more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        code = c & (0x3fu >> more);

        while (more--) {
            code = code << 6 | ((uint8_t) *p++ & 0x3f);
        }
    }

    *pos = p;

    return code;
}


static uint32_t
push_json_string_hex4(const char *p)
{
    unsigned  i;
    uint32_t  n;

    n = 0;

    for (i = 0; i < 4; i++) {
        /* A digit's low bits are its value; a letter's are 1 to 6. */
        n = n << 4 | ((p[i] & 0x0f) + (p[i] & 0x40 ? 9 : 0));
    }

    return n;
}


/* UTF-8 into 4 bytes; 0: NUL or a lone surrogate, which no string holds. */
static size_t
push_json_string_encode(char *to, uint32_t c)
{
    if (c == 0 || (c & PUSH_JSON_LONE)) {
        return 0;
    }

    if (c < 0x80) {
        to[0] = (char) c;
        return 1;
    }

    if (c < 0x800) {
        to[0] = (char) (0xc0 | c >> 6);
        to[1] = (char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        to[0] = (char) (0xe0 | c >> 12);
        to[1] = (char) (0x80 | (c >> 6 & 0x3f));
        to[2] = (char) (0x80 | (c & 0x3f));
        return 3;
    }

    to[0] = (char) (0xf0 | c >> 18);
    to[1] = (char) (0x80 | (c >> 12 & 0x3f));
    to[2] = (char) (0x80 | (c >> 6 & 0x3f));
    to[3] = (char) (0x80 | (c & 0x3f));

    return 4;
}
