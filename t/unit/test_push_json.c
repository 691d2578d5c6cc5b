/*
 * test_push_json: the grammar of RFC 8259, slices, strings, numbers, bounds
 *
 * Texts are copied into a block of their own size, so that a byte read behind
 * the end is seen by the sanitizer.
 */

#include "push_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ALL(a)  (sizeof(a) / sizeof((a)[0]))

/* A literal that may have zeros in it. */
#define T(s)    { s, sizeof(s) - 1 }

struct text {
    const char *data;
    size_t      len;
};


static int
check(const char *data, size_t len, unsigned depth,
    struct push_json_error *error)
{
    int                     rc;
    char                   *copy;
    struct push_json_value  value;

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);

    rc = push_json_check((struct push_str) { copy, len }, depth, &value,
                         error);

    if (rc == PUSH_OK) {
        assert_true(value.raw.data >= copy);
        assert_true(value.raw.data + value.raw.len <= copy + len);
    }

    free(copy);

    return rc;
}


static struct push_str
str(const char *s)
{
    return (struct push_str) { s, strlen(s) };
}


static void
test_what_is_json_passes(void **state)
{
    size_t                  i;
    struct push_json_error  error;

    static const struct text  good[] = {
        /* any value, white space around */
        T("null"), T("true"), T("false"), T("0"), T("\"\""), T("[]"), T("{}"),
        T(" null"), T("null "), T("\t\r\n []\n"), T("[ ]"), T("{ }"),
        T("[\n1\t,\r2 ]"), T("{\"a\" :\n1 , \"b\":2}"), T("42 "),

        /* arrays and objects */
        T("[[]]"), T("[[[[]]],{}]"), T("[null,true,false,1,\"a\",{},[]]"),
        T("[1,null,null,null,2]"), T("[\"\"]"), T("[null]"),
        T("{\"a\":[]}"), T("{\"\":0}"), T("{\"a\":{\"a\":{\"a\":1}}}"),
        T("{\"a\":1,\"a\":2}"), T("{\"a\":1,\"a\":1}"),
        T("{\"a\":{\"b\":1,\"b\":1}}"), T("{\"foo\\u0000bar\":42}"),
        T("{\"min\":-1.0e+28,\"max\":1.0e+28}"),

        /* numbers, of any size */
        T("-0"), T("0.1"), T("-1"), T("-0.1"), T("10"), T("1234567890"),
        T("0e1"), T("0e+1"), T("0E-1"), T("1e22"), T("1E22"), T("1e-2"),
        T("1E+2"), T("123.456e78"), T("20e1"), T("1.0"), T("-123"),
        T("0.0000000000000000000000000000000000000000000000000001"),
        T("123456789012345678901234567890"), T("1e400"), T("-1e400"),
        T("1e99999999999999999999"), T("1.0e-99999"), T("[0]"), T("[-0]"),
        T("{\"a\":-0.0e-0}"),

        /* strings */
        T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), T("\"\\u0060\\u012a\\u12AB\""),
        T("\"\\u0000\""), T("\"\\u0022\""), T("\"\\u005C\""),
        T("\"\\uD801\\udc37\""), T("\"\\ud83d\\ude39\\ud83d\\udc8d\""),
        T("\"\\u2028\""), T("\"\\uFDD0\""), T("\"\\uFFFE\""), T("\"\\\\n\""),
        T("\"a/*b*/c\""), T("\"\x7f\""), T("\" \""), T("\"\\\\u0000\""),
        T("\"\xc2\x80\""), T("\"\xdf\xbf\""), T("\"\xe0\xa0\x80\""),
        T("\"\xed\x9f\xbf\""), T("\"\xee\x80\x80\""), T("\"\xef\xbf\xbf\""),
        T("\"\xf0\x90\x80\x80\""), T("\"\xf4\x8f\xbf\xbf\""),
        T("\"\xe2\x80\xa8\""), T("\"\xe2\x82\xac\xf0\x9d\x84\x9e\""),
        T("\"\xc3\xa9\\\"\xc3\xa9\""), T("\"0123456\xc3\xa9\""),
        T("\"01234567\xc3\xa9\""),
        T("\"01234567890123456789\\n01234567890123456789\""),

        /* halves of surrogate pairs are grammar, though no characters */
        T("\"\\uD800\""), T("\"\\uDC00\""), T("\"\\uD800\\n\""),
        T("\"\\uD800\\uD800\""), T("\"\\uDd1ea\""), T("\"\\uD888\\u1234\"")
    };

    (void) state;

    for (i = 0; i < ALL(good); i++) {
        if (check(good[i].data, good[i].len, 32, &error) != PUSH_OK) {
            fail_msg("%s: at %zu: %s", good[i].data, error.at, error.text);
        }
    }
}


