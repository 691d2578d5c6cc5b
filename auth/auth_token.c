/*
 * auth_token: the text of a JWT to its parts, before any key is looked at
 *
 *     header.claims.signature --base64url--> JSON, JSON, length
 */

#include "auth_token.h"

#include <string.h>

#include "push_json.h"

#define AUTH_TOKEN_DEPTH    8
#define AUTH_TOKEN_MEMBERS  32

static const struct {
    unsigned    status;
    const char *text;
} auth_reasons[] = {
#define X(name, status, text, label)  { status, text },
    AUTH_REASONS(X)
#undef X
};


unsigned
auth_reason_status(enum auth_reason reason)
{
    return auth_reasons[reason].status;
}


const char *
auth_reason_text(enum auth_reason reason)
{
    return auth_reasons[reason].text;
}


static int
auth_token_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return c == '-' ? 62 : c == '_' ? 63 : -1;
}


/*
 * Decodes canonical base64url without padding: one text for each value, so
 * that no two tokens are the same one.  to holds 3/4 of s.len; NULL: count
 * only.  (size_t) -1: malformed or empty.
 */
static size_t
auth_token_decode(char *to, struct push_str s)
{
    int       digit;
    size_t    i, n;
    unsigned  bits, held;

    if (s.len == 0 || s.len % 4 == 1) {
        return (size_t) -1;
    }

    n = 0;
    bits = 0;
    held = 0;

    for (i = 0; i < s.len; i++) {
        digit = auth_token_digit(s.data[i]);

        if (digit < 0) {
            return (size_t) -1;
        }

        bits = (bits << 6 | (unsigned) digit) & 0xffff;
        held += 6;

        if (held >= 8) {
            held -= 8;

            if (to != NULL) {
                to[n] = (char) (bits >> held & 0xff);
            }

            n++;
        }
    }

    return (bits & ((1u << held) - 1)) == 0 ? n : (size_t) -1;
}


static const struct push_json_member *
auth_token_member(const struct push_json_member *members, size_t count,
    const char *name)
{
    size_t  i;

    for (i = 0; i < count; i++) {
        if (push_json_name_is(&members[i], name)) {
            return &members[i];
        }
    }

    return NULL;
}


/* A terminated string without NUL inside.  PUSH_ERROR: anything else. */
static int
auth_token_string(const struct push_json_member *m, char *to, size_t size)
{
    size_t  n;

    if (m->value.type != PUSH_JSON_STRING) {
        return PUSH_ERROR;
    }

    n = push_json_string(&m->value, to, size - 1);

    if (n == (size_t) -1 || n == 0) {
        return PUSH_ERROR;
    }

    to[n] = '\0';

    return PUSH_OK;
}


static enum auth_reason
auth_token_header(struct auth_token *token, struct push_str json)
{
    size_t                          i, count;
    struct push_json_error          error;
    struct push_json_member         members[AUTH_TOKEN_MEMBERS];
    const struct push_json_member  *m;

    /* they would let the token choose its key, or change what is signed */
    static const char *const        refused[] = {
        "crit", "b64", "jwk", "jku", "x5u"
    };

    if (push_json_object(json, AUTH_TOKEN_DEPTH, members, AUTH_TOKEN_MEMBERS,
                         &count, &error) != PUSH_OK)
    {
        return AUTH_HEADER;
    }

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (auth_token_member(members, count, refused[i]) != NULL) {
            return AUTH_EXTENSION;
        }
    }

    m = auth_token_member(members, count, "alg");

    if (m == NULL
        || auth_token_string(m, token->alg, sizeof(token->alg)) != PUSH_OK)
    {
        return AUTH_HEADER;
    }

    m = auth_token_member(members, count, "kid");

    if (m != NULL) {
        token->has_kid = true;

        if (auth_token_string(m, token->kid, sizeof(token->kid)) != PUSH_OK) {
            return AUTH_HEADER;
        }
    }

    return AUTH_OK;
}


enum auth_reason
auth_token_parse(struct auth_token *token, struct push_str text)
{
    char              header[AUTH_TOKEN_MAX];
    size_t            n;
    const char       *one, *two, *end;
    struct push_str   part;

    token->text = text;
    token->has_kid = false;
    token->kid[0] = '\0';

    if (text.len > AUTH_TOKEN_MAX) {
        return AUTH_TOO_LONG;
    }

    end = text.data + text.len;
    one = memchr(text.data, '.', text.len);
    two = one != NULL ? memchr(one + 1, '.', (size_t) (end - one - 1)) : NULL;

    if (two == NULL) {
        return AUTH_MALFORMED;
    }

    part = (struct push_str) { two + 1, (size_t) (end - two - 1) };
    token->signature_len = auth_token_decode(NULL, part);

    part = (struct push_str) { one + 1, (size_t) (two - one - 1) };
    token->claims.data = token->buffer;
    token->claims.len = auth_token_decode(token->buffer, part);

    part = (struct push_str) { text.data, (size_t) (one - text.data) };
    n = auth_token_decode(header, part);

    if (n == (size_t) -1 || token->claims.len == (size_t) -1
        || token->signature_len == (size_t) -1)
    {
        return AUTH_MALFORMED;
    }

    return auth_token_header(token, (struct push_str) { header, n });

}
