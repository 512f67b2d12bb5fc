/* tls_files.c - see tls_files.h. */
#include "net/tls_files.h"

#include <errno.h>
#include <stdlib.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the key ---- */

/* Calls read with the folder and the name that path is made of. */
static tael_status split(const char *path, char folder[TAEL_KEY_PATH_MAX], const char **name,
                         tael_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 1;
    if (len >= TAEL_KEY_PATH_MAX)
        return tael_key_refuse(err, TAEL_EINVAL, "invalid", "the path of a key is too long");
    memcpy(folder, slash != NULL ? path : ".", len);
    folder[len] = '\0';
    *name = slash != NULL ? slash + 1 : path;
    size_t name_len = strlen(*name);
    if (name_len >= 4 && strcmp(*name + name_len - 4, ".pub") == 0) /* others may read such files */
        return tael_key_refuse(err, TAEL_EINVAL, "invalid",
                               "%s: a private key is not named .pub; rename it", path);
    return TAEL_OK;
}

tael_status tael_tls_key_check(const char *path, tael_error *err)
{
    char folder[TAEL_KEY_PATH_MAX];
    const char *name = NULL;
    struct tael_file_identity identity;
    tael_status rc = split(path, folder, &name, err);
    return rc == TAEL_OK ? tael_key_file_identify(folder, name, &identity, err) : rc;
}

tael_status tael_tls_key_read(const char *path, struct tael_secure_text *out, tael_error *err)
{
    char folder[TAEL_KEY_PATH_MAX];
    const char *name = NULL;
    tael_status rc = split(path, folder, &name, err);
    return rc == TAEL_OK ? tael_key_file_read(folder, name, NULL, out, err) : rc;
}

/* ---- the chain ---- */

static tael_status check_chain(const struct stat *st, const char *path, tael_error *err)
{
    if (!S_ISREG(st->st_mode))
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden", "%s: not a regular file", path);
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden", "%s: belongs to another user", path);
    if ((st->st_mode & 022) != 0)
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden",
                               "%s: mode %04o lets others write it; chmod 644", path,
                               (unsigned)st->st_mode & 07777u);
    return TAEL_OK;
}

static tael_status read_all(int fd, const char *path, struct tael_buf *out, tael_error *err)
{
    char piece[4096];
    out->max = TAEL_TLS_CHAIN_MAX;
    for (;;) {
        ssize_t got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tael_key_refuse_errno(err, path, errno);
        if (got == 0)
            return TAEL_OK;
        tael_status rc = tael_buf_append(out, piece, (size_t)got);
        if (rc == TAEL_ELIMIT)
            return tael_key_refuse(err, TAEL_EINVAL, "invalid",
                                   "%s: too long for certificates; is it another file?", path);
        if (rc != TAEL_OK)
            return tael_key_refuse(err, rc, "out_of_memory", "out of memory for certificates");
    }
}

tael_status tael_tls_chain_read(const char *path, struct tael_buf *out, tael_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe must not stop us */
    if (fd < 0)
        return tael_key_refuse_errno(err, path, errno);
    tael_status rc =
        fstat(fd, &st) == 0 ? check_chain(&st, path, err) : tael_key_refuse_errno(err, path, errno);
    if (rc == TAEL_OK)
        rc = read_all(fd, path, out, err);
    close(fd);
    if (rc != TAEL_OK)
        tael_buf_free(out);
    return rc;
}

/* ---- change ---- */

static bool identify(const char *path, struct tael_file_identity *out)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    *out = (struct tael_file_identity){
        .device = st.st_dev,
        .inode = st.st_ino,
        .size = (uint64_t)st.st_size,
        .changed_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
    };
    return true;
}

bool tael_tls_files_identify(const char *chain, const char *key, struct tael_file_identity out[2])
{
    memset(out, 0, 2 * sizeof(*out)); /* they are compared as bytes */
    return identify(chain, &out[0]) && identify(key, &out[1]);
}
