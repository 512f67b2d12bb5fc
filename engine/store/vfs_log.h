/* vfs_log.h - a SQLite VFS over another one: what a commit writes to the write-ahead log goes out
 * in one piece.
 *
 * SQLite writes each page of a commit by two calls, header and page, and a group of units has
 * dozens of pages. Between begin and end they are kept until the sync that makes them durable.
 * Outside, and with any other file, everything is as it is below.
 *
 * Owner: a store has one. Threads: begin, end and what is written between them are the writer's;
 * other connections on it only read the log. Its name is known in the whole process while it lives.
 */
#ifndef TAEL_STORE_VFS_LOG_H
#define TAEL_STORE_VFS_LOG_H

#include "base/bytes.h"

struct tael_vfs_log;

/* under: name of the VFS below; NULL: SQLite's own. TAEL_ENOTFOUND, TAEL_ENOMEM. */
tael_status tael_vfs_log_new(struct tael_vfs_log **out, const char *under);
void tael_vfs_log_free(struct tael_vfs_log *vfs); /* every file is closed; NULL allowed */
const char *tael_vfs_log_name(const struct tael_vfs_log *vfs);

void tael_vfs_log_begin(struct tael_vfs_log *vfs); /* right before a commit */
/* Right after it. What it wrote and did not sync is written if it is good, and dropped if not;
 * false: that failed. */
bool tael_vfs_log_end(struct tael_vfs_log *vfs, bool good);

#endif
