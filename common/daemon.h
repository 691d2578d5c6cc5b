/*
 * daemon: what every daemon's main() is made of
 *
 *     options --> conf --> init --> (clients, routes) --> ready --> loop --> 0
 *                    \-- -t: said and done        TERM: drain --/
 *
 * in:   argv, signals.  out: calls of the hooks, an exit status
 * owns: the libevent base, the log, signal events
 *
 *     push-auth -c FILE | -t -c FILE | -V | -h        always in the foreground
 *     HUP: reload    TERM, INT: drain, a second one: stop now    PIPE: ignored
 */

#ifndef DAEMON_H
#define DAEMON_H

#include "conf.h"
#include "log.h"

struct event;
struct event_base;

/* Options of every daemon; DAEMON_CONF_ROWS puts them into a table. */
struct daemon_conf {
    char    *listen;            /* "ip:port" or "unix:/path" */
    int      log_level;         /* enum log_level */
    int64_t  drain_timeout_ms;
};

/* conf: the daemon's struct; part: its member of type struct daemon_conf. */
#define DAEMON_CONF_ROWS(conf, part)                                          \
    { .name = "listen", .type = CONF_STRING,                                  \
      .offset = offsetof(conf, part.listen), .min = 1, .max = 108,            \
      .check = daemon_listen_check },                                         \
    { .name = "log_level", .type = CONF_WORD,                                 \
      .offset = offsetof(conf, part.log_level), .fallback = "info",           \
      .words = log_level_words },                                             \
    { .name = "drain_timeout", .type = CONF_TIME,                             \
      .offset = offsetof(conf, part.drain_timeout_ms), .fallback = "10s",     \
      .max = 3600 * 1000 }

struct daemon_hooks {
    /* HUP: read files again, validate all, then swap; keep the old on errors */
    void (*reload)(void *data);
    /* TERM or INT, once: refuse new work, finish what is there */
    void (*drain)(void *data);
    /* asked each 20 ms while draining: nothing is under way any more */
    bool (*drained)(void *data);
    void  *data;
};

/* Fill with daemon_options(); the first five fields are for everybody. */
struct daemon {
    const char         *name;           /* "push-auth" */
    const char         *conf_file;
    bool                test;           /* -t */
    struct event_base  *base;           /* from daemon_init() on */
    struct log          log;            /* from daemon_options() on */

    bool                draining;
    bool                stop;
    int64_t             drain_timeout_ms;
    struct daemon_hooks hooks;
    struct event       *signals[3];     /* HUP, TERM, INT */
    struct event       *tick;           /* each second: log_flush() */
    struct event       *drain_poll;
    int64_t             drain_until_ms;
};

/*
 * PUSH_OK: go on.  PUSH_DECLINED: help, version or an error was printed, exit
 * with *status (0, or 2 for a wrong command line).
 */
int daemon_options(struct daemon *d, const char *name, int argc, char **argv,
    int *status);

/*
 * The end of -t, and of a start with a bad file: print one line and give the
 * exit status (0, 1).
 */
int daemon_conf_ok(struct daemon *d);
int daemon_conf_bad(struct daemon *d, const struct conf_error *error);

/* Base, signals, log level.  PUSH_OK, or PUSH_ERROR after a log line. */
int daemon_init(struct daemon *d, const struct daemon_conf *conf,
    const struct daemon_hooks *hooks);

/* Everything listens: a log line, and READY=1 to systemd. */
void daemon_ready(struct daemon *d);

/* Runs until drained or told to stop.  Returns the exit status. */
int daemon_loop(struct daemon *d);

/* Ends the loop soon, as TERM does (drain) or at once; for fatal errors. */
void daemon_stop(struct daemon *d);

void daemon_deinit(struct daemon *d);

/* Clocks: Unix time, and one that never jumps. */
int64_t daemon_unix_ms(void);
int64_t daemon_monotonic_ms(void);

/* A random number in 0 .. below - 1 (jitter, not for secrets). */
uint32_t daemon_random(uint32_t below);

/* "ip:port", "[ip6]:port" or "unix:/path": for a conf_row's check. */
int daemon_listen_check(const char *value, char *error, size_t size);

#endif
