/* meter.c - limits by key on C11 atomics.
 *
 * A slot is two words: the key's hash (0: empty) and its time, a tag of 16 bits of the hash above
 * 48 bits of microseconds since the meter was made (they begin anew after nine years). 1 A slot is
 * taken over by changing the hash word alone: the time word still bears the former key's tag then,
 * which the new key reads as "idle". 2 A key's time is only replaced where the tag is its own or
 * the slot is newly its own; a thread that has lost its slot meanwhile fails the exchange and looks
 * again. 3 Two threads that bring the same new key choose the same victim, so one of them fails and
 * finds the other's slot. 4 A time further ahead than the window allows comes from another limit of
 * the same key or from a clock that went back: it counts as the window's end, so nobody is shut out
 * for longer.
 */
#include "base/meter.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/siphash.h"

enum {
    WAYS = 4, /* slots that a key may lie in: one cache line */
    BUCKETS = TAEL_METER_SLOTS / WAYS,
    TIME_BITS = 48,
};

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

struct slot {
    _Atomic uint64_t key;
    _Atomic uint64_t time; /* tag, then the theoretical arrival time */
};

struct tael_meter {
    struct tael_world *world;
    int64_t start_us;
    struct tael_siphash_seed seed;
    struct slot *slots;
};

tael_status tael_meter_new(struct tael_meter **out, struct tael_world *world)
{
    struct tael_meter *meter = calloc(1, sizeof(*meter));
    if (meter == NULL)
        return TAEL_ENOMEM;
    size_t size = TAEL_METER_SLOTS * sizeof(struct slot);
    tael_status rc = tael_random(world, &meter->seed, sizeof(meter->seed));
    if (rc == TAEL_OK) {
        meter->slots = aligned_alloc(WAYS * sizeof(struct slot), size);
        rc = meter->slots != NULL ? TAEL_OK : TAEL_ENOMEM;
    }
    if (rc != TAEL_OK) {
        free(meter);
        return rc;
    }
    for (size_t i = 0; i < TAEL_METER_SLOTS; i++) {
        atomic_init(&meter->slots[i].key, 0);
        atomic_init(&meter->slots[i].time, 0);
    }
    meter->world = world;
    meter->start_us = tael_mono_us(world);
    *out = meter;
    return TAEL_OK;
}

void tael_meter_free(struct tael_meter *meter)
{
    if (meter == NULL)
        return;
    free(meter->slots);
    free(meter);
}

static int64_t now_us(const struct tael_meter *meter)
{
    int64_t now = tael_mono_us(meter->world) - meter->start_us;
    return now > 0 ? (int64_t)((uint64_t)now & TIME_MASK) : 0;
}

/* The slot that holds key, else the one that it should take: an empty one or the longest idle. */
static struct slot *find(struct tael_meter *meter, uint64_t key, uint64_t *held)
{
    struct slot *bucket = &meter->slots[key % BUCKETS * WAYS], *victim = NULL;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < WAYS; i++) {
        uint64_t there = atomic_load(&bucket[i].key);
        if (there == key) {
            *held = key;
            return &bucket[i];
        }
        uint64_t time = there == 0 ? 0 : (atomic_load(&bucket[i].time) & TIME_MASK) + 1;
        if (time < least) {
            least = time;
            *held = there;
            victim = &bucket[i];
        }
    }
    return victim;
}

/* From when on the key's next ones count: now, if it has been idle. */
static int64_t arrival_of(uint64_t word, uint64_t tag, int64_t now, int64_t window_us)
{
    int64_t arrival = word >> TIME_BITS == tag ? (int64_t)(word & TIME_MASK) : 0;
    if (arrival < now)
        return now;
    return arrival - now > window_us ? now + window_us : arrival;
}

static void answer(struct tael_meter_answer *out, int64_t ahead, int64_t window_us, int64_t each_us)
{
    int64_t until = out->allowed ? ahead : ahead + each_us - window_us;
    out->remaining = (window_us - ahead) / each_us;
    out->reset_ms = (until + 999) / 1000;
}

tael_status tael_meter_take(struct tael_meter *meter, struct tael_span key, int64_t n,
                            int64_t window_ms, struct tael_meter_answer *out)
{
    if (n < 1 || n > TAEL_METER_PER_WINDOW_MAX || window_ms < 1 ||
        window_ms > TAEL_METER_WINDOW_MAX_MS || n > window_ms * 1000)
        return TAEL_EINVAL;
    int64_t each_us = window_ms * 1000 / n, window_us = each_us * n;
    uint64_t hash = tael_siphash(&meter->seed, key);
    hash += hash == 0; /* 0 is an empty slot */
    const uint64_t tag = hash >> TIME_BITS;
    int64_t now = now_us(meter), arrival = now;
    *out = (struct tael_meter_answer){.allowed = true};
    for (;;) { /* goes round again only when another thread has got on */
        uint64_t held = 0;
        struct slot *slot = find(meter, hash, &held);
        if (held != hash && !atomic_compare_exchange_strong(&slot->key, &held, hash))
            continue;
        uint64_t word = atomic_load(&slot->time);
        arrival = arrival_of(word, tag, now, window_us);
        out->allowed = arrival + each_us - now <= window_us;
        arrival += out->allowed ? each_us : 0;
        uint64_t next = tag << TIME_BITS | ((uint64_t)arrival & TIME_MASK);
        if (next == word || atomic_compare_exchange_strong(&slot->time, &word, next))
            break;
    }
    answer(out, arrival - now, window_us, each_us);
    return TAEL_OK;
}
