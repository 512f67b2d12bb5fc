/* engine_clock_test.c - a clock that is put ahead: who may, who sees it, and that ids rise whatever
 * becomes of it. */
#include "tael.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/sim.h"
#include "engine.h"
#include "tests/unit/tap.h"

#define HOUR_MS INT64_C(3600000)

static tael_engine *open_clock(const char *args, struct tael_world *world)
{
    tael_engine *engine = NULL;
    tael_error err = {0};
    struct tael_engine_setup setup = {.app = "simtest.clock", .args_json = args, .world = world};
    tael_options options = TAEL_OPTIONS_INIT;
    options.lua_root = "tests/sim/lua";
    options.root = "/tmp";
    if (tael_engine_open_app(&engine, &options, &setup, &err) != TAEL_OK ||
        tael_engine_start(engine, &err) != TAEL_OK) {
        printf("# %s\n", err.message);
        tael_engine_close(engine);
        return NULL;
    }
    return engine;
}

/* The number of that name in the answer to path; -1: none. */
static int64_t ask(tael_engine *engine, const char *path, const char *name)
{
    char *body = NULL, wanted[32];
    int status = 0;
    long long number = -1;
    if (tael_call_wait(engine, "GET", path, NULL, NULL, &status, &body, NULL) != TAEL_OK)
        return -1;
    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    const char *at = strstr(body, wanted);
    if (at == NULL || sscanf(at + strlen(wanted), "%lld", &number) != 1)
        printf("# no %s in %s\n", name, body);
    tael_free(body);
    return number;
}

static bool says(tael_engine *engine, const char *path, const char *text)
{
    char *body = NULL;
    int status = 0;
    if (tael_call_wait(engine, "GET", path, NULL, NULL, &status, &body, NULL) != TAEL_OK)
        return false;
    bool found = strstr(body, text) != NULL;
    if (!found)
        printf("# %s\n", body);
    tael_free(body);
    return found;
}

static bool near(int64_t value, int64_t wanted)
{
    return value >= wanted && value < wanted + 60000;
}

static void only_a_planned_clock_moves(void)
{
    tael_engine *engine = open_clock("{}", NULL);
    CHECK(says(engine, "/advance?1000", "the clock of this engine is not adjustable"));
    CHECK(ask(engine, "/now", "ahead") == 0);
    tael_engine_close(engine);
    CHECK_NAMED(open_clock("{\"clock\":\"loose\"}", NULL) == NULL, "no other word");
}

static void all_workers_see_it(void)
{
    tael_engine *engine = open_clock("{\"clock\":\"adjustable\",\"workers\":2}", NULL);
    int64_t before = ask(engine, "/now", "now");
    int64_t monotonic = ask(engine, "/now", "monotonic");
    CHECK(ask(engine, "/advance?7200000", "ahead") == 2 * HOUR_MS);
    CHECK(ask(engine, "/advance?1000", "ahead") == 2 * HOUR_MS + 1000);
    CHECK(near(ask(engine, "/now", "now"), before + 2 * HOUR_MS + 1000)); /* worker 1, then 2 */
    CHECK(near(ask(engine, "/now", "now"), before + 2 * HOUR_MS + 1000));
    CHECK_NAMED(near(ask(engine, "/now", "monotonic"), monotonic), "monotonic did not notice");
    CHECK(says(engine, "/advance?-1", "never goes back"));
    CHECK(says(engine, "/advance?9223372036854775807", "ends with the year 2079"));
    CHECK(says(engine, "/advance?9000000000000000000", "ends with the year 2079"));
    CHECK(ask(engine, "/advance?0", "ahead") == 2 * HOUR_MS + 1000);
    tael_engine_close(engine);
}

static void a_companion_shares_it(void)
{
    tael_engine *engine =
        open_clock("{\"companion\":{\"clock\":\"adjustable\",\"advance\":3600000}}", NULL);
    CHECK(ask(engine, "/now", "ahead") == HOUR_MS);
    CHECK_NAMED(says(engine, "/advance?1", "not adjustable"), "the right is each application's");
    tael_engine_close(engine);
    engine = open_clock("{}", NULL);
    CHECK_NAMED(ask(engine, "/now", "ahead") == 0, "another engine of this process does not");
    tael_engine_close(engine);
}

