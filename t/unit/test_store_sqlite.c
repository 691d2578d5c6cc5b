/*
 * test_store_sqlite: what is SQLite's own: the file, its faults, kill -9
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>


static int
setup(void **state)
{
    struct store_world  *w;

    w = calloc(1, sizeof(*w));
    assert_non_null(w);
    world_create(w, "sqlite:");
    *state = w;

    return 0;
}


static int
teardown(void **state)
{
    world_destroy(*state);
    free(*state);

    return 0;
}


static const char *
path(const struct store_world *w)
{
    return w->url + strlen("sqlite:");
}


static void
sql(const char *file, const char *text)
{
    sqlite3  *db;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}


/* The store cannot be opened, and the text has the path and `why`. */
static void
assert_refused(struct store_world *w, const char *why)
{
    char           error[512];
    struct store  *store;

    assert_int_equal(store_open(&store, &w->conf, error, sizeof(error)),
                     PUSH_ERROR);
    assert_null(store);

    if (strstr(error, why) == NULL || strstr(error, path(w)) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", why, error);
    }
}


static void
test_files_are_for_their_owner_only(void **state)
{
    int                  i;
    char                 name[256];
    struct stat          st;
    struct store_world  *w;

    static const char *const suffixes[] = { "", "-wal", "-shm", ".lock" };

    w = *state;
    world_store(w, "user:a", "1");

    for (i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", path(w), suffixes[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}


static void
test_a_second_collector_is_refused(void **state)
{
    struct store_world  *w;

    w = *state;
    assert_refused(w, "in use by another collector");
    assert_int_equal(world_store(w, "user:a", "1"), 1);
}


static void
test_a_file_that_is_no_database_is_refused(void **state)
{
    int                  fd;
    char                 text[8192];
    struct store_world  *w;

    w = *state;
    world_close(w);

    memset(text, 'x', sizeof(text));
    fd = open(path(w), O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    close(fd);

    assert_refused(w, "is not an SQLite database");
    unlink(path(w));
    world_open(w);
}


static void
test_a_damaged_file_is_refused(void **state)
{
    int                  i, fd;
    char                 junk[4096];
    struct stat          st;
    struct store_world  *w;

    w = *state;

    for (i = 0; i < 200; i++) {
        world_store(w, "user:a", "\"some text that fills a page or two\"");
    }

    world_close(w);             /* all is in the main file now */

    memset(junk, 0xa5, sizeof(junk));
    fd = open(path(w), O_RDWR);
    assert_int_equal(fstat(fd, &st), 0);

    for (i = 1; i < st.st_size / 4096; i++) {
        assert_int_equal(pwrite(fd, junk, sizeof(junk), i * 4096), 4096);
    }

    close(fd);

    assert_refused(w, "damaged");
    unlink(path(w));
    world_open(w);
}


static void
test_another_program_s_database_is_refused(void **state)
{
    struct store_world  *w;

    w = *state;
    world_close(w);
    unlink(path(w));
    sql(path(w), "CREATE TABLE t (x)");
    assert_refused(w, "another program");
    unlink(path(w));
    world_open(w);
}


static void
test_a_newer_schema_is_refused(void **state)
{
    struct store_world  *w;

    w = *state;
    world_close(w);
    sql(path(w), "PRAGMA user_version = 99");
    assert_refused(w, "schema version 99");
    sql(path(w), "PRAGMA user_version = 1");
    world_open(w);
}


static void
test_a_missing_directory_is_told(void **state)
{
    char                 url[300];
    struct store_world  *w;

    w = *state;
    world_close(w);
    snprintf(url, sizeof(url), "%s/no/such/push.db", w->url);
    w->conf.url = url;
    assert_refused(w, "Not a directory");
    w->conf.url = w->url;
    world_open(w);
}


static void
test_a_file_without_write_permission_is_told(void **state)
{
    struct store_world  *w;

    w = *state;

    world_close(w);
    assert_int_equal(chmod(path(w), 0400), 0);
    assert_int_equal(chmod(w->dir, 0755), 0);

    if (geteuid() == 0) {       /* root may write all */
        assert_int_equal(seteuid(65534), 0);
        assert_refused(w, "Permission denied");
        assert_int_equal(seteuid(0), 0);

    } else {
        assert_refused(w, "Permission denied");
    }

    assert_int_equal(chmod(path(w), 0600), 0);
    world_open(w);
}


/*
 * Somebody holds SQLite's write lock (a shell in a transaction): appends are
 * refused with the reason, and go on when it is gone.
 */
static void
test_a_locked_database_refuses_and_recovers(void **state)
{
    size_t                tries;
    sqlite3              *db;
    struct store_world   *w;
    struct store_append   a;
    struct store_health   h;
    struct store_message  m;

    w = *state;
    world_store(w, "user:a", "1");

    assert_int_equal(sqlite3_open(path(w), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);

    m = world_message(w, "user:a", "", "2");
    world_append_all(w, &a, &m, 1);
    assert_int_equal(a.r.result, STORE_UNAVAILABLE);
    assert_int_equal(m.outcome, STORE_REFUSED);
    assert_string_equal(m.text, "locked by another process");

    store_health(w->store, &h);
    assert_false(h.ready);
    assert_string_equal(h.text, "locked by another process");

    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);

    /* by itself, within a second or two */

    for (tries = 0; tries < 1000 && !h.ready; tries++) {
        poll(NULL, 0, 10);
        store_health(w->store, &h);
    }

    assert_true(h.ready);
    assert_int_equal(world_store(w, "user:a", "2"), 2);
}


/* A row that somebody else wrote is seen: the tip is read again. */
static void
test_a_tip_that_moved_elsewhere_is_read_again(void **state)
{
    struct store_world  *w;

    w = *state;
    world_store(w, "user:a", "1");
    sql(path(w), "INSERT INTO messages (row, log, seq, ts, expires, data)"
        " VALUES (1000, 1, 2, 0, 0, '9')");
    assert_int_equal(world_store(w, "user:a", "3"), 3);
}


static void
test_a_full_disk_refuses_and_recovers(void **state)
{
    int                   i, fd;
    char                  dir[64], name[80], *big;
    size_t                stored, tries;
    struct store_world    w;
    struct store_read     r;
    struct store_append   a;
    struct store_health   h;
    struct store_message  m;

    (void) state;

    strcpy(dir, "/tmp/push-full-XXXXXX");
    assert_non_null(mkdtemp(dir));

    if (mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700") != 0) {
        print_message("skipped: no tmpfs can be mounted: %s\n",
                      strerror(errno));
        rmdir(dir);
        skip();
    }

    memset(&w, 0, sizeof(w));
    snprintf(w.url, sizeof(w.url), "sqlite:%s/push.db", dir);
    w.now_ms = WORLD_NOW_MS;
    w.conf.url = w.url;
    w.conf.queue_messages = 1000;
    w.conf.queue_bytes = 1024 * 1024;
    w.conf.now_ms = world_now_ms;
    w.conf.now_data = &w;
    w.conf.gc_by_hand = true;
    world_open(&w);

    /* ballast that is taken away later */

    snprintf(name, sizeof(name), "%s/ballast", dir);
    fd = open(name, O_WRONLY | O_CREAT, 0600);
    big = calloc(1, 1024 * 1024);
    assert_int_equal(write(fd, big, 1024 * 1024), 1024 * 1024);
    close(fd);
    memset(big, '1', 20000);
    big[20000] = '\0';

    for (stored = 0; stored < 1000; stored++) {
        m = world_message(&w, "user:a", "", big);
        world_append_all(&w, &a, &m, 1);

        if (m.outcome != STORE_STORED) {
            break;
        }

        assert_int_equal(m.seq, stored + 1);
    }

    assert_in_range(stored, 1, 100);
    assert_true(m.outcome == STORE_REFUSED || m.outcome == STORE_UNKNOWN);
    assert_int_equal(a.r.result, STORE_UNAVAILABLE);
    assert_true(strstr(m.text, "full") || strstr(m.text, "No space"));

    store_health(w.store, &h);
    assert_false(h.ready);

    /* what is there can still be read */

    world_read(&w, &r, "user:a", 0, 10, 100000);
    assert_true(r.tip >= (int64_t) stored);
    store_release(&r.r);

    unlink(name);

    for (tries = 0; tries < 1000 && !h.ready; tries++) {
        poll(NULL, 0, 10);
        store_health(w.store, &h);
    }

    assert_true(h.ready);

    /* no hole, nothing twice */

    m = world_message(&w, "user:a", "", big);
    assert_int_equal(world_append(&w, &m), STORE_STORED);
    world_read(&w, &r, "user:a", 0, 1000, 1);
    stored = (size_t) r.tip;
    store_release(&r.r);
    assert_int_equal(m.seq, stored);

    world_read(&w, &r, "user:a", 0, 1000, 100 * 1024 * 1024);
    assert_int_equal(r.count, stored);

    for (i = 0; i < (int) r.count; i++) {
        assert_null(r.items[i].why);
        assert_int_equal(r.items[i].seq, i + 1);
    }

    store_release(&r.r);
    world_close(&w);
    free(big);
    assert_int_equal(umount(dir), 0);
    rmdir(dir);
}


/* What a child says of each committed message. */
struct said {
    int     log;
    int64_t seq;
    int     number;
};

static void
child(struct store_world *w, int out, unsigned seed)
{
    int                   i, n, number;
    char                  logs[20][16], data[20][32];
    size_t                pending;
    struct said           said;
    struct store_append   a;
    struct store_message  m[20];

    number = 0;

    if (store_open(&w->store, &w->conf, data[0], sizeof(data)) != PUSH_OK) {
        _exit(1);
    }

    for ( ;; ) {
        n = 1 + (int) (seed % 20);
        seed = seed * 1103515245 + 12345;

        for (i = 0; i < n; i++) {
            snprintf(logs[i], sizeof(logs[i]), "user:%d", (number + i) % 7);
            snprintf(data[i], sizeof(data[i]), "%d", number + i);
            m[i] = world_message(w, logs[i], "", data[i]);
        }

        pending = 0;
        memset(&a, 0, sizeof(a));
        a.r = world_request(&pending);
        a.messages = m;
        a.count = (size_t) n;

        if (store_append(w->store, &a) != PUSH_OK) {
            _exit(1);
        }

        while (pending) {
            struct pollfd p = { store_fd(w->store), POLLIN, 0 };

            poll(&p, 1, 1000);
            store_run(w->store);
        }

        for (i = 0; i < n; i++) {
            if (m[i].outcome != STORE_STORED) {
                _exit(1);
            }

            said.log = (number + i) % 7;
            said.seq = m[i].seq;
            said.number = number + i;

            if (write(out, &said, sizeof(said)) != sizeof(said)) {
                _exit(1);
            }
        }

        number += n;
    }
}


/*
 * A process is killed in the middle of its commits, again and again.  What it
 * said to be stored is there, each log is dense, and no data is there twice.
 */
static void
test_what_was_said_to_be_stored_survives_kill_9(void **state)
{
    int                  i, round, status, fds[2];
    char                 log[16], data[32];
    pid_t                pid;
    size_t               n;
    struct said          said[20];
    struct store_world  *w;
    struct store_read    r;

    w = *state;
    world_close(w);

    for (round = 0; round < 8; round++) {
        int64_t  highest[7] = { 0 };
        int      number[7] = { 0 };
        ssize_t  len;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            close(fds[0]);
            child(w, fds[1], (unsigned) round);
        }

        close(fds[1]);
        n = 0;

        while ((len = read(fds[0], said, sizeof(said))) > 0) {
            for (i = 0; i < len / (int) sizeof(said[0]); i++) {
                highest[said[i].log] = said[i].seq;
                number[said[i].log] = said[i].number;
                n++;
            }

            if (n > (size_t) round * 150 + 20) {
                kill(pid, SIGKILL);
            }
        }

        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));

        world_open(w);
        assert_int_equal(store_info(w->store)->repair, STORE_REPAIR_ROWS);

        for (i = 0; i < 7; i++) {
            int64_t after;

            snprintf(log, sizeof(log), "user:%d", i);
            snprintf(data, sizeof(data), "%d", number[i]);
            after = 0;

            do {
                world_read(w, &r, log, after, 1000, 100000);

                for (n = 0; n < r.count; n++) {
                    assert_null(r.items[n].why);
                    assert_int_equal(r.items[n].seq, after + 1);
                    after++;

                    if (highest[i] && after == highest[i]) {
                        assert_true(push_str_eq(r.items[n].data,
                                                world_str(data)));
                    }
                }

                status = r.count > 0;
                assert_true(r.tip >= highest[i]);
                store_release(&r.r);
            } while (status);

            assert_true(after >= highest[i]);
        }

        world_close(w);
    }

    world_open(w);
}


int
main(void)
{
#define CASE(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        CASE(test_files_are_for_their_owner_only),
        CASE(test_a_second_collector_is_refused),
        CASE(test_a_file_that_is_no_database_is_refused),
        CASE(test_a_damaged_file_is_refused),
        CASE(test_another_program_s_database_is_refused),
        CASE(test_a_newer_schema_is_refused),
        CASE(test_a_missing_directory_is_told),
        CASE(test_a_file_without_write_permission_is_told),
        CASE(test_a_locked_database_refuses_and_recovers),
        CASE(test_a_tip_that_moved_elsewhere_is_read_again),
        CASE(test_a_full_disk_refuses_and_recovers),
        CASE(test_what_was_said_to_be_stored_survives_kill_9),
    };
#undef CASE

    return cmocka_run_group_tests(tests, NULL, NULL);
}
