/*
 * collector_debts: the logs that are owed a resync
 *
 *     buckets: hash of the name -> chain of debts, for add
 *     owed:    list, oldest first, for take
 *
 * A debt is in its chain from add to paid, and in the list unless it is out.
 */

#include "collector_debts.h"

#include <stdlib.h>
#include <string.h>

#define DEBTS_BUCKETS  4096         /* chains of 25 when full */

struct collector_debt {
    struct collector_debt *chain;
    struct collector_debt *prev;    /* of the list; while out: unused */
    struct collector_debt *next;
    bool                   out;
    bool                   again;   /* added while out: owed once more */
    bool                   gone;    /* "*" took its place while it was out */
    size_t                 len;
    char                   name[];
};

struct collector_debts {
    size_t                 max;
    size_t                 count;   /* in chains */
    size_t                 owed;    /* in the list */
    size_t                 strays;  /* out and gone */
    int64_t                row;
    int64_t                due_ms;  /* take gives none before */
    unsigned               tries;   /* that came back, since one was paid */
    struct collector_debt *first;
    struct collector_debt *last;

    /* "*" needs no memory when there is none */
    struct collector_debt *all;

    struct collector_debt *buckets[DEBTS_BUCKETS];
};

static struct collector_debt **debts_find(struct collector_debts *d,
    struct push_str name);
static void debts_add_all(struct collector_debts *d);
static void debts_owe(struct collector_debts *d, struct collector_debt *debt);
static void debts_unlink(struct collector_debts *d,
    struct collector_debt *debt);
static void debts_settled(struct collector_debts *d);


struct collector_debts *
collector_debts_create(size_t max)
{
    struct collector_debts  *d;

    d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return NULL;
    }

    d->all = calloc(1, sizeof(*d->all) + 1);
    if (d->all == NULL) {
        free(d);
        return NULL;
    }

    d->all->gone = true;
    d->all->len = 1;
    d->all->name[0] = '*';

    d->max = max;
    d->row = INT64_MAX;

    return d;
}


void
collector_debts_destroy(struct collector_debts *d)
{
    size_t                  i;
    struct collector_debt  *debt, *next;

    if (d == NULL) {
        return;
    }

    for (i = 0; i < DEBTS_BUCKETS; i++) {
        for (debt = d->buckets[i]; debt != NULL; debt = next) {
            next = debt->chain;
            free(debt);
        }
    }

    free(d->all);
    free(d);
}


void
collector_debts_add(struct collector_debts *d, struct push_str log,
    int64_t row)
{
    struct collector_debt  *debt, **chain;

    if (row > 0 && row < d->row) {
        d->row = row;
    }

    /* "*" that is still to be sent covers it */
    if (!d->all->gone && !d->all->out) {
        return;
    }

    if (push_str_eq(log, PUSH_STR("*"))) {
        debts_add_all(d);
        return;
    }

    chain = debts_find(d, log);
    debt = *chain;

    if (debt != NULL) {
        debt->again = debt->out;
        return;
    }

    if (d->count < d->max) {
        debt = calloc(1, sizeof(*debt) + log.len);
    }

    if (debt == NULL) {
        debts_add_all(d);
        return;
    }

    debt->len = log.len;
    memcpy(debt->name, log.data, log.len);

    *chain = debt;
    d->count++;

    debts_owe(d, debt);
}


struct collector_debt *
collector_debts_take(struct collector_debts *d, int64_t now_ms,
    struct push_str *name)
{
    struct collector_debt  *debt;

    debt = now_ms < d->due_ms ? NULL : d->first;

    if (debt != NULL) {
        debts_unlink(d, debt);
        debt->out = true;

        name->data = debt->name;
        name->len = debt->len;
    }

    return debt;
}


void
collector_debts_paid(struct collector_debts *d, struct collector_debt *debt)
{
    struct collector_debt  **chain;

    debt->out = false;
    d->tries = 0;

    if (debt->again) {
        debt->again = false;
        debts_owe(d, debt);
        return;
    }

    if (debt == d->all) {
        debt->gone = true;
        debts_settled(d);
        return;
    }

    if (debt->gone) {
        d->strays--;

    } else {
        chain = debts_find(d, (struct push_str) { debt->name, debt->len });
        *chain = debt->chain;
        d->count--;
    }

    free(debt);
    debts_settled(d);
}


void
collector_debts_back(struct collector_debts *d, struct collector_debt *debt,
    int64_t now_ms)
{
    if (now_ms >= d->due_ms) {      /* once for all that come back together */
        d->due_ms = now_ms + collector_retry_ms(d->tries++);
    }

    if (debt == d->all) {
        debt->out = false;
        debt->again = false;
        debt->gone = true;
        debts_add_all(d);
        return;
    }

    if (debt->gone) {
        /* "*" may be out by now, and be answered before this was dropped */
        d->strays--;
        debts_add_all(d);
        free(debt);
        return;
    }

    debt->out = false;
    debt->again = false;
    debts_owe(d, debt);
}


size_t
collector_debts_owed(const struct collector_debts *d)
{
    return d->owed;
}


size_t
collector_debts_count(const struct collector_debts *d)
{
    return d->count + !d->all->gone;
}


int64_t
collector_debts_row(const struct collector_debts *d)
{
    return d->row;
}


/* Where the name hangs, or would: *result is NULL at the chain's end. */
static struct collector_debt **
debts_find(struct collector_debts *d, struct push_str name)
{
    size_t                  i;
    uint64_t                hash;
    struct collector_debt **chain;

    hash = UINT64_C(14695981039346656037);

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (unsigned char) name.data[i])
               * UINT64_C(1099511628211);
    }

    chain = &d->buckets[(hash >> 16) % DEBTS_BUCKETS];

    while (*chain != NULL
           && !push_str_eq((struct push_str) { (*chain)->name, (*chain)->len },
                           name))
    {
        chain = &(*chain)->chain;
    }

    return chain;
}


/* Owes "*": names that wait are freed, those that are out when they return. */
static void
debts_add_all(struct collector_debts *d)
{
    size_t                  i;
    struct collector_debt  *debt, *next;

    for (i = 0; i < DEBTS_BUCKETS; i++) {

        for (debt = d->buckets[i]; debt != NULL; debt = next) {
            next = debt->chain;

            if (debt->out) {
                debt->gone = true;
                debt->again = false;
                d->strays++;

            } else {
                debts_unlink(d, debt);
                free(debt);
            }
        }

        d->buckets[i] = NULL;
    }

    d->count = 0;

    if (d->all->out) {
        d->all->again = true;
        return;
    }

    if (d->all->gone) {
        d->all->gone = false;
        debts_owe(d, d->all);
    }
}


static void
debts_owe(struct collector_debts *d, struct collector_debt *debt)
{
    debt->prev = d->last;
    debt->next = NULL;

    if (d->last != NULL) {
        d->last->next = debt;

    } else {
        d->first = debt;
    }

    d->last = debt;
    d->owed++;
}


static void
debts_unlink(struct collector_debts *d, struct collector_debt *debt)
{
    if (debt->prev != NULL) {
        debt->prev->next = debt->next;

    } else {
        d->first = debt->next;
    }

    if (debt->next != NULL) {
        debt->next->prev = debt->prev;

    } else {
        d->last = debt->prev;
    }

    d->owed--;
}


/* With the last debt the row that held the mark back has gone, too. */
static void
debts_settled(struct collector_debts *d)
{
    if (collector_debts_count(d) == 0 && d->strays == 0) {
        d->row = INT64_MAX;
    }
}
