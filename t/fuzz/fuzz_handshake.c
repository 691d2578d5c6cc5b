/*
 * fuzz_handshake: headers of a handshake, in any order and any lines
 *
 * in: lines "Name: value".  What is found does not depend on the order of the
 *     headers, nor on whether a list stands in one line or in several; what is
 *     found good has what RFC 6455 asks for.
 */

#include "fuzz.h"
#include "push_handshake.h"

#define LINES  64

struct line {
    struct push_str name;
    struct push_str value;
};


static struct push_str
until(struct push_str *s, char c)
{
    struct push_str  part;
    const char      *at = s->len ? memchr(s->data, c, s->len) : NULL;

    part.data = s->data;
    part.len = at ? (size_t) (at - s->data) : s->len;
    s->data += at ? part.len + 1 : part.len;
    s->len -= at ? part.len + 1 : part.len;

    return part;
}


/* Each item of a list in a header of its own. */
static void
apart(struct push_handshake *h, const struct line *line)
{
    struct push_str  rest = line->value;

    do {
        push_handshake_header(h, line->name, until(&rest, ','));
    } while (rest.len);
}


static void
good(const struct push_handshake *h)
{
    size_t  i;

    FUZZ_MUST(h->upgrade && h->connection);
    FUZZ_MUST(h->version.n == 1 && h->key.n == 1 && h->origin.n <= 1);
    FUZZ_MUST(push_str_eq(h->version.value, PUSH_STR("13")));
    FUZZ_MUST(h->protocol.n == 0 || h->push_v1);
    FUZZ_MUST(h->key.value.len == 24);

    for (i = 0; i < 22; i++) {
        FUZZ_MUST(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789+/", h->key.value.data[i]) != NULL);
    }

    FUZZ_MUST(memcmp(h->key.value.data + 22, "==", 2) == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                     i, n;
    char                      *copy;
    struct line                lines[LINES];
    struct push_str            rest, text;
    struct push_handshake      h, back, split;
    enum push_handshake_fault  fault;

    copy = malloc(size ? size : 1);  /* exact: a step too far shows */
    FUZZ_MUST(copy != NULL);
    memcpy(copy, data, size);

    rest.data = copy;
    rest.len = size;

    for (n = 0; n < LINES && rest.len; n++) {
        text = until(&rest, '\n');
        lines[n].name = until(&text, ':');
        lines[n].value = text;
    }

    memset(&h, 0, sizeof(h));
    memset(&back, 0, sizeof(back));
    memset(&split, 0, sizeof(split));

    for (i = 0; i < n; i++) {
        push_handshake_header(&h, lines[i].name, lines[i].value);
        push_handshake_header(&back, lines[n - 1 - i].name,
                              lines[n - 1 - i].value);
        apart(&split, &lines[i]);
    }

    fault = push_handshake_check(&h);

    FUZZ_MUST(fault < PUSH_HANDSHAKE_FAULTS);
    FUZZ_MUST(push_handshake_check(&back) == fault);
    FUZZ_MUST(split.upgrade == h.upgrade && split.connection == h.connection
              && split.push_v1 == h.push_v1);

    if (fault == PUSH_HANDSHAKE_GOOD) {
        good(&h);
    }

    free(copy);

    return 0;
}
