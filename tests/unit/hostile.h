/* hostile.h - the scripts of strangers that isolates and processes have to stand: those of
 * tests/unit/hostile/, and texts of many pieces. Included by a test program's one file.
 *
 * A case is what follows "--# OUTCOME…: name". It is module "case" of a generation whose rule f
 * requires it. DONE is only good when the script gives back nothing: one that has found a hole says
 * which, and f gives that back.
 */
#ifndef TAEL_TESTS_HOSTILE_H
#define TAEL_TESTS_HOSTILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/ask.h"

enum { HOSTILE_MAX = 512, HOSTILE_FILES = 7 };

#define HOSTILE(state)  (1u << (state))
#define HOSTILE_REFUSED (1u << (TAEL_ASK_CRASHED + 1)) /* RAISED, before any of it was run */
#define HOSTILE_ANY     (HOSTILE_REFUSED | HOSTILE(TAEL_ASK_RAISED))

struct hostile {
    const char *name;
    struct tael_span text;
    unsigned expected; /* HOSTILE() of its ends */
};

static struct hostile hostiles[HOSTILE_MAX];
static size_t hostile_count, hostile_file_count; /* the latter come first */

/* ---- the files ---- */

static unsigned hostile_expected(const char *text)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {{"DONE", HOSTILE(TAEL_ASK_DONE)},
                 {"RAISED", HOSTILE(TAEL_ASK_RAISED)},
                 {"SPENT", HOSTILE(TAEL_ASK_SPENT)},
                 {"MEMORY", HOSTILE(TAEL_ASK_MEMORY)},
                 {"REFUSED", HOSTILE_REFUSED}};
    unsigned expected = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(text, words[i].word) != NULL)
            expected |= words[i].bit;
    return expected;
}

static void hostile_add(const char *name, struct tael_span text, unsigned expected)
{
    if (hostile_count == HOSTILE_MAX)
        abort();
    hostiles[hostile_count++] = (struct hostile){name, text, expected};
}

/* Cuts the text, which stays, into cases. */
static void hostile_cut(char *text)
{
    for (char *at = strstr(text, "--# "); at != NULL;) {
        char *line_end = strchr(at, '\n'), *colon = strchr(at, ':');
        char *next = strstr(line_end, "\n--# ");
        size_t len = next != NULL ? (size_t)(next - line_end) : strlen(line_end);
        if (colon == NULL || colon > line_end)
            abort();
        *colon = *line_end = '\0';
        hostile_add(colon + 2, (struct tael_span){line_end + 1, len - 1}, hostile_expected(at + 4));
        at = next != NULL ? next + 1 : NULL;
    }
}

static char *hostile_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;
    if (file == NULL || getdelim(&text, &size, '\0', file) < 0) {
        fprintf(stderr, "%s cannot be read: start the test in the root of the tree\n", path);
        exit(1);
    }
    fclose(file);
    return text;
}

/* ---- what no file could show: texts of many pieces ---- */

