/*
 * collector_result: what a publish request is told
 *
 * in: a job with its outcomes.  out: text.  owns: nothing
 */

#include "collector_result.h"

#include <string.h>

#include "http_server.h"

#define RESULT_RETRY_AFTER_S  1
#define RESULT_UNKNOWN        "outcome unknown, retry with the same key"

static unsigned result_status(const struct collector_job *job,
    const struct collector_entry *e);
static unsigned result_message_status(const struct store_message *m);
static void result_fault(struct collector_job *job,
    const struct collector_entry *e, unsigned status);
static void result_list(struct collector_job *job,
    const struct collector_entry *e, struct collector_text *t, bool status);
static void result_message(const struct collector_job *job,
    const struct collector_entry *e, size_t i, struct collector_text *t,
    bool status);
static struct push_str result_detail(const struct collector_job *job,
    const struct collector_entry *e, size_t i);


void
collector_result_answer(struct collector_job *job)
{
    unsigned                    status;
    struct collector_text       t;
    const struct collector_entry  *e;

    if (job->declined) {
        http_server_busy(job->request, RESULT_RETRY_AFTER_S, "the queue is "
                         "full, nothing of the batch was taken");
        return;
    }

    if (job->batch) {
        if (job->out.failed) {
            http_server_problem(job->request, 503, "out of memory while "
                                "answering: " RESULT_UNKNOWN);

        } else {
            http_server_answer_taken(job->request, 200,
                                     "application/x-ndjson", job->out.data,
                                     job->out.len);
            memset(&job->out, 0, sizeof(job->out));
        }

        return;
    }

    e = &job->entries[0];
    status = result_status(job, e);

    if (status >= 400) {
        result_fault(job, e, status);
        return;
    }

    memset(&t, 0, sizeof(t));

    if (e->users) {
        result_list(job, e, &t, false);

    } else {
        result_message(job, e, 0, &t, false);
    }

    if (t.failed || job->details.failed) {
        collector_text_free(&t);
        http_server_problem(job->request, 503, "out of memory while "
                            "answering: " RESULT_UNKNOWN);

    } else {
        http_server_answer_taken(job->request, status, "application/json",
                                 t.data, t.len);
    }
}


/* The worst of its messages: 503, 409, 201, 200. */
static unsigned
result_status(const struct collector_job *job, const struct collector_entry *e)
{
    size_t    i;
    unsigned  status, one;

    if (e->status) {
        return e->status;
    }

    status = 200;

    for (i = 0; i < e->count; i++) {
        one = result_message_status(&job->messages[e->first + i]);
        status = one > status ? one : status;
    }

    return status;
}


static unsigned
result_message_status(const struct store_message *m)
{
    switch (m->outcome) {

    case STORE_STORED:
        return 201;

    case STORE_DUPLICATE:
        return 200;

    case STORE_CONFLICT:
        return 409;

    default:
        return 503;
    }
}


static void
result_fault(struct collector_job *job, const struct collector_entry *e,
    unsigned status)
{
    struct push_str        detail;
    struct collector_text  t;

    if (status == 503) {
        http_server_add_header(job->request, "Retry-After", "1");
    }

    if (e->status || !e->users) {
        detail = result_detail(job, e, 0);
        http_server_problem(job->request, status, "%.*s", (int) detail.len,
                            detail.data);
        return;
    }

    memset(&t, 0, sizeof(t));

    if (status == 409) {
        collector_text_lit(&t, "{\"type\":\"about:blank\",\"title\":"
                           "\"Conflict\",\"status\":409,\"detail\":\"some "
                           "users have this key with other data\"");
    } else {
        collector_text_lit(&t, "{\"type\":\"about:blank\",\"title\":"
                           "\"Service Unavailable\",\"status\":503,\"detail\":"
                           "\"not stored for all users, retry with the same "
                           "key\"");
    }

    collector_text_lit(&t, ",\"results\":");
    result_list(job, e, &t, true);
    collector_text_lit(&t, "}");

    if (t.failed) {
        collector_text_free(&t);
        http_server_problem(job->request, status, "%s", RESULT_UNKNOWN);
        return;
    }

    http_server_answer_taken(job->request, status, "application/problem+json",
                             t.data, t.len);
}


/* The slice's lines of a batch's answer. */
void
collector_result_lines(struct collector_job *job)
{
    size_t                      i;
    unsigned                    status;
    struct collector_text      *t;
    const struct collector_entry  *e;

    t = &job->out;
    t->failed |= job->details.failed;

    for (i = 0; i < job->entry_count; i++) {
        e = &job->entries[i];
        status = result_status(job, e);

        if (e->status < 400 && e->users) {
            collector_text_lit(t, "{\"status\":");
            collector_text_int(t, status);
            collector_text_lit(t, ",\"results\":");
            result_list(job, e, t, true);
            collector_text_lit(t, "}\n");
            continue;
        }

        result_message(job, e, 0, t, true);
        collector_text_lit(t, "\n");
    }
}


static void
result_list(struct collector_job *job, const struct collector_entry *e,
    struct collector_text *t, bool status)
{
    size_t  i;

    collector_text_lit(t, "[");

    if (e->status == 202) {
        collector_text_add(t, result_detail(job, e, 0));
    }

    for (i = 0; i < e->count; i++) {
        collector_text_add(t, i ? PUSH_STR(",") : PUSH_STR(""));
        result_message(job, e, i, t, status);
    }

    collector_text_lit(t, "]");
}


/* One message of an entry; with its status, as lines and results have it. */
static void
result_message(const struct collector_job *job,
    const struct collector_entry *e, size_t i, struct collector_text *t,
    bool status)
{
    unsigned                     code;
    struct push_str              detail;
    const struct store_message  *m;

    m = &job->messages[e->first + i];
    code = e->status ? e->status : result_message_status(m);

    if (code == 202) {
        detail = result_detail(job, e, i);      /* {"log":…} */

        if (status) {
            collector_text_lit(t, "{\"status\":202,");
            detail.data++;
            detail.len--;
        }

        collector_text_add(t, detail);
        return;
    }

    collector_text_lit(t, "{");

    if (status) {
        collector_text_lit(t, "\"status\":");
        collector_text_int(t, code);
        collector_text_lit(t, ",");
    }

    if (code >= 400) {
        collector_text_lit(t, "\"detail\":");
        collector_text_quote(t, result_detail(job, e, i));
        collector_text_lit(t, "}");
        return;
    }

    collector_text_lit(t, "\"id\":\"");
    collector_text_id(t, m->log, m->seq);
    collector_text_lit(t, "\",\"log\":\"");
    collector_text_add(t, m->log);
    collector_text_lit(t, "\",\"seq\":");
    collector_text_int(t, m->seq);
    collector_text_add(t, code == 200 ? PUSH_STR(",\"duplicate\":true}")
                                      : PUSH_STR(",\"duplicate\":false}"));
}


static struct push_str
result_detail(const struct collector_job *job, const struct collector_entry *e,
    size_t i)
{
    const struct store_message  *m;

    if (e->status) {
        return (struct push_str) { job->details.data + e->detail,
                                   job->details.failed ? 0 : e->detail_len };
    }

    m = &job->messages[e->first + i];

    switch (m->outcome) {

    case STORE_CONFLICT:
        return PUSH_STR("the key was used with other data");

    case STORE_REFUSED:
        return (struct push_str) { m->text, strlen(m->text) };

    default:
        return PUSH_STR(RESULT_UNKNOWN);
    }
}
