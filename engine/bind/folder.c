/* folder.c - tael.folder: the source files below a folder, and whether they have changed. Contract:
 * lua/tael/meta/folder.lua. Works in every Lua state.
 *
 * What is there and cannot be read is an error, never as good as absent: a merchant whose rules
 * nobody can read is not one without rules.
 *
 * Every step down is an open of one name in the folder above, and no link is followed: what is read
 * lies below the folder, whatever is done to it meanwhile (threats.md R30). A stamp is taken before
 * the file is read, so that what is written meanwhile is a change. A folder has a stamp too: a new
 * file changes it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>
#include <lauxlib.h>

#include "bind/bind.h"
#include "script/generation.h"

enum {
    DEPTH_MAX = 8,
    NAMES_MAX = 4 << 20, /* bytes of names in one folder */
    RECENT_MS = 50,      /* file times of older kernels do not tell changes of one moment apart */
};

struct stamp {
    int64_t changed_ns, size;
    uint64_t inode;
};

static struct stamp stamp_of(const struct stat *about)
{
    return (struct stamp){
        .changed_ns = (int64_t)about->st_ctim.tv_sec * 1000000000 + about->st_ctim.tv_nsec,
        .size = about->st_size,
        .inode = about->st_ino,
    };
}

/* ---- reading: nothing of Lua's is called while anything is open that would be lost ---- */

struct item { /* a file, or a folder (text NULL) */
    struct item *next;
    struct stamp stamp;
    char *text;
    size_t len;
    char path[TAEL_GENERATION_NAME_MAX + 8];
};

struct reading {
    struct item *items, **end;
    size_t files, bytes;
    int64_t newest_ns;
    bool dashes;                               /* names may be those of routes */
    char fault[TAEL_GENERATION_NAME_MAX + 80]; /* of what is too much */
};

static tael_status refuse(struct reading *reading, const char *path, const char *what)
{
    snprintf(reading->fault, sizeof(reading->fault), "%s%s", path, what);
    return TAEL_ELIMIT;
}

/* Gone meanwhile is as good as never there; everything else is not. */
static tael_status unreadable(struct reading *reading, const char *path, int error)
{
    if (error == ENOENT)
        return TAEL_OK;
    snprintf(reading->fault, sizeof(reading->fault), "%s: %s", path,
             error == ELOOP ? "is a link, and none is followed" : strerror(error));
    return TAEL_EINTERNAL;
}

static tael_status add_item(struct reading *reading, const char *path, const struct stat *about,
                            struct item **out)
{
    struct item *item = calloc(1, sizeof(*item));
    if (item == NULL)
        return TAEL_ENOMEM;
    item->stamp = stamp_of(about);
    snprintf(item->path, sizeof(item->path), "%s", path);
    if (item->stamp.changed_ns > reading->newest_ns)
        reading->newest_ns = item->stamp.changed_ns;
    *reading->end = item;
    reading->end = &item->next;
    *out = item;
    return TAEL_OK;
}

static tael_status read_text(struct reading *reading, int fd, struct item *item)
{
    size_t room = (size_t)item->stamp.size + 1; /* one more: it may grow */
    if (item->stamp.size > TAEL_SOURCE_MAX)
        return refuse(reading, item->path, ": is larger than 256 KiB");
    item->text = malloc(room);
    if (item->text == NULL)
        return TAEL_ENOMEM;
    while (item->len < room) {
        ssize_t got = read(fd, item->text + item->len, room - item->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return unreadable(reading, item->path, EIO);
        if (got == 0)
            break;
        item->len += (size_t)got;
    }
    reading->bytes += item->len;
    if (reading->bytes > TAEL_GENERATION_MAX)
        return refuse(reading, item->path, ": the files together are larger than 1 MiB");
    if (++reading->files > TAEL_GENERATION_FILES_MAX)
        return refuse(reading, item->path, ": there are more than 256 files");
    return TAEL_OK;
}

/* A module's file or a folder of such: small letters, digits and '_', a letter first. A route's may
 * have '-' too, which is not the first, and need not begin with a letter. */
static bool is_name(const struct reading *reading, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool letter = name[i] >= 'a' && name[i] <= 'z';
        bool other = name[i] == '_' || (name[i] >= '0' && name[i] <= '9');
        bool dash = name[i] == '-' && reading->dashes && i > 0;
        if (!letter && !dash && !(other && (i > 0 || reading->dashes)))
            return false;
    }
    return len > 0;
}

static tael_status read_file(struct reading *reading, int folder, const char *name,
                             const char *path)
{
    struct stat about;
    struct item *item = NULL;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return unreadable(reading, path, errno);
    tael_status rc = fstat(fd, &about) == 0 ? TAEL_OK : unreadable(reading, path, errno);
    if (rc == TAEL_OK && !S_ISREG(about.st_mode))
        rc = unreadable(reading, path, S_ISDIR(about.st_mode) ? EISDIR : ENODEV);
    if (rc == TAEL_OK)
        rc = add_item(reading, path, &about, &item);
    if (rc == TAEL_OK)
        rc = read_text(reading, fd, item);
    close(fd);
    return rc;
}

