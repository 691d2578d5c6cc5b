/*
 * push: names, numbers and close codes that every part agrees on
 *
 * in:   bytes from a peer.  out: a checked value, or PUSH_ERROR.  owns: nothing
 */

#include "push.h"

#include <string.h>

static const struct {
    unsigned    code;
    const char *text;
} push_close_table[PUSH_CLOSE_COUNT] = {
#define X(name, code, text, counter)  { code, text },
    PUSH_CLOSE_REASONS(X)
#undef X
};

/* What a byte may be part of. */
enum {
    PUSH_IN_NAME = 1,
    PUSH_IN_KEY = 2,
    PUSH_IN_BOTH = PUSH_IN_NAME | PUSH_IN_KEY
};

static const uint8_t push_bytes[256] = {
    ['A' ... 'Z'] = PUSH_IN_BOTH,
    ['a' ... 'z'] = PUSH_IN_BOTH,
    ['0' ... '9'] = PUSH_IN_BOTH,
    ['.'] = PUSH_IN_BOTH,
    ['_'] = PUSH_IN_BOTH,
    [':'] = PUSH_IN_BOTH,
    ['-'] = PUSH_IN_BOTH,
    ['@'] = PUSH_IN_NAME
};

static bool push_bytes_valid(struct push_str s, size_t max, uint8_t in);
static bool push_cut_prefix(struct push_str *s, struct push_str prefix);


unsigned
push_close_code(enum push_close reason)
{
    return push_close_table[reason].code;
}


const char *
push_close_text(enum push_close reason)
{
    return push_close_table[reason].text;
}


bool
push_name_valid(struct push_str name)
{
    return push_bytes_valid(name, PUSH_NAME_MAX, PUSH_IN_NAME);
}


bool
push_key_valid(struct push_str key)
{
    return push_bytes_valid(key, PUSH_KEY_MAX, PUSH_IN_KEY);
}


int
push_log_parse(struct push_str log, enum push_log_kind *kind,
    struct push_str *name)
{
    if (push_str_eq(log, PUSH_STR("all"))) {
        *kind = PUSH_LOG_ALL;
        *name = PUSH_STR("");
        return PUSH_OK;
    }

    if (push_cut_prefix(&log, PUSH_STR("user:"))) {
        *kind = PUSH_LOG_USER;

    } else if (push_cut_prefix(&log, PUSH_STR("group:"))) {
        *kind = PUSH_LOG_GROUP;

    } else {
        return PUSH_ERROR;
    }

    if (!push_name_valid(log)) {
        return PUSH_ERROR;
    }

    *name = log;

    return PUSH_OK;
}


int
push_uint_parse(struct push_str s, uint64_t max, uint64_t *value)
{
    size_t    i;
    unsigned  digit;
    uint64_t  n;

    if (s.len == 0 || (s.len > 1 && s.data[0] == '0')) {
        return PUSH_ERROR;
    }

    n = 0;

    for (i = 0; i < s.len; i++) {
        digit = (unsigned char) s.data[i] - (unsigned) '0';

        if (digit > 9 || digit > max || n > (max - digit) / 10) {
            return PUSH_ERROR;
        }

        n = n * 10 + digit;
    }

    *value = n;

    return PUSH_OK;
}


int
push_hex64_parse(struct push_str s, uint64_t *value)
{
    size_t    i;
    unsigned  c;
    uint64_t  n;

    if (s.len != 16) {
        return PUSH_ERROR;
    }

    n = 0;

    for (i = 0; i < 16; i++) {
        c = (unsigned char) s.data[i];

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else if (c >= 'a' && c <= 'f') {
            c -= 'a' - 10;

        } else {
            return PUSH_ERROR;
        }

        n = n << 4 | c;
    }

    *value = n;

    return PUSH_OK;
}


void
push_hex64_write(char *to, uint64_t value)
{
    int  i;

    for (i = 15; i >= 0; i--) {
        to[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}


int
push_conn_id_parse(struct push_str s, struct push_conn_id *id)
{
    struct push_conn_id  found;

    if (s.len != PUSH_CONN_TEXT_LEN || s.data[16] != '.'
        || push_hex64_parse((struct push_str) { s.data, 16 },
                            &found.instance) != PUSH_OK
        || push_hex64_parse((struct push_str) { s.data + 17, 16 },
                            &found.conn) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    *id = found;

    return PUSH_OK;
}


void
push_conn_id_write(char *to, struct push_conn_id id)
{
    push_hex64_write(to, id.instance);
    to[16] = '.';
    push_hex64_write(to + 17, id.conn);
}


static bool
push_bytes_valid(struct push_str s, size_t max, uint8_t in)
{
    size_t  i;

    if (s.len == 0 || s.len > max) {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        if (!(push_bytes[(unsigned char) s.data[i]] & in)) {
            return false;
        }
    }

    return true;
}


static bool
push_cut_prefix(struct push_str *s, struct push_str prefix)
{
    if (s->len < prefix.len || memcmp(s->data, prefix.data, prefix.len) != 0) {
        return false;
    }

    s->data += prefix.len;
    s->len -= prefix.len;

    return true;
}
