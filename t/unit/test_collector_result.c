/*
 * test_collector_result: from outcomes of the store to the lines of a batch
 */

#include "collector_result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>


static struct store_message
message(const char *log, enum store_outcome outcome, int64_t seq,
    const char *text)
{
    struct store_message  m;

    memset(&m, 0, sizeof(m));
    m.log = (struct push_str) { log, strlen(log) };
    m.outcome = outcome;
    m.seq = seq;
    m.text = text;

    return m;
}


static void
test_each_outcome_has_its_line(void **state)
{
    struct collector_job    job;
    struct collector_entry  e[7];
    struct store_message    m[7];

    static const char want[] =
        "{\"status\":201,\"id\":\"user:a@7\",\"log\":\"user:a\",\"seq\":7,"
        "\"duplicate\":false}\n"
        "{\"status\":200,\"id\":\"all@3\",\"log\":\"all\",\"seq\":3,"
        "\"duplicate\":true}\n"
        "{\"status\":409,\"detail\":\"the key was used with other data\"}\n"
        "{\"status\":503,\"detail\":\"disk \\\"x\\\" full\"}\n"
        "{\"status\":503,\"detail\":\"outcome unknown, retry with the same "
        "key\"}\n"
        "{\"status\":400,\"detail\":\"no good\"}\n"
        "{\"status\":202,\"log\":\"user:e\"}\n";

    (void) state;

    memset(&job, 0, sizeof(job));
    memset(e, 0, sizeof(e));
    job.batch = true;
    job.entries = e;
    job.entry_count = 7;
    job.messages = m;
    job.count = 5;

    m[0] = message("user:a", STORE_STORED, 7, NULL);
    m[1] = message("all", STORE_DUPLICATE, 3, NULL);
    m[2] = message("user:a", STORE_CONFLICT, 3, NULL);
    m[3] = message("user:a", STORE_REFUSED, 0, "disk \"x\" full");
    m[4] = message("user:a", STORE_UNKNOWN, 0, "I/O error");

    for (job.count = 0; job.count < 5; job.count++) {
        e[job.count].first = job.count;
        e[job.count].count = 1;
    }

    collector_text_lit(&job.details, "no good{\"log\":\"user:e\"}");
    e[5].status = 400;
    e[5].detail_len = 7;
    e[6].status = 202;
    e[6].detail = 7;
    e[6].detail_len = 16;

    collector_result_lines(&job);

    assert_false(job.out.failed);
    assert_int_equal(job.out.len, sizeof(want) - 1);
    assert_memory_equal(job.out.data, want, sizeof(want) - 1);

    collector_text_free(&job.out);
    collector_text_free(&job.details);
}


/* `users`: the worst of all, and each one's own. */
static void
test_a_list_has_the_worst_status(void **state)
{
    size_t                  i;
    struct collector_job    job;
    struct collector_entry  e;
    struct store_message    m[3];

    static const struct {
        enum store_outcome  outcome[3];
        const char         *status;
    } cases[] = {
        { { STORE_STORED, STORE_STORED, STORE_STORED },
          "{\"status\":201,\"results\":[{\"status\":201," },
        { { STORE_DUPLICATE, STORE_DUPLICATE, STORE_DUPLICATE },
          "{\"status\":200,\"results\":[{\"status\":200," },
        { { STORE_DUPLICATE, STORE_STORED, STORE_DUPLICATE },
          "{\"status\":201,\"results\":[{\"status\":200," },
        { { STORE_STORED, STORE_CONFLICT, STORE_STORED },
          "{\"status\":409,\"results\":[{\"status\":201," },
        { { STORE_CONFLICT, STORE_STORED, STORE_UNKNOWN },
          "{\"status\":503,\"results\":[{\"status\":409," },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&job, 0, sizeof(job));
        memset(&e, 0, sizeof(e));
        job.batch = true;
        job.entries = &e;
        job.entry_count = 1;
        job.messages = m;

        for (job.count = 0; job.count < 3; job.count++) {
            m[job.count] = message("user:a", cases[i].outcome[job.count], 1,
                                   "");
        }

        e.users = true;
        e.count = 3;
        collector_result_lines(&job);

        assert_true(job.out.len > strlen(cases[i].status));
        assert_memory_equal(job.out.data, cases[i].status,
                            strlen(cases[i].status));
        assert_memory_equal(job.out.data + job.out.len - 4, "}]}\n", 4);
        collector_text_free(&job.out);
    }
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_each_outcome_has_its_line),
        cmocka_unit_test(test_a_list_has_the_worst_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
