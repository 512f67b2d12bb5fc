/* log_ring_test.c - a reader that does not read costs lines, never time; nothing is torn. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log_ring.h"
#include "tests/unit/tap.h"

static char *drain(int fd)
{
    char *text = calloc(1, 1 << 20);
    size_t len = 0;
    for (ssize_t n = 1; n > 0; len += n > 0 ? (size_t)n : 0)
        n = read(fd, text + len, (1 << 20) - 1 - len);
    return text;
}

static void lines_come_whole_and_in_order(void)
{
    int fds[2];
    struct tael_log_ring *ring = NULL;
    char *want = calloc(1, 1 << 18), line[64];
    CHECK(pipe(fds) == 0 && tael_log_ring_new(&ring, fds[1], 0) == TAEL_OK);
    for (int i = 0; i < 1000; i++) { /* less than the pipe holds */
        int len = snprintf(line, sizeof(line), "{\"event\":\"test\",\"n\":%d}\n", i);
        tael_log_ring_write(ring, TAEL_LOG_INFO, line, (size_t)len);
        strcat(want, line);
    }
    tael_log_ring_free(ring);
    close(fds[1]);
    char *got = drain(fds[0]);
    CHECK_NAMED(strcmp(got, want) == 0, "all of them");
    free(got);
    free(want);
    close(fds[0]);
}

static void a_full_pipe_drops_and_counts(void)
{
    enum { LINES = 20000 };
    int fds[2], whole = 0;
    long counted = 0;
    struct tael_log_ring *ring = NULL;
    char line[101];
    memset(line, 'x', sizeof(line) - 1);
    line[99] = '\n';
    CHECK(pipe(fds) == 0 && tael_log_ring_new(&ring, fds[1], 8192) == TAEL_OK);
    for (int i = 0; i < LINES; i++) /* far more than pipe and ring hold; nobody reads */
        tael_log_ring_write(ring, TAEL_LOG_INFO, line, 100);
    CHECK_NAMED(true, "writing did not wait");
    CHECK(fcntl(fds[0], F_SETPIPE_SZ, 1 << 20) > 0); /* room again */
    tael_log_ring_free(ring);
    close(fds[1]);
    char *got = drain(fds[0]);
    for (char *at = strtok(got, "\n"); at != NULL; at = strtok(NULL, "\n")) {
        const char *count = strstr(at, "\"count\":");
        whole += strlen(at) == 99 && count == NULL;
        counted += count != NULL && strstr(at, "log.dropped") != NULL ? atol(count + 8) : 0;
    }
    CHECK_NAMED(counted > 0 && whole + counted == LINES, "every line is there or counted");
    free(got);
    close(fds[0]);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static off_t size_of(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 ? about.st_size : -1;
}

static void a_full_disk_tears_one_line_and_counts(void)
{
    enum { LINES = 2000, WIDTH = 100, ROOM = 10050 }; /* the disk is full within a line */
    char path[] = "/tmp/tael_log_ring_XXXXXX", line[WIDTH + 1], *rest = NULL;
    int fd = mkstemp(path), whole = 0, torn = 0;
    long counted = 0;
    struct tael_log_ring *ring = NULL;
    memset(line, 'x', WIDTH);
    line[WIDTH - 1] = '\n';
    signal(SIGXFSZ, SIG_IGN);
    limit_files(ROOM);
    CHECK(fd >= 0 && tael_log_ring_new(&ring, fd, 0) == TAEL_OK);
    for (int i = 0; i < LINES; i++)
        tael_log_ring_write(ring, TAEL_LOG_INFO, line, WIDTH);
    while (size_of(fd) < ROOM)
        usleep(1000);
    usleep(50000); /* most likely some more has failed; nothing depends on it */
    limit_files(RLIM_INFINITY);
    tael_log_ring_write(ring, TAEL_LOG_INFO, line, WIDTH);
    tael_log_ring_free(ring);
    lseek(fd, 0, SEEK_SET);
    char *got = drain(fd);
    for (char *at = strtok_r(got, "\n", &rest); at != NULL; at = strtok_r(NULL, "\n", &rest)) {
        const char *count = strstr(at, "\"count\":");
        bool notice = count != NULL && strncmp(at, "{\"at\":", 6) == 0;
        whole += strlen(at) == WIDTH - 1 && count == NULL;
        torn += strlen(at) != WIDTH - 1 && !notice;
        counted += notice && strstr(at, "log.dropped") != NULL ? atol(count + 8) : 0;
    }
    CHECK_NAMED(torn <= 1, "only the line is torn in which the disk was full");
    CHECK_NAMED(whole + counted == LINES + 1, "every line is there or counted");
    free(got);
    close(fd);
    unlink(path);
}

static void it_ends_though_nobody_reads(void)
{
    int fds[2];
    struct tael_log_ring *ring = NULL;
    char line[100] = "";
    memset(line, 'x', sizeof(line));
    CHECK(pipe(fds) == 0 && tael_log_ring_new(&ring, fds[1], 0) == TAEL_OK);
    for (int i = 0; i < 5000; i++)
        tael_log_ring_write(ring, TAEL_LOG_INFO, line, sizeof(line));
    tael_log_ring_free(ring);
    CHECK_NAMED(true, "ended");
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    alarm(120); /* a hang is a failure */
    lines_come_whole_and_in_order();
    a_full_pipe_drops_and_counts();
    a_full_disk_tears_one_line_and_counts();
    it_ends_though_nobody_reads();
    return tap_end();
}
