/* tls_files.h - a certificate chain and its private key as files.
 *
 * The key's file follows the rules of key folders (crypto/key_file.h): ours or root's, mode 0600 or
 * 0400. The chain may be read by everybody and written by its owner alone. What is checked is the
 * open file. Blocking calls. Messages name the file and say what to do.
 */
#ifndef TAEL_NET_TLS_FILES_H
#define TAEL_NET_TLS_FILES_H

#include "base/bytes.h"
#include "crypto/key_file.h"

enum { TAEL_TLS_CHAIN_MAX = 256 * 1024 };

/* Codes of err: "not_found", "forbidden", "invalid", "out_of_memory". err may be NULL. */
tael_status tael_tls_key_check(const char *path, tael_error *err); /* its file alone */
tael_status tael_tls_key_read(const char *path, struct tael_secure_text *out, tael_error *err);
tael_status tael_tls_chain_read(const char *path, struct tael_buf *out, tael_error *err);

/* Which files lie there now, to see that they have changed; false: not both are there. */
bool tael_tls_files_identify(const char *chain, const char *key, struct tael_file_identity out[2]);

#endif
