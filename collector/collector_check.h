/*
 * collector_check: a publish body, checked (docs/protocol.md 2)
 *
 *     {"to":{"user":"u42"},"data":…,"key":…,"ttl":…,"ephemeral":…}
 *         --> targets, data as it came, key, ttl; or which member is wrong
 *
 * in:   a text.  out: strings that borrow from it, or a status and a sentence
 * owns: nothing
 *
 * Pure.  The rules:
 *
 *     to         exactly one of user, users (1 to 1000, none twice), all:true;
 *                a uid that begins with ".canary." is not for publishers;
 *                group is refused: this version has no groups
 *     data       any JSON, at most 256 KB and 32 levels; required
 *     key        1 to 64 bytes of A-Z a-z 0-9 . _ : -
 *     ttl        an integer of 1 to 2592000 seconds
 *     ephemeral  true or false; true allows neither key nor ttl: nothing is
 *                stored that could be found again or expire
 *
 * Unknown, doubled and missing members are refused by name.
 */

#ifndef COLLECTOR_CHECK_H
#define COLLECTOR_CHECK_H

#include "push.h"

#define CHECK_BODY_MAX     (1024 * 1024)            /* one publish */
#define CHECK_BATCH_MAX    (16 * 1024 * 1024)
#define CHECK_USERS_MAX    1000
#define CHECK_TTL_MAX      2592000                  /* 30 days */
#define CHECK_LIMIT_MAX    1000
#define CHECK_LIMIT        100

struct collector_check {
    bool            users;          /* "users": answered with a list */
    size_t          count;          /* of targets */
    struct push_str data;           /* borrowed from the body, as it came */
    char            key[PUSH_KEY_MAX];
    size_t          key_len;        /* 0: none */
    int64_t         ttl;            /* seconds, 0: for ever */
    bool            ephemeral;

    /* for collector_check_log() */
    struct push_str target;         /* raw user or users; empty: all */
};

struct collector_check_error {
    unsigned status;                /* 400 or 413 */
    char     text[200];             /* ASCII; names the place */
};

/* PUSH_OK; PUSH_ERROR: error is set. */
int collector_check_publish(struct push_str body, struct collector_check *c,
    struct collector_check_error *error);

/*
 * Walks through the targets: writes the full name of the next log, returns its
 * length; 0: no more.  *pos starts as NULL.
 */
size_t collector_check_log(const struct collector_check *c, const char **pos,
    char log[PUSH_LOG_MAX]);

/*
 * The next line of a batch that is not blank: false: no more.  *pos starts as
 * body.data, *number as 0: it counts the blank ones too.
 */
bool collector_check_line(struct push_str body, const char **pos,
    struct push_str *line, unsigned *number);

/* "<log>@<seq>".  PUSH_OK; PUSH_ERROR: no id. */
int collector_check_id(struct push_str id, struct push_str *log, int64_t *seq);

/* A uid in a path.  PUSH_OK, or PUSH_ERROR and a text. */
int collector_check_uid(struct push_str uid,
    struct collector_check_error *error);

/*
 * Values of ?after= and ?limit=, data NULL: absent: 0 and CHECK_LIMIT.
 * PUSH_OK, or PUSH_ERROR and a text.
 */
int collector_check_page(struct push_str after, struct push_str limit,
    int64_t *from, size_t *max, struct collector_check_error *error);

#endif
