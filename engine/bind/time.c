/* time.c - tael.time: the world's clocks, sleeping, and dates as text. Contract:
 * lua/tael/meta/time.lua.
 *
 * Dates are computed on the proleptic Gregorian calendar, years 1 to 9999, with fixed offsets from
 * UTC: no time zone of the system, no leap seconds, nothing that depends on the machine.
 */
#include <lauxlib.h>

#include "bind/bind.h"

enum {
    DAY_MS = 24 * 60 * 60 * 1000,
    MINUTE_MS = 60 * 1000,
    TEXT_SIZE = 32,
};

#define WALL_MIN_MS  INT64_C(-62135596800000) /* 0001-01-01T00:00:00Z */
#define WALL_MAX_MS  INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */
#define SLEEP_MAX_MS INT64_C(31622400000)     /* 366 days */

/* ---- calendar ---- */

struct civil {
    int year, month, day, hour, minute, second, ms;
};

/* Days since 1970-01-01. Years are counted from March, so that the leap day is the last of a year;
 * an era is the 400 years after which the calendar repeats. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_date(int64_t days, struct civil *out)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March */
    out->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    out->month = (int)(month < 10 ? month + 3 : month - 9);
    out->year = (int)(year_of_era + era * 400 + (out->month <= 2));
}