static void
test_what_is_no_json_is_refused_at_its_place(void **state)
{
    size_t                  i;
    struct push_json_error  error;

    static const struct {
        struct text text;
        size_t      at;
        const char *why;
    } bad[] = {
        { T(""), 0, "the text is empty" },
        { T(" \n"), 2, "the text is empty" },
        { T("\xef\xbb\xbf{}"), 0, "expected a value" },
        { T("\xef\xbb\xbf"), 0, "expected a value" },
        { T("\0"), 0, "expected a value" },
        { T("*"), 0, "expected a value" },
        { T("\x0c"), 0, "expected a value" },
        { T("\xc2\xa0[]"), 0, "expected a value" },
        { T("[]\0"), 2, "something follows the value" },
        { T("[]x"), 2, "something follows the value" },
        { T("[][]"), 2, "something follows the value" },
        { T("{} #"), 3, "something follows the value" },
        { T("{}/**/"), 2, "something follows the value" },
        { T("1 000"), 2, "something follows the value" },
        { T("\"\"\"\""), 2, "something follows the value" },
        { T("'a'"), 0, "expected a value" },
        { T("nul"), 0, "expected null, true or false" },
        { T("nulL"), 0, "expected null, true or false" },
        { T("nullx"), 4, "something follows the value" },
        { T("True"), 0, "expected a value" },
        { T("tru"), 0, "expected null, true or false" },
        { T("fals"), 0, "expected null, true or false" },
        { T("NaN"), 0, "expected a value" },
        { T("Infinity"), 0, "expected a value" },
        { T("undefined"), 0, "expected a value" },

        /* arrays */
        { T("["), 1, "the text ends where a value is expected" },
        { T("]"), 0, "expected a value" },
        { T("[1"), 2, "expected ',' or ']'" },
        { T("[1 2]"), 3, "expected ',' or ']'" },
        { T("[1}"), 2, "expected ',' or ']'" },
        { T("[1:2]"), 2, "expected ',' or ']'" },
        { T("[,1]"), 1, "expected a value" },
        { T("[1,]"), 3, "expected a value" },
        { T("[1,,2]"), 3, "expected a value" },
        { T("[,]"), 1, "expected a value" },
        { T("[1,"), 3, "the text ends where a value is expected" },
        { T("[\"a\",\n4\n,1,"), 11, "the text ends where a value is expected" },
        { T("[\"x\"]]"), 5, "something follows the value" },
        { T("[[]"), 3, "expected ',' or ']'" },
        { T("[\"\": 1]"), 3, "expected ',' or ']'" },

        /* objects */
        { T("{"), 1, "expected a member's name in quotes" },
        { T("}"), 0, "expected a value" },
        { T("{]"), 1, "expected a member's name in quotes" },
        { T("[{"), 2, "expected a member's name in quotes" },
        { T("{,}"), 1, "expected a member's name in quotes" },
        { T("{a:1}"), 1, "expected a member's name in quotes" },
        { T("{1:1}"), 1, "expected a member's name in quotes" },
        { T("{'a':1}"), 1, "expected a member's name in quotes" },
        { T("{null:1}"), 1, "expected a member's name in quotes" },
        { T("{[]:1}"), 1, "expected a member's name in quotes" },
        { T("{\"a\""), 4, "expected ':' after a member's name" },
        { T("{\"a\"}"), 4, "expected ':' after a member's name" },
        { T("{\"a\",1}"), 4, "expected ':' after a member's name" },
        { T("{\"a\" b}"), 5, "expected ':' after a member's name" },
        { T("{\"a\"::1}"), 5, "expected a value" },
        { T("{\"a\":"), 5, "the text ends where a value is expected" },
        { T("{\"a\":}"), 5, "expected a value" },
        { T("{\"a\":1"), 6, "expected ',' or '}'" },
        { T("{\"a\":1]"), 6, "expected ',' or '}'" },
        { T("{\"a\":1 \"b\":2}"), 7, "expected ',' or '}'" },
        { T("{\"a\":1,}"), 7, "expected a member's name in quotes" },
        { T("{\"a\":1,,\"b\":2}"), 7, "expected a member's name in quotes" },
        { T("{\"a\":1,\"b\"}"), 10, "expected ':' after a member's name" },
        { T("{\"a\":1}}"), 7, "something follows the value" },
        { T("{\"a\":/*c*/1}"), 5, "expected a value" },
        { T("{\"a\":[{\"b\":[1,{}}]}"), 16, "expected ',' or ']'" },

        /* numbers */
        { T("-"), 1, "expected a digit" },
        { T("+1"), 0, "expected a value" },
        { T(".5"), 0, "expected a value" },
        { T("--1"), 1, "expected a digit" },
        { T("-a"), 1, "expected a digit" },
        { T("01"), 1, "a number has a leading zero" },
        { T("-01"), 2, "a number has a leading zero" },
        { T("09"), 1, "a number has a leading zero" },
        { T("00"), 1, "a number has a leading zero" },
        { T("1."), 2, "expected a digit" },
        { T("1.e1"), 2, "expected a digit" },
        { T("0.e1"), 2, "expected a digit" },
        { T("-.1"), 1, "expected a digit" },
        { T("1.2.3"), 3, "something follows the value" },
        { T("0e"), 2, "expected a digit" },
        { T("0e+"), 3, "expected a digit" },
        { T("1eE2"), 2, "expected a digit" },
        { T("1e+-2"), 3, "expected a digit" },
        { T("1e1.5"), 3, "something follows the value" },
        { T("0x1F"), 1, "something follows the value" },
        { T("1a"), 1, "something follows the value" },
        { T("-Infinity"), 1, "expected a digit" },
        { T("[-2.]"), 4, "expected a digit" },
        { T("\xef\xbc\x91"), 0, "expected a value" },

        /* strings */
        { T("\""), 1, "the text ends inside a string" },
        { T("\"a"), 2, "the text ends inside a string" },
        { T("\"0123456789"), 11, "the text ends inside a string" },
        { T("\"\\"), 2, "the text ends inside a string" },
        { T("\"\\\""), 3, "the text ends inside a string" },
        { T("[\"a]"), 4, "the text ends inside a string" },
        { T("\"\\x00\""), 2, "unknown escape in a string" },
        { T("\"\xc3\xa9\\x\""), 4, "unknown escape in a string" },
        { T("\"\\a\""), 2, "unknown escape in a string" },
        { T("\"\\'\""), 2, "unknown escape in a string" },
        { T("\"\\0\""), 2, "unknown escape in a string" },
        { T("\"\\U0041\""), 2, "unknown escape in a string" },
        { T("\"\\\0\""), 2, "unknown escape in a string" },
        { T("\"\\\xf0\x9f\x8c\x80\""), 2, "unknown escape in a string" },
        { T("\"\\u\""), 3, "expected four hex digits after \\u" },
        { T("\"\\u00A\""), 6, "expected four hex digits after \\u" },
        { T("\"\\u00g0\""), 5, "expected four hex digits after \\u" },
        { T("\"\\u123"), 6, "expected four hex digits after \\u" },
        { T("\"\\uD834\\uDd\""), 11, "expected four hex digits after \\u" },
        { T("\"\\uD800\\u\""), 9, "expected four hex digits after \\u" },
        { T("\"\\u \""), 3, "expected four hex digits after \\u" },
        { T("\"\t\""), 1,
          "a control character in a string must be escaped" },
        { T("\"a\nb\""), 2,
          "a control character in a string must be escaped" },
        { T("\"0123456789\x1f\""), 11,
          "a control character in a string must be escaped" },
        { T("\"a\0b\""), 2,
          "a control character in a string must be escaped" },

        /* UTF-8 */
        { T("\"\x80\""), 1, "invalid UTF-8 in a string" },
        { T("\"a\xff\""), 2, "invalid UTF-8 in a string" },
        { T("\"\xc3\""), 2, "invalid UTF-8 in a string" },
        { T("\"\xc3"), 2, "invalid UTF-8 in a string" },
        { T("\"\xe2\x82\""), 3, "invalid UTF-8 in a string" },
        { T("\"\xe2\x28\xa1\""), 2, "invalid UTF-8 in a string" },
        { T("\"\xc0\xaf\""), 1, "invalid UTF-8 in a string" },
        { T("\"\xe0\x80\xaf\""), 2, "invalid UTF-8 in a string" },
        { T("\"\xed\xa0\x80\""), 2, "invalid UTF-8 in a string" },
        { T("\"\xf4\xbf\xbf\xbf\""), 2, "invalid UTF-8 in a string" },
        { T("\"\xc3\xa9\xc3\xa9\xe9\""), 6, "invalid UTF-8 in a string" },
        { T("{\"\xb9\":0}"), 2, "invalid UTF-8 in a string" },
        { T("[\xe5]"), 1, "expected a value" },
        { T("123\xe5"), 3, "something follows the value" }
    };

    (void) state;

    for (i = 0; i < ALL(bad); i++) {
        memset(&error, 0, sizeof(error));

        if (check(bad[i].text.data, bad[i].text.len, 32, &error)
            != PUSH_ERROR)
        {
            fail_msg("%s is taken", bad[i].text.data);
        }

        if (error.at != bad[i].at || strcmp(error.text, bad[i].why) != 0) {
            fail_msg("%s: at %zu, not %zu: %s", bad[i].text.data, error.at,
                     bad[i].at, error.text);
        }

        assert_int_equal(check(bad[i].text.data, bad[i].text.len, 32, NULL),
                         PUSH_ERROR);
    }
}


