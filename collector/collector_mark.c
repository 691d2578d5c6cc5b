/*
 * collector_mark: up to which row everything has been handed over
 */

#include "collector_mark.h"

#include <string.h>

static struct collector_mark_order *mark_order(struct collector_mark *m,
    const struct collector_item *item);


void
collector_mark_init(struct collector_mark *m, int64_t put, bool repairing)
{
    memset(m, 0, sizeof(*m));

    m->put = put;
    m->last = put;
    m->repaired = put;
    m->repairing = repairing;
}


void
collector_mark_seen(struct collector_mark *m, int64_t row)
{
    if (row > m->last) {
        m->last = row;
    }

    if (m->first == 0 || row < m->first) {
        m->first = row;
    }
}


/* Rows come in order, so that the walk from the end is short. */
void
collector_mark_add(struct collector_mark *m, struct collector_item *item)
{
    struct collector_item        *before;
    struct collector_mark_order  *o;

    o = mark_order(m, item);
    before = o->last;

    while (before != NULL && before->row > item->row) {
        before = before->before;
    }

    item->before = before;
    item->after = before != NULL ? before->after : o->first;

    if (item->before != NULL) {
        item->before->after = item;

    } else {
        o->first = item;
    }

    if (item->after != NULL) {
        item->after->before = item;

    } else {
        o->last = item;
    }

    o->count++;
}


void
collector_mark_remove(struct collector_mark *m, struct collector_item *item)
{
    struct collector_mark_order  *o;

    o = mark_order(m, item);

    if (item->before != NULL) {
        item->before->after = item->after;

    } else {
        o->first = item->after;
    }

    if (item->after != NULL) {
        item->after->before = item->before;

    } else {
        o->last = item->before;
    }

    o->count--;
}


bool
collector_mark_repair(const struct collector_mark *m, int64_t *after,
    int64_t *until)
{
    if (!m->repairing || (m->first > 0 && m->repaired >= m->first - 1)) {
        return false;
    }

    *after = m->repaired;
    *until = m->first > 0 ? m->first - 1 : 0;

    return true;
}


void
collector_mark_repaired(struct collector_mark *m, int64_t row, bool end)
{
    int64_t  after, until;

    if (row > m->repaired) {
        m->repaired = row;
    }

    if (row > m->last) {
        m->last = row;
    }

    if (end || !collector_mark_repair(m, &after, &until)) {
        m->repairing = false;
    }
}


int64_t
collector_mark_row(const struct collector_mark *m, int64_t debts_row)
{
    int64_t  row;

    row = m->last;

    if (m->now.first != NULL && m->now.first->row - 1 < row) {
        row = m->now.first->row - 1;
    }

    if (m->repairing && m->repaired < row) {
        row = m->repaired;
    }

    if (m->repair.first != NULL && m->repair.first->row - 1 < row) {
        row = m->repair.first->row - 1;
    }

    if (debts_row <= row) {
        row = debts_row - 1;
    }

    return row > m->put ? row : m->put;
}


static struct collector_mark_order *
mark_order(struct collector_mark *m, const struct collector_item *item)
{
    return item->repair ? &m->repair : &m->now;
}
