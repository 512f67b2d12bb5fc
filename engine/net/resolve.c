/* resolve.c - see resolve.h.
 *
 * A job is one name being looked up: it waits, runs on a thread, and comes back through the list of
 * finished jobs that the threads share with the loop. Invariants:
 * 1. A thread touches nothing but its job's answer and, under the lock, struct shared; the lock is
 *    held for a few assignments only.
 * 2. A thread wakes the loop only while shared->open: the async handle is there.
 * 3. shared goes with the last of its holders, the resolver and every running thread, and with it
 *    the jobs that came back to nobody.
 */
#include "net/resolve.h"

#include <assert.h>
#include <stdlib.h>

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <uv.h>

#include "net/world_uv.h"

enum { KNOWN_MAX = 256 };

struct tael_lookup {
    struct tael_lookup *next, **place; /* in job->lookups */
    void (*done)(void *user, const struct tael_addresses *addresses, const char *why);
    void *user;
};

struct shared {
    pthread_mutex_t lock;
    size_t holders;
    bool open; /* wake may be used */
    uv_async_t *wake;
    struct job *finished;
};

struct job {
    struct job *next, **place;   /* the loop's: waiting or running */
    struct tael_lookup *lookups; /* the loop's */
    struct job *next_finished;
    struct shared *shared;
    tael_resolve_fn look_up;
    void *look_up_user;
    struct tael_addresses addresses;
    const char *why;
    char name[];
};

struct known {
    struct known *next; /* newest first */
    int64_t at_us;
    struct tael_addresses addresses;
    char name[];
};

struct tael_resolver {
    struct tael_loop *loop;
    struct shared *shared;
    tael_resolve_fn look_up;
    void *look_up_user;
    struct job *running, *waiting;
    size_t running_count;
    struct known *known;
};

/* ---- the system's way ---- */

static const char *look_up_system(void *user, const char *name, struct tael_addresses *out)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    const char *why = NULL;
    (void)user;
    int rc = getaddrinfo(name, NULL, &hints, &list);
    if (rc != 0)
        return rc == EAI_SYSTEM ? "the name could not be looked up" : gai_strerror(rc);
    for (const struct addrinfo *at = list; at != NULL && why == NULL; at = at->ai_next) {
        struct tael_address address;
        if (!tael_address_of_socket(&address, at->ai_addr))
            continue;
        if (out->count == TAEL_ADDRESSES_MAX)
            why = "the name has too many addresses";
        else
            out->list[out->count++] = address;
    }
    freeaddrinfo(list);
    return why;
}

/* ---- threads ---- */

static void shared_release(struct shared *shared) /* the lock is held, and given back */
{
    assert(shared->holders > 0);
    bool last = --shared->holders == 0;
    pthread_mutex_unlock(&shared->lock);
    if (!last)
        return;
    while (shared->finished != NULL) {
        struct job *job = shared->finished;
        shared->finished = job->next_finished;
        free(job);
    }
    pthread_mutex_destroy(&shared->lock);
    free(shared);
}

static void give_back(struct job *job)
{
    struct shared *shared = job->shared;
    pthread_mutex_lock(&shared->lock);
    job->next_finished = shared->finished;
    shared->finished = job;
    if (shared->open)
        uv_async_send(shared->wake);
    shared_release(shared);
}

static void *run(void *user)
{
    struct job *job = user;
    job->why = job->look_up(job->look_up_user, job->name, &job->addresses);
    if (job->why == NULL && job->addresses.count == 0)
        job->why = "the name has no address";
    give_back(job);
    return NULL;
}

static void start_job(struct job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_mutex_lock(&job->shared->lock);
    job->shared->holders++;
    pthread_mutex_unlock(&job->shared->lock);
    bool started = pthread_attr_init(&attributes) == 0;
    if (started) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        started = pthread_create(&thread, &attributes, run, job) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (!started) { /* comes back like any other */
        job->why = "no thread to look the name up";
        give_back(job);
    }
}

/* ---- what is known ---- */

