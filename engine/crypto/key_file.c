/* key_file.c - files of a key folder. Blocking calls: used while starting and by commands.
 *
 * 1 What is checked is the open file, not its name. 2 Every buffer that held a secret is in secure
 * memory. 3 A file that exists is whole: it was synced before it got its name.
 */
#include "crypto/key_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include "crypto/cipher.h"
#include "crypto/codec.h"
#include "crypto/digest.h"

static const char seal_begin[] = "-----BEGIN TAEL SEALED FILE-----\n";
static const char seal_end[] = "\n-----END TAEL SEALED FILE-----\n";

tael_status tael_key_refuse(tael_error *err, tael_status status, const char *code,
                            const char *format, ...)
{
    if (err == NULL)
        return status;
    *err = (tael_error){.status = status};
    snprintf(err->code, sizeof(err->code), "%s", code);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return status;
}

tael_status tael_key_refuse_errno(tael_error *err, const char *path, int number)
{
    char text[128];
    if (number == ENOENT)
        return tael_key_refuse(err, TAEL_ENOTFOUND, "not_found", "%s: not there", path);
    return tael_key_refuse(err, TAEL_EINVAL, number == EACCES ? "forbidden" : "invalid", "%s: %s",
                           path, strerror_r(number, text, sizeof(text)));
}

void tael_secure_text_free(struct tael_secure_text *text)
{
    tael_secure_free(text->data, text->len);
    *text = (struct tael_secure_text){NULL, 0};
}

static tael_status join(char path[TAEL_KEY_PATH_MAX], const char *folder, const char *name,
                        tael_error *err)
{
    int len = snprintf(path, TAEL_KEY_PATH_MAX, "%s/%s", folder, name);
    if (len < 0 || len >= TAEL_KEY_PATH_MAX)
        return tael_key_refuse(err, TAEL_EINVAL, "invalid", "the path of a key is too long");
    return TAEL_OK;
}

/* ---- modes ---- */

static bool is_ours(const struct stat *st)
{
    return st->st_uid == geteuid() || st->st_uid == 0;
}

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t end_len = strlen(end);
    return len > end_len && memcmp(name + len - end_len, end, end_len) == 0;
}

static tael_status check_file(const struct stat *st, const char *path, tael_error *err)
{
    unsigned mode = (unsigned)st->st_mode & 07777u;
    unsigned allowed = ends_with(path, ".pub") ? 0644u : 0600u;
    if (!S_ISREG(st->st_mode))
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden", "%s: not a regular file", path);
    if (!is_ours(st))
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden", "%s: belongs to another user", path);
    if ((mode & ~allowed) != 0)
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden",
                               "%s: mode %04o is too open; chmod 600 or 400", path, mode);
    return TAEL_OK;
}

static tael_status check_folder(const char *folder, tael_error *err)
{
    struct stat st;
    if (stat(folder, &st) != 0)
        return tael_key_refuse_errno(err, folder, errno);
    if (!S_ISDIR(st.st_mode))
        return tael_key_refuse(err, TAEL_EINVAL, "invalid", "%s: not a folder", folder);
    if (!is_ours(&st))
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden", "%s: belongs to another user",
                               folder);
    if ((st.st_mode & 077) != 0)
        return tael_key_refuse(err, TAEL_EINVAL, "forbidden",
                               "%s: mode %04o is open to others; chmod 700", folder,
                               (unsigned)st.st_mode & 07777u);
    return TAEL_OK;
}

/* Opens for reading and checks what was opened. */
static tael_status open_checked(const char *path, int *out, struct stat *st, tael_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe must not stop us */
    if (fd < 0)
        return tael_key_refuse_errno(err, path, errno);
    tael_status rc =
        fstat(fd, st) == 0 ? check_file(st, path, err) : tael_key_refuse_errno(err, path, errno);
    if (rc == TAEL_OK)
        *out = fd;
    else
        close(fd);
    return rc;
}

tael_status tael_key_file_identify(const char *folder, const char *name,
                                   struct tael_file_identity *out, tael_error *err)
{
    char path[TAEL_KEY_PATH_MAX];
    struct stat st;
    int fd = -1;
    tael_status rc = join(path, folder, name, err);
    if (rc == TAEL_OK)
        rc = open_checked(path, &fd, &st, err);
    if (rc != TAEL_OK)
        return rc;
    close(fd);
    *out = (struct tael_file_identity){
        .device = st.st_dev,
        .inode = st.st_ino,
        .size = (uint64_t)st.st_size,
        .changed_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
    };
    return TAEL_OK;
}

