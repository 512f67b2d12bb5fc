/* decimal.h - exact decimal text <-> int64 minor units, and arithmetic that cannot wrap.
 * Nothing here knows currencies: scale is the number of decimals (0 to 4 in ISO 4217, up to 18
 * here). Pure, any thread. */
#ifndef TAEL_BASE_DECIMAL_H
#define TAEL_BASE_DECIMAL_H

#include "tael.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAEL_DECIMAL_TEXT_MAX = 32 }; /* enough for any formatted int64 with its NUL */

/* Strict form: (0|[1-9][0-9]{0,17}) ( "." 1 to scale digits )?, ASCII, no sign, blank or exponent;
 * fewer decimals than scale are padded. TAEL_EINVAL: not of the form, too many decimals;
 * TAEL_ELIMIT: > int64. */
tael_status tael_decimal_parse(const char *text, size_t len, int scale, int64_t *minor);

/* Writes exactly scale decimals; negative values get a '-'. Returns the length without the NUL. */
size_t tael_decimal_format(int64_t minor, int scale, char out[TAEL_DECIMAL_TEXT_MAX]);

/* The digits of a number, zeros before them up to `width` (0 to 20); returns how many. No NUL. */
enum { TAEL_DIGITS_MAX = 20 };
size_t tael_digits(uint64_t number, size_t width, char out[TAEL_DIGITS_MAX]);

/* An integer in the same strict form of any length, sign '-' allowed ("-0" is 0); for JSON and ids.
 * TAEL_ELIMIT: outside int64. */
tael_status tael_int64_parse(const char *text, size_t len, int64_t *out);

/* TAEL_ELIMIT on overflow; *out untouched. */
tael_status tael_int64_add(int64_t a, int64_t b, int64_t *out);
tael_status tael_int64_sub(int64_t a, int64_t b, int64_t *out);
tael_status tael_int64_mul(int64_t a, int64_t b, int64_t *out);

/* a * num / den rounded half up (away from zero at .5), through 128 bits. den > 0. */
tael_status tael_int64_ratio(int64_t a, int64_t num, int64_t den, int64_t *out);

#endif
