/*
 * base: the documents of the store, and how they came to be
 */

#include "base.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "plant.h"
#include "store_append_rule.h"

#define BASE_CHAINS      256
#define BASE_CURSORS     128
#define BASE_YOUNG_MS    5000       /* for an hour */
#define BASE_KEY_MS      45000      /* for a day */
#define BASE_HEAD_MS     (2 * STORE_TIP_MS)     /* a head, before deletes */

struct base_version {
    int64_t op;
    int64_t at_ms;
    int64_t a;                      /* tip, or start */
    int64_t b;                      /* floor, or ack */
};

struct base_versions {
    struct base_version *v;
    size_t               count;
    size_t               size;
};

struct base_cursor {
    unsigned             log;
    char                 uid[24];
    char                 device[24];
    struct base_versions versions;
};

int64_t  base_last;
int64_t  base_commit;
char     base_epoch[17];

static struct base_doc      *base_seqs[SIM_LOGS][BASE_CHAINS];
static struct base_doc      *base_keys[BASE_CHAINS];
static struct base_doc     **base_docs;
static size_t                base_count_docs, base_size_docs;
static struct base_versions  base_head[SIM_LOGS];
static struct base_cursor    base_cursors[BASE_CURSORS];
static size_t                base_count_cursors;
static int64_t               base_counters[SIM_LOGS];

static const struct base_version *base_at(const struct base_versions *v,
    int64_t view);
static void base_add(struct base_versions *v, int64_t a, int64_t b);
static void base_truncate(struct base_versions *v, int64_t to);
static unsigned base_hash(struct push_str s);
static struct base_cursor *base_cursor(unsigned log, struct push_str uid,
    struct push_str device, bool create);


void
base_init(void)
{
    base_last = 0;
    base_commit = 0;
    base_docs = NULL;
    base_count_docs = base_size_docs = 0;
    base_count_cursors = 0;

    memset(base_seqs, 0, sizeof(base_seqs));
    memset(base_keys, 0, sizeof(base_keys));
    memset(base_head, 0, sizeof(base_head));
    memset(base_cursors, 0, sizeof(base_cursors));
    memset(base_counters, 0, sizeof(base_counters));

    snprintf(base_epoch, sizeof(base_epoch), "%016llx",
             (unsigned long long) sim_random64());
}


unsigned
base_log(struct push_str log)
{
    return log.len == 3 ? SIM_ALL : (unsigned) (log.data[6] - '0');
}


static bool
base_visible(const struct base_doc *d, int64_t view)
{
    return d->made <= view && d->deleted > view;
}


enum base_result
base_insert(unsigned log, int64_t seq, const struct store_message *m)
{
    unsigned          hash;
    struct base_doc  *d;

    if (base_by_seq(log, seq, base_last) != NULL
        && !(plant(PLANT_EARLY_DUPLICATE)
             && base_by_key(log, m->key, base_last) != NULL))
    {
        return BASE_DUPLICATE_SEQ;
    }

    if (m->key.len != 0 && !plant(PLANT_NO_KEY)
        && base_by_key(log, m->key, base_last) != NULL)
    {
        return BASE_DUPLICATE_KEY;
    }

    d = sim_alloc(sizeof(*d));
    d->log = log;
    d->seq = seq;
    d->key = (struct push_str) { sim_copy(m->key.data, m->key.len),
                                 m->key.len };
    d->data = (struct push_str) { sim_copy(m->data.data, m->data.len),
                                  m->data.len };
    memcpy(d->hash, m->hash, sizeof(d->hash));
    d->ts_ms = m->ts_ms;
    d->expires = m->expires;
    d->made = ++base_last;
    d->stubbed = BASE_NEVER;
    d->deleted = BASE_NEVER;

    hash = (unsigned) seq % BASE_CHAINS;
    d->by_seq = base_seqs[log][hash];
    base_seqs[log][hash] = d;

    hash = base_hash(d->key);
    d->by_key = base_keys[hash];
    base_keys[hash] = d;

    base_docs = sim_grow(base_docs, &base_size_docs, base_count_docs + 1,
                         sizeof(*base_docs));
    base_docs[base_count_docs++] = d;

    return BASE_OK;
}


struct base_doc *
base_by_seq(unsigned log, int64_t seq, int64_t view)
{
    struct base_doc  *d;

    for (d = base_seqs[log][(unsigned) seq % BASE_CHAINS];
         d != NULL && (d->seq != seq || !base_visible(d, view));
         d = d->by_seq)
    {
        /* void */
    }

    return d;
}


struct base_doc *
base_by_key(unsigned log, struct push_str key, int64_t view)
{
    struct base_doc  *d;

    for (d = base_keys[base_hash(key)];
         d != NULL && (d->log != log || !push_str_eq(d->key, key)
                       || !base_visible(d, view));
         d = d->by_key)
    {
        /* void */
    }

    return d;
}


