/*
 * push_binding: a member of push:{<uid>}: where a user is connected
 *
 * in: a member.  out: its parts.  owns: nothing
 */

#include "push_binding.h"


int
push_binding_parse(struct push_str member, struct push_binding *binding)
{
    size_t           i, n;
    const char      *p, *end;
    struct push_str  part[5];

    if (member.len == 0) {
        return PUSH_ERROR;
    }

    p = member.data;
    end = p + member.len;

    for (n = 0; n < 5; n++) {
        for (i = 0; p + i < end && p[i] != '/'; i++) {
            /* void */
        }

        part[n].data = p;
        part[n].len = i;

        /* a slash behind each part but the last */

        if ((p + i == end) != (n == 4)) {
            return PUSH_ERROR;
        }

        p += i + (n < 4);
    }

    binding->node = part[0];
    binding->instance = part[1];
    binding->conn = part[2];
    binding->device = part[3];

    if (!push_name_valid(part[0])
        || push_hex64_parse(part[1], &binding->id.instance) != PUSH_OK
        || push_hex64_parse(part[2], &binding->id.conn) != PUSH_OK
        || !push_name_valid(part[3])
        || push_uint_parse(part[4], PUSH_SEQ_MAX, &binding->since_ms)
           != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    return PUSH_OK;
}
