/*
 * auth_verify: the claims of a token whose signature is right --> a user
 *
 *     claims --types--> exp, nbf, aud, iss --> sub, groups, limit --> user
 */

#include "auth_verify.h"

#include <string.h>

#include "push_json.h"

#define AUTH_VERIFY_DEPTH    16
#define AUTH_VERIFY_MEMBERS  128
#define AUTH_VERIFY_TEXT     512    /* of aud and iss; longer is another one */

struct auth_verify_claims {
    struct push_json_member members[AUTH_VERIFY_MEMBERS];
    size_t                  count;
};


/* NULL: no such claim. */
static const struct push_json_value *
auth_verify_claim(const struct auth_verify_claims *c, const char *name)
{
    size_t  i;

    for (i = 0; i < c->count; i++) {
        if (push_json_name_is(&c->members[i], name)) {
            return &c->members[i].value;
        }
    }

    return NULL;
}


/*
 * NumericDate (RFC 7519 2).  PUSH_OK; PUSH_DECLINED: not there; PUSH_ERROR: no
 * number, negative, with an exponent, or too large.
 */
static int
auth_verify_date(const struct auth_verify_claims *c, const char *name,
    int64_t *date)
{
    uint64_t                       n;
    const char                    *dot;
    struct push_str                s;
    const struct push_json_value  *v;

    v = auth_verify_claim(c, name);
    if (v == NULL) {
        return PUSH_DECLINED;
    }

    s = v->raw;

    if (v->type != PUSH_JSON_NUMBER || memchr(s.data, 'e', s.len) != NULL
        || memchr(s.data, 'E', s.len) != NULL)
    {
        return PUSH_ERROR;
    }

    dot = memchr(s.data, '.', s.len);

    if (dot != NULL) {
        s.len = (size_t) (dot - s.data);
    }

    if (push_uint_parse(s, (uint64_t) PUSH_SEQ_MAX, &n) != PUSH_OK) {
        return PUSH_ERROR;
    }

    *date = (int64_t) n;

    return PUSH_OK;
}


static bool
auth_verify_equals(const struct push_json_value *v, const char *wanted)
{
    char    text[AUTH_VERIFY_TEXT];
    size_t  n;

    n = push_json_string(v, text, sizeof(text));

    return n != (size_t) -1 && n == strlen(wanted)
           && memcmp(text, wanted, n) == 0;
}


static enum auth_reason
auth_verify_audience(const struct auth_verify_claims *c, const char *wanted)
{
    bool                           found;
    const char                    *pos;
    struct push_json_value         one;
    const struct push_json_value  *v;

    v = auth_verify_claim(c, "aud");
    if (v == NULL) {
        return AUTH_AUDIENCE;
    }

    if (v->type == PUSH_JSON_STRING) {
        return auth_verify_equals(v, wanted) ? AUTH_OK : AUTH_AUDIENCE;
    }

    if (v->type != PUSH_JSON_ARRAY) {
        return AUTH_CLAIMS;
    }

    found = false;
    pos = NULL;

    while (push_json_next(v->raw, &pos, &one)) {
        if (one.type != PUSH_JSON_STRING) {
            return AUTH_CLAIMS;
        }

        found = found || auth_verify_equals(&one, wanted);
    }

    return found ? AUTH_OK : AUTH_AUDIENCE;
}


static enum auth_reason
auth_verify_issuer(const struct auth_verify_claims *c, const char *wanted)
{
    const struct push_json_value  *v;

    if (wanted[0] == '\0') {
        return AUTH_OK;
    }

    v = auth_verify_claim(c, "iss");
    if (v == NULL) {
        return AUTH_ISSUER;
    }

    if (v->type != PUSH_JSON_STRING) {
        return AUTH_CLAIMS;
    }

    return auth_verify_equals(v, wanted) ? AUTH_OK : AUTH_ISSUER;
}


