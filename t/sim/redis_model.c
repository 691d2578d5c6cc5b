/*
 * redis_model: a Redis server: sorted sets, hashes, sets, streams with a group
 *
 * One kind of element serves all: a name, and a score, a value or nothing.
 */

#include "redis_model_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct model  model, model_saved;
static bool          model_has_saved;

static struct model_element *model_find(struct model_key *key,
    struct push_str name);
static void model_remove(struct model_key *key, struct model_element *e);
static void model_copy(struct model *to, const struct model *from);


void
redis_model_init(void)
{
    memset(&model, 0, sizeof(model));
    model_has_saved = false;
    redis_stream_model_init();
}


void
redis_model_wipe(void)
{
    memset(&model, 0, sizeof(model));
}


void
redis_model_evict(const char *key)
{
    struct model_key  *k;

    k = model_key((struct push_str) { key, strlen(key) }, false);

    if (k != NULL) {
        k->count = 0;
    }
}


void
redis_model_save(void)
{
    model_copy(&model_saved, &model);
    model_has_saved = true;
}


bool
redis_model_load(void)
{
    if (model_has_saved) {
        model_copy(&model, &model_saved);
    }

    return model_has_saved;
}


/* --- sorted sets, hashes, sets ------------------------------------------- */

static struct redis_reply *
model_add(struct push_str key, struct push_str name, int64_t score,
    struct push_str value)
{
    bool                   fresh;
    struct model_key      *k;
    struct model_element  *e;

    k = model_key(key, true);
    e = model_find(k, name);
    fresh = e == NULL;

    if (fresh) {
        k->elements = sim_grow(k->elements, &k->size, k->count + 1,
                               sizeof(*k->elements));
        e = &k->elements[k->count++];
        e->name = model_str(name);
    }

    e->score = score;
    e->value = model_str(value);

    return model_int(fresh);
}


static struct redis_reply *
model_zadd(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    (void) argc;
    (void) block_ms;

    return model_add(argv[1], argv[3], model_number(argv[2]), PUSH_STR(""));
}


static struct redis_reply *
model_sadd(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    (void) argc;
    (void) block_ms;

    return model_add(argv[1], argv[2], 0, PUSH_STR(""));
}


static struct redis_reply *
model_hset(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    size_t   i;
    int64_t  n;

    (void) block_ms;

    for (i = 2, n = 0; i + 1 < argc; i += 2) {
        n += model_add(argv[1], argv[i], 0, argv[i + 1])->n;
    }

    return model_int(n);
}


/* ZREM, SREM */
static struct redis_reply *
model_rem(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    struct model_key      *k;
    struct model_element  *e;

    (void) argc;
    (void) block_ms;

    k = model_key(argv[1], false);
    e = k != NULL ? model_find(k, argv[2]) : NULL;

    if (e != NULL) {
        model_remove(k, e);
    }

    return model_int(e != NULL);
}


static struct redis_reply *
model_del(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    struct model_key  *k;

    (void) argc;
    (void) block_ms;

    k = model_key(argv[1], false);

    if (k != NULL) {
        k->count = 0;
    }

    return model_int(k != NULL);
}


static struct redis_reply *
model_zremrange(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    size_t             i;
    int64_t            max;
    struct model_key  *k;

    (void) argc;
    (void) block_ms;

    k = model_key(argv[1], false);
    max = model_number(argv[3]);

    for (i = 0; k != NULL && i < k->count; ) {

        if (k->elements[i].score <= max) {
            model_remove(k, &k->elements[i]);

        } else {
            i++;
        }
    }

    return model_int(0);
}


/* ZRANGEBYSCORE, SMEMBERS */
static struct redis_reply *
model_range(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    size_t               i;
    int64_t              min;
    struct model_key    *k;
    struct redis_reply  *r;

    (void) block_ms;

    k = model_key(argv[1], false);
    min = argc > 2 ? model_number(argv[2]) : 0;
    r = model_array(k != NULL ? k->count : 0);
    r->count = 0;

    for (i = 0; k != NULL && i < k->count; i++) {
        if (k->elements[i].score >= min) {
            model_set_str(&r->at[r->count++], k->elements[i].name);
        }
    }

    return r;
}


static struct redis_reply *
model_hmget(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    struct model_key      *k;
    struct redis_reply    *r;
    struct model_element  *e;

    (void) argc;
    (void) block_ms;

    k = model_key(argv[1], false);
    e = k != NULL ? model_find(k, argv[2]) : NULL;
    r = model_array(1);

    if (e != NULL) {
        model_set_str(&r->at[0], e->value);
    }

    return r;
}


