/** @file shared_arena.h  An arena that other processes of this host read, each at an address of its
 *  own.
 *
 *  One process creates the arena and sends the offer, which is plain bytes; the others attach, and
 *  all may fill it. Its memory is a nameless file (memfd), which no limit on /dev/shm touches
 *  and which is gone when the last process is, however it ends.
 *
 *  All that fails here fails because of the system; callers go on with memory of their own. */
#ifndef PM_BASE_SHARED_ARENA_H
#define PM_BASE_SHARED_ARENA_H
#include "pm/base/arena.h"
#include "pm/base/error.h"

#include <stdint.h>
#include <sys/types.h>

/** Where the memory of a shared arena is found. */
struct pm_arena_offer {
    pid_t process;
    int file;               /* a descriptor of that process */
    uint64_t device, inode; /* of that file, so that another one is not taken for it */
    size_t capacity;        /* bytes */
};

/** @param name  shown in /proc/PID/maps, as "/memfd:<name>"
 *  @return true, *out owned by the caller (pm_arena_free) and *offer too (pm_arena_offer_close);
 *  else false, nothing owned, and err tells what the system refused */
PM_MUST_CHECK bool pm_shared_arena_create(struct pm_arena *out, struct pm_arena_offer *offer,
                                          const char *name, size_t capacity, struct pm_error *err);

/** The same memory. `used` is 0: who takes from it in the same order as the others has the same
 *  things at the same places; who writes what to them is for these processes to agree on.
 *  @return true, *out owned by the caller (pm_arena_free); else as above */
PM_MUST_CHECK bool pm_shared_arena_attach(struct pm_arena *out, const struct pm_arena_offer *offer,
                                          struct pm_error *err);

/** No one can attach any more; whoever has, keeps the memory. For the process that created it. */
void pm_arena_offer_close(struct pm_arena_offer *offer);
#endif
