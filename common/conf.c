/*
 * conf: a configuration file, by a table of options
 *
 *     file --conf_scan--> places --libconfuse--> texts --conf_value--> struct
 *
 * in:   a file and rows.  out: a struct, or one line that says what is wrong
 * owns: nothing after conf_load()
 *
 * All values are texts to libconfuse, which would read 010 as 8.
 */

#include "conf.h"

#include "conf_scan.h"
#include "conf_value.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONF_FILE_MAX  (1024 * 1024)
#define CONF_ROWS_MAX  64

/*
 * libconfuse hands no pointer to its error callback, and its scanner is one a
 * process; so there is one reader at a time.
 */
static struct conf_reader *conf_reading;


void
conf_error(struct conf_error *error, const char *file, unsigned line,
    const char *option, const char *format, ...)
{
    int      n;
    va_list  ap;

    if (line != 0) {
        n = snprintf(error->text, sizeof(error->text), "%.200s:%u: ", file,
                     line);
    } else {
        n = snprintf(error->text, sizeof(error->text), "%.200s: ", file);
    }

    if (option != NULL) {
        n += snprintf(error->text + n, sizeof(error->text) - (size_t) n,
                      "option \"%.64s\": ", option);
    }

    va_start(ap, format);
    vsnprintf(error->text + n, sizeof(error->text) - (size_t) n, format, ap);
    va_end(ap);
}


static int
conf_read(struct conf_reader *r)
{
    FILE         *f;
    struct stat   st;

    f = fopen(r->file, "re");
    if (f == NULL) {
        return conf_failed(r, 0, NULL, "cannot open: %s", strerror(errno));
    }

    if (fstat(fileno(f), &st) != 0 || S_ISDIR(st.st_mode)) {
        fclose(f);
        return conf_failed(r, 0, NULL, "is no regular file");
    }

    r->text = malloc(CONF_FILE_MAX + 1);
    if (r->text == NULL) {
        fclose(f);
        return conf_failed(r, 0, NULL, "out of memory");
    }

    r->len = fread(r->text, 1, CONF_FILE_MAX + 1, f);

    if (ferror(f)) {
        fclose(f);
        return conf_failed(r, 0, NULL, "cannot read: %s", strerror(errno));
    }

    fclose(f);

    if (r->len > CONF_FILE_MAX) {
        return conf_failed(r, 0, NULL, "is larger than 1 MB");
    }

    if (memchr(r->text, '\0', r->len) != NULL) {
        return conf_failed(r, 0, NULL, "has a NUL byte");
    }

    r->text[r->len] = '\0';

    return PUSH_OK;
}


static int
conf_set_list(struct conf_reader *r, const struct conf_row *row, unsigned line,
    cfg_t *cfg, struct conf_list *list)
{
    size_t       n;
    const char  *s;

    n = cfg_size(cfg, row->name);

    if ((int64_t) n < row->min || (row->max != 0 && (int64_t) n > row->max)) {
        return row->max == 0
               ? conf_failed(r, line, row->name, "must have at least %lld "
                             "items", (long long) row->min)
               : conf_failed(r, line, row->name, "must have %lld to %lld "
                             "items", (long long) row->min,
                             (long long) row->max);
    }

    list->items = calloc(n + 1, sizeof(char *));
    if (list->items == NULL) {
        return conf_failed(r, line, row->name, "out of memory");
    }

    for ( ; list->count < n; list->count++) {
        s = cfg_getnstr(cfg, row->name, (unsigned) list->count);

        if (conf_value_check(r, row, line, s) != PUSH_OK) {
            return PUSH_ERROR;
        }

        list->items[list->count] = strdup(s);
        if (list->items[list->count] == NULL) {
            return conf_failed(r, line, row->name, "out of memory");
        }
    }

    return PUSH_OK;
}


static int conf_fill(struct conf_reader *r, const struct conf_row *rows,
    cfg_t *cfg, const char *section, size_t nth, void *to);

