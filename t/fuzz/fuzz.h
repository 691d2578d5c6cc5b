/*
 * fuzz: what every target needs
 *
 * A target is one function of bytes that stops the program when a promise does
 * not hold; `make fuzz` runs them all (FUZZ_SECONDS each).
 */

#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_MUST(fact)                                                       \
    do {                                                                      \
        if (!(fact)) {                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #fact);\
            abort();                                                          \
        }                                                                     \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text that grows; the target frees data. */
struct fuzz_text {
    char  *data;
    size_t len;
    size_t size;
};

static inline void
fuzz_add(struct fuzz_text *t, const void *data, size_t len)
{
    if (len > t->size - t->len) {
        t->size = (t->len + len) * 2;
        t->data = realloc(t->data, t->size);
        FUZZ_MUST(t->data != NULL);
    }

    if (len) {
        memcpy(t->data + t->len, data, len);
        t->len += len;
    }
}

#endif