static void forget_old(struct tael_resolver *resolver)
{
    int64_t oldest = tael_mono_us(resolver->loop->world) - (int64_t)TAEL_RESOLVE_KEEP_MS * 1000;
    struct known **at = &resolver->known;
    for (size_t kept = 0; *at != NULL && (*at)->at_us > oldest && kept < KNOWN_MAX; kept++)
        at = &(*at)->next;
    while (*at != NULL) { /* what follows is older still */
        struct known *known = *at;
        *at = known->next;
        free(known);
    }
}

static void forget(struct tael_resolver *resolver, const char *name)
{
    struct known **at = &resolver->known;
    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    if (*at != NULL) {
        struct known *known = *at;
        *at = known->next;
        free(known);
    }
}

static void remember(struct tael_resolver *resolver, const struct job *job)
{
    size_t size = strlen(job->name) + 1;
    struct known *known = calloc(1, sizeof(*known) + size);
    forget(resolver, job->name);
    if (known == NULL)
        return; /* it will be looked up again */
    known->at_us = tael_mono_us(resolver->loop->world);
    known->addresses = job->addresses;
    memcpy(known->name, job->name, size);
    known->next = resolver->known;
    resolver->known = known;
}

const struct tael_addresses *tael_resolver_known(struct tael_resolver *resolver, const char *name)
{
    forget_old(resolver);
    for (const struct known *at = resolver->known; at != NULL; at = at->next) {
        if (strcmp(at->name, name) == 0)
            return &at->addresses;
    }
    return NULL;
}

/* ---- lookups ---- */

static void link_lookup(struct tael_lookup **list, struct tael_lookup *lookup)
{
    while (*list != NULL)
        list = &(*list)->next;
    lookup->place = list;
    *list = lookup;
}

static void unlink_lookup(struct tael_lookup *lookup)
{
    *lookup->place = lookup->next;
    if (lookup->next != NULL)
        lookup->next->place = lookup->place;
}

void tael_lookup_cancel(struct tael_lookup *lookup)
{
    unlink_lookup(lookup);
    free(lookup);
}

/* ---- jobs ---- */

static void link_job(struct job **place, struct job *job)
{
    job->next = *place;
    job->place = place;
    if (job->next != NULL)
        job->next->place = &job->next;
    *place = job;
}

static void unlink_job(struct job *job)
{
    *job->place = job->next;
    if (job->next != NULL)
        job->next->place = job->place;
}

/* The job goes behind all others of the list. */
static void append_job(struct job **list, struct job *job)
{
    while (*list != NULL)
        list = &(*list)->next;
    link_job(list, job);
}

/* Names that nobody asks for any more do not take a thread from those who do. */
static void drop_forsaken(struct tael_resolver *resolver)
{
    struct job *job = resolver->waiting;
    while (job != NULL) {
        struct job *next = job->next;
        if (job->lookups == NULL) {
            unlink_job(job);
            free(job);
        }
        job = next;
    }
}

static void run_waiting(struct tael_resolver *resolver)
{
    drop_forsaken(resolver);
    while (resolver->waiting != NULL && resolver->running_count < TAEL_RESOLVE_THREADS) {
        struct job *job = resolver->waiting;
        unlink_job(job);
        link_job(&resolver->running, job);
        resolver->running_count++;
        start_job(job);
    }
}

static void finish_job(struct tael_resolver *resolver, struct job *job)
{
    assert(resolver->running_count > 0 && resolver->running_count <= TAEL_RESOLVE_THREADS);
    unlink_job(job);
    resolver->running_count--;
    if (job->why == NULL)
        remember(resolver, job);
    while (job->lookups != NULL) {
        struct tael_lookup *lookup = job->lookups;
        unlink_lookup(lookup); /* first: done may cancel others */
        lookup->done(lookup->user, job->why == NULL ? &job->addresses : NULL, job->why);
        free(lookup);
    }
    free(job);
}

static void on_wake(uv_async_t *handle)
{
    struct tael_resolver *resolver = handle->data;
    struct shared *shared = resolver->shared;
    pthread_mutex_lock(&shared->lock);
    struct job *finished = shared->finished;
    shared->finished = NULL;
    pthread_mutex_unlock(&shared->lock);
    while (finished != NULL) {
        struct job *job = finished;
        finished = job->next_finished;
        finish_job(resolver, job);
    }
    run_waiting(resolver);
}

