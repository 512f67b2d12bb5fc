/* key_fuzz.c - keys, certificates and sealed files from bytes nobody has vouched for.
 *
 * The first byte of an input says what it is: a key for signing or verifying, the chain or the key
 * of a TLS server, a file of a key folder. What must hold: no fault of memory; a key that is taken
 * works, and reads again as itself from what it writes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/world.h"
#include "crypto/key.h"
#include "crypto/key_file.h"
#include "net/tls_context.h"
#include "net/world_uv.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_same(const struct tael_key *key, struct tael_span text, enum tael_key_use use)
{
    struct tael_key *again = NULL;
    must(tael_key_parse(&again, text, use, true, NULL) == TAEL_OK);
    must(strcmp(tael_key_id(key), tael_key_id(again)) == 0);
    must(tael_key_bits(key) == tael_key_bits(again));
    tael_key_release(again);
}

static void check_signature(const struct tael_key *key)
{
    unsigned char signature[TAEL_SIGNATURE_MAX];
    size_t len = 0;
    struct tael_span text = tael_span_of("text");
    must(tael_key_sign(key, TAEL_DIGEST_SHA256, text, signature, &len) == TAEL_OK);
    must(len == tael_key_signature_len(key));
    struct tael_span view = {(const char *)signature, len};
    must(tael_key_verify(key, TAEL_DIGEST_SHA256, text, view) == TAEL_OK);
    signature[len / 2] ^= 1;
    must(tael_key_verify(key, TAEL_DIGEST_SHA256, text, view) == TAEL_EINVAL);
}

static void read_key(struct tael_span text, enum tael_key_use use, bool weak)
{
    struct tael_key *key = NULL;
    tael_error err = {0};
    struct tael_buf public_part = {0};
    if (tael_key_parse(&key, text, use, weak, &err) != TAEL_OK) {
        must(err.message[0] != '\0' && key == NULL);
        return;
    }
    must(tael_key_public_pem(key, &public_part) == TAEL_OK);
    check_same(key, (struct tael_span){public_part.data, public_part.len}, TAEL_KEY_VERIFY);
    if (use == TAEL_KEY_SIGN) {
        char *private_part = NULL;
        size_t len = 0;
        must(tael_key_private_pem(key, &private_part, &len) == TAEL_OK);
        check_same(key, (struct tael_span){private_part, len}, TAEL_KEY_SIGN);
        tael_secure_free(private_part, len);
        check_signature(key);
    }
    tael_buf_free(&public_part);
    tael_key_release(key);
}

/* ---- what stands in files ---- */

/* A chain and its key that fit each other: one of the two stands beside what is read. */
static const char good_chain[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBfzCCASSgAwIBAgITUIAyDvOCWw30oPcsE0IsLiuNHjAKBggqhkjOPQQDAjAU\n"
    "MRIwEAYDVQQDDAlmdXp6LnRlc3QwIBcNMjYxMTI4MDY1NDMzWhgPMjEyNjExMDQw\n"
    "NjU0MzNaMBQxEjAQBgNVBAMMCWZ1enoudGVzdDBZMBMGByqGSM49AgEGCCqGSM49\n"
    "AwEHA0IABLzxFM81NIyGZWzcolwp6rHzX897kyOYs/+PP1A/HRO038d6y59nrcE3\n"
    "c0ss9ecobdUBJuuAsYT160IOl6jEXBKjUzBRMB0GA1UdDgQWBBSoEtrK6/HBf2nN\n"
    "oExosqqERpTwUjAfBgNVHSMEGDAWgBSoEtrK6/HBf2nNoExosqqERpTwUjAPBgNV\n"
    "HRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCBa+YeB9Fmpxd9BR+vOEdl\n"
    "yAm2fCWOguKQ1UOwrvx5DQIhANBIZInIVYhB1jxsly+Muei8S+xSMfWyI1MW67kw\n"
    "iSHu\n"
    "-----END CERTIFICATE-----\n";
static const char good_key[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOBSQyKeHgPl3gxuJ\n"
                               "DWnFW9B0WtipF+jG4f3p8vxkNFOhRANCAAS88RTPNTSMhmVs3KJcKeqx81/Pe5Mj\n"
                               "mLP/jz9QPx0TtN/HesufZ63BN3NLLPXnKG3VASbrgLGE9etCDpeoxFwS\n"
                               "-----END PRIVATE KEY-----\n";

static char folder[] = "/tmp/tael-fuzz-XXXXXX";

static void remove_folder(void)
{
    rmdir(folder);
}

static void make_folder(void)
{
    static bool made;
    if (made)
        return;
    must(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    made = true;
}

static void write_file(char path[64], const char *name, struct tael_span text)
{
    make_folder();
    snprintf(path, 64, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    must(file != NULL && fwrite(text.data, 1, text.len, file) == text.len);
    fclose(file);
    must(chmod(path, 0600) == 0);
}

static void read_tls(struct tael_span text, bool is_key)
{
    static struct tael_world *world;
    struct tael_tls_context *context = NULL;
    tael_error err = {0};
    char chain[64], key[64];
    if (world == NULL)
        must(tael_world_uv_new(&world) == TAEL_OK);
    write_file(chain, "chain.pem", is_key ? tael_span_of(good_chain) : text);
    write_file(key, "key.pem", is_key ? text : tael_span_of(good_key));
    if (tael_tls_context_load(&context, world, chain, key, &err) != TAEL_OK)
        must(err.message[0] != '\0' && context == NULL);
    tael_tls_context_release(context);
    unlink(chain);
    unlink(key);
}

static void read_folder(struct tael_span text)
{
    static struct tael_secret *master;
    struct tael_secure_text out = {NULL, 0};
    tael_error err = {0};
    char path[64];
    if (master == NULL)
        must(tael_secret_new(&master, "0123456789abcdef0123456789abcdef", 32) == TAEL_OK);
    write_file(path, "a.key", text);
    tael_status rc = tael_key_file_read(folder, "a.key", master, &out, &err);
    must(rc == TAEL_OK || err.message[0] != '\0');
    tael_secure_text_free(&out);
    unlink(path);
}

#ifndef REPLAY
#include <openssl/rand.h>
#include <sanitizer/lsan_interface.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* OpenSSL's generators lie in memory that LSan does not see: they are made before it counts. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    __lsan_disable();
    must(RAND_get0_public(NULL) != NULL && RAND_get0_private(NULL) != NULL);
    __lsan_enable();
    return 0;
}
#endif

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size < 1)
        return 0;
    struct tael_span text = {(const char *)data + 1, size - 1};
    switch (data[0] % 8) {
    case 0:
    case 1:
    case 2:
    case 3:
        read_key(text, data[0] & 1 ? TAEL_KEY_SIGN : TAEL_KEY_VERIFY, (data[0] & 2) != 0);
        break;
    case 4:
    case 5:
        read_tls(text, data[0] & 1);
        break;
    default:
        read_folder(text);
    }
    return 0;
}
