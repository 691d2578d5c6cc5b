/*
 * failmalloc: lets the n-th allocation of some processes fail; tests only
 *
 *     LD_PRELOAD=failmalloc.so FAILMALLOC=FILE nginx ...
 *
 * FILE is a struct control that the test writes while nginx runs: which
 * processes count, the first allocation that fails, and how many after it.
 * malloc, calloc, realloc, posix_memalign and mmap are what nginx, the module
 * and hiredis take memory with; the C library's own calls do not come here.
 *
 * It also counts what these processes hold, so that a test sees what leaks.
 *
 * in:   FILE; out: NULL and ENOMEM, the counts in FILE
 * owns: the mapping of FILE, for the life of the process
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIDS   8
#define EARLY  65536                /* bytes, before dlsym() has answered */
#define DEPTH  24

struct control {
    _Atomic uint64_t  first;        /* 0: not armed; 1: the next one fails */
    _Atomic uint64_t  times;
    _Atomic uint64_t  calls;        /* since it was armed */
    _Atomic uint64_t  hits;         /* that failed */
    _Atomic uint64_t  live;         /* blocks that are held */
    _Atomic uint64_t  pids[PIDS];   /* that count; 0: none */
};

static struct control  *control;
static int              trace = -1;
static char             early[EARLY];
static size_t           early_used;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void *(*next_mmap)(void *, size_t, int, int, int, off_t);

static void
find(void)
{
    static bool finding;

    if (finding) {
        return;
    }

    finding = true;
    next_calloc = dlsym(RTLD_NEXT, "calloc");
    next_realloc = dlsym(RTLD_NEXT, "realloc");
    next_free = dlsym(RTLD_NEXT, "free");
    next_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    next_mmap = dlsym(RTLD_NEXT, "mmap");
    next_malloc = dlsym(RTLD_NEXT, "malloc");
}

__attribute__((constructor)) static void
begin(void)
{
    int          fd;
    void        *p;
    const char  *file = getenv("FAILMALLOC"),
                *log = getenv("FAILMALLOC_TRACE");

    find();

    if (log != NULL) {
        trace = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        backtrace(&(void *) { NULL }, 1);   /* loads its library now */
    }

    if (file == NULL || (fd = open(file, O_RDWR | O_CLOEXEC)) == -1) {
        return;
    }

    p = next_mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE,
                  MAP_SHARED, fd, 0);
    close(fd);

    if (p != MAP_FAILED) {
        control = p;
    }
}

static bool
counts(void)
{
    int       i;
    uint64_t  pid = (uint64_t) getpid();

    for (i = 0; i < PIDS; i++) {
        if (control->pids[i] == pid) {
            return true;
        }
    }

    return false;
}

static void *
taken(void *p)
{
    if (p != NULL && control != NULL && counts()) {
        atomic_fetch_add(&control->live, 1);
    }

    return p;
}

static bool
fails(void)
{
    int       n;
    void     *stack[DEPTH];
    uint64_t  call;

    if (control == NULL || control->first == 0 || !counts()) {
        return false;
    }

    call = atomic_fetch_add(&control->calls, 1) + 1;

    if (call < control->first || call - control->first >= control->times) {
        return false;
    }

    atomic_fetch_add(&control->hits, 1);

    if (trace != -1) {
        n = backtrace(stack, DEPTH);
        dprintf(trace, "allocation %lu\n", (unsigned long) call);
        backtrace_symbols_fd(stack, n, trace);
    }

    errno = ENOMEM;

    return true;
}

static void *
early_take(size_t size)
{
    char *p = early + early_used;

    size = (size + 15) & ~(size_t) 15;

    if (size > EARLY - early_used) {
        abort();
    }

    early_used += size;

    return p;
}

void *
malloc(size_t size)
{
    if (next_malloc == NULL) {
        find();
    }

    if (next_malloc == NULL) {
        return early_take(size);
    }

    return fails() ? NULL : taken(next_malloc(size));
}

void *
calloc(size_t n, size_t size)
{
    if (next_calloc == NULL) {
        find();
    }

    if (next_calloc == NULL) {
        return early_take(n * size);
    }

    return fails() ? NULL : taken(next_calloc(n, size));
}

void *
realloc(void *old, size_t size)
{
    if (next_realloc == NULL) {
        find();
    }

    if (fails()) {
        return NULL;
    }

    return old == NULL ? taken(next_realloc(NULL, size))
                       : next_realloc(old, size);
}

void
free(void *p)
{
    if ((char *) p >= early && (char *) p < early + EARLY) {
        return;
    }

    if (next_free == NULL) {
        find();
    }

    if (p != NULL && control != NULL && counts()) {
        atomic_fetch_sub(&control->live, 1);
    }

    next_free(p);
}

int
posix_memalign(void **p, size_t align, size_t size)
{
    int rc = fails() ? ENOMEM : 0;

    if (next_posix_memalign == NULL) {
        find();
    }

    if (rc == 0) {
        rc = next_posix_memalign(p, align, size);
    }

    if (rc == 0) {
        (void) taken(*p);
    }

    return rc;
}

void *
mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    if (next_mmap == NULL) {
        find();
    }

    return fails() ? MAP_FAILED : next_mmap(at, size, prot, flags, fd, offset);
}
