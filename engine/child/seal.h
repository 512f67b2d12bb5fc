/* seal.h - what a script's process may still do once it runs strangers' scripts: compute, and talk
 * over one descriptor (threats.md R40). Nothing of it can be taken back. The whole process.
 */
#ifndef TAEL_CHILD_SEAL_H
#define TAEL_CHILD_SEAL_H

#include <stdbool.h>

enum { TAEL_CHILD_SOCKET = 3 };

/* Closes every descriptor but the socket, sets limits (no new file, no process, no core, at most
 * 256 MiB of addresses), forbids new privileges, and kills this process at any system call that is
 * not on a short list. False: the process must not run any script. Where a sanitizer is compiled
 * in, which needs the system itself, addresses are not limited and calls are not filtered. */
bool tael_child_seal(void);

#endif
