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

/*
 * Checks a string whose first byte behind the opening quote is *pos.  NULL,
 * and *pos is behind the closing quote; or what is wrong, as a sentence, and
 * *pos is at the fault.
 */
const char *push_json_string_scan(const char **pos, const char *end);

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
