/*
 * auth_pem: a public key in PEM to a JWK
 *
 * in:   the text of a file.  out: JSON text of a JWK (RFC 7517)
 * owns: nothing.  The one file that sees OpenSSL
 */

#ifndef AUTH_PEM_H
#define AUTH_PEM_H

#include "auth_conf.h"

#define AUTH_PEM_JWK_MAX  8192

/*
 * RS256 wants an RSA key, ES256 an EC key on P-256; a file with a private key
 * is refused.  PUSH_OK, and jwk (AUTH_PEM_JWK_MAX bytes) is a terminated text;
 * PUSH_ERROR, and text says what the file must be.
 */
int auth_pem_to_jwk(struct push_str pem, enum auth_algorithm algorithm,
    char *jwk, char *text, size_t size);

#endif
