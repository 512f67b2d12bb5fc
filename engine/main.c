/* main.c - the tael command: starts engines, or hands the words to lua/tael/cli.
 *
 * serve and sandbox run an engine until SIGINT or SIGTERM and drain it; everything else is one call
 * into the application tael.cli.app, which says with what code to end (interfaces: exit codes).
 * Signals are taken by sigwait on the main thread only, so no handler ever runs.
 */
#include "tael.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log_ring.h"
#include "engine.h"

enum { EXIT_CONFIG = 3, EXIT_STORE = 6, EXIT_INTERNAL = 70 };

struct words { /* the command line, options of tael itself taken out */
    const char *config, *url, *key, *merchant, *lang;
    bool json, quiet, dev, help; /* help: of tael itself */
    bool asks_help;              /* of one command; the word stays among rest */
    int count;
    char **rest; /* the command and what follows it */
};

/* ---- output ---- */

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody reads: a log must not stop the engine */
        data += n;
        len -= (size_t)n;
    }
}

static void log_line(void *user, tael_log_level level, const char *line, size_t len)
{
    (void)level;
    write_all(*(const int *)user, line, len);
}

static int complain(const tael_error *err, const char *next)
{
    fprintf(stderr, "tael: %s\n", err->message);
    if (next != NULL)
        fprintf(stderr, "next: %s\n", next);
    switch (err->status) {
    case TAEL_ECONFIG:
    case TAEL_ESCRIPT:
        return EXIT_CONFIG;
    case TAEL_ESTORE:
    case TAEL_EVERSION:
    case TAEL_EBUSY:
        return EXIT_STORE;
    default:
        return EXIT_INTERNAL;
    }
}

/* ---- the arguments of an application, as JSON ---- */

static tael_status add_string(struct tael_buf *out, const char *text)
{
    tael_status rc = tael_buf_append_char(out, '"');
    for (; rc == TAEL_OK && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == '"' || c == '\\')
            rc = tael_buf_printf(out, "\\u%04x", c);
        else
            rc = tael_buf_append_char(out, *text);
    }
    return rc == TAEL_OK ? tael_buf_append_char(out, '"') : rc;
}

static tael_status add_member(struct tael_buf *out, const char *name, const char *value)
{
    if (value == NULL)
        return TAEL_OK;
    tael_status rc = tael_buf_printf(out, ",\"%s\":", name);
    return rc == TAEL_OK ? add_string(out, value) : rc;
}

/* ,"store_error":{"code":"store_behind","message":"…"} */
static tael_status add_failure(struct tael_buf *out, const tael_error *err)
{
    tael_status rc = tael_buf_printf(out, ",\"store_error\":{\"code\":");
    if (rc == TAEL_OK)
        rc = add_string(out, err->code);
    if (rc == TAEL_OK)
        rc = add_member(out, "message", err->message);
    return rc == TAEL_OK ? tael_buf_append_char(out, '}') : rc;
}

static tael_status add_words(struct tael_buf *out, const struct words *words)
{
    tael_status rc = tael_buf_printf(
        out, "{\"json\":%s,\"quiet\":%s,\"help\":%s,\"argv\":[", words->json ? "true" : "false",
        words->quiet ? "true" : "false", words->help ? "true" : "false");
    for (int i = 0; rc == TAEL_OK && i < words->count; i++) {
        if (i > 0)
            rc = tael_buf_append_char(out, ',');
        if (rc == TAEL_OK)
            rc = add_string(out, words->rest[i]);
    }
    return rc == TAEL_OK ? tael_buf_append_char(out, ']') : rc;
}

/* {"json":false,"quiet":false,"help":false,"argv":["keys","show","x"],"url":"…","lang":"zh"};
 * store: why the store could not be opened, or NULL. */
static tael_status words_to_json(const struct words *words, const tael_error *store,
                                 struct tael_buf *out)
{
    const struct {
        const char *name, *value;
    } members[] = {
        {"url", words->url},
        {"key", words->key},
        {"merchant", words->merchant},
        {"lang", words->lang},
    };
    tael_status rc = add_words(out, words);
    for (size_t i = 0; rc == TAEL_OK && i < sizeof(members) / sizeof(members[0]); i++)
        rc = add_member(out, members[i].name, members[i].value);
    if (rc == TAEL_OK && store != NULL)
        rc = add_failure(out, store);
    if (rc == TAEL_OK)
        rc = tael_buf_append(out, "}", 2); /* with its NUL */
    return rc;
}

