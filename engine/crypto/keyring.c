/* keyring.c - names to files, files to keys. */
#include "crypto/keyring.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <pthread.h>
#include <unistd.h>

#include <search.h>

#include "crypto/codec.h"
#include "crypto/key_file.h"

enum { NAME_MAX_LEN = 64, FILE_NAME_MAX = NAME_MAX_LEN + 8 };

struct kept { /* a key that was read */
    char file[FILE_NAME_MAX];
    bool weak;
    struct tael_file_identity identity;
    struct tael_key *key;
};

struct tael_keyring {
    atomic_size_t holders;
    char *folder;
    struct tael_secret *master;
    pthread_mutex_t lock; /* of the tree; no file is read under it */
    void *kept;           /* a tree (tsearch) of struct kept: there may be one for each merchant */
};

struct tael_shared_keyring {
    pthread_mutex_t lock;
    struct tael_keyring *ring; /* NULL: none was opened yet */
};

static const char *const endings[] = {
    [TAEL_KIND_KEY] = "key", [TAEL_KIND_PUB] = "pub", [TAEL_KIND_SECRET] = "secret"};

static bool is_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LEN || name[0] == '.' || name[0] == '-' || name[0] == '_')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

static tael_status file_name(char out[FILE_NAME_MAX], const char *name, enum tael_key_kind kind,
                             tael_error *err)
{
    if (!is_name(name))
        return tael_key_refuse(err, TAEL_EINVAL, "invalid", "not the name of a key");
    snprintf(out, FILE_NAME_MAX, "%s.%s", name, endings[kind]);
    return TAEL_OK;
}

static tael_status out_of_memory(tael_error *err)
{
    return tael_key_refuse(err, TAEL_ENOMEM, "out_of_memory", "out of memory");
}

tael_status tael_keyring_open(struct tael_keyring **out, const char *folder,
                              struct tael_secret *master, tael_error *err)
{
    tael_status rc = tael_key_folder_check(folder, err);
    if (rc != TAEL_OK)
        return rc;
    struct tael_keyring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL)
        return out_of_memory(err);
    ring->folder = strdup(folder);
    if (ring->folder == NULL) {
        free(ring);
        return out_of_memory(err);
    }
    ring->master = master != NULL ? tael_secret_hold(master) : NULL;
    atomic_init(&ring->holders, 1);
    pthread_mutex_init(&ring->lock, NULL);
    *out = ring;
    return TAEL_OK;
}

static void forget(void *node)
{
    struct kept *kept = node;
    tael_key_release(kept->key);
    free(kept);
}

void tael_keyring_release(struct tael_keyring *ring)
{
    if (ring == NULL || atomic_fetch_sub(&ring->holders, 1) > 1)
        return;
    tdestroy(ring->kept, forget);
    pthread_mutex_destroy(&ring->lock);
    tael_secret_release(ring->master);
    free(ring->folder);
    free(ring);
}

const char *tael_keyring_folder(const struct tael_keyring *ring)
{
    return ring->folder;
}

/* ---- sharing ---- */

tael_status tael_shared_keyring_new(struct tael_shared_keyring **out)
{
    struct tael_shared_keyring *shared = calloc(1, sizeof(*shared));
    if (shared == NULL)
        return TAEL_ENOMEM;
    pthread_mutex_init(&shared->lock, NULL);
    *out = shared;
    return TAEL_OK;
}

void tael_shared_keyring_free(struct tael_shared_keyring *shared)
{
    if (shared == NULL)
        return;
    tael_keyring_release(shared->ring);
    pthread_mutex_destroy(&shared->lock);
    free(shared);
}

static struct tael_keyring *hold(struct tael_keyring *ring)
{
    atomic_fetch_add(&ring->holders, 1);
    return ring;
}

tael_status tael_shared_keyring_open(struct tael_shared_keyring *shared, struct tael_keyring **out,
                                     const char *folder, struct tael_secret *master,
                                     tael_error *err)
{
    tael_status rc = TAEL_OK;
    pthread_mutex_lock(&shared->lock);
    if (shared->ring != NULL && strcmp(shared->ring->folder, folder) == 0) {
        *out = hold(shared->ring);
    } else {
        rc = tael_keyring_open(out, folder, master, err);
        if (rc == TAEL_OK && shared->ring == NULL)
            shared->ring = hold(*out);
    }
    pthread_mutex_unlock(&shared->lock);
    return rc;
}

/* ---- keys ---- */

static int in_order(const void *left, const void *right)
{
    const struct kept *a = left;
    const struct kept *b = right;
    int order = strcmp(a->file, b->file);
    return order != 0 ? order : (int)a->weak - (int)b->weak;
}

