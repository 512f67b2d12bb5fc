/* http_curl_trust.c - the system's certificate authorities, read once for a client.
 *
 * Left to itself libcurl reads all of them for every connection: some 50 ms in which the loop does
 * nothing else. It is told to read none, and gets ours for each connection's context; other ones
 * (a file that a call names) it reads and keeps by itself. Another file in the same place is read
 * when the next connection is made.
 */
#include <string.h>

#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/http_curl.h"

static struct tael_file_identity identify(const char *path)
{
    struct tael_file_identity identity;
    struct stat st;
    memset(&identity, 0, sizeof(identity)); /* compared as bytes */
    if (path != NULL && stat(path, &st) == 0) {
        identity.device = st.st_dev;
        identity.inode = st.st_ino;
        identity.size = (uint64_t)st.st_size;
        identity.changed_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    }
    return identity;
}

/* The flags are those that libcurl sets. */
static CURLcode load(struct tael_curl_trust *trust, const char *file, const char *folder)
{
    X509_STORE *store = X509_STORE_new();
    if (store == NULL)
        return CURLE_OUT_OF_MEMORY;
    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    bool nowhere = file == NULL && folder == NULL; /* a libcurl that leaves it to OpenSSL */
    if ((file != NULL && X509_STORE_load_file(store, file) != 1) ||
        (folder != NULL && X509_STORE_load_path(store, folder) != 1) ||
        (nowhere && X509_STORE_set_default_paths(store) != 1)) {
        X509_STORE_free(store);
        ERR_clear_error();
        return CURLE_SSL_CACERT_BADFILE;
    }
    X509_STORE_free(trust->store);
    trust->store = store;
    return CURLE_OK;
}

CURLcode tael_curl_trust_system(CURL *easy, void *context, void *user)
{
    struct tael_curl_exchange *exchange = user;
    struct tael_curl_trust *trust = &((struct tael_curl_client *)exchange->base.client)->trust;
    const char *file = NULL, *folder = NULL;
    exchange->curl->easy_getinfo(easy, CURLINFO_CAINFO, &file);
    exchange->curl->easy_getinfo(easy, CURLINFO_CAPATH, &folder);
    struct tael_file_identity found = identify(file);
    if (trust->store == NULL || memcmp(&found, &trust->file, sizeof(found)) != 0) {
        CURLcode code = load(trust, file, folder);
        if (code != CURLE_OK) {
            tael_http_exchange_fail(&exchange->base, TAEL_HTTP_TLS, "%s: no authorities in it",
                                    file != NULL     ? file
                                    : folder != NULL ? folder
                                                     : "the system's place");
            return code;
        }
        trust->file = found;
    }
    SSL_CTX_set1_cert_store(context, trust->store);
    return CURLE_OK;
}

void tael_curl_trust_free(struct tael_curl_trust *trust)
{
    X509_STORE_free(trust->store);
    trust->store = NULL;
}
