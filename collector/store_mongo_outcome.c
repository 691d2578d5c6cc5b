/*
 * store_mongo_outcome: a reply to inserts --> what became of each
 *
 *     {writeErrors: [{index: 3, code: 11000, ...}]}  --> item 3: taken
 *     writeConcernErrors, no reply, a step-down      --> nothing is known
 *
 * in:   a step, the reply that the driver put together, its error
 * out:  the items' results; or why nothing is known
 * owns: nothing.  Pure: a test feeds it replies
 */

#include "store_mongo.h"

#include <stdio.h>
#include <string.h>

#define OUTCOME_DUPLICATE  11000

/* Codes of the server that tell nothing of a document: it was interrupted. */
static const int32_t outcome_unknown[] = {
    91,                         /* ShutdownInProgress */
    189,                        /* PrimarySteppedDown */
    10058,                      /* LegacyNotPrimary */
    10107,                      /* NotWritablePrimary */
    11600,                      /* InterruptedAtShutdown */
    11601,                      /* Interrupted */
    11602,                      /* InterruptedDueToReplStateChange */
    13435,                      /* NotPrimaryNoSecondaryOk */
    13436,                      /* NotPrimaryOrSecondary */
    50,                         /* MaxTimeMSExpired */
    262                         /* ExceededTimeLimit */
};

static int outcome_array(const bson_t *reply, const char *name,
    bson_iter_t *items);
static int outcome_error(struct store_step *step, const bson_t *doc,
    size_t *lowest, char *why, size_t size);
static bool outcome_by_id(const bson_t *doc);


int
store_mongo_outcome(struct store_step *step, bool accepted,
    const bson_t *reply, const bson_error_t *error, char *why, size_t size)
{
    size_t          i, lowest;
    uint32_t        len;
    bson_t          doc;
    bson_iter_t     items;
    const uint8_t  *data;

    if (outcome_array(reply, "writeConcernErrors", &items) == PUSH_OK) {
        snprintf(why, size,
                 "no majority of the replica set has confirmed the write");
        return PUSH_ERROR;
    }

    if (!accepted && outcome_array(reply, "writeErrors", &items) != PUSH_OK) {
        snprintf(why, size, "%s", error->message);
        return PUSH_ERROR;
    }

    for (i = 0; i < step->count; i++) {
        step->items[i].result = STORE_STEP_DONE;
    }

    if (accepted) {
        return PUSH_OK;
    }

    lowest = step->count;

    do {
        if (!BSON_ITER_HOLDS_DOCUMENT(&items)) {
            snprintf(why, size, "the reply to an insert is not understood");
            goto unknown;
        }

        bson_iter_document(&items, &len, &data);

        if (!bson_init_static(&doc, data, len)
            || outcome_error(step, &doc, &lowest, why, size) != PUSH_OK)
        {
            goto unknown;
        }
    } while (bson_iter_next(&items));

    for (i = lowest + 1; step->ordered && i < step->count; i++) {
        step->items[i].result = STORE_STEP_NOT_TRIED;
    }

    return PUSH_OK;

unknown:

    for (i = 0; i < step->count; i++) {
        step->items[i].result = STORE_STEP_UNKNOWN;
    }

    return PUSH_ERROR;
}


/* PUSH_OK: the array is there and not empty, and *items is at its first. */
static int
outcome_array(const bson_t *reply, const char *name, bson_iter_t *items)
{
    bson_iter_t  iter;

    if (!bson_iter_init_find(&iter, reply, name)
        || !BSON_ITER_HOLDS_ARRAY(&iter)
        || !bson_iter_recurse(&iter, items)
        || !bson_iter_next(items))
    {
        return PUSH_DECLINED;
    }

    return PUSH_OK;
}


static int
outcome_error(struct store_step *step, const bson_t *doc, size_t *lowest,
    char *why, size_t size)
{
    size_t                   i;
    int64_t                  index, code;
    bson_iter_t              iter;
    struct store_step_item  *item;

    index = store_mongo_get_int(doc, "index");
    code = store_mongo_get_int(doc, "code");

    if (!bson_iter_init_find(&iter, doc, "index") || index < 0
        || (size_t) index >= step->count || code == 0)
    {
        snprintf(why, size, "the reply to an insert is not understood");
        return PUSH_ERROR;
    }

    for (i = 0; i < sizeof(outcome_unknown) / sizeof(int32_t); i++) {
        if (code == outcome_unknown[i]) {
            snprintf(why, size, "the insert was interrupted: the primary of "
                     "the replica set is changing");
            return PUSH_ERROR;
        }
    }

    item = &step->items[index];
    *lowest = (size_t) index < *lowest ? (size_t) index : *lowest;

    if (code != OUTCOME_DUPLICATE) {
        item->result = STORE_STEP_REFUSED;
        item->text = "the server refuses the document";
        return PUSH_OK;
    }

    item->result = outcome_by_id(doc) ? STORE_STEP_SEQ_TAKEN
                                      : STORE_STEP_KEY_TAKEN;

    return PUSH_OK;
}


/*
 * Newer servers name the index by its keys; in the text it stands before
 * anything that a publisher wrote.
 */
static bool
outcome_by_id(const bson_t *doc)
{
    bson_iter_t      iter, key;
    struct push_str  text;

    if (bson_iter_init_find(&iter, doc, "keyPattern")
        && BSON_ITER_HOLDS_DOCUMENT(&iter)
        && bson_iter_recurse(&iter, &key))
    {
        return bson_iter_next(&key) && strcmp(bson_iter_key(&key), "_id") == 0;
    }

    text = store_mongo_get_str(doc, "errmsg");

    return text.len && strstr(text.data, " index: log_key ") == NULL;
}
