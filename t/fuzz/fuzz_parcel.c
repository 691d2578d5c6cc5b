/*
 * fuzz_parcel: a datagram of another worker is read within its bounds
 *
 * in: a datagram, or what was put together from pieces.  What was parsed is
 * written as the head that came, but for bytes that say nothing.
 */

#include "fuzz.h"
#include "push_lines.h"
#include "push_lines_answer.h"
#include "push_parcel.h"

static void
items(const struct push_parcel *p)
{
    unsigned                i;
    struct push_lines       l;
    struct push_lines_item  item;

    push_lines_init(&l, p->body.data, p->body.len, false);

    while (push_lines_next(&l, &item) == PUSH_OK) {
        FUZZ_MUST(l.pos <= p->body.data + p->body.len);
    }

    for (i = 0; i < p->count; i++) {
        FUZZ_MUST(push_parcel_index(p, i) <= 0xffff);
    }
}


static void
answers(const struct push_parcel *p)
{
    char                      line[PUSH_LINES_ANSWER_MAX];
    char                      wire[PUSH_PARCEL_ANSWER];
    unsigned                  i;
    struct push_lines_answer  answer;

    for (i = 0; i < p->count; i++) {
        answer = push_parcel_answer(p, i);

        FUZZ_MUST(answer.reply < PUSH_LINES_REPLY_COUNT);
        FUZZ_MUST(push_lines_answer_write(line, answer) <= sizeof(line));

        push_parcel_answer_write(wire, answer);
        FUZZ_MUST(memcmp(wire + 1, p->body.data + PUSH_PARCEL_ANSWER * i + 1,
                         PUSH_PARCEL_ANSWER - 1) == 0);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               *copy;
    struct push_parcel  p, again;

    if (push_parcel_parse(&p, (const char *) data, size, PUSH_PARCEL_WHOLE)
        != PUSH_OK)
    {
        return 0;
    }

    FUZZ_MUST(p.from_slot <= 0xff && p.from_generation <= 0xffff
              && p.to_generation <= 0xffff);
    FUZZ_MUST(PUSH_PARCEL_HEAD + p.body.len + p.indexes.len == size);

    switch (p.kind) {

    case PUSH_PARCEL_ITEMS:
        items(&p);
        break;

    case PUSH_PARCEL_ANSWERS:
        answers(&p);
        break;

    case PUSH_PARCEL_PIECE:
        FUZZ_MUST(p.offset + p.body.len <= p.total);
        FUZZ_MUST(p.total <= PUSH_PARCEL_WHOLE);
        break;
    }

    copy = malloc(size);
    FUZZ_MUST(copy != NULL);

    memcpy(copy, data, size);
    push_parcel_head(copy, &p);

    FUZZ_MUST(push_parcel_parse(&again, copy, size, PUSH_PARCEL_WHOLE)
              == PUSH_OK);
    FUZZ_MUST(again.kind == p.kind && again.batch == p.batch
              && again.part == p.part && again.count == p.count
              && again.offset == p.offset && again.total == p.total
              && again.from_slot == p.from_slot
              && again.from_generation == p.from_generation
              && again.to_generation == p.to_generation
              && again.epoch_unknown == p.epoch_unknown
              && again.body.len == p.body.len);

    free(copy);

    return 0;
}
