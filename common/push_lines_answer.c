/*
 * push_lines_answer: what deliver and dispatch say to each item
 *
 * in:   replies, lines.  out: lines, replies.  owns: nothing
 */

#include "push_lines_answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROW(text, counted)  { { text, sizeof(text) - 1 }, counted }

static const struct push_lines_reply_row {
    struct push_str text;
    bool            counted;
} push_lines_replies[PUSH_LINES_REPLY_COUNT] = {
    [PUSH_LINES_OFFLINE] = ROW("offline", false),
    [PUSH_LINES_NONE]    = ROW("none", false),
    [PUSH_LINES_OK]      = ROW("ok", true),
    [PUSH_LINES_QUEUED]  = ROW("queued", true),
    [PUSH_LINES_SLOW]    = ROW("slow", false),
    [PUSH_LINES_GAP]     = ROW("gap", false),
    [PUSH_LINES_UNKNOWN] = ROW("unknown", false),
};


const char *
push_lines_reply_text(enum push_lines_reply reply)
{
    return push_lines_replies[reply].text.data;
}


void
push_lines_answer_add(struct push_lines_answer *into,
    struct push_lines_answer one)
{
    if (one.reply > into->reply) {
        into->reply = one.reply;
    }

    into->count = one.count > UINT32_MAX - into->count
                  ? UINT32_MAX : into->count + one.count;
}


size_t
push_lines_answer_write(char *to, struct push_lines_answer answer)
{
    size_t                             len;
    const struct push_lines_reply_row *row;

    row = &push_lines_replies[answer.reply];

    memcpy(to, row->text.data, row->text.len);
    len = row->text.len;

    if (row->counted) {
        len += (size_t) snprintf(to + len, PUSH_LINES_ANSWER_MAX - len - 1,
                                 " %" PRIu32, answer.count);
    }

    to[len++] = '\n';

    return len;
}


int
push_lines_answer_next(const char **pos, const char *end,
    struct push_lines_answer *answer)
{
    unsigned         i;
    uint64_t         count;
    const char      *lf, *space;
    struct push_str  word, number;

    if (*pos == end) {
        return PUSH_DECLINED;
    }

    lf = memchr(*pos, '\n', (size_t) (end - *pos));
    if (lf == NULL) {
        return PUSH_ERROR;
    }

    space = memchr(*pos, ' ', (size_t) (lf - *pos));

    word.data = *pos;
    word.len = (size_t) ((space != NULL ? space : lf) - *pos);

    for (i = 0; i < PUSH_LINES_REPLY_COUNT; i++) {
        if (push_str_eq(word, push_lines_replies[i].text)) {
            break;
        }
    }

    if (i == PUSH_LINES_REPLY_COUNT
        || push_lines_replies[i].counted != (space != NULL))
    {
        return PUSH_ERROR;
    }

    count = 0;

    if (space != NULL) {
        number.data = space + 1;
        number.len = (size_t) (lf - number.data);

        if (push_uint_parse(number, UINT32_MAX, &count) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    answer->reply = (enum push_lines_reply) i;
    answer->count = (uint32_t) count;
    *pos = lf + 1;

    return PUSH_OK;
}