static struct civil civil_of(int64_t ms)
{
    struct civil civil;
    int64_t days = ms / DAY_MS - (ms % DAY_MS < 0);
    int rest = (int)(ms - days * DAY_MS);
    civil_date(days, &civil);
    civil.ms = rest % 1000;
    civil.second = rest / 1000 % 60;
    civil.minute = rest / MINUTE_MS % 60;
    civil.hour = rest / (60 * MINUTE_MS);
    return civil;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool civil_valid(const struct civil *civil)
{
    return civil->year >= 1 && civil->month >= 1 && civil->month <= 12 && civil->day >= 1 &&
           civil->day <= days_in(civil->year, civil->month) && civil->hour <= 23 &&
           civil->minute <= 59 && civil->second <= 59;
}

static int64_t civil_ms(const struct civil *civil)
{
    int64_t minutes = (int64_t)civil->hour * 60 + civil->minute;
    return days_of(civil->year, civil->month, civil->day) * DAY_MS + minutes * MINUTE_MS +
           civil->second * 1000 + civil->ms;
}

/* ---- text ---- */

/* Puts the lowest count digits of value; gives where the next character goes. */
static char *put_digits(char *at, int value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

/* "2026-11-23T12:01:07" with the given letter between date and time. */
static char *put_civil(char *at, const struct civil *civil, char between)
{
    at = put_digits(at, civil->year, 4);
    *at++ = '-';
    at = put_digits(at, civil->month, 2);
    *at++ = '-';
    at = put_digits(at, civil->day, 2);
    *at++ = between;
    at = put_digits(at, civil->hour, 2);
    *at++ = ':';
    at = put_digits(at, civil->minute, 2);
    *at++ = ':';
    return put_digits(at, civil->second, 2);
}

static bool take_digits(struct tael_cursor *cursor, int count, int *out)
{
    int value = 0;
    if (cursor->end - cursor->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        if (cursor->at[i] < '0' || cursor->at[i] > '9')
            return false;
        value = value * 10 + (cursor->at[i] - '0');
    }
    cursor->at += count;
    *out = value;
    return true;
}

/* An optional fraction of 1 to 9 digits; what is finer than a millisecond is dropped. */
static bool take_fraction(struct tael_cursor *cursor, int *ms)
{
    int digit, count = 0;
    *ms = 0;
    if (!tael_cursor_take_text(cursor, "."))
        return true;
    while (take_digits(cursor, 1, &digit)) {
        if (count < 3)
            *ms = *ms * 10 + digit;
        count++;
    }
    for (int i = count; i < 3; i++)
        *ms *= 10;
    return count >= 1 && count <= 9;
}

/* "2026-11-23T12:01:07" with the given letter between date and time, then a fraction. */
static bool take_civil(struct tael_cursor *cursor, const char *between, struct civil *out)
{
    return take_digits(cursor, 4, &out->year) && tael_cursor_take_text(cursor, "-") &&
           take_digits(cursor, 2, &out->month) && tael_cursor_take_text(cursor, "-") &&
           take_digits(cursor, 2, &out->day) && tael_cursor_take_text(cursor, between) &&
           take_digits(cursor, 2, &out->hour) && tael_cursor_take_text(cursor, ":") &&
           take_digits(cursor, 2, &out->minute) && tael_cursor_take_text(cursor, ":") &&
           take_digits(cursor, 2, &out->second) && take_fraction(cursor, &out->ms) &&
           civil_valid(out);
}

/* "+08:00", "-05:30". */
static bool take_offset(struct tael_cursor *cursor, int64_t *offset_ms)
{
    int hours, minutes;
    bool west = tael_cursor_take_text(cursor, "-");
    if ((!west && !tael_cursor_take_text(cursor, "+")) || !take_digits(cursor, 2, &hours) ||
        !tael_cursor_take_text(cursor, ":") || !take_digits(cursor, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    int64_t total = (hours * 60 + minutes) * (int64_t)MINUTE_MS;
    *offset_ms = west ? -total : total;
    return true;
}

static bool wall_valid(int64_t ms)
{
    return ms >= WALL_MIN_MS && ms <= WALL_MAX_MS;
}

static struct tael_cursor check_text(lua_State *L, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    return tael_cursor_of(text, len);
}

static int64_t check_wall(lua_State *L, int index)
{
    lua_Integer ms = luaL_checkinteger(L, index);
    luaL_argcheck(L, wall_valid(ms), index, "not within the years 1 to 9999");
    return ms;
}

/* A zone: "UTC" or an offset. */
static int64_t check_zone(lua_State *L, int index)
{
    struct tael_cursor cursor = check_text(L, index);
    int64_t offset_ms = 0;
    bool ok = tael_cursor_take_text(&cursor, "UTC") || take_offset(&cursor, &offset_ms);
    luaL_argcheck(L, ok && cursor.at == cursor.end, index, "a zone is UTC or like +08:00");
    return offset_ms;
}

static int push_parsed(lua_State *L, bool ok, const struct civil *civil, int64_t offset_ms)
{
    int64_t ms = ok ? civil_ms(civil) - offset_ms : 0;
    if (!ok || !wall_valid(ms))
        return tael_bind_fail(L, "invalid_time", "not a time of this form");
    lua_pushinteger(L, ms);
    return 1;
}

/* time.rfc3339(ms) -> "2026-11-23T12:01:07.102Z" */
static int time_rfc3339(lua_State *L)
{
    struct civil at = civil_of(check_wall(L, 1));
    char text[TEXT_SIZE], *end = put_civil(text, &at, 'T');
    *end++ = '.';
    end = put_digits(end, at.ms, 3);
    *end++ = 'Z';
    lua_pushlstring(L, text, (size_t)(end - text));
    return 1;
}

/* time.parse_rfc3339(text) -> ms | nil, err */
static int time_parse_rfc3339(lua_State *L)
{
    struct tael_cursor cursor = check_text(L, 1);
    struct civil civil;
    int64_t offset_ms = 0;
    bool ok = take_civil(&cursor, "T", &civil) &&
              (tael_cursor_take_text(&cursor, "Z") || take_offset(&cursor, &offset_ms)) &&
              cursor.at == cursor.end;
    return push_parsed(L, ok, &civil, offset_ms);
}

/* time.format(ms, zone) -> "2026-11-23 20:01:07" */
static int time_format(lua_State *L)
{
    int64_t local = check_wall(L, 1) + check_zone(L, 2);
    luaL_argcheck(L, wall_valid(local), 1, "not within the years 1 to 9999");
    struct civil at = civil_of(local);
    char text[TEXT_SIZE];
    const char *end = put_civil(text, &at, ' ');
    lua_pushlstring(L, text, (size_t)(end - text));
    return 1;
}

/* time.parse(text, zone) -> ms | nil, err */
static int time_parse(lua_State *L)
{
    struct tael_cursor cursor = check_text(L, 1);
    int64_t offset_ms = check_zone(L, 2);
    struct civil civil;
    bool ok = take_civil(&cursor, " ", &civil) && cursor.at == cursor.end;
    return push_parsed(L, ok, &civil, offset_ms);
}

/* ---- clocks ---- */

static struct tael_world *check_world(lua_State *L, const char *name)
{
    tael_refuse_pure(L, name);
    return tael_host_check(L, name)->world;
}

/* time.now() -> ms since 1970 UTC */
static int time_now(lua_State *L)
{
    lua_pushinteger(L, tael_now_ms(check_world(L, "time.now")));
    return 1;
}

/* time.monotonic() -> ms since some moment, never going back */
static int time_monotonic(lua_State *L)
{
    lua_pushinteger(L, tael_mono_us(check_world(L, "time.monotonic")) / 1000);
    return 1;
}

/* time.micros() -> microseconds on the same clock: how long a step took */
static int time_micros(lua_State *L)
{
    lua_pushinteger(L, tael_mono_us(check_world(L, "time.micros")));
    return 1;
}

/* ---- a clock that may be put ahead: development and simulators ---- */

/* time.advanced() -> ms that the wall clock was put ahead by, all in all */
static int time_advanced(lua_State *L)
{
    lua_pushinteger(L, tael_world_ahead(check_world(L, "time.advanced")));
    return 1;
}

/* time.advance(ms) -> what time.advanced says then */
static int time_advance(lua_State *L)
{
    struct tael_world *world = check_world(L, "time.advance");
    lua_Integer ms = luaL_checkinteger(L, 1);
    luaL_argcheck(L, ms >= 0, 1, "the clock never goes back");
    if (!tael_host_of(L)->clock_adjustable)
        return luaL_error(L, "time.advance: the clock of this engine is not adjustable");
    if (tael_world_advance(world, ms) != TAEL_OK)
        return luaL_argerror(L, 1, "the clock ends with the year 2079");
    return time_advanced(L);
}

/* ---- sleep ---- */

struct sleeper {
    struct tael_task *task;
    struct tael_timer *timer;
};

static void sleeper_fired(void *user)
{
    tael_task_wake(((struct sleeper *)user)->task);
}

static void sleeper_undo(void *op)
{
    tael_timer_stop(((struct sleeper *)op)->timer);
}

static int sleeper_close(lua_State *L)
{
    struct sleeper *sleeper = lua_touserdata(L, 1);
    tael_timer_free(sleeper->timer);
    sleeper->timer = NULL;
    return 0;
}

static int sleep_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    struct sleeper *sleeper = lua_touserdata(L, 1);
    tael_timer_free(sleeper->timer);
    sleeper->timer = NULL;
    return 0;
}

/* time.sleep(ms) */
static int time_sleep(lua_State *L)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "time.sleep");
    lua_Integer ms = luaL_checkinteger(L, 1);
    luaL_argcheck(L, ms >= 0 && ms <= SLEEP_MAX_MS, 1, "0 ms to one year");
    lua_settop(L, 0);
    struct sleeper *sleeper = lua_newuserdatauv(L, sizeof(*sleeper), 0);
    *sleeper = (struct sleeper){.task = task};
    luaL_setmetatable(L, "tael.time.sleeper");
    sleeper->timer = tael_timer_new(tael_state_loop(tael_state_of(L)), sleeper_fired, sleeper);
    if (sleeper->timer == NULL)
        return luaL_error(L, "time.sleep: out of memory");
    tael_timer_start(sleeper->timer, ms * 1000);
    tael_task_wait(task, sleeper_undo, sleeper);
    return lua_yieldk(L, 0, 0, sleep_continue);
}

int tael_open_time(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", time_now},
        {"monotonic", time_monotonic},
        {"micros", time_micros},
        {"advance", time_advance},
        {"advanced", time_advanced},
        {"sleep", time_sleep},
        {"rfc3339", time_rfc3339},
        {"parse_rfc3339", time_parse_rfc3339},
        {"format", time_format},
        {"parse", time_parse},
        {NULL, NULL},
    };
    luaL_newmetatable(L, "tael.time.sleeper");
    lua_pushcfunction(L, sleeper_close);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, functions);
    return 1;
}
