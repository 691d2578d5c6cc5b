/*
 * auth_keys: key files --> a table; a token's signature against it
 *
 *     file --bytes, PEM, JWKS--> JWK --+-- bound algorithm, kid --> table
 *     token --kid, alg--> its keys --cjose--> right, wrong
 *
 * The one file that sees cjose.
 */

#include "auth_keys.h"

#include <cjose/cjose.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth_pem.h"
#include "js.h"

#define AUTH_KEYS_FILE_MAX  (256 * 1024)

struct auth_key {
    cjose_jwk_t         *jwk;
    enum auth_algorithm  algorithm;
    char                 kid[AUTH_KID_MAX + 1];     /* "": none */
};

struct auth_keys {
    size_t          count;
    struct auth_key keys[AUTH_KEYS_MAX];
};

/* One section of the configuration under way. */
struct auth_keys_loader {
    struct auth_keys           *keys;
    const struct auth_conf_key *conf;
    char                        text[CONF_ERROR_MAX];   /* what is wrong */
};


#define auth_keys_failed(l, ...)                                              \
    (snprintf((l)->text, sizeof((l)->text), __VA_ARGS__), PUSH_ERROR)


/* Takes jwk, also when it is refused. */
static int
auth_keys_add(struct auth_keys_loader *l, cjose_jwk_t *jwk,
    struct push_str kid)
{
    size_t             i;
    cjose_err          err;
    struct auth_key   *key;
    struct auth_keys  *keys = l->keys;

    if (jwk == NULL) {
        return auth_keys_failed(l, "%.200s has a malformed key",
                                l->conf->file);
    }

    if (keys->count == AUTH_KEYS_MAX) {
        cjose_jwk_release(jwk);
        return auth_keys_failed(l, "more than %d keys in all", AUTH_KEYS_MAX);
    }

    if (l->conf->algorithm == AUTH_RS256
        && cjose_jwk_get_keysize(jwk, &err) < AUTH_RSA_BITS_MIN)
    {
        cjose_jwk_release(jwk);
        return auth_keys_failed(l, "%.200s has an RSA key of less than %d bits",
                                l->conf->file, AUTH_RSA_BITS_MIN);
    }

    for (i = 0; kid.len > 0 && i < keys->count; i++) {
        if (strlen(keys->keys[i].kid) == kid.len
            && memcmp(keys->keys[i].kid, kid.data, kid.len) == 0)
        {
            cjose_jwk_release(jwk);
            return auth_keys_failed(l, "kid \"%.*s\" is there twice",
                                    (int) kid.len, kid.data);
        }
    }

    key = &keys->keys[keys->count++];
    key->jwk = jwk;
    key->algorithm = (enum auth_algorithm) l->conf->algorithm;
    memcpy(key->kid, kid.data, kid.len);
    key->kid[kid.len] = '\0';

    return PUSH_OK;
}


static struct push_str
auth_keys_conf_kid(const struct auth_keys_loader *l)
{
    return (struct push_str) { l->conf->kid, strlen(l->conf->kid) };
}


static int
auth_keys_secret(struct auth_keys_loader *l, char *data, size_t len)
{
    cjose_err  err;

    if (len > 0 && data[len - 1] == '\n') {
        len--;

        if (len > 0 && data[len - 1] == '\r') {
            len--;
        }
    }

    if (len < AUTH_SECRET_MIN) {
        return auth_keys_failed(l, "%.200s must have at least %d bytes besides"
                                " a final line end", l->conf->file,
                                AUTH_SECRET_MIN);
    }

    return auth_keys_add(l, cjose_jwk_create_oct_spec((uint8_t *) data, len,
                                                      &err),
                         auth_keys_conf_kid(l));
}


static bool
auth_keys_member_is(const struct js *js, const char *name, const char *value)
{
    struct push_str  s;

    return js_string(js, name, AUTH_KID_MAX, &s) == PUSH_OK
           && push_str_eq(s, (struct push_str) { value, strlen(value) });
}


