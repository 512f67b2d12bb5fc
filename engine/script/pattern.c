/* pattern.c - Lua's patterns, with every step charged to the run (isolate.h).
 *
 * The matcher goes back by returning NULL; what it has captured behind the place it returns to is
 * no longer looked at. Depth is bounded, work is charged a few hundred steps at a time, and a
 * charge that is too much raises right out of here: nothing is held that Lua does not own.
 */
#include "script/pattern.h"

#include <ctype.h>
#include <stdint.h>

#include <lauxlib.h>

#include "script/isolate.h"

enum {
    CAPTURES_MAX = 32,
    DEPTH_MAX = 200,
    CHARGE = 256,           /* steps charged at once */
    WORK_MAX = 1000 * 1000, /* steps from one place in the text */
    LOOK_BYTES = 4,         /* of a set or a long text, for one step */
    OPEN = -1,              /* length of a capture that has not ended */
    POSITION = -2,
    ESCAPE = '%',
};

struct capture {
    const char *at;
    ptrdiff_t len;
};

struct matching {
    lua_State *L;
    const char *text, *text_end, *pattern_end;
    int depth, count;
    int64_t work, charged; /* not yet, and so far from this place */
    struct capture captures[CAPTURES_MAX];
};

static const char *match(struct matching *m, const char *s, const char *p);

static void work(struct matching *m, ptrdiff_t steps)
{
    m->work += steps;
    if (m->work < CHARGE)
        return;
    m->charged += m->work;
    tael_isolate_charge(m->L, m->work);
    m->work = 0;
    if (m->charged > WORK_MAX)
        luaL_error(m->L, "pattern too complex: it takes too long at one place of the text");
}

static void step(struct matching *m)
{
    work(m, 1);
}

/* ---- one character ---- */

