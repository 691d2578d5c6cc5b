/*
 * auth_verify: the claims of a token whose signature is right --> a user
 *
 * in:   JSON text of the claims, rules, the time.  out: a user, or why not
 * owns: nothing
 *
 * Pure.  RFC 7519 4.1, with strict types.
 */

#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include "auth_token.h"

#define AUTH_GROUPS_MAX  64
#define AUTH_LEEWAY_MAX  30         /* seconds */
#define AUTH_LIMIT_MAX   65535

struct auth_verify_rules {
    const char *audience;       /* must be (one of) aud */
    const char *issuer;         /* must be iss; "": not looked at */
    const char *groups_claim;   /* name of the claim with groups */
    int64_t     leeway_s;       /* of both clocks, 0 to AUTH_LEEWAY_MAX */
};

struct auth_user {
    char     uid[PUSH_NAME_MAX + 1];
    int64_t  expires;           /* Unix seconds: exp, without leeway */
    uint64_t limit;             /* connections at a time; 0: not said */
    size_t   groups_count;
    char     groups[AUTH_GROUPS_MAX * (PUSH_NAME_MAX + 1)];
                                /* names, one space between; terminated */
};

/*
 * exp (required), nbf, iat are numbers, a fraction is cut off, no exponent, at
 * most 2^53 - 1; aud (required) a string or an array of strings; sub (required)
 * a string, a legal uid that does not begin with ".canary."; groups an array
 * of at most AUTH_GROUPS_MAX legal names; limit an integer of 1 to
 * AUTH_LIMIT_MAX; other claims are ignored, doubled ones refused.  now_s: Unix
 * seconds.  AUTH_OK, and *user is set; else why not.
 */
enum auth_reason auth_verify(struct auth_user *user,
    const struct auth_verify_rules *rules, struct push_str claims,
    int64_t now_s);

#endif
