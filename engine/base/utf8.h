/* utf8.h - well-formed sequences of UTF-8 (Unicode, table 3-7). Pure, any thread. */
#ifndef TAEL_BASE_UTF8_H
#define TAEL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the well-formed sequence at `at` that begins with a byte >= 0x80; 0: there is none. */
static inline size_t tael_utf8_length(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
    size_t len;
    if (byte[0] >= 0xc2 && byte[0] <= 0xdf) {
        len = 2;
    } else if (byte[0] >= 0xe0 && byte[0] <= 0xef) {
        len = 3;
        if (byte[0] == 0xe0)
            low = 0xa0; /* overlong */
        else if (byte[0] == 0xed)
            high = 0x9f; /* surrogates */
    } else if (byte[0] >= 0xf0 && byte[0] <= 0xf4) {
        len = 4;
        if (byte[0] == 0xf0)
            low = 0x90; /* overlong */
        else if (byte[0] == 0xf4)
            high = 0x8f; /* above U+10FFFF */
    } else {
        return 0;
    }
    if (left < len || byte[1] < low || byte[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* Is all of it well-formed? */
static inline bool tael_utf8_is(const char *text, size_t text_len)
{
    const char *end = text + text_len;
    while (text < end) {
        size_t len = (unsigned char)*text < 0x80 ? 1 : tael_utf8_length(text, end);
        if (len == 0)
            return false;
        text += len;
    }
    return true;
}

#endif
