/* http_curl_library.h - libcurl, loaded when the first call to somebody else is made.
 *
 * It brings thirty libraries of its own (LDAP, Kerberos, a second TLS) that no call of ours uses:
 * linked, they would cost every start and every command some 10 ms and 4 MiB.
 */
#ifndef TAEL_NET_HTTP_CURL_LIBRARY_H
#define TAEL_NET_HTTP_CURL_LIBRARY_H

#include "tael.h"

#include <stdbool.h>

#include <curl/curl.h>

#define TAEL_CURL_FUNCTIONS(X)                                                                     \
    X(version_info)                                                                                \
    X(global_init)                                                                                 \
    X(global_cleanup)                                                                              \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_getinfo)                                                                                \
    X(easy_pause)                                                                                  \
    X(easy_reset)                                                                                  \
    X(easy_cleanup)                                                                                \
    X(multi_init)                                                                                  \
    X(multi_setopt)                                                                                \
    X(multi_add_handle)                                                                            \
    X(multi_remove_handle)                                                                         \
    X(multi_assign)                                                                                \
    X(multi_socket_action)                                                                         \
    X(multi_info_read)                                                                             \
    X(multi_cleanup)                                                                               \
    X(slist_append)                                                                                \
    X(slist_free_all)

/* curl_<name> of libcurl.so.4, each with the type that curl.h gives it */
struct tael_curl_library {
#define TAEL_CURL_MEMBER(name) __typeof__(curl_##name) *name;
    TAEL_CURL_FUNCTIONS(TAEL_CURL_MEMBER)
#undef TAEL_CURL_MEMBER
    bool stalls; /* 7.88 to 8.3: an address that failed does not lead to the next by itself */
};

/* Loads it where nobody has yet, and initialises it; it stays in the process. TAEL_EINTERNAL: it is
 * not there, or is older than 7.85 (why says what, up to why_size bytes); library is all zero then.
 */
tael_status tael_curl_library_open(struct tael_curl_library *library, char *why, size_t why_size);
void tael_curl_library_close(struct tael_curl_library *library); /* all zero: nothing to do */

#endif