static enum auth_reason
auth_verify_times(const struct auth_verify_claims *c, int64_t leeway_s,
    int64_t now_s, int64_t *expires)
{
    int      rc;
    int64_t  date;

    rc = auth_verify_date(c, "exp", expires);

    if (rc != PUSH_OK) {
        return rc == PUSH_DECLINED ? AUTH_NO_EXPIRY : AUTH_CLAIMS;
    }

    if (now_s - leeway_s >= *expires) {
        return AUTH_EXPIRED;
    }

    rc = auth_verify_date(c, "nbf", &date);

    if (rc == PUSH_ERROR
        || auth_verify_date(c, "iat", &(int64_t) { 0 }) == PUSH_ERROR)
    {
        return AUTH_CLAIMS;
    }

    return rc == PUSH_OK && now_s + leeway_s < date ? AUTH_NOT_YET : AUTH_OK;
}


/* A legal name into to, which holds PUSH_NAME_MAX bytes.  0: none. */
static size_t
auth_verify_name(const struct push_json_value *v, char *to)
{
    size_t  n;

    if (v->type != PUSH_JSON_STRING) {
        return 0;
    }

    n = push_json_string(v, to, PUSH_NAME_MAX);

    return n != (size_t) -1 && push_name_valid((struct push_str) { to, n })
           ? n : 0;
}


static enum auth_reason
auth_verify_subject(const struct auth_verify_claims *c, struct auth_user *user)
{
    size_t                         n;
    const struct push_json_value  *v;

    static const char              canary[] = ".canary.";

    v = auth_verify_claim(c, "sub");
    if (v == NULL) {
        return AUTH_NO_SUBJECT;
    }

    if (v->type != PUSH_JSON_STRING) {
        return AUTH_CLAIMS;
    }

    n = auth_verify_name(v, user->uid);
    user->uid[n] = '\0';

    /* the canary of a node is no user */

    return n > 0 && strncmp(user->uid, canary, sizeof(canary) - 1) != 0
           ? AUTH_OK : AUTH_SUBJECT;
}


static enum auth_reason
auth_verify_groups(const struct auth_verify_claims *c, const char *name,
    struct auth_user *user)
{
    char                          *p;
    size_t                         n;
    const char                    *pos;
    struct push_json_value         one;
    const struct push_json_value  *v;

    p = user->groups;
    pos = NULL;
    user->groups_count = 0;

    v = auth_verify_claim(c, name);

    if (v != NULL && v->type != PUSH_JSON_ARRAY) {
        return AUTH_GROUPS;
    }

    while (v != NULL && push_json_next(v->raw, &pos, &one)) {

        if (user->groups_count++ == AUTH_GROUPS_MAX) {
            return AUTH_GROUPS;
        }

        if (p > user->groups) {
            *p++ = ' ';
        }

        n = auth_verify_name(&one, p);
        if (n == 0) {
            return AUTH_GROUPS;
        }

        p += n;
    }

    *p = '\0';

    return AUTH_OK;
}


static enum auth_reason
auth_verify_limit(const struct auth_verify_claims *c, struct auth_user *user)
{
    const struct push_json_value  *v;

    user->limit = 0;
    v = auth_verify_claim(c, "limit");

    if (v != NULL
        && (push_json_uint(v, AUTH_LIMIT_MAX, &user->limit) != PUSH_OK
            || user->limit == 0))
    {
        return AUTH_CLAIMS;
    }

    return AUTH_OK;
}


enum auth_reason
auth_verify(struct auth_user *user, const struct auth_verify_rules *rules,
    struct push_str claims, int64_t now_s)
{
    enum auth_reason           reason;
    struct push_json_error     error;
    struct auth_verify_claims  c;

    if (push_json_object(claims, AUTH_VERIFY_DEPTH, c.members,
                         AUTH_VERIFY_MEMBERS, &c.count, &error) != PUSH_OK)
    {
        return AUTH_CLAIMS;
    }

    if ((reason = auth_verify_times(&c, rules->leeway_s, now_s,
                                    &user->expires)) != AUTH_OK
        || (reason = auth_verify_audience(&c, rules->audience)) != AUTH_OK
        || (reason = auth_verify_issuer(&c, rules->issuer)) != AUTH_OK
        || (reason = auth_verify_subject(&c, user)) != AUTH_OK
        || (reason = auth_verify_groups(&c, rules->groups_claim, user))
           != AUTH_OK)
    {
        return reason;
    }

    return auth_verify_limit(&c, user);
}