static tael_status read_folder(struct reading *reading, int fd, const char *path, int depth);

/* A file without ".lua" is none of ours; a link to a folder may be meant as one. */
static tael_status not_a_folder(struct reading *reading, int above, const char *name,
                                const char *path, int error)
{
    struct stat about;
    bool plain =
        error == ENOTDIR && (fstatat(above, name, &about, 0) != 0 || !S_ISDIR(about.st_mode));
    return plain ? TAEL_OK : unreadable(reading, path, error == ENOTDIR ? ELOOP : error);
}

static tael_status read_entry(struct reading *reading, int fd, const char *above, int depth,
                              const struct dirent *entry)
{
    char path[TAEL_GENERATION_NAME_MAX + 8];
    size_t len = strlen(entry->d_name);
    bool source = len > 4 && strcmp(entry->d_name + len - 4, ".lua") == 0;
    if (!is_name(reading, entry->d_name, source ? len - 4 : len))
        return TAEL_OK;
    int written = snprintf(path, sizeof(path), "%s%s", above, entry->d_name);
    if (written < 0 || written > TAEL_GENERATION_NAME_MAX)
        return refuse(reading, above, "…: this name is too long");
    if (source)
        return read_file(reading, fd, entry->d_name, path);
    int inner = openat(fd, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY);
    if (inner < 0)
        return not_a_folder(reading, fd, entry->d_name, path, errno);
    strcat(path, "/");
    return depth < DEPTH_MAX ? read_folder(reading, inner, path, depth + 1)
                             : (close(inner), refuse(reading, path, ": too deep"));
}

/* Takes fd over. */
static tael_status read_folder(struct reading *reading, int fd, const char *path, int depth)
{
    struct stat about;
    struct item *item = NULL;
    struct dirent *entry;
    tael_status rc =
        fstat(fd, &about) == 0 ? add_item(reading, path, &about, &item) : TAEL_EINTERNAL;
    DIR *folder = rc == TAEL_OK ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        close(fd);
        return rc == TAEL_OK ? TAEL_ENOMEM : rc;
    }
    while (rc == TAEL_OK && (entry = readdir(folder)) != NULL)
        rc = read_entry(reading, fd, path, depth, entry);
    closedir(folder);
    return rc;
}

static void free_reading(struct reading *reading)
{
    for (struct item *item = reading->items, *next; item != NULL; item = next) {
        next = item->next;
        free(item->text);
        free(item);
    }
    reading->items = NULL;
}

/* ---- stamps ---- */

/* Stamps in a text: path, NUL, stamp, again and again. One text, for thousands of folders are gone
 * through in a row, and each value more of Lua's is another wait for memory. */
static void add_stamp(luaL_Buffer *to, const struct item *item)
{
    luaL_addlstring(to, item->path, strlen(item->path) + 1);
    luaL_addlstring(to, (const char *)&item->stamp, sizeof(item->stamp));
}

