/*
 * test_store_append_rule: which documents go next, and what became of them
 *
 * The store here is a list of documents in memory; "others" write into it too.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_append_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENTS_MAX  4096

struct document {
    char    log[PUSH_LOG_MAX + 1];
    char    key[PUSH_KEY_MAX + 1];
    int64_t seq;
    uint8_t hash[STORE_HASH_LEN];
};

struct world {
    struct store_append_rule *rule;
    struct store_step         step;
    struct store_step         none;         /* what is not to be had */
    int64_t                   now_ms;
    size_t                    count;
    size_t                    finished;
    struct document           documents[DOCUMENTS_MAX];
};


static struct push_str
str(const char *s)
{
    return (struct push_str) { s, strlen(s) };
}


static int
setup(void **state)
{
    struct world  *w;

    w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->rule = store_append_rule_create(1);
    assert_non_null(w->rule);
    w->now_ms = 1000;
    *state = w;

    return 0;
}


static int
teardown(void **state)
{
    struct world  *w = *state;

    store_append_rule_destroy(w->rule);
    free(w);

    return 0;
}


static struct store_message
message(const char *log, const char *key, char hash)
{
    struct store_message  m;

    memset(&m, 0, sizeof(m));
    m.log = str(log);
    m.key = str(key);
    m.data = PUSH_STR("1");
    m.ts_ms = 7;
    m.hash[0] = (uint8_t) hash;

    return m;
}


static void
add(struct world *w, struct store_append *a, struct store_message *messages,
    size_t count)
{
    memset(a, 0, sizeof(*a));
    a->messages = messages;
    a->count = count;
    assert_int_equal(store_append_rule_add(w->rule, a), PUSH_OK);
}


static struct document *
find(struct world *w, struct push_str log, int64_t seq, struct push_str key)
{
    size_t            i;
    struct document  *d;

    for (i = 0; i < w->count; i++) {
        d = &w->documents[i];

        if (push_str_eq(str(d->log), log)
            && (d->seq == seq
                || (key.len && push_str_eq(str(d->key), key))))
        {
            return d;
        }
    }

    return NULL;
}


static void
put(struct world *w, const char *log, int64_t seq, const char *key, char hash)
{
    struct document  *d;

    assert_true(w->count < DOCUMENTS_MAX);
    d = &w->documents[w->count++];
    memset(d, 0, sizeof(*d));
    snprintf(d->log, sizeof(d->log), "%s", log);
    snprintf(d->key, sizeof(d->key), "%s", key);
    d->seq = seq;
    d->hash[0] = (uint8_t) hash;
}


static void
carry_out_item(struct world *w, struct store_step_item *item, bool *stop)
{
    char                         log[PUSH_LOG_MAX + 1], key[PUSH_KEY_MAX + 1];
    size_t                       i;
    struct document             *d;
    const struct store_message  *m;

    m = item->message;
    item->result = STORE_STEP_DONE;

    switch (w->step.kind) {

    case STORE_STEP_TIPS:
        for (i = 0; item->last && i < w->count; i++) {
            d = &w->documents[i];

            if (push_str_eq(str(d->log), item->log) && d->seq > item->seq) {
                item->seq = d->seq;
            }
        }

        return;

    case STORE_STEP_KEYS:
        d = find(w, item->log, -1, m->key);

        if (d == NULL) {
            item->result = STORE_STEP_MISSING;
            return;
        }

        item->seq = d->seq;
        item->ts_ms = 5;
        item->expires = 6;
        memcpy(item->hash, d->hash, STORE_HASH_LEN);
        return;

    default:
        if (*stop) {
            item->result = STORE_STEP_NOT_TRIED;
            return;
        }

        if (find(w, item->log, item->seq, PUSH_STR(""))) {
            item->result = STORE_STEP_SEQ_TAKEN;

        } else if (m->key.len && find(w, item->log, -1, m->key)) {
            item->result = STORE_STEP_KEY_TAKEN;

        } else {
            snprintf(log, sizeof(log), "%.*s", (int) m->log.len, m->log.data);
            snprintf(key, sizeof(key), "%.*s", (int) m->key.len, m->key.data);
            put(w, log, item->seq, key, (char) m->hash[0]);
            return;
        }

        *stop = w->step.ordered;
    }
}