static const struct hostile_grown {
    const char *name, *head, *piece, *middle, *back, *tail; /* back: once more for each piece */
    int times;
    unsigned expected;
} hostile_grown[] = {
    {"parentheses", "return ", "(", "1", ")", "", 100000, HOSTILE_REFUSED},
    {"parentheses, 190 deep", "return ", "(", "nil", ")", "", 190, HOSTILE_ANY},
    {"tables in tables", "return ", "{", "", "}", "", 60000, HOSTILE_REFUSED},
    {"functions in functions", "", "local function f() ", "", " end", "", 10000, HOSTILE_REFUSED},
    {"blocks in blocks", "", "do ", "", " end", "", 30000, HOSTILE_REFUSED},
    {"loops in loops", "", "while nil do ", "", " end", "", 15000, HOSTILE_REFUSED},
    {"conditions in conditions", "", "if nil then ", "", " end", "", 15000, HOSTILE_REFUSED},
    {"repeats in repeats", "", "repeat ", "", " until 1", "", 10000, HOSTILE_REFUSED},
    {"for in for", "", "for i = 1, 1 do ", "", " end", "", 9000, HOSTILE_REFUSED},
    {"places in places", "local a return a", "[a", "", "]", "", 60000, HOSTILE_REFUSED},
    {"calls in calls", "local a return a", "(a", "", ")", "", 60000, HOSTILE_REFUSED},
    {"minus minus", "return ", "- ", "1", "", "", 100000, HOSTILE_ANY},
    {"not not", "return ", "not ", "1", "", "", 60000, HOSTILE_ANY},
    {"powers of powers", "return 1", "^1", "", "", "", 100000, HOSTILE_ANY},
    {"texts in a row", "return ''", "..''", "", "", "", 60000, HOSTILE_ANY},
    {"fields of fields", "local a = {} a.b = a return a", ".b", ".x.y", "", "", 100000,
     HOSTILE_REFUSED},
    {"fields of fields of a global", "local function f() return _ENV.string", ".b", ".x.y end", "",
     " f()", 100000, HOSTILE_REFUSED},
    {"fields of fields that are assigned", "local a = {} a.b = a a", ".b", ".x.y = 1", "", "",
     100000, HOSTILE_REFUSED},
    {"fields by text of fields", "local a = {} a.b = a return a", "['b']", ".x.y", "", "", 40000,
     HOSTILE_REFUSED},
    {"fields by numbers of fields", "local a = {} a[1] = a return a", "[1]", ".x.y", "", "", 60000,
     HOSTILE_REFUSED},
    {"fields over lines", "local a = {} a.b = a return a", "--x\n.b", ".x.y", "", "", 40000,
     HOSTILE_REFUSED},
    {"calls of calls", "local function f() error() end return f", "()", "", "", "", 100000,
     HOSTILE_ANY},
    {"calls of calls with texts", "local function f() error() end return f", "''", "", "", "",
     100000, HOSTILE_ANY},
    {"methods of methods", "local a = {} return a", ":b()", "", "", "", 50000, HOSTILE_ANY},
    {"fields of calls", "local a = {} return a", ".b()", "", "", "", 50000, HOSTILE_ANY},
    {"assigned at once", "a", ",a", " = 1", "", "", 100000, HOSTILE_ANY},
    {"assigned from many", "local a = 1", ",1", " error()", "", "", 100000, HOSTILE_ANY},
    {"locals", "", "local a ", "", "", "", 30000, HOSTILE_ANY},
    {"labels", "", "::a%d:: ", "", "", "", 20000, HOSTILE_REFUSED},
    {"gotos forward", "", "goto a ", "::a:: error()", "", "", 30000, HOSTILE_REFUSED},
    {"breaks", "while true do ", "do break end ", "", "", "end error()", 18000, HOSTILE_REFUSED},
    {"or or or", "local a = 1 return a", " or a", " error()", "", "", 50000, HOSTILE_REFUSED},
    {"and and and", "local a = 1 return a", " and a", "", "", "", 40000, HOSTILE_REFUSED},
    {"and and and at last nothing", "local a = 1 if a", " and a", " then error() end", "", "",
     40000, HOSTILE_REFUSED},
    {"elseif elseif", "local a if a then ", "elseif a then ", "", "", "end error()", 18000,
     HOSTILE_REFUSED},
    {"comparisons", "local a = 1 if a == 1", " or a == 1", " then error() end", "", "", 20000,
     HOSTILE_REFUSED},
    {"fields by names of fields", "local a, k = {}, 'b' a.b = a return a", "[k]", ".x.y", "", "",
     80000, HOSTILE_REFUSED},
    {"fields of fields in parentheses", "local a = {} a.b = a return ", "(", "a", ".b.b.b.b.b.b)",
     ".x.y", 90, HOSTILE_ANY},
    {"names in functions in functions", "local a ", "local function f() ", "error() ", " end f()",
     "", 15, HOSTILE_ANY},
    {"upvalues", "", "local a%d = 1 ", "return function() return a1 end", "", "", 300, HOSTILE_ANY},
    {"constants", "local a = {", "x%d,", "} error()", "", "", 8000, HOSTILE_ANY},
    {"constants that are texts", "local a = {", "'x%d',", "} error()", "", "", 8000,
     HOSTILE(TAEL_ASK_RAISED)},
    {"operations on constants", "local a, n = 1, 0 ", "n = n + %d.5 & 1 ", "", "", "", 4000,
     HOSTILE_ANY},
    {"bits with constants", "local n = 0 ", "n = n | %d + 5000000000 ", "error(n)", "", "", 1000,
     HOSTILE(TAEL_ASK_RAISED)},
    {"numbers that collide", "local t = {", "4095 * 8191 * %d,", "} error()", "", "", 7900,
     HOSTILE_REFUSED},
    {"numbers that collide, in brackets", "local t = {", "(4095) * (8191) * (%d),", "} error()", "",
     "", 7900, HOSTILE_REFUSED},
    {"numbers that collide, by names for constants",
     "local a <const>, b <const> = 33542145, 67084290 local t = {", "(a) * (%d) + b,", "} error()",
     "", "", 7900, HOSTILE_REFUSED},
    {"names for constants alone", "local a <const> = 33542145 local n = 0 ", "n = n + (a * a) ",
     "error()", "", "", 1100, HOSTILE_REFUSED},
    {"numbers that collide, as many as may be", "local t = {", "2094081 * %d,", "} error()", "", "",
     1024, HOSTILE(TAEL_ASK_RAISED)},
    {"numbers that collide in a text that ends badly", "local t = {", "2094081 * %d,", "} error(",
     "", "", 1024, HOSTILE(TAEL_ASK_RAISED)},
    {"small numbers, as many as one likes", "local t = {", "%d,", "} error()", "", "", 20000,
     HOSTILE(TAEL_ASK_RAISED)},
    {"comparisons with constants", "local n = 0 ", "if n == %d.5 then n = 'a%d' end ", "error(n)",
     "", "", 4000, HOSTILE_ANY},
    {"fields of many names", "local t = {} ", "t.a%d = t.b%d ", "error(t.x.y)", "", "", 4000,
     HOSTILE_ANY},
    {"methods of many names", "local t = {} ", "if t.a%d then t:b%d() end ", "t:x()", "", "", 4000,
     HOSTILE_ANY},
    {"functions", "", "local function f() end ", "error()", "", "", 11000, HOSTILE_REFUSED},
    {"fields of fields behind a comment that a return ends", "--\rlocal a = {} a.b = a return a",
     ".b", ".x.y", "", "", 100000, HOSTILE_REFUSED},
    {"or or or behind such a comment", "--\rlocal a = 1 return a", " or a", " error()", "", "",
     50000, HOSTILE_REFUSED},
    {"comparisons of NULs in a row", "local s = ('\\0'):rep(32000) local x ", "x=s<=s ", "", "", "",
     8000, HOSTILE(TAEL_ASK_SPENT) | HOSTILE(TAEL_ASK_DONE)},
    {"comparisons of NULs in one condition", "local s = ('\\0'):rep(32000) if s<s", " or s<s",
     " then end", "", "", 490, HOSTILE(TAEL_ASK_SPENT) | HOSTILE(TAEL_ASK_DONE)},
    {"comparisons of short NULs in a row", "local s = ('\\0'):rep(1000) local x ", "x=s<=s ", "",
     "", "", 8000, HOSTILE(TAEL_ASK_SPENT) | HOSTILE(TAEL_ASK_DONE)},
    {"a long condition of a loop that has no turn",
     "local s = ('\\0'):rep(32000) for _ = 1, 100 do while s<s", " or s<s", " do end end", "", "",
     400, HOSTILE(TAEL_ASK_SPENT)},
    {"long bounds of a loop that has no turn",
     "local a, b = 1e308, 3e-308 while true do for _ = 1, 0 * (a%b", "+a%b", ") do end end", "", "",
     1000, HOSTILE(TAEL_ASK_SPENT)},
    {"remainders of what is far apart, in a row", "local a, b = 1e308, 3e-308 local x ", "x=a%b ",
     "", "", "", 40000, HOSTILE(TAEL_ASK_SPENT) | HOSTILE(TAEL_ASK_DONE)},
    {"next of what is gone, in a row",
     "local t, n = {}, next for i = 1, 4000 do t[i + 0.5] = i end "
     "for i = 1, 4000 do t[i + 0.5] = nil end ",
     "n(t) ", "", "", "", 4000, HOSTILE(TAEL_ASK_SPENT) | HOSTILE(TAEL_ASK_DONE)},
    {"pairs of what is gone, in a row",
     "local t, p = {}, pairs for i = 1, 4000 do t[i + 0.5] = i end "
     "for i = 1, 4000 do t[i + 0.5] = nil end ",
     "p(t) ", "", "", "", 4000, HOSTILE(TAEL_ASK_SPENT) | HOSTILE(TAEL_ASK_DONE)},
    {"functions, as many as may be", "", "function f() end ", "error()", "", "", 1000, HOSTILE_ANY},
    {"functions in a table", "local t = {", "function() end,", "} error()", "", "", 17000,
     HOSTILE_REFUSED},
    {"functions in a table, as many as may be", "local t = {", "function() end,", "} error()", "",
     "", 1000, HOSTILE(TAEL_ASK_RAISED)},
    {"loops, as many as may be", "", "while nil do end repeat until 1 ", "error()", "", "", 500,
     HOSTILE(TAEL_ASK_RAISED)},
    {"digits", "local n = 1", "11111111", " error(n)", "", "", 30000, HOSTILE_ANY},
    {"digits behind the point", "local n = 0.1", "11111111", " error(n)", "", "", 30000,
     HOSTILE_ANY},
    {"hexadecimal digits", "local n = 0x1", "ffffffff", " error(n)", "", "", 30000, HOSTILE_ANY},
    {"letters of a name", "local n", "aaaaaaaa", " error()", "", "", 30000, HOSTILE_ANY},
    {"letters of a text", "error('", "aaaaaaaa", "')", "", "", 30000, HOSTILE_ANY},
    {"letters of a text that does not end", "error('", "aaaaaaaa", "", "", "", 30000, HOSTILE_ANY},
    {"escapes", "error('", "\\z  \\65\\x41\\u{7FFFFFFF}", "')", "", "", 10000, HOSTILE_ANY},
    {"a bracket of equal signs", "error[", "========", "", "", "", 30000, HOSTILE_ANY},
    {"a comment that does not end", "--[[", "xxxxxxxx", "", "", "", 30000, HOSTILE_ANY},
    {"comments", "", "--[[]]", "error()", "", "", 40000, HOSTILE_ANY},
    {"lines", "", "\n", "error()", "", "", 260000, HOSTILE_ANY},
    {"semicolons", "", ";", "error()", "", "", 260000, HOSTILE_ANY},
    {"more than 256 KiB", "", "--23456789\n", "", "", "", 24000, HOSTILE_REFUSED},
    {"a word after the other", "", "end ", "", "", "", 60000, HOSTILE_ANY},
    {"attributes", "", "local a <const> = 1 ", "error()", "", "", 12000, HOSTILE_ANY},
    {"one that is closed after the other", "", "local a <close> = nil ", "error()", "", "", 190,
     HOSTILE_ANY},
};

