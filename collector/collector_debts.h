/*
 * collector_debts: the logs that are owed a resync
 *
 *     add --> owed, oldest first --take--> out --paid--> gone
 *               ^                           |
 *               +----------- back ----------+   (or added again meanwhile)
 *
 * in:   full names of logs, each with the lowest row that was dropped
 * out:  names to be sent as `resync <log>`; "*" when there were too many
 * owns: its names
 *
 * Pure but for its memory.  A set: a log is owed once, however often it is
 * added.  More than max names, or no memory for one: all are forgotten and
 * "*" is owed in their place, which covers them.
 */

#ifndef COLLECTOR_DEBTS_H
#define COLLECTOR_DEBTS_H

#include "collector_item.h"

#define DEBTS_MAX  100000           /* names (docs/rules.md 3) */

struct collector_debts;
struct collector_debt;              /* one name, while it is out */

/* max >= 1.  NULL: out of memory. */
struct collector_debts *collector_debts_create(size_t max);
/* What is out was given back before. */
void collector_debts_destroy(struct collector_debts *d);

/*
 * log is a full name or "*"; copied.  row: of what was dropped, 0: it has
 * none.  Never fails.
 */
void collector_debts_add(struct collector_debts *d, struct push_str log,
    int64_t row);

/*
 * The oldest that is owed and not out; it is out from now on, until paid or
 * back.  NULL: none, or one came back a while ago (collector_retry_ms) and all
 * wait.  name: valid until then.  Times: any monotonic clock.
 */
struct collector_debt *collector_debts_take(struct collector_debts *d,
    int64_t now_ms, struct push_str *name);

/* One that was taken: it arrived, or it did not. */
void collector_debts_paid(struct collector_debts *d,
    struct collector_debt *debt);
void collector_debts_back(struct collector_debts *d,
    struct collector_debt *debt, int64_t now_ms);

/* Owed and not out; all. */
size_t collector_debts_owed(const struct collector_debts *d);
size_t collector_debts_count(const struct collector_debts *d);

/*
 * The lowest row of all debts since there were none, INT64_MAX: no debt has
 * a row.  The store's mark stays below it.
 */
int64_t collector_debts_row(const struct collector_debts *d);

#endif
