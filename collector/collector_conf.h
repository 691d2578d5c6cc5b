/*
 * collector_conf: the options of collector.conf
 *
 * in: the file.  out: a struct collector_conf.  owns: nothing
 */

#ifndef COLLECTOR_CONF_H
#define COLLECTOR_CONF_H

#include "collector.h"

extern const struct conf_row collector_conf_rows[];

/* As conf_load(), with what concerns several options. */
int collector_conf_load(const char *file, struct collector_conf *conf,
    struct conf_error *error);

/*
 * HUP: what a running collector can change is taken from *fresh: api_keys,
 * secret_file, dispatchers, log_level, drain_timeout.  Returns the name of an
 * option that differs and needs a restart, or NULL.
 */
const char *collector_conf_take(struct collector_conf *conf,
    struct collector_conf *fresh);

#endif
