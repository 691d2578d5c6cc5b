/*
 * store_mongo_read: pages, one message, places
 *
 * in:   a read request.  out: its results, in one block of memory
 * owns: nothing
 *
 * What is missing below the tip is told as gone for ever, so the messages must
 * never come from an older view than the tip: all reads of a request are in
 * one session, in which views only get newer, even if another member answers.
 * And only what the head covers can be gone.
 *
 * A session says nothing of what others were told: a primary that the rest of
 * the set has replaced answers majority reads from its old view until it
 * notices.  If it has to be certain, read_confirm() writes before.
 */

#include "store_mongo.h"

#include "store_page.h"

#include <stdlib.h>
#include <string.h>

#define READ_PAGE_TRIES  3      /* the GC may come between head and page */

static int read_confirm(struct store_mongo_conn *c);
static int read_page(struct store_mongo_conn *c, struct store_read *r,
    int64_t now_s);
static int read_page_try(struct store_mongo_conn *c, struct store_read *r,
    int64_t now_s);
static int read_page_find(struct store_mongo_conn *c, struct store_page *page,
    int64_t head);
static int read_page_document(struct store_page *page, int64_t head,
    const bson_t *doc);
static int read_get(struct store_mongo_conn *c, struct store_get *g,
    int64_t now_s);
static int read_get_message(struct store_mongo_conn *c, struct store_get *g,
    int64_t now_s);
static struct push_str read_data(const bson_t *doc);


void
store_mongo_read(struct store_mongo_conn *c, struct store_request *r,
    int64_t now_ms)
{
    int                        rc;
    struct store_cursors_get  *get;

    rc = store_mongo_session_begin(c);

    if (rc == PUSH_OK) {
        switch (r->call) {

        case STORE_READ:
            rc = read_page(c, (struct store_read *) r, now_ms / 1000);
            break;

        case STORE_GET:
            rc = read_get(c, (struct store_get *) r, now_ms / 1000);
            break;

        case STORE_CURSORS_GET:
            get = (struct store_cursors_get *) r;
            rc = get->certain ? read_confirm(c) : PUSH_OK;

            if (rc == PUSH_OK) {
                rc = store_mongo_cursors_get(c, get);
            }

            break;

        default:    /* STORE_TAIL: there are no rows of others */
            ((struct store_tail *) r)->last = ((struct store_tail *) r)->after;
        }
    }

    store_mongo_session_end(c);

    if (rc != PUSH_OK) {
        r->result = STORE_UNAVAILABLE;
        memcpy(r->error, c->error, sizeof(r->error));
    }
}


/*
 * Reads of the session from now on see all that was acknowledged to anybody
 * before this call.
 *
 * Only the primary of the newest term gets a majority for a write, and what a
 * majority had before is below that write in its log.  The session's reads are
 * causally after the write (afterClusterTime), so whoever answers has it, and
 * all below it, committed.
 *
 * Not read concern linearizable: it holds for a query that names one document,
 * and the last one of a log has no name yet; nor may it be in such a session.
 *
 * A counter, as an update that changes nothing is no write.  Whoever has lost
 * its document, by a restore, gets one as a start makes it.
 */
static int
read_confirm(struct store_mongo_conn *c)
{
    bool          ok;
    bson_t        id, update, fields, options;
    bson_error_t  error;

    bson_init(&id);
    bson_append_utf8(&id, "_id", -1, c->db->node, -1);

    bson_init(&update);
    bson_append_document_begin(&update, "$inc", -1, &fields);
    bson_append_int64(&fields, "confirmed", -1, 1);
    bson_append_document_end(&update, &fields);
    bson_append_document_begin(&update, "$setOnInsert", -1, &fields);
    bson_append_bool(&fields, "clean", -1, false);
    bson_append_document_end(&update, &fields);

    bson_init(&options);
    bson_append_bool(&options, "upsert", -1, true);

    ok = mongoc_client_session_append(c->session, &options, &error)
         && mongoc_collection_update_one(c->collections[MONGO_COLLECTORS],
                                         &id, &update, &options, NULL,
                                         &error);
    bson_destroy(&options);
    bson_destroy(&update);
    bson_destroy(&id);

    return ok ? PUSH_OK : store_mongo_fail(c, &error);
}


static int
read_page(struct store_mongo_conn *c, struct store_read *r, int64_t now_s)
{
    int  rc, tries;

    for (tries = 0; tries < READ_PAGE_TRIES; tries++) {
        rc = read_page_try(c, r, now_s);

        if (rc != PUSH_AGAIN) {
            return rc;
        }
    }

    return store_mongo_say(c, "numbers of the log are missing above its head");
}


