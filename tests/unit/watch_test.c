/* watch_test.c - what counts as a change of a folder of scripts, and what does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/watch.h"
#include "tap.h"

static char folder[] = "/tmp/tael-watch-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

static void move(const char *from, const char *to)
{
    if (rename(at(from), at(to)) != 0)
        abort();
}

static struct tael_watch_change look(struct tael_watch *watch)
{
    struct tael_watch_change change = {0, NULL};
    if (tael_watch_look(watch, &change) != TAEL_OK)
        abort();
    return change;
}

/* Is exactly this file different? NULL: none. It is then accepted. */
static bool only(struct tael_watch *watch, const char *name)
{
    struct tael_watch_change change = look(watch);
    bool right =
        name == NULL ? change.count == 0 : change.count == 1 && strcmp(change.path, at(name)) == 0;
    if (!right)
        printf("# %zu changes, first %s\n", change.count, change.path != NULL ? change.path : "-");
    tael_watch_accept(watch);
    return right;
}

static struct tael_watch *watch_all(void)
{
    struct tael_watch *watch = NULL;
    if (tael_watch_new(&watch) != TAEL_OK || tael_watch_add(watch, at("tael.lua")) != TAEL_OK ||
        tael_watch_add(watch, at("scripts")) != TAEL_OK ||
        tael_watch_add(watch, at("scripts")) != TAEL_OK)
        abort();
    CHECK(tael_watch_places(watch) == 2);
    look(watch);
    tael_watch_accept(watch);
    return watch;
}

static void files_come_change_and_go(void)
{
    struct tael_watch *watch = watch_all();
    CHECK(only(watch, NULL));
    put("tael.lua", "return {}");
    CHECK(only(watch, "tael.lua"));
    put("scripts/deep/er/init.lua", "return 1");
    CHECK(only(watch, "scripts/deep/er/init.lua"));
    put("scripts/deep/er/init.lua", "return 22");
    CHECK(only(watch, "scripts/deep/er/init.lua"));
    usleep(20000); /* the time of a file is that of the kernel's tick */
    put("scripts/deep/er/init.lua", "return 33"); /* as long as before: the time tells */
    CHECK(only(watch, "scripts/deep/er/init.lua"));
    CHECK(only(watch, NULL));
    struct stat before;
    if (stat(at("scripts/deep/er/init.lua"), &before) != 0)
        abort();
    usleep(20000);
    put("scripts/deep/er/init.lua", "return 44");
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    if (utimensat(AT_FDCWD, at("scripts/deep/er/init.lua"), times, 0) != 0)
        abort();
    CHECK_NAMED(only(watch, "scripts/deep/er/init.lua"), "copied over with its old time (cp -p)");
    unlink(at("scripts/deep/er/init.lua"));
    CHECK(only(watch, "scripts/deep/er/init.lua"));
    put("scripts/a.lua", "1");
    put("scripts/b.lua", "1");
    struct tael_watch_change change = look(watch);
    CHECK(change.count == 2 && strcmp(change.path, at("scripts/a.lua")) == 0);
    CHECK_NAMED(look(watch).count == 2, "until it is accepted");
    tael_watch_free(watch);
}

static void saving_by_renaming_is_one_change(void)
{
    struct tael_watch *watch = watch_all();
    put("scripts/.a.lua.swp", "x");
    put("scripts/4913", "");
    put("scripts/a.lua~", "1");
    put("scripts/#a.lua#", "1");
    put("scripts/a.lua.tmp", "2");
    CHECK_NAMED(only(watch, NULL), "what editors leave beside it is nothing");
    move("scripts/a.lua.tmp", "scripts/a.lua");
    CHECK(only(watch, "scripts/a.lua"));
    move("scripts/a.lua", "scripts/a.lua~");
    CHECK_NAMED(only(watch, "scripts/a.lua"), "gone for a moment");
    put("scripts/a.lua", "3");
    CHECK(only(watch, "scripts/a.lua"));
    tael_watch_free(watch);
}

static void writing_has_to_settle(void)
{
    struct tael_watch *watch = watch_all();
    look(watch);
    put("scripts/a.lua", "half");
    look(watch);
    CHECK(!tael_watch_settled(watch));
    put("scripts/a.lua", "half and half");
    look(watch);
    CHECK(!tael_watch_settled(watch));
    CHECK(look(watch).count == 1 && tael_watch_settled(watch));
    tael_watch_free(watch);
}

static void links_are_not_followed_into_circles(void)
{
    struct tael_watch *watch = NULL;
    CHECK(symlink("..", at("scripts/up")) == 0 && symlink("scripts", at("linked")) == 0);
    if (tael_watch_new(&watch) != TAEL_OK || tael_watch_add(watch, at("linked")) != TAEL_OK)
        abort();
    look(watch);
    tael_watch_accept(watch);
    put("scripts/b.lua", "changed");
    CHECK_NAMED(only(watch, "linked/b.lua"), "a root may be a link");
    put("tael.lua", "return { 1 }");
    CHECK_NAMED(only(watch, NULL), "a link inside is not followed");
    tael_watch_free(watch);
    tael_watch_free(NULL);
}

int main(void)
{
    char command[128];
    if (mkdtemp(folder) == NULL || mkdir(at("scripts"), 0700) != 0 ||
        mkdir(at("scripts/deep"), 0700) != 0 || mkdir(at("scripts/deep/er"), 0700) != 0)
        abort();
    files_come_change_and_go();
    saving_by_renaming_is_one_change();
    writing_has_to_settle();
    links_are_not_followed_into_circles();
    snprintf(command, sizeof(command), "rm -r %s", folder);
    if (system(command) != 0)
        return 1;
    return tap_end();
}