/* What next() said is done by the store above. */
static void
carry_out(struct world *w)
{
    bool    stop;
    size_t  i;

    stop = false;

    for (i = 0; i < w->step.count; i++) {
        carry_out_item(w, &w->step.items[i], &stop);
    }
}


static void
done(struct world *w)
{
    struct store_request  *r;

    for (r = store_append_rule_done(w->rule, &w->step, w->now_ms); r;
         r = r->next)
    {
        w->finished++;
    }
}


/* Until nothing waits. */
static void
run(struct world *w)
{
    int64_t  wait_ms;

    for ( ;; ) {
        wait_ms = store_append_rule_wait(w->rule, w->now_ms);

        if (wait_ms < 0) {
            return;
        }

        w->now_ms += wait_ms;
        assert_true(store_append_rule_next(w->rule, w->now_ms, &w->step));
        carry_out(w);
        done(w);
    }
}


static void
expect_step(struct world *w, enum store_step_kind kind, size_t count)
{
    assert_true(store_append_rule_next(w->rule, w->now_ms, &w->step));
    assert_int_equal(w->step.kind, kind);
    assert_int_equal(w->step.count, count);
}


static void
expect_nothing(struct world *w)
{
    assert_false(store_append_rule_next(w->rule, w->now_ms, &w->none));
}


static void
test_other_logs_go_in_the_same_step(void **state)
{
    size_t                i;
    struct world         *w = *state;
    struct store_append   a;
    struct store_message  m[4];

    m[0] = message("user:a", "", 0);
    m[1] = message("user:b", "", 0);
    m[2] = message("user:a", "", 0);
    m[3] = message("all", "", 0);
    add(w, &a, m, 4);

    expect_step(w, STORE_STEP_TIPS, 3);
    assert_int_equal(w->step.items[1].seq, 0);
    assert_false(w->step.items[1].last);
    expect_nothing(w);
    carry_out(w);
    w->step.items[1].seq = 1;           /* from the head */
    done(w);

    /* one of each log; the second of user:a waits for the first */

    expect_step(w, STORE_STEP_INSERT, 3);
    assert_false(w->step.ordered);
    assert_int_equal(w->step.items[0].seq, 1);
    assert_int_equal(w->step.items[1].seq, 2);
    assert_int_equal(w->step.items[2].seq, 1);
    expect_nothing(w);
    assert_int_equal(store_append_rule_wait(w->rule, w->now_ms), -1);
    carry_out(w);
    done(w);

    expect_step(w, STORE_STEP_INSERT, 1);
    assert_int_equal(w->step.items[0].seq, 2);
    carry_out(w);
    assert_int_equal(w->finished, 0);
    done(w);
    assert_int_equal(w->finished, 1);

    assert_int_equal(a.r.result, STORE_OK);

    for (i = 0; i < 4; i++) {
        assert_int_equal(m[i].outcome, STORE_STORED);
        assert_int_equal(m[i].row, STORE_ROW_ALL + 1 + i);
    }

    assert_int_equal(store_append_rule_row(w->rule), STORE_ROW_ALL + 4);
    assert_int_equal(store_append_rule_tip(w->rule, str("user:a")), 2);
    assert_int_equal(store_append_rule_tip(w->rule, str("user:c")), 0);
}


static void
test_a_tip_is_believed_for_30_s(void **state)
{
    struct world         *w = *state;
    struct store_append   a;
    struct store_message  m;

    m = message("user:a", "", 0);
    add(w, &a, &m, 1);
    run(w);

    w->now_ms += STORE_TIP_MS;
    m = message("user:a", "", 0);
    add(w, &a, &m, 1);
    expect_step(w, STORE_STEP_INSERT, 1);
    assert_int_equal(w->step.items[0].seq, 2);
    carry_out(w);
    done(w);

    w->now_ms += STORE_TIP_MS + 1;
    m = message("user:a", "", 0);
    add(w, &a, &m, 1);
    expect_step(w, STORE_STEP_TIPS, 1);
    assert_int_equal(w->step.items[0].seq, 2);
    assert_false(w->step.items[0].last);
    w->step.items[0].result = STORE_STEP_DONE;
    w->step.items[0].seq = 7;               /* the head: 3 to 7 are deleted */
    done(w);
    expect_step(w, STORE_STEP_INSERT, 1);
    assert_int_equal(w->step.items[0].seq, 8);
    carry_out(w);
    done(w);
    assert_int_equal(m.outcome, STORE_STORED);
}


