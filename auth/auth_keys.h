/*
 * auth_keys: key files --> a table; a token's signature against it
 *
 * in:   key sections of the configuration.  out: right or wrong
 * owns: the keys, parsed once
 *
 * A key is bound to one algorithm; a token's alg must be that, so no token can
 * choose how its key is used (RFC 8725 3.1).
 */

#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H

#include "auth_conf.h"
#include "auth_token.h"

#define AUTH_SECRET_MIN    32           /* bytes of an HS256 key, RFC 7518 3.2 */
#define AUTH_RSA_BITS_MIN  2048         /* RFC 7518 3.3 */
#define AUTH_KEYS_MAX      256

struct auth_keys;

/*
 * Reads all files: HS256 the bytes of the file less one final line end, mode
 * 0600; RS256 and ES256 a public key in PEM, or a JWKS (then the kids are its
 * own, and keys for other algorithms and uses are left out).  NULL: error
 * names conf_file, the line and what is wrong.
 */
struct auth_keys *auth_keys_load(const struct auth_conf *conf,
    const char *conf_file, struct conf_error *error);
void auth_keys_free(struct auth_keys *keys);

size_t auth_keys_count(const struct auth_keys *keys);

/*
 * With a kid in the token: the keys of that kid; without: all.  Of these those
 * of the token's alg.  AUTH_OK, AUTH_NO_KEY, AUTH_SIGNATURE.
 */
enum auth_reason auth_keys_verify(const struct auth_keys *keys,
    const struct auth_token *token);

#endif
