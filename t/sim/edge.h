/*
 * edge: an nginx with the module, one worker, as docs/rules.md has it
 *
 *     deliver POST --> items --> push_delivery --> frames --> clients
 *     hello, ack ------------>       |
 *     Redis <-- bindings, lease, requests, acks
 *
 * The delivery rule is the product's; what is around it, which lives in
 * nginx, is a model after ngx_http_push_module/.
 */

#ifndef SIM_EDGE_H
#define SIM_EDGE_H

#include "socket.h"

void edge_init(void);
void edge_start(unsigned i);
void edge_kill(unsigned i);
/* A new worker: the old one's connections are sent away, one by one. */
void edge_reload(unsigned i);

/* A deliver body; the answers are of this run's memory. */
struct push_str edge_deliver(unsigned i, struct push_str body,
    uint64_t *instance);

/* From sockets. */
void edge_accept(unsigned i, struct socket *s, unsigned user);
void edge_receive(struct edge_conn *conn, struct frame *f);
void edge_lost(struct edge_conn *conn);
void edge_room(struct edge_conn *conn);
struct sim_proc *edge_proc(struct edge_conn *conn);

/* A request is out, or about to be: what comes by itself waits for it. */
bool edge_asking(const struct edge_conn *conn, unsigned log);

extern uint64_t  edge_kills;

#endif
