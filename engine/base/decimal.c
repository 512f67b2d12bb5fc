/* decimal.c - exact decimal text <-> int64 minor units, checked arithmetic.
 * Pure functions. Digits are added one by one through the overflow builtins: no float, no wrap.
 */
#include "base/decimal.h"

#include <assert.h>
#include <string.h>

enum { SCALE_MAX = 18, WHOLE_DIGITS_MAX = 18 };

__extension__ typedef __int128 int128;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* value = value * 10 + digit, towards minus infinity when negative. false: overflow. */
static bool push_digit(int64_t *value, int digit, bool negative)
{
    int64_t tens = 0;
    if (__builtin_mul_overflow(*value, 10, &tens))
        return false;
    return !__builtin_add_overflow(tens, negative ? -digit : digit, value);
}

/* Length of the digits at text, refusing a leading zero before more digits. 0: none, or refused. */
static size_t whole_digits(const char *text, size_t len)
{
    size_t digits = 0;
    while (digits < len && is_digit(text[digits]))
        digits++;
    return digits > 1 && text[0] == '0' ? 0 : digits;
}

tael_status tael_decimal_parse(const char *text, size_t len, int scale, int64_t *minor)
{
    if (scale < 0 || scale > SCALE_MAX)
        return TAEL_EINVAL;
    size_t whole = whole_digits(text, len);
    if (whole == 0 || whole > WHOLE_DIGITS_MAX)
        return TAEL_EINVAL;
    size_t fraction = 0;
    if (whole < len) {
        fraction = len - whole - 1;
        if (text[whole] != '.' || fraction == 0 || fraction > (size_t)scale)
            return TAEL_EINVAL;
        for (size_t i = whole + 1; i < len; i++) {
            if (!is_digit(text[i]))
                return TAEL_EINVAL;
        }
    }
    int64_t value = 0;
    for (size_t i = 0; i < whole + (size_t)scale; i++) {
        size_t place = i < whole ? i : i + 1; /* over the point */
        int digit = i < whole + fraction ? text[place] - '0' : 0;
        if (!push_digit(&value, digit, false))
            return TAEL_ELIMIT;
    }
    *minor = value;
    return TAEL_OK;
}

size_t tael_decimal_format(int64_t minor, int scale, char out[TAEL_DECIMAL_TEXT_MAX])
{
    assert(scale >= 0 && scale <= SCALE_MAX);
    char reversed[TAEL_DECIMAL_TEXT_MAX];
    size_t count = 0;
    uint64_t rest = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    for (int digit = 0; rest != 0 || digit <= scale; digit++) { /* at least one before the point */
        if (digit == scale && scale > 0)
            reversed[count++] = '.';
        reversed[count++] = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (minor < 0)
        reversed[count++] = '-';
    assert(count < TAEL_DECIMAL_TEXT_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    out[count] = '\0';
    return count;
}

size_t tael_digits(uint64_t number, size_t width, char out[TAEL_DIGITS_MAX])
{
    char digits[TAEL_DIGITS_MAX];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || sizeof(digits) - at < width);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

tael_status tael_int64_parse(const char *text, size_t len, int64_t *out)
{
    bool negative = len > 0 && text[0] == '-';
    size_t start = negative ? 1 : 0;
    size_t digits = whole_digits(text + start, len - start);
    if (digits == 0 || start + digits != len)
        return TAEL_EINVAL;
    int64_t value = 0;
    for (size_t i = start; i < len; i++) {
        if (!push_digit(&value, text[i] - '0', negative))
            return TAEL_ELIMIT;
    }
    *out = value;
    return TAEL_OK;
}

tael_status tael_int64_add(int64_t a, int64_t b, int64_t *out)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum))
        return TAEL_ELIMIT;
    *out = sum;
    return TAEL_OK;
}

tael_status tael_int64_sub(int64_t a, int64_t b, int64_t *out)
{
    int64_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference))
        return TAEL_ELIMIT;
    *out = difference;
    return TAEL_OK;
}

tael_status tael_int64_mul(int64_t a, int64_t b, int64_t *out)
{
    int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product))
        return TAEL_ELIMIT;
    *out = product;
    return TAEL_OK;
}

tael_status tael_int64_ratio(int64_t a, int64_t num, int64_t den, int64_t *out)
{
    if (den <= 0)
        return TAEL_EINVAL;
    int128 product = (int128)a * num; /* at most 2^126: nothing below can wrap */
    int128 quotient = product / den;
    int128 rest = product % den;
    if (rest * 2 >= den)
        quotient++;
    else if (-rest * 2 >= den)
        quotient--;
    if (quotient > INT64_MAX || quotient < INT64_MIN)
        return TAEL_ELIMIT;
    *out = (int64_t)quotient;
    return TAEL_OK;
}
