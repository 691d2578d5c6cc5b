/*
 * fan: clients of fanload, very many to a process
 *
 * in:   an edge with push_user $arg_user
 * out:  what they read; a fault for each broadcast that is not the next one
 */

#ifndef FAN_H
#define FAN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCESS_MAX   18000         /* clients of a process */
#define PERIODS       3
#define SAMPLES_MAX   500000        /* of a period */

struct client {
    int       fd;
    bool      open;                 /* the 101 was read */
    bool      digits;               /* number is not at its end */
    unsigned char head[4];          /* of the frame under way */
    uint32_t  have;                 /* bytes of head */
    uint32_t  at;                   /* bytes of its payload so far, */
    uint32_t  len;                  /* of so many */
    char      kind;
    uint64_t  number;               /* in its data, so far */
    uint64_t  last;                 /* broadcast */
    uint64_t  got;                  /* broadcasts */
};

/* microseconds, what was read meanwhile */
struct period {
    uint32_t *us;                   /* SAMPLES_MAX; or NULL: nobody asks */
    size_t    n;
};

struct crowd {
    struct sockaddr_in  to;
    struct client      *clients;
    unsigned            count;
    unsigned            first;      /* number of the first one's user */
    const char         *prefix;     /* of users */
    int                 epoll;
    unsigned            next;       /* to be opened */
    unsigned            opening;
    unsigned            ready;
    uint64_t            faults;     /* not the broadcast that had to come */

    struct period       periods[PERIODS];
    unsigned            period;     /* now */
};

/* These end the process with a sentence when something is wrong. */
void die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
struct sockaddr_in address(const char *text);
unsigned count_of(const char *text, unsigned max);

/*
 * Priority against other processes and, where the kernel shares processors out
 * by sessions, of a session of its own; as far as this user may.
 */
void run_at(int nice);

void say(const char *text);
uint64_t now_ns(void);

/* A socket that connects from an address for this user. */
int dial(const struct sockaddr_in *to, unsigned user);
/* All w->count clients: open, each in w->epoll. */
void crowd_connect(struct crowd *w);
/* Reads once, up to 16 KB.  true: there may be more. */
bool client_read(struct crowd *w, struct client *c);

/* argv: what follows the word. */
void crowd_main(char **argv);
void sample_main(char **argv);

#endif
