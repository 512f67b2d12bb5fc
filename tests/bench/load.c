/* load.c - sends HTTP/1.1 requests from a file and checks every answer. One thread, and one that
 * looks for stalls of the machine (stalls.h).
 *
 * Closed loop: each keep-alive connection sends its next request when the one before is answered.
 * With a rate: a request is due at its moment and its latency counts from there, so that a stall of
 * the server is not hidden. 1 Each request is sent once. 2 The run ends with the file or after -d
 * seconds; then only what is under way is waited for. 3 Counted is what was sent after the warm-up
 * and answered before the end; checked is everything. 4 Percentiles are those of the answers that
 * no stall of the machine has touched; p99_all_us and max_us are of all, stalled_s says how long
 * the others are.
 *
 * File, repeated, little endian: u32 length of the request, u32 length of what is expected, u32 id,
 * the request, what is expected: text that occurs in the body or, after '=', is the body. The
 * status has to be 2xx. With -o the right answers are written: u32 id, u32 length, the body.
 * Prints one JSON object. Exit code 1: an answer was wrong or missing; 2: the run was not possible.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <strings.h>

#include "stalls.h"

enum {
    ANSWER_MAX = 16384,
    EVENTS_MAX = 256,
    CONNECTIONS_MAX = 20000,
    WRONG_TEXT_MAX = 300,
    RECORD_HEAD = 3 * sizeof(uint32_t),
};

#define SECOND_NS   UINT64_C(1000000000)
#define PATIENCE_NS (10 * SECOND_NS) /* so long without any answer: the server hangs */

struct request {
    const char *bytes, *expected; /* in the mapped file */
    uint32_t len, expected_len, id;
};

struct connection {
    int fd;
    const struct request *request; /* NULL: idle */
    uint64_t since_ns;             /* when its request was sent or, with a rate, due */
    size_t sent, got;
    char answer[ANSWER_MAX];
};

struct counted {
    uint64_t since_ns, until_ns;
    uint32_t us;
};

struct answer {
    int status;
    bool is_last; /* of its connection, as the server says */
    const char *body;
    size_t body_len;
};

struct settings {
    struct sockaddr_in address;
    const char *requests_path, *answers_path;
    int connections;
    double seconds, warm_up_s, rate; /* seconds 0: until the file ends; rate 0: closed loop */
};

struct load {
    struct settings settings;
    struct request *requests;
    size_t count, next; /* requests, and the first that was not sent */
    struct connection *connections;
    int epoll;
    FILE *answers;
    uint64_t start_ns, counted_from_ns, stop_ns, last_answer_ns;
    size_t busy, right, wrong, lost, unanswered, counted_count, clear;
    struct counted *counted; /* answers; behind the run the clear ones first, the fastest first */
    struct stalls stalls;
    char first_wrong[WRONG_TEXT_MAX + 64];
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- the file ---- */

static const char *map_file(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        give_up(path);
    *len = (size_t)st.st_size;
    const char *bytes = mmap(NULL, *len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED)
        give_up(path);
    close(fd);
    return bytes;
}

/* Moves *at behind the record; false: there is no whole one. */
static bool read_record(const char *bytes, size_t len, size_t *at, struct request *out)
{
    uint32_t head[3];
    if (len - *at < RECORD_HEAD)
        return false;
    memcpy(head, bytes + *at, RECORD_HEAD);
    if ((uint64_t)head[0] + head[1] > len - *at - RECORD_HEAD)
        return false;
    const char *request = bytes + *at + RECORD_HEAD;
    *out = (struct request){.bytes = request,
                            .expected = request + head[0],
                            .len = head[0],
                            .expected_len = head[1],
                            .id = head[2]};
    *at += RECORD_HEAD + head[0] + head[1];
    return true;
}

static void read_requests(struct load *load)
{
    size_t len, at = 0;
    struct request request;
    const char *bytes = map_file(load->settings.requests_path, &len);
    while (read_record(bytes, len, &at, &request))
        load->count++;
    if (at != len || load->count == 0) {
        fprintf(stderr, "load: %s: not a file of requests\n", load->settings.requests_path);
        exit(2);
    }
    load->requests = calloc(load->count, sizeof(*load->requests));
    load->counted = calloc(load->count, sizeof(*load->counted));
    if (load->requests == NULL || load->counted == NULL)
        give_up("requests");
    at = 0;
    for (size_t i = 0; i < load->count; i++)
        read_record(bytes, len, &at, &load->requests[i]);
}

/* ---- connections ---- */

static void watch(struct load *load, struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(load->epoll, operation, connection->fd, &event) < 0)
        give_up("epoll_ctl");
}