static int
conf_set_sections(struct conf_reader *r, const struct conf_row *row,
    cfg_t *cfg, struct conf_sections *list)
{
    cfg_t                *sec;
    size_t                n;
    unsigned              line;
    struct conf_section  *s;

    n = cfg_size(cfg, row->name);

    if ((int64_t) n < row->min) {
        return conf_failed(r, 0, row->name, "at least %lld such section is "
                           "needed", (long long) row->min);
    }

    line = n > 0 ? conf_scan_line(r, row->name, n - 1, NULL) : 0;

    if (row->max != 0 && (int64_t) n > row->max) {
        return conf_failed(r, line, row->name, "at most %lld such sections",
                           (long long) row->max);
    }

    list->items = calloc(n + 1, row->size);
    if (list->items == NULL) {
        return conf_failed(r, line, row->name, "out of memory");
    }

    while (list->count < n) {
        sec = cfg_getnsec(cfg, row->name, (unsigned) list->count);
        s = (struct conf_section *) ((char *) list->items
                                     + list->count * row->size);
        s->line = conf_scan_line(r, row->name, list->count, NULL);
        s->title = strdup(cfg_title(sec));

        list->count++;          /* from here on conf_free() sees it */

        if (s->title == NULL) {
            return conf_failed(r, s->line, row->name, "out of memory");
        }

        if (conf_fill(r, row->rows, sec, row->name, list->count - 1, s)
            != PUSH_OK)
        {
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


/* All rows of one scope, in the order of the table. */
static int
conf_fill(struct conf_reader *r, const struct conf_row *rows, cfg_t *cfg,
    const char *section, size_t nth, void *to)
{
    int                     rc;
    void                   *at;
    unsigned                line;
    const char             *s;
    const struct conf_row  *row;

    for (row = rows; row->name != NULL; row++) {
        at = (char *) to + row->offset;
        line = conf_scan_line(r, section, nth, row->name);

        if (row->type == CONF_SECTIONS) {
            rc = conf_set_sections(r, row, cfg, at);

        } else if (row->type == CONF_LIST) {
            rc = conf_set_list(r, row, line, cfg, at);

        } else {
            s = cfg_getstr(cfg, row->name);

            if (s == NULL && row->fallback == NULL) {
                return conf_failed(r, line, row->name, "is needed%s%s",
                                   section != NULL ? " in section " : "",
                                   section != NULL ? cfg_title(cfg) : "");
            }

            rc = conf_value_set(r, row, line, s != NULL ? s : row->fallback, at);
        }

        if (rc != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


/* libconfuse's table for rows; it copies it in cfg_init(). */
static int
conf_table(struct conf_reader *r, const struct conf_row *rows, cfg_opt_t *opts,
    cfg_opt_t *inner)
{
    size_t  n;

    for (n = 0; rows->name != NULL; rows++) {

        if (n == CONF_ROWS_MAX) {
            return conf_failed(r, 0, rows->name, "the table is too long");
        }

        switch (rows->type) {

        case CONF_LIST:
            opts[n++] = (cfg_opt_t) CFG_STR_LIST(rows->name, NULL,
                                                 CFGF_NODEFAULT);
            break;

        case CONF_SECTIONS:
            if (inner == NULL
                || conf_table(r, rows->rows, inner, NULL) != PUSH_OK)
            {
                return conf_failed(r, 0, rows->name, "sections do not nest");
            }

            opts[n++] = (cfg_opt_t) CFG_SEC(rows->name, inner, CFGF_MULTI
                                            | CFGF_TITLE
                                            | CFGF_NO_TITLE_DUPES);
            inner += CONF_ROWS_MAX + 1;
            break;

        default:
            opts[n++] = (cfg_opt_t) CFG_STR(rows->name, NULL, CFGF_NODEFAULT);
        }
    }

    opts[n] = (cfg_opt_t) CFG_END();

    return PUSH_OK;
}


static void __attribute__((format(printf, 2, 0)))
conf_libconfuse_error(cfg_t *cfg, const char *format, va_list ap)
{
    char  text[256];

    vsnprintf(text, sizeof(text), format, ap);
    conf_error(conf_reading->error, conf_reading->file, (unsigned) cfg->line,
               NULL, "%s", text);
}


static size_t
conf_inner_count(const struct conf_row *rows)
{
    size_t  n;

    for (n = 0; rows->name != NULL; rows++) {
        n += rows->type == CONF_SECTIONS;
    }

    return n;
}


static int
conf_parse(struct conf_reader *r, const struct conf_row *rows, void *to)
{
    int         rc;
    cfg_t      *cfg;
    cfg_opt_t  *opts;

    opts = calloc((1 + conf_inner_count(rows)) * (CONF_ROWS_MAX + 1),
                  sizeof(cfg_opt_t));

    if (opts == NULL) {
        return conf_failed(r, 0, NULL, "out of memory");
    }

    if (conf_table(r, rows, opts, opts + CONF_ROWS_MAX + 1) != PUSH_OK) {
        free(opts);
        return PUSH_ERROR;
    }

    cfg = cfg_init(opts, CFGF_NONE);
    free(opts);

    if (cfg == NULL) {
        return conf_failed(r, 0, NULL, "out of memory");
    }

    cfg_set_error_function(cfg, conf_libconfuse_error);

    conf_reading = r;
    rc = cfg_parse_buf(cfg, r->text);
    conf_reading = NULL;

    if (rc == CFG_SUCCESS) {
        rc = conf_fill(r, rows, cfg, NULL, 0, to);

    } else {
        rc = PUSH_ERROR;
    }

    cfg_free(cfg);

    return rc;
}


/* Zeroes what rows describe, so that conf_free() can run at any moment. */
static void
conf_zero(const struct conf_row *rows, void *to)
{
    void                   *at;
    const struct conf_row  *row;

    for (row = rows; row->name != NULL; row++) {
        at = (char *) to + row->offset;

        switch (row->type) {
        case CONF_STRING:
            *(char **) at = NULL;
            break;
        case CONF_BOOL:
            *(bool *) at = false;
            break;
        case CONF_WORD:
            *(int *) at = 0;
            break;
        case CONF_LIST:
            *(struct conf_list *) at = (struct conf_list) { NULL, 0 };
            break;
        case CONF_SECTIONS:
            *(struct conf_sections *) at = (struct conf_sections) { NULL, 0 };
            break;
        default:
            *(int64_t *) at = 0;
        }
    }
}


int
conf_load(const char *file, const struct conf_row *rows, void *to,
    struct conf_error *error)
{
    int                 rc;
    struct conf_reader  r = { .file = file, .error = error };

    error->text[0] = '\0';
    conf_zero(rows, to);

    r.places = calloc(CONF_PLACES_MAX, sizeof(struct conf_place));

    if (r.places == NULL) {
        return conf_failed(&r, 0, NULL, "out of memory");
    }

    rc = conf_read(&r);

    if (rc == PUSH_OK) {
        rc = conf_scan(&r);
    }

    if (rc == PUSH_OK) {
        rc = conf_parse(&r, rows, to);
    }

    if (rc != PUSH_OK) {
        conf_free(rows, to);

        if (error->text[0] == '\0') {
            conf_error(error, file, 0, NULL, "cannot be parsed");
        }
    }

    free(r.places);
    free(r.text);

    return rc;
}


void
conf_free(const struct conf_row *rows, void *to)
{
    void                   *at;
    char                   *item;
    size_t                  i;
    struct conf_list       *list;
    struct conf_sections   *sections;
    const struct conf_row  *row;

    for (row = rows; row->name != NULL; row++) {
        at = (char *) to + row->offset;

        if (row->type == CONF_STRING) {
            free(*(char **) at);

        } else if (row->type == CONF_LIST) {
            list = at;

            for (i = 0; i < list->count; i++) {
                free(list->items[i]);
            }

            free(list->items);

        } else if (row->type == CONF_SECTIONS) {
            sections = at;

            for (i = 0; i < sections->count; i++) {
                item = (char *) sections->items + i * row->size;
                conf_free(row->rows, item);
                free(((struct conf_section *) item)->title);
            }

            free(sections->items);
        }
    }

    conf_zero(rows, to);
}
