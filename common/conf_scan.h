/*
 * conf_scan: what of a configuration file is checked before libconfuse reads it
 *
 * in:   the text.  out: where each option and section stands, or an error
 * owns: nothing; places borrow from the text
 *
 * Only for conf.c and conf_value.c.
 */

#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include "conf.h"

#define CONF_PLACES_MAX  4096

/* Where an option or a section stands. */
struct conf_place {
    struct push_str  name;
    unsigned         line;
    unsigned         scope;     /* 0: outermost; else the section it is in */
    unsigned         opens;     /* the scope that this section opens, or 0 */
};

struct conf_reader {
    const char        *file;
    struct conf_error *error;
    char              *text;
    size_t             len;

    struct conf_place *places;
    size_t             places_count;

    /* of conf_scan() */
    const char        *p;
    unsigned           line;
    unsigned           scope;
    unsigned           scopes;
    unsigned           depth;
    bool               list;        /* between '=' '{' and its '}' */
    bool               assigned;    /* the last token was '=' */
    struct push_str    word;        /* the last two words */
    struct push_str    before;
};

/* Writes the error, gives PUSH_ERROR. */
#define conf_failed(r, at, option, ...)                                       \
    (conf_error((r)->error, (r)->file, at, option, __VA_ARGS__), PUSH_ERROR)

/*
 * Strings and comments have their ends, each ${NAME} is set or has a default,
 * nothing is given twice; places is filled (room for CONF_PLACES_MAX).
 * PUSH_OK, or PUSH_ERROR and the error is set.
 */
int conf_scan(struct conf_reader *r);

/*
 * The line of an option in the nth section of that name (on top: NULL); of the
 * section itself: name is NULL, or the option is not there.  0: unknown.
 */
unsigned conf_scan_line(const struct conf_reader *r, const char *section,
    size_t nth, const char *name);

#endif