/* Every prefix of a text of all shapes is refused, its whole is taken. */
static void
test_a_text_cut_short_is_refused(void **state)
{
    size_t                  len;
    struct push_json_error  error;

    static const char  text[] =
        "{\"a\":[1,-2.5e+10,\"x\\u00e9\xc3\xa9\",{\"b\":null},[],{}],"
        "\"c\":{\"d\":[true,false]}}";

    (void) state;

    for (len = 0; len < sizeof(text) - 1; len++) {
        assert_int_equal(check(text, len, 32, &error), PUSH_ERROR);
        assert_true(error.at <= len);
    }

    assert_int_equal(check(text, len, 32, &error), PUSH_OK);
}


static void
test_nesting_is_bounded(void **state)
{
    char                   *deep;
    size_t                  i, n;
    unsigned                depth;
    struct push_json_error  error;

    static const struct {
        const char *text;
        unsigned    depth;
    } cases[] = {
        { "1", 0 },
        { "\"a\"", 0 },
        { "[]", 1 },
        { "{}", 1 },
        { "[1,[]]", 2 },
        { "{\"a\":{\"b\":[]}}", 3 },
        { "[[],[[]],[]]", 3 }
    };

    (void) state;

    for (i = 0; i < ALL(cases); i++) {
        for (depth = 0; depth < 5; depth++) {
            assert_int_equal(check(cases[i].text, strlen(cases[i].text),
                                   depth, &error),
                             depth >= cases[i].depth ? PUSH_OK : PUSH_ERROR);
        }
    }

    assert_int_equal(check("[[1,[", 5, 2, &error), PUSH_ERROR);
    assert_int_equal(error.at, 4);
    assert_string_equal(error.text, "nested too deeply");

    deep = malloc(200000);
    assert_non_null(deep);

    memset(deep, '[', 200000);
    assert_int_equal(check(deep, 100000, 1000000, &error), PUSH_ERROR);
    assert_int_equal(error.at, 64);

    /* 64 levels are the most, whatever is asked for. */

    for (n = 63; n <= 65; n++) {
        memset(deep + n, ']', n);
        assert_int_equal(check(deep, 2 * n, 1000, &error),
                         n <= 64 ? PUSH_OK : PUSH_ERROR);
        memset(deep, '[', 200);
    }

    /* Brackets of both kinds, each closed by its own. */

    for (i = 0, n = 0; i < 64; i++) {
        n += (size_t) sprintf(deep + n, i % 3 ? "{\"a\":" : "[");
    }

    deep[n++] = '1';

    for (i = 64; i-- > 0; /* void */ ) {
        deep[n++] = i % 3 ? '}' : ']';
    }

    assert_int_equal(check(deep, n, 64, &error), PUSH_OK);

    for (i = n - 64; i < n; i++) {
        deep[i] ^= '}' ^ ']';
        assert_int_equal(check(deep, n, 64, &error), PUSH_ERROR);
        assert_int_equal(error.at, i);
        deep[i] ^= '}' ^ ']';
    }

    free(deep);
}