static void
test_an_unknown_outcome_forgets_the_tip(void **state)
{
    struct world         *w = *state;
    struct store_append   a, b;
    struct store_message  m, n;

    m = message("user:a", "k", 1);
    n = message("user:a", "", 2);
    add(w, &a, &m, 1);
    add(w, &b, &n, 1);
    expect_step(w, STORE_STEP_TIPS, 1);
    carry_out(w);
    done(w);

    expect_step(w, STORE_STEP_INSERT, 1);
    strcpy(w->step.error, "lost");
    put(w, "user:a", 1, "k", 1);            /* it was stored all the same */
    done(w);

    assert_int_equal(m.outcome, STORE_UNKNOWN);
    assert_string_equal(m.text, "lost");
    assert_int_equal(a.r.result, STORE_UNAVAILABLE);

    expect_step(w, STORE_STEP_TIPS, 1);
    assert_true(w->step.items[0].last);
    carry_out(w);
    done(w);
    run(w);
    assert_int_equal(n.outcome, STORE_STORED);
    assert_int_equal(n.seq, 2);

    /* and its publisher comes again */

    m = message("user:a", "k", 1);
    add(w, &a, &m, 1);
    run(w);
    assert_int_equal(m.outcome, STORE_DUPLICATE);
    assert_int_equal(m.seq, 1);
    assert_int_equal(m.ts_ms, 5);
    assert_int_equal(m.expires, 6);
    assert_int_equal(m.row, 0);
}


static void
test_another_one_s_number_is_tried_again(void **state)
{
    struct world         *w = *state;
    struct store_append   a;
    struct store_message  m[2];

    m[0] = message("user:a", "", 0);
    m[1] = message("user:b", "", 0);
    add(w, &a, m, 2);
    expect_step(w, STORE_STEP_TIPS, 2);
    carry_out(w);
    done(w);

    put(w, "user:a", 1, "", 0);
    expect_step(w, STORE_STEP_INSERT, 2);
    carry_out(w);
    assert_int_equal(w->step.items[0].result, STORE_STEP_SEQ_TAKEN);
    done(w);

    /* the tip was not known: it is read, without a pause */

    expect_step(w, STORE_STEP_TIPS, 1);
    assert_true(w->step.items[0].last);
    w->step.items[0].result = STORE_STEP_DONE;      /* no majority has it */
    done(w);
    expect_step(w, STORE_STEP_INSERT, 1);
    carry_out(w);
    assert_int_equal(w->step.items[0].result, STORE_STEP_SEQ_TAKEN);
    done(w);

    expect_nothing(w);
    assert_in_range(store_append_rule_wait(w->rule, w->now_ms), 1, 3);
    run(w);
    assert_int_equal(m[0].outcome, STORE_STORED);
    assert_int_equal(m[0].seq, 2);
    assert_int_equal(m[1].seq, 1);
}


static void
test_others_that_never_end_are_given_up(void **state)
{
    size_t                i, inserts;
    struct world         *w = *state;
    struct store_append   a;
    struct store_message  m;

    m = message("user:a", "", 0);
    add(w, &a, &m, 1);
    inserts = 0;

    while (!w->finished) {
        w->now_ms += store_append_rule_wait(w->rule, w->now_ms);
        assert_true(store_append_rule_next(w->rule, w->now_ms, &w->step));

        for (i = 0; i < w->step.count; i++) {
            w->step.items[i].result = STORE_STEP_DONE;

            if (w->step.kind == STORE_STEP_INSERT) {
                w->step.items[i].result = STORE_STEP_SEQ_TAKEN;
                inserts++;
            }
        }

        done(w);
    }

    assert_int_equal(inserts, STORE_TRIES + 1);
    assert_int_equal(m.outcome, STORE_REFUSED);
    assert_int_equal(a.r.result, STORE_UNAVAILABLE);
    assert_true(w->now_ms < 2000);
}


