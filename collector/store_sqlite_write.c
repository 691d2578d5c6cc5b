/*
 * store_sqlite_write: the writer's transaction
 *
 *     work --group--> BEGIN | append ... cursors ... mark | COMMIT --> finished
 *                          up to 512 messages or 1 MB
 *
 * in:   requests, in order.  out: the same with their outcomes, in order
 * owns: the writing connection, and the tips of logs that it has seen
 *
 * Nothing is told before its COMMIT (R3, R4); a transaction that fails forgets
 * the tips in memory (R2).
 */

#include "store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "fault_point.h"

#define WRITER_GROUP_MAX      2048          /* messages of a transaction */
#define WRITER_GROUP_BYTES    (1024 * 1024)

/* Room of the transaction under way. */
struct writer_room {
    size_t messages;
    size_t bytes;
};

static int writer_start(struct store_sqlite_writer *w,
    struct store_info *info);
static int writer_append(struct store_sqlite_writer *w,
    struct store_append *a, struct writer_room *room);
static int writer_cursors(struct store_sqlite_writer *w,
    struct store_cursors_put *p, int64_t now_ms, struct writer_room *room);
static int writer_mark(struct store_sqlite_writer *w,
    struct store_mark_put *m);
static void writer_fail(struct store_request *r, size_t from, bool unknown,
    const char *error);
static void writer_count(struct store_request *r,
    struct store_sqlite_group *group);
static void room_take(struct writer_room *room, size_t messages, size_t bytes);
static void writer_collect_all(struct store_sqlite_writer *w,
    struct store_gc *g, int64_t now_ms, struct store_sqlite_group *group);


struct store_sqlite_writer *
store_sqlite_writer_create(const char *path, struct store_info *info,
    char *error, size_t size)
{
    char                         why[STORE_ERROR_SIZE];
    struct store_sqlite_writer  *w;

    w = calloc(1, sizeof(*w));

    if (w == NULL) {
        snprintf(error, size, "out of memory");
        return NULL;
    }

    w->generation = 1;
    w->cache = calloc(STORE_SQLITE_LOGS, sizeof(struct store_sqlite_log));

    if (w->cache == NULL || asprintf(&w->wal, "%s-wal", path) == -1) {
        w->wal = NULL;
        snprintf(error, size, "out of memory");
        goto failed;
    }

    if (store_sqlite_db_open(&w->db, path, true, error, size) != PUSH_OK) {
        goto failed;
    }

    if (writer_start(w, info) != PUSH_OK) {
        store_sqlite_db_error(&w->db, why, sizeof(why));
        snprintf(error, size, "store %s: %s", path, why);
        goto failed;
    }

    return w;

failed:

    store_sqlite_writer_destroy(w);

    return NULL;
}


void
store_sqlite_writer_destroy(struct store_sqlite_writer *w)
{
    store_sqlite_db_close(&w->db);
    free(w->cache);
    free(w->wal);
    free(w);
}


