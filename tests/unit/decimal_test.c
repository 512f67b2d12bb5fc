/* decimal_test.c - exact decimals and checked arithmetic, with their edges. */
#include <string.h>

#include "base/decimal.h"
#include "tap.h"

enum { UNTOUCHED = 424242 };

static void parse_accepts_only_exact_amounts(void)
{
    static const struct {
        const char *text;
        int scale;
        tael_status want;
        int64_t minor;
    } rows[] = {
        {"0", 2, TAEL_OK, 0},
        {"0.00", 2, TAEL_OK, 0},
        {"12.34", 2, TAEL_OK, 1234},
        {"12.3", 2, TAEL_OK, 1230},
        {"12", 2, TAEL_OK, 1200},
        {"0.01", 2, TAEL_OK, 1},
        {"12", 0, TAEL_OK, 12},
        {"1.2345", 4, TAEL_OK, 12345},
        {"0.000000000000000001", 18, TAEL_OK, 1},
        {"9.223372036854775807", 18, TAEL_OK, INT64_MAX},
        {"9.223372036854775808", 18, TAEL_ELIMIT, UNTOUCHED},
        {"92233720368547758.07", 2, TAEL_OK, INT64_MAX},
        {"92233720368547758.08", 2, TAEL_ELIMIT, UNTOUCHED},
        {"92233720368547759", 2, TAEL_ELIMIT, UNTOUCHED},
        {"999999999999999999", 0, TAEL_OK, 999999999999999999},
        {"999999999999999999", 1, TAEL_ELIMIT, UNTOUCHED},
        {"1000000000000000000", 0, TAEL_EINVAL, UNTOUCHED}, /* 19 digits: not of the form */
        {"12.345", 2, TAEL_EINVAL, UNTOUCHED},
        {"12.340", 2, TAEL_EINVAL, UNTOUCHED},
        {"12.", 2, TAEL_EINVAL, UNTOUCHED},
        {"12.0", 0, TAEL_EINVAL, UNTOUCHED},
        {".5", 2, TAEL_EINVAL, UNTOUCHED},
        {"00", 2, TAEL_EINVAL, UNTOUCHED},
        {"01.00", 2, TAEL_EINVAL, UNTOUCHED},
        {"-1", 2, TAEL_EINVAL, UNTOUCHED},
        {"+1", 2, TAEL_EINVAL, UNTOUCHED},
        {" 1", 2, TAEL_EINVAL, UNTOUCHED},
        {"1 ", 2, TAEL_EINVAL, UNTOUCHED},
        {"1e3", 2, TAEL_EINVAL, UNTOUCHED},
        {"1,000", 2, TAEL_EINVAL, UNTOUCHED},
        {"1.2.3", 4, TAEL_EINVAL, UNTOUCHED},
        {"1.-2", 2, TAEL_EINVAL, UNTOUCHED},
        {"0x10", 2, TAEL_EINVAL, UNTOUCHED},
        {"NaN", 2, TAEL_EINVAL, UNTOUCHED},
        {"\xef\xbc\x91", 2, TAEL_EINVAL, UNTOUCHED}, /* full-width one */
        {"", 2, TAEL_EINVAL, UNTOUCHED},
        {".", 2, TAEL_EINVAL, UNTOUCHED},
        {"1", -1, TAEL_EINVAL, UNTOUCHED},
        {"1", 19, TAEL_EINVAL, UNTOUCHED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = UNTOUCHED;
        tael_status status =
            tael_decimal_parse(rows[i].text, strlen(rows[i].text), rows[i].scale, &got);
        CHECK_NAMED(status == rows[i].want, rows[i].text);
        CHECK_NAMED(got == rows[i].minor, rows[i].text);
    }
    int64_t got = UNTOUCHED;
    CHECK(tael_decimal_parse("1\0002", 3, 2, &got) == TAEL_EINVAL && got == UNTOUCHED);
    CHECK(tael_decimal_parse("123", 2, 0, &got) == TAEL_OK && got == 12); /* len rules */
}

static void format_writes_every_decimal(void)
{
    static const struct {
        int64_t minor;
        int scale;
        const char *text;
    } rows[] = {
        {0, 0, "0"},
        {0, 2, "0.00"},
        {5, 2, "0.05"},
        {-5, 2, "-0.05"},
        {1234, 2, "12.34"},
        {-1234, 2, "-12.34"},
        {100, 2, "1.00"},
        {100, 0, "100"},
        {1, 18, "0.000000000000000001"},
        {INT64_MAX, 0, "9223372036854775807"},
        {INT64_MIN, 0, "-9223372036854775808"},
        {INT64_MAX, 2, "92233720368547758.07"},
        {INT64_MIN, 2, "-92233720368547758.08"},
        {INT64_MIN, 18, "-9.223372036854775808"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[TAEL_DECIMAL_TEXT_MAX];
        size_t len = tael_decimal_format(rows[i].minor, rows[i].scale, text);
        CHECK_NAMED(len == strlen(rows[i].text) && strcmp(text, rows[i].text) == 0, rows[i].text);
    }
}

static void what_is_formatted_parses_back(void)
{
    uint64_t seed = 1;
    bool same = true;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int64_t minor = (int64_t)(seed >> 1 >> (seed % 60)), back = -1;
        int scale = i % 19;
        char text[TAEL_DECIMAL_TEXT_MAX];
        size_t len = tael_decimal_format(minor, scale, text);
        tael_status status = tael_decimal_parse(text, len, scale, &back);
        bool long_whole =
            len - (scale > 0 ? (size_t)scale + 1 : 0) > 18; /* outside the strict form */
        same = same && (status == TAEL_OK ? back == minor : long_whole);
    }
    CHECK(same);
}

static void integers_are_strict(void)
{
    static const struct {
        const char *text;
        tael_status want;
        int64_t value;
    } rows[] = {
        {"0", TAEL_OK, 0},
        {"-0", TAEL_OK, 0},
        {"7", TAEL_OK, 7},
        {"-7", TAEL_OK, -7},
        {"9223372036854775807", TAEL_OK, INT64_MAX},
        {"-9223372036854775808", TAEL_OK, INT64_MIN},
        {"9223372036854775808", TAEL_ELIMIT, UNTOUCHED},
        {"-9223372036854775809", TAEL_ELIMIT, UNTOUCHED},
        {"99999999999999999999999999", TAEL_ELIMIT, UNTOUCHED},
        {"00", TAEL_EINVAL, UNTOUCHED},
        {"-01", TAEL_EINVAL, UNTOUCHED},
        {"+1", TAEL_EINVAL, UNTOUCHED},
        {"--1", TAEL_EINVAL, UNTOUCHED},
        {"-", TAEL_EINVAL, UNTOUCHED},
        {"", TAEL_EINVAL, UNTOUCHED},
        {"1.0", TAEL_EINVAL, UNTOUCHED},
        {"1e2", TAEL_EINVAL, UNTOUCHED},
        {" 1", TAEL_EINVAL, UNTOUCHED},
        {"1\n", TAEL_EINVAL, UNTOUCHED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = UNTOUCHED;
        CHECK_NAMED(tael_int64_parse(rows[i].text, strlen(rows[i].text), &got) == rows[i].want,
                    rows[i].text);
        CHECK_NAMED(got == rows[i].value, rows[i].text);
    }
}

static void arithmetic_never_wraps(void)
{
    static const struct {
        tael_status (*op)(int64_t a, int64_t b, int64_t *out);
        int64_t a, b;
        tael_status want;
        int64_t out;
    } rows[] = {
        {tael_int64_add, 2, 3, TAEL_OK, 5},
        {tael_int64_add, INT64_MAX, 0, TAEL_OK, INT64_MAX},
        {tael_int64_add, INT64_MAX, 1, TAEL_ELIMIT, UNTOUCHED},
        {tael_int64_add, INT64_MIN, -1, TAEL_ELIMIT, UNTOUCHED},
        {tael_int64_add, INT64_MIN, INT64_MAX, TAEL_OK, -1},
        {tael_int64_sub, 2, 3, TAEL_OK, -1},
        {tael_int64_sub, INT64_MIN, 1, TAEL_ELIMIT, UNTOUCHED},
        {tael_int64_sub, 0, INT64_MIN, TAEL_ELIMIT, UNTOUCHED},
        {tael_int64_sub, -1, INT64_MIN, TAEL_OK, INT64_MAX},
        {tael_int64_mul, 6, 7, TAEL_OK, 42},
        {tael_int64_mul, INT64_MIN, -1, TAEL_ELIMIT, UNTOUCHED},
        {tael_int64_mul, INT64_MAX, 2, TAEL_ELIMIT, UNTOUCHED},
        {tael_int64_mul, 3037000500, 3037000500, TAEL_ELIMIT, UNTOUCHED},
        {tael_int64_mul, 3037000499, 3037000499, TAEL_OK, 9223372030926249001},
        {tael_int64_mul, INT64_MIN, 1, TAEL_OK, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t out = UNTOUCHED;
        CHECK(rows[i].op(rows[i].a, rows[i].b, &out) == rows[i].want);
        CHECK(out == rows[i].out);
    }
}

static void ratios_round_half_away_from_zero(void)
{
    static const struct {
        int64_t a, num, den;
        tael_status want;
        int64_t out;
    } rows[] = {
        {100, 6, 1000, TAEL_OK, 1},   /* 0.6 */
        {100, 4, 1000, TAEL_OK, 0},   /* 0.4 */
        {100, 5, 1000, TAEL_OK, 1},   /* 0.5 */
        {-100, 5, 1000, TAEL_OK, -1}, /* -0.5 */
        {-100, 4, 1000, TAEL_OK, 0},
        {100, -5, 1000, TAEL_OK, -1},
        {-100, -5, 1000, TAEL_OK, 1},
        {7, 1, 2, TAEL_OK, 4},
        {-7, 1, 2, TAEL_OK, -4},
        {1, 1, 3, TAEL_OK, 0},
        {2, 1, 3, TAEL_OK, 1},
        {0, 5, 7, TAEL_OK, 0},
        {INT64_MAX, 1, 1, TAEL_OK, INT64_MAX},
        {INT64_MIN, 1, 1, TAEL_OK, INT64_MIN},
        {INT64_MAX, INT64_MAX, INT64_MAX, TAEL_OK, INT64_MAX},
        {INT64_MIN, INT64_MAX, INT64_MAX, TAEL_OK, INT64_MIN},
        {INT64_MIN, INT64_MIN, INT64_MAX, TAEL_ELIMIT, UNTOUCHED},
        {INT64_MIN, -1, 1, TAEL_ELIMIT, UNTOUCHED},
        {INT64_MAX, 3, 2, TAEL_ELIMIT, UNTOUCHED},
        {INT64_MAX, 1, INT64_MAX, TAEL_OK, 1},
        {4611686018427387904, 1, INT64_MAX, TAEL_OK, 1}, /* just above a half */
        {4611686018427387903, 1, INT64_MAX, TAEL_OK, 0}, /* just below */
        {1, 1, 0, TAEL_EINVAL, UNTOUCHED},
        {1, 1, -1, TAEL_EINVAL, UNTOUCHED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t out = UNTOUCHED;
        CHECK(tael_int64_ratio(rows[i].a, rows[i].num, rows[i].den, &out) == rows[i].want);
        CHECK(out == rows[i].out);
    }
}

static void digits_fill_their_width(void)
{
    static const struct {
        uint64_t number;
        size_t width;
        const char *text;
    } rows[] = {
        {0, 0, "0"},
        {0, 1, "0"},
        {7, 2, "07"},
        {1234, 2, "1234"},
        {42, 20, "00000000000000000042"},
        {UINT64_MAX, 1, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[TAEL_DIGITS_MAX];
        size_t len = tael_digits(rows[i].number, rows[i].width, out);
        CHECK_NAMED(len == strlen(rows[i].text) && memcmp(out, rows[i].text, len) == 0,
                    rows[i].text);
    }
}

int main(void)
{
    parse_accepts_only_exact_amounts();
    format_writes_every_decimal();
    what_is_formatted_parses_back();
    integers_are_strict();
    arithmetic_never_wraps();
    ratios_round_half_away_from_zero();
    digits_fill_their_width();
    return tap_end();
}
