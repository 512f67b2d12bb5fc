/* http_peers.c - see http_peers.h. */
#include "net/http_peers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct tael_http_peer {
    size_t connections;
    size_t len;
    char address[]; /* without the port; not NUL-terminated */
};

static size_t address_len(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    return colon != NULL ? (size_t)(colon - peer) : strlen(peer);
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

static int compare(const struct tael_http_peer *entry, const char *address, size_t len)
{
    int order = memcmp(entry->address, address, entry->len < len ? entry->len : len);
    if (order != 0)
        return order;
    return entry->len < len ? -1 : entry->len > len;
}

/* The place of the first entry that is not below the address. */
static size_t find(const struct tael_http_peers *peers, const char *address, size_t len)
{
    size_t low = 0;
    size_t high = peers->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(peers->entries[middle], address, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static tael_status insert(struct tael_http_peers *peers, size_t place, const char *address,
                          size_t len)
{
    if (peers->count == peers->room) {
        size_t room = peers->room == 0 ? 16 : peers->room * 2;
        struct tael_http_peer **entries = realloc(peers->entries, room * sizeof(*entries));
        if (entries == NULL)
            return TAEL_ENOMEM;
        peers->entries = entries;
        peers->room = room;
    }
    struct tael_http_peer *entry = malloc(sizeof(*entry) + len);
    if (entry == NULL)
        return TAEL_ENOMEM;
    *entry = (struct tael_http_peer){.len = len};
    memcpy(entry->address, address, len);
    memmove(peers->entries + place + 1, peers->entries + place,
            (peers->count - place) * sizeof(struct tael_http_peer *));
    peers->entries[place] = entry;
    peers->count++;
    return TAEL_OK;
}

tael_status tael_http_peers_add(struct tael_http_peers *peers, const char *peer, size_t max,
                                struct tael_http_peer **out)
{
    size_t len = address_len(peer);
    size_t place = find(peers, peer, len);
    bool known = place < peers->count && compare(peers->entries[place], peer, len) == 0;
    if (known && peers->entries[place]->connections >= max)
        return TAEL_ELIMIT;
    if (!known) {
        tael_status status = insert(peers, place, peer, len);
        if (status != TAEL_OK)
            return status;
    }
    *out = peers->entries[place];
    (*out)->connections++;
    return TAEL_OK;
}

void tael_http_peers_remove(struct tael_http_peers *peers, struct tael_http_peer *entry)
{
    if (entry == NULL)
        return;
    assert(entry->connections > 0);
    if (--entry->connections > 0)
        return;
    size_t place = find(peers, entry->address, entry->len);
    assert(place < peers->count && peers->entries[place] == entry);
    peers->count--;
    memmove(peers->entries + place, peers->entries + place + 1,
            (peers->count - place) * sizeof(struct tael_http_peer *));
    free(entry);
}

void tael_http_peers_free(struct tael_http_peers *peers)
{
    assert(peers->count == 0);
    free(peers->entries);
    *peers = (struct tael_http_peers){0};
}
