/*
 * auth_pem: a public key in PEM to a JWK
 *
 *     -----BEGIN PUBLIC KEY----- --OpenSSL--> n, e or x, y --> {"kty":…}
 */

#include "auth_pem.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define AUTH_PEM_NUMBER  2048       /* bytes: RSA of 16384 bits */


/* A number of the key as base64url, of at least min bytes. */
static int
auth_pem_number(EVP_PKEY *key, const char *name, int min, char *to)
{
    int             len, n;
    BIGNUM         *bn;
    unsigned char   bytes[AUTH_PEM_NUMBER];

    bn = NULL;

    if (EVP_PKEY_get_bn_param(key, name, &bn) != 1) {
        return PUSH_ERROR;
    }

    len = BN_num_bytes(bn);
    len = len < min ? min : len;

    if (len > AUTH_PEM_NUMBER || BN_bn2binpad(bn, bytes, len) != len) {
        BN_free(bn);
        return PUSH_ERROR;
    }

    BN_free(bn);
    n = EVP_EncodeBlock((unsigned char *) to, bytes, len);

    while (n > 0 && to[n - 1] == '=') {
        n--;
    }

    to[n] = '\0';

    for ( ; *to != '\0'; to++) {
        *to = *to == '+' ? '-' : *to == '/' ? '_' : *to;
    }

    return PUSH_OK;
}


static int
auth_pem_rsa(EVP_PKEY *key, char *jwk)
{
    char  n[AUTH_PEM_NUMBER * 4 / 3 + 8], e[AUTH_PEM_NUMBER * 4 / 3 + 8];

    if (!EVP_PKEY_is_a(key, "RSA")
        || auth_pem_number(key, OSSL_PKEY_PARAM_RSA_N, 1, n) != PUSH_OK
        || auth_pem_number(key, OSSL_PKEY_PARAM_RSA_E, 1, e) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    snprintf(jwk, AUTH_PEM_JWK_MAX, "{\"kty\":\"RSA\",\"n\":\"%s\","
             "\"e\":\"%s\"}", n, e);

    return PUSH_OK;
}


static int
auth_pem_ec(EVP_PKEY *key, char *jwk)
{
    char  curve[64];
    char  x[AUTH_PEM_NUMBER * 4 / 3 + 8], y[AUTH_PEM_NUMBER * 4 / 3 + 8];

    if (!EVP_PKEY_is_a(key, "EC")
        || EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME,
                                          curve, sizeof(curve), NULL) != 1
        || strcmp(curve, "prime256v1") != 0
        || auth_pem_number(key, OSSL_PKEY_PARAM_EC_PUB_X, 32, x) != PUSH_OK
        || auth_pem_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32, y) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    snprintf(jwk, AUTH_PEM_JWK_MAX, "{\"kty\":\"EC\",\"crv\":\"P-256\","
             "\"x\":\"%s\",\"y\":\"%s\"}", x, y);

    return PUSH_OK;
}


int
auth_pem_to_jwk(struct push_str pem, enum auth_algorithm algorithm, char *jwk,
    char *text, size_t size)
{
    int        rc;
    BIO       *bio;
    EVP_PKEY  *key;

    if (memmem(pem.data, pem.len, "PRIVATE KEY", 11) != NULL) {
        snprintf(text, size, "must hold a public key, this one is private");
        return PUSH_ERROR;
    }

    bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);

    rc = key == NULL ? PUSH_ERROR
         : algorithm == AUTH_RS256 ? auth_pem_rsa(key, jwk)
         : auth_pem_ec(key, jwk);

    EVP_PKEY_free(key);
    ERR_clear_error();

    if (rc != PUSH_OK) {
        snprintf(text, size, "must hold a public key in PEM (%s) or a JWKS",
                 algorithm == AUTH_RS256 ? "RSA" : "EC on P-256");
    }

    return rc;
}
