/*
 * conf_value: the text of an option to the value in the struct
 *
 * in:   a row, a text and its line.  out: *to, or an error
 * owns: nothing; a string in *to is the struct's
 *
 * Only for conf.c.
 */

#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "conf_scan.h"

/* Of any type but lists and sections.  PUSH_OK, or PUSH_ERROR. */
int conf_value_set(struct conf_reader *r, const struct conf_row *row,
    unsigned line, const char *s, void *to);

/* The row's own check, if it has one. */
int conf_value_check(struct conf_reader *r, const struct conf_row *row,
    unsigned line, const char *s);

#endif
