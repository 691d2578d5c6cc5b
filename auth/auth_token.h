/*
 * auth_token: the text of a JWT to its parts, before any key is looked at
 *
 * in:   the text.  out: algorithm, kid, claims as JSON text.  owns: nothing
 *
 * Pure.  RFC 7515 (compact serialization), RFC 8725 (what to refuse).
 */

#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "push.h"

#define AUTH_TOKEN_MAX  8192        /* bytes of a token */
#define AUTH_KID_MAX    128

/*
 * Why a token is refused.  X(NAME, status, text for the log, counter's label)
 */
#define AUTH_REASONS(X)                                                       \
    X(OK,          204, "ok",                                   ok)           \
    X(NONE,        401, "no token",                             none)         \
    X(TWO,         401, "two different tokens",                 two)          \
    X(TOO_LONG,    401, "longer than 8 KB",                     too_long)     \
    X(MALFORMED,   401, "no JWT in canonical base64url",        malformed)    \
    X(HEADER,      401, "malformed header",                     header)       \
    X(EXTENSION,   401, "header member that is not accepted",   extension)    \
    X(NO_KEY,      401, "no key of this kid and algorithm",     no_key)       \
    X(SIGNATURE,   401, "wrong signature",                      signature)    \
    X(CLAIMS,      401, "malformed claims",                     claims)       \
    X(NO_EXPIRY,   401, "no exp",                               no_exp)       \
    X(EXPIRED,     401, "expired",                              expired)      \
    X(NOT_YET,     401, "not valid yet",                        not_yet)      \
    X(AUDIENCE,    401, "another audience",                     audience)     \
    X(ISSUER,      401, "another issuer",                       issuer)       \
    X(NO_SUBJECT,  401, "no sub",                               no_sub)       \
    X(SUBJECT,     403, "sub is no legal user id",              sub)          \
    X(GROUPS,      403, "groups are no legal names, or more than 64", groups)

enum auth_reason {
#define X(name, status, text, label)  AUTH_##name,
    AUTH_REASONS(X)
#undef X
    AUTH_REASON_COUNT
};

/* What a token says of itself; nothing of it is proved yet. */
struct auth_token {
    struct push_str text;                   /* the whole, borrowed */
    char            alg[16];
    char            kid[AUTH_KID_MAX + 1];
    bool            has_kid;
    size_t          signature_len;          /* bytes, decoded */
    struct push_str claims;                 /* JSON text, in buffer */
    char            buffer[AUTH_TOKEN_MAX];
};

/*
 * AUTH_OK; AUTH_TOO_LONG, AUTH_MALFORMED (not three parts of canonical
 * base64url without padding, RFC 4648 3.5; an empty part), AUTH_HEADER (no
 * object, doubled members, alg or kid of a wrong type), AUTH_EXTENSION (crit,
 * b64, jwk, jku, x5u: RFC 8725 3.10).
 */
enum auth_reason auth_token_parse(struct auth_token *token,
    struct push_str text);

/* Of a reason: the HTTP status, and a text for the log. */
unsigned auth_reason_status(enum auth_reason reason);
const char *auth_reason_text(enum auth_reason reason);

#endif
