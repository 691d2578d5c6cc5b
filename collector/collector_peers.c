/*
 * collector_peers: the dispatchers of one configuration, and their ring
 */

#include "collector_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash_ring.h"


struct collector_peers *
collector_peers_create(const struct collector_peer_conf *conf, char *error,
    size_t size)
{
    size_t                       i;
    char                         text[128];
    struct push_str              names[PEERS_MAX];
    struct conf_secrets          secrets;
    struct collector_peers      *peers;
    struct collector_peer_conf   one;
    const struct collector_conf *file = &conf->c->conf;

    if (file->dispatchers.count == 0 || file->dispatchers.count > PEERS_MAX) {
        snprintf(error, size, "dispatchers: 1 to %d are needed", PEERS_MAX);
        return NULL;
    }

    if (conf_read_secrets(file->secret_file, &secrets, text, sizeof(text))
        != PUSH_OK)
    {
        snprintf(error, size, "secret_file \"%s\": %s", file->secret_file,
                 text);
        return NULL;
    }

    snprintf(error, size, "out of memory");

    peers = calloc(1, sizeof(*peers));
    if (peers == NULL) {
        goto done;
    }

    one = *conf;
    one.secret = secrets.text[0];

    for (i = 0; i < file->dispatchers.count; i++) {
        one.address = file->dispatchers.items[i];

        names[i].data = one.address;
        names[i].len = strlen(one.address);

        peers->peers[i] = collector_peer_create(&one);
        if (peers->peers[i] == NULL) {
            goto failed;
        }

        peers->count++;
    }

    peers->ring = hash_ring_create(names, peers->count);
    if (peers->ring != NULL) {
        goto done;
    }

failed:

    collector_peers_destroy(peers);
    peers = NULL;

done:

    explicit_bzero(&secrets, sizeof(secrets));

    return peers;
}


void
collector_peers_destroy(struct collector_peers *peers)
{
    size_t  i;

    if (peers == NULL) {
        return;
    }

    for (i = 0; i < peers->count; i++) {
        collector_peer_destroy(peers->peers[i]);
    }

    if (peers->ring != NULL) {
        hash_ring_destroy(peers->ring);
    }

    free(peers);
}


struct collector_peer *
collector_peers_route(const struct collector_peers *peers,
    struct push_str key)
{
    size_t                  i, n, order[PEERS_MAX];
    struct collector_peer  *home;

    home = peers->peers[hash_ring_find(peers->ring, key)];

    if (collector_peer_up(home)) {
        return home;
    }

    n = hash_ring_order(peers->ring, key, order, peers->count);

    for (i = 0; i < n; i++) {
        if (collector_peer_up(peers->peers[order[i]])) {
            return peers->peers[order[i]];
        }
    }

    return home;
}


size_t
collector_peers_up(const struct collector_peers *peers)
{
    size_t  i, up;

    for (i = up = 0; i < peers->count; i++) {
        up += collector_peer_up(peers->peers[i]);
    }

    return up;
}


void
collector_peers_send(struct collector_peers *peers, int64_t now_ms)
{
    size_t  i;

    for (i = 0; i < peers->count; i++) {
        collector_peer_send(peers->peers[i], now_ms);
    }
}


void
collector_peers_stop(struct collector_peers *peers,
    struct collector_item_queue *items)
{
    size_t  i;

    for (i = 0; i < peers->count; i++) {
        collector_peer_stop(peers->peers[i]);
        collector_peer_take(peers->peers[i], items);
    }
}
