#include "pm/base/arena.h"

#include "pm/base/error.h"

#include <stdint.h>
#include <sys/mman.h>

enum {
    ALIGNMENT = 64,       /* bytes: a cache line, and an AVX-512 register */
    HUGE_PAGE = 2 << 20,  /* bytes; where they are larger, the end has small ones */
    ADVISE_COLLAPSE = 25, /* MADV_COLLAPSE, Linux 6.1, which older C libraries do not name */
};

void pm_arena_init(struct pm_arena *arena, size_t capacity)
{
    void *base = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) pm_die("cannot reserve %zu bytes of address space", capacity);
    madvise(base, capacity, MADV_HUGEPAGE);
    *arena = (struct pm_arena){.base = base, .capacity = capacity};
}

void pm_arena_free(struct pm_arena *arena)
{
    if (arena->base) munmap(arena->base, arena->capacity);
    *arena = (struct pm_arena){0};
}

void pm_arena_seal(struct pm_arena *arena)
{
    size_t kept = (arena->used + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (kept < arena->capacity) {
        munmap(arena->base + kept, arena->capacity - kept);
        arena->capacity = kept;
    }
    /* Shared memory comes in small pages on most systems, whatever was asked for at its start.
     * This asks for huge ones now; where the kernel cannot, small ones do. */
    madvise(arena->base, arena->capacity, ADVISE_COLLAPSE);
    mprotect(arena->base, arena->capacity, PROT_READ);
}

void *pm_arena_bytes(struct pm_arena *arena, size_t bytes)
{
    PM_ASSERT(bytes <= SIZE_MAX - ALIGNMENT);
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded > arena->capacity - arena->used)
        pm_die("working memory of %zu bytes is full: %zu more are needed", arena->capacity,
               rounded - (arena->capacity - arena->used));
    void *p = arena->base + arena->used;
    arena->used += rounded;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return p;
}

float *pm_arena_floats(struct pm_arena *arena, size_t n)
{
    PM_ASSERT(n <= SIZE_MAX / sizeof(float));
    return pm_arena_bytes(arena, n * sizeof(float));
}