static void open_connection(struct load *load, struct connection *connection)
{
    const struct sockaddr *address = (const struct sockaddr *)&load->settings.address;
    int on = 1;
    connection->request = NULL;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        give_up("socket");
    if (connect(connection->fd, address, sizeof(load->settings.address)) < 0)
        give_up("connect");
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) < 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        give_up("socket options");
    watch(load, connection, EPOLL_CTL_ADD, EPOLLIN);
}

/* Another one instead; what the old one carried is lost. */
static void replace_connection(struct load *load, struct connection *connection)
{
    if (connection->request != NULL) {
        load->lost++;
        load->busy--;
    }
    close(connection->fd);
    open_connection(load, connection);
}

static void send_rest(struct load *load, struct connection *connection)
{
    const struct request *request = connection->request;
    while (connection->sent < request->len) {
        ssize_t sent = send(connection->fd, request->bytes + connection->sent,
                            request->len - connection->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN)
                watch(load, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return; /* any other error is seen when the answer is read */
        }
        connection->sent += (size_t)sent;
    }
}

static uint64_t due_ns(const struct load *load)
{
    return load->start_ns + (uint64_t)((double)load->next * 1e9 / load->settings.rate);
}

/* False: no request is left, or none is due yet. */
static bool send_next(struct load *load, struct connection *connection, uint64_t now)
{
    uint64_t since = now;
    if (load->next == load->count || now >= load->stop_ns)
        return false;
    if (load->settings.rate > 0) {
        since = due_ns(load);
        if (since > now)
            return false;
    }
    connection->request = &load->requests[load->next++];
    connection->since_ns = since;
    connection->sent = connection->got = 0;
    load->busy++;
    send_rest(load, connection);
    return true;
}

static void send_due(struct load *load, uint64_t now)
{
    for (int i = 0; i < load->settings.connections; i++) {
        struct connection *connection = &load->connections[i];
        if (connection->request == NULL && !send_next(load, connection, now))
            return;
    }
}

/* ---- answers ---- */

enum progress { MORE, WHOLE, BROKEN };

/* The value of this field of the head; NULL: it has none. */
static const char *field(const char *head, const char *end, const char *name)
{
    const size_t len = strlen(name);
    for (const char *line = head; line != NULL && (size_t)(end - line) >= len;
         line = memmem(line + 1, (size_t)(end - line) - 1, "\r\n", 2)) {
        if (strncasecmp(line, name, len) == 0)
            return line + len; /* the head ends with a line break */
    }
    return NULL;
}

static enum progress read_head(const struct connection *connection, struct answer *out)
{
    const char *answer = connection->answer;
    const char *end = memmem(answer, connection->got, "\r\n\r\n", 4);
    if (end == NULL)
        return connection->got == ANSWER_MAX ? BROKEN : MORE;
    if (end - answer < 12 || memcmp(answer, "HTTP/1.1 ", 9) != 0)
        return BROKEN;
    out->status = atoi(answer + 9);
    out->body = end + 4;
    const char *len = field(answer, end, "\r\ncontent-length:");
    if (len == NULL)
        return BROKEN;
    out->body_len = strtoul(len, NULL, 10);
    const char *persistence = field(answer, end, "\r\nconnection:");
    out->is_last = persistence != NULL && strncasecmp(persistence, " close\r\n", 8) == 0;
    size_t have = connection->got - (size_t)(out->body - answer);
    if (have > out->body_len) /* more than was asked for */
        return BROKEN;
    if (have == out->body_len)
        return WHOLE;
    return connection->got == ANSWER_MAX ? BROKEN : MORE;
}

static bool is_right(const struct request *request, const struct answer *answer)
{
    const char *expected = request->expected;
    size_t len = request->expected_len;
    if (answer->status < 200 || answer->status > 299)
        return false;
    if (len > 0 && expected[0] == '=')
        return answer->body_len == len - 1 && memcmp(answer->body, expected + 1, len - 1) == 0;
    return len == 0 || memmem(answer->body, answer->body_len, expected, len) != NULL;
}

static void note_wrong(struct load *load, const struct request *request,
                       const struct answer *answer)
{
    load->wrong++;
    if (load->first_wrong[0] == '\0')
        snprintf(load->first_wrong, sizeof(load->first_wrong), "request %" PRIu32 ": %d %.*s",
                 request->id, answer->status,
                 (int)(answer->body_len < WRONG_TEXT_MAX ? answer->body_len : WRONG_TEXT_MAX),
                 answer->body);
}