tael_status tael_key_folder_check(const char *folder, tael_error *err)
{
    tael_status rc = check_folder(folder, err);
    if (rc != TAEL_OK)
        return rc;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return tael_key_refuse_errno(err, folder, errno);
    const struct dirent *entry;
    while (rc == TAEL_OK && (entry = readdir(dir)) != NULL) {
        struct tael_file_identity identity;
        const char *name = entry->d_name;
        if (ends_with(name, ".key") || ends_with(name, ".pub") || ends_with(name, ".secret"))
            rc = tael_key_file_identify(folder, name, &identity, err);
    }
    closedir(dir);
    return rc;
}

/* ---- sealing ---- */

/* The key of one file: nothing is sealed twice under it but another version of the same file. */
static tael_status seal_key(const struct tael_secret *master, const char *name,
                            unsigned char out[TAEL_DIGEST_MAX])
{
    char label[TAEL_KEY_PATH_MAX];
    size_t len = 0;
    int label_len = snprintf(label, sizeof(label), "tael key file %s", name);
    if (label_len < 0 || (size_t)label_len >= sizeof(label))
        return TAEL_EINVAL;
    return tael_hmac_of(TAEL_DIGEST_SHA256, tael_secret_bytes(master),
                        (struct tael_span){label, (size_t)label_len}, out, &len);
}

static bool is_sealed(struct tael_span text)
{
    size_t begin = sizeof(seal_begin) - 1;
    size_t end = sizeof(seal_end) - 1;
    return text.len > begin + end && memcmp(text.data, seal_begin, begin) == 0 &&
           memcmp(text.data + text.len - end, seal_end, end) == 0;
}

static tael_status seal(const struct tael_secret *master, const char *name, struct tael_span text,
                        struct tael_buf *out)
{
    unsigned char *key = tael_secure_alloc(TAEL_DIGEST_MAX);
    unsigned char nonce[TAEL_GCM_NONCE];
    size_t sealed_len = text.len + TAEL_GCM_EXTRA;
    struct tael_buf sealed = {0}; /* cipher text: no secret */
    tael_status rc = key != NULL ? seal_key(master, name, key) : TAEL_ENOMEM;
    if (rc == TAEL_OK)
        rc = tael_system_random(nonce, sizeof(nonce));
    if (rc == TAEL_OK)
        rc = tael_buf_reserve(&sealed, sealed_len);
    if (rc == TAEL_OK)
        rc = tael_gcm_seal(key, nonce, text, tael_span_of(name), (unsigned char *)sealed.data);
    if (rc == TAEL_OK)
        rc = tael_buf_append_text(out, seal_begin);
    if (rc == TAEL_OK)
        rc = tael_buf_reserve(out, tael_base64_room(sealed_len));
    if (rc == TAEL_OK)
        out->len += tael_base64_encode(out->data + out->len, sealed.data, sealed_len);
    if (rc == TAEL_OK)
        rc = tael_buf_append_text(out, seal_end);
    tael_buf_free(&sealed);
    tael_secure_free(key, TAEL_DIGEST_MAX);
    return rc;
}

static tael_status unseal(const struct tael_secret *master, const char *name, struct tael_span text,
                          struct tael_secure_text *out)
{
    struct tael_span body = {text.data + sizeof(seal_begin) - 1,
                             text.len - (sizeof(seal_begin) - 1) - (sizeof(seal_end) - 1)};
    unsigned char *key = tael_secure_alloc(TAEL_DIGEST_MAX);
    size_t room = tael_base64_bytes_room(body.len);
    unsigned char *sealed = tael_secure_alloc(room);
    struct tael_secure_text plain = {tael_secure_alloc(room), room};
    size_t len = 0;
    tael_status rc = TAEL_ENOMEM;
    if (key == NULL || sealed == NULL || plain.data == NULL)
        goto free_memory;
    rc = TAEL_EINVAL;
    if (!tael_base64_decode(sealed, &len, body.data, body.len))
        goto free_memory;
    rc = seal_key(master, name, key);
    if (rc == TAEL_OK)
        rc = tael_gcm_open(key, (struct tael_span){(const char *)sealed, len}, tael_span_of(name),
                           (unsigned char *)plain.data, &len);
    if (rc != TAEL_OK)
        goto free_memory;
    plain.len = len; /* the rest of the memory was never written */
    *out = plain;
    plain.data = NULL;
free_memory:
    tael_secure_text_free(&plain);
    tael_secure_free(sealed, room);
    tael_secure_free(key, TAEL_DIGEST_MAX);
    return rc;
}

/* ---- reading ---- */

