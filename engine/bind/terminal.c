/* terminal.c - tael.terminal: who reads and writes at the other end of a command line. Contract:
 * lua/tael/meta/terminal.lua.
 *
 * For commands alone. Input is waited for with the loop's own poll and read when something is
 * there, so a task that waits for a line holds up nobody. Ctrl-C is taken only while a task waits
 * for it: no handler stands before or after. The handles are plain memory, since libuv gives them
 * back later than Lua may collect what asked for them.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lauxlib.h>
#include <uv.h>

#include "bind/bind.h"
#include "net/world_uv.h"

enum { LINE_MAX_BYTES = 4096 }; /* a longer line comes in pieces */

/* ---- one wait ---- */

struct handle {
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_signal_t signal;
    } uv;
    struct wait *wait; /* NULL: nobody waits any more */
};

struct wait { /* userdata on the coroutine's stack */
    struct tael_task *task;
    struct handle *handle; /* NULL: nothing is waited for */
};

static void handle_closed(uv_handle_t *uv)
{
    free(uv->data);
}

static void wait_end(void *op)
{
    struct wait *wait = op;
    struct handle *handle = wait->handle;
    wait->handle = NULL;
    if (handle == NULL)
        return;
    handle->wait = NULL;
    uv_close(&handle->uv.any, handle_closed);
}

static int wait_close(lua_State *L)
{
    wait_end(lua_touserdata(L, 1));
    return 0;
}

static void happened(struct handle *handle)
{
    struct wait *wait = handle->wait;
    if (wait == NULL)
        return;
    wait_end(wait);
    tael_task_wake(wait->task);
}

static uv_loop_t *loop_of(lua_State *L, const char *name)
{
    struct tael_host *host = tael_host_check(L, name);
    if (host->world->simulated)
        luaL_error(L, "%s: there is no terminal in a simulated world", name);
    return tael_loop_uv(host->loop);
}

/* Pushes the wait of this task. Its handle is not yet known to libuv. */
static struct wait *push_wait(lua_State *L, const char *name)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, name);
    struct wait *wait = lua_newuserdatauv(L, sizeof(*wait), 0);
    *wait = (struct wait){.task = task};
    luaL_setmetatable(L, "tael.terminal.wait");
    struct handle *handle = calloc(1, sizeof(*handle));
    if (handle == NULL)
        luaL_error(L, "%s: out of memory", name);
    handle->wait = wait;
    wait->handle = handle;
    return wait;
}

/* libuv refused the handle: it never was one. */
static void wait_drop(struct wait *wait)
{
    free(wait->handle);
    wait->handle = NULL;
}

/* ---- a line of input ---- */

struct input { /* what was read and not yet asked for; upvalue of terminal.line */
    char data[LINE_MAX_BYTES];
    size_t len;
    bool ended;
};

static struct input *input_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* Pushes the first line, or what is left at the end of input; false: more has to be read. */
static bool push_line(lua_State *L, struct input *input)
{
    char *end = memchr(input->data, '\n', input->len);
    bool whole = end != NULL || input->ended || input->len == sizeof(input->data);
    if (!whole)
        return false;
    if (end == NULL && input->len == 0) {
        lua_pushnil(L);
        return true;
    }
    size_t len = end != NULL ? (size_t)(end - input->data) : input->len;
    size_t taken = end != NULL ? len + 1 : len;
    lua_pushlstring(L, input->data, len > 0 && input->data[len - 1] == '\r' ? len - 1 : len);
    input->len -= taken;
    memmove(input->data, input->data + taken, input->len);
    return true;
}

static void read_more(struct input *input)
{
    ssize_t n;
    do {
        n = read(STDIN_FILENO, input->data + input->len, sizeof(input->data) - input->len);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        input->len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        input->ended = true;
}

static void input_ready(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events; /* an error shows when it is read */
    happened(poll->data);
}

/* Has libuv tell when input is there. false: such input is always there (a file). libuv makes what
 * it polls non-blocking, and with it the terminal of whoever started us: that is taken back. */
static bool watch_input(uv_loop_t *loop, struct handle *handle)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    int rc = uv_poll_init(loop, &handle->uv.poll, STDIN_FILENO);
    if (flags >= 0)
        fcntl(STDIN_FILENO, F_SETFL, flags);
    if (rc != 0)
        return false;
    handle->uv.any.data = handle;
    uv_poll_start(&handle->uv.poll, UV_READABLE | UV_DISCONNECT, input_ready);
    return true;
}

static int line_continue(lua_State *L, int status, lua_KContext context);

static int line_read(lua_State *L)
{
    struct input *input = input_of(L);
    while (!push_line(L, input)) {
        struct wait *wait = push_wait(L, "terminal.line");
        if (watch_input(loop_of(L, "terminal.line"), wait->handle)) {
            tael_task_wait(wait->task, wait_end, wait);
            return lua_yieldk(L, 0, 0, line_continue);
        }
        wait_drop(wait);
        lua_pop(L, 1);
        read_more(input);
    }
    return 1;
}

static int line_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    lua_settop(L, 0);
    read_more(input_of(L));
    return line_read(L);
}

/* terminal.line() -> text | nil */
static int terminal_line(lua_State *L)
{
    lua_settop(L, 0);
    loop_of(L, "terminal.line");
    return line_read(L);
}

/* ---- Ctrl-C ---- */

static void interrupted(uv_signal_t *signal, int number)
{
    (void)number;
    happened(signal->data);
}

static int interrupt_continue(lua_State *L, int status, lua_KContext context)
{
    (void)L, (void)status, (void)context;
    return 0;
}

/* terminal.interrupt() */
static int terminal_interrupt(lua_State *L)
{
    lua_settop(L, 0);
    uv_loop_t *loop = loop_of(L, "terminal.interrupt");
    struct wait *wait = push_wait(L, "terminal.interrupt");
    struct handle *handle = wait->handle;
    if (uv_signal_init(loop, &handle->uv.signal) != 0) {
        wait_drop(wait);
        return luaL_error(L, "terminal.interrupt: out of file descriptors");
    }
    handle->uv.any.data = handle;
    if (uv_signal_start(&handle->uv.signal, interrupted, SIGINT) != 0) {
        wait_end(wait);
        return luaL_error(L, "terminal.interrupt: the signal cannot be taken");
    }
    tael_task_wait(wait->task, wait_end, wait);
    return lua_yieldk(L, 0, 0, interrupt_continue);
}

/* ---- what it is ---- */

/* terminal.is("stdout") -> boolean */
static int terminal_is(lua_State *L)
{
    static const char *const names[] = {"stdin", "stdout", "stderr", NULL};
    tael_refuse_pure(L, "terminal.is");
    lua_pushboolean(L, isatty(luaL_checkoption(L, 1, NULL, names)));
    return 1;
}

/* terminal.columns() -> integer | nil */
static int terminal_columns(lua_State *L)
{
    struct winsize size = {0};
    tael_refuse_pure(L, "terminal.columns");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, size.ws_col);
    return 1;
}

int tael_open_terminal(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"is", terminal_is},
        {"columns", terminal_columns},
        {"interrupt", terminal_interrupt},
        {NULL, NULL},
    };
    luaL_newmetatable(L, "tael.terminal.wait");
    lua_pushcfunction(L, wait_close);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newlib(L, functions);
    struct input *input = lua_newuserdatauv(L, sizeof(*input), 0);
    input->len = 0;
    input->ended = false;
    lua_pushcclosure(L, terminal_line, 1);
    lua_setfield(L, -2, "line");
    return 1;
}