/* ---- serve, sandbox ---- */

/* Nothing of the process may be dumped or read by others: it holds keys (threats R17). */
static void forbid_dumps(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void allow_many_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* What the application wants people to read when it has started; none: silence. */
static void print_banner(tael_engine *engine)
{
    int status;
    size_t len;
    char *text;
    if (tael_call_wait(engine, "GET", "/-/banner", NULL, NULL, &status, &text, &len) != TAEL_OK)
        return;
    if (status == 200)
        write_all(STDOUT_FILENO, text, len);
    tael_free(text);
}

static int run_until_signal(tael_engine *engine, const sigset_t *signals)
{
    tael_error err = {0};
    if (tael_engine_start(engine, &err) != TAEL_OK) {
        tael_engine_close(engine);
        return complain(&err, "tael doctor");
    }
    print_banner(engine);
    int signal_number = 0;
    while (sigwait(signals, &signal_number) == 0 && signal_number == SIGHUP)
        tael_engine_reload_tls(engine, NULL); /* what came of it stands in the log */
    tael_engine_stop(engine, 0);
    tael_status rc = tael_engine_run(engine);
    tael_engine_close(engine);
    return rc == TAEL_OK ? 0 : 1;
}

/* What to do when an engine could not be opened. */
static const char *next_step(const tael_error *err)
{
    if (err->status == TAEL_ECONFIG)
        return "correct the configuration; tael doctor checks it";
    if (strcmp(err->code, "store_behind") == 0)
        return "tael migrate";
    return "tael doctor";
}

static int open_and_run(const struct words *words, const char *app, const char *args,
                        struct tael_log_ring *ring, const sigset_t *signals)
{
    tael_engine *engine = NULL;
    tael_error err = {0};
    tael_options options = TAEL_OPTIONS_INIT;
    options.config_path = words->config;
    options.dev = words->dev;
    options.listen = 1;
    options.log = tael_log_ring_write;
    options.log_user = ring;
    struct tael_engine_setup setup = {.app = app, .args_json = args};
    tael_status rc = tael_engine_open_app(&engine, &options, &setup, &err);
    if (rc != TAEL_OK)
        return complain(&err, next_step(&err));
    return run_until_signal(engine, signals);
}

static int run_engine(const struct words *words, const char *app)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread exists: all inherit it */
    signal(SIGPIPE, SIG_IGN);
    umask(S_IRWXG | S_IRWXO); /* store, keys and sockets are the service user's alone */
    allow_many_files();

    /* a person at the terminal reads the banner on stdout; a service manager reads the log there */
    struct tael_log_ring *ring = NULL;
    struct tael_buf args = {0};
    int code = EXIT_INTERNAL;
    if (words_to_json(words, NULL, &args) == TAEL_OK &&
        tael_log_ring_new(&ring, words->dev ? STDERR_FILENO : STDOUT_FILENO, 0) == TAEL_OK)
        code = open_and_run(words, app, args.data, ring, &signals);
    tael_log_ring_free(ring);
    tael_buf_free(&args);
    return code;
}

/* ---- everything else: one call into Lua ---- */

static bool is_of_store(tael_status status)
{
    return status == TAEL_ESTORE || status == TAEL_EVERSION || status == TAEL_EBUSY;
}

static tael_status open_command(const struct words *words, const tael_error *store,
                                struct tael_buf *args, tael_engine **engine, tael_error *err)
{
    static const int to_stderr = STDERR_FILENO;
    union {
        const int *in;
        void *out;
    } fd = {.in = &to_stderr};
    tael_options options = TAEL_OPTIONS_INIT;
    options.config_path = words->config;
    options.dev = words->dev;
    options.log = log_line;
    options.log_user = fd.out;
    args->len = 0;
    tael_status rc = words_to_json(words, store, args);
    if (rc != TAEL_OK)
        return rc;
    struct tael_engine_setup setup = {.app = "tael.cli.app", .args_json = args->data};
    rc = tael_engine_open_app(engine, &options, &setup, err);
    return rc == TAEL_OK ? tael_engine_start(*engine, err) : rc;
}

/* A command whose store cannot be opened is asked a second time, told why: it says so in its own
 * words (doctor, migrate). */
