/* dev_log.h - the log of tael dev: every line to a file, errors and alarms to the terminal as well,
 * each as one short line. Owner: the main thread; write as tael_options.log, one thread at a time.
 */
#ifndef TAEL_DEV_LOG_H
#define TAEL_DEV_LOG_H

#include "tael.h"

#include <stddef.h>

struct tael_dev_log;

/* Begins FOLDER/dev.log anew when it has grown beyond 8 MiB. */
tael_status tael_dev_log_open(struct tael_dev_log **out, const char *folder, tael_error *err);
/* As tael_options.log; user: the log. */
void tael_dev_log_write(void *user, tael_log_level level, const char *line, size_t len);
void tael_dev_log_free(struct tael_dev_log *log); /* NULL allowed */

/* {"at":"…","level":"error","event":"alarm","kind":"paid_late",…} -> "BEGIN alarm kind=paid_late …"
 * and a line break; the length, 0 when it is no such line. Where a merchant's or operator's code
 * failed, the calls that led there stand below. */
size_t tael_dev_log_brief(const char *begin, const char *line, size_t len, char *out, size_t size);

#endif