static struct redis_reply *
model_pexpire(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    struct model_key  *k;

    (void) argc;
    (void) block_ms;

    k = model_key(argv[1], false);

    if (k != NULL && k->count > 0) {
        k->expires_ms = sim_unix_ms() + model_number(argv[2]);
    }

    return model_int(k != NULL);
}


static const struct {
    const char *name;
    model_pt    run;
} model_commands[] = {
    { "ZADD", model_zadd },
    { "PEXPIRE", model_pexpire },
    { "ZRANGEBYSCORE", model_range },
    { "ZREMRANGEBYSCORE", model_zremrange },
    { "XADD", model_xadd },
    { "XREADGROUP", model_xreadgroup },
    { "HMGET", model_hmget },
    { "SMEMBERS", model_range },
    { "HSET", model_hset },
    { "SADD", model_sadd },
    { "ZREM", model_rem },
    { "SREM", model_rem },
    { "DEL", model_del },
    { "XACK", model_xack },
    { "XGROUP", model_xgroup },
    { "XAUTOCLAIM", model_xautoclaim }
};


struct redis_reply *
redis_model_run(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    size_t  i;

    for (i = 0; i < MODEL_COUNT(model_commands); i++) {
        if (model_is(argv[0], model_commands[i].name)) {
            return model_commands[i].run(argv, argc, block_ms);
        }
    }

    fprintf(stderr, "sim: redis_model does not know %.*s\n",
            (int) argv[0].len, argv[0].data);
    exit(2);
}


/* --- helpers ------------------------------------------------------------- */

struct model_key *
model_key(struct push_str name, bool create)
{
    size_t             i;
    struct model_key  *k;

    for (i = 0; i < model.count; i++) {
        k = &model.keys[i];

        if (!push_str_eq(k->name, name)) {
            continue;
        }

        if (k->expires_ms != 0 && k->expires_ms <= sim_unix_ms()) {
            k->count = 0;
        }

        if (k->count == 0) {
            k->expires_ms = 0;
        }

        return k;
    }

    if (!create) {
        return NULL;
    }

    if (model.count == MODEL_KEYS) {
        fprintf(stderr, "sim: redis_model has too many keys\n");
        exit(2);
    }

    k = &model.keys[model.count++];
    memset(k, 0, sizeof(*k));
    k->name = model_str(name);

    return k;
}


static struct model_element *
model_find(struct model_key *key, struct push_str name)
{
    size_t  i;

    for (i = 0; i < key->count; i++) {
        if (push_str_eq(key->elements[i].name, name)) {
            return &key->elements[i];
        }
    }

    return NULL;
}


static void
model_remove(struct model_key *key, struct model_element *e)
{
    memmove(e, e + 1, (size_t) (key->elements + --key->count - e)
                      * sizeof(*e));
}


static void
model_copy(struct model *to, const struct model *from)
{
    size_t             i;
    struct model_key  *k;

    *to = *from;

#define MODEL_OWN(array, n, size)                                             \
    do {                                                                      \
        void  *p = sim_alloc((n) * sizeof(*(array)) + 1);                     \
        if ((n) > 0) {                                                        \
            memcpy(p, (array), (n) * sizeof(*(array)));                       \
        }                                                                     \
        (array) = p;                                                          \
        (size) = (n);                                                         \
    } while (0)

    for (i = 0; i < to->count; i++) {
        k = &to->keys[i];
        MODEL_OWN(k->elements, k->count, k->size);
        MODEL_OWN(k->entries, k->entry_count, k->entry_size);
        MODEL_OWN(k->pending, k->pending_count, k->pending_size);
    }
}


struct redis_reply *
model_int(int64_t n)
{
    struct redis_reply  *r;

    r = sim_alloc(sizeof(*r));
    r->type = REDIS_INTEGER;
    r->n = n;

    return r;
}


struct redis_reply *
model_array(size_t count)
{
    struct redis_reply  *r;

    r = sim_alloc(sizeof(*r));
    r->type = REDIS_ARRAY;
    r->count = count;
    r->at = sim_alloc(count * sizeof(*r->at) + 1);

    return r;
}


void
model_set_str(struct redis_reply *r, struct push_str s)
{
    r->type = REDIS_STRING;
    r->str = s;
}


struct push_str
model_str(struct push_str s)
{
    return (struct push_str) { sim_copy(s.data, s.len), s.len };
}


/* Terminated: all strings here are copies of sim_copy(). */
int64_t
model_number(struct push_str s)
{
    char  text[24];

    if (s.len == 4 && s.data[1] == 'i') {
        return s.data[0] == '-' ? INT64_MIN : INT64_MAX;
    }

    snprintf(text, sizeof(text), "%.*s", (int) s.len, s.data);

    return atoll(text);
}


bool
model_is(struct push_str s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}
