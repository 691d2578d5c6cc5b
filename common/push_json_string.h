/*
 * push_json_string: what stands between the quotes of a JSON string
 *
 *     raw text --scan--> checked and measured --eq, decode--> characters
 *
 * Pure, for push_json only; others take push_json.h.
 */

#ifndef PUSH_JSON_STRING_H
#define PUSH_JSON_STRING_H

#include "push.h"

struct push_json_fault {
    const char *at;
    const char *text;           /* a sentence */
};

/*
 * Checks a string from behind its opening quote.  Returns where it goes on
 * behind the closing quote, or NULL with *fault.
 */
const char *push_json_string_scan(const char *pos, const char *end,
    struct push_json_fault *fault);

/*
 * Are two checked strings the same after unescaping?  Both without quotes;
 * one that ends in an escape is followed by a readable byte, as a quote is.
 */
bool push_json_string_eq(struct push_str a, struct push_str b);

/*
 * Unescapes a checked string, without quotes, into to.  Returns its length, or
 * (size_t) -1: longer than size, or it has \u0000 or a lone surrogate.
 */
size_t push_json_string_decode(struct push_str s, char *to, size_t size);

#endif
