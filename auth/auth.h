/*
 * auth: who does this token belong to?
 *
 *     nginx --GET /verify--> auth_in --> auth_token --> auth_keys --> auth_verify
 *           <-- 204, X-Push-User … | 401 | 403 ------------------------------/
 *
 * The state of the daemon: one struct, made in auth_main.c.  There is nothing
 * to remember between two requests.
 */

#ifndef AUTH_H
#define AUTH_H

#include "auth_conf.h"
#include "auth_token.h"
#include "metrics.h"

struct auth_keys;
struct http_server;

/* push_auth_verify_total{result="…"}, in the order of enum auth_reason. */
struct auth_counters {
#define X(name, status, text, label)  uint64_t label;
    AUTH_REASONS(X)
#undef X
};

struct auth {
    struct daemon        daemon;
    struct auth_conf     conf;
    struct auth_keys    *keys;
    struct metrics      *metrics;
    struct http_server  *server;
    struct auth_counters counters;
};

#endif
