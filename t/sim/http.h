/*
 * http: requests between the daemons and to the edges
 *
 * Plays common/http_client.h and http_server.h; here is what the simulator
 * itself calls.
 */

#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include "http_client.h"
#include "http_server.h"
#include "sim.h"

void http_init(void);

/* status 0: the connection broke.  body is of this run. */
typedef void (*http_reply_pt)(void *data, unsigned status,
    struct push_str body);

/* A request as a handler gets it; reply runs once, in or after the handler. */
struct http_server_request *http_request(struct sim_proc *proc,
    struct push_str body, http_reply_pt reply, void *data);

/* The process has died: nothing that it had is answered. */
void http_killed(struct sim_proc *proc);

#endif
