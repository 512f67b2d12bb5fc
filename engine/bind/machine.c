/* machine.c - tael.machine: what tael doctor looks at outside the engine: files, disk, clock,
 * certificates. Contract: lua/tael/meta/machine.lua.
 *
 * Only looks: opens for reading, changes nothing. A certificate's key is read to be compared and
 * forgotten at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "net/http_client.h"
#include "net/tls_context.h"

static int fail_errno(lua_State *L)
{
    int reason = errno;
    const char *code = reason == ENOENT || reason == ENOTDIR ? "not_found"
                       : reason == EACCES                    ? "forbidden"
                                                             : "unavailable";
    return tael_bind_fail(L, code, strerror(reason));
}

/* machine.file(path) -> {identity=, folder=, mode=, size=, modified=, owned=} | nil, err */
static int machine_file(lua_State *L)
{
    struct stat found;
    tael_refuse_pure(L, "machine.file");
    if (stat(luaL_checkstring(L, 1), &found) != 0)
        return fail_errno(L);
    lua_createtable(L, 0, 6);
    lua_pushfstring(L, "%I:%I", (LUAI_UACINT)found.st_dev, (LUAI_UACINT)found.st_ino);
    lua_setfield(L, -2, "identity");
    lua_pushboolean(L, S_ISDIR(found.st_mode));
    lua_setfield(L, -2, "folder");
    lua_pushboolean(L, found.st_uid == geteuid());
    lua_setfield(L, -2, "owned");
    tael_set_integer(L, "mode", found.st_mode & 07777);
    tael_set_integer(L, "size", found.st_size);
    tael_set_integer(L, "modified", (int64_t)found.st_mtim.tv_sec * 1000);
    return 1;
}

/* machine.is_link(path) -> boolean: is the name a symbolic link, wherever it leads? */
static int machine_is_link(lua_State *L)
{
    struct stat found;
    tael_refuse_pure(L, "machine.is_link");
    lua_pushboolean(L, lstat(luaL_checkstring(L, 1), &found) == 0 && S_ISLNK(found.st_mode));
    return 1;
}

/* machine.space(path) -> {free=, total=} in bytes | nil, err */
static int machine_space(lua_State *L)
{
    struct statvfs found;
    tael_refuse_pure(L, "machine.space");
    if (statvfs(luaL_checkstring(L, 1), &found) != 0)
        return fail_errno(L);
    lua_createtable(L, 0, 2);
    tael_set_integer(L, "free", (int64_t)(found.f_bavail * found.f_frsize));
    tael_set_integer(L, "total", (int64_t)(found.f_blocks * found.f_frsize));
    return 1;
}

/* machine.clock() -> {synchronised=, offset_us=} | nil, err: what the kernel was told by NTP */
static int machine_clock(lua_State *L)
{
    struct timex found = {0};
    tael_refuse_pure(L, "machine.clock");
    int state = adjtimex(&found); /* without modes it only reads */
    if (state < 0)
        return fail_errno(L);
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, state != TIME_ERROR && (found.status & STA_UNSYNC) == 0);
    lua_setfield(L, -2, "synchronised");
    tael_set_integer(L, "offset_us",
                     (found.status & STA_NANO) != 0 ? found.offset / 1000 : found.offset);
    return 1;
}

/* machine.libcurl() -> version | nil, err */
static int machine_libcurl(lua_State *L)
{
    char about[256];
    tael_refuse_pure(L, "machine.libcurl");
    if (tael_http_client_about(about, sizeof(about)) != TAEL_OK)
        return tael_bind_fail(L, "unavailable", about);
    lua_pushstring(L, about);
    return 1;
}

/* ---- certificates ---- */

/* machine.certificate(cert, key) -> {not_before=, not_after=} | nil, err: as a listener loads them
 */
static int machine_certificate(lua_State *L)
{
    struct tael_tls_facts facts;
    tael_error failure = {TAEL_OK, "", ""};
    tael_refuse_pure(L, "machine.certificate");
    const char *path = luaL_checkstring(L, 1), *key_path = luaL_checkstring(L, 2);
    if (tael_tls_context_check(&facts, path, key_path, &failure) != TAEL_OK)
        return tael_bind_fail(L, failure.code, failure.message);
    lua_createtable(L, 0, 2);
    tael_set_integer(L, "not_before", facts.not_before_ms);
    tael_set_integer(L, "not_after", facts.not_after_ms);
    return 1;
}

int tael_open_machine(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"file", machine_file},
        {"is_link", machine_is_link},
        {"space", machine_space},
        {"clock", machine_clock},
        {"libcurl", machine_libcurl},
        {"certificate", machine_certificate},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
