/* codec.h - base64, base64url, hexadecimal, Crockford's base32 and CRC-32. Pure, any thread.
 *
 * Decoders are strict: one text for one value. Blanks, line breaks, missing or superfluous padding,
 * foreign characters and unused bits that are not zero are refused. Outputs have no NUL.
 */
#ifndef TAEL_CRYPTO_CODEC_H
#define TAEL_CRYPTO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t tael_base64_room(size_t len) /* enough for the text of len bytes */
{
    return (len / 3 + 1) * 4;
}

static inline size_t tael_base64_bytes_room(size_t len) /* enough for the bytes of len characters */
{
    return len / 4 * 3 + 3;
}

size_t tael_base64_encode(char *out, const void *data, size_t len);
bool tael_base64_decode(void *out, size_t *out_len, const char *text, size_t len);
size_t tael_base64url_encode(char *out, const void *data, size_t len); /* without padding */
bool tael_base64url_decode(void *out, size_t *out_len, const char *text, size_t len);

size_t tael_hex_encode(char *out, const void *data, size_t len); /* lower case, room for 2 * len */
bool tael_hex_decode(void *out, const char *text, size_t len);   /* room for len / 2; either case */

enum { TAEL_BASE32_LEN = 26 }; /* characters for 128 bits, upper case, two zero bits in front */
void tael_base32_encode(char out[TAEL_BASE32_LEN], const unsigned char data[16]);
bool tael_base32_decode(unsigned char out[16], const char *text, size_t len); /* upper case only */

uint32_t tael_crc32(const void *data, size_t len); /* ISO 3309, as in gzip and PNG */

#endif