static char *hostile_write(const struct hostile_grown *from)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        abort();
    fputs(from->head, out);
    for (int i = 1; i <= from->times; i++)
        for (const char *at = from->piece; *at != '\0'; at++)
            if (*at == '%' && at[1] == 'd') {
                fprintf(out, "%d", i);
                at++;
            } else {
                fputc(*at, out);
            }
    fputs(from->middle, out);
    for (int i = 1; i <= from->times; i++)
        fputs(from->back, out);
    fputs(from->tail, out);
    fclose(out);
    return text;
}

/* ---- all of them ---- */

static char *hostile_texts[HOSTILE_FILES + sizeof(hostile_grown) / sizeof(hostile_grown[0])];

static void hostile_open(void)
{
    static const char *const files[HOSTILE_FILES] = {"loops",  "caught", "memory", "native",
                                                     "escape", "leaks",  "crash"};
    static const char binary[] = "\x1bLuaT\0\x19\x93\r\n\x1a\n";
    char path[64], **text = hostile_texts;
    for (size_t i = 0; i < HOSTILE_FILES; i++) {
        snprintf(path, sizeof(path), "tests/unit/hostile/%s.lua", files[i]);
        hostile_cut(*text++ = hostile_read(path));
    }
    hostile_file_count = hostile_count;
    for (size_t i = 0; i < sizeof(hostile_grown) / sizeof(hostile_grown[0]); i++) {
        *text = hostile_write(&hostile_grown[i]);
        hostile_add(hostile_grown[i].name, tael_span_of(*text++), hostile_grown[i].expected);
    }
    hostile_add("bytecode", (struct tael_span){binary, sizeof(binary) - 1}, HOSTILE_REFUSED);
}

