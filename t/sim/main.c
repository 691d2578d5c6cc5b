/*
 * main: runs of the simulator by seed
 *
 *     build/t/sim --seed 7 --trace
 *     build/t/sim --seeds 1-2000
 *     build/t/sim --seeds 1-100 --plant tip-local
 *
 * in:   seeds.  out: a line a violation, a line at the end; 0: all held,
 * 1: a violation, 2: wrong options.  owns: nothing
 *
 * Each seed runs twice: with the periodic check at 10 s, and with none, when
 * all must be there in time by the triggers alone.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "daemons.h"
#include "plant.h"
#include "run.h"
#include "sim.h"

#define MAIN_KINDS  16

struct main_options {
    uint64_t   first;
    uint64_t   last;
    const char *file;           /* seeds that run first; NULL: none */
    enum plant plant;
    bool       trace;
    bool       quiet;           /* no line for each violation */
    int        mode;            /* -1: both, 0: without check, 1: with */
};

struct main_kind {
    const char *name;
    unsigned    count;
};

static int main_usage(FILE *to);
static int main_list(void);
static bool main_number(const char *text, const char **end, uint64_t *n);
static bool main_option(struct main_options *o, const char *name,
    const char *value);
static int main_seeds(const struct main_options *o);
static bool main_file(const struct main_options *o, struct main_kind *kinds,
    uint64_t *runs, uint64_t *bad);
static bool main_seed(const struct main_options *o, uint64_t seed,
    struct main_kind *kinds);


int
main(int argc, char **argv)
{
    int                   i;
    struct main_options   o;

    memset(&o, 0, sizeof(o));
    o.first = 1;
    o.last = 1;
    o.mode = -1;

    for (i = 1; i < argc; i++) {

        if (strcmp(argv[i], "--list") == 0) {
            return main_list();
        }

        if (strcmp(argv[i], "--help") == 0) {
            main_usage(stdout);
            return 0;
        }

        if (strcmp(argv[i], "--trace") == 0) {
            o.trace = true;

        } else if (strcmp(argv[i], "--quiet") == 0) {
            o.quiet = true;

        } else if (i + 1 == argc || !main_option(&o, argv[i], argv[i + 1])) {
            return main_usage(stderr);

        } else {
            i++;
        }
    }

    return main_seeds(&o);
}


static int
main_usage(FILE *to)
{
    fprintf(to,
            "usage: sim [--seed N | --seeds A-B] [--plant NAME] [--check on|"
            "off]\n           [--file FILE] [--trace] [--quiet] | --list\n\n"
            "  --file FILE    seeds that run first, one a line\n"
            "  --plant NAME   builds a fault in; --list names them\n"
            "  --check on     only with the periodic check; off: only without"
            "\n  --trace        tells all that happens\n"
            "  --quiet        no line for each violation\n");

    return 2;
}


static int
main_list(void)
{
    unsigned  i;

    for (i = 1; i < PLANT_COUNT; i++) {
        printf("%-16s %s\n", plant_name((enum plant) i),
               plant_what((enum plant) i));
    }

    return 0;
}


static bool
main_option(struct main_options *o, const char *name, const char *value)
{
    const char  *end;

    if (strcmp(name, "--seed") == 0) {
        if (!main_number(value, &end, &o->first) || *end != '\0') {
            return false;
        }

        o->last = o->first;
        return true;
    }

    if (strcmp(name, "--seeds") == 0) {
        return main_number(value, &end, &o->first) && *end == '-'
               && main_number(end + 1, &end, &o->last) && *end == '\0'
               && o->first <= o->last;
    }

    if (strcmp(name, "--file") == 0) {
        o->file = value;
        return true;
    }

    if (strcmp(name, "--plant") == 0) {
        o->plant = plant_by_name(value);
        return o->plant != PLANT_COUNT;
    }

    if (strcmp(name, "--check") == 0) {
        o->mode = strcmp(value, "on") == 0;
        return o->mode || strcmp(value, "off") == 0;
    }

    return false;
}


static bool
main_number(const char *text, const char **end, uint64_t *n)
{
    char  *last;

    *n = strtoull(text, &last, 10);
    *end = last;

    return last != text && *text >= '0' && *text <= '9';
}


static int
main_seeds(const struct main_options *o)
{
    uint64_t          seed, bad, runs;
    unsigned          i;
    struct timespec   from, to;
    struct main_kind  kinds[MAIN_KINDS];

    clock_gettime(CLOCK_MONOTONIC, &from);
    memset(kinds, 0, sizeof(kinds));
    plant_set(o->plant);

    bad = runs = 0;

    if (o->file != NULL && !main_file(o, kinds, &runs, &bad)) {
        fprintf(stderr, "sim: %s cannot be read\n", o->file);
        return 2;
    }

    for (seed = o->first; seed <= o->last; seed++) {
        runs++;
        bad += !main_seed(o, seed, kinds);
    }

    clock_gettime(CLOCK_MONOTONIC, &to);

    printf("%s: %llu of %llu seeds bad", plant_name(o->plant),
           (unsigned long long) bad, (unsigned long long) runs);

    for (i = 0; i < MAIN_KINDS && kinds[i].count; i++) {
        printf("%s %s %u", i ? "," : " (", kinds[i].name, kinds[i].count);
    }

    printf("%s, %.1f s\n", bad ? ")" : "",
           (double) (to.tv_sec - from.tv_sec)
           + (double) (to.tv_nsec - from.tv_nsec) / 1e9);

    if (o->plant == PLANT_NONE) {
        run_counts();
    }

    return bad ? 1 : 0;
}


/* A seed a line, what is behind it is a comment. */
static bool
main_file(const struct main_options *o, struct main_kind *kinds,
    uint64_t *runs, uint64_t *bad)
{
    char         line[256];
    FILE        *file;
    uint64_t     seed;
    const char  *end;

    file = fopen(o->file, "r");
    if (file == NULL) {
        return false;
    }

    while (fgets(line, sizeof(line), file) != NULL) {
        if (main_number(line, &end, &seed)) {
            ++*runs;
            *bad += !main_seed(o, seed, kinds);
        }
    }

    fclose(file);

    return true;
}


static bool
main_seed(const struct main_options *o, uint64_t seed,
    struct main_kind *kinds)
{
    int       mode;
    unsigned  i;

    for (mode = 1; mode >= 0; mode--) {

        if (o->mode >= 0 && o->mode != mode) {
            continue;
        }

        run_seed(seed, mode == 1, o->trace);

        if (check_verdict() == NULL) {
            continue;
        }

        if (!o->quiet) {
            printf("seed %llu, check %s, at %.3f s: %s: %s\n",
                   (unsigned long long) seed, mode ? "on" : "off",
                   (double) check_time_us() / 1e6, check_kind(),
                   check_verdict());
        }

        for (i = 0; i < MAIN_KINDS - 1 && kinds[i].name != NULL
                    && strcmp(kinds[i].name, check_kind()) != 0; i++)
        {
            /* void */
        }

        kinds[i].name = check_kind();
        kinds[i].count++;

        return false;
    }

    return true;
}
