/*
 * plant: faults that are built in on purpose, one at a time
 *
 * in:   a name.  out: whether it is this one.  owns: which one
 */

#include "plant.h"

#include <string.h>

#include "base.h"
#include "collector_debts.h"
#include "collector_request.h"

static enum plant  plant_now;

static const struct {
    const char *name;
    const char *what;
} plants[] = {
    { "none", "the product as it is" },
#define X(name, text, what)  { text, what },
    SIM_PLANTS(X)
#undef X
};


bool
plant(enum plant p)
{
    return plant_now == p;
}


void
plant_set(enum plant p)
{
    plant_now = p;
}


enum plant
plant_by_name(const char *name)
{
    unsigned  i;

    for (i = 0; i < PLANT_COUNT; i++) {
        if (strcmp(plants[i].name, name) == 0) {
            break;
        }
    }

    return (enum plant) i;
}


const char *
plant_name(enum plant p)
{
    return plants[p].name;
}


const char *
plant_what(enum plant p)
{
    return plants[p].what;
}


/* The linker puts these in front of the product's: --wrap in the Makefile. */

void __real_collector_debts_add(struct collector_debts *d,
    struct push_str log, int64_t row);
void __wrap_collector_debts_add(struct collector_debts *d,
    struct push_str log, int64_t row);


void
__wrap_collector_debts_add(struct collector_debts *d, struct push_str log,
    int64_t row)
{
    if (!plant(PLANT_NO_DEBT)) {
        __real_collector_debts_add(d, log, row);
    }
}


int __real_collector_acks_parse(struct collector_acks *a,
    const struct push_str *fields, size_t pairs, const char **error);
int __wrap_collector_acks_parse(struct collector_acks *a,
    const struct push_str *fields, size_t pairs, const char **error);


int
__wrap_collector_acks_parse(struct collector_acks *a,
    const struct push_str *fields, size_t pairs, const char **error)
{
    int  rc;

    rc = __real_collector_acks_parse(a, fields, pairs, error);

    if (rc == PUSH_OK && plant(PLANT_OLD_ACK)) {
        a->epoch = (struct push_str) { base_epoch, strlen(base_epoch) };
    }

    return rc;
}
