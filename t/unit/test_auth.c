/*
 * auth_token, auth_verify, auth_keys: tables of good and bad tokens.  The keys
 * are made here, the tokens are signed with OpenSSL, not with what is tested.
 */

#include "auth_keys.h"
#include "auth_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST_SECRET  "0123456789abcdef0123456789abcdef"
#define TEST_NOW     1700000000
#define TEST_CLAIMS  "{\"sub\":\"u1\",\"aud\":\"push\",\"exp\":1700000100}"

struct test {
    char             dir[32];
    EVP_PKEY        *rsa;
    EVP_PKEY        *ec;
    char             rsa_pem[2048];
    struct auth_keys *keys;         /* HS256 "h", RS256 "r", ES256 no kid */
};


static size_t
test_base64url(char *to, const void *data, size_t len)
{
    int     n;
    size_t  i;

    n = EVP_EncodeBlock((unsigned char *) to, data, (int) len);

    while (n > 0 && to[n - 1] == '=') {
        n--;
    }

    for (i = 0; i < (size_t) n; i++) {
        to[i] = to[i] == '+' ? '-' : to[i] == '/' ? '_' : to[i];
    }

    to[n] = '\0';

    return (size_t) n;
}


static void
test_write(const char *path, const char *data, size_t len, mode_t mode)
{
    FILE  *f;

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}


static void
test_write_pem(const char *path, EVP_PKEY *key)
{
    FILE  *f;

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PUBKEY(f, key), 1);
    fclose(f);
}


/* A configuration with this text, its keys; NULL: error is set. */
static struct auth_keys *
test_keys(struct test *t, const char *text, struct conf_error *error)
{
    char              path[64];
    struct auth_conf  conf;
    struct auth_keys *keys;

    snprintf(path, sizeof(path), "%s/auth.conf", t->dir);
    test_write(path, text, strlen(text), 0644);

    if (auth_conf_load(path, &conf, error) != PUSH_OK) {
        return NULL;
    }

    keys = auth_keys_load(&conf, path, error);
    auth_conf_free(&conf);

    return keys;
}


static int
test_setup(void **state)
{
    FILE               *f;
    char                path[64], text[1024];
    size_t              n;
    struct test        *t;
    struct conf_error   error;

    t = calloc(1, sizeof(*t));
    *state = t;

    snprintf(t->dir, sizeof(t->dir), "/tmp/push-auth-XXXXXX");
    assert_non_null(mkdtemp(t->dir));

    t->rsa = EVP_RSA_gen(2048);
    t->ec = EVP_EC_gen("P-256");
    assert_non_null(t->rsa);
    assert_non_null(t->ec);

    assert_int_equal(chdir(t->dir), 0);
    test_write("h.key", TEST_SECRET "\n", sizeof(TEST_SECRET), 0600);
    test_write_pem("r.pem", t->rsa);
    test_write_pem("e.pem", t->ec);

    snprintf(path, sizeof(path), "%s/r.pem", t->dir);
    f = fopen(path, "r");
    n = fread(t->rsa_pem, 1, sizeof(t->rsa_pem) - 1, f);
    t->rsa_pem[n] = '\0';
    fclose(f);

    snprintf(text, sizeof(text), "listen = \"127.0.0.1:1\"\n"
             "key h { algorithm = HS256\n file = h.key\n kid = h }\n"
             "key r { algorithm = RS256\n file = r.pem\n kid = r }\n"
             "key e { algorithm = ES256\n file = e.pem }\n");
    t->keys = test_keys(t, text, &error);

    if (t->keys == NULL) {
        fail_msg("%s", error.text);
    }

    assert_int_equal(auth_keys_count(t->keys), 3);

    return 0;
}


static int
test_teardown(void **state)
{
    size_t        i;
    struct test  *t = *state;

    static const char *const  files[] = {
        "h.key", "r.pem", "e.pem", "auth.conf", "x"
    };

    auth_keys_free(t->keys);
    EVP_PKEY_free(t->rsa);
    EVP_PKEY_free(t->ec);

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        unlink(files[i]);
    }

    assert_int_equal(chdir("/"), 0);
    rmdir(t->dir);
    free(t);

    return 0;
}