static void
test_a_key_that_no_majority_has_is_not_acknowledged(void **state)
{
    struct world         *w = *state;
    struct store_append   a;
    struct store_message  m;

    m = message("user:a", "k", 1);
    add(w, &a, &m, 1);

    while (!w->finished) {
        w->now_ms += store_append_rule_wait(w->rule, w->now_ms);
        assert_true(store_append_rule_next(w->rule, w->now_ms, &w->step));
        carry_out(w);
        w->count = 0;

        if (w->step.kind == STORE_STEP_INSERT) {
            w->step.items[0].result = STORE_STEP_KEY_TAKEN;
        }

        done(w);
    }

    assert_int_equal(m.outcome, STORE_UNKNOWN);
    assert_non_null(strstr(m.text, "not committed"));

    /* once the first copy is gone for good, the second is stored */

    m = message("user:a", "k", 1);
    add(w, &a, &m, 1);
    expect_step(w, STORE_STEP_TIPS, 1);
    carry_out(w);
    done(w);
    expect_step(w, STORE_STEP_INSERT, 1);
    w->step.items[0].result = STORE_STEP_KEY_TAKEN;
    done(w);
    run(w);
    assert_int_equal(m.outcome, STORE_STORED);
}


static void
test_the_same_key_with_another_hash_is_a_conflict(void **state)
{
    struct world         *w = *state;
    struct store_append   a;
    struct store_message  m[3];

    put(w, "user:a", 1, "k", 'x');
    m[0] = message("user:a", "k", 'y');
    m[1] = message("user:a", "k", 'x');
    m[2] = message("user:a", "", 'x');
    add(w, &a, m, 3);
    run(w);

    assert_int_equal(a.r.result, STORE_OK);
    assert_int_equal(m[0].outcome, STORE_CONFLICT);
    assert_int_equal(m[0].seq, 1);
    assert_int_equal(m[1].outcome, STORE_DUPLICATE);
    assert_int_equal(m[1].seq, 1);
    assert_int_equal(m[2].outcome, STORE_STORED);
    assert_int_equal(m[2].seq, 2);
}


static void
test_a_hot_log_goes_alone_and_in_order(void **state)
{
    size_t                i;
    struct world         *w = *state;
    struct store_append   a, b;
    struct store_message  m[40], n;

    for (i = 0; i < 40; i++) {
        m[i] = message("all", i == 9 || i == 5 ? "k" : "", 'x');
    }

    n = message("user:a", "", 0);
    add(w, &a, m, 40);
    add(w, &b, &n, 1);
    expect_step(w, STORE_STEP_TIPS, 2);
    carry_out(w);
    done(w);

    expect_step(w, STORE_STEP_INSERT, 40);
    assert_true(w->step.ordered);
    carry_out(w);
    assert_int_equal(w->step.items[9].result, STORE_STEP_KEY_TAKEN);
    assert_int_equal(w->step.items[10].result, STORE_STEP_NOT_TRIED);
    done(w);

    for (i = 0; i < 9; i++) {
        assert_int_equal(m[i].seq, i + 1);
    }

    expect_step(w, STORE_STEP_INSERT, 1);
    assert_false(w->step.ordered);
    carry_out(w);
    done(w);

    expect_step(w, STORE_STEP_KEYS, 1);
    carry_out(w);
    done(w);
    assert_int_equal(m[9].outcome, STORE_DUPLICATE);
    assert_int_equal(m[9].seq, 6);

    expect_step(w, STORE_STEP_INSERT, 30);
    assert_true(w->step.ordered);
    assert_int_equal(w->step.items[0].seq, 10);
    done(w);                                /* nothing was heard of it */

    for (i = 10; i < 40; i++) {
        assert_int_equal(m[i].outcome, STORE_UNKNOWN);
    }

    assert_int_equal(w->finished, 2);
}


