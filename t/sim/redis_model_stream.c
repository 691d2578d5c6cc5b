/*
 * redis_model_stream: streams with one consumer group each
 *
 * An entry is never taken away: the streams of a run are short.
 */

#include "redis_model_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t  model_entries;

static struct redis_reply *model_entries_reply(struct model_entry **entries,
    size_t count);


void
redis_stream_model_init(void)
{
    model_entries = 0;
}


/* XADD key * name value … */
struct redis_reply *
model_xadd(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    int                  n;
    char                 id[48];
    size_t               i;
    struct model_key    *k;
    struct model_entry  *e;
    struct redis_reply  *r;

    (void) block_ms;

    k = model_key(argv[1], true);
    e = sim_alloc(sizeof(*e));
    e->number = ++model_entries;
    n = snprintf(id, sizeof(id), "%lld-%lld", (long long) sim_unix_ms(),
                 (long long) e->number);
    e->id = model_str((struct push_str) { id, (size_t) n });
    e->count = argc - 3;
    e->fields = sim_alloc(e->count * sizeof(*e->fields) + 1);

    for (i = 0; i < e->count; i++) {
        e->fields[i] = model_str(argv[3 + i]);
    }

    k->entries = sim_grow(k->entries, &k->entry_size, k->entry_count + 1,
                          sizeof(*k->entries));
    k->entries[k->entry_count++] = e;

    r = model_array(0);
    model_set_str(r, e->id);

    return r;
}


struct redis_reply *
model_xgroup(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    (void) argc;
    (void) block_ms;

    model_key(argv[2], true)->group = true;

    return model_int(0);
}


static struct redis_reply *
model_nogroup(void)
{
    struct redis_reply  *r;

    r = model_array(0);
    r->type = REDIS_ERROR;
    r->str = PUSH_STR("NOGROUP No such key or consumer group");

    return r;
}


static void
model_pend(struct model_key *k, struct model_entry *e,
    struct push_str consumer)
{
    struct model_pending  *p;

    k->pending = sim_grow(k->pending, &k->pending_size, k->pending_count + 1,
                          sizeof(*k->pending));
    p = &k->pending[k->pending_count++];
    p->entry = e;
    p->consumer = model_str(consumer);
    p->since_ms = sim_unix_ms();
}


/* XREADGROUP GROUP g consumer COUNT n [BLOCK ms] [NOACK] STREAMS key id */
struct redis_reply *
model_xreadgroup(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    bool                  ack;
    size_t                i, n, max;
    int64_t               block, after;
    struct model_key     *k;
    struct redis_reply   *r;
    struct model_entry   *found[1000];

    k = model_key(argv[argc - 2], false);

    if (k == NULL || !k->group) {
        return model_nogroup();
    }

    max = (size_t) model_number(argv[5]);
    block = 0;
    ack = true;
    n = 0;

    for (i = 6; i < argc - 3; i++) {
        if (model_is(argv[i], "BLOCK")) {
            block = model_number(argv[i + 1]);
        }

        if (model_is(argv[i], "NOACK")) {
            ack = false;
        }
    }

    if (model_is(argv[argc - 1], ">")) {

        while (n < max && n < MODEL_COUNT(found)
               && k->next < k->entry_count)
        {
            found[n++] = k->entries[k->next++];

            if (ack) {
                model_pend(k, found[n - 1], argv[3]);
            }
        }

        if (n == 0 && block > 0) {
            *block_ms = block;
            return NULL;
        }

    } else {
        /* the number stands behind the dash */
        for (i = 0; i < argv[argc - 1].len && argv[argc - 1].data[i] != '-';
             i++)
        {
            /* void */
        }

        after = i < argv[argc - 1].len
                ? atoll(argv[argc - 1].data + i + 1) : 0;

        for (i = 0; i < k->pending_count && n < max; i++) {
            if (push_str_eq(k->pending[i].consumer, argv[3])
                && k->pending[i].entry->number > after)
            {
                found[n++] = k->pending[i].entry;
            }
        }
    }

    r = model_array(1);
    r->at[0] = *model_array(2);
    model_set_str(&r->at[0].at[0], k->name);
    r->at[0].at[1] = *model_entries_reply(found, n);

    return r;
}


/* XAUTOCLAIM key group consumer idle start COUNT n */
struct redis_reply *
model_xautoclaim(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    size_t               i, n;
    int64_t              before;
    struct model_key    *k;
    struct redis_reply  *r;
    struct model_entry  *found[1000];

    (void) argc;
    (void) block_ms;

    k = model_key(argv[1], false);

    if (k == NULL || !k->group) {
        return model_nogroup();
    }

    before = sim_unix_ms() - model_number(argv[4]);

    for (i = 0, n = 0; i < k->pending_count && n < MODEL_COUNT(found); i++) {
        if (k->pending[i].since_ms <= before) {
            k->pending[i].consumer = model_str(argv[3]);
            k->pending[i].since_ms = sim_unix_ms();
            found[n++] = k->pending[i].entry;
        }
    }

    r = model_array(2);
    model_set_str(&r->at[0], PUSH_STR("0-0"));
    r->at[1] = *model_entries_reply(found, n);

    return r;
}


struct redis_reply *
model_xack(const struct push_str *argv, size_t argc, int64_t *block_ms)
{
    size_t             i, j;
    struct model_key  *k;

    (void) block_ms;

    k = model_key(argv[1], false);

    for (i = 3; k != NULL && i < argc; i++) {
        for (j = 0; j < k->pending_count; j++) {
            if (push_str_eq(k->pending[j].entry->id, argv[i])) {
                memmove(&k->pending[j], &k->pending[j + 1],
                        (--k->pending_count - j) * sizeof(*k->pending));
                break;
            }
        }
    }

    return model_int((int64_t) argc - 3);
}


/* [[id, [name, value, …]], …] */
static struct redis_reply *
model_entries_reply(struct model_entry **entries, size_t count)
{
    size_t               i, j;
    struct redis_reply  *r, *fields;

    r = model_array(count);

    for (i = 0; i < count; i++) {
        r->at[i] = *model_array(2);
        model_set_str(&r->at[i].at[0], entries[i]->id);
        fields = &r->at[i].at[1];
        *fields = *model_array(entries[i]->count);

        for (j = 0; j < entries[i]->count; j++) {
            model_set_str(&fields->at[j], entries[i]->fields[j]);
        }
    }

    return r;
}