/* Signatures: bytes into to, returns how many. */
static size_t
test_hmac(const char *key, const char *text, unsigned char *to)
{
    unsigned  n;

    HMAC(EVP_sha256(), key, (int) strlen(key), (const unsigned char *) text,
         strlen(text), to, &n);

    return n;
}


static size_t
test_sign(EVP_PKEY *key, const char *text, unsigned char *to, size_t size)
{
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key),
                     1);
    assert_int_equal(EVP_DigestSign(ctx, to, &size,
                                    (const unsigned char *) text,
                                    strlen(text)), 1);
    EVP_MD_CTX_free(ctx);

    return size;
}


/* DER to R and S of 32 bytes each. */
static size_t
test_sign_ec(EVP_PKEY *key, const char *text, unsigned char *to)
{
    size_t                n;
    ECDSA_SIG            *sig;
    unsigned char         der[256];
    const unsigned char  *p = der;

    n = test_sign(key, text, der, sizeof(der));
    sig = d2i_ECDSA_SIG(NULL, &p, (long) n);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), to, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), to + 32, 32);
    ECDSA_SIG_free(sig);

    return 64;
}


enum test_signer { HS, HS_WITH_PEM, RS, ES, ES_SHORT, ES_LONG, ES_DER,
                   ES_ZERO, EMPTY, TAMPERED };

static void
test_token(struct test *t, const char *header, const char *claims,
    enum test_signer signer, char *token)
{
    char          *end = token;
    size_t         n = 0;
    unsigned char  sig[512] = { 0 };

    end += test_base64url(end, header, strlen(header));
    *end++ = '.';
    end += test_base64url(end, claims, strlen(claims));

    switch (signer) {
    case HS:
    case TAMPERED:
        n = test_hmac(TEST_SECRET, token, sig);
        sig[5] ^= signer == TAMPERED;
        break;
    case HS_WITH_PEM:
        n = test_hmac(t->rsa_pem, token, sig);
        break;
    case RS:
        n = test_sign(t->rsa, token, sig, sizeof(sig));
        break;
    case ES:
        n = test_sign_ec(t->ec, token, sig);
        break;
    case ES_SHORT:
        n = test_sign_ec(t->ec, token, sig) - 1;
        break;
    case ES_LONG:
        n = test_sign_ec(t->ec, token, sig) + 1;
        break;
    case ES_DER:
        n = test_sign(t->ec, token, sig, sizeof(sig));
        break;
    case ES_ZERO:
        n = 64;
        break;
    case EMPTY:
        break;
    }

    *end++ = '.';
    test_base64url(end, sig, n);
}


static enum auth_reason
test_reason(struct test *t, const char *text)
{
    enum auth_reason   reason;
    struct auth_token  token;

    reason = auth_token_parse(&token,
                              (struct push_str) { text, strlen(text) });

    return reason != AUTH_OK ? reason : auth_keys_verify(t->keys, &token);
}