static void hostile_close(void)
{
    for (size_t i = 0; i < sizeof(hostile_texts) / sizeof(hostile_texts[0]); i++)
        free(hostile_texts[i]);
}

/* ---- asking ---- */

/* What an honest script does, with a look at all that others may have changed. */
static const char hostile_honest[] =
    "local tael = require 'tael'\n"
    "for _, t in ipairs { string, table, math, utf8, tael, tael.json } do\n"
    "  if t.planted or rawget(t, 'planted') or t[1] or next(t) then return 'planted' end\n"
    "end\n"
    "if pcall(function() return planted end) then return 'a planted global' end\n"
    "local s = ('ab'):rep(3):upper():gsub('B', { B = '-' })\n"
    "if s ~= 'A-A-A-' or #s ~= 6 or ('x'):byte() ~= 120 then return 'texts: ' .. s end\n"
    "local t = { 3, 1, 2 } table.sort(t) table.insert(t, 1, 0)\n"
    "if table.concat(t, ',') ~= '0,1,2,3' then return 'tables' end\n"
    "if tael.json.encode(tael.json.decode('{\"a\":[1,2.50,null]}')) ~= '{\"a\":[1,2.50,null]}' "
    "then\n"
    "  return 'JSON'\n"
    "end\n"
    "local ok, why = pcall(error, 'mine', 0)\n"
    "if ok or why ~= 'mine' then return 'pcall' end\n"
    "local Account = {}\n"
    "function Account:new(o) setmetatable(o, self) self.__index = self return o end\n"
    "function Account:add(n) self.sum = self.sum + n return self end\n"
    "local Special = Account:new { sum = 1 }\n"
    "if Special:new({}):add(2).sum ~= 3 or math.max(1, 2) ~= 2 then return 'objects' end\n";