static int
read_page_try(struct store_mongo_conn *c, struct store_read *r, int64_t now_s)
{
    int                     rc;
    struct store_page       page;
    struct store_mongo_log  log;

    memset(&log, 0, sizeof(log));
    log.name = r->log;
    log.last = true;

    if (store_mongo_logs(c, &log, 1) != PUSH_OK) {
        return PUSH_ERROR;
    }

    r->floor = log.floor;
    r->tip = log.tip;

    if (r->after == STORE_AFTER_FLOOR) {
        r->after = r->floor;

    } else if (r->after == STORE_AFTER_TIP) {
        r->after = r->tip;
    }

    r->last = r->after;

    if (r->after >= r->tip) {
        return PUSH_OK;
    }

    if (store_page_begin(&page, r, now_s) != PUSH_OK) {
        return store_mongo_say(c, "out of memory");
    }

    rc = read_page_find(c, &page, log.head);

    if (rc == PUSH_OK) {
        store_page_end(&page);

    } else {
        store_page_drop(&page);
    }

    return rc;
}


static int
read_page_find(struct store_mongo_conn *c, struct store_page *page,
    int64_t head)
{
    int                 rc, added;
    bson_t              query, options, sort;
    int64_t             left;
    const bson_t       *doc;
    bson_error_t        error;
    mongoc_cursor_t    *cursor;
    struct store_read  *r;

    r = page->r;
    left = (int64_t) r->max + 1;

    bson_init(&query);
    store_mongo_range(&query, r->log, r->after, r->tip);

    bson_init(&options);
    bson_append_document_begin(&options, "sort", -1, &sort);
    bson_append_int32(&sort, "_id", -1, 1);
    bson_append_document_end(&options, &sort);
    bson_append_int64(&options, "limit", -1, left);
    rc = store_mongo_read_options(c, &options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_find_with_opts(
                     c->collections[MONGO_MESSAGES], &query, &options, NULL);
        added = PUSH_OK;

        while (added == PUSH_OK && mongoc_cursor_next(cursor, &doc)) {
            added = read_page_document(page, head, doc);
            left--;
        }

        if (mongoc_cursor_error(cursor, &error)) {
            rc = store_mongo_fail(c, &error);

        } else if (added == PUSH_ERROR) {
            rc = PUSH_AGAIN;

        } else if (added == PUSH_DECLINED) {
            rc = store_mongo_say(c, "out of memory");

        } else if (added == PUSH_OK && left && r->last < r->tip) {
            rc = r->tip <= head ? PUSH_OK : PUSH_AGAIN;
            (void) store_page_gone(page, r->tip);
        }

        mongoc_cursor_destroy(cursor);
    }

    bson_destroy(&options);
    bson_destroy(&query);

    return rc;
}


/* PUSH_ERROR: a hole that the head does not cover. */
static int
read_page_document(struct store_page *page, int64_t head, const bson_t *doc)
{
    int64_t          seq;
    struct push_str  data;

    seq = store_mongo_get_int(doc, "_id.seq");

    if (seq > page->r->last + 1 && seq - 1 > head) {
        return PUSH_ERROR;
    }

    data = read_data(doc);

    return store_page_add(page, seq, store_mongo_get_int(doc, "ts"),
                          store_mongo_get_int(doc, "expires"), data.data,
                          data.len);
}


/* data NULL: a stub. */
static struct push_str
read_data(const bson_t *doc)
{
    uint32_t         len;
    bson_iter_t      iter;
    struct push_str  data;

    data.data = NULL;
    data.len = 0;

    if (bson_iter_init_find(&iter, doc, "data") && BSON_ITER_HOLDS_UTF8(&iter))
    {
        data.data = bson_iter_utf8(&iter, &len);
        data.len = len;
    }

    return data;
}


static int
read_get(struct store_mongo_conn *c, struct store_get *g, int64_t now_s)
{
    struct store_mongo_log  log;

    g->state = STORE_NEVER;
    g->ts_ms = 0;
    g->expires = 0;

    memset(&log, 0, sizeof(log));
    log.name = g->log;
    log.last = true;

    if (store_mongo_logs(c, &log, 1) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (g->seq < 1 || g->seq > log.tip) {
        return PUSH_OK;
    }

    g->state = STORE_EXPIRED;

    if (read_get_message(c, g, now_s) != PUSH_OK) {
        return PUSH_ERROR;
    }

    return store_mongo_cursors_acked(c, g);
}


static int
read_get_message(struct store_mongo_conn *c, struct store_get *g,
    int64_t now_s)
{
    int               rc;
    bson_t            query, options;
    const bson_t     *doc;
    bson_error_t      error;
    mongoc_cursor_t  *cursor;

    bson_init(&query);
    bson_init(&options);
    store_mongo_id(&query, "_id", g->log, g->seq);
    rc = store_mongo_read_options(c, &options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_find_with_opts(
                     c->collections[MONGO_MESSAGES], &query, &options, NULL);

        if (mongoc_cursor_next(cursor, &doc)) {
            g->ts_ms = store_mongo_get_int(doc, "ts");
            g->expires = store_mongo_get_int(doc, "expires");

            if (read_data(doc).data
                && (g->expires == 0 || now_s < g->expires))
            {
                g->state = STORE_THERE;
            }
        }

        if (mongoc_cursor_error(cursor, &error)) {
            rc = store_mongo_fail(c, &error);
        }

        mongoc_cursor_destroy(cursor);
    }

    bson_destroy(&options);
    bson_destroy(&query);

    return rc;
}