static void
test_signatures(void **state)
{
    char          text[8192];
    size_t        i;
    struct test  *t = *state;

    static const struct {
        const char       *header;
        enum test_signer  signer;
        enum auth_reason  reason;
    } rows[] = {
        { "{\"alg\":\"HS256\"}",                        HS, AUTH_OK },
        { "{\"alg\":\"HS256\",\"kid\":\"h\"}",          HS, AUTH_OK },
        { "{\"typ\":\"JWT\",\"alg\":\"RS256\"}",        RS, AUTH_OK },
        { "{\"alg\":\"RS256\",\"kid\":\"r\"}",          RS, AUTH_OK },
        { "{\"alg\":\"ES256\"}",                        ES, AUTH_OK },

        { "{\"alg\":\"HS256\",\"kid\":\"none\"}",       HS, AUTH_NO_KEY },
        { "{\"alg\":\"HS256\",\"kid\":\"r\"}",          HS, AUTH_NO_KEY },
        { "{\"alg\":\"ES256\",\"kid\":\"e\"}",          ES, AUTH_NO_KEY },
        { "{\"alg\":\"HS256\",\"kid\":\"r\"}",  HS_WITH_PEM, AUTH_NO_KEY },
        { "{\"alg\":\"HS256\"}",                HS_WITH_PEM, AUTH_SIGNATURE },
        { "{\"alg\":\"HS256\"}",                   TAMPERED, AUTH_SIGNATURE },
        { "{\"alg\":\"RS256\"}",                        HS, AUTH_SIGNATURE },
        { "{\"alg\":\"RS256\"}",                        ES, AUTH_SIGNATURE },
        { "{\"alg\":\"ES256\"}",                        RS, AUTH_SIGNATURE },
        { "{\"alg\":\"ES256\"}",                  ES_SHORT, AUTH_SIGNATURE },
        { "{\"alg\":\"ES256\"}",                   ES_LONG, AUTH_SIGNATURE },
        { "{\"alg\":\"ES256\"}",                    ES_DER, AUTH_SIGNATURE },
        { "{\"alg\":\"ES256\"}",                   ES_ZERO, AUTH_SIGNATURE },

        { "{\"alg\":\"none\"}",                      EMPTY, AUTH_MALFORMED },
        { "{\"alg\":\"HS256\"}",                     EMPTY, AUTH_MALFORMED },
        { "{\"alg\":\"none\"}",                         HS, AUTH_NO_KEY },
        { "{\"alg\":\"None\"}",                         HS, AUTH_NO_KEY },
        { "{\"alg\":\"hs256\"}",                        HS, AUTH_NO_KEY },
        { "{\"alg\":\"HS384\"}",                        HS, AUTH_NO_KEY },
        { "{\"alg\":\"PS256\"}",                        RS, AUTH_NO_KEY },
        { "{\"alg\":\"HS256\\u0000\"}",                 HS, AUTH_HEADER },

        { "{}",                                         HS, AUTH_HEADER },
        { "[]",                                         HS, AUTH_HEADER },
        { "{\"alg\":1}",                                HS, AUTH_HEADER },
        { "{\"alg\":null}",                             HS, AUTH_HEADER },
        { "{\"alg\":[\"HS256\"]}",                      HS, AUTH_HEADER },
        { "{\"alg\":\"\"}",                             HS, AUTH_HEADER },
        { "{\"alg\":\"HS256\",\"kid\":1}",              HS, AUTH_HEADER },
        { "{\"alg\":\"HS256\",\"kid\":\"\"}",           HS, AUTH_HEADER },
        { "{\"alg\":\"HS256\",\"kid\":\"a\\u0000\"}",   HS, AUTH_HEADER },
        { "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",      HS, AUTH_HEADER },
        { "{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", HS, AUTH_HEADER },
        { "{\"alg\":\"HS256\"} x",                      HS, AUTH_HEADER },
        { "{\"alg\":\"HS256\",\"x\":\"\xff\"}",         HS, AUTH_HEADER },

        { "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",     HS, AUTH_EXTENSION },
        { "{\"alg\":\"HS256\",\"b64\":false}",          HS, AUTH_EXTENSION },
        { "{\"alg\":\"HS256\",\"jwk\":{}}",             HS, AUTH_EXTENSION },
        { "{\"alg\":\"RS256\",\"jku\":\"http://x\"}",   RS, AUTH_EXTENSION },
        { "{\"alg\":\"RS256\",\"\\u0078\\u0035u\":1}",  RS, AUTH_EXTENSION }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum auth_reason  reason;

        test_token(t, rows[i].header, TEST_CLAIMS, rows[i].signer, text);
        reason = test_reason(t, text);

        if (reason != rows[i].reason) {
            fail_msg("row %zu, %s: %s", i, rows[i].header,
                     auth_reason_text(reason));
        }
    }
}