static void write_answer(struct load *load, const struct request *request,
                         const struct answer *answer)
{
    uint32_t head[2] = {request->id, (uint32_t)answer->body_len};
    if (load->answers == NULL)
        return;
    if (fwrite(head, sizeof(head), 1, load->answers) != 1 ||
        fwrite(answer->body, 1, answer->body_len, load->answers) != answer->body_len)
        give_up(load->settings.answers_path);
}

static void note_right(struct load *load, const struct connection *connection, uint64_t now)
{
    uint64_t us = (now - connection->since_ns) / 1000;
    load->right++;
    if (connection->since_ns >= load->counted_from_ns && now <= load->stop_ns)
        load->counted[load->counted_count++] = (struct counted){
            connection->since_ns, now, us < UINT32_MAX ? (uint32_t)us : UINT32_MAX};
}

static void take_answer(struct load *load, struct connection *connection,
                        const struct answer *answer)
{
    const struct request *request = connection->request;
    uint64_t now = now_ns();
    load->last_answer_ns = now;
    if (is_right(request, answer)) {
        note_right(load, connection, now);
        write_answer(load, request, answer);
    } else {
        note_wrong(load, request, answer);
    }
    connection->request = NULL;
    load->busy--;
    if (answer->is_last)
        replace_connection(load, connection);
    send_next(load, connection, now);
}

static void read_answer(struct load *load, struct connection *connection)
{
    struct answer answer = {0};
    ssize_t got = recv(connection->fd, connection->answer + connection->got,
                       sizeof(connection->answer) - connection->got, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || connection->request == NULL) { /* closed, or an answer to nothing */
        replace_connection(load, connection);
        return;
    }
    connection->got += (size_t)got;
    switch (read_head(connection, &answer)) {
    case MORE:
        return;
    case BROKEN:
        replace_connection(load, connection);
        return;
    case WHOLE:
        take_answer(load, connection, &answer);
    }
}

/* ---- the run ---- */

static bool is_over(struct load *load, uint64_t now)
{
    if (load->busy == 0)
        return load->next == load->count || now >= load->stop_ns;
    if (now < load->last_answer_ns + PATIENCE_NS)
        return false;
    load->unanswered = load->busy;
    return true;
}

/* How long to wait: until the next request is due, and not for ever. */
static struct timespec patience(const struct load *load, uint64_t now)
{
    uint64_t ns = SECOND_NS / 10;
    if (load->settings.rate > 0 && load->next < load->count) {
        uint64_t due = due_ns(load);
        ns = due <= now ? (uint64_t)50000 : due - now; /* due and not sent: all are busy */
    }
    if (ns > SECOND_NS / 10)
        ns = SECOND_NS / 10;
    return (struct timespec){.tv_nsec = (long)ns};
}

static void handle(struct load *load, const struct epoll_event *event)
{
    struct connection *connection = event->data.ptr;
    if ((event->events & EPOLLOUT) != 0 && connection->request != NULL) {
        watch(load, connection, EPOLL_CTL_MOD, EPOLLIN);
        send_rest(load, connection);
    }
    if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        read_answer(load, connection);
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = now_ns();
    load->start_ns = load->last_answer_ns = now;
    load->counted_from_ns = now + (uint64_t)(load->settings.warm_up_s * 1e9);
    load->stop_ns = UINT64_MAX;
    if (load->settings.seconds > 0)
        load->stop_ns = now + (uint64_t)(load->settings.seconds * 1e9);
    while (send_due(load, now), !is_over(load, now)) {
        struct timespec wait = patience(load, now);
        int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &wait, NULL);
        if (count < 0 && errno != EINTR)
            give_up("epoll_pwait2");
        for (int i = 0; i < count; i++)
            handle(load, &events[i]);
        now = now_ns();
    }
}

/* ---- the result ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct counted *)a)->us, y = ((const struct counted *)b)->us;
    return x < y ? -1 : x > y;
}

/* The least that so large a part of the first ones did not exceed. */
static uint32_t percentile(const struct load *load, size_t count, double part)
{
    if (count == 0)
        return 0;
    size_t rank = (size_t)ceil(part * (double)count);
    return load->counted[rank > 0 ? rank - 1 : 0].us;
}

