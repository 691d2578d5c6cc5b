/* conf: rows of every type, good and bad files; files of secrets. */

#include "conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct test_section {
    struct conf_section section;
    int64_t             number;
    char               *text;
};

struct test_conf {
    char                *text;
    char                *optional;
    int64_t              number;
    int64_t              time_ms;
    int64_t              size;
    bool                 flag;
    int                  word;
    struct conf_list     list;
    struct conf_sections sections;
};

static const char *const  test_words[] = { "red", "green", "blue", NULL };


static int
test_check(const char *value, char *error, size_t size)
{
    if (value[0] == 'x') {
        snprintf(error, size, "must not begin with x");
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static const struct conf_row  test_section_rows[] = {
    { .name = "number", .type = CONF_INT,
      .offset = offsetof(struct test_section, number), .fallback = "7" },
    { .name = "text", .type = CONF_STRING,
      .offset = offsetof(struct test_section, text) },
    { .name = NULL }
};

static const struct conf_row  test_rows[] = {
    { .name = "text", .type = CONF_STRING,
      .offset = offsetof(struct test_conf, text), .min = 1, .max = 20,
      .check = test_check },
    { .name = "optional", .type = CONF_STRING,
      .offset = offsetof(struct test_conf, optional), .fallback = "",
      .min = 3, .check = test_check },
    { .name = "number", .type = CONF_INT,
      .offset = offsetof(struct test_conf, number), .fallback = "5",
      .min = 1, .max = 100 },
    { .name = "time", .type = CONF_TIME,
      .offset = offsetof(struct test_conf, time_ms), .fallback = "10s",
      .min = 100, .max = 86400000 },
    { .name = "size", .type = CONF_SIZE,
      .offset = offsetof(struct test_conf, size), .fallback = "64k" },
    { .name = "flag", .type = CONF_BOOL,
      .offset = offsetof(struct test_conf, flag), .fallback = "on" },
    { .name = "word", .type = CONF_WORD,
      .offset = offsetof(struct test_conf, word), .fallback = "green",
      .words = test_words },
    { .name = "list", .type = CONF_LIST,
      .offset = offsetof(struct test_conf, list), .max = 3,
      .check = test_check },
    { .name = "part", .type = CONF_SECTIONS,
      .offset = offsetof(struct test_conf, sections), .max = 2,
      .rows = test_section_rows, .size = sizeof(struct test_section) },
    { .name = NULL }
};

static char  test_file[] = "/tmp/push-conf-XXXXXX";


static int
test_load(const char *text, struct test_conf *conf, struct conf_error *error)
{
    FILE  *f;

    f = fopen(test_file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);

    return conf_load(test_file, test_rows, conf, error);
}


static void
test_good(void **state)
{
    struct test_conf      conf;
    struct conf_error     error;
    struct test_section  *s;

    (void) state;

    setenv("TEST_CONF", "q\" = {", 1);

    if (test_load("# comment with = and ${NOTHING} and \"\n"
                  "text = \"a b\" // more\n"
                  "number = 010 /* not eight\n ${NOTHING} */\n"
                  "time = 1500ms\nsize = 2M\nflag = off\nword = \"blue\"\n"
                  "list = {a, \"b c\",\n 'd'}\n"
                  "part one { text = 'x' }\n"
                  "part \"two 2\" {\n  text = \"${TEST_CONF}y\"\n"
                  "  number = 9 }\n"
                  "optional = ${TEST_CONF_NOT:-abc}", &conf, &error)
        == PUSH_OK)
    {
        fail_msg("010 was accepted");
    }

    assert_non_null(strstr(error.text, ":3: option \"number\": must be a "
                           "number, from 1 to 100, not \"010\""));

    if (test_load("text = \"a b\" # more\n"
                  "number = 10\n"
                  "time = 1500ms\nsize = 2M\nflag = off\nword = \"blue\"\n"
                  "list = {a, \"b c\",\n 'd${X'}\n"
                  "part one { text = '${TEST_CONF}' }\n"
                  "part \"two 2\" {\n  text = \"${TEST_CONF}y\"\n"
                  "  number = 9 }\n"
                  "optional = ${TEST_CONF_NOT:-abc}", &conf, &error)
        != PUSH_OK)
    {
        fail_msg("%s", error.text);
    }

    assert_string_equal(conf.text, "a b");
    assert_string_equal(conf.optional, "abc");
    assert_int_equal(conf.number, 10);
    assert_int_equal(conf.time_ms, 1500);
    assert_int_equal(conf.size, 2 * 1024 * 1024);
    assert_false(conf.flag);
    assert_int_equal(conf.word, 2);
    assert_int_equal(conf.list.count, 3);
    assert_string_equal(conf.list.items[1], "b c");
    assert_string_equal(conf.list.items[2], "d${X");
    assert_int_equal(conf.sections.count, 2);

    s = conf.sections.items;
    assert_string_equal(s[0].section.title, "one");
    assert_int_equal(s[0].section.line, 9);
    assert_int_equal(s[0].number, 7);
    assert_string_equal(s[0].text, "${TEST_CONF}");
    assert_string_equal(s[1].section.title, "two 2");
    assert_int_equal(s[1].section.line, 10);
    assert_string_equal(s[1].text, "q\" = {y");
    assert_int_equal(s[1].number, 9);

    conf_free(test_rows, &conf);
    assert_null(conf.text);
    assert_int_equal(conf.sections.count, 0);

    /* what is not given */

    assert_int_equal(test_load("text = a", &conf, &error), PUSH_OK);
    assert_string_equal(conf.optional, "");
    assert_int_equal(conf.number, 5);
    assert_int_equal(conf.time_ms, 10000);
    assert_int_equal(conf.size, 65536);
    assert_true(conf.flag);
    assert_int_equal(conf.word, 1);
    assert_int_equal(conf.list.count, 0);
    conf_free(test_rows, &conf);
}


static void
test_bad(void **state)
{
    char               text[4096];
    size_t             i;
    struct test_conf   conf;
    struct conf_error  error;

    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        { "", ": option \"text\": is needed" },
        { "text = \"\"", ":1: option \"text\": must have 1 to 20 bytes" },
        { "text = 123456789012345678901", "must have 1 to 20 bytes" },
        { "\ntext = xa", ":2: option \"text\": must not begin with x" },
        { "text = a\noptional = ab", ":2: option \"optional\": must not be" },
        { "text = a\nnumber = 0", "from 1 to 100, not \"0\"" },
        { "text = a\nnumber = 101", "from 1 to 100" },
        { "text = a\nnumber = -1", "must be a number" },
        { "text = a\nnumber = 1.5", "must be a number" },
        { "text = a\nnumber = 5s", "must be a number" },
        { "text = a\nnumber = 99999999999999999999", "must be a number" },
        { "text = a\nnumber = \"\"", "must be a number" },
        { "text = a\ntime = 99ms", "from 100ms to 86400s" },
        { "text = a\ntime = 2d", "from 100ms to 86400s" },
        { "text = a\ntime = 10x", "must be a time such as" },
        { "text = a\nsize = 9999999999g", "must be a size such as" },
        { "text = a\nflag = maybe", "must be on or off" },
        { "text = a\nword = pink", "must be one of red, green, blue" },
        { "text = a\nlist = {a,b,c,d}", ":2: option \"list\": must have 0 to" },
        { "text = a\nlist = {a,\nxb}", ":2: option \"list\": must not begin" },
        { "text = a\nother = 1", ":2: no such option 'other'" },
        { "# one\n#\n// two\n/* three\n */ text = a # four\nother = 1",
          ":6: no such option 'other'" },
        { "text = a\ntext = b", ":2: option \"text\": is given twice, first "
                                "in line 1" },
        { "text = a\nlist = {a}\n\nlist = {b}", ":4: option \"list\": is" },
        { "text = a\nlist = {a}\nlist += {b}", ":3: \"+=\"" },
        { "text = a\npart p { text = a\ntext = b }", ":3: option \"text\": is "
                                                     "given twice" },
        { "text = a\npart p { number = 1 }", ":2: option \"text\": is needed "
                                             "in section p" },
        { "text = a\npart p { text = a }\npart q { text = a\nnumber=x}",
          ":4: option \"number\"" },
        { "text = a\npart p { text = a }\npart p { text = a }",
          "duplicate title 'p'" },
        { "text = a\npart p {text=a}\npart q {text=a}\npart r {text=a}",
          ":4: option \"part\": at most 2" },
        { "text = a\npart p { list = {a} }", "no such option 'list'" },
        { "text = \"a", ":1: string without its end" },
        { "text = 'a\n\n", ":1: string without its end" },
        { "text = a\n/* x", ":2: comment without its end" },
        { "text = ${NOT_SET_HERE}", ":1: ${NOT_SET_HERE} is not set" },
        { "text = \"${NOT_SET_HERE}\"", ":1: ${NOT_SET_HERE} is not set" },
        { "text = \"${}\"", "bad name" },
        { "text = \"${A", "\"${\" without" },
        { "text = a\npart p { text = a", "a \"}\" is missing" },
        { "text", ":1: " },
        { "text a", ":1: " },
        { "= a", ":1: " },
        { "text = {a}", ":1: " },
        { "}", ":1: " }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (test_load(rows[i].text, &conf, &error) == PUSH_OK) {
            conf_free(test_rows, &conf);
            fail_msg("accepted: %s", rows[i].text);
        }

        assert_null(conf.text);
        assert_null(conf.list.items);

        if (strstr(error.text, rows[i].error) == NULL
            || strncmp(error.text, test_file, strlen(test_file)) != 0)
        {
            fail_msg("%s: %s", rows[i].text, error.text);
        }

        /* nothing is left in the scanner */
        assert_int_equal(test_load("text = a", &conf, &error), PUSH_OK);
        conf_free(test_rows, &conf);
    }

    snprintf(text, sizeof(text), "%s", "/nowhere/at/all");
    assert_int_equal(conf_load(text, test_rows, &conf, &error), PUSH_ERROR);
    assert_string_equal(error.text,
                        "/nowhere/at/all: cannot open: No such file or "
                        "directory");
    assert_int_equal(conf_load("/tmp", test_rows, &conf, &error), PUSH_ERROR);
}


static void
test_write(const char *text, mode_t mode)
{
    FILE  *f;

    unlink(test_file);
    f = fopen(test_file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(test_file, mode), 0);
}


static void
test_secret(void **state)
{
    char    text[256], *data;
    size_t  len;

    (void) state;

    test_write("12345", 0640);
    assert_int_equal(conf_read_secret(test_file, false, 1, 5, &data, &len,
                                      text, sizeof(text)), PUSH_OK);
    assert_int_equal(len, 5);
    assert_string_equal(data, "12345");
    conf_secret_free(data, len);

    assert_int_equal(conf_read_secret(test_file, true, 1, 5, &data, &len, text,
                                      sizeof(text)), PUSH_ERROR);
    assert_non_null(strstr(text, "must not be accessible"));
    assert_null(data);

    assert_int_equal(conf_read_secret(test_file, false, 6, 9, &data, &len,
                                      text, sizeof(text)), PUSH_ERROR);
    assert_int_equal(conf_read_secret(test_file, false, 1, 4, &data, &len,
                                      text, sizeof(text)), PUSH_ERROR);
    assert_non_null(strstr(text, "must have 1 to 4 bytes"));
    assert_int_equal(conf_read_secret("/tmp", false, 1, 4, &data, &len, text,
                                      sizeof(text)), PUSH_ERROR);
    assert_int_equal(conf_read_secret("/nowhere", false, 1, 4, &data, &len,
                                      text, sizeof(text)), PUSH_ERROR);
}


#define S16  "0123456789abcdef"

static void
test_secrets(void **state)
{
    char                 text[256];
    size_t               i;
    struct conf_secrets  s;

    static const char *const  bad[] = {
        "short\n", S16 "\nshort\n", S16 "\n" S16 "\n" S16 "\n", S16 " x\n",
        "\n" S16, S16 "\n\n"
    };

    (void) state;

    test_write(S16 "\n", 0600);
    assert_int_equal(conf_read_secrets(test_file, &s, text, sizeof(text)),
                     PUSH_OK);
    assert_int_equal(s.count, 1);
    assert_true(conf_secrets_match(&s, S16));
    assert_false(conf_secrets_match(&s, S16 "x"));
    assert_false(conf_secrets_match(&s, "0123456789abcde"));
    assert_false(conf_secrets_match(&s, ""));
    assert_false(conf_secrets_match(&s, NULL));

    test_write(S16 "\r\nother-" S16, 0400);
    assert_int_equal(conf_read_secrets(test_file, &s, text, sizeof(text)),
                     PUSH_OK);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.text[0], S16);
    assert_true(conf_secrets_match(&s, S16));
    assert_true(conf_secrets_match(&s, "other-" S16));
    assert_false(conf_secrets_match(&s, "other"));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        test_write(bad[i], 0600);

        if (conf_read_secrets(test_file, &s, text, sizeof(text)) == PUSH_OK) {
            fail_msg("accepted: %s", bad[i]);
        }

        assert_null(strstr(text, S16));
    }

    test_write(S16 "\n", 0644);
    assert_int_equal(conf_read_secrets(test_file, &s, text, sizeof(text)),
                     PUSH_ERROR);
}


static int
test_setup(void **state)
{
    int  fd;

    (void) state;

    fd = mkstemp(test_file);
    assert_true(fd >= 0);
    close(fd);

    return 0;
}


static int
test_teardown(void **state)
{
    (void) state;

    return unlink(test_file);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
