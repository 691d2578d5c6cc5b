/*
 * fuzz_frame: what a client sends, whole and in random pieces: the same events
 *
 * in: 4 bytes of seed for the cuts, then the client's bytes
 */

#include "fuzz.h"
#include "push_frame.h"

static const struct push_frame_limits  limits = { 4096, 8 };

/* Whole messages and control frames, and how it failed, in order. */
static void
run(const uint8_t *data, size_t size, uint32_t seed, struct fuzz_text *out)
{
    size_t                   from, n;
    uint8_t                 *copy, *pos;
    struct fuzz_text         parts[2], *part;
    struct push_frame        f;
    struct push_frame_piece  piece;

    memset(&f, 0, sizeof(f));
    memset(parts, 0, sizeof(parts));
    memset(&piece, 0, sizeof(piece));

    for (from = 0; from < size && piece.event != PUSH_FRAME_FAIL; from += n) {
        n = size - from;

        if (seed != 0) {
            seed = seed * 1664525 + 1013904223;
            n = n < 1 + (seed >> 24) % 32 ? n : 1 + (seed >> 24) % 32;
        }

        copy = malloc(n);
        FUZZ_MUST(copy != NULL);
        memcpy(copy, data + from, n);
        pos = copy;

        do {
            push_frame_parse(&f, &limits, &pos, copy + n, &piece);
            FUZZ_MUST(pos >= copy && pos <= copy + n);

            if (piece.event == PUSH_FRAME_NEED) {
                FUZZ_MUST(pos == copy + n);
                break;
            }

            if (piece.event == PUSH_FRAME_FAIL) {
                fuzz_add(out, &piece.reason, sizeof(piece.reason));
                break;
            }

            part = &parts[piece.event == PUSH_FRAME_CONTROL];

            if (piece.first) {
                FUZZ_MUST(part->len == 0);
                fuzz_add(part, &piece.opcode, 1);
            }

            FUZZ_MUST(part->len > 0);
            fuzz_add(part, piece.data, piece.len);
            FUZZ_MUST(part->len <= 1 + limits.message_max);

            if (piece.last) {
                if (part->data[0] == PUSH_FRAME_TEXT) {
                    FUZZ_MUST(push_frame_utf8(0, (uint8_t *) part->data + 1,
                                              part->len - 1) == 0);
                }

                fuzz_add(out, &part->len, sizeof(part->len));
                fuzz_add(out, part->data, part->len);
                part->len = 0;
            }

        } while (true);

        free(copy);
    }

    free(parts[0].data);
    free(parts[1].data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t          seed;
    unsigned          code;
    enum push_close   reason;
    struct fuzz_text  whole, pieces;

    if (size < 4) {
        return 0;
    }

    memcpy(&seed, data, 4);
    memset(&whole, 0, sizeof(whole));
    memset(&pieces, 0, sizeof(pieces));

    run(data + 4, size - 4, 0, &whole);
    run(data + 4, size - 4, seed | 1, &pieces);

    FUZZ_MUST(whole.len == pieces.len);
    FUZZ_MUST(whole.len == 0
              || memcmp(whole.data, pieces.data, whole.len) == 0);

    (void) push_frame_close_parse(data + 4, size - 4, &code, &reason);

    free(whole.data);
    free(pieces.data);

    return 0;
}
