/*
 * auth_in: GET /verify as nginx's auth_request asks it
 *
 *     Authorization: Bearer T          \
 *     Sec-WebSocket-Protocol: bearer.T  +--> one token --> who --> 204
 *     X-Original-URI: /ws?token=T      /     or two different ones: 401
 */

#include "auth_in.h"

#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "auth_keys.h"
#include "auth_verify.h"
#include "http_route.h"

#define AUTH_IN_HEADERS  4      /* of one name */

static void auth_in_verify(struct http_server_request *r, void *data);

const struct http_server_route auth_in_routes[] = {
    { "GET", "/verify", auth_in_verify, 0, NULL },
    { NULL, NULL, NULL, 0, NULL }
};

/* What has been found so far. */
struct auth_in_token {
    struct push_str  text;
    enum auth_reason reason;        /* NONE, OK, TWO, TOO_LONG */
    char             decoded[AUTH_TOKEN_MAX + 1];
};


static void
auth_in_found(struct auth_in_token *t, const char *s, size_t len)
{
    if (t->reason == AUTH_NONE) {
        t->text = (struct push_str) { s, len };
        t->reason = AUTH_OK;

    } else if (!push_str_eq(t->text, (struct push_str) { s, len })) {
        t->reason = AUTH_TWO;
    }
}


/* "Bearer T"; another scheme is not for us. */
static void
auth_in_authorization(struct auth_in_token *t, const char *value)
{
    size_t  len;

    if (strncasecmp(value, "Bearer ", 7) != 0) {
        return;
    }

    value += 7;
    value += strspn(value, " ");
    len = strlen(value);

    while (len > 0 && value[len - 1] == ' ') {
        len--;
    }

    auth_in_found(t, value, len);
}


/* "push.v1, bearer.T" */
static void
auth_in_subprotocol(struct auth_in_token *t, const char *value)
{
    size_t  len;

    for ( ; *value != '\0'; value += len) {
        value += strspn(value, ", \t");
        len = strcspn(value, ", \t");

        if (len >= 7 && memcmp(value, "bearer.", 7) == 0) {
            auth_in_found(t, value + 7, len - 7);
        }
    }
}


/* "/ws?a=b&token=T", percent-encoded */
static void
auth_in_uri(struct auth_in_token *t, const char *value)
{
    size_t  len, n;

    value = strchr(value, '?');
    value = value != NULL ? value + 1 : "";

    for ( ; *value != '\0'; value += len) {
        value += strspn(value, "&");
        len = strcspn(value, "&#");

        if (len >= 6 && memcmp(value, "token=", 6) == 0) {

            if (len - 6 > AUTH_TOKEN_MAX) {
                t->reason = t->reason == AUTH_NONE ? AUTH_TOO_LONG : AUTH_TWO;
                return;
            }

            /* twice in one query: whoever made that is up to something */
            if (t->text.data == t->decoded) {
                t->reason = AUTH_TWO;
                return;
            }

            n = http_route_decode(t->decoded, value + 6, len - 6, false);
            auth_in_found(t, t->decoded, n != (size_t) -1 ? n : 0);
        }

        if (value[len] == '#') {
            return;
        }
    }
}


/* All places are looked at, so that two different tokens are seen. */
static enum auth_reason
auth_in_token(const struct http_server_request *r, struct auth_in_token *t)
{
    size_t       i, k, n;
    const char  *values[AUTH_IN_HEADERS];

    static const struct {
        const char *header;
        void      (*look)(struct auth_in_token *t, const char *value);
    } places[] = {
        { "Authorization", auth_in_authorization },
        { "Sec-WebSocket-Protocol", auth_in_subprotocol },
        { "X-Original-URI", auth_in_uri }
    };

    t->text = (struct push_str) { NULL, 0 };
    t->reason = AUTH_NONE;

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        n = http_server_headers(r, places[i].header, values, AUTH_IN_HEADERS);

        if (n > AUTH_IN_HEADERS) {
            return AUTH_TWO;
        }

        for (k = 0; k < n; k++) {
            places[i].look(t, values[k]);
        }
    }

    return t->reason;
}


static enum auth_reason
auth_in_who(struct auth *auth, const struct http_server_request *r,
    struct auth_user *user)
{
    enum auth_reason          reason;
    struct auth_token         token;
    struct auth_in_token      found;
    struct auth_verify_rules  rules;

    rules.audience = auth->conf.audience;
    rules.issuer = auth->conf.issuer;
    rules.groups_claim = auth->conf.groups_claim;
    rules.leeway_s = auth->conf.leeway_ms / 1000;

    if ((reason = auth_in_token(r, &found)) != AUTH_OK
        || (reason = auth_token_parse(&token, found.text)) != AUTH_OK
        || (reason = auth_keys_verify(auth->keys, &token)) != AUTH_OK)
    {
        return reason;
    }

    return auth_verify(user, &rules, token.claims, daemon_unix_ms() / 1000);
}


static void
auth_in_refuse(struct auth *auth, struct http_server_request *r,
    enum auth_reason reason)
{
    log_info(&auth->daemon.log, "refused", "status=%u reason=%s",
             auth_reason_status(reason), auth_reason_text(reason));

    if (auth_reason_status(reason) == 403) {
        http_server_problem(r, 403, "%s", auth_reason_text(reason));
        return;
    }

    /* one answer for all causes: who guesses learns nothing */

    http_server_add_header(r, "WWW-Authenticate", "Bearer");
    http_server_problem(r, 401, "a valid token is needed");
}


static void
auth_in_verify(struct http_server_request *r, void *data)
{
    char              text[32];
    uint64_t         *counters;
    struct auth      *auth = data;
    enum auth_reason  reason;
    struct auth_user  user;

    reason = auth_in_who(auth, r, &user);

    counters = (uint64_t *) &auth->counters;
    metrics_add(&counters[reason], 1);

    if (reason != AUTH_OK) {
        auth_in_refuse(auth, r, reason);
        return;
    }

    log_debug(&auth->daemon.log, "verified", "user=%s groups=%zu", user.uid,
              user.groups_count);

    http_server_add_header(r, "X-Push-User", user.uid);

    snprintf(text, sizeof(text), "%lld", (long long) user.expires);
    http_server_add_header(r, "X-Push-Expires", text);

    if (user.groups_count > 0) {
        http_server_add_header(r, "X-Push-Groups", user.groups);
    }

    if (user.limit > 0) {
        snprintf(text, sizeof(text), "%llu", (unsigned long long) user.limit);
        http_server_add_header(r, "X-Push-Limit", text);
    }

    http_server_answer(r, 204, NULL, PUSH_STR(""));
}
