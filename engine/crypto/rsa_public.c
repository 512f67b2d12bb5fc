/* rsa_public.c - see rsa_public.h. */
#include "crypto/rsa_public.h"

#include <stddef.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

enum { SMALL_FACTOR_MAX = 751, EXPONENT_BITS_MAX = 64 };

static bool has_small_factor(const BIGNUM *n)
{
    for (BN_ULONG factor = 3; factor <= SMALL_FACTOR_MAX; factor += 2)
        if (BN_mod_word(n, factor) == 0)
            return true;
    return false;
}

/* x = 2^(n-1) - 1 modulo n is 0 where n is a prime (Fermat), and for n = p^k a multiple of p, as
 * p - 1 divides n - 1: either way it has no inverse. A product of two primes of a key's length has
 * one, unless the order of 2 modulo one divides the other less 1, which does not come by chance. */
static bool is_of_several_primes(const BIGNUM *n, BN_CTX *ctx)
{
    BN_CTX_start(ctx);
    BIGNUM *power = BN_CTX_get(ctx), *x = BN_CTX_get(ctx), *inverse = BN_CTX_get(ctx);
    bool several = inverse != NULL && BN_sub(power, n, BN_value_one()) == 1 &&
                   BN_mod_exp_mont_word(x, 2, power, n, ctx, NULL) == 1 && BN_sub_word(x, 1) == 1 &&
                   !BN_is_zero(x) && BN_mod_inverse(inverse, x, n, ctx) != NULL;
    BN_CTX_end(ctx);
    return several;
}

bool tael_rsa_public_is_sound(const EVP_PKEY *pair)
{
    BIGNUM *n = NULL, *e = NULL;
    BN_CTX *ctx = BN_CTX_new();
    bool sound = ctx != NULL && EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                 EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
                 !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS_MAX && BN_is_odd(n) &&
                 !has_small_factor(n) && is_of_several_primes(n, ctx);
    BN_free(n);
    BN_free(e);
    BN_CTX_free(ctx);
    return sound;
}
