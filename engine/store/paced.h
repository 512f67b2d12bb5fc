/* paced.h - a VFS in front of the system's, for the connection that copies the log: each page that
 * it writes goes to the disk at once, and is waited for. What was only written would all go when
 * the file is synced, and keep the log, which every commit waits for, from the disk for as long.
 *
 * One thread writes by it, the copier's.
 */
#ifndef TAEL_STORE_PACED_H
#define TAEL_STORE_PACED_H

#include "tael.h"

struct tael_paced;

/* path: of the database, which is there. TAEL_ENOMEM, TAEL_ESTORE. */
tael_status tael_paced_new(struct tael_paced **out, const char *path);
const char *tael_paced_name(const struct tael_paced *paced);
/* Nothing is open by it any more, and nobody else in this process has the file open: its own
 * descriptor is closed, and with that all locks go that the process has on the file. NULL allowed.
 */
void tael_paced_free(struct tael_paced *paced);

#endif
