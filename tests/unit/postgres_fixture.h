/* postgres_fixture.h - a PostgreSQL server of the test's own: in a temporary folder, on a Unix
 * socket there, as a user who is nobody, stopped by its process id and removed. TAEL_POSTGRES names
 * the folder of its programs.
 */
#ifndef TAEL_TESTS_POSTGRES_FIXTURE_H
#define TAEL_TESTS_POSTGRES_FIXTURE_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ftw.h>
#include <libpq-fe.h>
#include <pwd.h>

struct server {
    char folder[64]; /* data/ and the socket are in it */
    char data[80];
    const char *programs;
    pid_t pid; /* 0: not running */
};

/* The server refuses to run as root. */
static inline bool become_nobody(const char *folder)
{
    if (geteuid() != 0)
        return true;
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL)
        user = getpwnam("nobody");
    return user != NULL && chown(folder, user->pw_uid, user->pw_gid) == 0 &&
           setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0;
}

/* Starts a program of the server's; its words go to the folder's log. */
static inline pid_t start_program(const struct server *server, const char *const *args)
{
    union { /* exec changes none of them */
        const char *const *given;
        char *const *taken;
    } list = {.given = args};
    char path[160], log[96];
    snprintf(path, sizeof(path), "%s/%s", server->programs, args[0]);
    snprintf(log, sizeof(log), "%s/log", server->folder);
    fflush(stdout);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || !become_nobody(server->folder) ||
        prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0 || chdir("/") != 0)
        _exit(126);
    execv(path, list.taken);
    _exit(127);
}

static inline void print_log(const struct server *server)
{
    char line[256];
    snprintf(line, sizeof(line), "%s/log", server->folder);
    FILE *log = fopen(line, "r");
    while (log != NULL && fgets(line, sizeof(line), log) != NULL)
        printf("# %s%s", line, strchr(line, '\n') != NULL ? "" : "\n");
    if (log != NULL)
        fclose(log);
}

/* A connection to the database; NULL: there is none yet. */
static inline PGconn *connect_to(const struct server *server, const char *database)
{
    const char *const names[] = {"host", "dbname", "user", "connect_timeout", NULL};
    const char *const values[] = {server->folder, database, "tael", "20", NULL};
    PGconn *connection = PQconnectdbParams(names, values, 0);
    if (PQstatus(connection) == CONNECTION_OK)
        return connection;
    PQfinish(connection);
    return NULL;
}

/* Until it answers, or has ended. */
static inline bool wait_for_server(struct server *server)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    for (int i = 0; i < 6000; i++) {
        PGconn *connection = connect_to(server, "postgres");
        if (connection != NULL) {
            PQfinish(connection);
            return true;
        }
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            server->pid = 0;
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static inline bool server_start(struct server *server)
{
    const char *programs = getenv("TAEL_POSTGRES");
    *server =
        (struct server){.programs = programs != NULL ? programs : "/usr/lib/postgresql/15/bin"};
    snprintf(server->folder, sizeof(server->folder), "/tmp/tael_pg_XXXXXX");
    if (mkdtemp(server->folder) == NULL)
        return false;
    snprintf(server->data, sizeof(server->data), "%s/data", server->folder);
    const char *const init[] = {"initdb", "-D", server->data, "-U",         "tael",      "-A",
                                "trust",  "-E", "UTF8",       "--locale=C", "--no-sync", NULL};
    int status = -1;
    pid_t pid = start_program(server, init);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return false;
    const char *const serve[] = {"postgres", "-D", server->data, "-k", server->folder,
                                 "-h",       "",   "-F",         NULL};
    server->pid = start_program(server, serve);
    return server->pid > 0 && wait_for_server(server);
}

static inline int remove_one(const char *path, const struct stat *about, int kind,
                             struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

static inline void server_end(struct server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGQUIT);
        while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (server->folder[0] != '\0')
        nftw(server->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