static void
test_an_object_is_sliced(void **state)
{
    size_t                   i, n;
    struct push_json_error   error;
    struct push_json_member  m[8];

    static const char  text[] =
        " { \"to\" : {\"user\":\"u1\"} ,\"data\":[1, 2 ],\"n\":-0 ,"
        "\"k\\u0065y\":\"a\\\"b\",\"t\":true,\"f\":false,\"z\":null,\"\":1e400"
        "}\n";

    static const struct {
        const char         *name;
        bool                escaped;
        enum push_json_type type;
        const char         *raw;
    } want[] = {
        { "to", false, PUSH_JSON_OBJECT, "{\"user\":\"u1\"}" },
        { "data", false, PUSH_JSON_ARRAY, "[1, 2 ]" },
        { "n", false, PUSH_JSON_NUMBER, "-0" },
        { "k\\u0065y", true, PUSH_JSON_STRING, "\"a\\\"b\"" },
        { "t", false, PUSH_JSON_TRUE, "true" },
        { "f", false, PUSH_JSON_FALSE, "false" },
        { "z", false, PUSH_JSON_NULL, "null" },
        { "", false, PUSH_JSON_NUMBER, "1e400" }
    };

    (void) state;

    assert_int_equal(push_json_object(str(text), 2, m, 8, &n, &error),
                     PUSH_OK);
    assert_int_equal(n, ALL(want));

    for (i = 0; i < n; i++) {
        assert_true(push_str_eq(m[i].name, str(want[i].name)));
        assert_int_equal(m[i].escaped, want[i].escaped);
        assert_int_equal(m[i].value.type, want[i].type);
        assert_true(push_str_eq(m[i].value.raw, str(want[i].raw)));
    }

    assert_true(push_json_name_is(&m[0], "to"));
    assert_false(push_json_name_is(&m[0], "t"));
    assert_false(push_json_name_is(&m[0], "too"));
    assert_true(push_json_name_is(&m[3], "key"));
    assert_false(push_json_name_is(&m[3], "ke"));
    assert_false(push_json_name_is(&m[3], "keys"));
    assert_false(push_json_name_is(&m[3], ""));
    assert_true(push_json_name_is(&m[7], ""));

    assert_int_equal(push_json_object(str("{}"), 1, NULL, 0, &n, &error),
                     PUSH_OK);
    assert_int_equal(n, 0);
}


