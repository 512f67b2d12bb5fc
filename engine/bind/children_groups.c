/* children_groups.c - owners: who has a process, and who waits for one.
 *
 * 1 A group exists while it has a process or something is under way. 2 One without a process waits
 * because all processes are busy, in the order in which they began to wait: who is asked often does
 * not fall behind for it. 3 One that has its process and always something to do gives it up after a
 * number of asks when others wait. 4 A process in which asks wait for their hosts is never given
 * up; as many of those as there may be processes do not count as used, so that nobody waits for
 * them.
 */
#include <stdlib.h>

#include "bind/children_inner.h"
#include "bind/waiting.h"

enum { TURN = 32 /* asks of one group, while others wait */ };

static struct tael_children_group **bucket_of(struct tael_children *children, struct tael_span name)
{
    return &children->buckets[tael_waiting_hash(name) % GROUP_BUCKETS];
}

struct tael_children_group *tael_group_find(struct tael_children *children, struct tael_span name)
{
    struct tael_children_group *group = *bucket_of(children, name);
    while (group != NULL &&
           (group->name_len != name.len || memcmp(group->name, name.data, name.len) != 0))
        group = group->same;
    return group;
}

/* ---- lists ---- */

static void take_out(struct tael_children_group *group)
{
    struct group_list *list = group->list;
    if (list == NULL)
        return;
    *(group->newer != NULL ? &group->newer->older : &list->newest) = group->older;
    *(group->older != NULL ? &group->older->newer : &list->oldest) = group->newer;
    group->list = NULL;
}

void tael_group_move(struct tael_children_group *group, struct group_list *to)
{
    take_out(group);
    group->list = to;
    group->newer = NULL;
    group->older = to->newest;
    *(to->newest != NULL ? &to->newest->newer : &to->oldest) = group;
    to->newest = group;
}

struct tael_children_group *tael_group_use(struct tael_children *children, struct tael_span name)
{
    struct tael_children_group *group = tael_group_find(children, name);
    if (group == NULL) {
        struct tael_children_group **bucket = bucket_of(children, name);
        group = calloc(1, sizeof(*group) + name.len + 1);
        if (group == NULL)
            return NULL;
        group->children = children;
        group->behind = &group->first;
        group->name_len = name.len;
        memcpy(group->name, name.data, name.len);
        group->same = *bucket;
        group->same_link = bucket;
        if (group->same != NULL)
            group->same->same_link = &group->same;
        *bucket = group;
    } else if (group->process != NULL) {
        tael_group_move(group, &children->homes);
    }
    return group;
}

void tael_group_free_unused(struct tael_children_group *group)
{
    if (group->process != NULL || group->first != NULL)
        return;
    take_out(group);
    *group->same_link = group->same;
    if (group->same != NULL)
        group->same->same_link = group->same_link;
    free(group);
}

/* ---- processes for them ---- */

void tael_group_drop_process(struct tael_children_group *group)
{
    tael_process_free(group->process);
    take_out(group);
    group->process = NULL;
    group->busy = false;
    group->turn = 0;
    group->children->used--;
}

static bool only_holds(const struct tael_children_group *group)
{
    return !group->busy && group->first == NULL && group->held != NULL;
}

/* Is there room, or can the process that has had nothing to do for longest make some? */
static bool has_room(struct tael_children *children)
{
    size_t max = children->options.max, holding = 0;
    if (children->used < max)
        return true;
    struct tael_children_group *idle = NULL;
    for (struct tael_children_group *group = children->homes.oldest; group != NULL;
         group = group->newer) {
        holding += only_holds(group);
        if (idle == NULL && !group->busy && group->first == NULL && group->held == NULL)
            idle = group;
    }
    if (children->used - (holding < max ? holding : max) < max)
        return true;
    if (idle == NULL)
        return false;
    tael_group_drop_process(idle);
    tael_group_free_unused(idle);
    children->counts.replaced++;
    return true;
}

bool tael_group_provide(struct tael_children_group *group, tael_status *rc)
{
    struct tael_children *children = group->children;
    bool is_next = children->hungry.oldest == NULL || children->hungry.oldest == group;
    if (!is_next || !has_room(children)) {
        if (group->list == NULL)
            tael_group_move(group, &children->hungry);
        return false;
    }
    *rc = tael_process_take(children, &group->process);
    if (*rc == TAEL_OK) {
        group->process->group = group;
        children->used++;
        tael_group_move(group, &children->homes);
    }
    return true;
}

void tael_group_make_way(struct tael_children_group *group)
{
    struct tael_children *children = group->children;
    if (group->process == NULL || group->busy || group->held != NULL || group->turn < TURN ||
        group->first == NULL || children->hungry.oldest == NULL)
        return;
    for (const struct tael_children_ask *ask = group->first; ask != NULL; ask = ask->next)
        if (ask->inside)
            return;
    tael_group_drop_process(group);
    children->counts.replaced++;
    tael_group_move(group, &children->hungry);
}