/* Where the item of one character that begins at p ends. */
static const char *item_end(struct matching *m, const char *p)
{
    char first = *p++;
    if (first == ESCAPE) {
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[')
        return p;
    if (*p == '^')
        p++;
    const char *from = p;
    do { /* the first ']' is one of the set */
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == ESCAPE && p < m->pattern_end)
            p++;
    } while (*p != ']');
    work(m, (p - from) / LOOK_BYTES);
    return p + 1;
}

static bool in_class(int c, int class)
{
    bool in;
    switch (tolower(class)) {
    case 'a':
        in = isalpha(c) != 0;
        break;
    case 'c':
        in = iscntrl(c) != 0;
        break;
    case 'd':
        in = isdigit(c) != 0;
        break;
    case 'g':
        in = isgraph(c) != 0;
        break;
    case 'l':
        in = islower(c) != 0;
        break;
    case 'p':
        in = ispunct(c) != 0;
        break;
    case 's':
        in = isspace(c) != 0;
        break;
    case 'u':
        in = isupper(c) != 0;
        break;
    case 'w':
        in = isalnum(c) != 0;
        break;
    case 'x':
        in = isxdigit(c) != 0;
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !in : in;
}

/* p stands on '[', end on the ']' that closes it. */
static bool in_set(int c, const char *p, const char *end)
{
    bool found = true;
    if (p[1] == '^') {
        found = false;
        p++;
    }
    while (++p < end) {
        if (*p == ESCAPE) {
            if (in_class(c, (unsigned char)*++p))
                return found;
        } else if (p[1] == '-' && p + 2 < end) {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return found;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return found;
        }
    }
    return !found;
}

static bool fits(struct matching *m, const char *s, const char *p, const char *end)
{
    step(m);
    if (s >= m->text_end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case ESCAPE:
        return in_class(c, (unsigned char)p[1]);
    case '[':
        work(m, (end - p) / LOOK_BYTES);
        return in_set(c, p, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

/* ---- repetitions ---- */

static const char *match_most(struct matching *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t count = 0;
    while (fits(m, s + count, p, end))
        count++;
    for (; count >= 0; count--) {
        const char *rest = match(m, s + count, end + 1);
        if (rest != NULL)
            return rest;
    }
    return NULL;
}

static const char *match_least(struct matching *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *rest = match(m, s, end + 1);
        if (rest != NULL)
            return rest;
        if (!fits(m, s, p, end))
            return NULL;
    }
}

/* ---- %b, %f, captures ---- */

static const char *match_balance(struct matching *m, const char *s, const char *p)
{
    if (p + 1 >= m->pattern_end)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->text_end || *s != p[0])
        return NULL;
    for (int open = 1; ++s < m->text_end;) {
        step(m);
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

static bool at_frontier(struct matching *m, const char *s, const char *set, const char *end)
{
    int before = s == m->text ? 0 : (unsigned char)s[-1];
    int here = s < m->text_end ? (unsigned char)*s : 0;
    work(m, (end - set) / LOOK_BYTES + 1);
    return !in_set(before, set, end - 1) && in_set(here, set, end - 1);
}

static const char *begin_capture(struct matching *m, const char *s, const char *p, ptrdiff_t what)
{
    if (m->count >= CAPTURES_MAX)
        luaL_error(m->L, "too many captures");
    m->captures[m->count++] = (struct capture){s, what};
    const char *rest = match(m, s, p);
    if (rest == NULL)
        m->count--;
    return rest;
}

static const char *end_capture(struct matching *m, const char *s, const char *p)
{
    int at = m->count - 1;
    while (at >= 0 && m->captures[at].len != OPEN)
        at--;
    if (at < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->captures[at].len = s - m->captures[at].at;
    const char *rest = match(m, s, p);
    if (rest == NULL)
        m->captures[at].len = OPEN;
    return rest;
}

static const char *match_again(struct matching *m, const char *s, int digit)
{
    int at = digit - '1';
    if (at < 0 || at >= m->count || m->captures[at].len == OPEN)
        luaL_error(m->L, "invalid capture index %%%d", at + 1);
    const struct capture *capture = &m->captures[at];
    if (capture->len == POSITION) /* a place is no text */
        return NULL;
    size_t len = (size_t)capture->len;
    work(m, (ptrdiff_t)len / LOOK_BYTES + 1);
    if ((size_t)(m->text_end - s) < len || memcmp(capture->at, s, len) != 0)
        return NULL;
    return s + len;
}

/* ---- the pattern ---- */

/* An item of one character with what may stand behind it. *next: go on at *s, *p. */
static const char *match_item(struct matching *m, const char **s, const char **p, bool *next)
{
    const char *end = item_end(m, *p);
    *next = false;
    switch (end < m->pattern_end ? *end : '\0') {
    case '*':
        return match_most(m, *s, *p, end);
    case '+':
        return fits(m, *s, *p, end) ? match_most(m, *s + 1, *p, end) : NULL;
    case '-':
        return match_least(m, *s, *p, end);
    case '?':
        if (fits(m, *s, *p, end)) {
            const char *rest = match(m, *s + 1, end + 1);
            if (rest != NULL)
                return rest;
        }
        *p = end + 1;
        *next = true;
        return NULL;
    default:
        if (!fits(m, *s, *p, end))
            return NULL;
        ++*s;
        *p = end;
        *next = true;
        return NULL;
    }
}

/* An item that begins with '%'; *own: it was not one of a single character. */
static const char *match_escape(struct matching *m, const char **s, const char **p, bool *own,
                                bool *next)
{
    char kind = *p + 1 < m->pattern_end ? (*p)[1] : '\0';
    *own = true;
    *next = false;
    if (kind == 'b') {
        *s = match_balance(m, *s, *p + 2);
        *p += 4;
    } else if (kind == 'f') {
        *p += 2;
        if (*p >= m->pattern_end || **p != '[')
            luaL_error(m->L, "missing '[' after '%%f' in pattern");
        const char *end = item_end(m, *p);
        if (!at_frontier(m, *s, *p, end))
            return NULL;
        *p = end;
    } else if (kind >= '0' && kind <= '9') {
        *s = match_again(m, *s, kind);
        *p += 2;
    } else {
        *own = false;
        return NULL;
    }
    *next = *s != NULL;
    return NULL;
}

static const char *match_rest(struct matching *m, const char *s, const char *p)
{
    while (p != m->pattern_end) {
        bool own = false, next = false;
        const char *found = NULL;
        if (*p == '(') {
            bool position = p + 1 < m->pattern_end && p[1] == ')';
            return begin_capture(m, s, p + (position ? 2 : 1), position ? POSITION : OPEN);
        }
        if (*p == ')')
            return end_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->text_end ? s : NULL;
        if (*p == ESCAPE)
            found = match_escape(m, &s, &p, &own, &next);
        if (!own)
            found = match_item(m, &s, &p, &next);
        if (!next)
            return found;
    }
    return s;
}

static const char *match(struct matching *m, const char *s, const char *p)
{
    if (m->depth == DEPTH_MAX)
        luaL_error(m->L, "pattern too complex");
    m->depth++;
    step(m);
    const char *rest = match_rest(m, s, p);
    m->depth--;
    return rest;
}

/* ---- results ---- */

static void push_capture(struct matching *m, int at, const char *s, const char *e)
{
    if (at >= m->count) {
        if (at != 0)
            luaL_error(m->L, "invalid capture index %%%d", at + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    const struct capture *capture = &m->captures[at];
    if (capture->len == POSITION)
        lua_pushinteger(m->L, capture->at - m->text + 1);
    else if (capture->len == OPEN)
        luaL_error(m->L, "unfinished capture");
    else
        lua_pushlstring(m->L, capture->at, (size_t)capture->len);
}

/* All captures; the whole match when there are none and s is given. */
static int push_captures(struct matching *m, const char *s, const char *e)
{
    int count = m->count == 0 && s != NULL ? 1 : m->count;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(m, i, s, e);
    return count;
}

static void begin(struct matching *m, lua_State *L, struct tael_span text, struct tael_span pattern)
{
    *m = (struct matching){.L = L,
                           .text = text.data,
                           .text_end = text.data + text.len,
                           .pattern_end = pattern.data + pattern.len};
}

static struct tael_span check_text(lua_State *L, int index)
{
    struct tael_span text;
    text.data = luaL_checklstring(L, index, &text.len);
    return text;
}

/* ---- find, match ---- */

/* 0-based place at which to begin; behind the end: nothing is found. */
static size_t start_of(lua_State *L, int index, size_t len)
{
    lua_Integer init = luaL_optinteger(L, index, 1);
    if (init > 0)
        return (lua_Unsigned)init - 1 > len ? len + 1 : (size_t)init - 1;
    if (init == 0 || init < -(lua_Integer)len)
        return 0;
    return len - (size_t)-init;
}

static bool is_plain(lua_State *L, struct tael_span pattern)
{
    tael_isolate_charge(L, (int64_t)pattern.len);
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.data[i] != '\0' && strchr("^$*+?.([%-", pattern.data[i]) != NULL)
            return false;
    return true;
}

static int find_plain(lua_State *L, struct tael_span text, struct tael_span wanted, size_t start)
{
    tael_isolate_charge(L, (int64_t)(text.len - start + wanted.len) / LOOK_BYTES + 1);
    const char *found = memmem(text.data + start, text.len - start, wanted.data, wanted.len);
    if (found == NULL) {
        luaL_pushfail(L);
        return 1;
    }
    lua_pushinteger(L, found - text.data + 1);
    lua_pushinteger(L, found - text.data + (ptrdiff_t)wanted.len);
    return 2;
}

static void begin_at(struct matching *m)
{
    m->count = 0;
    m->charged = 0;
}

/* From that place on: between two places it can pause. */
static int search(lua_State *L, bool find, size_t start, lua_KFunction again)
{
    struct tael_span text = check_text(L, 1), pattern = check_text(L, 2);
    struct matching m;
    begin(&m, L, text, pattern);
    bool anchored = pattern.len > 0 && pattern.data[0] == '^';
    for (const char *s = text.data + start; s <= m.text_end; s++) {
        begin_at(&m);
        const char *e = match(&m, s, pattern.data + anchored);
        if (e != NULL && find) {
            lua_pushinteger(L, s - text.data + 1);
            lua_pushinteger(L, e - text.data);
            return push_captures(&m, NULL, NULL) + 2;
        }
        if (e != NULL)
            return push_captures(&m, s, e);
        if (anchored)
            break;
        if (m.charged > 0 && tael_isolate_overdue(L))
            return lua_yieldk(L, 0, (lua_KContext)(s + 1 - text.data), again);
    }
    luaL_pushfail(L);
    return 1;
}

static int find_on(lua_State *L, int status, lua_KContext start)
{
    (void)status;
    return search(L, true, (size_t)start, find_on);
}

static int match_on(lua_State *L, int status, lua_KContext start)
{
    (void)status;
    return search(L, false, (size_t)start, match_on);
}

static int find_or_match(lua_State *L, bool find)
{
    struct tael_span text = check_text(L, 1), pattern = check_text(L, 2);
    size_t start = start_of(L, 3, text.len);
    if (start > text.len) {
        luaL_pushfail(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(L, pattern)))
        return find_plain(L, text, pattern, start);
    return search(L, find, start, find ? find_on : match_on);
}

static int pattern_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int pattern_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* ---- gmatch ---- */

static int gmatch_again(lua_State *L, int status, lua_KContext context);

/* Upvalues: text, pattern, where to go on (0-based), where the last match ended (-1: nowhere). */
static int gmatch_next(lua_State *L)
{
    struct tael_span text = check_text(L, lua_upvalueindex(1));
    struct tael_span pattern = check_text(L, lua_upvalueindex(2));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct matching m;
    begin(&m, L, text, pattern);
    size_t start = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    for (; start <= text.len; start++) {
        if (m.charged > 0 && tael_isolate_overdue(L)) {
            lua_pushinteger(L, (lua_Integer)start);
            lua_replace(L, lua_upvalueindex(3));
            return lua_yieldk(L, 0, 0, gmatch_again);
        }
        begin_at(&m);
        const char *s = text.data + start;
        const char *e = match(&m, s, pattern.data);
        if (e == NULL || e - text.data == last)
            continue;
        lua_pushinteger(L, e - text.data);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, s, e);
    }
    lua_pushinteger(L, (lua_Integer)text.len + 1);
    lua_replace(L, lua_upvalueindex(3));
    return 0;
}

static int gmatch_again(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return gmatch_next(L);
}

static int pattern_gmatch(lua_State *L)
{
    struct tael_span text = check_text(L, 1);
    check_text(L, 2);
    size_t start = start_of(L, 3, text.len);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)start);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* ---- gsub ---- */

/* "%0" to "%9" of a replacement. */
static void add_text(struct matching *m, luaL_Buffer *out, const char *s, const char *e)
{
    struct tael_span with = check_text(m->L, 3);
    const char *end = with.data + with.len;
    for (const char *at = with.data; at < end; at++) {
        if (*at != ESCAPE) {
            luaL_addchar(out, *at);
            continue;
        }
        at++;
        if (at < end && *at == ESCAPE) {
            luaL_addchar(out, ESCAPE);
        } else if (at < end && *at == '0') {
            luaL_addlstring(out, s, (size_t)(e - s));
        } else if (at < end && *at >= '1' && *at <= '9') {
            push_capture(m, *at - '1', s, e);
            luaL_tolstring(m->L, -1, NULL);
            lua_remove(m->L, -2);
            luaL_addvalue(out);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
    }
    tael_isolate_charge(m->L, (int64_t)with.len / 16);
}

struct replacing {
    struct matching m;
    luaL_Buffer out;
    const char *s, *e, *last; /* where it is; what was matched; the end of the last match */
    lua_Integer done, max;
    bool anchored;
};

enum { CALLED = 1, PAUSED }; /* why it yielded */

static int gsub_again(lua_State *L, int status, lua_KContext why);

/* What a call or a table gave is on top. */
static void add_value(struct replacing *r)
{
    lua_State *L = r->m.L;
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(&r->out, r->s, (size_t)(r->e - r->s));
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(&r->out);
}

static void add_replacement(struct replacing *r)
{
    lua_State *L = r->m.L;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_callk(L, push_captures(&r->m, r->s, r->e), 1, CALLED, gsub_again);
        add_value(r);
        return;
    case LUA_TTABLE:
        push_capture(&r->m, 0, r->s, r->e);
        lua_gettable(L, 3);
        add_value(r);
        return;
    default:
        add_text(&r->m, &r->out, r->s, r->e);
    }
}

static int replace(struct replacing *r)
{
    lua_State *L = r->m.L;
    const char *pattern = lua_tostring(L, 2);
    while (r->done < r->max) {
        if (r->m.charged > 0 && tael_isolate_overdue(L))
            return lua_yieldk(L, 0, PAUSED, gsub_again);
        begin_at(&r->m);
        r->e = match(&r->m, r->s, pattern + r->anchored);
        if (r->e != NULL && r->e != r->last) {
            r->done++;
            add_replacement(r);
            r->s = r->last = r->e;
        } else if (r->s < r->m.text_end) {
            luaL_addchar(&r->out, *r->s++);
        } else {
            break;
        }
        if (r->anchored)
            break;
    }
    luaL_addlstring(&r->out, r->s, (size_t)(r->m.text_end - r->s));
    luaL_pushresult(&r->out);
    lua_pushinteger(L, r->done);
    return 2;
}

static int gsub_again(lua_State *L, int status, lua_KContext why)
{
    (void)status;
    struct replacing *r = lua_touserdata(L, 5);
    if (why == CALLED) {
        add_value(r);
        r->s = r->last = r->e;
        if (r->anchored)
            r->max = r->done;
    }
    return replace(r);
}

/* All that it needs to go on stands in a userdata, which is where the buffer finds itself again. */
int tael_pattern_gsub(lua_State *L)
{
    struct tael_span text = check_text(L, 1), pattern = check_text(L, 2);
    int kind = lua_type(L, 3);
    luaL_argexpected(L,
                     kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TTABLE ||
                         kind == LUA_TFUNCTION,
                     3, "string/function/table");
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)text.len + 1);
    lua_settop(L, 4);
    struct replacing *r = lua_newuserdatauv(L, sizeof(*r), 0);
    begin(&r->m, L, text, pattern);
    r->s = text.data;
    r->last = NULL;
    r->done = 0;
    r->max = max;
    r->anchored = pattern.len > 0 && pattern.data[0] == '^';
    luaL_buffinit(L, &r->out);
    return replace(r);
}

void tael_pattern_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", pattern_find},
        {"match", pattern_match},
        {"gmatch", pattern_gmatch},
        {"gsub", tael_pattern_gsub},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