/* A key of a JWKS that is meant for something else is no fault. */
static bool
auth_keys_suits(const struct js *js, enum auth_algorithm algorithm)
{
    struct push_str  s;

    if (js_string(js, "alg", AUTH_KID_MAX, &s) != PUSH_DECLINED
        && !auth_keys_member_is(js, "alg", auth_conf_algorithms[algorithm]))
    {
        return false;
    }

    if (js_string(js, "use", AUTH_KID_MAX, &s) != PUSH_DECLINED
        && !auth_keys_member_is(js, "use", "sig"))
    {
        return false;
    }

    if (algorithm == AUTH_RS256) {
        return auth_keys_member_is(js, "kty", "RSA");
    }

    return auth_keys_member_is(js, "kty", "EC")
           && auth_keys_member_is(js, "crv", "P-256");
}


static int
auth_keys_jwks_one(struct auth_keys_loader *l, const struct js *js)
{
    int              rc;
    char            *text;
    cjose_err        err;
    cjose_jwk_t     *jwk;
    struct push_str  kid, s;

    kid = (struct push_str) { "", 0 };

    if (js_string(js, "kid", AUTH_KID_MAX, &kid) == PUSH_ERROR) {
        return auth_keys_failed(l, "%.200s has a kid that is no string of at "
                                "most %d bytes", l->conf->file, AUTH_KID_MAX);
    }

    if (memchr(kid.data, '\0', kid.len) != NULL) {
        return auth_keys_failed(l, "%.200s has a kid with NUL", l->conf->file);
    }

    if (js_string(js, "d", AUTH_KEYS_FILE_MAX, &s) != PUSH_DECLINED) {
        return auth_keys_failed(l, "%.200s holds a private key",
                                l->conf->file);
    }

    text = js_dump(js);
    if (text == NULL) {
        return auth_keys_failed(l, "out of memory");
    }

    jwk = cjose_jwk_import(text, strlen(text), &err);
    rc = auth_keys_add(l, jwk, kid);
    free(text);

    return rc;
}


static int
auth_keys_jwks(struct auth_keys_loader *l, struct push_str text)
{
    int               rc;
    size_t            i, before;
    struct js        *js;
    struct js_error   error;
    const struct js  *list;

    if (l->conf->kid[0] != '\0') {
        return auth_keys_failed(l, "%.200s is a JWKS: kid comes from it, not "
                                "from here", l->conf->file);
    }

    js = js_parse(text, AUTH_KEYS_FILE_MAX, 8, &error);
    if (js == NULL) {
        return auth_keys_failed(l, "%.200s: %s", l->conf->file, error.text);
    }

    if (js_array(js, "keys", &list) != PUSH_OK) {
        js_free(js);
        return auth_keys_failed(l, "%.200s is no JWKS: no array \"keys\"",
                                l->conf->file);
    }

    rc = PUSH_OK;
    before = l->keys->count;

    for (i = 0; rc == PUSH_OK && i < js_count(list); i++) {
        if (auth_keys_suits(js_at(list, i),
                            (enum auth_algorithm) l->conf->algorithm))
        {
            rc = auth_keys_jwks_one(l, js_at(list, i));
        }
    }

    js_free(js);

    if (rc == PUSH_OK && l->keys->count == before) {
        return auth_keys_failed(l, "%.200s has no key for %s", l->conf->file,
                                auth_conf_algorithms[l->conf->algorithm]);
    }

    return rc;
}


static int
auth_keys_pem(struct auth_keys_loader *l, struct push_str pem)
{
    char       jwk[AUTH_PEM_JWK_MAX], text[128];
    cjose_err  err;

    if (auth_pem_to_jwk(pem, (enum auth_algorithm) l->conf->algorithm, jwk,
                        text, sizeof(text)) != PUSH_OK)
    {
        return auth_keys_failed(l, "%.200s %s", l->conf->file, text);
    }

    return auth_keys_add(l, cjose_jwk_import(jwk, strlen(jwk), &err),
                         auth_keys_conf_kid(l));
}


