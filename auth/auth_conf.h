/*
 * auth_conf: the options of push-auth
 *
 * in:   a file.  out: a struct auth_conf.  owns: what conf_load() made
 */

#ifndef AUTH_CONF_H
#define AUTH_CONF_H

#include "daemon.h"

/* In the order of the words in the table. */
enum auth_algorithm { AUTH_HS256, AUTH_RS256, AUTH_ES256 };

/* key NAME { algorithm = …  file = …  kid = … } */
struct auth_conf_key {
    struct conf_section section;        /* title: the key's name in logs */
    int                 algorithm;      /* enum auth_algorithm */
    char               *file;
    char               *kid;            /* "": tokens without kid only */
};

struct auth_conf {
    struct daemon_conf   daemon;
    char                *audience;
    char                *issuer;        /* "": any */
    char                *groups_claim;
    int64_t              leeway_ms;
    struct conf_sections keys;          /* struct auth_conf_key, at least 1 */
};

/* Words of enum auth_algorithm, as in a token's alg. */
extern const char *const auth_conf_algorithms[];

int auth_conf_load(const char *file, struct auth_conf *conf,
    struct conf_error *error);
void auth_conf_free(struct auth_conf *conf);

#endif
