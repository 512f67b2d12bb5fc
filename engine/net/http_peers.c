/* http_peers.c - see http_peers.h. */
#include "net/http_peers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net/address.h"

enum { NETWORK_BYTES = 8 }; /* of IPv6: what one customer is given at the least */

struct tael_http_peer {
    size_t connections;
    size_t bytes; /* of large bodies */
    struct tael_address network;
};

/* IPv4 that comes in the clothes of IPv6 is IPv4. */
static bool read_peer(struct tael_address *out, const char *peer)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const char *colon = strrchr(peer, ':');
    size_t len = colon != NULL ? (size_t)(colon - peer) : strlen(peer);
    bool brackets = len > 2 && peer[0] == '[';
    struct tael_span text = {brackets ? peer + 1 : peer, brackets ? len - 2 : len};
    if (!tael_address_parse(out, text))
        return false;
    if (out->ip6 && memcmp(out->bytes, mapped, sizeof(mapped)) == 0) {
        memmove(out->bytes, out->bytes + sizeof(mapped), 4);
        out->ip6 = false;
        memset(out->bytes + 4, 0, sizeof(out->bytes) - 4);
    }
    return true;
}

/* IPv4: the address. IPv6: its /64, for every host of it can take any address in it. */
static struct tael_address network_of(const char *peer)
{
    struct tael_address network = {.ip6 = false};
    if (!read_peer(&network, peer))
        return (struct tael_address){.ip6 = false}; /* no such peer: all of them are one */
    size_t kept = network.ip6 ? NETWORK_BYTES : 4;
    memset(network.bytes + kept, 0, sizeof(network.bytes) - kept);
    return network;
}

bool tael_http_peer_is_local(const char *peer)
{
    static const char *const prefixes[] = {"127.", "[::1]:", "[::ffff:127.", "unix"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(peer, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

bool tael_http_peer_is_among(const char *peer, const struct tael_network *networks, size_t count)
{
    struct tael_address address;
    if (count == 0 || !read_peer(&address, peer))
        return false;
    for (size_t i = 0; i < count; i++)
        if (tael_network_holds(&networks[i], &address))
            return true;
    return false;
}

static int compare(const struct tael_address *a, const struct tael_address *b)
{
    if (a->ip6 != b->ip6)
        return a->ip6 ? 1 : -1;
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* The place of the first entry that is not below the network. */
static size_t find(const struct tael_http_peers *peers, const struct tael_address *network)
{
    size_t low = 0;
    size_t high = peers->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&peers->entries[middle]->network, network) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static tael_status insert(struct tael_http_peers *peers, size_t place,
                          const struct tael_address *network)
{
    if (peers->count == peers->room) {
        size_t room = peers->room == 0 ? 16 : peers->room * 2;
        struct tael_http_peer **entries = realloc(peers->entries, room * sizeof(*entries));
        if (entries == NULL)
            return TAEL_ENOMEM;
        peers->entries = entries;
        peers->room = room;
    }
    struct tael_http_peer *entry = malloc(sizeof(*entry));
    if (entry == NULL)
        return TAEL_ENOMEM;
    *entry = (struct tael_http_peer){.network = *network};
    assert(place <= peers->count && peers->count < peers->room);
    memmove(peers->entries + place + 1, peers->entries + place,
            (peers->count - place) * sizeof(struct tael_http_peer *));
    peers->entries[place] = entry;
    peers->count++;
    return TAEL_OK;
}

tael_status tael_http_peers_add(struct tael_http_peers *peers, const char *peer, size_t max,
                                struct tael_http_peer **out)
{
    struct tael_address network = network_of(peer);
    size_t place = find(peers, &network);
    bool known = place < peers->count && compare(&peers->entries[place]->network, &network) == 0;
    if (known && peers->entries[place]->connections >= max)
        return TAEL_ELIMIT;
    if (!known) {
        tael_status status = insert(peers, place, &network);
        if (status != TAEL_OK)
            return status;
    }
    *out = peers->entries[place];
    (*out)->connections++;
    return TAEL_OK;
}

static void remove_empty(struct tael_http_peers *peers, struct tael_http_peer *entry)
{
    if (entry->connections > 0 || entry->bytes > 0)
        return;
    size_t place = find(peers, &entry->network);
    assert(place < peers->count && peers->entries[place] == entry);
    peers->count--;
    memmove(peers->entries + place, peers->entries + place + 1,
            (peers->count - place) * sizeof(struct tael_http_peer *));
    free(entry);
}

void tael_http_peers_remove(struct tael_http_peers *peers, struct tael_http_peer *entry)
{
    if (entry == NULL)
        return;
    assert(entry->connections > 0);
    entry->connections--;
    remove_empty(peers, entry);
}

bool tael_http_peers_take(struct tael_http_peer *entry, size_t bytes, size_t max)
{
    if (bytes > max || entry->bytes > max - bytes)
        return false;
    entry->bytes += bytes;
    return true;
}

void tael_http_peers_give(struct tael_http_peers *peers, struct tael_http_peer *entry, size_t bytes)
{
    assert(bytes <= entry->bytes);
    entry->bytes -= bytes;
    remove_empty(peers, entry);
}

void tael_http_peers_free(struct tael_http_peers *peers)
{
    assert(peers->count == 0);
    free(peers->entries);
    *peers = (struct tael_http_peers){0};
}
