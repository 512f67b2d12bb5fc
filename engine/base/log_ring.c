/* log_ring.c - a bounded ring of log lines and the thread that writes them (threats R27).
 *
 * Writers put whole lines in under the lock and go; the thread copies a piece out, gives the lock
 * back and writes. 1 The lock is never held over a system call that may wait. 2 A piece is at most
 * PIECE bytes, what a pipe that poll calls writable takes at once, so that the thread can always be
 * ended. 3 A write that fails for good (nobody reads, the disk is full) drops what it held: a log
 * must not stop the engine. What is lost so is counted too, and told before the next line that can
 * be written; of a line that was begun the rest is lost, and nothing else stands on its line.
 */
#include "base/log_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <poll.h>
#include <unistd.h>

#include "base/thread.h"

enum {
    SIZE_DEFAULT = 1024 * 1024,
    PIECE = 4096,
    NOTICE_MAX = 160,
    LAST_WAIT_MS = 1000, /* for a reader that has stopped reading, at the end */
};

struct tael_log_ring {
    int fd;
    struct tael_thread thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t filled;
    bool ending;
    size_t size, start, len;
    uint64_t dropped; /* lines, since the last notice */
    /* the thread's own */
    uint64_t lost; /* lines that could not be written, since that was last told */
    bool torn;     /* what is written ends within a line */
    bool skips;    /* what comes next is the rest of a lost line */
    char data[];
};

/* ---- under the lock ---- */

static void put(struct tael_log_ring *ring, const char *data, size_t len)
{
    assert(len <= ring->size - ring->len);
    size_t at = (ring->start + ring->len) % ring->size;
    size_t first = len < ring->size - at ? len : ring->size - at;
    memcpy(ring->data + at, data, first);
    memcpy(ring->data, data + first, len - first);
    ring->len += len;
}

static size_t take(struct tael_log_ring *ring, char *out, size_t max)
{
    size_t len = ring->len < max ? ring->len : max;
    size_t first = len < ring->size - ring->start ? len : ring->size - ring->start;
    memcpy(out, ring->data + ring->start, first);
    memcpy(out + first, ring->data, len - first);
    ring->start = (ring->start + len) % ring->size;
    ring->len -= len;
    assert(ring->len <= ring->size && ring->start < ring->size);
    return len;
}

/* Says how many lines are missing here. */
static size_t make_notice(char line[NOTICE_MAX], uint64_t count)
{
    char at[32];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &parts);
    return (size_t)snprintf(line, NOTICE_MAX,
                            "{\"at\":\"%s.%03ldZ\",\"level\":\"warn\",\"event\":\"log.dropped\","
                            "\"count\":%llu}\n",
                            at, now.tv_nsec / 1000000, (unsigned long long)count);
}

static void put_notice(struct tael_log_ring *ring)
{
    char line[NOTICE_MAX];
    size_t len = make_notice(line, ring->dropped);
    if (len > ring->size - ring->len)
        return;
    put(ring, line, len);
    ring->dropped = 0;
}

/* ---- the thread ---- */

static bool is_ending(struct tael_log_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    bool ending = ring->ending;
    pthread_mutex_unlock(&ring->lock);
    return ending;
}

/* false: the reader has stopped reading and we are to end. */
static bool await_room(struct tael_log_ring *ring)
{
    for (;;) {
        struct pollfd to = {.fd = ring->fd, .events = POLLOUT};
        bool ending = is_ending(ring);
        int ready = poll(&to, 1, LAST_WAIT_MS);
        if (ready > 0)
            return true;
        if (ready == 0 && ending)
            return false;
    }
}

/* How much of it is written. false: the reader has stopped reading and we are to end. */
static bool write_all(struct tael_log_ring *ring, const char *data, size_t len, size_t *written)
{
    *written = 0;
    while (*written < len) {
        if (!await_room(ring))
            return false;
        ssize_t n = write(ring->fd, data + *written, len - *written);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return true;
        *written += (size_t)n;
        ring->torn = data[*written - 1] != '\n';
    }
    return true;
}

static void lose(struct tael_log_ring *ring, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ring->lost += data[i] == '\n';
    ring->skips = len > 0 ? data[len - 1] != '\n' : ring->skips;
}

/* What was lost, on a line of its own. It stays lost while that cannot be written either. */
static bool tell_lost(struct tael_log_ring *ring)
{
    char line[NOTICE_MAX + 1] = "\n";
    size_t len = make_notice(line + 1, ring->lost) + 1, written;
    size_t start = ring->torn ? 0 : 1;
    if (!write_all(ring, line + start, len - start, &written))
        return false;
    if (written == len - start)
        ring->lost = 0;
    return true;
}

static bool write_piece(struct tael_log_ring *ring, const char *data, size_t len)
{
    size_t written = 0;
    if (ring->skips) {
        const char *end = memchr(data, '\n', len);
        size_t rest = end != NULL ? (size_t)(end - data) + 1 : len;
        lose(ring, data, rest);
        data += rest;
        len -= rest;
    }
    if (len > 0 && ring->lost > 0 && !tell_lost(ring))
        return false;
    if (ring->lost == 0 && !write_all(ring, data, len, &written))
        return false;
    lose(ring, data + written, len - written);
    return true;
}

static void *ring_main(void *user)
{
    struct tael_log_ring *ring = user;
    char piece[PIECE];
    bool read = true;
    while (read) {
        pthread_mutex_lock(&ring->lock);
        while (ring->len == 0 && ring->dropped == 0 && !ring->ending)
            pthread_cond_wait(&ring->filled, &ring->lock);
        if (ring->dropped > 0)
            put_notice(ring);
        size_t len = take(ring, piece, sizeof(piece));
        pthread_mutex_unlock(&ring->lock);
        if (len == 0)
            break;
        read = write_piece(ring, piece, len);
    }
    if (read && ring->lost > 0)
        (void)tell_lost(ring);
    return NULL;
}

/* ---- for others ---- */

void tael_log_ring_write(void *user, tael_log_level level, const char *line, size_t len)
{
    struct tael_log_ring *ring = user;
    (void)level;
    pthread_mutex_lock(&ring->lock);
    if (ring->dropped > 0)
        put_notice(ring); /* before the line that fits again */
    if (ring->dropped == 0 && len <= ring->size - ring->len)
        put(ring, line, len);
    else
        ring->dropped++;
    pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

tael_status tael_log_ring_new(struct tael_log_ring **out, int fd, size_t size)
{
    if (size == 0)
        size = SIZE_DEFAULT;
    struct tael_log_ring *ring = calloc(1, sizeof(*ring) + size);
    if (ring == NULL)
        return TAEL_ENOMEM;
    ring->fd = fd;
    ring->size = size;
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->filled, NULL);
    if (tael_thread_start(&ring->thread, "tael-log", ring_main, ring) != TAEL_OK) {
        pthread_cond_destroy(&ring->filled);
        pthread_mutex_destroy(&ring->lock);
        free(ring);
        return TAEL_ENOMEM;
    }
    *out = ring;
    return TAEL_OK;
}

void tael_log_ring_free(struct tael_log_ring *ring)
{
    if (ring == NULL)
        return;
    pthread_mutex_lock(&ring->lock);
    ring->ending = true;
    pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
    tael_thread_join(&ring->thread);
    pthread_cond_destroy(&ring->filled);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}
