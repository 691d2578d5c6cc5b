/*
 * push_handshake: the first fault of each set of headers; push_binding
 */

#include "push_handshake.h"
#include "push_binding.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UPGRADE     "Upgrade:websocket\n"
#define CONNECTION  "Connection:Upgrade\n"
#define VERSION     "Sec-WebSocket-Version:13\n"
#define KEY         "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\n"
#define FIRST       UPGRADE CONNECTION VERSION

static const struct {
    const char                *lines;
    enum push_handshake_fault  fault;
} cases[] = {
    { FIRST KEY,                                    PUSH_HANDSHAKE_GOOD },
    { "", PUSH_HANDSHAKE_NO_UPGRADE },
    { "Host:a\n", PUSH_HANDSHAKE_NO_UPGRADE },
    { "Upgrade:websockets\n", PUSH_HANDSHAKE_NO_UPGRADE },
    { "Upgrade:web,socket\n", PUSH_HANDSHAKE_NO_UPGRADE },
    { "Upgrade:web socket\n", PUSH_HANDSHAKE_NO_UPGRADE },
    { "Upgrade:,\n", PUSH_HANDSHAKE_NO_UPGRADE },
    { UPGRADE, PUSH_HANDSHAKE_NO_CONNECTION },
    { UPGRADE "Connection:\n", PUSH_HANDSHAKE_NO_CONNECTION },
    { "UPGRADE:h2c,\t WebSocket \t\nconnection:keep-alive,UPGRADE,,\n",
      PUSH_HANDSHAKE_VERSION },
    { UPGRADE CONNECTION "Sec-WebSocket-Version:013\n",
      PUSH_HANDSHAKE_VERSION },
    { FIRST VERSION, PUSH_HANDSHAKE_VERSIONS },
    { FIRST, PUSH_HANDSHAKE_NO_KEY },
    { FIRST KEY KEY, PUSH_HANDSHAKE_KEYS },
    { FIRST "Sec-WebSocket-Key:\n", PUSH_HANDSHAKE_KEY },
    { FIRST "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ=\n",
      PUSH_HANDSHAKE_KEY },
    { FIRST "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ=x\n",
      PUSH_HANDSHAKE_KEY },
    { FIRST "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQx=\n",
      PUSH_HANDSHAKE_KEY },
    { FIRST "Sec-WebSocket-Key:dGhlIHNhbXBsZ-Bub25jZQ==\n",
      PUSH_HANDSHAKE_KEY },
    { FIRST "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==x\n",
      PUSH_HANDSHAKE_KEY },
    { FIRST KEY "Sec-WebSocket-Protocol:a, push.v1\n", PUSH_HANDSHAKE_GOOD },
    { FIRST KEY "Sec-WebSocket-Protocol:a\nSec-WebSocket-Protocol:push.v1\n",
      PUSH_HANDSHAKE_GOOD },
    { FIRST KEY "Sec-WebSocket-Protocol:PUSH.V1\n", PUSH_HANDSHAKE_PROTOCOL },
    { FIRST KEY "Sec-WebSocket-Protocol:\n", PUSH_HANDSHAKE_PROTOCOL },
    { FIRST KEY "Sec-WebSocket-Protocol:push.v1x\n",
      PUSH_HANDSHAKE_PROTOCOL },
    { FIRST KEY "Origin:a\n", PUSH_HANDSHAKE_GOOD },
    { FIRST KEY "Origin:a\nOrigin:a\n", PUSH_HANDSHAKE_ORIGINS },
};


static void
test_faults(void **state)
{
    size_t                 i;
    const char            *p, *colon, *eol;
    struct push_str        name, value;
    struct push_handshake  h;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&h, 0, sizeof(h));

        for (p = cases[i].lines; *p; p = eol + 1) {
            colon = strchr(p, ':');
            eol = strchr(p, '\n');
            name = (struct push_str) { p, (size_t) (colon - p) };
            value = (struct push_str) { colon + 1, (size_t) (eol - colon - 1) };
            push_handshake_header(&h, name, value);
        }

        if (push_handshake_check(&h) != cases[i].fault) {
            fail_msg("case %zu: %d, not %d", i, push_handshake_check(&h),
                     cases[i].fault);
        }
    }
}


static void
test_binding(void **state)
{
    struct push_binding  b;

    (void) state;

    assert_int_equal(push_binding_parse(
        PUSH_STR("edge-1/00000000000000aa/0100020000000003/d:1/1700000000123"),
        &b), PUSH_OK);
    assert_true(push_str_eq(b.node, PUSH_STR("edge-1")));
    assert_true(push_str_eq(b.instance, PUSH_STR("00000000000000aa")));
    assert_true(push_str_eq(b.conn, PUSH_STR("0100020000000003")));
    assert_true(push_str_eq(b.device, PUSH_STR("d:1")));
    assert_int_equal(b.id.instance, 0xaa);
    assert_int_equal(b.id.conn, 0x0100020000000003);
    assert_int_equal(b.since_ms, 1700000000123);

    /* what nobody could have written: a time beyond 2^53 */
    assert_int_equal(push_binding_parse(
        PUSH_STR("e/00000000000000aa/0100020000000003/-/9007199254740992"),
        &b), PUSH_ERROR);
    assert_int_equal(push_binding_parse((struct push_str) { NULL, 0 }, &b),
                     PUSH_ERROR);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_binding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