int64_t
base_tip(unsigned log, int64_t view)
{
    size_t   i;
    int64_t  tip;

    tip = base_at(&base_head[log], view)->a;

    for (i = base_count_docs; i > 0; i--) {
        if (base_docs[i - 1]->log == log && base_docs[i - 1]->seq > tip
            && base_visible(base_docs[i - 1], view))
        {
            tip = base_docs[i - 1]->seq;

            if (!plant(PLANT_TIMESTAMP) && !plant(PLANT_COUNTER)) {
                break;
            }
        }
    }

    return tip;
}


int64_t
base_head_tip(unsigned log, int64_t view)
{
    return base_at(&base_head[log], view)->a;
}


int64_t
base_floor(unsigned log, int64_t view)
{
    return base_at(&base_head[log], view)->b;
}


struct base_doc *
base_next(unsigned log, int64_t after, int64_t view)
{
    size_t            i;
    struct base_doc  *d, *found;

    found = NULL;

    for (i = 0; i < base_count_docs; i++) {
        d = base_docs[i];

        if (d->log == log && d->seq > after && base_visible(d, view)
            && (found == NULL || d->seq < found->seq))
        {
            found = d;
        }
    }

    return found;
}


bool
base_expired(const struct base_doc *d)
{
    return d->expires != 0 && sim_unix_ms() / 1000 >= d->expires;
}


int64_t
base_count(unsigned log)
{
    return ++base_counters[log];
}


/* --- cursors ------------------------------------------------------------- */

bool
base_cursor_put(const struct store_cursor *c)
{
    bool                        fresh;
    unsigned                    log;
    struct base_cursor         *row;
    const struct base_version  *v;

    log = base_log(c->log);

    if (c->seq > base_tip(log, base_last)) {
        return false;
    }

    row = base_cursor(log, c->uid, c->device, true);
    v = base_at(&row->versions, base_last);
    fresh = v->op == 0;

    if (c->start) {
        if (fresh) {
            base_add(&row->versions, c->seq, -1);
        }

    } else if (c->seq > v->b || fresh) {
        check_cursor(log, row->uid, row->device, c->seq);
        base_add(&row->versions, fresh ? -1 : v->a, c->seq);
    }

    return true;
}


void
base_place(struct store_place *p, int64_t view)
{
    size_t                      i;
    unsigned                    log;
    const struct base_cursor   *c;
    const struct base_version  *v;

    log = base_log(p->log);
    p->cursor = -1;
    p->acked = -1;
    p->floor = base_floor(log, view);
    p->tip = base_tip(log, view);

    for (i = 0; i < base_count_cursors; i++) {
        c = &base_cursors[i];

        if (c->log != log || strlen(c->uid) != p->uid.len
            || memcmp(c->uid, p->uid.data, p->uid.len) != 0)
        {
            continue;
        }

        v = base_at(&c->versions, view);

        if (v->op == 0) {
            continue;
        }

        if (v->b > p->acked) {
            p->acked = v->b;
        }

        if (strlen(c->device) == p->device.len
            && memcmp(c->device, p->device.data, p->device.len) == 0)
        {
            p->cursor = v->a > v->b ? v->a : v->b;
        }
    }
}


void
base_acks(void (*fn)(unsigned log, const char *uid, const char *device,
    int64_t seq))
{
    size_t                      i;
    const struct base_version  *v;

    for (i = 0; i < base_count_cursors; i++) {
        v = base_at(&base_cursors[i].versions, base_commit);

        if (v->op != 0 && v->b >= 0) {
            fn(base_cursors[i].log, base_cursors[i].uid,
               base_cursors[i].device, v->b);
        }
    }
}


static struct base_cursor *
base_cursor(unsigned log, struct push_str uid, struct push_str device,
    bool create)
{
    size_t               i;
    struct base_cursor  *c;

    for (i = 0; i < base_count_cursors; i++) {
        c = &base_cursors[i];

        if (c->log == log && strlen(c->uid) == uid.len
            && memcmp(c->uid, uid.data, uid.len) == 0
            && strlen(c->device) == device.len
            && memcmp(c->device, device.data, device.len) == 0)
        {
            return c;
        }
    }

    if (!create || base_count_cursors == BASE_CURSORS) {
        return NULL;
    }

    c = &base_cursors[base_count_cursors++];
    c->log = log;
    snprintf(c->uid, sizeof(c->uid), "%.*s", (int) uid.len, uid.data);
    snprintf(c->device, sizeof(c->device), "%.*s", (int) device.len,
             device.data);

    return c;
}


/* --- the GC -------------------------------------------------------------- */

static bool
base_due(const struct base_doc *d, int64_t age_ms)
{
    return base_expired(d) && sim_unix_ms() - d->ts_ms > age_ms;
}


