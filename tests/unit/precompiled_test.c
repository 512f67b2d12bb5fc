/* precompiled_test.c - the code that was made when the program was built: used while the file holds
 * the text it was made from, and only then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "script/precompiled.h"
#include "tap.h"

static const char module[] = "tael.nearest", folder[] = "lua";

static char *text_of(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    char *text = malloc(65536);
    if (file == NULL || text == NULL)
        abort();
    *len = fread(text, 1, 65535, file);
    text[*len] = '\0';
    fclose(file);
    return text;
}

static void write_text(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "we");
    if (file == NULL || fwrite(text, 1, len, file) != len || fclose(file) != 0)
        abort();
}

/* What the chunk on top says of itself; pops it. */
static bool is_from(lua_State *L, const char *path)
{
    lua_Debug about;
    lua_getinfo(L, ">SL", &about);
    lua_pushnil(L);
    bool has_lines = lua_istable(L, -2) && lua_next(L, -2) != 0;
    lua_settop(L, 0);
    return has_lines && about.source[0] == '@' && strcmp(about.source + 1, path) == 0 &&
           strcmp(about.what, "main") == 0;
}

static void the_tree_has_code(lua_State *L)
{
    CHECK(tael_precompiled_push(L, module, folder) && lua_gettop(L) == 2);
    CHECK(strcmp(lua_tostring(L, 2), "lua/tael/nearest.lua") == 0);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    CHECK(lua_pcall(L, 0, 1, 0) == LUA_OK && !lua_isnil(L, -1));
    lua_settop(L, 1);
    CHECK(is_from(L, "lua/tael/nearest.lua"));
    CHECK(tael_precompiled_push(L, "tael.api", folder) &&
          strcmp(lua_tostring(L, 2), "lua/tael/api/init.lua") == 0);
    lua_settop(L, 0);
    CHECK(!tael_precompiled_push(L, "tael.none", folder) && lua_gettop(L) == 0);
    CHECK(!tael_precompiled_push(L, module, "/nowhere") && lua_gettop(L) == 0);
}

/* A long path takes two bytes for its length. */
static void code_is_as_new_as_the_file(lua_State *L)
{
    char root[160] = "/tmp/tael-precompiled-", below[200], path[240];
    size_t len, used = strlen(root);
    memset(root + used, 'x', 120);
    memcpy(root + used + 120, "-XXXXXX", sizeof("-XXXXXX"));
    if (mkdtemp(root) == NULL)
        abort();
    snprintf(below, sizeof(below), "%s/tael", root);
    snprintf(path, sizeof(path), "%s/tael/nearest.lua", root);
    mkdir(below, 0700);
    char *text = text_of("lua/tael/nearest.lua", &len);
    write_text(path, text, len);
    CHECK(tael_precompiled_push(L, module, root) && strcmp(lua_tostring(L, 2), path) == 0);
    lua_settop(L, 1);
    CHECK(is_from(L, path));
    write_text(path, text, len - 1);
    CHECK_NAMED(!tael_precompiled_push(L, module, root), "a file that became shorter");
    text[len] = '\n';
    write_text(path, text, len + 1);
    CHECK_NAMED(!tael_precompiled_push(L, module, root), "a file that became longer");
    text[len / 2] ^= 1;
    write_text(path, text, len);
    CHECK_NAMED(!tael_precompiled_push(L, module, root), "a file of the same length");
    free(text);
    unlink(path);
    rmdir(below);
    rmdir(root);
}

static void require_sees_what_was_changed(lua_State *L)
{
    char root[] = "/tmp/tael-precompiled-XXXXXX", below[64], path[80];
    if (mkdtemp(root) == NULL)
        abort();
    snprintf(below, sizeof(below), "%s/tael", root);
    snprintf(path, sizeof(path), "%s/tael/nearest.lua", root);
    mkdir(below, 0700);
    write_text(path, "return 'changed'", 16);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/?.lua", root);
    lua_setfield(L, 1, "path");
    lua_getfield(L, 1, "searchers");
    tael_precompiled_install(L, 2, root);
    lua_settop(L, 0);
    CHECK(luaL_dostring(L, "return (require 'tael.nearest')") == LUA_OK &&
          strcmp(lua_tostring(L, -1), "changed") == 0);
    CHECK(luaL_dostring(L, "return require 'tael.none'") != LUA_OK &&
          strstr(lua_tostring(L, -1), "tael/none.lua") != NULL);
    lua_settop(L, 0);
    unlink(path);
    rmdir(below);
    rmdir(root);
}

int main(void)
{
    lua_State *L = luaL_newstate();
    if (L == NULL)
        abort();
    the_tree_has_code(L);
    code_is_as_new_as_the_file(L);
    require_sees_what_was_changed(L);
    lua_close(L);
    return tap_end();
}
