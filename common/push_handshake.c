/*
 * push_handshake: what the headers of a WebSocket handshake say
 *
 * in:   names and values; out: the first fault.  owns: nothing
 */

#include "push_handshake.h"

#include <string.h>
#include <strings.h>


/* --- headers ------------------------------------------------------------ */

static bool
same_word(struct push_str s, const char *word, bool any_case)
{
    return s.len == strlen(word)
           && (any_case ? strncasecmp(s.data, word, s.len)
                        : strncmp(s.data, word, s.len)) == 0;
}


static bool
is_space(char c)
{
    return c == ' ' || c == '\t';
}


/* A list is separated by commas, with optional white space around. */

static bool
lists(struct push_str list, const char *word, bool any_case)
{
    size_t           comma, end, pos;
    struct push_str  item;

    for (pos = 0; pos < list.len; pos = comma + 1) {
        comma = pos;

        while (comma < list.len && list.data[comma] != ',') {
            comma++;
        }

        for (end = comma; end > pos && is_space(list.data[end - 1]); end--) {
            /* void */
        }

        while (pos < end && is_space(list.data[pos])) {
            pos++;
        }

        item.data = list.data + pos;
        item.len = end - pos;

        if (same_word(item, word, any_case)) {
            return true;
        }
    }

    return false;
}


static void
count(struct push_handshake_header *header, struct push_str value)
{
    header->n++;
    header->value = value;
}


void
push_handshake_header(struct push_handshake *h, struct push_str name,
    struct push_str value)
{
    if (same_word(name, "sec-websocket-version", true)) {
        count(&h->version, value);

    } else if (same_word(name, "sec-websocket-key", true)) {
        count(&h->key, value);

    } else if (same_word(name, "origin", true)) {
        count(&h->origin, value);

    } else if (same_word(name, "sec-websocket-protocol", true)) {
        count(&h->protocol, value);
        h->push_v1 |= lists(value, "push.v1", false);

    } else if (same_word(name, "upgrade", true)) {
        h->upgrade |= lists(value, "websocket", true);

    } else if (same_word(name, "connection", true)) {
        h->connection |= lists(value, "upgrade", true);
    }
}


/* --- check -------------------------------------------------------------- */

/* 16 bytes are 22 digits, the last of which has 4 bits to spare, and "==". */

static bool
is_key(struct push_str s)
{
    char    c;
    size_t  i;

    if (s.len != PUSH_HANDSHAKE_KEY_LEN) {
        return false;
    }

    for (i = 0; i < PUSH_HANDSHAKE_KEY_LEN - 2; i++) {
        c = s.data[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
              || (c >= '0' && c <= '9') || c == '+' || c == '/'))
        {
            return false;
        }
    }

    return s.data[i] == '=' && s.data[i + 1] == '=';
}


enum push_handshake_fault
push_handshake_check(const struct push_handshake *h)
{
    if (!h->upgrade) {
        return PUSH_HANDSHAKE_NO_UPGRADE;
    }

    if (!h->connection) {
        return PUSH_HANDSHAKE_NO_CONNECTION;
    }

    if (h->version.n > 1) {
        return PUSH_HANDSHAKE_VERSIONS;
    }

    if (h->version.n == 0 || !same_word(h->version.value, "13", false)) {
        return PUSH_HANDSHAKE_VERSION;
    }

    if (h->key.n != 1) {
        return h->key.n ? PUSH_HANDSHAKE_KEYS : PUSH_HANDSHAKE_NO_KEY;
    }

    if (!is_key(h->key.value)) {
        return PUSH_HANDSHAKE_KEY;
    }

    if (h->protocol.n && !h->push_v1) {
        return PUSH_HANDSHAKE_PROTOCOL;
    }

    if (h->origin.n > 1) {
        return PUSH_HANDSHAKE_ORIGINS;
    }

    return PUSH_HANDSHAKE_GOOD;
}
