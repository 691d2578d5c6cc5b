/*
 * dispatcher_conf: the options of dispatcher.conf
 *
 * in: a file.  out: struct dispatcher_conf and the secrets.  owns: nothing
 */

#ifndef DISPATCHER_CONF_H
#define DISPATCHER_CONF_H

#include "dispatcher.h"

/*
 * Reads file and the files that it names.  PUSH_OK: *conf is the caller's, to
 * be given to dispatcher_conf_free(); PUSH_ERROR: error says where.
 */
int dispatcher_conf_load(const char *file, struct dispatcher_conf *conf,
    struct conf_secrets *secrets, struct conf_error *error);
void dispatcher_conf_free(struct dispatcher_conf *conf);

/*
 * HUP: the file and its secrets are read again; on any error all stays as it
 * was.  The log level, the bounds and the secrets change at once; what needs a
 * restart is logged.
 */
void dispatcher_conf_reload(struct dispatcher *d);

#endif
