/** @file arena.h  Memory that is given back all at once.
 *
 *  One arena a rank serves every forward pass: a function notes `used`, takes what it needs
 *  and puts `used` back when it is done.
 *
 *      size_t mark = scratch->used;
 *      float *x = pm_arena_floats(scratch, pixels * channels);
 *      ...
 *      scratch->used = mark;
 */
#ifndef PM_BASE_ARENA_H
#define PM_BASE_ARENA_H
#include <stddef.h>

struct pm_arena {
    char *base;
    size_t used, capacity, peak; /* bytes */
};

/** Reserve @p capacity bytes of address space, or as much of it as there is (`ulimit -v`); a page
 *  costs memory only once touched. Huge pages are asked for, since a pass walks over all of it. */
void pm_arena_init(struct pm_arena *arena, size_t capacity);
void pm_arena_free(struct pm_arena *arena);

/** Nothing more is written: give back the room that was not used, ask once more for huge pages, and
 *  make the rest read-only, for the hardware to see to. An arena that shares memory
 *  (shared_arena.h) is sealed in each process. */
void pm_arena_seal(struct pm_arena *arena);

/** @return uninitialised room for @p n floats, 64-byte aligned, owned by @p arena. Never NULL:
 *  too small an arena ends the job with the size it needed. */
float *pm_arena_floats(struct pm_arena *arena, size_t n);

/** The same in bytes, for what is not floats. */
void *pm_arena_bytes(struct pm_arena *arena, size_t bytes);
#endif
