/*
 * fdatasync: what this disk takes for a write of 4 KB that is to last
 *
 * in:   a file, made and removed.  out: p50 and p99 in microseconds, as JSON
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS  400
#define BLOCK   4096

static uint64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    int       fd, i;
    char      block[BLOCK];
    uint64_t  us[ROUNDS], begin;

    if (argc != 2) {
        fputs("usage: fdatasync FILE\n", stderr);
        return 2;
    }

    memset(block, 'x', sizeof(block));

    fd = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd == -1) {
        fprintf(stderr, "fdatasync: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }

    for (i = 0; i < ROUNDS; i++) {
        begin = now_us();

        if (pwrite(fd, block, BLOCK, (off_t) i * BLOCK) != BLOCK
            || fdatasync(fd) == -1)
        {
            fprintf(stderr, "fdatasync: %s: %s\n", argv[1], strerror(errno));
            unlink(argv[1]);
            return 1;
        }

        us[i] = now_us() - begin;
    }

    close(fd);
    unlink(argv[1]);
    qsort(us, ROUNDS, sizeof(us[0]), by_value);
    printf("{\"p50_us\":%llu,\"p99_us\":%llu}\n",
           (unsigned long long) us[ROUNDS / 2],
           (unsigned long long) us[ROUNDS * 99 / 100]);

    return 0;
}