static void
test_an_objects_faults_have_a_place(void **state)
{
    size_t                   i, n;
    struct push_json_error   error;
    struct push_json_member  m[3];

    static const struct {
        const char *text;
        unsigned    depth;
        size_t      at;
        const char *why;
    } cases[] = {
        { "", 9, 0, "the text is empty" },
        { "[]", 9, 0, "expected an object" },
        { " 1", 9, 1, "expected an object" },
        { "{}", 0, 0, "nested too deeply" },
        { "{\"a\":[]}", 1, 5, "nested too deeply" },
        { "{\"a\":1} {", 9, 8, "something follows the value" },
        { "{\"a\":1,}", 9, 7, "expected a member's name in quotes" },
        { "{\"a\":1 2}", 9, 7, "expected ',' or '}'" },
        { "{\"a\":}", 9, 5, "expected a value" },
        { "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", 9, 19, "too many members" },
        { "{\"a\":1,\"b\":2,\"a\":3}", 9, 13,
          "the member \"a\" comes twice" },
        { "{\"a\":1,\"\\u0061\":2}", 9, 7, "a member's name comes twice" },
        { "{\"\\u0061\":1,\"a\":2}", 9, 12, "the member \"a\" comes twice" },
        { "{\"\":1,\"\":2}", 9, 6, "a member's name comes twice" },
        { "{\"\xc3\xa9\":1,\"\\u00E9\":2}", 9, 8,
          "a member's name comes twice" },
        { "{\"\xe2\x82\xac\":1,\"\\u20ac\":2}", 9, 9,
          "a member's name comes twice" },
        { "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}", 9, 10,
          "a member's name comes twice" },
        { "{\"\\uD83D\\uDE00\":1,\"\\ud83d\\ude00\":2}", 9, 18,
          "a member's name comes twice" },
        { "{\"\\ud83d\":1,\"\\uD83D\":2}", 9, 12,
          "a member's name comes twice" },
        { "{\"\\/\":1,\"/\":2}", 9, 8, "a member's name comes twice" },
        { "{\"\\n\":1,\"\\u000a\":2}", 9, 8, "a member's name comes twice" },
        { "{\"\\b\\f\\r\\t\\\\\\\"\":1,"
          "\"\\u0008\\u000C\\u000d\\u0009\\u005c\\u0022\":2}", 9, 18,
          "a member's name comes twice" }
    };

    static const char *const  different[] = {
        "{\"a\":1,\"A\":2}",
        "{\"a\":1,\"aa\":2}",
        "{\"a\":1,\"\\u0061\\u0061\":2}",
        "{\"a\":1,\"\\u0061a\":2,\"\\u0062\":2}",
        "{\"\\u0000\":1,\"\":2,\"0\":3}",
        "{\"\\ud83d\":1,\"\\ude00\":2,\"\\ud83d\\ude00\":3}",
        "{\"\\\\u0061\":1,\"a\":2}",
        "{\"\\\\n\":1,\"\\n\":2}"
    };

    (void) state;

    for (i = 0; i < ALL(cases); i++) {
        assert_int_equal(push_json_object(str(cases[i].text), cases[i].depth,
                                          m, 3, &n, &error), PUSH_ERROR);
        assert_string_equal(error.text, cases[i].why);
        assert_int_equal(error.at, cases[i].at);

        assert_int_equal(push_json_object(str(cases[i].text), cases[i].depth,
                                          m, 3, &n, NULL), PUSH_ERROR);
    }

    for (i = 0; i < ALL(different); i++) {
        if (push_json_object(str(different[i]), 9, m, 3, &n, &error)
            != PUSH_OK)
        {
            fail_msg("%s: %s", different[i], error.text);
        }
    }
}