static void put_clear_ones_first(struct load *load)
{
    load->clear = 0;
    for (size_t i = 0; i < load->counted_count; i++) {
        struct counted one = load->counted[i];
        if (stalls_touch(&load->stalls, one.since_ns, one.until_ns))
            continue;
        load->counted[i] = load->counted[load->clear];
        load->counted[load->clear++] = one;
    }
    qsort(load->counted, load->clear, sizeof(*load->counted), compare);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* How long it was ready and did not run: others had its core. */
static double waited_seconds(void)
{
    uint64_t ran = 0, waited = 0;
    FILE *file = fopen("/proc/self/schedstat", "r");
    if (file == NULL || fscanf(file, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
        give_up("/proc/self/schedstat");
    fclose(file);
    return (double)waited / 1e9;
}

static int report(struct load *load)
{
    uint64_t end = load->last_answer_ns < load->stop_ns ? load->last_answer_ns : load->stop_ns;
    double seconds = end > load->counted_from_ns ? (double)(end - load->counted_from_ns) / 1e9 : 0;
    size_t all = load->counted_count;
    qsort(load->counted, all, sizeof(*load->counted), compare);
    uint32_t p99_all = percentile(load, all, 0.99), max = percentile(load, all, 1);
    put_clear_ones_first(load);
    size_t of = load->clear > 0 ? load->clear : all;
    printf("{\"right\":%zu,\"wrong\":%zu,\"lost\":%zu,\"unanswered\":%zu,\"counted\":%zu,"
           "\"clear\":%zu,\"seconds\":%.3f,\"stalled_s\":%.3f,\"rate\":%.1f,\"p50_us\":%" PRIu32
           ",\"p90_us\":%" PRIu32 ",\"p99_us\":%" PRIu32 ",\"p999_us\":%" PRIu32
           ",\"p99_all_us\":%" PRIu32 ",\"max_us\":%" PRIu32
           ",\"load_cpu_s\":%.3f,\"load_wait_s\":%.3f}\n",
           load->right, load->wrong, load->lost, load->unanswered, all, load->clear, seconds,
           stalls_seconds(&load->stalls, load->counted_from_ns, end),
           seconds > 0 ? (double)all / seconds : 0, percentile(load, of, 0.5),
           percentile(load, of, 0.9), percentile(load, of, 0.99), percentile(load, of, 0.999),
           p99_all, max, cpu_seconds(), waited_seconds());
    if (load->first_wrong[0] != '\0')
        fprintf(stderr, "load: first wrong answer: %s\n", load->first_wrong);
    return load->wrong + load->lost + load->unanswered > 0 ? 1 : 0;
}

/* ---- the command ---- */

static _Noreturn void usage(void)
{
    fputs("usage: load -p PORT -f REQUESTS [-c connections] [-d seconds] [-w warm-up seconds]\n"
          "            [-r requests a second] [-o file for the answers]\n",
          stderr);
    exit(2);
}

static double number(const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max))
        usage();
    return value;
}

static void read_arguments(int argc, char **argv, struct settings *out)
{
    int option;
    *out = (struct settings){.connections = 64};
    out->address.sin_family = AF_INET;
    out->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while ((option = getopt(argc, argv, "p:f:o:c:d:w:r:")) != -1) {
        switch (option) {
        case 'p':
            out->address.sin_port = htons((uint16_t)number(optarg, 1, UINT16_MAX));
            break;
        case 'f':
            out->requests_path = optarg;
            break;
        case 'o':
            out->answers_path = optarg;
            break;
        case 'c':
            out->connections = (int)number(optarg, 1, CONNECTIONS_MAX);
            break;
        case 'd':
            out->seconds = number(optarg, 0, 86400);
            break;
        case 'w':
            out->warm_up_s = number(optarg, 0, 86400);
            break;
        case 'r':
            out->rate = number(optarg, 0, 1e7);
            break;
        default:
            usage();
        }
    }
    if (out->requests_path == NULL || out->address.sin_port == 0 || optind != argc)
        usage();
}

static void open_everything(struct load *load)
{
    const struct settings *settings = &load->settings;
    read_requests(load);
    if (settings->answers_path != NULL) {
        load->answers = fopen(settings->answers_path, "wb");
        if (load->answers == NULL)
            give_up(settings->answers_path);
    }
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->connections = calloc((size_t)settings->connections, sizeof(*load->connections));
    if (load->epoll < 0 || load->connections == NULL)
        give_up("connections");
    for (int i = 0; i < settings->connections; i++)
        open_connection(load, &load->connections[i]);
}

static void close_everything(struct load *load)
{
    for (int i = 0; i < load->settings.connections; i++)
        close(load->connections[i].fd);
    if (load->answers != NULL && fclose(load->answers) != 0)
        give_up(load->settings.answers_path);
    free(load->connections);
    free(load->counted);
    free(load->requests);
}

int main(int argc, char **argv)
{
    static struct load load;
    read_arguments(argc, argv, &load.settings);
    open_everything(&load);
    stalls_begin(&load.stalls);
    run(&load);
    stalls_end(&load.stalls);
    int code = report(&load);
    close_everything(&load);
    return code;
}
