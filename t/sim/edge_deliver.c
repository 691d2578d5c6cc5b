/*
 * edge_deliver: the deliver POST, and who is sent away
 *
 * After ngx_http_push_deliver.c and ngx_http_push_drain.c.
 */

#include "edge_state.h"

#include <stdio.h>
#include <string.h>

#include "plant.h"

#define EDGE_DRAIN_MS  5000

static void edge_drained(void *data);
static void edge_epoch(struct edge *e, struct push_str epoch);
static void edge_send_away(struct edge *e, uint32_t ms);


struct push_str
edge_deliver(unsigned i, struct push_str body, uint64_t *instance)
{
    size_t                     len;
    struct edge               *e = &edges[i];
    struct push_str            reply;
    struct push_lines          l;
    struct push_lines_item     item;
    char                       text[PUSH_ITEMS_MAX * PUSH_LINES_ANSWER_MAX];

    *instance = e->instance;
    len = 0;
    push_lines_init(&l, body.data, body.len, false);

    while (push_lines_next(&l, &item) == PUSH_OK) {

        if (item.verb == PUSH_LINES_EPOCH) {
            edge_epoch(e, item.epoch);
            continue;
        }

        len += push_lines_answer_write(text + len, edge_item(e, &item));
    }

    reply.data = sim_copy(text, len);
    reply.len = len;

    return reply;
}


static void
edge_epoch(struct edge *e, struct push_str epoch)
{
    struct edge_conn  *conn;

    if (strlen(e->epoch) == epoch.len
        && memcmp(e->epoch, epoch.data, epoch.len) == 0)
    {
        return;
    }

    if (e->epoch[0] != '\0') {
        sim_trace("%s: another epoch", e->proc->name);
        edge_ring_reset(e);
        edge_send_away(e, 2 * EDGE_DRAIN_MS);

        for (conn = e->conns; conn != NULL; conn = conn->next) {
            conn->past = !plant(PLANT_PAST);
        }
    }

    snprintf(e->epoch, sizeof(e->epoch), "%.*s", (int) epoch.len, epoch.data);
}


/* bye and Close 1012, one by one. */
static void
edge_send_away(struct edge *e, uint32_t ms)
{
    struct edge_conn  *conn;

    for (conn = e->conns; conn != NULL; conn = conn->next) {
        sim_after(MS(sim_below(ms)), edge_drained, conn, e->proc);
    }
}


static void
edge_drained(void *data)
{
    struct edge_conn  *conn = data;

    if (!conn->closing) {
        edge_close(conn, 1012, true);
    }
}


void
edge_reload(unsigned i)
{
    sim_trace("reload %s", edges[i].proc->name);
    edge_send_away(&edges[i], EDGE_DRAIN_MS);
}
