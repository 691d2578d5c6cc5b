/*
 * dispatcher_in: POST /dispatch
 *
 *     body --push_lines--> items --> lookup ... answered --> one line an item,
 *                                                  in order, when the last is
 *                                                  known
 *
 * in:   a body of docs/rules.md 3 with Push-Secret
 * out:  200 text/plain; 400: the answers of what came before, then
 *       `error <line> <text>`; 403 wrong secret, 413 too large, 503 full
 * owns: requests and their items
 */

#ifndef DISPATCHER_IN_H
#define DISPATCHER_IN_H

#include "dispatcher.h"
#include "http_server.h"

/* The routes of the server; data of the handlers is struct dispatcher. */
extern const struct http_server_route dispatcher_in_routes[];

/*
 * lookup: item->plan.answer is final.  The item, and with the last one its
 * request, may be gone after the call.
 */
void dispatcher_in_answered(struct dispatcher_item *item);

#endif