static void ids_rise_when_the_offset_is_lost(void)
{
    char folder[] = "/tmp/tael-clock-XXXXXX", adjustable[256], fixed[256], command[128];
    if (mkdtemp(folder) == NULL)
        abort();
    snprintf(fixed, sizeof(fixed), "{\"path\":\"%s/clock.db\"}", folder);
    snprintf(adjustable, sizeof(adjustable), "{\"clock\":\"adjustable\",\"path\":\"%s/clock.db\"}",
             folder);
    tael_engine *engine = open_clock(adjustable, NULL);
    int64_t first = ask(engine, "/item", "id");
    ask(engine, "/advance?7200000", "ahead");
    int64_t second = ask(engine, "/item", "id");
    int64_t second_ms = tael_store_id_ms(second);
    CHECK(first > 0 && near(second_ms, tael_store_id_ms(first) + 2 * HOUR_MS));
    tael_engine_close(engine);

    engine = open_clock(fixed, NULL); /* the system's own clock: two hours behind the store */
    CHECK(ask(engine, "/now", "ahead") == 0);
    int64_t third = ask(engine, "/item", "id"), fourth = ask(engine, "/item", "id");
    CHECK(second < third && third < fourth);
    CHECK_NAMED(near(ask(engine, "/item", "ms"), second_ms), "not later than they must be");
    tael_engine_close(engine);

    engine = open_clock(adjustable, NULL); /* and one that may follow it */
    CHECK(near(ask(engine, "/now", "now"), second_ms));
    CHECK(near(ask(engine, "/now", "ahead"), 2 * HOUR_MS - 60000));
    int64_t fifth = ask(engine, "/item", "id");
    CHECK(fourth < fifth && near(tael_store_id_ms(fifth), second_ms));
    tael_engine_close(engine);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    CHECK(system(command) == 0);
}

struct turns {
    tael_engine *engine;
    int64_t missed;
};

static void *take_turns(void *arg)
{
    struct turns *turns = arg;
    turns->missed = ask(turns->engine, "/turns?20000", "missed");
    return NULL;
}

static void no_wake_is_lost_between_looking_and_waiting(void)
{
    tael_engine *engine = open_clock("{\"clock\":\"adjustable\",\"workers\":2}", NULL);
    struct turns turns[2] = {{engine, -1}, {engine, -1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, take_turns, &turns[i]) != 0)
            abort();
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(turns[0].missed == 0 && turns[1].missed == 0);
    CHECK(ask(engine, "/now", "ahead") == 40000);
    tael_engine_close(engine);
}

/* The simulated world: until is meant as the clock stood, and the sequence of events is the same.
 */
static void the_simulated_clock_is_put_ahead(void)
{
    struct tael_world *world = NULL;
    struct tael_sim_options options = {.seed = 3, .start_ms = 1000000};
    if (tael_sim_new(&world, &options) != TAEL_OK)
        abort();
    struct tael_loop *loop = NULL;
    if (tael_loop_new(world, &loop) != TAEL_OK)
        abort();
    int64_t monotonic = tael_mono_us(world);
    CHECK(tael_world_advance(world, HOUR_MS) == TAEL_OK);
    CHECK(tael_now_ms(world) == 1000000 + HOUR_MS && tael_mono_us(world) == monotonic);
    struct tael_timer *timer = tael_timer_new(loop, (void (*)(void *))abort, NULL);
    tael_timer_start(timer, 5000);
    CHECK(tael_sim_run(world, 1000000 + HOUR_MS + 4) == TAEL_ETIMEOUT);
    CHECK(tael_now_ms(world) == 1000000 + HOUR_MS + 4 && tael_mono_us(world) == monotonic + 4000);
    CHECK(tael_sim_run(world, 1000000) == TAEL_ETIMEOUT && tael_mono_us(world) == monotonic + 4000);
    CHECK(tael_world_advance(world, -1) == TAEL_EINVAL);
    CHECK(tael_world_advance(world, INT64_MAX) == TAEL_ELIMIT);
    CHECK(tael_world_advance(world, TAEL_WORLD_LAST_MS - tael_now_ms(world)) == TAEL_OK);
    CHECK(tael_world_advance(world, 1) == TAEL_ELIMIT && tael_now_ms(world) == TAEL_WORLD_LAST_MS);
    tael_timer_free(timer);
    tael_loop_free(loop);
    tael_world_free(world);
}

int main(void)
{
    only_a_planned_clock_moves();
    all_workers_see_it();
    a_companion_shares_it();
    no_wake_is_lost_between_looking_and_waiting();
    ids_rise_when_the_offset_is_lost();
    the_simulated_clock_is_put_ahead();
    return tap_end();
}
