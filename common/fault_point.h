/*
 * fault_point: places at which a test lets a process die
 *
 * Only in a build with -DFAULT_POINTS (make FAULTS=1), elsewhere the macros
 * are nothing.  There the environment chooses one place and one passage:
 *
 *     PUSH_FP=store-acked:3:kill:/tmp/mark
 *
 * sends SIGKILL to the process when it comes to store-acked for the third
 * time, after it has made the file.  If the file is there already nothing
 * happens: a worker that nginx starts in place of a dead one lives.  Without a
 * file it happens in each process.  Passages are counted by process; a name
 * stands in one place of a program only.  docs/TESTING.md lists the names.
 */

#ifndef FAULT_POINT_H
#define FAULT_POINT_H

#ifdef FAULT_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Is this the passage? */
static inline bool
fault_point_here(const char *name)
{
    int                 fd;
    char               *end;
    long                pass;
    size_t              len;
    const char         *want;
    static atomic_long  passes;

    want = getenv("PUSH_FP");
    len = strlen(name);

    if (want == NULL || strncmp(want, name, len) != 0 || want[len] != ':') {
        return false;
    }

    pass = strtol(want + len + 1, &end, 10);

    if (strncmp(end, ":kill", 5) != 0
        || atomic_fetch_add(&passes, 1) + 1 != pass)
    {
        return false;
    }

    if (end[5] == ':') {
        fd = open(end + 6, O_CREAT | O_EXCL | O_WRONLY, 0666);
        return fd != -1;
    }

    return true;
}

#define PUSH_FAULT_POINT(name)  PUSH_FAULT_POINT_DO(name, (void) 0)

/* last: what is still done, in this passage alone, before the death */
#define PUSH_FAULT_POINT_DO(name, last)                                       \
    do {                                                                      \
        if (fault_point_here(name)) {                                         \
            last;                                                             \
            raise(SIGKILL);                                                   \
        }                                                                     \
    } while (0)

#define PUSH_FAULT_POINT_IF(test, name)                                       \
    do {                                                                      \
        if (test) {                                                           \
            PUSH_FAULT_POINT(name);                                           \
        }                                                                     \
    } while (0)

#else

#define PUSH_FAULT_POINT(name)           do { } while (0)
#define PUSH_FAULT_POINT_DO(name, last)  do { } while (0)
#define PUSH_FAULT_POINT_IF(test, name)  do { } while (0)

#endif

#endif
