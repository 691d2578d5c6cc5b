/*
 * push_lines: the line protocol of deliver and dispatch (docs/rules.md 3)
 *
 *     body --push_lines_next--> item --edge, dispatcher--> reply
 *     item --push_lines_write--> body
 *
 * in:   a whole body in memory; out: items that borrow from it.  owns: nothing
 *
 * Pure.  Every verb is one row of a table of fields, so that the parser and
 * the writer cannot disagree.
 */

#ifndef PUSH_LINES_H
#define PUSH_LINES_H

#include "push.h"
#include "push_lines_answer.h"

/*
 * X(NAME, "verb", fields): one letter a field, in the order of the line:
 *   E epoch   N node/instance or -    U uid      G group    D device or *
 *   C conn    L full log name         T resync target       A after
 *   S seq     F from   O to   W why   R rid      P tip      X expires
 *   K code    I unix s Q frames/s     B len of a payload that follows
 *   V len and off of a payload that follows: data stands from off to len - 1
 */
#define PUSH_LINES_VERBS(X)                                                   \
    X(EPOCH,  "epoch",  "E")                                                  \
    X(NODE,   "node",   "N")                                                  \
    X(USER,   "user",   "USXV")                                               \
    X(GROUP,  "group",  "GSXV")                                               \
    X(ALL,    "all",    "SXV")                                                \
    X(BEGIN,  "begin",  "CLRA")                                               \
    X(GROUPS, "groups", "CB")                                                 \
    X(CONN,   "conn",   "CLSXV")                                              \
    X(VOID,   "void",   "CLFOW")                                              \
    X(TIP,    "tip",    "CLRP")                                               \
    X(RESET,  "reset",  "CB")                                                 \
    X(CLOSE,  "close",  "CKB")                                                \
    X(KICK,   "kick",   "UDKB")                                               \
    X(EXTEND, "extend", "CIB")                                                \
    X(SENT,   "sent",   "CB")                                                 \
    X(JOIN,   "join",   "UG")                                                 \
    X(LEAVE,  "leave",  "UG")                                                 \
    X(RESYNC, "resync", "T")                                                  \
    X(CHECK,  "check",  "U")                                                  \
    X(PACE,   "pace",   "Q")

enum push_lines_verb {
#define X(name, text, fields)  PUSH_LINES_##name,
    PUSH_LINES_VERBS(X)
#undef X
    PUSH_LINES_VERB_COUNT
};

/*
 * One item.  Only the fields of its verb are set; strings borrow from the
 * body.  All numbers are checked: seq, after, from, to, tip <= PUSH_SEQ_MAX,
 * from >= 1, from <= to, off < len for V (the payload ends with '}', data is
 * [off, len - 1)); code is 1000-1003, 1007-1014 or 3000-4999.
 */
struct push_lines_item {
    enum push_lines_verb verb;
    unsigned             line;      /* 1-based; of a payload: its head's */
    struct push_str      epoch;     /* E: 1 to PUSH_EPOCH_MAX of 0-9 a-z */
    struct push_str      name;      /* U or G; N: the node, empty for "-" */
    struct push_str      group;     /* G of join and leave */
    struct push_str      device;    /* D */
    struct push_str      log;       /* L: full name; T: full name, or "*" */
    struct push_conn_id  id;        /* C; N: id.instance */
    int64_t              seq;       /* S (0: ephemeral), A, F or P */
    int64_t              to;        /* O */
    uint64_t             expires;   /* X, I: Unix seconds, 0: never, refused */
    uint32_t             rid;       /* R */
    uint32_t             code;      /* K */
    uint32_t             rate;      /* Q */
    struct push_str      why;       /* W: "expired" or "overflow" */
    struct push_str      payload;   /* B, V: without the final \n */
    size_t               off;       /* V */
};

/* A walk through one body.  Fill with push_lines_init; fields are read-only. */
struct push_lines {
    const char *pos;
    const char *end;
    unsigned    line;           /* of the next byte */
    unsigned    items;          /* that were not epoch or node */
    bool        dispatch;       /* node lines are legal */
    bool        epoch_seen;
    char        error[96];      /* after PUSH_ERROR: what is wrong */
    unsigned    error_line;
};

/* body is borrowed until the last item has been used. */
void push_lines_init(struct push_lines *l, const char *body, size_t len,
    bool dispatch);

/*
 * The next item: PUSH_OK; PUSH_DECLINED at the end; PUSH_ERROR: error and
 * error_line are set, and so again if called once more.  The first line must
 * be `epoch`; more than PUSH_ITEMS_MAX items or PUSH_BODY_MAX bytes: an error.
 * The target of resync comes as it stands in `log`: "*", a full log name, or a
 * bare uid, which is in `name` too (else empty).  "all" is the log; what we
 * write ourselves always has the full name, so the user "all" is "user:all".
 */
int push_lines_next(struct push_lines *l, struct push_lines_item *item);

/*
 * Writes the item as it goes on the wire, with payload and newlines.  Returns
 * the bytes that it needs; if that is more than size nothing was written.
 * The fields are trusted: callers checked them.  size may be 0, to may be NULL
 * then.
 */
size_t push_lines_write(char *to, size_t size,
    const struct push_lines_item *item);

const char *push_lines_verb_text(enum push_lines_verb verb);

#endif
