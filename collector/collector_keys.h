/*
 * collector_keys: who may publish: a file of API keys
 *
 *     # comment
 *     name:key        name: a legal name without ':'; key: 16 to 256 bytes of
 *                     printable ASCII without a space
 *
 * in:   the file, mode 0600; the Authorization header of a request
 * out:  the name of the key, or NULL
 * owns: SHA-256 of each key, not the keys
 */

#ifndef COLLECTOR_KEYS_H
#define COLLECTOR_KEYS_H

#include "push.h"

#define COLLECTOR_KEYS_MAX  1000

struct collector_keys;

/* NULL: error says why: "FILE:LINE: …"; no key is ever in it. */
struct collector_keys *collector_keys_create(const char *path, char *error,
    size_t size);
void collector_keys_destroy(struct collector_keys *k);      /* NULL is fine */

/*
 * The name of the key in "Bearer <key>", or NULL.  header may be NULL.  Takes
 * the same time for every key of a length.
 */
const char *collector_keys_find(const struct collector_keys *k,
    const char *header);

/* For a conf_row's check. */
int collector_keys_check(const char *path, char *error, size_t size);

#endif
