/*
 * fuzz_token: texts of tokens, their claims, and request targets
 *
 * What is accepted must be canonical, and a user who comes out of it legal.
 */

#include "auth_verify.h"
#include "fuzz.h"
#include "http_route.h"

#define NOW  1700000000

static const struct http_server_route routes[] = {
    { "GET", "/v1/users/{uid}/messages", NULL, 0, NULL },
    { "POST", "/v1/users/{uid}/messages", NULL, 0, NULL },
    { "GET", "/v1/{a}/{b}", NULL, 0, NULL },
    { NULL, NULL, NULL, 0, NULL }
};


/* The part of the text that decodes to bytes is the one text for them. */
static void
canonical(struct push_str part, struct push_str bytes)
{
    size_t    i;
    unsigned  held, bits;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-_";

    FUZZ_MUST(part.len == (bytes.len * 4 + 2) / 3);

    for (i = 0; i < part.len; i++) {
        held = (unsigned) (i * 6 / 8);
        bits = (unsigned) (uint8_t) bytes.data[held] << 8;
        bits |= held + 1 < bytes.len ? (uint8_t) bytes.data[held + 1] : 0;
        FUZZ_MUST(part.data[i] == digits[bits >> (10 - i * 6 % 8) & 63]);
    }
}


static void
legal_user(const struct auth_user *user)
{
    size_t       n, len;
    const char  *s;

    FUZZ_MUST(push_name_valid((struct push_str) { user->uid,
                                                  strlen(user->uid) }));
    FUZZ_MUST(user->expires > NOW - AUTH_LEEWAY_MAX);
    FUZZ_MUST(user->limit <= AUTH_LIMIT_MAX);
    FUZZ_MUST(user->groups_count <= AUTH_GROUPS_MAX);

    for (n = 0, s = user->groups; *s != '\0'; n++) {
        len = strcspn(s, " ");
        FUZZ_MUST(push_name_valid((struct push_str) { s, len }));
        s += len + (s[len] == ' ');
    }

    FUZZ_MUST(n == user->groups_count);
}


static void
target(struct push_str text)
{
    int                             rc;
    char                            allow[64], *store;
    const char                     *mark;
    struct push_str                 path;
    struct http_route_pairs         params, query;
    const struct http_server_route *route;

    mark = memchr(text.data, '?', text.len);
    path = (struct push_str) { text.data, mark != NULL
                                          ? (size_t) (mark - text.data)
                                          : text.len };

    store = malloc(text.len);
    FUZZ_MUST(store != NULL);

    rc = http_route_find(routes, "HEAD", path, store, &params, &route, allow,
                         sizeof(allow));

    if (rc == PUSH_OK && params.count > 0) {
        FUZZ_MUST(params.pairs[0].value.len > 0);
        FUZZ_MUST(params.pairs[0].value.len <= path.len);
    }

    if (mark != NULL) {
        http_route_query((struct push_str) { mark + 1,
                                             text.len - path.len - 1 },
                         store + path.len, &query);
    }

    free(store);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char               *one, *two;
    struct push_str           text;
    struct auth_user          user;
    struct auth_token         token;
    struct auth_verify_rules  rules = { "push", "", "groups", 30 };

    if (size == 0) {
        return 0;
    }

    text = (struct push_str) { (const char *) data, size };

    if (auth_token_parse(&token, text) == AUTH_OK) {
        one = memchr(text.data, '.', text.len);
        two = memrchr(text.data, '.', text.len);
        canonical((struct push_str) { one + 1, (size_t) (two - one - 1) },
                  token.claims);
        FUZZ_MUST(token.alg[0] != '\0');
        FUZZ_MUST(token.has_kid == (token.kid[0] != '\0'));
    }

    if (auth_verify(&user, &rules, text, NOW) == AUTH_OK) {
        legal_user(&user);
    }

    target(text);

    return 0;
}
