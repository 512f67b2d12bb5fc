/* http_curl_library.c - finds libcurl's functions by name.
 *
 * Nothing of ours is global: every client has its own table. The loader counts who has opened the
 * library, and libcurl (>= 7.84) who has initialised it, both under locks of their own.
 */
#include "net/http_curl_library.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <dlfcn.h>

/* That of the header which this was compiled with: another one has another ABI. */
#define SONAME "libcurl.so.4"

static const struct {
    const char *name;
    size_t at;
} functions[] = {
#define ROW(name) {"curl_" #name, offsetof(struct tael_curl_library, name)},
    TAEL_CURL_FUNCTIONS(ROW)
#undef ROW
};

enum {
    OLDEST = 0x075500, /* 7.85: CURLOPT_PROTOCOLS_STR */
    STALLS_FROM = 0x075800,
    STALLS_UNTIL = 0x080400, /* curl's commit 01d8473b */
};

static bool find_all(struct tael_curl_library *library, void *handle)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *found = dlsym(handle, functions[i].name);
        if (found == NULL)
            return false;
        memcpy((char *)library + functions[i].at, &found, sizeof(found));
    }
    return true;
}

static bool is_new_enough(const struct tael_curl_library *library)
{
    const curl_version_info_data *version = library->version_info(CURLVERSION_NOW);
    return version->version_num >= OLDEST && (version->features & CURL_VERSION_THREADSAFE) != 0;
}

tael_status tael_curl_library_open(struct tael_curl_library *library, char *why, size_t why_size)
{
    /* never unloaded: its own libraries keep threads' data and exit handlers */
    void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    tael_status status = TAEL_EINTERNAL;
    if (handle == NULL || !find_all(library, handle)) {
        const char *said = dlerror();
        snprintf(why, why_size, "%s", said != NULL ? said : SONAME " cannot be loaded");
    } else if (!is_new_enough(library)) {
        snprintf(why, why_size, SONAME " is %s: 7.85 or newer is needed, built to be thread-safe",
                 library->version_info(CURLVERSION_NOW)->version);
    } else if (library->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        snprintf(why, why_size, SONAME " cannot be initialised");
    } else {
        unsigned version = library->version_info(CURLVERSION_NOW)->version_num;
        library->stalls = version >= STALLS_FROM && version < STALLS_UNTIL;
        status = TAEL_OK;
    }
    if (handle != NULL)
        dlclose(handle);
    if (status != TAEL_OK)
        memset(library, 0, sizeof(*library));
    return status;
}

void tael_curl_library_close(struct tael_curl_library *library)
{
    if (library->global_cleanup != NULL)
        library->global_cleanup();
}
