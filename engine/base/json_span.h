/* json_span.h - where a member's raw text stands in a JSON document, for signatures over raw bytes.
 * Pure, any thread.
 */
#ifndef TAEL_BASE_JSON_SPAN_H
#define TAEL_BASE_JSON_SPAN_H

#include "base/json.h"

enum { TAEL_JSON_SPAN_MEMBERS_MAX = 256 }; /* of an object that is looked in */

/* path: "a", or "a.b" for member b of the object a. *out: the value's bytes in text, quotes and
 * brackets included, blanks around it not. The whole text must be one JSON document, its top value
 * and those on the path objects without duplicate names. On failure *out is untouched and *offset
 * (0-based) says where: ABSENT no such member or not an object on the way, DUPLICATE, or what is
 * wrong with the text. */
enum tael_json_fault tael_json_span(struct tael_span text, struct tael_span path,
                                    struct tael_span *out, size_t *offset);

#endif