/* Under the lock, as keep. */
static struct kept *find_kept(struct tael_keyring *ring, const struct kept *like)
{
    struct kept *const *found = tfind(like, &ring->kept, in_order);
    return found != NULL ? *found : NULL;
}

/* Holds the key. Without memory for it the key is not kept, that is all. */
static void keep(struct tael_keyring *ring, const struct kept *like, struct tael_key *key)
{
    struct kept *kept = find_kept(ring, like);
    if (kept == NULL) {
        kept = calloc(1, sizeof(*kept));
        if (kept == NULL)
            return;
        *kept = *like;
        if (tsearch(kept, &ring->kept, in_order) == NULL) {
            free(kept);
            return;
        }
    }
    tael_key_release(kept->key);
    kept->key = tael_key_hold(key);
    kept->identity = like->identity;
}

static bool same_file(const struct tael_file_identity *a, const struct tael_file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_ns == b->changed_ns;
}

/* The key of this file, held; NULL: it was not read yet, or has changed since. */
static struct tael_key *kept_key(struct tael_keyring *ring, const struct kept *like)
{
    struct tael_key *key = NULL;
    pthread_mutex_lock(&ring->lock);
    const struct kept *kept = find_kept(ring, like);
    if (kept != NULL && same_file(&kept->identity, &like->identity))
        key = tael_key_hold(kept->key);
    pthread_mutex_unlock(&ring->lock);
    return key;
}

static tael_status read_key(struct tael_keyring *ring, const char *file, enum tael_key_use use,
                            bool weak, struct tael_key **out, tael_error *err)
{
    struct tael_secure_text text = {NULL, 0};
    tael_error why = {0};
    tael_status rc = tael_key_file_read(ring->folder, file, ring->master, &text, err);
    if (rc != TAEL_OK)
        return rc;
    rc = tael_key_parse(out, (struct tael_span){text.data, text.len}, use, weak, &why);
    tael_secure_text_free(&text);
    if (rc != TAEL_OK)
        tael_key_refuse(err, rc, why.code, "%s/%s: %s", ring->folder, file, why.message);
    return rc;
}

tael_status tael_keyring_key(struct tael_keyring *ring, const char *name, enum tael_key_use use,
                             bool weak, struct tael_key **out, tael_error *err)
{
    struct kept like = {.weak = weak};
    enum tael_key_kind kind = use == TAEL_KEY_SIGN ? TAEL_KIND_KEY : TAEL_KIND_PUB;
    tael_status rc = file_name(like.file, name, kind, err);
    if (rc == TAEL_OK)
        rc = tael_key_file_identify(ring->folder, like.file, &like.identity, err);
    if (rc != TAEL_OK)
        return rc;
    *out = kept_key(ring, &like);
    if (*out != NULL)
        return TAEL_OK;
    rc = read_key(ring, like.file, use, weak, out, err);
    if (rc != TAEL_OK)
        return rc;
    pthread_mutex_lock(&ring->lock);
    keep(ring, &like, *out);
    pthread_mutex_unlock(&ring->lock);
    return TAEL_OK;
}

static tael_status no_text(tael_error *err, tael_status rc)
{
    return tael_key_refuse(err, rc, "internal", "the key cannot be written as text");
}

static tael_status write_private(const struct tael_keyring *ring, const char *name,
                                 const struct tael_key *key, tael_error *err)
{
    char file[FILE_NAME_MAX];
    struct tael_secure_text pem = {NULL, 0};
    tael_status rc = file_name(file, name, TAEL_KIND_KEY, err);
    if (rc != TAEL_OK)
        return rc;
    rc = tael_key_private_pem(key, &pem.data, &pem.len);
    rc = rc == TAEL_OK ? tael_key_file_write(ring->folder, file, ring->master,
                                             (struct tael_span){pem.data, pem.len}, err)
                       : no_text(err, rc);
    tael_secure_text_free(&pem);
    return rc;
}

static tael_status write_public(const struct tael_keyring *ring, const char *name,
                                const struct tael_key *key, tael_error *err)
{
    char file[FILE_NAME_MAX];
    struct tael_buf pem = {0};
    tael_status rc = file_name(file, name, TAEL_KIND_PUB, err);
    if (rc != TAEL_OK)
        return rc;
    rc = tael_key_public_pem(key, &pem);
    rc = rc == TAEL_OK ? tael_key_file_write(ring->folder, file, NULL,
                                             (struct tael_span){pem.data, pem.len}, err)
                       : no_text(err, rc);
    tael_buf_free(&pem);
    return rc;
}

