/* form_test.c - forms from the network: what is read, what is refused, and that nothing is read or
 * written beside the caller's storage (the sanitizers watch). */
#include <stdlib.h>

#include "base/form.h"
#include "tap.h"

enum { FIELDS = 8, NAME = 16, VALUE = 32 };

static const struct tael_form_limit sign_limit[] = {{{"sign", 4}, 40}};

/* Exact copies on the heap, so that one byte too far is seen. */
struct decoded {
    struct tael_form form;
    enum tael_form_fault fault;
    char *input;
};

static struct decoded decode(const char *text, size_t len, enum tael_form_charset charset)
{
    struct tael_form_limits limits = {.fields = FIELDS,
                                      .name = NAME,
                                      .value = VALUE,
                                      .special = sign_limit,
                                      .special_count = 1,
                                      .charset = charset};
    struct decoded decoded = {0};
    decoded.input = malloc(len + (len == 0));
    decoded.form.bytes = malloc(len + (len == 0));
    decoded.form.fields = malloc(FIELDS * sizeof(struct tael_form_field));
    if (decoded.input == NULL || decoded.form.bytes == NULL || decoded.form.fields == NULL)
        abort();
    memcpy(decoded.input, text, len);
    decoded.fault =
        tael_form_decode(&decoded.form, (struct tael_span){decoded.input, len}, &limits);
    return decoded;
}

static void done(struct decoded *decoded)
{
    free(decoded->input);
    free(decoded->form.bytes);
    free(decoded->form.fields);
}

static bool field_is(const struct tael_form *form, size_t i, const char *name, const char *value)
{
    return i < form->count && tael_span_is(form->fields[i].name, name) &&
           tael_span_is(form->fields[i].value, value);
}

static void fields_come_in_order_and_decoded_once(void)
{
    static const char text[] = "b=2%2B2&a=x+y%20z&empty=&bare&eq=a=b&p=%2525&%63=%e4%B8%AD";
    struct decoded d = decode(text, strlen(text), TAEL_FORM_UTF8);
    CHECK(d.fault == TAEL_FORM_NONE);
    CHECK(d.form.count == 7);
    CHECK(field_is(&d.form, 0, "b", "2+2"));
    CHECK(field_is(&d.form, 1, "a", "x y z"));
    CHECK(field_is(&d.form, 2, "empty", ""));
    CHECK(field_is(&d.form, 3, "bare", ""));
    CHECK(field_is(&d.form, 4, "eq", "a=b"));
    CHECK(field_is(&d.form, 5, "p", "%25"));
    CHECK(field_is(&d.form, 6, "c", "中"));
    done(&d);
    d = decode("", 0, TAEL_FORM_UTF8);
    CHECK(d.fault == TAEL_FORM_NONE && d.form.count == 0);
    done(&d);
}

