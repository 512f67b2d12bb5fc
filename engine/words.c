/* words.c - the command line, and what is said to whom reads the terminal. */
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

/* ---- output ---- */

void tael_print(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a log must not stop the engine */
        data += n;
        len -= (size_t)n;
    }
}

/* As a shell reads one word. */
static void print_word(const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+";
    if (word[strspn(word, plain)] == '\0') {
        fputs(word, stderr);
        return;
    }
    fputc('\'', stderr);
    for (; *word != '\0'; word++)
        if (*word == '\'')
            fputs("'\\''", stderr);
        else
            fputc(*word, stderr);
    fputc('\'', stderr);
}

/* Is here the name of the program, with a command behind it that reads tael.lua? */
static bool is_command(const char *text, const char *at)
{
    return strncmp(at, "tael ", 5) == 0 && at[5] >= 'a' && at[5] <= 'z' &&
           strncmp(at + 5, "init", 4) != 0 && (at == text || strchr(" (,;", at[-1]) != NULL);
}

void tael_say_next(const struct tael_words *words, const char *next)
{
    fputs("next: ", stderr);
    for (const char *at = next; *at != '\0'; at++) {
        if (words->config_named && is_command(next, at)) {
            fputs("tael --config ", stderr);
            print_word(words->config);
            at += strlen("tael");
        }
        fputc(*at, stderr);
    }
    fputc('\n', stderr);
}

int tael_complain(const struct tael_words *words, const tael_error *err, const char *next)
{
    fprintf(stderr, "tael: %s\n", err->message);
    if (next != NULL)
        tael_say_next(words, next);
    if (strcmp(err->code, "usage") == 0)
        return TAEL_EXIT_USAGE;
    switch (err->status) {
    case TAEL_ECONFIG:
    case TAEL_ESCRIPT:
    case TAEL_ENETWORK: /* an address to listen on that is not to be had */
        return TAEL_EXIT_CONFIG;
    case TAEL_ESTORE:
    case TAEL_EVERSION:
    case TAEL_EBUSY:
        return TAEL_EXIT_STORE;
    default:
        return TAEL_EXIT_INTERNAL;
    }
}

/* ---- as JSON ---- */

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

static tael_status add_words(struct tael_buf *out, const struct tael_words *words)
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

tael_status tael_words_json(const struct tael_words *words, const tael_error *store,
                            struct tael_buf *out)
{
    const struct {
        const char *name, *value;
    } members[] = {
        {"url", words->url},
        {"key", words->key},
        {"merchant", words->merchant},
        {"lang", words->lang},
        {"config", words->config_named ? words->config : NULL},
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

/* ---- reading ---- */

/* The value of an option that takes one, "--name VALUE" or "--name=VALUE"; NULL: another word, or
 * the value is missing or empty. *i moves to the last word taken. */
static const char *value_of(const char *name, char **list, int count, int *i)
{
    const char *word = list[*i];
    size_t len = strlen(name);
    if (strncmp(word, name, len) != 0)
        return NULL;
    if (word[len] == '=')
        return word[len + 1] != '\0' ? word + len + 1 : NULL;
    if (word[len] != '\0' || *i + 1 >= count || list[*i + 1][0] == '\0')
        return NULL;
    return list[++*i];
}

static bool take_switch(struct tael_words *words, const char *word)
{
    if (strcmp(word, "--json") == 0)
        words->json = true;
    else if (strcmp(word, "--quiet") == 0)
        words->quiet = true;
    else if (strcmp(word, "--dev") == 0)
        words->dev = true;
    else if (strcmp(word, "--takeover") == 0)
        words->takeover = true;
    else
        return false;
    return true;
}

/* behind: behind the command, where --url, --key and --merchant are the command's own. */
static bool take_value(struct tael_words *words, char **list, int count, int *i, bool behind)
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

bool tael_words_file_here(void)
{
    struct stat ignored;
    return lstat(TAEL_WORDS_FILE, &ignored) == 0 || errno != ENOENT;
}

void tael_words_read(struct tael_words *words, char **list, int count)
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
