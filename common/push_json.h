/*
 * push_json: validating slicer for client frames and publish bodies
 *
 *     text --push_json_object--> members: name and raw value, borrowed
 *
 * No tree, no allocation, no recursion: one pass checks the whole grammar
 * (RFC 8259), UTF-8 and depth, and finds the members of the outermost object.
 * A value stays the bytes that came (-0, 1e400, long integers, \u0000, doubled
 * members deeper down are all legal).
 */

#ifndef PUSH_JSON_H
#define PUSH_JSON_H

#include "push.h"

enum push_json_type {
    PUSH_JSON_NULL,
    PUSH_JSON_FALSE,
    PUSH_JSON_TRUE,
    PUSH_JSON_NUMBER,
    PUSH_JSON_STRING,
    PUSH_JSON_ARRAY,
    PUSH_JSON_OBJECT
};

struct push_json_value {
    enum push_json_type type;
    struct push_str     raw;        /* as it came, a string with its quotes */
};

struct push_json_member {
    struct push_str        name;    /* raw, without quotes, escapes kept */
    bool                   escaped; /* name contains a backslash */
    struct push_json_value value;
};

struct push_json_error {
    size_t at;                      /* byte offset in the text */
    char   text[96];                /* "expected ':' after a member's name" */
};

/*
 * Checks that text is one JSON value with optional white space around, at most
 * depth levels of arrays and objects (a scalar has 0).  PUSH_OK or PUSH_ERROR.
 */
int push_json_check(struct push_str text, unsigned depth,
    struct push_json_value *value, struct push_json_error *error);

/*
 * The same for an object or array whose members or elements are wanted.
 * At most max of them are stored, *count says how many there are; more than
 * max, or doubled names of an object (compared after unescaping): an error.
 * Elements of an array have an empty name.  white space is not in raw.
 */
int push_json_object(struct push_str text, unsigned depth,
    struct push_json_member *members, size_t max, size_t *count,
    struct push_json_error *error);
int push_json_array(struct push_str text, unsigned depth,
    struct push_json_value *values, size_t max, size_t *count,
    struct push_json_error *error);

/*
 * The member's name, unescaped, is this text, which has no backslash itself.
 */
bool push_json_name_is(const struct push_json_member *m, const char *name);

/*
 * Walk through the elements of a validated raw array, for arrays too long for
 * a table.  *pos starts as NULL.  false: no more.
 */
bool push_json_next(struct push_str array, const char **pos,
    struct push_json_value *value);

/*
 * Unescapes a validated string value into to.  Returns its length, or
 * (size_t) -1: longer than size, or it has \u0000 or a lone surrogate.
 */
size_t push_json_string(const struct push_json_value *value, char *to,
    size_t size);

/*
 * A non-negative integer up to max, written without fraction and exponent.
 * PUSH_OK or PUSH_ERROR.
 */
int push_json_uint(const struct push_json_value *value, uint64_t max,
    uint64_t *number);

/*
 * Writes s as a JSON string with quotes: control characters, '"' and '\' are
 * escaped, other bytes pass.  Returns the bytes that it needs; if that is more
 * than size nothing was written.  s must be UTF-8.
 */
size_t push_json_quote(char *to, size_t size, struct push_str s);

#endif
