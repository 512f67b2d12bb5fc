/* codec_test.c - texts for bytes: published values, and one text only for each value. */
#include <string.h>

#include "crypto/codec.h"
#include "tap.h"

static void base64_agrees_with_rfc_4648(void)
{
    static const struct {
        const char *bytes, *text, *url;
    } rows[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/", "-_-_"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[64], bytes[64];
        size_t len = strlen(rows[i].bytes), back = 99;
        size_t n = tael_base64_encode(text, rows[i].bytes, len);
        CHECK(n == strlen(rows[i].text) && memcmp(text, rows[i].text, n) == 0);
        CHECK(n <= tael_base64_room(len));
        CHECK(tael_base64_decode(bytes, &back, rows[i].text, n) && back == len);
        CHECK(memcmp(bytes, rows[i].bytes, len) == 0);
        n = tael_base64url_encode(text, rows[i].bytes, len);
        CHECK(n == strlen(rows[i].url) && memcmp(text, rows[i].url, n) == 0);
        CHECK(tael_base64url_decode(bytes, &back, rows[i].url, n) && back == len);
        CHECK(memcmp(bytes, rows[i].bytes, len) == 0);
    }
}

static void base64_refuses_all_other_texts(void)
{
    static const char *const texts[] = {
        "Zg",    "Zg=",     "Zg===",      "=",        "==",   "====",  "Z===",
        "Zm9v=", "Zm9vYg",  "Zh==",       "Zm9=",     "Zm8",  "Zm 8=", " Zm8=",
        "Zm8= ", "Zm-_",    "Zg==Zg==",   "Z=m8",     "=Zm8", "Zm8*",  "Zm9vYg=",
        "A",     "Zm9vYmF", "\xc3\xa9==", "Zm8=Zm8=", "Zg=A",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unsigned char bytes[64];
        size_t len = 0;
        CHECK_NAMED(!tael_base64_decode(bytes, &len, texts[i], strlen(texts[i])), texts[i]);
    }
    static const char *const url_texts[] = {"Zg==", "Zh", "Zm9", "Z", "Zm8=", "Zm 8", "+/+/"};
    for (size_t i = 0; i < sizeof(url_texts) / sizeof(url_texts[0]); i++) {
        unsigned char bytes[64];
        size_t len = 0;
        CHECK_NAMED(!tael_base64url_decode(bytes, &len, url_texts[i], strlen(url_texts[i])),
                    url_texts[i]);
    }
    unsigned char bytes[8];
    size_t len = 0;
    CHECK(!tael_base64_decode(bytes, &len, "Zg==\n", 5));
    CHECK(!tael_base64_decode(bytes, &len, "Zm9vYg=\n", 8));
    CHECK(!tael_base64_decode(bytes, &len, "Zm\0v", 4)); /* a NUL is a foreign character */
}

static void base64_returns_every_length(void)
{
    unsigned char in[256], out[300];
    char text[400];
    bool same = true;
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (unsigned char)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof(in); len++) {
        size_t back = 0;
        size_t n = tael_base64_encode(text, in, len);
        same = same && n % 4 == 0 && tael_base64_decode(out, &back, text, n) && back == len &&
               memcmp(in, out, len) == 0 && back <= tael_base64_bytes_room(n);
    }
    CHECK(same);
}

static void base64_decodes_in_place(void)
{
    char text[] = "dGhlIHNhbWUgbWVtb3J5";
    size_t len = 0;
    CHECK(tael_base64_decode(text, &len, text, strlen(text)));
    CHECK(len == 15 && memcmp(text, "the same memory", 15) == 0);
}

static void hex_is_lower_case_and_reads_both(void)
{
    char text[8];
    unsigned char bytes[4];
    CHECK(tael_hex_encode(text, "\x00\xff\x1a", 3) == 6 && memcmp(text, "00ff1a", 6) == 0);
    CHECK(tael_hex_decode(bytes, "00Ff1A", 6) && memcmp(bytes, "\x00\xff\x1a", 3) == 0);
    CHECK(!tael_hex_decode(bytes, "0", 1));
    CHECK(!tael_hex_decode(bytes, "0g", 2));
    CHECK(!tael_hex_decode(bytes, "0x", 2));
    CHECK(!tael_hex_decode(bytes, " 0", 2));
    CHECK(tael_hex_decode(bytes, "", 0));
}

static void base32_returns_128_bits(void)
{
    unsigned char in[16], out[16];
    char text[TAEL_BASE32_LEN];
    memset(in, 0xFF, sizeof(in));
    tael_base32_encode(text, in);
    CHECK(memcmp(text, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 26) == 0);
    memset(in, 0, sizeof(in));
    in[15] = 33;
    tael_base32_encode(text, in);
    CHECK(memcmp(text, "00000000000000000000000011", 26) == 0);
    bool same = true;
    for (unsigned bit = 0; bit < 128; bit++) {
        memset(in, 0, sizeof(in));
        in[bit / 8] = (unsigned char)(1u << bit % 8);
        tael_base32_encode(text, in);
        same = same && tael_base32_decode(out, text, sizeof(text)) && memcmp(in, out, 16) == 0;
    }
    CHECK(same);
}

static void base32_has_one_text_for_a_value(void)
{
    static const char *const texts[] = {
        "80000000000000000000000000", "0000000000000000000000000",  "000000000000000000000000000",
        "0000000000000000000000000a", "0000000000000000000000000I", "0000000000000000000000000L",
        "0000000000000000000000000O", "0000000000000000000000000U", "00000000-0000000000000000",
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    };
    unsigned char out[16];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CHECK_NAMED(!tael_base32_decode(out, texts[i], strlen(texts[i])), texts[i]);
    CHECK(!tael_base32_decode(out, "0000000000000000000000000\0", 26));
    CHECK(!tael_base32_decode(out, "", 0));
}

static void crc32_has_its_check_value(void)
{
    CHECK(tael_crc32("123456789", 9) == 0xCBF43926u);
    CHECK(tael_crc32("", 0) == 0);
    CHECK(tael_crc32("\0\0\0\0", 4) == 0x2144DF1Cu);
}

int main(void)
{
    base64_agrees_with_rfc_4648();
    base64_refuses_all_other_texts();
    base64_returns_every_length();
    base64_decodes_in_place();
    hex_is_lower_case_and_reads_both();
    base32_returns_128_bits();
    base32_has_one_text_for_a_value();
    crc32_has_its_check_value();
    return tap_end();
}
