/*
 * collector_append: publish requests become stored messages, and answers
 *
 *     body --check--> messages --store_append--> outcomes --> 201, 200, 409 ...
 *                        |                          |
 *                        | ephemeral                +--> hand_over, in the
 *                        +--> hand_over --> 202          order of commits
 *
 * in:   POST /v1/messages, POST /v1/messages/batch
 * out:  the answer to each; the only place that says 201
 * owns: requests from their arrival to their answer, with a copy of the body,
 *       because a client may leave before its commit
 *
 * A batch goes slice by slice of at most STORE_APPEND_MAX messages, the next
 * when the one before is committed: so lines keep their order, and the memory
 * of one batch is bounded.
 *
 *     STORED 201   DUPLICATE 200   CONFLICT 409   REFUSED, UNKNOWN 503
 */

#ifndef COLLECTOR_APPEND_H
#define COLLECTOR_APPEND_H

#include "collector.h"
#include "http_server.h"

/* Uses c->store, hand_over, metrics.  PUSH_OK and c->append; or a text. */
int collector_append_create(struct collector *c, char *error, size_t size);

/* Handlers of the routes: r is answered later. */
void collector_append_publish(struct collector *c,
    struct http_server_request *r);
void collector_append_batch(struct collector *c,
    struct http_server_request *r);

/* No request is under way. */
bool collector_append_idle(const struct collector *c);

/* After store_close(), so that nothing is under way.  NULL is fine. */
void collector_append_destroy(struct collector *c);

#endif
