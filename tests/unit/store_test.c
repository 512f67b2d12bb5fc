/* store_test.c - units of work on real files, with the store's own threads and in the simulated
 * world. */
#include <errno.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "store_fixture.h"

/* Inserts one item; what came of it. */
static tael_status insert(struct fixture *fixture, int64_t scope, int64_t item, const char *name,
                          int64_t amount)
{
    struct tael_unit *unit = new_unit(fixture, scope);
    add(unit, fixture, "item.insert", "item", INT(item), "name", TEXT(name), "amount", INT(amount),
        "data", BYTES("\0\1", 2), (char *)NULL);
    tael_status status = commit(fixture, unit)->status;
    tael_unit_free(unit);
    return status;
}

static void a_unit_is_committed_and_seen(bool simulated)
{
    struct fixture fixture;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    CHECK(insert(&fixture, 7, 1, "one", 100) == TAEL_OK);
    CHECK(amount_of(&fixture, 7, 1) == 100);
    CHECK(amount_of(&fixture, 8, 1) == -1); /* another tenant */
    fixture_close(&fixture);
    fixture_must_open(&fixture);
    CHECK(amount_of(&fixture, 7, 1) == 100);
    fixture_end(&fixture);
}

int main(void)
{
    a_unit_is_committed_and_seen(false);
    a_unit_is_committed_and_seen(true);
    return tap_end();
}
