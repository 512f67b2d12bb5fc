/* http_client_library_test.c - libcurl is loaded with the first call; where it is not, or is
 * something else, calls say so, and go out as soon as it is there. */
#include <link.h>

#include "client_place.h"
#include "tap.h"

static const char *instead; /* of libcurl, by the next dlopen; NULL: itself */

/* Stands before the system's for the client. */
void *dlopen(const char *name, int flags)
{
    static void *(*real)(const char *name, int flags);
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "dlopen");
        memcpy(&real, &found, sizeof(found));
    }
    bool replaced = instead != NULL && name != NULL && strncmp(name, "libcurl", 7) == 0;
    return real(replaced ? instead : name, flags);
}

static int count_curl(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size;
    if (strstr(info->dlpi_name, "libcurl.so") != NULL)
        *(bool *)user = true;
    return 0;
}

static bool curl_is_loaded(void)
{
    bool loaded = false;
    dl_iterate_phdr(count_curl, &loaded);
    return loaded;
}

static bool fails(struct place *place, const char *part)
{
    struct call *call = place_perform(place, "GET", "/a", NULL);
    return call->done == 1 && call->result.failure == TAEL_HTTP_CONNECT && !call->result.sent &&
           strstr(call->detail, part) != NULL;
}

int main(void)
{
    struct place place;
    place_open(&place, false);
    instead = "libcurl-of-another-name.so.4";
    CHECK(fails(&place, "libcurl-of-another-name.so.4: cannot open shared object file"));
    instead = "libm.so.6";
    CHECK(fails(&place, "curl_version_info"));
    CHECK(!curl_is_loaded()); /* not by a start either */
    instead = NULL;
    CHECK(place_perform(&place, "GET", "/a", NULL)->result.status == 200); /* the same group */
    CHECK(curl_is_loaded());
    struct tael_http_client_options options = {.allow_private = true};
    struct tael_http_client *first = place.client;
    CHECK(tael_http_client_new(&place.client, place.loop, &options) == TAEL_OK);
    CHECK(place_perform(&place, "GET", "/a", NULL)->result.status == 200);
    tael_http_client_free(place.client);
    place.client = first;
    CHECK(place_perform(&place, "GET", "/b", NULL)->result.status == 200); /* that one's goes on */
    place_close(&place);
    return tap_end();
}
