/* engine_root.c - where Tael's own Lua lies. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <dlfcn.h>

#include "engine.h"

/* Something of ours that dladdr can find the file of. */
static const char anchor = 0;

/* Where Tael's own Lua lies when nobody says: beside the installed program or library
 * (bin/tael, lib/libtael.so.0, lib/<triplet>/libtael.so.0 -> share/tael/lua), or in the tree that a
 * built one stands in (build/tael, build/san-x/tael -> lua). */
char *tael_engine_find_lua(void)
{
    static const char *const places[] = {"/../share/tael/lua", "/../../share/tael/lua", "/../lua",
                                         "/../../lua"};
    char file[PATH_MAX], path[PATH_MAX + 64], real[PATH_MAX];
    Dl_info info;
    if (dladdr(&anchor, &info) == 0 || info.dli_fname == NULL ||
        (realpath(info.dli_fname, file) == NULL && realpath("/proc/self/exe", file) == NULL))
        return NULL;
    *strrchr(file, '/') = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, sizeof(path), "%s%s/tael/server.lua", file, places[i]);
        if (access(path, R_OK) != 0)
            continue;
        snprintf(path, sizeof(path), "%s%s", file, places[i]);
        return realpath(path, real) != NULL ? strdup(real) : NULL;
    }
    return NULL;
}
