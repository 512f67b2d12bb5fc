/* codec.c - texts for bytes. No state, no memory of its own. */
#include "crypto/codec.h"

#include <string.h>

#include "base/form.h"

/* ---- base64 (RFC 4648 §4, §5) ---- */

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode(char *out, const unsigned char *in, size_t len, const char *alphabet, bool pad)
{
    size_t n = 0;
    uint32_t window = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        window = (window << 8 | in[i]) & 0xFFFFu;
        for (bits += 8; bits >= 6;) {
            bits -= 6;
            out[n++] = alphabet[window >> bits & 63];
        }
    }
    if (bits > 0)
        out[n++] = alphabet[window << (6 - bits) & 63];
    while (pad && n % 4 != 0)
        out[n++] = '=';
    return n;
}

static int value_of(char c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : -1;
}

static bool decode(unsigned char *out, size_t *out_len, const char *text, size_t len,
                   const char *alphabet)
{
    size_t n = 0;
    uint32_t window = 0;
    unsigned bits = 0;
    if (len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i], alphabet);
        if (value < 0)
            return false;
        window = (window << 6 | (uint32_t)value) & 0x3FFFu;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (unsigned char)(window >> bits & 255);
        }
    }
    *out_len = n;
    return (window & ((1u << bits) - 1)) == 0;
}

size_t tael_base64_encode(char *out, const void *data, size_t len)
{
    return encode(out, data, len, standard, true);
}

bool tael_base64_decode(void *out, size_t *out_len, const char *text, size_t len)
{
    if (len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && len > 0 && text[len - 1] == '='; i++)
        len--;
    return decode(out, out_len, text, len, standard);
}

size_t tael_base64url_encode(char *out, const void *data, size_t len)
{
    return encode(out, data, len, url_safe, false);
}

bool tael_base64url_decode(void *out, size_t *out_len, const char *text, size_t len)
{
    return decode(out, out_len, text, len, url_safe);
}

/* ---- hexadecimal ---- */

size_t tael_hex_encode(char *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    return 2 * len;
}

bool tael_hex_decode(void *out, const char *text, size_t len)
{
    unsigned char *bytes = out;
    if (len % 2 != 0)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = tael_hex_value(text[i]);
        int low = tael_hex_value(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2] = (unsigned char)(high * 16 + low);
    }
    return true;
}

/* ---- base32 (Crockford) ---- */

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void tael_base32_encode(char out[TAEL_BASE32_LEN], const unsigned char data[16])
{
    uint32_t window = 0;
    unsigned bits = 2; /* the zero bits in front */
    size_t n = 0;
    for (size_t i = 0; i < 16; i++) {
        window = (window << 8 | data[i]) & 0xFFFFu;
        for (bits += 8; bits >= 5;) {
            bits -= 5;
            out[n++] = crockford[window >> bits & 31];
        }
    }
}

bool tael_base32_decode(unsigned char out[16], const char *text, size_t len)
{
    uint32_t window = 0;
    unsigned bits = 0;
    size_t n = 0;
    if (len != TAEL_BASE32_LEN || text[0] < '0' || text[0] > '7')
        return false;
    for (size_t i = 0; i < len; i++) {
        const char *hit = text[i] != '\0' ? strchr(crockford, text[i]) : NULL;
        if (hit == NULL)
            return false;
        window = (window << 5 | (uint32_t)(hit - crockford)) & 0xFFFu;
        bits += i == 0 ? 3 : 5;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (unsigned char)(window >> bits & 255);
        }
    }
    return true;
}

/* ---- CRC-32 ---- */

uint32_t tael_crc32(const void *data, size_t len)
{
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
                                       0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                       0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    const unsigned char *in = data;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < len; i++) {
        crc ^= in[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}