static void
test_a_long_name_is_not_repeated_in_the_error(void **state)
{
    char                     text[400], name[101];
    size_t                   n;
    struct push_json_error   error;
    struct push_json_member  m[3];

    (void) state;

    memset(name, 'n', 100);
    name[100] = '\0';
    snprintf(text, sizeof(text), "{\"%s\":1,\"%s\":2}", name, name);

    assert_int_equal(push_json_object(str(text), 9, m, 3, &n, &error),
                     PUSH_ERROR);
    assert_string_equal(error.text, "a member's name comes twice");
}


/* The most members, with names that differ in their last byte only. */
static void
test_many_long_names_are_compared_in_time(void **state)
{
    char                    *text;
    size_t                   i, len, n;
    struct push_json_error   error;
    struct push_json_member  m[32];

    (void) state;

    text = malloc(1024 * 1024);
    assert_non_null(text);
    len = 0;
    text[len++] = '{';

    for (i = 0; i < 32; i++) {
        text[len++] = '"';
        memset(text + len, 'n', 30000);
        memcpy(text + len, "\\u006e", 6);
        len += 30000;
        len += (size_t) sprintf(text + len, "%02zu\":0%c", i,
                                i == 31 ? '}' : ',');
    }

    assert_int_equal(push_json_object((struct push_str) { text, len }, 1, m,
                                      32, &n, &error), PUSH_OK);
    assert_int_equal(n, 32);
    free(text);
}


