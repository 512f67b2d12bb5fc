/* precompiled.c - the code that engine/tool/precompile.c has made, and the searcher that finds it.
 */
#include "script/precompiled.h"

#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "tael_precompiled_by.h"

struct row {
    const char *path; /* under the root; rows rise by it */
    uint64_t print;   /* of the text that it was made from */
    size_t text_len, at, len;
};

static const struct row rows[] = {
#include "tael_precompiled.inc"
};

/* Lua's own; says which release it is. */
extern const char lua_ident[];
static const char made_by[] = TAEL_PRECOMPILED_BY;

extern const char tael_precompiled_code[];
__asm__(".pushsection .rodata\n"
        ".global tael_precompiled_code\n"
        ".hidden tael_precompiled_code\n"
        "tael_precompiled_code:\n"
        ".incbin \"tael_precompiled.bin\"\n"
        ".popsection\n");

static int by_path(const void *path, const void *row)
{
    return strcmp(path, ((const struct row *)row)->path);
}

static const struct row *find_row(const char *path)
{
    return bsearch(path, rows, sizeof(rows) / sizeof(rows[0]), sizeof(rows[0]), by_path);
}

static bool read_exactly(int fd, char *text, size_t len)
{
    size_t got = 0;
    ssize_t n;
    while (got < len && (n = read(fd, text + got, len - got)) > 0)
        got += (size_t)n;
    return got == len;
}

/* Does the file hold the text that the row's code was made from? */
static bool is_same_text(const char *path, const struct row *row)
{
    struct stat about;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool same = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) &&
                (size_t)about.st_size == row->text_len && (text = malloc(row->text_len)) != NULL &&
                read_exactly(fd, text, row->text_len) &&
                tael_precompiled_print((struct tael_span){text, row->text_len}) == row->print;
    free(text);
    if (fd >= 0)
        close(fd);
    return same;
}

/* ---- from the code to a chunk ---- */

struct pieces {
    struct tael_span list[4];
    size_t next;
};

static const char *next_piece(lua_State *L, void *user, size_t *len)
{
    struct pieces *pieces = user;
    (void)L;
    if (pieces->next == sizeof(pieces->list) / sizeof(pieces->list[0]))
        return NULL;
    struct tael_span piece = pieces->list[pieces->next++];
    *len = piece.len;
    return piece.data;
}

/* Lua's form of a string's length: 7 bits a byte, the high ones first, the last byte marked. */
static struct tael_span write_length(char out[10], size_t len)
{
    size_t at = 10;
    out[9] = 0;
    for (len++; at == 10 || len > 0; len >>= 7)
        out[--at] = (char)(len & 0x7f);
    out[9] = (char)((unsigned char)out[9] | 0x80);
    return (struct tael_span){out + at, 10 - at};
}

/* Pushes the chunk; false: nothing pushed, this Lua does not take it. */
static bool push_chunk(lua_State *L, const struct row *row, const char *path)
{
    char length[10];
    const char *code = tael_precompiled_code + row->at;
    const char *name = lua_pushfstring(L, "@%s", path);
    struct pieces pieces = {
        {{code, TAEL_PRECOMPILED_HEAD},
         write_length(length, strlen(name)),
         {name, strlen(name)},
         {code + TAEL_PRECOMPILED_HEAD, row->len - TAEL_PRECOMPILED_HEAD}},
        0,
    };
    int loaded = lua_load(L, next_piece, &pieces, name, "b");
    lua_remove(L, -2);
    if (loaded == LUA_ERRMEM)
        lua_error(L);
    if (loaded != LUA_OK)
        lua_pop(L, 1);
    return loaded == LUA_OK;
}

/* ---- require ---- */

/* The row of a module whose file is the one that Lua itself would find; pushes its path. */
static const struct row *row_of(lua_State *L, const char *module, const char *root)
{
    const char *name = luaL_gsub(L, module, ".", "/");
    const char *file = lua_pushfstring(L, "%s.lua", name);
    const struct row *row = find_row(file);
    const char *path = lua_pushfstring(L, "%s/%s", root, file);
    if (row == NULL && access(path, R_OK) != 0) {
        row = find_row(lua_pushfstring(L, "%s/init.lua", name));
        path = lua_pushfstring(L, "%s/%s/init.lua", root, name);
    }
    return row != NULL && is_same_text(path, row) ? row : NULL;
}

bool tael_precompiled_push(lua_State *L, const char *module, const char *lua_root)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 12, NULL);
    const struct row *row = row_of(L, module, lua_root);
    if (row != NULL && push_chunk(L, row, lua_tostring(L, -1))) {
        lua_rotate(L, top + 1, 1);
        lua_rotate(L, top + 2, 1);
        lua_settop(L, top + 2);
        return true;
    }
    lua_settop(L, top);
    return false;
}

/* Upvalues: the root, Lua's own searcher. */
static int search(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    if (tael_precompiled_push(L, module, lua_tostring(L, lua_upvalueindex(1))))
        return 2;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L) - 1;
}

void tael_precompiled_install(lua_State *L, int searchers, const char *lua_root)
{
    if (lua_root == NULL || strcmp(lua_ident, made_by) != 0)
        return;
    lua_pushstring(L, lua_root);
    lua_rawgeti(L, searchers, 2);
    lua_pushcclosure(L, search, 2);
    lua_rawseti(L, searchers, 2);
}