static void
test_texts(void **state)
{
    char          token[AUTH_TOKEN_MAX + 16], bad[AUTH_TOKEN_MAX + 16];
    size_t        i, len;
    struct test  *t = *state;

    static const char *const  malformed[] = {
        "", ".", "..", "a", "a.b", "a.b.c", "....", "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9..", "eyJhbGciOiJIUzI1NiJ9.e30.",
        ".e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA.AAAA",
        "eyJhbGciOiJIUzI1NiJ9.e30=.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AA+A",
        "eyJhbGciOiJIUzI1NiJ9.e30.AA/A", "eyJhbGciOiJIUzI1NiJ9.e30.AA==",
        "eyJhbGciOiJIUzI1NiJ9.e30.AAAAA", "eyJhbGciOiJIUzI1NiJ9 .e30.AAAA",
        "eyJhbGciOiJIUzI1NiJ9.e31.AAAA"     /* bits behind the end */
    };

    for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        if (test_reason(t, malformed[i]) != AUTH_MALFORMED) {
            fail_msg("%s: %s", malformed[i],
                     auth_reason_text(test_reason(t, malformed[i])));
        }
    }

    test_token(t, "{\"alg\":\"HS256\"}", TEST_CLAIMS, HS, token);
    assert_int_equal(test_reason(t, token), AUTH_OK);
    len = strlen(token);

    /* cut anywhere, or with any one byte changed: never accepted */

    for (i = 0; i < len; i++) {
        memcpy(bad, token, len + 1);
        bad[i] = '\0';
        assert_int_not_equal(test_reason(t, bad), AUTH_OK);

        memcpy(bad, token, len + 1);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(test_reason(t, bad), AUTH_OK);

        memcpy(bad, token, len + 1);
        bad[i] ^= 1;
        assert_int_not_equal(test_reason(t, bad), AUTH_OK);
    }

    /* the cap */

    memset(bad, 'A', sizeof(bad));
    bad[AUTH_TOKEN_MAX + 1] = '\0';
    assert_int_equal(test_reason(t, bad), AUTH_TOO_LONG);
    bad[AUTH_TOKEN_MAX] = '\0';
    assert_int_equal(test_reason(t, bad), AUTH_MALFORMED);
}


#define EXP   "\"exp\":1700000100"
#define AUD   "\"aud\":\"push\""
#define SUB   "\"sub\":\"u1\""
#define X64   "0123456789012345678901234567890123456789012345678901234567890123"