static void
test_an_array_is_sliced_and_walked(void **state)
{
    size_t                  i, n;
    const char             *pos;
    struct push_json_error  error;
    struct push_json_value  v[5], one;

    static const char  text[] = "\t[ 1 ,\"a,]\" , [2,[3]],{\"b\":[]},null ] ";

    static const char *const  want[] = {
        "1", "\"a,]\"", "[2,[3]]", "{\"b\":[]}", "null"
    };

    static const struct {
        const char *text;
        unsigned    depth;
        size_t      at;
        const char *why;
    } cases[] = {
        { "{}", 9, 0, "expected an array" },
        { "", 9, 0, "the text is empty" },
        { "[", 9, 1, "the text ends where a value is expected" },
        { "[]", 0, 0, "nested too deeply" },
        { "[1,2", 9, 4, "expected ',' or ']'" },
        { "[1,]", 9, 3, "expected a value" },
        { "[1,2,3,4,5,6]", 9, 11, "too many elements" },
        { "[[[]]]", 2, 2, "nested too deeply" },
        { "[1] 2", 9, 4, "something follows the value" }
    };

    (void) state;

    assert_int_equal(push_json_array(str(text), 3, v, 5, &n, &error), PUSH_OK);
    assert_int_equal(n, 5);

    for (i = 0; i < n; i++) {
        assert_true(push_str_eq(v[i].raw, str(want[i])));
    }

    assert_int_equal(v[1].type, PUSH_JSON_STRING);
    assert_int_equal(v[4].type, PUSH_JSON_NULL);

    assert_int_equal(push_json_check(str(text), 3, &one, NULL), PUSH_OK);
    assert_int_equal(one.type, PUSH_JSON_ARRAY);

    pos = NULL;

    for (i = 0; push_json_next(one.raw, &pos, &v[0]); i++) {
        assert_true(push_str_eq(v[0].raw, str(want[i])));
    }

    assert_int_equal(i, 5);

    pos = NULL;
    assert_false(push_json_next(str("[ ]"), &pos, &v[0]));

    assert_int_equal(push_json_array(str(" [] "), 1, NULL, 0, &n, &error),
                     PUSH_OK);
    assert_int_equal(n, 0);

    for (i = 0; i < ALL(cases); i++) {
        assert_int_equal(push_json_array(str(cases[i].text), cases[i].depth,
                                         v, 5, &n, &error), PUSH_ERROR);
        assert_string_equal(error.text, cases[i].why);
        assert_int_equal(error.at, cases[i].at);
    }
}


