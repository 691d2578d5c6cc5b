/*
 * push: what every part agrees on: return codes, bounds, names, close codes
 *
 * Pure: no socket, no clock, no allocation.  Linked by the edge, the daemons,
 * the unit tests and the fuzzers alike.
 */

#ifndef PUSH_H
#define PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are nginx's: NGX_OK, NGX_ERROR, NGX_AGAIN, NGX_DECLINED. */
enum {
    PUSH_OK = 0,
    PUSH_ERROR = -1,
    PUSH_AGAIN = -2,
    PUSH_DECLINED = -5
};

#define PUSH_NAME_MAX       128             /* bytes of uid, group, device... */
#define PUSH_LOG_MAX        (PUSH_NAME_MAX + 6)     /* "group:" and a name */
#define PUSH_EPOCH_MAX      32              /* bytes of an epoch, hex digits */
#define PUSH_KEY_MAX        64              /* bytes of an idempotency key */
#define PUSH_SEQ_MAX        INT64_C(9007199254740991)   /* 2^53 - 1 */
#define PUSH_WINDOW_DEFAULT 64
#define PUSH_WINDOW_MAX     256
#define PUSH_DATA_MAX       (256 * 1024)    /* bytes of a message's data */
#define PUSH_DEPTH_MAX      32              /* nesting of JSON */
#define PUSH_BODY_MAX       (1024 * 1024)   /* a deliver or dispatch body */
#define PUSH_ITEMS_MAX      1000            /* items of such a body */

/* A borrowed run of bytes, not terminated. */
struct push_str {
    const char *data;
    size_t      len;
};

#define PUSH_STR(s)  ((struct push_str) { "" s, sizeof(s) - 1 })

static inline bool
push_str_eq(struct push_str a, struct push_str b)
{
    return a.len == b.len
           && (a.len == 0 || __builtin_memcmp(a.data, b.data, a.len) == 0);
}

/*
 * Close codes (RFC 6455 7.4 and docs/protocol.md 1).
 * X(NAME, code, text for the log and the Close frame, counter)
 */
#define PUSH_CLOSE_REASONS(X)                                                 \
    X(NORMAL,     1000, "closed by the client",       closed_client)          \
    X(GOING_AWAY, 1001, "going away",                 closed_away)            \
    X(PROTOCOL,   1002, "protocol error",             closed_protocol)        \
    X(BINARY,     1003, "binary frames are not accepted", closed_binary)      \
    X(LOST,       1006, "connection lost",            closed_lost)            \
    X(UTF8,       1007, "invalid UTF-8",              closed_utf8)            \
    X(POLICY,     1008, "policy violation",           closed_policy)          \
    X(TOO_BIG,    1009, "message too big",            closed_too_big)         \
    X(INTERNAL,   1011, "internal error",             closed_internal)        \
    X(RESTART,    1012, "service restart",            closed_restart)         \
    X(HEARTBEAT,  4000, "no heartbeat",               closed_heartbeat)       \
    X(EXPIRED,    4001, "token expired",              closed_expired)         \
    X(KICKED,     4002, "kicked",                     closed_kicked)          \
    X(REPLACED,   4003, "replaced by a newer connection", closed_replaced)    \
    X(SLOW,       4008, "too slow",                   closed_slow)            \
    X(FLOOD,      4009, "too many messages",          closed_flood)           \
    X(BAD_FRAME,  4400, "bad frame",                  closed_bad_frame)

enum push_close {
#define X(name, code, text, counter)  PUSH_CLOSE_##name,
    PUSH_CLOSE_REASONS(X)
#undef X
    PUSH_CLOSE_COUNT
};

/* The code and the text of a reason. */
unsigned push_close_code(enum push_close reason);
const char *push_close_text(enum push_close reason);

/* 1 to PUSH_NAME_MAX bytes of A-Z a-z 0-9 . _ : @ - (docs/rules.md 1). */
bool push_name_valid(struct push_str name);

/* 1 to PUSH_KEY_MAX bytes of A-Z a-z 0-9 . _ : - */
bool push_key_valid(struct push_str key);

/* What a full log name says: "all", "user:<uid>" or "group:<name>". */
enum push_log_kind { PUSH_LOG_USER, PUSH_LOG_GROUP, PUSH_LOG_ALL };

/*
 * PUSH_OK, and *name is the uid or the group (empty for "all"), borrowed from
 * log; PUSH_ERROR: no legal log name.
 */
int push_log_parse(struct push_str log, enum push_log_kind *kind,
    struct push_str *name);

/*
 * A decimal number without sign, leading zero or space, at most max.
 * PUSH_OK or PUSH_ERROR.
 */
int push_uint_parse(struct push_str s, uint64_t max, uint64_t *value);

/* Exactly 16 lower-case hex digits: instance or conn. PUSH_OK, PUSH_ERROR. */
int push_hex64_parse(struct push_str s, uint64_t *value);
/* Writes 16 lower-case hex digits, no terminator. */
void push_hex64_write(char *to, uint64_t value);

/*
 * A connection: random per nginx start, then slot (8 bits), generation (16),
 * index (40).  Index 0 is the worker itself: what it asks for shared logs.
 * Its text is "<16 hex>.<16 hex>".
 */
struct push_conn_id {
    uint64_t instance;
    uint64_t conn;
};

#define PUSH_CONN_TEXT_LEN  33

#define push_conn_slot(conn)        ((unsigned) ((conn) >> 56))
#define push_conn_generation(conn)  ((unsigned) (((conn) >> 40) & 0xffff))
#define push_conn_index(conn)       ((conn) & UINT64_C(0xffffffffff))
#define push_conn_make(slot, gen, index)                                      \
    (((uint64_t) (slot) << 56) | ((uint64_t) ((gen) & 0xffff) << 40)          \
     | ((uint64_t) (index) & UINT64_C(0xffffffffff)))

int push_conn_id_parse(struct push_str s, struct push_conn_id *id);
/* Writes PUSH_CONN_TEXT_LEN bytes, no terminator. */
void push_conn_id_write(char *to, struct push_conn_id id);

#endif
