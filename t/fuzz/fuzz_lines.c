/*
 * fuzz_lines: a body that was parsed is written as the bytes that came
 *
 * in: a byte (1: a dispatch body, 2: answers), then the body
 */

#include "fuzz.h"
#include "push_lines.h"
#include "push_lines_answer.h"

static void
answers(const char *body, size_t size)
{
    int                       rc;
    char                      line[PUSH_LINES_ANSWER_MAX];
    size_t                    n;
    const char               *pos, *begin;
    struct push_lines_answer  answer, sum;

    pos = body;
    sum = (struct push_lines_answer) { PUSH_LINES_NONE, 0 };

    for ( ;; ) {
        begin = pos;
        rc = push_lines_answer_next(&pos, body + size, &answer);

        if (rc != PUSH_OK) {
            FUZZ_MUST(pos == begin);
            FUZZ_MUST((rc == PUSH_DECLINED) == (pos == body + size));
            return;
        }

        n = push_lines_answer_write(line, answer);
        FUZZ_MUST(n == (size_t) (pos - begin));
        FUZZ_MUST(memcmp(line, begin, n) == 0);

        push_lines_answer_add(&sum, answer);
        FUZZ_MUST(sum.reply >= answer.reply && sum.count >= answer.count);
        FUZZ_MUST(push_lines_answer_write(line, sum) <= sizeof(line));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                     rc;
    char                   *to;
    size_t                  n;
    unsigned                items;
    const char             *body, *begin;
    struct push_lines       l;
    struct push_lines_item  item;

    if (size < 1) {
        return 0;
    }

    body = (const char *) data + 1;
    size--;

    if (data[0] & 2) {
        answers(body, size);
        return 0;
    }

    push_lines_init(&l, body, size, data[0] & 1);

    for (items = 0; /* void */ ; items++) {
        begin = l.pos;
        rc = push_lines_next(&l, &item);

        if (rc != PUSH_OK) {
            break;
        }

        FUZZ_MUST(items > 0 || item.verb == PUSH_LINES_EPOCH);

        n = push_lines_write(NULL, 0, &item);
        FUZZ_MUST(n == (size_t) (l.pos - begin));

        to = malloc(n);
        FUZZ_MUST(to != NULL);
        to[0] = '#';
        FUZZ_MUST(push_lines_write(to, n - 1, &item) == n);
        FUZZ_MUST(to[0] == '#');
        FUZZ_MUST(push_lines_write(to, n, &item) == n);
        FUZZ_MUST(memcmp(to, begin, n) == 0);
        free(to);
    }

    if (rc == PUSH_DECLINED) {
        FUZZ_MUST(l.pos == body + size && items > 0);

    } else {
        FUZZ_MUST(l.error[0] != '\0' && l.error_line > 0);
        FUZZ_MUST(strlen(l.error) < sizeof(l.error));
    }

    FUZZ_MUST(push_lines_next(&l, &item) == rc);

    return 0;
}
