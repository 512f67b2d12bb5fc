/* meter_test.c - limits by key: the algorithm against a plain model, many keys, many threads, a
 * clock that goes back. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "base/meter.h"
#include "base/siphash.h"
#include "tap.h"

/* ---- a world whose clock is what the test says ---- */

struct place {
    struct tael_world world; /* first */
    _Atomic int64_t mono_us;
    unsigned char seed;
};

static int64_t wall_ms(struct tael_world *world)
{
    (void)world;
    abort(); /* limits know no wall clock */
}

static int64_t mono_us(struct tael_world *world)
{
    return atomic_load(&((struct place *)world)->mono_us);
}

static tael_status random_bytes(struct tael_world *world, void *out, size_t len)
{
    memset(out, ((struct place *)world)->seed, len);
    return TAEL_OK;
}

static const struct tael_world_ops ops = {
    .now_ms = wall_ms, .mono_us = mono_us, .random = random_bytes};

static struct tael_meter *meter_in(struct place *place)
{
    struct tael_meter *meter = NULL;
    place->world = (struct tael_world){.ops = &ops};
    if (tael_meter_new(&meter, &place->world) != TAEL_OK)
        abort();
    return meter;
}

static struct tael_meter_answer take(struct tael_meter *meter, const char *key, int64_t n,
                                     int64_t window_ms)
{
    struct tael_meter_answer answer = {0};
    if (tael_meter_take(meter, tael_span_of(key), n, window_ms, &answer) != TAEL_OK)
        abort();
    return answer;
}

/* ---- one key ---- */

static void n_may_come_at_once_then_one_at_a_time(void)
{
    struct place place = {.mono_us = 5000000};
    struct tael_meter *meter = meter_in(&place);
    struct tael_meter_answer answer = {0};
    bool falling = true;
    for (int64_t i = 0; i < 5; i++) {
        answer = take(meter, "a", 5, 1000);
        falling = falling && answer.allowed && answer.remaining == 4 - i &&
                  answer.reset_ms == 200 * (i + 1);
    }
    CHECK_NAMED(falling, "a burst of n; each takes one and 200 ms");
    answer = take(meter, "a", 5, 1000);
    CHECK(!answer.allowed && answer.remaining == 0 && answer.reset_ms == 200);
    answer = take(meter, "a", 5, 1000);
    CHECK_NAMED(answer.reset_ms == 200, "what is refused takes nothing");
    place.mono_us += 199000;
    answer = take(meter, "a", 5, 1000);
    CHECK(!answer.allowed && answer.reset_ms == 1);
    place.mono_us += 1000;
    CHECK(take(meter, "a", 5, 1000).allowed);
    CHECK(!take(meter, "a", 5, 1000).allowed);
    place.mono_us += 10000000;
    answer = take(meter, "a", 5, 1000);
    CHECK_NAMED(answer.allowed && answer.remaining == 4, "after a pause all n are there");
    CHECK_NAMED(take(meter, "b", 5, 1000).remaining == 4, "another key has its own");
    tael_meter_free(meter);
}

/* The definition itself: arrivals of one key, and no second structure. */
static bool model(int64_t *arrival, int64_t now, int64_t n, int64_t window_ms)
{
    int64_t each = window_ms * 1000 / n;
    int64_t from = *arrival > now ? *arrival : now;
    if (from + each - now > each * n)
        return false;
    *arrival = from + each;
    return true;
}

static void it_does_what_the_definition_says(void)
{
    static const struct {
        int64_t n, window_ms;
    } limits[] = {{1, 1}, {1, 3600000}, {3, 1000}, {7, 1000}, {500, 1000}, {1000000, 1000}};
    uint64_t random = 1;
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        struct place place = {.mono_us = 1};
        struct tael_meter *meter = meter_in(&place);
        int64_t arrival = 0, since = 0, wrong = 0, allowed = 0;
        int64_t each = limits[l].window_ms * 1000 / limits[l].n;
        for (int i = 0; i < 20000; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            int64_t step = (int64_t)(random >> 33) % (each + each / 2 + 1);
            place.mono_us += step;
            since += step;
            bool now = take(meter, "key", limits[l].n, limits[l].window_ms).allowed;
            wrong += now != model(&arrival, since, limits[l].n, limits[l].window_ms);
            allowed += now;
        }
        CHECK_NAMED(wrong == 0 && allowed > 1000 && allowed < 20000 + (l == 5), "as the model");
        tael_meter_free(meter);
    }
}

static void bad_limits_are_refused(void)
{
    static const struct {
        int64_t n, window_ms;
    } rows[] = {
        {0, 1000},
        {-1, 1000},
        {1, 0},
        {1, -1},
        {1, TAEL_METER_WINDOW_MAX_MS + 1},
        {1000001, 2},
        {1001, 1},
        {INT64_MAX, 1000},
        {1, INT64_MAX},
    };
    struct place place = {.mono_us = 1};
    struct tael_meter *meter = meter_in(&place);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_meter_answer answer = {.remaining = 77};
        CHECK(tael_meter_take(meter, tael_span_of("k"), rows[i].n, rows[i].window_ms, &answer) ==
                  TAEL_EINVAL &&
              answer.remaining == 77);
    }
    CHECK(take(meter, "k", 1000, 1).allowed);
    CHECK(take(meter, "", 1, 1).allowed);
    tael_meter_free(meter);
    tael_meter_free(NULL);
}

