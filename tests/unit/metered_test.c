/* metered_test.c - what is written into the texts of scripts: where, how much it says, and that it
 * changes nothing else. That nothing goes on uncounted is tests/unit/hostile/'s to show. */
#include <stdio.h>
#include <stdlib.h>

#include <ftw.h>
#include <lauxlib.h>

#include "script/metered.h"
#include "tap.h"

#define MANY "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24"

/* The weights of a text's ticks, "a b c"; what is not good Lua gives NULL. */
static const char *weights_of(const char *text)
{
    static char list[256];
    struct tael_buf out = {.max = 1 << 20};
    int line = 0;
    list[0] = '\0';
    if (tael_metered_write(&out, tael_span_of(text), &line) != TAEL_OK ||
        tael_buf_append_char(&out, '\0') != TAEL_OK) {
        tael_buf_free(&out);
        return NULL;
    }
    for (const char *at = out.data; (at = strstr(at, "__left=__left-")) != NULL;) {
        at += strlen("__left=__left-");
        size_t len = strlen(list);
        snprintf(list + len, sizeof(list) - len, "%s%ld", len > 0 ? " " : "", strtol(at, NULL, 10));
    }
    tael_buf_free(&out);
    return list;
}

static void bodies_have_ticks(void)
{
    static const struct {
        const char *text, *weights; /* the first is the chunk's; NULL: refused */
    } cases[] = {
        {"", "3"},
        {"local x = a + b", "4"},
        {"while a do b() end", "3 4"},
        {"for i = 1, 2 do end", "4 4"},
        {"for k, v in pairs(t) do end", "4 4"},
        {"repeat a() until b", "3 4"},
        {"repeat until a b = c + d + e", "3 5"},
        {"repeat until a; b = c + d + e", "5 3"},
        {"repeat until a local b = c + d", "4 3"},
        {"if a then b() else c() end", "4"},
        {"do a() end", "3"},
        {"function f(a) return a + 1 end", "3 7"},
        {"local function f(...) end", "3 6"},
        {"function a.b:c() end", "3 7"},
        {"f(function() g() end)", "3 6"},
        {"for i = 1, 2 do for j = 1, 2 do a() end end", "4 5 4"},
        {"while (function() return a end)() do b() end", "3 5 4"},
        {"::a:: b() goto a", "3 3"},
        {"goto a b() ::a::", "3"},
        {"do ::a:: end goto a ::a::", "3"},
        {"::a:: local function f() goto a end", "3 5"},
        {"while a do goto continue b() ::continue:: end", "3 4"},
        {"local s = 'while true do end' -- for i = 1, 2 do", "3"},
        {"local s = [==[ repeat ]] ]==] --[[ function() ]]", "3"},
        {"if a then b(" MANY ") end", "3 11"},
        {"if a then b() else b(" MANY ") end", "4 11"},
        {"if a then b(" MANY ") elseif c then b(" MANY ") else b() end", "4 11 11"},
        {"if a then return 1 end b(" MANY ")", "3 11"},
        {"if a then b() end b(" MANY ")", "12"},
        {"for i = 1, 2 do if a then break end b(" MANY ") end", "4 4 11"},
        {"function f(a) if a then return 1 end b(" MANY ") end", "3 6 11"},
        {"local __left", NULL},
        {"end", NULL},
        {"do", NULL},
        {"while a end", NULL},
        {"local s = 'a", NULL},
        {"goto 1", NULL},
        {"::a:", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *weights = weights_of(cases[i].text), *wanted = cases[i].weights;
        bool same =
            weights == NULL || wanted == NULL ? weights == wanted : strcmp(weights, wanted) == 0;
        if (!same)
            printf("# %s\n", weights != NULL ? weights : "refused");
        CHECK_NAMED(same, cases[i].text);
    }
}

static void much_at_once_asks_for_looks(void)
{
    for (int count = 700; count <= 800; count += 100) {
        struct tael_buf text = {.max = 1 << 20}, out = {.max = 1 << 20};
        int line = 0;
        for (int i = 0; i < count; i++)
            tael_buf_append_text(&text, "a=1 ");
        tael_buf_append_text(&text, "while b do c() end");
        CHECK(tael_metered_write(&out, (struct tael_span){text.data, text.len}, &line) == TAEL_OK &&
              tael_buf_append_char(&out, '\0') == TAEL_OK);
        CHECK((strstr(out.data, "<9999999 then __spent(1)") != NULL) == (count * 2 > 1500));
        CHECK(strstr(out.data, "<0000000 then __spent(0)") != NULL); /* the loop does not */
        tael_buf_free(&text);
        tael_buf_free(&out);
    }
}

static void a_name_is_refused_with_its_line(void)
{
    struct tael_buf out = {.max = 1 << 20};
    int line = 0;
    CHECK(tael_metered_write(&out, tael_span_of("local a\nlocal b\nlocal __spent"), &line) ==
          TAEL_EINVAL);
    CHECK(line == 3);
    line = 7;
    CHECK(tael_metered_write(&out, tael_span_of("while"), &line) == TAEL_EINVAL && line == 0);
    tael_buf_free(&out);
}

static void a_full_buffer_is_an_error(void)
{
    int line;
    for (size_t max = 1; max < 60; max++) {
        struct tael_buf out = {.max = max};
        if (tael_metered_write(&out, tael_span_of("for i = 1, 2 do end"), &line) != TAEL_ELIMIT)
            CHECK_NAMED(false, "a text without room");
        tael_buf_free(&out);
    }
    CHECK(true);
}

/* ---- every file of the tree stays the program it is ---- */

static lua_State *L;
static int files, changed;

static bool compiles(const char *text, size_t len)
{
    bool good = luaL_loadbufferx(L, text, len, "=text", "t") == LUA_OK;
    lua_settop(L, 0);
    return good;
}

static size_t lines_of(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += text[i] == '\n';
    return count;
}

static int look(const char *path, const struct stat *about, int type, struct FTW *at)
{
    static char text[1 << 18];
    struct tael_buf out = {.max = SIZE_MAX};
    const char *dot = strrchr(path, '.');
    int line;
    (void)at, (void)about;
    if (type != FTW_F || dot == NULL || strcmp(dot, ".lua") != 0)
        return 0;
    FILE *file = fopen(path, "re");
    size_t len = file != NULL ? fread(text, 1, sizeof(text), file) : 0;
    if (file != NULL)
        fclose(file);
    if (!compiles(text, len))
        return 0; /* tests have some that are broken */
    files++;
    bool same = tael_metered_write(&out, (struct tael_span){text, len}, &line) == TAEL_OK &&
                compiles(out.data, out.len) &&
                lines_of(out.data, out.len) == lines_of(text, len) + 1;
    if (!same)
        printf("# %s\n", path);
    changed += !same;
    tael_buf_free(&out);
    return 0;
}

int main(void)
{
    static const char *const folders[] = {"lua", "scripts", "tests", "examples"};
    bodies_have_ticks();
    much_at_once_asks_for_looks();
    a_name_is_refused_with_its_line();
    a_full_buffer_is_an_error();
    L = luaL_newstate();
    for (size_t i = 0; L != NULL && i < sizeof(folders) / sizeof(folders[0]); i++)
        nftw(folders[i], look, 16, FTW_PHYS);
    CHECK(files > 200 && changed == 0);
    lua_close(L);
    return tap_end();
}
