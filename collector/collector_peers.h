/*
 * collector_peers: the dispatchers of one configuration, and their ring
 *
 *     key --hash ring--> home peer, or the next one that is up
 *
 * in:   c->conf.dispatchers and secret_file.  out: peers
 * owns: the peers, the ring
 *
 * The hash is of the addresses as they stand in the file, so that all
 * collectors with the same list choose alike.
 */

#ifndef COLLECTOR_PEERS_H
#define COLLECTOR_PEERS_H

#include "collector_hand_over.h"
#include "collector_peer.h"

#define PEERS_MAX  HAND_OVER_PEERS_MAX

struct hash_ring;

/* Read-only for others. */
struct collector_peers {
    struct hash_ring      *ring;
    size_t                 count;
    struct collector_peer *peers[PEERS_MAX];
};

/*
 * conf: hooks, debts, epoch of each peer; address and secret are set here.
 * NULL and a text: no list, a secret file that is wrong, out of memory.
 */
struct collector_peers *collector_peers_create(
    const struct collector_peer_conf *conf, char *error, size_t size);
/* After collector_peers_stop().  NULL is fine. */
void collector_peers_destroy(struct collector_peers *peers);

/* The first on the key's ring that is up; none is: its home. */
struct collector_peer *collector_peers_route(
    const struct collector_peers *peers, struct push_str key);

size_t collector_peers_up(const struct collector_peers *peers);

void collector_peers_send(struct collector_peers *peers, int64_t now_ms);

/* Ends what is under way and takes all items.  Not from a hook. */
void collector_peers_stop(struct collector_peers *peers,
    struct collector_item_queue *items);

#endif
