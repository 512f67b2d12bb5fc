/* keyring.h - the key folder: named keys and secrets.
 *
 * Files: <name>.key (private), <name>.pub (public), <name>.secret (base64 of random bytes); name:
 * a letter or digit, then letters, digits, '-', '_', '.', at most 64. A key that was read is kept
 * and handed out again as long as its file is the same.
 * A ring is counted and may be used from any thread, and so may what it hands out.
 */
#ifndef TAEL_CRYPTO_KEYRING_H
#define TAEL_CRYPTO_KEYRING_H

#include "crypto/key.h"
#include "crypto/secret.h"

struct tael_keyring;

enum tael_key_kind { TAEL_KIND_KEY, TAEL_KIND_PUB, TAEL_KIND_SECRET };

/* Checks folder and files (key_file.h). master is held; NULL: nothing sealed can be read and new
 * files are not sealed. */
tael_status tael_keyring_open(struct tael_keyring **out, const char *folder,
                              struct tael_secret *master, tael_error *err);
void tael_keyring_release(struct tael_keyring *ring); /* NULL allowed */
const char *tael_keyring_folder(const struct tael_keyring *ring);

/* Codes of err: those of key_file.h, "invalid" also for names and for what is no key. */
tael_status tael_keyring_key(struct tael_keyring *ring, const char *name, enum tael_key_use use,
                             bool weak, struct tael_key **out, tael_error *err);
tael_status tael_keyring_secret(struct tael_keyring *ring, const char *name,
                                struct tael_secret **out, tael_error *err);
bool tael_keyring_exists(const struct tael_keyring *ring, const char *name,
                         enum tael_key_kind kind);

/* Code "exists": nothing was written. */
tael_status tael_keyring_add_key(struct tael_keyring *ring, const char *name, int bits,
                                 tael_error *err);
/* <name>.pub of the private key, where a crash has left it out. */
tael_status tael_keyring_add_public(struct tael_keyring *ring, const char *name, tael_error *err);
tael_status tael_keyring_add_secret(struct tael_keyring *ring, const char *name,
                                    struct tael_span bytes, tael_error *err);

/* ---- one for all states of an engine: what the first has read the others find read ---- */

struct tael_shared_keyring;

tael_status tael_shared_keyring_new(struct tael_shared_keyring **out);
void tael_shared_keyring_free(struct tael_shared_keyring *shared); /* NULL allowed */
/* The ring that is open already, held for the caller, where it is of that folder; else one of its
 * own, with which the sharing begins if there was none. Any thread. */
tael_status tael_shared_keyring_open(struct tael_shared_keyring *shared, struct tael_keyring **out,
                                     const char *folder, struct tael_secret *master,
                                     tael_error *err);

#endif