struct hostile_asked { /* its generation lies in it */
    struct tael_ask ask;
    struct tael_generation generation;
    struct tael_generation_file files[2];
};

/* Makes an ask of f; what it has in ask.out is freed by the caller. */
static void hostile_ask(struct hostile_asked *asked, const char *owner, const char *key,
                        struct tael_span text, int64_t steps)
{
    static const char rules[] = "return { f = function() local hole = require 'case'\n"
                                "if hole and hole ~= true then return hole end end }";
    struct tael_buf out = asked->ask.out;
    *asked = (struct hostile_asked){
        .files = {{tael_span_of("case.lua"), text},
                  {tael_span_of("rules.lua"), {rules, sizeof(rules) - 1}}},
        .generation = {.name = tael_span_of(owner), .key = tael_span_of(key), .count = 2}};
    asked->generation.files = asked->files;
    tael_buf_clear(&out);
    asked->ask.generation = &asked->generation;
    asked->ask.entry = tael_span_of("rules.lua");
    asked->ask.steps = steps;
    asked->ask.calls[0].name = tael_span_of("f");
    asked->ask.call_count = 1;
    asked->ask.out = out;
}

static bool hostile_is_good(const struct hostile_asked *asked, const struct hostile *of)
{
    char why[TAEL_RUN_FAULT_MAX];
    const struct tael_ask_call *call = &asked->ask.calls[0];
    if (call->end == TAEL_ASK_DONE && call->results > 0)
        return false; /* a hole */
    if (!tael_source_check(of->text, why, sizeof(why)))
        return (of->expected & HOSTILE_REFUSED) != 0 && call->end == TAEL_ASK_RAISED;
    if (call->end == TAEL_ASK_SPENT && (of->expected & HOSTILE(TAEL_ASK_MEMORY)) != 0)
        return true; /* on a slow machine its time is used up before */
    return (of->expected & HOSTILE(call->end)) != 0;
}

static const char *hostile_end(const struct hostile_asked *asked)
{
    static const char *const names[] = {"DONE",  "ABSENT", "RAISED", "SHAPE",
                                        "SPENT", "MEMORY", "CRASHED"};
    return names[asked->ask.calls[0].end];
}

/* Why it ended so, for the eye. */
static struct tael_span hostile_why(const struct hostile_asked *asked)
{
    const struct tael_ask_call *call = &asked->ask.calls[0];
    bool told = call->end != TAEL_ASK_DONE && call->len > 0;
    return told ? (struct tael_span){asked->ask.out.data + call->from, call->len}
                : (struct tael_span){"", 0};
}

#endif