static struct job *find_job(const struct tael_resolver *resolver, const char *name)
{
    struct job *const lists[] = {resolver->running, resolver->waiting};
    for (size_t i = 0; i < 2; i++) {
        for (struct job *at = lists[i]; at != NULL; at = at->next) {
            if (strcmp(at->name, name) == 0)
                return at;
        }
    }
    return NULL;
}

static struct job *job_new(struct tael_resolver *resolver, const char *name)
{
    size_t size = strlen(name) + 1;
    struct job *job = calloc(1, sizeof(*job) + size);
    if (job == NULL)
        return NULL;
    job->shared = resolver->shared;
    job->look_up = resolver->look_up;
    job->look_up_user = resolver->look_up_user;
    memcpy(job->name, name, size);
    append_job(&resolver->waiting, job);
    return job;
}

tael_status tael_resolver_ask(struct tael_resolver *resolver, const char *name,
                              void (*done)(void *user, const struct tael_addresses *addresses,
                                           const char *why),
                              void *user, struct tael_lookup **out)
{
    struct tael_lookup *lookup = calloc(1, sizeof(*lookup));
    struct job *job = lookup != NULL ? find_job(resolver, name) : NULL;
    if (lookup != NULL && job == NULL)
        job = job_new(resolver, name);
    if (job == NULL) {
        free(lookup);
        return TAEL_ENOMEM;
    }
    *lookup = (struct tael_lookup){.done = done, .user = user};
    link_lookup(&job->lookups, lookup);
    run_waiting(resolver);
    *out = lookup;
    return TAEL_OK;
}

/* ---- life ---- */

static void on_wake_closed(uv_handle_t *handle)
{
    free(handle);
}

static struct shared *shared_new(struct tael_loop *loop, void *user)
{
    struct shared *shared = calloc(1, sizeof(*shared));
    uv_async_t *wake = calloc(1, sizeof(*wake));
    if (shared == NULL || wake == NULL || pthread_mutex_init(&shared->lock, NULL) != 0)
        goto free_memory;
    if (uv_async_init(tael_loop_uv(loop), wake, on_wake) != 0)
        goto destroy_lock;
    wake->data = user;
    shared->wake = wake;
    shared->open = true;
    shared->holders = 1;
    return shared;

destroy_lock:
    pthread_mutex_destroy(&shared->lock);
free_memory:
    free(wake);
    free(shared);
    return NULL;
}

tael_status tael_resolver_new(struct tael_resolver **out, struct tael_loop *loop,
                              tael_resolve_fn look_up, void *user)
{
    struct tael_resolver *resolver = calloc(1, sizeof(*resolver));
    if (resolver == NULL)
        return TAEL_ENOMEM;
    resolver->loop = loop;
    resolver->look_up = look_up != NULL ? look_up : look_up_system;
    resolver->look_up_user = user;
    resolver->shared = shared_new(loop, resolver);
    if (resolver->shared == NULL) {
        free(resolver);
        return TAEL_ENOMEM;
    }
    *out = resolver;
    return TAEL_OK;
}

static void drop_lookups(struct job *job)
{
    while (job->lookups != NULL)
        tael_lookup_cancel(job->lookups);
}

void tael_resolver_free(struct tael_resolver *resolver)
{
    if (resolver == NULL)
        return;
    struct shared *shared = resolver->shared;
    for (struct job *job = resolver->running; job != NULL; job = job->next)
        drop_lookups(job); /* the job is its thread's now */
    while (resolver->waiting != NULL) {
        struct job *job = resolver->waiting;
        unlink_job(job);
        drop_lookups(job);
        free(job);
    }
    while (resolver->known != NULL) {
        struct known *known = resolver->known;
        resolver->known = known->next;
        free(known);
    }
    pthread_mutex_lock(&shared->lock);
    shared->open = false;
    uv_close((uv_handle_t *)shared->wake, on_wake_closed);
    shared_release(shared);
    free(resolver);
}
