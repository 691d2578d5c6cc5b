/*
 * collector_keys: who may publish: a file of API keys
 *
 * in: a file, a header.  out: a name.  owns: names and hashes
 *
 * Hashes are compared, all of them, each in constant time: neither the length
 * of a key nor how much of it is right can be measured.
 */

#include "collector_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf.h"

#define KEYS_FILE_MAX   (1024 * 1024)
#define KEYS_KEY_MIN    16
#define KEYS_KEY_MAX    256

struct keys_row {
    char    name[PUSH_NAME_MAX + 1];
    uint8_t hash[SHA256_DIGEST_LENGTH];
};

struct collector_keys {
    size_t          count;
    struct keys_row rows[];
};

static int keys_parse(struct collector_keys *k, const char *path, char *data,
    char *error, size_t size);
static int keys_line(struct collector_keys *k, struct push_str line,
    char *error, size_t size);


struct collector_keys *
collector_keys_create(const char *path, char *error, size_t size)
{
    char                   *data;
    size_t                  len;
    struct collector_keys  *k;

    if (conf_read_secret(path, true, 1, KEYS_FILE_MAX, &data, &len, error,
                         size) != PUSH_OK)
    {
        return NULL;
    }

    k = calloc(1, sizeof(*k) + COLLECTOR_KEYS_MAX * sizeof(struct keys_row));

    if (k == NULL) {
        snprintf(error, size, "out of memory");

    } else if (keys_parse(k, path, data, error, size) != PUSH_OK) {
        collector_keys_destroy(k);
        k = NULL;
    }

    conf_secret_free(data, len);

    return k;
}


void
collector_keys_destroy(struct collector_keys *k)
{
    free(k);
}


/* data ends with a NUL; one within it ends it too. */
static int
keys_parse(struct collector_keys *k, const char *path, char *data, char *error,
    size_t size)
{
    char             why[128];
    size_t           len;
    unsigned         number;
    struct push_str  line;

    for (number = 1; *data; number++) {

        len = strcspn(data, "\n");
        line.data = data;
        line.len = len && data[len - 1] == '\r' ? len - 1 : len;

        if (line.len && line.data[0] != '#'
            && keys_line(k, line, why, sizeof(why)) != PUSH_OK)
        {
            snprintf(error, size, "%s:%u: %s", path, number, why);
            return PUSH_ERROR;
        }

        data += len + (data[len] == '\n');
    }

    if (k->count == 0) {
        snprintf(error, size, "%s: has no key", path);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
keys_line(struct collector_keys *k, struct push_str line, char *error,
    size_t size)
{
    size_t            i;
    const char       *colon;
    struct push_str   name, key;
    struct keys_row  *row;

    colon = memchr(line.data, ':', line.len);

    if (colon == NULL) {
        snprintf(error, size, "expected name:key");
        return PUSH_ERROR;
    }

    name.data = line.data;
    name.len = (size_t) (colon - line.data);
    key.data = colon + 1;
    key.len = line.len - name.len - 1;

    if (!push_name_valid(name)) {
        snprintf(error, size, "the name must be 1 to 128 bytes of A-Z a-z 0-9 "
                 ". _ @ -");
        return PUSH_ERROR;
    }

    if (key.len < KEYS_KEY_MIN || key.len > KEYS_KEY_MAX) {
        snprintf(error, size, "the key must have %d to %d bytes",
                 KEYS_KEY_MIN, KEYS_KEY_MAX);
        return PUSH_ERROR;
    }

    for (i = 0; i < key.len; i++) {
        if (key.data[i] < '!' || key.data[i] > '~') {
            snprintf(error, size, "the key must be printable ASCII without "
                     "spaces");
            return PUSH_ERROR;
        }
    }

    if (k->count == COLLECTOR_KEYS_MAX) {
        snprintf(error, size, "more than %d keys", COLLECTOR_KEYS_MAX);
        return PUSH_ERROR;
    }

    for (i = 0; i < k->count; i++) {
        if (strlen(k->rows[i].name) == name.len
            && memcmp(k->rows[i].name, name.data, name.len) == 0)
        {
            snprintf(error, size, "the name %s comes twice", k->rows[i].name);
            return PUSH_ERROR;
        }
    }

    row = &k->rows[k->count++];
    memcpy(row->name, name.data, name.len);
    row->name[name.len] = '\0';
    SHA256((const unsigned char *) key.data, key.len, row->hash);

    return PUSH_OK;
}


const char *
collector_keys_find(const struct collector_keys *k, const char *header)
{
    size_t       i, len;
    uint8_t      hash[SHA256_DIGEST_LENGTH];
    const char  *found;

    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0) {
        return NULL;
    }

    header += 7 + strspn(header + 7, " ");
    len = strlen(header);

    if (len > KEYS_KEY_MAX) {
        return NULL;
    }

    SHA256((const unsigned char *) header, len, hash);
    found = NULL;

    for (i = 0; i < k->count; i++) {
        if (CRYPTO_memcmp(hash, k->rows[i].hash, sizeof(hash)) == 0) {
            found = k->rows[i].name;
        }
    }

    return found;
}


int
collector_keys_check(const char *path, char *error, size_t size)
{
    struct collector_keys  *k;

    k = collector_keys_create(path, error, size);

    if (k == NULL) {
        return PUSH_ERROR;
    }

    collector_keys_destroy(k);

    return PUSH_OK;
}
