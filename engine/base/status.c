/* status.c - names and texts of tael_status, the version, and tael_free.
 * Nothing here has state; everything may be called from any thread.
 */
#include "tael.h"

#include <stdlib.h>

#include "tael_version.h"

int tael_version_number(void)
{
    return TAEL_VERSION_NUMBER;
}

const char *tael_version(void)
{
    return TAEL_VERSION;
}

const char *tael_status_name(tael_status status)
{
    switch (status) {
#define STATUS_NAME(name, value, text)                                                             \
    case TAEL_##name:                                                                              \
        return "TAEL_" #name;
        TAEL_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    }
    return "TAEL_UNKNOWN"; /* a number from outside the list */
}

const char *tael_status_text(tael_status status)
{
    switch (status) {
#define STATUS_TEXT(name, value, text)                                                             \
    case TAEL_##name:                                                                              \
        return text;
        TAEL_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

void tael_free(void *memory)
{
    free(memory);
}
