/*
 * fanload: very many raw clients of one edge, which read slowly and check what
 * they get; and some that measure
 *
 *     fanload crowd IP:PORT COUNT        connects COUNT clients in processes
 *                                        of 18,000, says "ready"; from then on
 *                                        they read a few at a time, all of them
 *                                        within seconds; when its input ends it
 *                                        prints JSON: what they got
 *     fanload sample IP:PORT IP:DELIVER SECRET COUNT RATE
 *                                        connects COUNT clients, says "ready",
 *                                        posts RATE messages a second to them;
 *                                        what is read after a line 0, 1 or 2 of
 *                                        input belongs to that period; a line ?
 *                                        prints JSON of each period
 *
 * A broadcast's data is "b<number>:...", counted from 1; a sample's is
 * "s<due in ns>:...".  Bodies are posted as a dispatcher does: one at a time,
 * what becomes due meanwhile goes into the next one.
 *
 * All of them stand for others elsewhere, who take no processor of this machine:
 * the crowd runs only when nobody else wants to, who measures never waits.
 *
 * in:   an edge with push_user $arg_user, and its push_deliver location
 * out:  microseconds from the moment a message was due until it was read
 * owns: all sockets and child processes
 */

#include "fan.h"

#include <string.h>
#include <sys/resource.h>

int
main(int argc, char **argv)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }

    if (argc == 4 && strcmp(argv[1], "crowd") == 0) {
        crowd_main(argv + 2);

    } else if (argc == 7 && strcmp(argv[1], "sample") == 0) {
        sample_main(argv + 2);

    } else {
        die("crowd IP:PORT COUNT | sample IP:PORT IP:DELIVER SECRET COUNT"
            " RATE");
    }

    return 0;
}