static void
test_claims(void **state)
{
    size_t                    i;
    enum auth_reason          reason;
    struct auth_user          user;
    struct auth_verify_rules  rules = { "push", "", "groups", 30 };

    static const struct {
        const char       *claims;
        enum auth_reason  reason;
    } rows[] = {
        { "{" EXP "," AUD "," SUB "}",                        AUTH_OK },
        { "{\"exp\":1700000100.9," AUD "," SUB "}",           AUTH_OK },
        { "{\"exp\":9007199254740991," AUD "," SUB "}",       AUTH_OK },
        { "{\"exp\":1699999971," AUD "," SUB "}",             AUTH_OK },
        { "{" EXP ",\"nbf\":1700000030," AUD "," SUB "}",     AUTH_OK },
        { "{" EXP ",\"iat\":1," AUD "," SUB ",\"x\":{}}",     AUTH_OK },
        { "{" EXP ",\"aud\":[\"a\",\"push\"]," SUB "}",       AUTH_OK },
        { "{" EXP "," AUD ",\"sub\":\"a.b_c:d@e-f\"}",        AUTH_OK },
        { "{" EXP "," AUD ",\"sub\":\"" X64 X64 "\"}",        AUTH_OK },
        { "{" EXP "," AUD "," SUB ",\"groups\":[]}",          AUTH_OK },
        { "{" EXP "," AUD "," SUB ",\"limit\":1}",            AUTH_OK },

        { "",                                                 AUTH_CLAIMS },
        { "[]",                                               AUTH_CLAIMS },
        { "{" EXP "," AUD "," SUB "",                         AUTH_CLAIMS },
        { "{" EXP "," AUD "," SUB "," SUB "}",                AUTH_CLAIMS },
        { "{" EXP "," AUD "," SUB ",\"s\\u0075b\":\"x\"}",    AUTH_CLAIMS },
        { "{" EXP "," AUD ",\"sub\":1}",                      AUTH_CLAIMS },
        { "{" EXP "," AUD ",\"sub\":null}",                   AUTH_CLAIMS },
        { "{\"exp\":\"1700000100\"," AUD "," SUB "}",         AUTH_CLAIMS },
        { "{\"exp\":null," AUD "," SUB "}",                   AUTH_CLAIMS },
        { "{\"exp\":true," AUD "," SUB "}",                   AUTH_CLAIMS },
        { "{\"exp\":-1," AUD "," SUB "}",                     AUTH_CLAIMS },
        { "{\"exp\":1e300," AUD "," SUB "}",                  AUTH_CLAIMS },
        { "{\"exp\":17E8," AUD "," SUB "}",                   AUTH_CLAIMS },
        { "{\"exp\":9007199254740992," AUD "," SUB "}",       AUTH_CLAIMS },
        { "{\"exp\":18446744073709551617," AUD "," SUB "}",   AUTH_CLAIMS },
        { "{\"exp\":999999999999999999999999," AUD "," SUB "}", AUTH_CLAIMS },
        { "{" EXP ",\"nbf\":\"1\"," AUD "," SUB "}",          AUTH_CLAIMS },
        { "{" EXP ",\"iat\":\"1\"," AUD "," SUB "}",          AUTH_CLAIMS },
        { "{" EXP ",\"aud\":1," SUB "}",                      AUTH_CLAIMS },
        { "{" EXP ",\"aud\":{\"push\":1}," SUB "}",           AUTH_CLAIMS },
        { "{" EXP ",\"aud\":[\"push\",1]," SUB "}",           AUTH_CLAIMS },
        { "{" EXP "," AUD "," SUB ",\"limit\":0}",            AUTH_CLAIMS },
        { "{" EXP "," AUD "," SUB ",\"limit\":65536}",        AUTH_CLAIMS },
        { "{" EXP "," AUD "," SUB ",\"limit\":\"1\"}",        AUTH_CLAIMS },

        { "{" AUD "," SUB "}",                                AUTH_NO_EXPIRY },
        { "{\"exp\":1699999970," AUD "," SUB "}",             AUTH_EXPIRED },
        { "{\"exp\":0," AUD "," SUB "}",                      AUTH_EXPIRED },
        { "{" EXP ",\"nbf\":1700000031," AUD "," SUB "}",     AUTH_NOT_YET },
        { "{" EXP "," SUB "}",                                AUTH_AUDIENCE },
        { "{" EXP ",\"aud\":\"Push\"," SUB "}",               AUTH_AUDIENCE },
        { "{" EXP ",\"aud\":\"push \"," SUB "}",              AUTH_AUDIENCE },
        { "{" EXP ",\"aud\":\"push\\u0000\"," SUB "}",        AUTH_AUDIENCE },
        { "{" EXP ",\"aud\":[]," SUB "}",                     AUTH_AUDIENCE },
        { "{" EXP ",\"aud\":[\"a\",\"b\"]," SUB "}",          AUTH_AUDIENCE },
        { "{" EXP "," AUD "}",                                AUTH_NO_SUBJECT },
        { "{" EXP "," AUD ",\"sub\":\"\"}",                   AUTH_SUBJECT },
        { "{" EXP "," AUD ",\"sub\":\"a b\"}",                AUTH_SUBJECT },
        { "{" EXP "," AUD ",\"sub\":\"a\\u0000\"}",           AUTH_SUBJECT },
        { "{" EXP "," AUD ",\"sub\":\"a\\r\\nX: y\"}",        AUTH_SUBJECT },
        { "{" EXP "," AUD ",\"sub\":\"\xc3\xa4\"}",           AUTH_SUBJECT },
        { "{" EXP "," AUD ",\"sub\":\"" X64 X64 "x\"}",       AUTH_SUBJECT },
        { "{" EXP "," AUD ",\"sub\":\".canary.edge-1\"}",     AUTH_SUBJECT },
        { "{" EXP "," AUD "," SUB ",\"groups\":\"a\"}",       AUTH_GROUPS },
        { "{" EXP "," AUD "," SUB ",\"groups\":null}",        AUTH_GROUPS },
        { "{" EXP "," AUD "," SUB ",\"groups\":[1]}",         AUTH_GROUPS },
        { "{" EXP "," AUD "," SUB ",\"groups\":[\"a b\"]}",   AUTH_GROUPS },
        { "{" EXP "," AUD "," SUB ",\"groups\":[\"\"]}",      AUTH_GROUPS }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reason = auth_verify(&user, &rules,
                             (struct push_str) { rows[i].claims,
                                                 strlen(rows[i].claims) },
                             TEST_NOW);

        if (reason != rows[i].reason) {
            fail_msg("row %zu, %s: %s", i, rows[i].claims,
                     auth_reason_text(reason));
        }
    }
}