static void a_clock_that_goes_back_shuts_nobody_out(void)
{
    struct place place = {.mono_us = INT64_C(3600000000)};
    struct tael_meter *meter = meter_in(&place);
    place.mono_us += 100000000;
    for (int i = 0; i < 10; i++)
        take(meter, "a", 10, 1000);
    CHECK(!take(meter, "a", 10, 1000).allowed);
    place.mono_us -= 90000000;
    struct tael_meter_answer answer = take(meter, "a", 10, 1000);
    CHECK_NAMED(!answer.allowed && answer.reset_ms == 100, "as if all had just been taken");
    place.mono_us += 100000;
    CHECK(take(meter, "a", 10, 1000).allowed);
    place.mono_us = 0; /* before the meter was made */
    answer = take(meter, "a", 10, 1000);
    CHECK(!answer.allowed && answer.reset_ms == 100);
    place.mono_us = INT64_C(3600000000) + 200000;
    CHECK(take(meter, "a", 10, 1000).allowed);
    place.mono_us += 10000000;
    take(meter, "a", 1, 86400000); /* another limit under the same key: a day ahead */
    CHECK(!take(meter, "a", 10, 1000).allowed);
    place.mono_us += 100000;
    CHECK_NAMED(take(meter, "a", 10, 1000).allowed, "a smaller window is not held up for a day");
    tael_meter_free(meter);
}

/* ---- many keys ---- */

static const char *name_of(char text[32], int i)
{
    snprintf(text, 32, "key:10.0.%d.%d", i / 256, i % 256);
    return text;
}

static void many_keys_stay_apart(void)
{
    enum { KEYS = 1500, N = 4 };
    struct place place = {.mono_us = 1, .seed = 42};
    struct tael_meter *meter = meter_in(&place);
    char text[32];
    int allowed = 0, forgotten = 0;
    for (int round = 0; round < N + 1; round++)
        for (int i = 0; i < KEYS; i++)
            allowed += take(meter, name_of(text, i), N, 60000).allowed;
    forgotten = allowed - KEYS * N;
    printf("# %d of %d keys began anew\n", forgotten, KEYS);
    CHECK(forgotten >= 0 && forgotten < KEYS / 20);
    tael_meter_free(meter);
}

static void too_many_keys_push_out_the_idle(void)
{
    struct place place = {.mono_us = 1, .seed = 1};
    struct tael_meter *meter = meter_in(&place);
    char text[32];
    int held = 0;
    for (int i = 0; i < 60000; i++) {
        place.mono_us += 10;
        take(meter, name_of(text, i), 2, 1000);
        if (i % 100 == 0) /* whoever goes on asking is not pushed out by those who came once */
            held += !take(meter, "busy", 2, 1000).allowed;
    }
    printf("# refused %d of 600\n", held);
    CHECK_NAMED(held > 400, "a busy key keeps its slot among 60000 others");
    tael_meter_free(meter);
}

static void the_seed_decides_where_keys_lie(void)
{
    struct tael_siphash_seed seed = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    char data[64];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)i;
    /* vectors_sip64 of the authors' reference, lengths 0, 1, 8, 15, 63 */
    CHECK(tael_siphash(&seed, (struct tael_span){data, 0}) == UINT64_C(0x726fdb47dd0e0e31));
    CHECK(tael_siphash(&seed, (struct tael_span){data, 1}) == UINT64_C(0x74f839c593dc67fd));
    CHECK(tael_siphash(&seed, (struct tael_span){data, 8}) == UINT64_C(0x93f5f5799a932462));
    CHECK(tael_siphash(&seed, (struct tael_span){data, 15}) == UINT64_C(0xa129ca6149be45e5));
    CHECK(tael_siphash(&seed, (struct tael_span){data, 63}) == UINT64_C(0x958a324ceb064572));
    seed.k1++;
    CHECK(tael_siphash(&seed, (struct tael_span){data, 15}) != UINT64_C(0xa129ca6149be45e5));
}

/* ---- many threads ---- */

struct crowd {
    struct tael_meter *meter;
    const char *key; /* NULL: a few hundred of its own and shared ones */
    int turns, number;
    int64_t allowed;
};

static void *take_often(void *arg)
{
    struct crowd *crowd = arg;
    char text[32];
    for (int i = 0; i < crowd->turns; i++) {
        const char *key = crowd->key;
        if (key == NULL)
            key = name_of(text, i % 3 == 0 ? i % 200 : i % 5000 + 10000 * crowd->number);
        crowd->allowed += take(crowd->meter, key, 1000, 3600000).allowed;
    }
    return NULL;
}

static int64_t crowd_takes(struct tael_meter *meter, const char *key, int turns)
{
    enum { THREADS = 4 };
    struct crowd crowd[THREADS];
    pthread_t threads[THREADS];
    int64_t allowed = 0;
    for (int i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){meter, key, turns, i, 0};
        if (pthread_create(&threads[i], NULL, take_often, &crowd[i]) != 0)
            abort();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        allowed += crowd[i].allowed;
    }
    return allowed;
}

static void threads_together_get_n(void)
{
    struct place place = {.mono_us = 1};
    struct tael_meter *meter = meter_in(&place);
    int wrong = 0;
    for (int i = 0; i < 20; i++) {
        char text[32];
        wrong += crowd_takes(meter, name_of(text, i), 2000) != 1000;
    }
    CHECK_NAMED(wrong == 0, "four threads get exactly n, from the first one on");
    CHECK(crowd_takes(meter, NULL, 20000) > 20000);
    tael_meter_free(meter);
}

int main(void)
{
    n_may_come_at_once_then_one_at_a_time();
    it_does_what_the_definition_says();
    bad_limits_are_refused();
    a_clock_that_goes_back_shuts_nobody_out();
    many_keys_stay_apart();
    too_many_keys_push_out_the_idle();
    the_seed_decides_where_keys_lie();
    threads_together_get_n();
    return tap_end();
}
