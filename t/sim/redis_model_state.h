/*
 * redis_model_state: keys, and what the two halves of the model share
 */

#ifndef REDIS_MODEL_STATE_H
#define REDIS_MODEL_STATE_H

#include "redis_model.h"

#define MODEL_KEYS   64
#define MODEL_COUNT(a)  (sizeof(a) / sizeof((a)[0]))

struct model_element {
    struct push_str name;
    struct push_str value;
    int64_t         score;
};

struct model_entry {
    struct push_str  id;
    int64_t          number;        /* orders the ids */
    size_t           count;
    struct push_str *fields;
};

struct model_pending {
    struct model_entry *entry;
    struct push_str     consumer;
    int64_t             since_ms;
};

struct model_key {
    struct push_str       name;
    int64_t               expires_ms;   /* 0: never */

    struct model_element *elements;
    size_t                count;
    size_t                size;

    struct model_entry  **entries;
    size_t                entry_count;
    size_t                entry_size;
    bool                  group;
    size_t                next;         /* first that was not delivered */
    struct model_pending *pending;
    size_t                pending_count;
    size_t                pending_size;
};

struct model {
    struct model_key keys[MODEL_KEYS];
    size_t           count;
};

typedef struct redis_reply *(*model_pt)(const struct push_str *argv,
    size_t argc, int64_t *block_ms);

/* redis_model.c */
struct model_key *model_key(struct push_str name, bool create);
struct redis_reply *model_int(int64_t n);
struct redis_reply *model_array(size_t count);
void model_set_str(struct redis_reply *r, struct push_str s);
struct push_str model_str(struct push_str s);
int64_t model_number(struct push_str s);
bool model_is(struct push_str s, const char *text);

/* redis_model_stream.c: commands of streams */
void redis_stream_model_init(void);
struct redis_reply *model_xadd(const struct push_str *argv, size_t argc,
    int64_t *block_ms);
struct redis_reply *model_xgroup(const struct push_str *argv, size_t argc,
    int64_t *block_ms);
struct redis_reply *model_xreadgroup(const struct push_str *argv, size_t argc,
    int64_t *block_ms);
struct redis_reply *model_xautoclaim(const struct push_str *argv, size_t argc,
    int64_t *block_ms);
struct redis_reply *model_xack(const struct push_str *argv, size_t argc,
    int64_t *block_ms);

#endif
