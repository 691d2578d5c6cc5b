/*
 * conf_value: the text of an option to the value in the struct
 *
 *     "10s" --type--> 10000 --min, max, check--> struct
 */

#include "conf_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* "10s", "64k": a number and a unit.  PUSH_ERROR: no number, or too large. */
static int
conf_value_parse(const char *s, enum conf_type type, int64_t *value)
{
    size_t    i, n;
    uint64_t  number;

    static const struct { enum conf_type type; const char *unit; int64_t by; }
    units[] = {
        { CONF_INT,  "",   1 },
        { CONF_TIME, "",   1000 },
        { CONF_TIME, "ms", 1 },
        { CONF_TIME, "s",  1000 },
        { CONF_TIME, "m",  60 * 1000 },
        { CONF_TIME, "h",  3600 * 1000 },
        { CONF_TIME, "d",  86400 * 1000 },
        { CONF_SIZE, "",   1 },
        { CONF_SIZE, "k",  1024 },
        { CONF_SIZE, "m",  1024 * 1024 },
        { CONF_SIZE, "g",  1024 * 1024 * 1024 }
    };

    n = strspn(s, "0123456789");

    if (push_uint_parse((struct push_str) { s, n }, INT64_MAX, &number)
        != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].type == type && strcasecmp(s + n, units[i].unit) == 0) {
            return __builtin_mul_overflow((int64_t) number, units[i].by, value)
                   ? PUSH_ERROR : PUSH_OK;
        }
    }

    return PUSH_ERROR;
}


/* A bound in the units that an operator writes. */
static const char *
conf_value_bound(char *to, size_t size, enum conf_type type, int64_t n)
{
    if (type == CONF_TIME) {
        snprintf(to, size, n % 1000 ? "%lldms" : "%llds",
                 (long long) (n % 1000 ? n : n / 1000));

    } else if (type == CONF_SIZE && n >= 1024 * 1024 && n % (1024 * 1024) == 0)
    {
        snprintf(to, size, "%lldm", (long long) (n / (1024 * 1024)));

    } else if (type == CONF_SIZE && n >= 1024 && n % 1024 == 0) {
        snprintf(to, size, "%lldk", (long long) (n / 1024));

    } else {
        snprintf(to, size, "%lld", (long long) n);
    }

    return to;
}


static int
conf_value_number(struct conf_reader *r, const struct conf_row *row,
    unsigned line, const char *s, void *to)
{
    int          rc;
    char         min[32], max[32];
    int64_t      value;
    const char  *what;

    what = row->type == CONF_TIME ? "a time such as 500ms, 10s or 5m"
           : row->type == CONF_SIZE ? "a size such as 512, 64k or 64m"
           : "a number";

    rc = conf_value_parse(s, row->type, &value);

    conf_value_bound(min, sizeof(min), row->type, row->min);
    conf_value_bound(max, sizeof(max), row->type, row->max);

    if (rc == PUSH_OK && value >= row->min
        && (row->max == 0 || value <= row->max))
    {
        *(int64_t *) to = value;
        return PUSH_OK;
    }

    if (row->max != 0) {
        return conf_failed(r, line, row->name,
                           "must be %s, from %s to %s, not \"%.80s\"", what,
                           min, max, s);
    }

    return conf_failed(r, line, row->name,
                       "must be %s, at least %s, not \"%.80s\"", what, min, s);
}


int
conf_value_check(struct conf_reader *r, const struct conf_row *row, unsigned line,
    const char *s)
{
    char  text[256];

    if (row->check != NULL && row->check(s, text, sizeof(text)) != PUSH_OK) {
        return conf_failed(r, line, row->name, "%s", text);
    }

    return PUSH_OK;
}


static int
conf_value_string(struct conf_reader *r, const struct conf_row *row,
    unsigned line, const char *s, void *to)
{
    int64_t  len;

    len = (int64_t) strlen(s);

    if (row->fallback == NULL || strcmp(s, row->fallback) != 0) {

        if (len < row->min || (row->max != 0 && len > row->max)) {
            return row->max == 0
                   ? conf_failed(r, line, row->name, "must not be empty")
                   : conf_failed(r, line, row->name,
                                 "must have %lld to %lld bytes",
                                 (long long) row->min, (long long) row->max);
        }

        if (conf_value_check(r, row, line, s) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    *(char **) to = strdup(s);

    return *(char **) to != NULL
           ? PUSH_OK : conf_failed(r, line, row->name, "out of memory");
}


static int
conf_value_word(struct conf_reader *r, const struct conf_row *row, unsigned line,
    const char *s, void *to)
{
    int     i;
    char    words[256];
    size_t  n;

    n = 0;
    words[0] = '\0';

    for (i = 0; row->words[i] != NULL; i++) {
        if (strcmp(s, row->words[i]) == 0) {
            *(int *) to = i;
            return PUSH_OK;
        }

        if (n < sizeof(words)) {
            n += (size_t) snprintf(words + n, sizeof(words) - n, "%s%s",
                                   i ? ", " : "", row->words[i]);
        }
    }

    return conf_failed(r, line, row->name, "must be one of %s, not \"%.80s\"",
                       words, s);
}


static int
conf_value_bool(struct conf_reader *r, const struct conf_row *row, unsigned line,
    const char *s, void *to)
{
    size_t  i;

    static const char *const  words[] = {
        "on", "off", "yes", "no", "true", "false"
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(s, words[i]) == 0) {
            *(bool *) to = i % 2 == 0;
            return PUSH_OK;
        }
    }

    return conf_failed(r, line, row->name, "must be on or off, not \"%.80s\"",
                       s);
}


int
conf_value_set(struct conf_reader *r, const struct conf_row *row, unsigned line,
    const char *s, void *to)
{
    switch (row->type) {
    case CONF_STRING:
        return conf_value_string(r, row, line, s, to);
    case CONF_WORD:
        return conf_value_word(r, row, line, s, to);
    case CONF_BOOL:
        return conf_value_bool(r, row, line, s, to);
    default:
        return conf_value_number(r, row, line, s, to);
    }
}