/* The epoch, made at the first open; the mark; the last row. */
static int
writer_start(struct store_sqlite_writer *w, struct store_info *info)
{
    int64_t        epoch;
    sqlite3_stmt  *st;

    epoch = 0;

    if (store_sqlite_meta_get(&w->db, "epoch", &epoch) != PUSH_OK
        || store_sqlite_meta_get(&w->db, "mark", &w->mark) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    while (epoch == 0) {
        if (getrandom(&epoch, sizeof(epoch), 0) != sizeof(epoch)) {
            epoch = 0;
            continue;
        }

        if (epoch && store_sqlite_meta_put(&w->db, "epoch", epoch) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    st = store_sqlite_db_get(&w->db, STORE_SQLITE_ROW_LAST);

    if (st == NULL || sqlite3_step(st) != SQLITE_ROW) {
        return PUSH_ERROR;
    }

    w->row = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);

    /* the GC may have taken the last rows: a row is never given twice */

    info->repair = w->row > w->mark ? STORE_REPAIR_ROWS : STORE_REPAIR_NONE;
    info->mark = w->mark;
    w->row = w->row > w->mark ? w->row : w->mark;
    w->mark_new = w->mark;

    push_hex64_write(info->epoch, (uint64_t) epoch);
    info->epoch[16] = '\0';

    return PUSH_OK;
}


void
store_sqlite_writer_group(struct store_sqlite_writer *w,
    struct store_request **work, int64_t now_ms,
    struct store_sqlite_group *group)
{
    int                    rc;
    bool                   unknown;
    size_t                 from;
    struct writer_room     room;
    struct store_append   *a;
    struct store_request  *r, *first, **last;

    memset(group, 0, sizeof(*group));
    group->tried = true;
    last = &group->finished;
    first = *work;

    if (first->call == STORE_GC) {
        writer_collect_all(w, (struct store_gc *) first, now_ms, group);
        *work = first->next;
        first->next = NULL;
        group->finished = first;
        return;
    }

    room.messages = WRITER_GROUP_MAX;
    room.bytes = WRITER_GROUP_BYTES;

    from = first->call == STORE_APPEND
           ? ((struct store_append *) first)->committed : 0;

    unknown = false;
    rc = store_sqlite_db_do(&w->db, STORE_SQLITE_BEGIN_WRITE);

    for (r = *work;
         r && rc == PUSH_OK && room.messages && r->call != STORE_GC;
         r = *work)
    {
        switch (r->call) {

        case STORE_APPEND:
            a = (struct store_append *) r;
            rc = writer_append(w, a, &room);

            if (rc == PUSH_OK && a->committed < a->count) {
                goto commit;            /* its rest goes with the next group */
            }

            break;

        case STORE_CURSORS_PUT:
            rc = writer_cursors(w, (struct store_cursors_put *) r, now_ms,
                                &room);
            break;

        default:    /* STORE_MARK_PUT */
            rc = writer_mark(w, (struct store_mark_put *) r);
        }

        *work = r->next;
        r->next = NULL;
        *last = r;
        last = &r->next;
    }

commit:

    if (rc == PUSH_OK) {
        PUSH_FAULT_POINT("store-sent");
        unknown = true;
        rc = store_sqlite_db_do(&w->db, STORE_SQLITE_COMMIT);
        PUSH_FAULT_POINT("store-acked");
    }

    if (rc == PUSH_OK) {
        group->committed = true;
        w->mark = w->mark_new;

    } else {
        store_sqlite_db_error(&w->db, group->error, sizeof(group->error));
        (void) store_sqlite_db_do(&w->db, STORE_SQLITE_ROLLBACK);
        w->mark_new = w->mark;
        w->generation++;

        /* what waits would meet the same fault, after waiting as long */

        *last = *work;
        *work = NULL;

        for (r = group->finished; r; r = r->next) {
            writer_fail(r, r == first ? from : 0, unknown, group->error);
        }
    }

    for (r = group->finished; r; r = r->next) {
        writer_count(r, group);
    }
}


/* As many messages as there is room for, at least one. */
static int
writer_append(struct store_sqlite_writer *w, struct store_append *a,
    struct writer_room *room)
{
    struct store_message  *m;

    while (a->committed < a->count && room->messages) {
        m = &a->messages[a->committed];

        if (store_sqlite_put_message(w, m) != PUSH_OK) {
            return PUSH_ERROR;
        }

        room_take(room, 1, m->data.len);
        a->committed++;
        PUSH_FAULT_POINT("store-put");
    }

    return PUSH_OK;
}


static int
writer_cursors(struct store_sqlite_writer *w, struct store_cursors_put *p,
    int64_t now_ms, struct writer_room *room)
{
    size_t  i;

    room_take(room, p->count, 0);

    for (i = 0; i < p->count; i++) {
        if (store_sqlite_put_cursor(w, &p->cursors[i], now_ms) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


static int
writer_mark(struct store_sqlite_writer *w, struct store_mark_put *m)
{
    if (m->row <= w->mark_new) {
        return PUSH_OK;
    }

    w->mark_new = m->row;

    return store_sqlite_meta_put(&w->db, "mark", m->row);
}


/* from: messages before it were committed by an earlier transaction. */
static void
writer_fail(struct store_request *r, size_t from, bool unknown,
    const char *error)
{
    size_t                 i;
    struct store_append   *a;
    struct store_message  *m;

    r->result = STORE_UNAVAILABLE;
    snprintf(r->error, sizeof(r->error), "%s", error);

    if (r->call != STORE_APPEND) {
        return;
    }

    a = (struct store_append *) r;

    for (i = from; i < a->count; i++) {
        m = &a->messages[i];
        m->seq = 0;
        m->row = 0;
        m->text = r->error;
        m->outcome = unknown && i < a->committed ? STORE_UNKNOWN
                                                 : STORE_REFUSED;
    }
}


static void
writer_count(struct store_request *r, struct store_sqlite_group *group)
{
    size_t                i;
    struct store_append  *a;

    if (r->call != STORE_APPEND) {
        return;
    }

    a = (struct store_append *) r;

    for (i = 0; i < a->count; i++) {
        switch (a->messages[i].outcome) {

        case STORE_STORED:
            group->stored++;
            break;

        case STORE_DUPLICATE:
            group->duplicates++;
            break;

        case STORE_CONFLICT:
            break;

        default:
            if (r->result == STORE_OK) {
                r->result = STORE_UNAVAILABLE;
                snprintf(r->error, sizeof(r->error), "%s",
                         a->messages[i].text);
            }
        }
    }
}


static void
room_take(struct writer_room *room, size_t messages, size_t bytes)
{
    room->messages -= messages < room->messages ? messages : room->messages;
    room->bytes -= bytes < room->bytes ? bytes : room->bytes;

    if (room->bytes == 0) {
        room->messages = 0;
    }
}


static void
writer_collect_all(struct store_sqlite_writer *w, struct store_gc *g,
    int64_t now_ms, struct store_sqlite_group *group)
{
    bool  more;

    do {
        store_sqlite_writer_collect(w, g, now_ms, group, &more);
    } while (more);

    if (!group->committed) {
        g->r.result = STORE_UNAVAILABLE;
        snprintf(g->r.error, sizeof(g->r.error), "%s", group->error);
    }
}


void
store_sqlite_writer_collect(struct store_sqlite_writer *w, struct store_gc *g,
    int64_t now_ms, struct store_sqlite_group *group, bool *more)
{
    int64_t  before;

    before = g->stubbed + g->deleted;

    group->committed = store_sqlite_collect(&w->db, g, now_ms / 1000, more,
                                            &group->tried) == PUSH_OK;

    if (group->committed) {
        group->collected += (uint64_t) (g->stubbed + g->deleted - before);
        return;
    }

    *more = false;
    store_sqlite_db_error(&w->db, group->error, sizeof(group->error));
    (void) store_sqlite_db_do(&w->db, STORE_SQLITE_ROLLBACK);
}


void
store_sqlite_writer_probe(struct store_sqlite_writer *w,
    struct store_sqlite_group *group)
{
    memset(group, 0, sizeof(*group));
    group->tried = true;

    group->committed = store_sqlite_db_do(&w->db, STORE_SQLITE_BEGIN_WRITE)
                           == PUSH_OK
                       && store_sqlite_meta_put(&w->db, "probe", ++w->probe)
                           == PUSH_OK
                       && store_sqlite_db_do(&w->db, STORE_SQLITE_COMMIT)
                           == PUSH_OK;

    if (!group->committed) {
        store_sqlite_db_error(&w->db, group->error, sizeof(group->error));
        (void) store_sqlite_db_do(&w->db, STORE_SQLITE_ROLLBACK);
    }
}


uint64_t
store_sqlite_writer_wal_bytes(const struct store_sqlite_writer *w)
{
    struct stat  st;

    return stat(w->wal, &st) == 0 ? (uint64_t) st.st_size : 0;
}

