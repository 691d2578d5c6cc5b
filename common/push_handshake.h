/*
 * push_handshake: what the headers of a WebSocket handshake say
 *
 *     header, header, ... --> what is offered --> fault, or none
 *
 * in:   names and values, as they came; out: the first fault in the order in
 *       which a client can mend it (RFC 6455 4.2.1).  owns: nothing
 *
 * Pure.  Method, version of HTTP and body are the server's to see.
 */

#ifndef PUSH_HANDSHAKE_H
#define PUSH_HANDSHAKE_H

#include "push.h"

#define PUSH_HANDSHAKE_KEY_LEN  24          /* of 16 bytes in base64 */

enum push_handshake_fault {
    PUSH_HANDSHAKE_GOOD,
    PUSH_HANDSHAKE_NO_UPGRADE,      /* Upgrade does not list websocket */
    PUSH_HANDSHAKE_NO_CONNECTION,   /* Connection does not list upgrade */
    PUSH_HANDSHAKE_VERSIONS,        /* more than one Sec-WebSocket-Version */
    PUSH_HANDSHAKE_VERSION,         /* none, or not 13 */
    PUSH_HANDSHAKE_KEYS,            /* more than one Sec-WebSocket-Key */
    PUSH_HANDSHAKE_NO_KEY,
    PUSH_HANDSHAKE_KEY,             /* not 16 bytes in base64 */
    PUSH_HANDSHAKE_PROTOCOL,        /* protocols, and push.v1 is none of them */
    PUSH_HANDSHAKE_ORIGINS,         /* more than one Origin */
    PUSH_HANDSHAKE_FAULTS
};

/* A header: how often, and its last value, borrowed. */
struct push_handshake_header {
    unsigned        n;
    struct push_str value;
};

/* All zero before the first header. */
struct push_handshake {
    struct push_handshake_header version;
    struct push_handshake_header key;
    struct push_handshake_header origin;
    struct push_handshake_header protocol;
    bool                         upgrade;       /* lists "websocket" */
    bool                         connection;    /* lists "upgrade" */
    bool                         push_v1;       /* is offered */
};

/* One more header; names that mean nothing here are skipped.  The value must
   live as long as h. */
void push_handshake_header(struct push_handshake *h, struct push_str name,
    struct push_str value);

enum push_handshake_fault push_handshake_check(const struct push_handshake *h);

#endif
