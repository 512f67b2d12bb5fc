/* mem_file.h - a file of the disk in memory: what reads see, what the disk has, what lies between.
 * Only vfs_mem.c includes it; all calls are made under the VFS's lock.
 */
#ifndef TAEL_STORE_MEM_FILE_H
#define TAEL_STORE_MEM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tael_mem_image {
    unsigned char *data;
    size_t len, cap;
    bool there; /* the file exists */
};

struct tael_mem_step { /* a write; len 0: a truncation to at */
    struct tael_mem_step *next;
    size_t at, len;
    unsigned char data[];
};

struct tael_mem_file {
    struct tael_mem_file *next;
    char *path;
    struct tael_mem_image now, safe;       /* what reads see; what the disk has */
    struct tael_mem_step *first, **behind; /* from safe to now, in order */
    int shared;                            /* handles with at least a shared lock */
    const void *reserved;                  /* handle that may write next */
    bool pending, exclusive;               /* of the reserved one */
    bool temporary;
};

uint64_t tael_mem_draw(uint64_t *random); /* splitmix64 */

struct tael_mem_file *tael_mem_file_new(const char *path); /* NULL: no memory */
void tael_mem_file_free(struct tael_mem_file *file);
/* Writes len bytes at a place, or, len 0, cuts the file there. false: no memory, nothing done. */
bool tael_mem_file_step(struct tael_mem_file *file, size_t at, const void *data, size_t len);
/* All that waits is on the disk. */
bool tael_mem_file_sync(struct tael_mem_file *file);
/* The generator says what of all that waits has reached the disk; nothing waits any more. */
bool tael_mem_file_gamble(struct tael_mem_file *file, uint64_t *random);
/* The same for the file's name; then reads see what the disk has. */
void tael_mem_file_lose_power(struct tael_mem_file *file, uint64_t *random);
void tael_mem_file_remove(struct tael_mem_file *file, bool durably);

#endif