static void
test_a_step_is_bounded(void **state)
{
    char                  (*logs)[16];
    size_t                 i, n;
    struct world          *w = *state;
    struct store_append    a, b;
    struct store_message  *m;

    n = STORE_APPEND_MAX;
    m = calloc(n * 2, sizeof(*m));
    logs = calloc(n * 2, sizeof(*logs));

    for (i = 0; i < n * 2; i++) {
        snprintf(logs[i], sizeof(logs[i]), "user:%zu", i);
        m[i] = message(logs[i], "", 0);
        m[i].data.len = 100 * 1024;
    }

    add(w, &a, m, n);
    add(w, &b, m + n, n);
    expect_step(w, STORE_STEP_TIPS, STORE_STEP_MAX);
    carry_out(w);
    done(w);
    expect_step(w, STORE_STEP_TIPS, STORE_STEP_MAX);
    carry_out(w);
    done(w);
    expect_step(w, STORE_STEP_INSERT, 40);
    carry_out(w);
    done(w);
    run(w);

    for (i = 0; i < n * 2; i++) {
        assert_int_equal(m[i].outcome, STORE_STORED);
    }

    free(logs);
    free(m);
}


static void
test_what_waits_fails_with_the_store(void **state)
{
    struct world         *w = *state;
    struct store_append   a, b, c;
    struct store_message  m, n, o;

    m = message("user:a", "", 0);
    n = message("user:b", "", 0);
    add(w, &a, &m, 1);
    expect_step(w, STORE_STEP_TIPS, 1);
    add(w, &b, &n, 1);
    strcpy(w->step.error, "no primary");
    done(w);
    assert_int_equal(w->finished, 1);
    assert_int_equal(m.outcome, STORE_REFUSED);
    assert_string_equal(m.text, "no primary");

    assert_ptr_equal(store_append_rule_fail(w->rule, "no primary"), &b.r);
    assert_int_equal(n.outcome, STORE_REFUSED);
    assert_string_equal(n.text, "no primary");
    assert_null(store_append_rule_fail(w->rule, "no primary"));
    expect_nothing(w);

    o = message("user:a", "", 0);
    add(w, &c, &o, 1);
    run(w);
    assert_int_equal(o.seq, 1);
}


static void
test_one_refused_document_does_not_stop_its_log(void **state)
{
    struct world         *w = *state;
    struct store_append   a;
    struct store_message  m[2];

    m[0] = message("user:a", "", 0);
    m[1] = message("user:a", "", 0);
    add(w, &a, m, 2);
    expect_step(w, STORE_STEP_TIPS, 1);
    carry_out(w);
    done(w);
    expect_step(w, STORE_STEP_INSERT, 1);
    w->step.items[0].result = STORE_STEP_REFUSED;
    w->step.items[0].text = "too large";
    done(w);
    run(w);

    assert_int_equal(m[0].outcome, STORE_REFUSED);
    assert_string_equal(m[0].text, "too large");
    assert_int_equal(m[1].outcome, STORE_STORED);
    assert_int_equal(m[1].seq, 1);
}


int
main(void)
{
#define CASE(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)

    const struct CMUnitTest cases[] = {
        CASE(test_other_logs_go_in_the_same_step),
        CASE(test_a_tip_is_believed_for_30_s),
        CASE(test_an_unknown_outcome_forgets_the_tip),
        CASE(test_another_one_s_number_is_tried_again),
        CASE(test_others_that_never_end_are_given_up),
        CASE(test_a_key_that_no_majority_has_is_not_acknowledged),
        CASE(test_the_same_key_with_another_hash_is_a_conflict),
        CASE(test_a_hot_log_goes_alone_and_in_order),
        CASE(test_a_step_is_bounded),
        CASE(test_what_waits_fails_with_the_store),
        CASE(test_one_refused_document_does_not_stop_its_log),
    };

    return cmocka_run_group_tests_name("store_append_rule", cases, NULL, NULL);
}
