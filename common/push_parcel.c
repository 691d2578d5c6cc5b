/*
 * push_parcel: what workers of one node send each other in datagrams
 *
 *     | magic kind slot from to | batch | part count offset total length |
 *     | body ... | indexes ... |
 *
 * in:   a datagram; out: what it says.  owns: nothing
 */

#include "push_parcel.h"

#include <string.h>


#define PUSH_PARCEL_MAGIC  UINT32_C(0x31687370)     /* "psh1" */

/* The head as it stands in a datagram; no holes. */
struct push_parcel_wire {
    uint32_t magic;
    uint8_t  kind;
    uint8_t  from_slot;
    uint16_t from_generation;
    uint16_t to_generation;
    uint16_t epoch_unknown;
    uint32_t part;
    uint64_t batch;
    uint32_t count;
    uint32_t offset;
    uint32_t total;
    uint32_t length;            /* of the body */
    uint64_t at_us;
};

_Static_assert(sizeof(struct push_parcel_wire) == PUSH_PARCEL_HEAD,
               "the head has no holes");


int
push_parcel_parse(struct push_parcel *p, const char *data, size_t len,
    size_t max)
{
    size_t                   rest;
    struct push_parcel_wire  wire;

    if (len < PUSH_PARCEL_HEAD || len > max) {
        return PUSH_ERROR;
    }

    memcpy(&wire, data, PUSH_PARCEL_HEAD);
    rest = len - PUSH_PARCEL_HEAD;

    if (wire.magic != PUSH_PARCEL_MAGIC || wire.length > rest) {
        return PUSH_ERROR;
    }

    p->from_slot = wire.from_slot;
    p->from_generation = wire.from_generation;
    p->to_generation = wire.to_generation;
    p->batch = wire.batch;
    p->part = wire.part;
    p->count = wire.count;
    p->offset = wire.offset;
    p->total = wire.total;
    p->at_us = wire.at_us;
    p->epoch_unknown = wire.epoch_unknown != 0;
    p->body.data = data + PUSH_PARCEL_HEAD;
    p->body.len = wire.length;
    p->indexes.data = p->body.data + p->body.len;
    p->indexes.len = rest - p->body.len;

    switch (wire.kind) {

    case PUSH_PARCEL_ITEMS:
        p->kind = PUSH_PARCEL_ITEMS;
        return p->count >= 1 && p->count <= PUSH_ITEMS_MAX
               && p->indexes.len == 2 * (size_t) p->count
               ? PUSH_OK : PUSH_ERROR;

    case PUSH_PARCEL_ANSWERS:
        p->kind = PUSH_PARCEL_ANSWERS;
        return p->count >= 1 && p->count <= PUSH_ITEMS_MAX
               && p->body.len == PUSH_PARCEL_ANSWER * (size_t) p->count
               && p->indexes.len == 0
               ? PUSH_OK : PUSH_ERROR;

    case PUSH_PARCEL_PIECE:
        p->kind = PUSH_PARCEL_PIECE;
        return p->count == 0 && p->indexes.len == 0 && p->body.len >= 1
               && p->total <= PUSH_PARCEL_WHOLE
               && p->offset < p->total
               && p->body.len <= p->total - p->offset
               ? PUSH_OK : PUSH_ERROR;

    default:
        return PUSH_ERROR;
    }
}


void
push_parcel_head(char *to, const struct push_parcel *p)
{
    struct push_parcel_wire  wire;

    memset(&wire, 0, sizeof(wire));

    wire.magic = PUSH_PARCEL_MAGIC;
    wire.kind = (uint8_t) p->kind;
    wire.from_slot = (uint8_t) p->from_slot;
    wire.from_generation = (uint16_t) p->from_generation;
    wire.to_generation = (uint16_t) p->to_generation;
    wire.batch = p->batch;
    wire.part = p->part;
    wire.count = p->count;
    wire.offset = p->offset;
    wire.total = p->total;
    wire.at_us = p->at_us;
    wire.epoch_unknown = p->epoch_unknown;
    wire.length = (uint32_t) p->body.len;

    memcpy(to, &wire, PUSH_PARCEL_HEAD);
}


unsigned
push_parcel_index(const struct push_parcel *p, unsigned i)
{
    uint16_t  index;

    memcpy(&index, p->indexes.data + 2 * (size_t) i, 2);

    return index;
}


void
push_parcel_index_write(char *to, unsigned index)
{
    uint16_t  wire = (uint16_t) index;

    memcpy(to, &wire, 2);
}


struct push_lines_answer
push_parcel_answer(const struct push_parcel *p, unsigned i)
{
    const char                *from;
    struct push_lines_answer   answer;

    from = p->body.data + PUSH_PARCEL_ANSWER * (size_t) i;

    answer.reply = (unsigned char) from[0] < PUSH_LINES_REPLY_COUNT
                   ? (enum push_lines_reply) (unsigned char) from[0]
                   : PUSH_LINES_UNKNOWN;

    memcpy(&answer.count, from + 1, 4);

    return answer;
}


void
push_parcel_answer_write(char *to, struct push_lines_answer answer)
{
    to[0] = (char) answer.reply;
    memcpy(to + 1, &answer.count, 4);
}
