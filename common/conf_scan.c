/*
 * conf_scan: what of a configuration file is checked before libconfuse reads it
 *
 *     text --> words, strings, comments, ${NAME}, = { } --> places
 *
 * libconfuse lets the last of two assignments win, takes an unset variable as
 * "", and leaves its scanner inside a string that does not end.  So those are
 * found here, as is a missing "}"; all other faults of grammar are left to it.
 */

#include "conf_scan.h"

#include <stdlib.h>
#include <string.h>

#define CONF_SCAN_VARIABLE  64


/* At "${": the variable is to be set, or to have a default, ${NAME:-text}. */
static int
conf_scan_variable(struct conf_reader *r)
{
    char         name[CONF_SCAN_VARIABLE];
    size_t       len;
    const char  *end;

    end = strchr(r->p, '}');
    if (end == NULL) {
        return conf_failed(r, r->line, NULL, "\"${\" without \"}\"");
    }

    len = strcspn(r->p + 2, ":}");

    if (len == 0 || len >= sizeof(name)) {
        return conf_failed(r, r->line, NULL, "bad name of a variable in ${}");
    }

    memcpy(name, r->p + 2, len);
    name[len] = '\0';

    if (r->p[2 + len] == '}' && getenv(name) == NULL) {
        return conf_failed(r, r->line, NULL,
                           "${%s} is not set in the environment", name);
    }

    for ( ; r->p < end; r->p++) {
        r->line += *r->p == '\n';
    }

    return PUSH_OK;
}


static int
conf_scan_string(struct conf_reader *r)
{
    char      quote;
    unsigned  line;

    quote = *r->p++;
    line = r->line;

    for ( ; *r->p != '\0' && *r->p != quote; r->p++) {

        if (*r->p == '\\' && r->p[1] != '\0') {
            r->p++;

        } else if (quote == '"' && r->p[0] == '$' && r->p[1] == '{'
                   && conf_scan_variable(r) != PUSH_OK)
        {
            return PUSH_ERROR;
        }

        r->line += *r->p == '\n';
    }

    if (*r->p == '\0') {
        return conf_failed(r, line, NULL, "string without its end");
    }

    return PUSH_OK;
}


/* libconfuse miscounts the lines of comments: it gets spaces instead. */
static void
conf_scan_blank(struct conf_reader *r, const char *from)
{
    char  *s;

    for (s = r->text + (from - r->text); s <= r->p; s++) {
        if (*s != '\n') {
            *s = ' ';
        }
    }
}


static int
conf_scan_comment(struct conf_reader *r)
{
    unsigned     line;
    const char  *from;

    from = r->p;

    if (r->p[1] != '*') {
        r->p += strcspn(r->p, "\n") - 1;
        conf_scan_blank(r, from);
        return PUSH_OK;
    }

    line = r->line;

    for (r->p += 2; *r->p != '\0'; r->p++) {
        if (r->p[0] == '*' && r->p[1] == '/') {
            r->p++;
            conf_scan_blank(r, from);
            return PUSH_OK;
        }

        r->line += *r->p == '\n';
    }

    return conf_failed(r, line, NULL, "comment without its end");
}


static int
conf_place(struct conf_reader *r, struct push_str name, bool section)
{
    size_t              i;
    struct conf_place  *p;

    for (i = 0; !section && i < r->places_count; i++) {
        p = &r->places[i];

        if (p->scope == r->scope && !p->opens && push_str_eq(p->name, name)) {
            conf_error(r->error, r->file, r->line, NULL,
                       "option \"%.*s\": is given twice, first in line %u",
                       (int) (name.len < 64 ? name.len : 64), name.data,
                       p->line);
            return PUSH_ERROR;
        }
    }

    if (r->places_count == CONF_PLACES_MAX) {
        return conf_failed(r, r->line, NULL, "too many options");
    }

    p = &r->places[r->places_count++];
    *p = (struct conf_place) { name, r->line, r->scope, 0 };

    if (section) {
        p->opens = ++r->scopes;
        r->scope = p->opens;
    }

    return PUSH_OK;
}


