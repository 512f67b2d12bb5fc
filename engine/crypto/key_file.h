/* key_file.h - reading and writing the files of a key folder: modes, owners, sealing, durability.
 *
 * The folder belongs to us and nobody else may enter it; files of secrets have mode 0400 or 0600;
 * public keys may also be readable, never writable, for others. With a master secret new files of
 * secrets are sealed: AES-256-GCM under a key made from the master and the file's name, so that a
 * file cannot stand in for another. Files are written beside, synced and linked into place: never
 * half, never over another.
 */
#ifndef TAEL_CRYPTO_KEY_FILE_H
#define TAEL_CRYPTO_KEY_FILE_H

#include "base/bytes.h"
#include "crypto/secret.h"

enum { TAEL_KEY_PATH_MAX = 1024, TAEL_KEY_FILE_MAX = 32 * 1024 };

/* Which file a text came from; equal ones hold the same text. */
struct tael_file_identity {
    uint64_t device, inode, size;
    int64_t changed_ns;
};

/* Texts in secure memory; {NULL, 0} is none. */
struct tael_secure_text {
    char *data;
    size_t len;
};

void tael_secure_text_free(struct tael_secure_text *text);

/* Codes of err: "not_found", "forbidden" (mode, owner, kind; the path is named), "invalid" (too
 * long, sealed by another master), "out_of_memory". err may be NULL. */
tael_status tael_key_folder_check(const char *folder, tael_error *err); /* and every file in it */
tael_status tael_key_file_identify(const char *folder, const char *name,
                                   struct tael_file_identity *out, tael_error *err);
tael_status tael_key_file_read(const char *folder, const char *name,
                               const struct tael_secret *master, struct tael_secure_text *out,
                               tael_error *err);
/* Code "exists" when there is one already. master NULL: not sealed. */
tael_status tael_key_file_write(const char *folder, const char *name,
                                const struct tael_secret *master, struct tael_span text,
                                tael_error *err);

/* Fills err and returns status; a format is cut to what err holds. */
tael_status tael_key_refuse(tael_error *err, tael_status status, const char *code,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same, of a file that the system refuses. */
tael_status tael_key_refuse_errno(tael_error *err, const char *path, int number);

#endif
