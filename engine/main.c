/* main.c - the tael command: which part of the program takes the words.
 *
 * serve, sandbox and dev run engines (serve.c, dev.c); everything else is Lua (command.c).
 */
#include "tael.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/utf8.h"
#include "command.h"
#include "serve.h"
#include "words.h"

/* Nothing of the process may be dumped or read by others: it holds keys (threats R17). */
static void forbid_dumps(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* The words go to Lua as JSON: TAEL_EXIT_DONE, or the code to end with. */
static int check_words(const struct tael_words *words, char **list, int count)
{
    tael_error err = {.status = TAEL_EINVAL, .code = "usage"};
    for (int i = 0; i < count; i++) {
        if (tael_utf8_is(list[i], strlen(list[i])))
            continue;
        snprintf(err.message, sizeof(err.message), "word %d of the command line is not UTF-8",
                 i + 1);
        return tael_complain(words, &err, "use a terminal and names of files in UTF-8");
    }
    return TAEL_EXIT_DONE;
}

/* Who starts a program may have closed its standard streams: then a store or a socket would have
 * their numbers, and what is said would be written into it. Here each is there, and refuses. */
static void keep_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int print_version(const struct tael_words *words)
{
    tael_error err = {.status = TAEL_EINTERNAL};
    signal(SIGPIPE, SIG_IGN);
    printf("tael %s\n", tael_version());
    if (fflush(stdout) == 0 || errno == EPIPE)
        return TAEL_EXIT_DONE;
    snprintf(err.message, sizeof(err.message), "the version cannot be written: %s",
             strerror(errno));
    tael_complain(words, &err, NULL);
    return TAEL_EXIT_UNKNOWN;
}

int main(int argc, char **argv)
{
    struct tael_words words = {0};
    keep_streams();
    forbid_dumps(); /* commands hold keys as well as the server */
    int code = check_words(&words, argv + 1, argc > 0 ? argc - 1 : 0);
    if (code != TAEL_EXIT_DONE)
        return code;
    tael_words_read(&words, argv + 1, argc > 0 ? argc - 1 : 0);
    words.config_named = words.config != NULL;
    if (words.config == NULL && tael_words_file_here())
        words.config = TAEL_WORDS_FILE;
    if (words.help || words.asks_help || words.count == 0)
        return tael_command(&words);
    const char *command = words.rest[0];
    if (strcmp(command, "version") == 0 && words.count == 1 && !words.json)
        return print_version(&words);
    if (strcmp(command, "serve") == 0 && words.count == 1)
        return tael_serve(&words, "tael.server");
    if (strcmp(command, "sandbox") == 0)
        return tael_serve(&words, "tael.sandbox.app");
    if (strcmp(command, "dev") == 0)
        return tael_dev(&words);
    return tael_command(&words);
}
