/*
 * collector_in: the routes of the publishing API
 *
 *     nginx --> API key? --> publish, batch: collector_append
 *                        \-> GET of a message, of a user's list: the store
 *
 * in:   HTTP requests.  out: their answers
 * owns: the server, and the GETs that wait for the store
 *
 * Every route below /v1/ wants `Authorization: Bearer <API key>`: 401 before
 * the body is read.
 */

#ifndef COLLECTOR_IN_H
#define COLLECTOR_IN_H

#include "collector.h"

/* Listens.  Last of all parts.  PUSH_OK and c->server, or a text. */
int collector_in_create(struct collector *c, char *error, size_t size);

/* Nothing new is taken. */
void collector_in_drain(struct collector *c);
bool collector_in_idle(const struct collector *c);

/* First of all parts: what is unanswered is cancelled.  NULL is fine. */
void collector_in_destroy(struct collector *c);

#endif