static tael_status read_all(int fd, const char *path, struct tael_secure_text *out, tael_error *err)
{
    struct tael_secure_text text = {tael_secure_alloc(TAEL_KEY_FILE_MAX), TAEL_KEY_FILE_MAX};
    if (text.data == NULL)
        return tael_key_refuse(err, TAEL_ENOMEM, "out_of_memory", "out of memory for secrets");
    tael_status rc = TAEL_OK;
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, text.data + len, text.len - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = tael_key_refuse_errno(err, path, errno);
        if (got <= 0)
            break;
        len += (size_t)got;
        if (len == text.len) {
            rc = tael_key_refuse(err, TAEL_EINVAL, "invalid", "%s: too long for a key", path);
            break;
        }
    }
    if (rc == TAEL_OK) {
        *out = (struct tael_secure_text){tael_secure_alloc(len), len};
        if (out->data != NULL)
            memcpy(out->data, text.data, len);
        else
            rc = tael_key_refuse(err, TAEL_ENOMEM, "out_of_memory", "out of memory for secrets");
    }
    tael_secure_text_free(&text);
    return rc;
}

tael_status tael_key_file_read(const char *folder, const char *name,
                               const struct tael_secret *master, struct tael_secure_text *out,
                               tael_error *err)
{
    char path[TAEL_KEY_PATH_MAX];
    struct stat st;
    int fd = -1;
    struct tael_secure_text text = {NULL, 0};
    tael_status rc = join(path, folder, name, err);
    if (rc == TAEL_OK)
        rc = open_checked(path, &fd, &st, err);
    if (rc != TAEL_OK)
        return rc;
    rc = read_all(fd, path, &text, err);
    close(fd);
    if (rc != TAEL_OK)
        return rc;
    struct tael_span view = {text.data, text.len};
    if (!is_sealed(view)) {
        *out = text;
        return TAEL_OK;
    }
    if (master == NULL)
        rc = tael_key_refuse(err, TAEL_EINVAL, "invalid",
                             "%s: is sealed, and there is no master key", path);
    else if ((rc = unseal(master, name, view, out)) != TAEL_OK)
        tael_key_refuse(err, rc, "invalid", "%s: cannot be opened with this master key", path);
    tael_secure_text_free(&text);
    return rc;
}

/* ---- writing ---- */

static bool write_all(int fd, struct tael_span text)
{
    size_t done = 0;
    while (done < text.len) {
        ssize_t n = write(fd, text.data + done, text.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

/* Writes text to a file of its own beside path, then gives it the name. */
static tael_status place(const char *folder, const char *path, struct tael_span text,
                         tael_error *err)
{
    char beside[TAEL_KEY_PATH_MAX];
    int len = snprintf(beside, sizeof(beside), "%s/.new-XXXXXX", folder);
    if (len < 0 || (size_t)len >= sizeof(beside))
        return tael_key_refuse(err, TAEL_EINVAL, "invalid", "the path of a key is too long");
    int fd = mkostemp(beside, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return tael_key_refuse_errno(err, folder, errno);
    tael_status rc = TAEL_OK;
    bool written = fchmod(fd, 0600) == 0 && write_all(fd, text) && fsync(fd) == 0;
    int number = errno;
    if (close(fd) != 0 && written) {
        number = errno;
        written = false;
    }
    if (!written)
        rc = tael_key_refuse_errno(err, path, number);
    else if (link(beside, path) != 0)
        rc = errno == EEXIST
                 ? tael_key_refuse(err, TAEL_EINVAL, "exists", "%s: exists already", path)
                 : tael_key_refuse_errno(err, path, errno);
    unlink(beside);
    if (rc == TAEL_OK && !sync_folder(folder))
        rc = tael_key_refuse_errno(err, folder, errno);
    return rc;
}

tael_status tael_key_file_write(const char *folder, const char *name,
                                const struct tael_secret *master, struct tael_span text,
                                tael_error *err)
{
    char path[TAEL_KEY_PATH_MAX];
    struct tael_buf sealed = {0};
    tael_status rc = check_folder(folder, err);
    if (rc == TAEL_OK)
        rc = join(path, folder, name, err);
    if (rc != TAEL_OK)
        return rc;
    if (master != NULL && !ends_with(name, ".pub")) {
        rc = seal(master, name, text, &sealed);
        if (rc == TAEL_OK)
            rc = place(folder, path, (struct tael_span){sealed.data, sealed.len}, err);
        else
            tael_key_refuse(err, rc, "internal", "%s: cannot be sealed", path);
        tael_buf_free(&sealed);
        return rc;
    }
    return place(folder, path, text, err);
}