static tael_status check_absent(const struct tael_keyring *ring, const char *name,
                                enum tael_key_kind kind, tael_error *err)
{
    char file[FILE_NAME_MAX];
    tael_status rc = file_name(file, name, kind, err);
    if (rc == TAEL_OK && tael_keyring_exists(ring, name, kind))
        rc = tael_key_refuse(err, TAEL_EINVAL, "exists", "%s/%s: exists already", ring->folder,
                             file);
    return rc;
}

tael_status tael_keyring_add_key(struct tael_keyring *ring, const char *name, int bits,
                                 tael_error *err)
{
    struct tael_key *key = NULL;
    tael_status rc = check_absent(ring, name, TAEL_KIND_KEY, err);
    if (rc == TAEL_OK)
        rc = check_absent(ring, name, TAEL_KIND_PUB, err);
    if (rc == TAEL_OK)
        rc = tael_key_generate(&key, bits, err);
    if (rc == TAEL_OK) /* first: what a crash leaves out can be made of it */
        rc = write_private(ring, name, key, err);
    if (rc == TAEL_OK)
        rc = write_public(ring, name, key, err);
    tael_key_release(key);
    return rc;
}

tael_status tael_keyring_add_public(struct tael_keyring *ring, const char *name, tael_error *err)
{
    struct tael_key *key = NULL;
    tael_status rc = check_absent(ring, name, TAEL_KIND_PUB, err);
    if (rc == TAEL_OK)
        rc = tael_keyring_key(ring, name, TAEL_KEY_SIGN, true, &key, err);
    if (rc == TAEL_OK)
        rc = write_public(ring, name, key, err);
    tael_key_release(key);
    return rc;
}

bool tael_keyring_exists(const struct tael_keyring *ring, const char *name, enum tael_key_kind kind)
{
    char file[FILE_NAME_MAX];
    char path[TAEL_KEY_PATH_MAX];
    if (file_name(file, name, kind, NULL) != TAEL_OK)
        return false;
    int len = snprintf(path, sizeof(path), "%s/%s", ring->folder, file);
    return len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

/* ---- secrets ---- */

/* Decodes in place; the line may end with a line break. */
static bool decode_secret(struct tael_secure_text *text, size_t *len)
{
    size_t n = text->len;
    while (n > 0 && (text->data[n - 1] == '\n' || text->data[n - 1] == '\r'))
        n--;
    return tael_base64_decode(text->data, len, text->data, n);
}

tael_status tael_keyring_secret(struct tael_keyring *ring, const char *name,
                                struct tael_secret **out, tael_error *err)
{
    char file[FILE_NAME_MAX];
    struct tael_secure_text text = {NULL, 0};
    tael_status rc = file_name(file, name, TAEL_KIND_SECRET, err);
    if (rc == TAEL_OK)
        rc = tael_key_file_read(ring->folder, file, ring->master, &text, err);
    if (rc != TAEL_OK)
        return rc;
    size_t len = 0;
    rc = decode_secret(&text, &len) ? tael_secret_new(out, text.data, len) : TAEL_EINVAL;
    tael_secure_text_free(&text);
    if (rc == TAEL_EINVAL)
        tael_key_refuse(err, rc, "invalid", "%s/%s: not the base64 of %d to %d bytes", ring->folder,
                        file, TAEL_SECRET_MIN, TAEL_SECRET_MAX);
    else if (rc != TAEL_OK)
        out_of_memory(err);
    return rc;
}

tael_status tael_keyring_add_secret(struct tael_keyring *ring, const char *name,
                                    struct tael_span bytes, tael_error *err)
{
    char file[FILE_NAME_MAX];
    tael_status rc = file_name(file, name, TAEL_KIND_SECRET, err);
    if (rc != TAEL_OK)
        return rc;
    if (bytes.len < TAEL_SECRET_MIN || bytes.len > TAEL_SECRET_MAX)
        return tael_key_refuse(err, TAEL_EINVAL, "invalid", "a secret has %d to %d bytes",
                               TAEL_SECRET_MIN, TAEL_SECRET_MAX);
    size_t room = tael_base64_room(bytes.len) + 1;
    char *text = tael_secure_alloc(room);
    if (text == NULL)
        return out_of_memory(err);
    size_t len = tael_base64_encode(text, bytes.data, bytes.len);
    text[len++] = '\n';
    rc = tael_key_file_write(ring->folder, file, ring->master, (struct tael_span){text, len}, err);
    tael_secure_free(text, room);
    return rc;
}
