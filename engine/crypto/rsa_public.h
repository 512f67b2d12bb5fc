/* rsa_public.h - whether the public numbers of an RSA key can be a key's. A start reads the keys of
 * every merchant, so this is made to cost less than a signature; OpenSSL's own check
 * (EVP_PKEY_public_check) costs nine.
 */
#ifndef TAEL_CRYPTO_RSA_PUBLIC_H
#define TAEL_CRYPTO_RSA_PUBLIC_H

#include <stdbool.h>

#include <openssl/types.h>

/* False too when memory is short. Refused: an even modulus or exponent, an exponent of 1 or of more
 * than 64 bits (FIPS 186-5 A.1.1 allows 256; none in use has more than 17), a modulus with a factor
 * below 752 (NIST SP 800-89 5.3.3), a prime and the power of a prime. */
bool tael_rsa_public_is_sound(const EVP_PKEY *pair);

#endif
