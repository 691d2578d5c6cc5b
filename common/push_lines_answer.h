/*
 * push_lines_answer: what deliver and dispatch say to each item
 *
 *     edge, edge --add--> one answer --write--> "ok 3\n" --next--> collector
 *
 * in:   a reply and a number, or a line.  out: the same.  owns: nothing
 *
 * Pure.  The grammar of the items themselves is push_lines.
 */

#ifndef PUSH_LINES_ANSWER_H
#define PUSH_LINES_ANSWER_H

#include "push.h"

/*
 * Answers, in the order of weight: of several connections, workers or nodes
 * the heaviest word counts and the numbers add up (docs/rules.md 3).
 * OFFLINE is said by a dispatcher only.
 */
enum push_lines_reply {
    PUSH_LINES_OFFLINE,
    PUSH_LINES_NONE,
    PUSH_LINES_OK,
    PUSH_LINES_QUEUED,
    PUSH_LINES_SLOW,
    PUSH_LINES_GAP,
    PUSH_LINES_UNKNOWN,
    PUSH_LINES_REPLY_COUNT
};

struct push_lines_answer {
    enum push_lines_reply reply;
    uint32_t              count;    /* with OK and QUEUED */
};

const char *push_lines_reply_text(enum push_lines_reply reply);

/* into = the sum of both; start with {PUSH_LINES_NONE, 0}. */
void push_lines_answer_add(struct push_lines_answer *into,
    struct push_lines_answer one);

#define PUSH_LINES_ANSWER_MAX  24

/* "ok 3\n", "gap\n": returns the bytes; to holds PUSH_LINES_ANSWER_MAX. */
size_t push_lines_answer_write(char *to, struct push_lines_answer answer);

/*
 * One answer line from [*pos, end): PUSH_OK and *pos behind its newline;
 * PUSH_DECLINED: nothing left; PUSH_ERROR: no answer line (such as "error").
 */
int push_lines_answer_next(const char **pos, const char *end,
    struct push_lines_answer *answer);

#endif
