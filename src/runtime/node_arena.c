#include "pm/runtime/node_arena.h"

#include "pm/base/log.h"
#include "pm/base/shared_arena.h"
#include "pm/runtime/agree.h"

#include <sys/mman.h>

/* Give the ranks of this host one arena. Collective over them.
 * @return false on all of them, nothing owned, when one of them cannot have it */
static bool share(struct pm_arena *out, const struct pm_world *world, const char *name,
                  size_t capacity)
{
    struct pm_error why = {0};
    struct pm_arena_offer offer;
    bool is_first = world->node_rank == 0, ok = true;
    if (is_first) ok = pm_shared_arena_create(out, &offer, name, capacity, &why);
    bool is_offered = pm_agree(world->node_comm, ok, &why), is_shared = false;
    if (is_offered) {
        MPI_Bcast(&offer, sizeof offer, MPI_BYTE, 0, world->node_comm);
        if (!is_first) ok = pm_shared_arena_attach(out, &offer, &why);
        is_shared = pm_agree(world->node_comm, ok, &why);
        if (is_first) pm_arena_offer_close(&offer);
    }
    if (is_shared) return true;
    pm_arena_free(out);
    if (is_first)
        pm_log(PM_LOG_WARNING, "the %d ranks of %s keep a copy of the %s each: %s",
               world->ranks_on_node, world->host, name, why.message);
    return false;
}

/* All have written: no one's pages are its own, and huge pages are made once, by the first. */
static void seal_shared(struct pm_arena *arena, const struct pm_world *world)
{
    bool is_first = world->node_rank == 0;
    if (!is_first) madvise(arena->base, arena->used, MADV_DONTNEED); /* of this process's mapping */
    pm_world_barrier(world->node_comm);
    if (is_first) pm_arena_seal(arena);
    pm_world_barrier(world->node_comm);
    if (!is_first) pm_arena_seal(arena);
}

bool pm_node_arena_fill(struct pm_arena *out, const struct pm_world *world, const char *name,
                        size_t capacity, pm_node_arena_filler *fill, void *self,
                        struct pm_error *err)
{
    *out = (struct pm_arena){0};
    bool is_shared = world->ranks_on_node > 1 && share(out, world, name, capacity);
    if (!is_shared) pm_arena_init(out, capacity);
    bool ok = fill(self, out, is_shared ? (size_t)world->node_rank : 0,
                   is_shared ? (size_t)world->ranks_on_node : 1, err);
    if (!pm_agree(MPI_COMM_WORLD, ok, err)) {
        pm_arena_free(out);
        return false;
    }
    if (is_shared)
        seal_shared(out, world);
    else
        pm_arena_seal(out);
    return true;
}
