/* watch.h - which files, of some named ones and all below some folders, are no longer what they
 * were.
 *
 * Looks when asked and keeps nothing open: an editor that saves by renaming, a file that comes or
 * goes and a folder that is not there yet are all only differences between two looks. Hidden files
 * and what editors leave beside the file are passed over, links to folders are not followed. One
 * thread.
 */
#ifndef TAEL_BASE_WATCH_H
#define TAEL_BASE_WATCH_H

#include "tael.h"

#include <stdbool.h>
#include <stddef.h>

struct tael_watch;

enum { TAEL_WATCH_FILES_MAX = 10000, TAEL_WATCH_DEPTH_MAX = 16 };

struct tael_watch_change {
    size_t count;     /* files that are new, gone or different */
    const char *path; /* of the first, by name; the watch's until the next look */
};

tael_status tael_watch_new(struct tael_watch **out);
void tael_watch_free(struct tael_watch *watch); /* NULL allowed */

/* A file or folder, there or not. Said twice it counts once. */
tael_status tael_watch_add(struct tael_watch *watch, const char *path);

size_t tael_watch_places(const struct tael_watch *watch); /* how many were added */

/* Looks, and compares with what was accepted last; nothing, before. */
tael_status tael_watch_look(struct tael_watch *watch, struct tael_watch_change *out);

/* Did the last look see what the one before it saw? Whoever is still writing makes them differ. */
bool tael_watch_settled(const struct tael_watch *watch);

/* What was seen last is what it was. */
void tael_watch_accept(struct tael_watch *watch);

#endif