static int
auth_keys_file(struct auth_keys_loader *l)
{
    int      rc;
    bool     secret;
    char    *data;
    size_t   len, space;

    secret = l->conf->algorithm == AUTH_HS256;

    if (conf_read_secret(l->conf->file, secret, 1, AUTH_KEYS_FILE_MAX, &data,
                         &len, l->text, sizeof(l->text)) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    space = strspn(data, " \t\r\n");

    if (secret) {
        rc = auth_keys_secret(l, data, len);

    } else if (data[space] == '{') {
        rc = auth_keys_jwks(l, (struct push_str) { data, len });

    } else {
        rc = auth_keys_pem(l, (struct push_str) { data, len });
    }

    conf_secret_free(data, len);

    return rc;
}


struct auth_keys *
auth_keys_load(const struct auth_conf *conf, const char *conf_file,
    struct conf_error *error)
{
    size_t                       i;
    struct auth_keys_loader      l;
    const struct auth_conf_key  *key;

    l.keys = calloc(1, sizeof(*l.keys));

    if (l.keys == NULL) {
        conf_error(error, conf_file, 0, NULL, "out of memory");
        return NULL;
    }

    for (i = 0; i < conf->keys.count; i++) {
        key = (const struct auth_conf_key *) conf->keys.items + i;
        l.conf = key;

        if (auth_keys_file(&l) != PUSH_OK) {
            conf_error(error, conf_file, key->section.line, "file",
                       "key %.64s: %s", key->section.title, l.text);
            auth_keys_free(l.keys);
            return NULL;
        }
    }

    return l.keys;
}


void
auth_keys_free(struct auth_keys *keys)
{
    size_t  i;

    if (keys == NULL) {
        return;
    }

    for (i = 0; i < keys->count; i++) {
        cjose_jwk_release(keys->keys[i].jwk);
    }

    free(keys);
}


size_t
auth_keys_count(const struct auth_keys *keys)
{
    return keys->count;
}


/* What cjose leaves to its caller: the length of a signature. */
static bool
auth_keys_length_fits(enum auth_algorithm algorithm, size_t len)
{
    switch (algorithm) {
    case AUTH_HS256:
        return len == 32;
    case AUTH_ES256:
        return len == 64;           /* RFC 7518 3.4: R and S, 32 bytes each */
    default:
        return len >= AUTH_RSA_BITS_MIN / 8;
    }
}


static bool
auth_keys_signed_by(const struct auth_key *key, cjose_jws_t *jws,
    const struct auth_token *token)
{
    cjose_err  err;

    return auth_keys_length_fits(key->algorithm, token->signature_len)
           && cjose_jws_verify(jws, key->jwk, &err);
}


enum auth_reason
auth_keys_verify(const struct auth_keys *keys, const struct auth_token *token)
{
    size_t                  i;
    cjose_err               err;
    cjose_jws_t            *jws;
    enum auth_reason        reason;
    const struct auth_key  *key;

    jws = NULL;
    reason = AUTH_NO_KEY;

    for (i = 0; i < keys->count && reason != AUTH_OK; i++) {
        key = &keys->keys[i];

        if ((token->has_kid && strcmp(token->kid, key->kid) != 0)
            || strcmp(token->alg, auth_conf_algorithms[key->algorithm]) != 0)
        {
            continue;
        }

        reason = AUTH_SIGNATURE;

        if (jws == NULL) {
            jws = cjose_jws_import(token->text.data, token->text.len, &err);
        }

        if (jws != NULL && auth_keys_signed_by(key, jws, token)) {
            reason = AUTH_OK;
        }
    }

    if (jws != NULL) {
        cjose_jws_release(jws);
    }

    return reason;
}