static void hostile_forms_are_refused(void)
{
    static const struct {
        const char *text;
        enum tael_form_fault fault;
        const char *field;
    } rows[] = {
        {"a=1&a=2", TAEL_FORM_DUPLICATE, "a"},
        {"a=1&%61=1", TAEL_FORM_DUPLICATE, "a"},
        {"a+b=1&a%20b=2", TAEL_FORM_DUPLICATE, "a b"},
        {"a=1&a", TAEL_FORM_DUPLICATE, "a"},
        {"a=%", TAEL_FORM_ESCAPE, "a"},
        {"a=%2", TAEL_FORM_ESCAPE, "a"},
        {"a=%2&b=1", TAEL_FORM_ESCAPE, "a"},
        {"a=%zz", TAEL_FORM_ESCAPE, "a"},
        {"a=%2x", TAEL_FORM_ESCAPE, "a"},
        {"a=%u4e2d", TAEL_FORM_ESCAPE, "a"},
        {"%=1", TAEL_FORM_ESCAPE, ""},
        {"a=%00", TAEL_FORM_NUL, "a"},
        {"a%00=1", TAEL_FORM_NUL, ""},
        {"=1", TAEL_FORM_NAME, ""},
        {"&", TAEL_FORM_NAME, ""},
        {"a=1&", TAEL_FORM_NAME, ""},
        {"a=1&&b=2", TAEL_FORM_NAME, ""},
        {"&a=1", TAEL_FORM_NAME, ""},
        {"a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9", TAEL_FORM_TOO_MANY, NULL},
        {"12345678901234567=1", TAEL_FORM_TOO_LONG, "12345678901234567"},
        {"a=123456789012345678901234567890123", TAEL_FORM_TOO_LONG, "a"},
        {"sign=12345678901234567890123456789012345678901", TAEL_FORM_TOO_LONG, "sign"},
        {"a=%ff", TAEL_FORM_CHARSET, "a"},
        {"a=%c0%80", TAEL_FORM_CHARSET, "a"},
        {"a=%ed%a0%80", TAEL_FORM_CHARSET, "a"},
        {"a=%f4%90%80%80", TAEL_FORM_CHARSET, "a"},
        {"a=%f0%8f%80%80", TAEL_FORM_CHARSET, "a"},
        {"a=%e4%b8", TAEL_FORM_CHARSET, "a"},
        {"%e4=1", TAEL_FORM_CHARSET, "\xe4"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decoded d = decode(rows[i].text, strlen(rows[i].text), TAEL_FORM_UTF8);
        CHECK_NAMED(d.fault == rows[i].fault, rows[i].text);
        CHECK(rows[i].field == NULL ||
              tael_span_is(d.form.fields[d.form.count].name, rows[i].field));
        done(&d);
    }
    struct decoded d = decode("a=\0", 3, TAEL_FORM_BYTES);
    CHECK(d.fault == TAEL_FORM_NUL);
    done(&d);
}

static void limits_are_of_decoded_bytes_and_inclusive(void)
{
    static const char *const texts[] = {
        "1234567890123456=1",
        "a=12345678901234567890123456789012",
        "a=%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31",
        "sign=1234567890123456789012345678901234567890",
        "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct decoded d = decode(texts[i], strlen(texts[i]), TAEL_FORM_UTF8);
        CHECK_NAMED(d.fault == TAEL_FORM_NONE, texts[i]);
        done(&d);
    }
}

static void bytes_of_gbk_stay_as_they_are(void)
{
    static const char text[] = "s=%d6%d0%ce%c4%95%5c"; /* a trail byte that is a backslash */
    struct decoded d = decode(text, strlen(text), TAEL_FORM_GBK);
    CHECK(d.fault == TAEL_FORM_NONE && field_is(&d.form, 0, "s", "\xd6\xd0\xce\xc4\x95\x5c"));
    done(&d);
    static const char *const bad[] = {"s=%d6",    "s=%80%40", "s=%ff%40",
                                      "s=%d6%7f", "s=%d6%20", "s=%d6%ff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        d = decode(bad[i], strlen(bad[i]), TAEL_FORM_GBK);
        CHECK_NAMED(d.fault == TAEL_FORM_CHARSET, bad[i]);
        done(&d);
        d = decode(bad[i], strlen(bad[i]), TAEL_FORM_BYTES);
        CHECK_NAMED(d.fault == TAEL_FORM_NONE, bad[i]);
        done(&d);
    }
}

/* Every text of up to 6 characters from an alphabet that makes all cases: never out of bounds, and
 * what is accepted, encoded and decoded again, is the same. */
static void short_texts_are_safe_and_stable(void)
{
    static const char alphabet[] = {'a', '=', '&', '%', '4', '+'};
    bool stable = true;
    for (unsigned long n = 0; n < 46656; n++) {
        char text[6];
        unsigned long rest = n;
        for (size_t i = 0; i < sizeof(text); i++, rest /= sizeof(alphabet))
            text[i] = alphabet[rest % sizeof(alphabet)];
        struct decoded d = decode(text, sizeof(text), TAEL_FORM_BYTES);
        if (d.fault == TAEL_FORM_NONE) {
            char again[64];
            size_t len = 0;
            for (size_t i = 0; i < d.form.count; i++) {
                const struct tael_form_field *field = &d.form.fields[i];
                if (i > 0)
                    again[len++] = '&';
                len += tael_percent_encode(again + len, field->name.data, field->name.len);
                again[len++] = '=';
                len += tael_percent_encode(again + len, field->value.data, field->value.len);
            }
            struct decoded e = decode(again, len, TAEL_FORM_BYTES);
            stable = stable && e.fault == TAEL_FORM_NONE && e.form.count == d.form.count;
            for (size_t i = 0; stable && i < d.form.count; i++)
                stable = d.form.fields[i].value.len == e.form.fields[i].value.len &&
                         memcmp(d.form.fields[i].value.data, e.form.fields[i].value.data,
                                d.form.fields[i].value.len) == 0;
            done(&e);
        }
        done(&d);
    }
    CHECK(stable);
}

static void percent_encoding_keeps_the_unreserved(void)
{
    char out[64];
    size_t len = tael_percent_encode(out, "aZ09-._~ +/=&%\xe4", 15);
    CHECK(len == 29 && memcmp(out, "aZ09-._~%20%2B%2F%3D%26%25%E4", 29) == 0);
    size_t back = 0;
    CHECK(tael_percent_decode(out, &back, out, len, false) && back == 15);
    CHECK(memcmp(out, "aZ09-._~ +/=&%\xe4", 15) == 0);
    CHECK(tael_percent_decode(out, &back, "a+b", 3, false) && memcmp(out, "a+b", 3) == 0);
    CHECK(tael_percent_decode(out, &back, "a+b", 3, true) && memcmp(out, "a b", 3) == 0);
}

static void every_fault_has_its_words(void)
{
    for (int fault = TAEL_FORM_ESCAPE; fault <= TAEL_FORM_CHARSET; fault++) {
        CHECK(strlen(tael_form_fault_code((enum tael_form_fault)fault)) > 0);
        CHECK(strlen(tael_form_fault_text((enum tael_form_fault)fault)) > 0);
    }
}

int main(void)
{
    fields_come_in_order_and_decoded_once();
    hostile_forms_are_refused();
    limits_are_of_decoded_bytes_and_inclusive();
    bytes_of_gbk_stay_as_they_are();
    short_texts_are_safe_and_stable();
    percent_encoding_keeps_the_unreserved();
    every_fault_has_its_words();
    return tap_end();
}
