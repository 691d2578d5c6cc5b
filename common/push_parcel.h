/*
 * push_parcel: what workers of one node send each other in datagrams
 *
 *     items  --push_parcel_head, push_lines text, indexes--> ITEMS
 *     ITEMS of more than a datagram --> PIECE, PIECE, ...
 *     answers, in the order of the items --> ANSWERS
 *
 * in:   a datagram; out: what it says, borrowed from it.  owns: nothing
 *
 * Pure.  Sender and receiver are processes of one machine and one build, so
 * numbers are in host order; nothing in a datagram is believed all the same.
 *
 * ITEMS carries a body of push_lines, beginning with its epoch line, so that
 * there is one parser of items, and behind it a 16 bit number an item: its
 * place in the sender's body.
 */

#ifndef PUSH_PARCEL_H
#define PUSH_PARCEL_H

#include "push_lines_answer.h"

#define PUSH_PARCEL_MAX     61440       /* bytes of a datagram */
#define PUSH_PARCEL_HEAD    48
#define PUSH_PARCEL_ANSWER  5           /* bytes of an answer */
/* the longest ITEMS: a whole body and its indexes */
#define PUSH_PARCEL_WHOLE                                                     \
    (PUSH_PARCEL_HEAD + PUSH_BODY_MAX + 2 * PUSH_ITEMS_MAX)

enum push_parcel_kind {
    PUSH_PARCEL_ITEMS = 1,
    PUSH_PARCEL_ANSWERS,
    PUSH_PARCEL_PIECE
};

struct push_parcel {
    enum push_parcel_kind kind;
    unsigned    from_slot;          /* 0 to 255 */
    unsigned    from_generation;    /* 16 bits; of the sender's slot */
    unsigned    to_generation;      /* ANSWERS: as in the ITEMS' from_ */
    uint64_t    batch;              /* of the asking worker */
    uint32_t    part;               /* of the batch: one ITEMS */
    uint32_t    count;              /* items or answers; PIECE: 0 */
    uint32_t    offset;             /* PIECE: of the body in the ITEMS */
    uint32_t    total;              /* PIECE: bytes of the ITEMS */
    uint64_t    at_us;              /* ITEMS: when the sender had the body, on
                                       the machine's monotonic clock */
    bool        epoch_unknown;      /* the epoch line says nothing */
    struct push_str body;           /* ITEMS: text; ANSWERS: answers; PIECE:
                                       bytes of an ITEMS, with its head */
    struct push_str indexes;        /* ITEMS: 2 x count bytes */
};

/*
 * PUSH_OK, or PUSH_ERROR: no parcel.  max is PUSH_PARCEL_MAX, or
 * PUSH_PARCEL_WHOLE for what was put together from pieces.  Checked: magic,
 * kind, lengths, 1 <= count <= PUSH_ITEMS_MAX, offset and total of a piece.
 */
int push_parcel_parse(struct push_parcel *p, const char *data, size_t len,
    size_t max);

/*
 * Writes the head, PUSH_PARCEL_HEAD bytes; the body follows, then of ITEMS the
 * indexes.  Uses all fields but those two, and body.len.
 */
void push_parcel_head(char *to, const struct push_parcel *p);

/* i < count */
unsigned push_parcel_index(const struct push_parcel *p, unsigned i);
void push_parcel_index_write(char *to, unsigned index);
/* An unknown word counts as PUSH_LINES_UNKNOWN. */
struct push_lines_answer push_parcel_answer(const struct push_parcel *p,
    unsigned i);
/* PUSH_PARCEL_ANSWER bytes */
void push_parcel_answer_write(char *to, struct push_lines_answer answer);

#endif
