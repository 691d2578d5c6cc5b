/*
 * store_mongo_owners: the documents of many cursors, and the logs they are in
 *
 *     (log, uid, index) ... --add--> sorted --find--> owners with a document
 *     log names         ... --add--> sorted --find--> tips and floors
 *
 * in:   names, borrowed.  out: each owner once, with its document
 * owns: the documents
 *
 * A device's name is the name of a field, in which a dot would be a step: it
 * is written as a slash, which no name has.
 */

#ifndef STORE_MONGO_OWNERS_H
#define STORE_MONGO_OWNERS_H

#include "store_mongo.h"

#define MONGO_PATH_MAX  (PUSH_NAME_MAX + 32)

struct mongo_ref {
    struct push_str log;
    struct push_str uid;
    size_t          index;      /* the caller's */
};

struct mongo_owner {
    struct push_str  log;
    struct push_str  uid;
    bson_t          *document;  /* NULL: there is none */
    size_t           first;     /* its refs */
    size_t           count;
};

struct mongo_owners {
    struct mongo_ref   *refs;   /* sorted by log, uid, index */
    size_t              ref_count;
    struct mongo_owner *owners;
    size_t              count;
};

/* PUSH_OK, PUSH_ERROR: out of memory. */
int mongo_owners_init(struct mongo_owners *o, size_t max);
void mongo_owners_add(struct mongo_owners *o, struct push_str log,
    struct push_str uid, size_t index);
/* PUSH_OK; PUSH_ERROR: c->error. */
int mongo_owners_find(struct mongo_owners *o, struct store_mongo_conn *c);
void mongo_owners_deinit(struct mongo_owners *o);

void mongo_owner_id(bson_t *to, const char *name, struct push_str log,
    struct push_str uid);

struct mongo_device {
    struct push_str name;       /* as it is a field, or as it is */
    int64_t         start;
    int64_t         acked;      /* -1: none */
    int64_t         at;
};

/* The devices of a document, one a call; false: no more. */
bool mongo_owner_next(const struct mongo_owner *owner, bool first,
    bson_iter_t *iter, struct mongo_device *device);
/* The device of this name; false: it is not there. */
bool mongo_owner_device(const struct mongo_owner *owner, struct push_str name,
    struct mongo_device *device);
bool mongo_device_is(const struct mongo_device *device, struct push_str name);
/* "devices.<name>.<field>"; field NULL: the device.  to: MONGO_PATH_MAX. */
void mongo_device_path(char *to, struct push_str name, const char *field);
/* In place: the name as it is.  to: PUSH_NAME_MAX. */
struct push_str mongo_device_name(char *to, struct push_str field);

/* Logs, each once. */
struct mongo_names {
    struct store_mongo_log *logs;
    size_t                  count;
};

int mongo_names_init(struct mongo_names *n, size_t max);
void mongo_names_add(struct mongo_names *n, struct push_str name);
int mongo_names_find(struct mongo_names *n, struct store_mongo_conn *c);
/* It was added. */
struct store_mongo_log *mongo_names_get(const struct mongo_names *n,
    struct push_str name);
void mongo_names_deinit(struct mongo_names *n);

#endif