static void
test_a_string_is_unescaped(void **state)
{
    char                    to[64];
    size_t                  i, n;
    struct push_json_value  v;

    static const struct {
        const char *text;
        const char *want;           /* NULL: it cannot be said in UTF-8 */
    } cases[] = {
        { "\"\"", "" },
        { "\"abc\"", "abc" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
        { "\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac" },
        { "\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
          "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf" },
        { "\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!" },
        { "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"",
          "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
        { "\"\xc3\xa9\\u0065\xf0\x9f\x98\x80\"",
          "\xc3\xa9" "e\xf0\x9f\x98\x80" },
        { "\"\\uabcd\\uEF01\"", "\xea\xaf\x8d\xee\xbc\x81" },
        { "\"\\/\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf\"",
          "/\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf" },
        { "\"a\\u0000b\"", NULL },
        { "\"\\ud83d\"", NULL },
        { "\"\\ud83dx\"", NULL },
        { "\"\\ud83d\\n\"", NULL },
        { "\"\\ud83d\\u0041\"", NULL },
        { "\"\\ude00\\ud83d\"", NULL },
        { "\"\\ude00\"", NULL },
        { "12", NULL },
        { "null", NULL },
        { "[\"a\"]", NULL }
    };

    (void) state;

    for (i = 0; i < ALL(cases); i++) {
        assert_int_equal(push_json_check(str(cases[i].text), 9, &v, NULL),
                         PUSH_OK);

        n = push_json_string(&v, to, sizeof(to));

        if (cases[i].want == NULL) {
            assert_int_equal(n, (size_t) -1);
            continue;
        }

        assert_int_equal(n, strlen(cases[i].want));
        assert_memory_equal(to, cases[i].want, n);

        assert_int_equal(push_json_string(&v, to, n), n);

        if (n) {
            assert_int_equal(push_json_string(&v, to, n - 1), (size_t) -1);
            assert_int_equal(push_json_string(&v, NULL, 0), (size_t) -1);
        }
    }
}


static void
test_a_number_is_a_plain_integer(void **state)
{
    size_t                  i;
    uint64_t                n;
    struct push_json_value  v;

    static const struct {
        const char *text;
        int         rc;
        uint64_t    value;
    } cases[] = {
        { "0", PUSH_OK, 0 },
        { "1", PUSH_OK, 1 },
        { "9007199254740991", PUSH_OK, PUSH_SEQ_MAX },
        { "9007199254740992", PUSH_ERROR, 0 },
        { "99999999999999999999999", PUSH_ERROR, 0 },
        { "-0", PUSH_ERROR, 0 },
        { "-1", PUSH_ERROR, 0 },
        { "1.0", PUSH_ERROR, 0 },
        { "1e2", PUSH_ERROR, 0 },
        { "\"1\"", PUSH_ERROR, 0 },
        { "true", PUSH_ERROR, 0 },
        { "null", PUSH_ERROR, 0 },
        { "[1]", PUSH_ERROR, 0 }
    };

    (void) state;

    for (i = 0; i < ALL(cases); i++) {
        n = 0;
        assert_int_equal(push_json_check(str(cases[i].text), 9, &v, NULL),
                         PUSH_OK);
        assert_int_equal(push_json_uint(&v, PUSH_SEQ_MAX, &n), cases[i].rc);
        assert_int_equal(n, cases[i].value);
    }
}


static void
test_a_quoted_text_reads_back(void **state)
{
    int                     c;
    char                    to[64], back[64];
    size_t                  i, n;
    struct push_json_value  v;

    static const struct {
        struct text text;
        const char *want;
    } cases[] = {
        { T(""), "\"\"" },
        { T("abc"), "\"abc\"" },
        { T("a\"b\\c/"), "\"a\\\"b\\\\c/\"" },
        { T("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"" },
        { T("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"" },
        { T("\xc3\xa9\xf0\x9f\x98\x80"),
          "\"\xc3\xa9\xf0\x9f\x98\x80\"" }
    };

    (void) state;

    for (i = 0; i < ALL(cases); i++) {
        struct push_str  s = { cases[i].text.data, cases[i].text.len };

        n = strlen(cases[i].want);
        memset(to, '#', sizeof(to));

        assert_int_equal(push_json_quote(NULL, 0, s), n);
        assert_int_equal(push_json_quote(to, n - 1, s), n);
        assert_int_equal(to[0], '#');
        assert_int_equal(push_json_quote(to, n, s), n);
        assert_memory_equal(to, cases[i].want, n);
        assert_int_equal(to[n], '#');
    }

    for (c = 1; c < 128; c++) {
        back[0] = (char) c;
        n = push_json_quote(to, sizeof(to), (struct push_str) { back, 1 });
        assert_int_equal(push_json_check((struct push_str) { to, n }, 0, &v,
                                         NULL), PUSH_OK);
        assert_int_equal(push_json_string(&v, back, sizeof(back)), 1);
        assert_int_equal(back[0], c);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_what_is_json_passes),
        cmocka_unit_test(test_what_is_no_json_is_refused_at_its_place),
        cmocka_unit_test(test_a_text_cut_short_is_refused),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_an_object_is_sliced),
        cmocka_unit_test(test_an_objects_faults_have_a_place),
        cmocka_unit_test(test_a_long_name_is_not_repeated_in_the_error),
        cmocka_unit_test(test_many_long_names_are_compared_in_time),
        cmocka_unit_test(test_an_array_is_sliced_and_walked),
        cmocka_unit_test(test_a_string_is_unescaped),
        cmocka_unit_test(test_a_number_is_a_plain_integer),
        cmocka_unit_test(test_a_quoted_text_reads_back)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
