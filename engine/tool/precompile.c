/* precompile.c - run by make: compiles Tael's own Lua once, for script/precompiled.c to hold.
 *
 *   precompile CODE ROWS MAKER lua tael/api/init.lua ...
 *
 * CODE gets the code of all files, ROWS a line of C for each: its path, the fingerprint and length
 * of the text it was made from, where its code begins and how long it is; MAKER says which
 * Lua it was. Debug information stays.
 * The name of the file is left out of the code, for its folder is known when it is loaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "script/precompiled.h"

static int append(lua_State *L, const void *data, size_t len, void *user)
{
    (void)L;
    return tael_buf_append(user, data, len) == TAEL_OK ? 0 : 1;
}

static bool read_text(const char *path, struct tael_buf *text)
{
    char piece[4096];
    FILE *file = fopen(path, "re");
    bool good = file != NULL;
    for (size_t len = 1; good && len > 0;) {
        len = fread(piece, 1, sizeof(piece), file);
        good = ferror(file) == 0 && tael_buf_append(text, piece, len) == TAEL_OK;
    }
    if (file != NULL)
        fclose(file);
    return good;
}

extern const char lua_ident[];

/* Which Lua it was. */
static bool write_maker(const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return false;
    fputs("#define TAEL_PRECOMPILED_BY \"", file);
    for (const char *at = lua_ident; *at != '\0'; at++)
        fprintf(file, strchr("\"\\\n", *at) != NULL ? "\\%03o" : "%c", (unsigned char)*at);
    fputs("\"\n", file);
    return fclose(file) == 0;
}

/* Takes the empty name out of what lua_dump has made. */
static bool take_name(struct tael_buf *code)
{
    static const char name[] = {(char)0x82, '='}; /* its length and one, 7 bits a byte */
    char *at = code->data + TAEL_PRECOMPILED_HEAD;
    if (code->len < TAEL_PRECOMPILED_HEAD + sizeof(name) || memcmp(at, name, sizeof(name)) != 0)
        return false;
    code->len -= sizeof(name);
    memmove(at, at + sizeof(name), code->len - TAEL_PRECOMPILED_HEAD);
    return true;
}

static bool compile(lua_State *L, const char *path, const struct tael_buf *text,
                    struct tael_buf *code)
{
    if (luaL_loadbufferx(L, text->data, text->len, "=", "t") != LUA_OK) {
        fprintf(stderr, "precompile: %s%s\n", path, lua_tostring(L, -1));
        return false;
    }
    bool good = lua_dump(L, append, code, 0) == 0 && take_name(code);
    if (!good)
        fprintf(stderr, "precompile: %s: this Lua writes its code in another form\n", path);
    lua_settop(L, 0);
    return good;
}

static bool add(lua_State *L, FILE *codes, FILE *rows, const char *root, const char *name)
{
    static size_t at;
    char path[512];
    struct tael_buf text = {0}, code = {0};
    snprintf(path, sizeof(path), "%s/%s", root, name);
    bool good = read_text(path, &text) && compile(L, path, &text, &code) &&
                fwrite(code.data, 1, code.len, codes) == code.len;
    if (good) {
        uint64_t print = tael_precompiled_print((struct tael_span){text.data, text.len});
        fprintf(rows, "{\"%s\", UINT64_C(%llu), %zu, %zu, %zu},\n", name, (unsigned long long)print,
                text.len, at, code.len);
        at += code.len;
    }
    tael_buf_free(&text);
    tael_buf_free(&code);
    return good;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return EXIT_FAILURE;
    lua_State *L = luaL_newstate();
    FILE *codes = fopen(argv[1], "we"), *rows = fopen(argv[2], "we");
    bool good = L != NULL && codes != NULL && rows != NULL && write_maker(argv[3]);
    for (int i = 5; good && i < argc; i++)
        good = add(L, codes, rows, argv[4], argv[i]);
    if (codes != NULL && fclose(codes) != 0)
        good = false;
    if (rows != NULL && fclose(rows) != 0)
        good = false;
    if (L != NULL)
        lua_close(L);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