void
base_heads(void)
{
    int64_t           floor, tip;
    unsigned          log;
    struct base_doc  *d;

    for (log = 0; log < SIM_LOGS; log++) {
        tip = base_tip(log, base_commit);
        floor = base_floor(log, base_last);

        while (floor < tip
               && ((d = base_by_seq(log, floor + 1, base_commit)) == NULL
                   || base_due(d, BASE_YOUNG_MS)))
        {
            floor++;
        }

        if (floor > base_floor(log, base_last)) {
            base_add(&base_head[log], plant(PLANT_GC_TIP) ? 0 : tip, floor);
        }
    }
}


/* The floor of a head that a majority has had for so long. */
static int64_t
base_old_floor(unsigned log)
{
    size_t                       i;
    int64_t                      before_ms;
    const struct base_versions  *v = &base_head[log];

    before_ms = sim_unix_ms() - (plant(PLANT_GC_YOUNG) ? 0 : BASE_HEAD_MS);

    for (i = v->count; i > 0; i--) {
        if (v->v[i - 1].op <= base_commit && v->v[i - 1].at_ms <= before_ms) {
            return v->v[i - 1].b;
        }
    }

    return 0;
}


void
base_collect(void)
{
    size_t            i;
    int64_t           floors[SIM_LOGS];
    unsigned          log;
    struct base_doc  *d;

    for (log = 0; log < SIM_LOGS; log++) {
        floors[log] = base_old_floor(log);
    }

    for (i = 0; i < base_count_docs; i++) {
        d = base_docs[i];

        if (d->made > base_commit || d->deleted != BASE_NEVER
            || !base_due(d, BASE_YOUNG_MS))
        {
            continue;
        }

        if (d->seq <= floors[d->log]
            && base_due(d, plant(PLANT_GC_YOUNG) ? 0 : BASE_KEY_MS))
        {
            d->deleted = ++base_last;

        } else if (d->stubbed == BASE_NEVER) {
            d->stubbed = ++base_last;
        }
    }
}


/* --- versions ------------------------------------------------------------ */

void
base_roll_back(int64_t to)
{
    size_t            i;
    unsigned          log;
    struct base_doc  *d, **at;

    for (i = 0; i < base_count_docs; i++) {
        if (base_docs[i]->deleted != BASE_NEVER && base_docs[i]->deleted > to)
        {
            base_docs[i]->deleted = BASE_NEVER;
        }

        if (base_docs[i]->stubbed != BASE_NEVER && base_docs[i]->stubbed > to)
        {
            base_docs[i]->stubbed = BASE_NEVER;
        }
    }

    while (base_count_docs > 0
           && (d = base_docs[base_count_docs - 1])->made > to)
    {
        base_count_docs--;

        at = &base_seqs[d->log][(unsigned) d->seq % BASE_CHAINS];

        while (*at != d) {
            at = &(*at)->by_seq;
        }

        *at = d->by_seq;

        at = &base_keys[base_hash(d->key)];

        while (*at != d) {
            at = &(*at)->by_key;
        }

        *at = d->by_key;
    }

    for (log = 0; log < SIM_LOGS; log++) {
        base_truncate(&base_head[log], to);
    }

    for (i = 0; i < base_count_cursors; i++) {
        base_truncate(&base_cursors[i].versions, to);
    }

    base_last = to;

    if (base_commit > to) {
        base_commit = to;
    }
}


struct base_doc *
base_row(int64_t after, int64_t *row)
{
    size_t  i;

    for (i = base_count_docs; i > 0 && base_docs[i - 1]->made > after; i--) {
        /* void */
    }

    if (i == base_count_docs) {
        return NULL;
    }

    *row = base_docs[i]->made;

    return base_docs[i];
}


static const struct base_version *
base_at(const struct base_versions *v, int64_t view)
{
    size_t                            i;
    static const struct base_version  none = { 0, 0, 0, 0 };

    for (i = v->count; i > 0; i--) {
        if (v->v[i - 1].op <= view) {
            return &v->v[i - 1];
        }
    }

    return &none;
}


static void
base_add(struct base_versions *v, int64_t a, int64_t b)
{
    v->v = sim_grow(v->v, &v->size, v->count + 1, sizeof(*v->v));
    v->v[v->count++] = (struct base_version) { ++base_last, sim_unix_ms(), a,
                                               b };
}


static void
base_truncate(struct base_versions *v, int64_t to)
{
    while (v->count > 0 && v->v[v->count - 1].op > to) {
        v->count--;
    }
}


static unsigned
base_hash(struct push_str s)
{
    size_t    i;
    unsigned  h;

    for (i = 0, h = 2166136261u; i < s.len; i++) {
        h = (h ^ (unsigned char) s.data[i]) * 16777619u;
    }

    return h % BASE_CHAINS;
}
