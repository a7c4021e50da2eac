/** @file node_arena.h  Memory that the ranks of a host fill together and all of them read. */
#ifndef PM_RUNTIME_NODE_ARENA_H
#define PM_RUNTIME_NODE_ARENA_H
#include "pm/base/arena.h"
#include "pm/base/error.h"
#include "pm/runtime/world.h"

/** What @p share of @p shares a call is to write: of some memory that all of them have, each at an
 *  address of its own, so that no address may be in it.
 *  Each takes all of it from its arena in the same order, and writes a part of its own choice, but
 *  so that together they write all; what several write is the same bytes. */
typedef bool pm_node_arena_filler(void *self, struct pm_arena *arena, size_t share, size_t shares,
                                  struct pm_error *err);

/** Have @p fill put the same things into every rank's arena, which is then read-only. On a host
 *  whose ranks can share memory, each writes its share and sees what the others wrote, in the same
 *  places. Where they cannot (other PID namespaces, say), the lowest logs a warning with the
 *  reason and each fills an arena of its own, as share 0 of 1. A rank alone on its host does so
 *  anyway. Collective over all ranks; they sleep while others fill.
 *  @param name      what the memory holds, for the warning and for /proc/PID/maps
 *  @param capacity  bytes of address space, the same on all ranks
 *  @param fill      gets @p self and an empty arena. Not collective
 *  @return true, *out owned by the caller (pm_arena_free), `used` the same on all ranks of a host;
 *  false on all ranks when @p fill failed on any, err with the lowest one's sentence */
PM_MUST_CHECK bool pm_node_arena_fill(struct pm_arena *out, const struct pm_world *world,
                                      const char *name, size_t capacity, pm_node_arena_filler *fill,
                                      void *self, struct pm_error *err);
#endif