static bool is_the_same(int folder, const char *path, const char *stamp)
{
    struct stat about;
    if (fstatat(folder, path, &about, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    struct stamp is = stamp_of(&about);
    return memcmp(&is, stamp, sizeof(is)) == 0;
}

/* Are all these? They are below the descriptor's folder; of one in it, where it has a name. */
static bool are_the_same(int folder, const char *name, const char *stamps, size_t len)
{
    char path[NAME_MAX + 1 + TAEL_GENERATION_NAME_MAX + 8];
    size_t own = strnlen(name, NAME_MAX + 1), inner;
    if (folder < 0 || own > NAME_MAX)
        return false;
    memcpy(path, name, own);
    for (const char *at = stamps, *end = at + len; at < end;
         at += inner + 1 + sizeof(struct stamp)) {
        inner = strnlen(at, (size_t)(end - at));
        if (inner > sizeof(path) - NAME_MAX - 2 ||
            (size_t)(end - at) < inner + 1 + sizeof(struct stamp))
            return false;
        size_t base = own > 0 && inner > 0 ? own + 1 : own;
        path[own] = '/';
        memcpy(path + base, at, inner + 1);
        if (!is_the_same(folder, path, at + inner + 1))
            return false;
    }
    return true;
}

/* ---- what Lua gets ---- */

static bool is_recent(lua_State *L, int64_t changed_ns)
{
    const struct tael_host *host = tael_host_of(L);
    struct timespec now;
    if (host != NULL && host->world->simulated)
        return false;
    clock_gettime(CLOCK_REALTIME, &now); /* as the files have it, whatever our clock says */
    int64_t age_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000 - changed_ns / 1000000;
    return age_ms > -RECENT_MS && age_ms < RECENT_MS;
}

/* Protected: {files, stamps, recent} of the reading. */
static int push_reading(lua_State *L)
{
    const struct reading *reading = lua_touserdata(L, 1);
    luaL_Buffer stamps;
    lua_createtable(L, 0, 3);
    lua_createtable(L, 0, (int)reading->files);
    for (const struct item *item = reading->items; item != NULL; item = item->next)
        if (item->text != NULL) {
            lua_pushlstring(L, item->text, item->len);
            lua_setfield(L, 3, item->path);
        }
    lua_setfield(L, 2, "files");
    luaL_buffinit(L, &stamps);
    for (const struct item *item = reading->items; item != NULL; item = item->next)
        add_stamp(&stamps, item);
    luaL_pushresult(&stamps);
    lua_setfield(L, 2, "stamps");
    lua_pushboolean(L, is_recent(L, reading->newest_ns));
    lua_setfield(L, 2, "recent");
    return 1;
}

/* folder.read(path, routes?) -> {files=, stamps=, recent=} | nil, err */
static int folder_read(lua_State *L)
{
    struct reading reading = {.items = NULL};
    reading.end = &reading.items;
    tael_refuse_pure(L, "folder.read");
    const char *path = luaL_checkstring(L, 1);
    reading.dashes = lua_toboolean(L, 2);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (fd < 0)
        return tael_bind_fail(L, errno == ENOENT || errno == ENOTDIR ? "not_found" : "unavailable",
                              strerror(errno));
    tael_status rc = read_folder(&reading, fd, "", 0);
    if (rc == TAEL_OK) {
        lua_pushcfunction(L, push_reading);
        lua_pushlightuserdata(L, &reading);
        rc = lua_pcall(L, 1, 1, 0) == LUA_OK ? TAEL_OK : TAEL_ENOMEM;
    }
    free_reading(&reading);
    if (rc == TAEL_OK)
        return 1;
    return tael_bind_fail(L, rc == TAEL_ELIMIT ? "too_large" : "unavailable",
                          reading.fault[0] != '\0' ? reading.fault : tael_status_text(rc));
}

/* folder.changed(path, stamps) -> boolean */
static int folder_changed(lua_State *L)
{
    size_t len;
    tael_refuse_pure(L, "folder.changed");
    const char *path = luaL_checkstring(L, 1), *stamps = luaL_checklstring(L, 2, &len);
    int fd = open(path, O_PATH | O_CLOEXEC | O_DIRECTORY);
    bool same = are_the_same(fd, "", stamps, len);
    if (fd >= 0)
        close(fd);
    lua_pushboolean(L, !same);
    return 1;
}

/* folder.differing(path, stamps_by_name) -> the same table. Nothing is allocated or raised while
 * the folder is open: who is the same loses its entry, which lua_next allows. */
static int folder_differing(lua_State *L)
{
    tael_refuse_pure(L, "folder.differing");
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int fd = open(path, O_PATH | O_CLOEXEC | O_DIRECTORY);
    for (lua_pushnil(L); lua_next(L, 2) != 0;) {
        size_t len = 0;
        bool texts = lua_type(L, 3) == LUA_TSTRING && lua_type(L, 4) == LUA_TSTRING;
        const char *stamps = texts ? lua_tolstring(L, 4, &len) : NULL;
        bool same = texts && are_the_same(fd, lua_tostring(L, 3), stamps, len);
        lua_settop(L, 3);
        if (!same)
            continue;
        lua_pushvalue(L, 3);
        lua_pushnil(L);
        lua_rawset(L, 2);
    }
    if (fd >= 0)
        close(fd);
    return 1;
}

/* ---- folders in a folder ---- */

static tael_status list_folders(DIR *folder, struct tael_buf *names)
{
    const struct dirent *entry;
    struct stat about;
    tael_status rc = TAEL_OK;
    while (rc == TAEL_OK && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && fstatat(dirfd(folder), entry->d_name, &about, 0) == 0 &&
            S_ISDIR(about.st_mode))
            rc = tael_buf_append(names, entry->d_name, strlen(entry->d_name) + 1);
    return rc;
}

/* Protected: a list of the names, each with its NUL behind. */
static int push_names(lua_State *L)
{
    const struct tael_buf *names = lua_touserdata(L, 1);
    lua_newtable(L);
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
        lua_pushstring(L, names->data + at);
        lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
    }
    return 1;
}

/* folder.folders(path) -> names | nil, err */
static int folder_folders(lua_State *L)
{
    struct tael_buf names = {.max = NAMES_MAX};
    tael_refuse_pure(L, "folder.folders");
    DIR *folder = opendir(luaL_checkstring(L, 1));
    if (folder == NULL)
        return tael_bind_fail(L, errno == ENOENT || errno == ENOTDIR ? "not_found" : "unavailable",
                              strerror(errno));
    tael_status rc = list_folders(folder, &names);
    closedir(folder);
    if (rc == TAEL_OK) {
        lua_pushcfunction(L, push_names);
        lua_pushlightuserdata(L, &names);
        rc = lua_pcall(L, 1, 1, 0) == LUA_OK ? TAEL_OK : TAEL_ENOMEM;
    }
    tael_buf_free(&names);
    if (rc == TAEL_OK)
        return 1;
    return tael_bind_fail(L, rc == TAEL_ENOMEM ? "unavailable" : "too_large", tael_status_text(rc));
}

int tael_open_folder(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", folder_read},
        {"folders", folder_folders},
        {"changed", folder_changed},
        {"differing", folder_differing},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