static void
test_user(void **state)
{
    char                      text[16384];
    size_t                    i, k, n;
    struct auth_user          user;
    struct auth_verify_rules  rules = { "push", "https://id", "roles", 0 };

    struct push_str           claims = PUSH_STR(
        "{\"iss\":\"https:\\/\\/id\",\"sub\":\"u\\u0031\",\"aud\":\"push\","
        "\"exp\":1700000001,\"limit\":3,\"roles\":[\"a\",\"b:c\"]}");

    (void) state;

    assert_int_equal(auth_verify(&user, &rules, claims, TEST_NOW),
                     AUTH_OK);
    assert_string_equal(user.uid, "u1");
    assert_string_equal(user.groups, "a b:c");
    assert_int_equal(user.groups_count, 2);
    assert_int_equal(user.expires, 1700000001);
    assert_int_equal(user.limit, 3);

    assert_int_equal(auth_verify(&user, &rules, claims, TEST_NOW + 1),
                     AUTH_EXPIRED);

    rules.issuer = "https://other";
    assert_int_equal(auth_verify(&user, &rules, claims, TEST_NOW),
                     AUTH_ISSUER);
    assert_int_equal(auth_verify(&user, &rules,
                                 PUSH_STR("{" EXP "," AUD "," SUB "}"),
                                 TEST_NOW), AUTH_ISSUER);

    /* 64 groups of 128 bytes are the most */

    rules.issuer = "";

    for (i = 64; i <= 65; i++) {
        n = (size_t) sprintf(text, "{" EXP "," AUD "," SUB ",\"roles\":[");

        for (k = 0; k < i; k++) {
            n += (size_t) sprintf(text + n, "%s\"" X64 X64 "\"",
                                  k > 0 ? "," : "");
        }

        n += (size_t) sprintf(text + n, "]}");
        assert_int_equal(auth_verify(&user, &rules,
                                     (struct push_str) { text, n }, TEST_NOW),
                         i == 64 ? AUTH_OK : AUTH_GROUPS);
    }
}


