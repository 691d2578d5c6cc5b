/*
 * conf: a configuration file, by a table of options
 *
 *     file --libconfuse--> texts with their lines --rows--> struct of numbers
 *
 * in:   a file of `name = value`, lists `{a, b}` and titled sections
 * out:  a filled struct, or the first error as "FILE:LINE: option "x": …"
 * owns: nothing; strings and arrays in the struct are freed by conf_free()
 *
 * ${NAME} in a value is replaced from the environment as text (it cannot add
 * an option); an unset variable is an error.  Unknown options, an option or
 * title that is given twice and values out of range are errors.
 */

#ifndef CONF_H
#define CONF_H

#include "push.h"

enum conf_type {
    CONF_STRING,        /* char *; min, max: bytes */
    CONF_INT,           /* int64_t, decimal */
    CONF_TIME,          /* int64_t milliseconds: 500ms 10s 5m 1h 1d, 10 = 10s;
                           min, max: milliseconds */
    CONF_SIZE,          /* int64_t bytes: 512 64k 64m 1g, binary */
    CONF_BOOL,          /* bool: on off yes no true false */
    CONF_WORD,          /* int: index of the word in words */
    CONF_LIST,          /* struct conf_list; min, max: number of items */
    CONF_SECTIONS       /* struct conf_sections; min, max: number of sections */
};

struct conf_list {
    char  **items;
    size_t  count;
};

/*
 * items is an array of count structs of the row's size; each begins with a
 * struct conf_section.  Titles differ.
 */
struct conf_sections {
    void   *items;
    size_t  count;
};

struct conf_section {
    char     *title;
    unsigned  line;
};

/* One option.  Fill by name; a table ends with { .name = NULL }. */
struct conf_row {
    const char            *name;
    enum conf_type         type;
    size_t                 offset;      /* of the value in the struct */
    const char            *fallback;    /* as in a file; NULL: it must be given
                                           (lists and sections: see min) */
    int64_t                min;
    int64_t                max;         /* 0: no bound but the type's */
    const char *const     *words;       /* of CONF_WORD, NULL at the end */
    const struct conf_row *rows;        /* of CONF_SECTIONS */
    size_t                 size;        /* of CONF_SECTIONS: of one struct */

    /*
     * What else is to hold of a string or of each item of a list: PUSH_OK, or
     * PUSH_ERROR and what it must be is in error ("must be ip:port or …").
     * Not called with "" when that is the fallback.
     */
    int                  (*check)(const char *value, char *error, size_t size);
};

#define CONF_ERROR_MAX  512

struct conf_error {
    char text[CONF_ERROR_MAX];  /* a whole line for people, without newline */
};

/*
 * Reads file into *to, which need not be initialised.  PUSH_OK; PUSH_ERROR:
 * error is set, *to is all zero.
 */
int conf_load(const char *file, const struct conf_row *rows, void *to,
    struct conf_error *error);

/* Frees what conf_load() made and zeroes those fields. */
void conf_free(const struct conf_row *rows, void *to);

/* Writes error->text; for checks that belong to one option of a loaded file. */
void conf_error(struct conf_error *error, const char *file, unsigned line,
    const char *option, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * A file that holds a secret or keys, whole, with a NUL behind that *len does
 * not count.  It must be a regular file of min to max bytes; with `private` no
 * one but its owner may have any right on it (mode 0600 or 0400).  PUSH_OK:
 * *data is the caller's, to be given to conf_secret_free(); PUSH_ERROR: text
 * says what is wrong ("cannot open: …", "must not be readable by others …").
 */
int conf_read_secret(const char *path, bool private, size_t min, size_t max,
    char **data, size_t *len, char *text, size_t size);

/* Wipes and frees.  data may be NULL. */
void conf_secret_free(char *data, size_t len);

/*
 * The one or two lines of a file of shared secrets (mode 0600, each 16 to 256
 * bytes of printable ASCII without space): the first is sent, either is
 * accepted.
 */
struct conf_secrets {
    char     text[2][257];      /* terminated; the second may be empty */
    unsigned count;
};

/* PUSH_OK, or PUSH_ERROR and text. */
int conf_read_secrets(const char *path, struct conf_secrets *secrets,
    char *text, size_t size);

/* One of them, compared in constant time.  given may be NULL: false. */
bool conf_secrets_match(const struct conf_secrets *secrets, const char *given);

#endif