/*
 * One of = { } at r->p.  Sections do not nest here, so the scope behind a '}'
 * is the outermost; anything odd is left to libconfuse, which names it.
 */
static int
conf_scan_mark(struct conf_reader *r)
{
    int  rc;

    rc = PUSH_OK;

    switch (*r->p) {

    case '=':
        if (!r->list && r->word.len > 0) {
            rc = conf_place(r, r->word, false);
        }

        r->assigned = true;
        return rc;

    case '{':
        if (r->assigned) {
            r->list = true;

        } else {
            /* `key {` has no title, `key one {` has one */
            rc = conf_place(r, r->before.len > 0 ? r->before : r->word, true);
        }

        break;

    case '}':
        if (r->list) {
            r->list = false;

        } else {
            r->scope = 0;
        }

        break;
    }

    r->assigned = false;
    r->word.len = 0;
    r->before.len = 0;

    return rc;
}


static void
conf_scan_word(struct conf_reader *r, const char *from, size_t len)
{
    if (r->list) {
        return;
    }

    if (r->assigned) {          /* a value: the next word begins anew */
        r->assigned = false;
        r->word.len = 0;
        r->before.len = 0;
        return;
    }

    r->before = r->word;
    r->word = (struct push_str) { from, len };
}


int
conf_scan(struct conf_reader *r)
{
    const char  *from;

    r->p = r->text;
    r->line = 1;

    for ( ; *r->p != '\0'; r->p++) {
        from = r->p;

        if (*r->p == '\n') {
            r->line++;

        } else if (*r->p == '#'
                   || (*r->p == '/' && (r->p[1] == '/' || r->p[1] == '*')))
        {
            if (conf_scan_comment(r) != PUSH_OK) {
                return PUSH_ERROR;
            }

        } else if (*r->p == '"' || *r->p == '\'') {
            if (conf_scan_string(r) != PUSH_OK) {
                return PUSH_ERROR;
            }

            conf_scan_word(r, from + 1, (size_t) (r->p - from) - 1);

        } else if (r->p[0] == '$' && r->p[1] == '{') {
            if (conf_scan_variable(r) != PUSH_OK) {
                return PUSH_ERROR;
            }

            conf_scan_word(r, from, (size_t) (r->p - from) + 1);

        } else if (*r->p == '+' && r->p[1] == '=') {
            return conf_failed(r, r->line, NULL,
                               "\"+=\" is not used here: give one list");

        } else if (strchr("={}", *r->p) != NULL) {
            if (conf_scan_mark(r) != PUSH_OK) {
                return PUSH_ERROR;
            }

        } else if (strchr(" \t\r,()+*/", *r->p) == NULL) {
            r->p += strcspn(r->p, " #\"'\t\n\r={}()+,") - 1;
            conf_scan_word(r, from, (size_t) (r->p - from) + 1);
        }
    }

    if (r->scope != 0 || r->list) {
        return conf_failed(r, r->line, NULL, "a \"}\" is missing at the end");
    }

    return PUSH_OK;
}


/* The line of an option in the section'th section of that name, or on top. */
unsigned
conf_scan_line(const struct conf_reader *r, const char *section,
    size_t nth, const char *name)
{
    size_t                    i;
    unsigned                  scope, line;
    const struct conf_place  *p;

    scope = 0;
    line = 0;

    for (i = 0; section != NULL && i < r->places_count; i++) {
        p = &r->places[i];

        if (p->opens
            && push_str_eq(p->name, (struct push_str) { section,
                                                        strlen(section) })
            && nth-- == 0)
        {
            scope = p->opens;
            line = p->line;
            break;
        }
    }

    for (i = 0; name != NULL && i < r->places_count; i++) {
        p = &r->places[i];

        if (p->scope == scope && !p->opens
            && push_str_eq(p->name, (struct push_str) { name, strlen(name) }))
        {
            return p->line;
        }
    }

    return line;
}