static void
test_bad_files(void **state)
{
    char                text[1024];
    size_t              i;
    EVP_PKEY           *key;
    struct test        *t = *state;
    struct auth_keys   *keys;
    struct conf_error   error;

    static const struct {
        const char *algorithm;
        const char *data;
        mode_t      mode;
        const char *error;
    } rows[] = {
        { "HS256", TEST_SECRET, 0640, "accessible by others" },
        { "HS256", TEST_SECRET, 0604, "accessible by others" },
        { "HS256", "0123456789abcdef0123456789abcde\r\n", 0600, "32 bytes" },
        { "HS256", "", 0600, "must have" },
        { "RS256", "nonsense", 0644, "RSA" },
        { "RS256", "-----BEGIN PRIVATE KEY-----\n", 0644, "private" },
        { "RS256", "{", 0644, "line 1" },
        { "RS256", "{}", 0644, "no array" },
        { "RS256", "{\"keys\":[{\"kty\":\"EC\"}]}", 0644, "no key for RS256" },
        { "ES256", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\","
          "\"y\":\"AA\"}]}", 0644, "malformed" },
        { "ES256", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"A\"}]}",
          0644, "private" }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        test_write("x", rows[i].data, strlen(rows[i].data), rows[i].mode);
        snprintf(text, sizeof(text), "listen = \"127.0.0.1:1\"\nkey one {\n"
                 "algorithm = %s\nfile = x }\n", rows[i].algorithm);

        keys = test_keys(t, text, &error);

        if (keys != NULL || strstr(error.text, rows[i].error) == NULL
            || strstr(error.text, "auth.conf:2: option \"file\": key one: ")
               == NULL)
        {
            fail_msg("row %zu: %s", i, keys != NULL ? "ok" : error.text);
        }

        unlink("x");
    }

    /* keys of the wrong kind, and too short ones */

    static const char *const  want[][2] = {
        { "RS256", "e.pem" }, { "ES256", "r.pem" }, { "RS256", "x" }
    };

    key = EVP_RSA_gen(1024);
    test_write_pem("x", key);
    EVP_PKEY_free(key);

    for (i = 0; i < 3; i++) {
        snprintf(text, sizeof(text), "listen = \"127.0.0.1:1\"\nkey one {\n"
                 "algorithm = %s\nfile = %s }\n", want[i][0], want[i][1]);
        assert_null(test_keys(t, text, &error));
    }

    assert_non_null(strstr(error.text, "2048 bits"));

    assert_null(test_keys(t, "listen = \"127.0.0.1:1\"\n"
                          "key a { algorithm = HS256\n file = h.key\n kid = k}"
                          "key b { algorithm = RS256\n file = r.pem\n kid = k}",
                          &error));
    assert_non_null(strstr(error.text, "kid \"k\" is there twice"));
}


/* A JWKS with keys of several kinds: those for the algorithm count. */
static void
test_jwks(void **state)
{
    char                pem[512], jwks[8192], text[8192];
    struct test        *t = *state;
    struct auth_keys   *keys;
    struct conf_error   error;
    struct auth_token   token;
    BIGNUM             *n;
    unsigned char       bytes[256];

    n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(t->rsa, "n", &n), 1);
    BN_bn2binpad(n, bytes, 256);
    BN_free(n);
    test_base64url(pem, bytes, 256);

    snprintf(jwks, sizeof(jwks), " {\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},"
             "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\"},"
             "{\"kty\":\"RSA\",\"alg\":\"RS512\",\"n\":\"AQAB\"},"
             "{\"kty\":\"RSA\",\"kid\":\"new\",\"alg\":\"RS256\",\"use\":"
             "\"sig\",\"e\":\"AQAB\",\"n\":\"%s\"}]}", pem);
    test_write("x", jwks, strlen(jwks), 0644);

    keys = test_keys(t, "listen = \"127.0.0.1:1\"\n"
                     "key j { algorithm = RS256\n file = x }", &error);

    if (keys == NULL) {
        fail_msg("%s", error.text);
    }

    assert_int_equal(auth_keys_count(keys), 1);

    test_token(t, "{\"alg\":\"RS256\",\"kid\":\"new\"}", TEST_CLAIMS, RS, text);
    assert_int_equal(auth_token_parse(&token,
                                      (struct push_str) { text,
                                                          strlen(text) }),
                     AUTH_OK);
    assert_int_equal(auth_keys_verify(keys, &token), AUTH_OK);
    auth_keys_free(keys);

    assert_null(test_keys(t, "listen = \"127.0.0.1:1\"\n"
                          "key j { algorithm = RS256\n file = x\n kid = k }",
                          &error));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_jwks),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
