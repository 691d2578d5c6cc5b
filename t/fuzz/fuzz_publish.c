/*
 * fuzz_publish: publish bodies and batches (collector/collector_check.h)
 *
 * What is taken keeps its promises: legal log names, as many as were counted,
 * none twice; data is one JSON value inside the body; key and ttl in bounds.
 */

#include "collector_check.h"
#include "fuzz.h"
#include "push_json.h"


static void
check_publish(struct push_str body)
{
    char                          log[PUSH_LOG_MAX];
    size_t                        n, len;
    const char                   *pos;
    struct push_str               name;
    enum push_log_kind            kind;
    struct collector_check        c;
    struct push_json_value        v;
    struct push_json_error        e;
    struct collector_check_error  error;

    memset(&error, 0, sizeof(error));

    if (collector_check_publish(body, &c, &error) != PUSH_OK) {
        FUZZ_MUST(error.status == 400 || error.status == 413);
        FUZZ_MUST(error.text[0] != '\0');

        for (n = 0; error.text[n]; n++) {
            FUZZ_MUST(error.text[n] >= ' ' && error.text[n] <= '~');
        }

        return;
    }

    FUZZ_MUST(c.data.data >= body.data
               && c.data.data + c.data.len <= body.data + body.len);
    FUZZ_MUST(c.data.len <= PUSH_DATA_MAX);
    FUZZ_MUST(push_json_check(c.data, PUSH_DEPTH_MAX, &v, &e) == PUSH_OK);
    FUZZ_MUST(c.ttl >= 0 && c.ttl <= CHECK_TTL_MAX);
    FUZZ_MUST(c.key_len == 0
               || push_key_valid((struct push_str) { c.key, c.key_len }));
    FUZZ_MUST(!c.ephemeral || (c.ttl == 0 && c.key_len == 0));

    pos = NULL;

    for (n = 0; (len = collector_check_log(&c, &pos, log)) > 0; n++) {
        FUZZ_MUST(push_log_parse((struct push_str) { log, len }, &kind, &name)
                   == PUSH_OK);
        FUZZ_MUST(kind != PUSH_LOG_GROUP);
    }

    FUZZ_MUST(n == c.count && n >= 1 && n <= CHECK_USERS_MAX);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t           seq;
    unsigned          number;
    const char       *pos;
    struct push_str   body, line, log;

    body.data = (const char *) data;
    body.len = size;
    check_publish(body);

    pos = body.data;
    number = 0;

    while (collector_check_line(body, &pos, &line, &number)) {
        FUZZ_MUST(line.len > 0 && memchr(line.data, '\n', line.len) == NULL);
        check_publish(line);
    }

    if (collector_check_id(body, &log, &seq) == PUSH_OK) {
        FUZZ_MUST(log.len < size && seq > 0 && seq <= PUSH_SEQ_MAX);
    }

    return 0;
}