static int run_command(const struct words *words)
{
    struct tael_buf args = {0};
    int code = EXIT_INTERNAL, status = 0;
    char *body = NULL;
    tael_engine *engine = NULL;
    tael_error err = {0};
    signal(SIGPIPE, SIG_IGN);
    umask(S_IRWXG | S_IRWXO);
    tael_status rc = open_command(words, NULL, &args, &engine, &err);
    if (is_of_store(rc)) {
        const tael_error store = err;
        tael_engine_close(engine);
        engine = NULL;
        rc = open_command(words, &store, &args, &engine, &err);
    }
    if (rc != TAEL_OK)
        code = complain(&err, NULL);
    else if (tael_call_wait(engine, "POST", "/command", args.data, NULL, &status, &body, NULL) ==
                 TAEL_OK &&
             status == 200)
        code = (int)strtol(body, NULL, 10);
    tael_engine_close(engine);
    tael_free(body);
    tael_buf_free(&args);
    return code;
}

/* ---- the command line ---- */

/* The value of an option that takes one, "--name VALUE" or "--name=VALUE"; NULL: another word, or
 * the value is missing. *i moves to the last word taken. */
static const char *value_of(const char *name, char **list, int count, int *i)
{
    const char *word = list[*i];
    size_t len = strlen(name);
    if (strncmp(word, name, len) != 0)
        return NULL;
    if (word[len] == '=')
        return word + len + 1;
    if (word[len] != '\0' || *i + 1 >= count)
        return NULL;
    return list[++*i];
}

/* Takes a switch of tael itself. */
static bool take_switch(struct words *words, const char *word)
{
    if (strcmp(word, "--json") == 0)
        words->json = true;
    else if (strcmp(word, "--quiet") == 0)
        words->quiet = true;
    else if (strcmp(word, "--dev") == 0)
        words->dev = true;
    else
        return false;
    return true;
}

/* Takes an option of tael itself that has a value. behind: behind the command, where --url, --key
 * and --merchant are the command's own. */
static bool take_value(struct words *words, char **list, int count, int *i, bool behind)
{
    const struct {
        const char *name;
        const char **to;
        bool anywhere;
    } options[] = {
        {"--config", &words->config, true},      {"--lang", &words->lang, true},
        {"--url", &words->url, false},           {"--key", &words->key, false},
        {"--merchant", &words->merchant, false},
    };
    for (size_t o = 0; o < sizeof(options) / sizeof(options[0]); o++) {
        if (behind && !options[o].anywhere)
            continue;
        const char *value = value_of(options[o].name, list, count, i);
        if (value != NULL) {
            *options[o].to = value;
            return true;
        }
    }
    return false;
}

/* Takes the options of tael itself out of list; the rest is the command and what is for it, or a
 * word that the command line refuses. Keeps pointers into list. */
static void read_words(struct words *words, char **list, int count)
{
    bool plain = false; /* behind "--" */
    words->rest = list;
    for (int i = 0; i < count; i++) {
        bool is_help = strcmp(list[i], "--help") == 0 || strcmp(list[i], "-h") == 0;
        plain = plain || strcmp(list[i], "--") == 0;
        if (!plain && is_help && words->count == 0)
            words->help = true;
        else if (plain || (!take_switch(words, list[i]) &&
                           !take_value(words, list, count, &i, words->count > 0)))
            words->rest[words->count++] = list[i];
        words->asks_help = words->asks_help || (!plain && is_help && words->count > 0);
    }
    if (words->count == 1 && strcmp(words->rest[0], "help") == 0) {
        words->help = true;
        words->count = 0;
    }
}

int main(int argc, char **argv)
{
    struct words words = {0};
    forbid_dumps(); /* commands hold keys as well as the server */
    read_words(&words, argv + 1, argc > 0 ? argc - 1 : 0);
    if (words.config == NULL && access("tael.lua", R_OK) == 0)
        words.config = "tael.lua";
    if (words.help || words.asks_help || words.count == 0)
        return run_command(&words);
    const char *command = words.rest[0];
    if (strcmp(command, "version") == 0 && words.count == 1) {
        printf("tael %s\n", tael_version());
        return 0;
    }
    if (strcmp(command, "serve") == 0 && words.count == 1)
        return run_engine(&words, "tael.server");
    if (strcmp(command, "sandbox") == 0)
        return run_engine(&words, "tael.sandbox.app");
    return run_command(&words);
}
