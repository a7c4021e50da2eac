/** @file node_arena.h  Memory that one rank of each host fills and all its ranks read. */
#ifndef PM_RUNTIME_NODE_ARENA_H
#define PM_RUNTIME_NODE_ARENA_H
#include "pm/base/arena.h"
#include "pm/base/error.h"
#include "pm/runtime/world.h"

/** Have @p fill put the same things into every rank's arena, which is then read-only. On a host
 *  whose ranks can share memory, the lowest of them calls @p fill and the others see what it wrote,
 *  at the same addresses. Where they cannot (other PID namespaces, say), that rank logs a warning
 *  with the reason and each fills an arena of its own. A rank alone on its host does so anyway.
 *  Collective over all ranks; they sleep while others fill.
 *  @param name      what the memory holds, for the warning and for /proc/PID/maps
 *  @param capacity  bytes of address space, the same on all ranks
 *  @param fill      gets @p self and an empty arena. It may store pointers into the arena in
 *                   it. Not collective: some ranks only are asked
 *  @return true, *out owned by the caller (pm_arena_free), `used` the same on all ranks of a host;
 *  false on all ranks when @p fill failed on any, err with the lowest one's sentence */
PM_MUST_CHECK bool pm_node_arena_fill(struct pm_arena *out, const struct pm_world *world,
                                      const char *name, size_t capacity,
                                      bool (*fill)(void *self, struct pm_arena *arena,
                                                   struct pm_error *err),
                                      void *self, struct pm_error *err);
#endif
