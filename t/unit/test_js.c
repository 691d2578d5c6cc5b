/* js: what is parsed, what the getters give and refuse. */

#include "js.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>


static struct js *
test_parse(const char *text, struct js_error *error)
{
    return js_parse((struct push_str) { text, strlen(text) }, 200, 4, error);
}


static void
test_getters(void **state)
{
    char             *text;
    struct js        *js;
    struct js_error   error;
    struct push_str   s;
    const struct js  *inner;

    (void) state;

    js = test_parse("{\"s\":\"abc\",\"n\":-5,\"a\":[{\"r\":1.5,"
                    "\"z\":null},\"x\"]}", &error);
    assert_non_null(js);

    assert_int_equal(js_string(js, "s", 3, &s), PUSH_OK);
    assert_true(push_str_eq(s, PUSH_STR("abc")));
    assert_int_equal(js_string(js, "s", 2, &s), PUSH_ERROR);
    assert_int_equal(js_string(js, "n", 9, &s), PUSH_ERROR);
    assert_int_equal(js_string(js, "none", 9, &s), PUSH_DECLINED);

    assert_int_equal(js_array(js, "s", &inner), PUSH_ERROR);
    assert_int_equal(js_array(js, "none", &inner), PUSH_DECLINED);
    assert_int_equal(js_array(js, "a", &inner), PUSH_OK);
    assert_int_equal(js_count(inner), 2);
    assert_int_equal(js_string(js_at(inner, 1), "s", 9, &s), PUSH_DECLINED);
    assert_null(js_at(inner, 2));
    assert_int_equal(js_count(js), 0);
    assert_null(js_at(js, 0));

    text = js_dump(js_at(inner, 0));
    assert_string_equal(text, "{\"r\":1.5,\"z\":null}");
    free(text);
    js_free(js);
    js_free(NULL);
}


static void
test_bad(void **state)
{
    size_t           i;
    struct js       *js;
    struct js_error  error;

    static const struct { const char *text; const char *error; } rows[] = {
        { "", "line 1" },
        { "{", "line 1" },
        { "{\"a\":1,\n\"a\":2}", "line 2" },
        { "{\"a\":1} x", "line 1" },
        { "[1e400]", "line 1" },
        { "[99999999999999999999]", "line 1" },
        { "[\"\xff\"]", "line 1" },
        { "[[[[[]]]]]", "more than 4 levels" }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        js = test_parse(rows[i].text, &error);

        if (js != NULL || strstr(error.text, rows[i].error) == NULL) {
            fail_msg("%s: %s", rows[i].text, js ? "accepted" : error.text);
        }
    }

    js = test_parse("[[[[\"[[[\\\"[[\"]]]]", &error);
    assert_non_null(js);
    js_free(js);

    assert_null(js_parse(PUSH_STR("[1, 2]"), 5, 4, &error));
    assert_string_equal(error.text, "more than 5 bytes");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
