#include "pm/base/arena.h"

#include "arena_impl.h"
#include "pm/base/error.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum {
    ALIGNMENT = 64,         /* bytes: a cache line, and an AVX-512 register */
    HUGE_PAGE = 2 << 20,    /* bytes; where they are larger, the end has small ones */
    LEAST_BYTES = 16 << 20, /* with less, nothing would come of it */
    ADVISE_COLLAPSE = 25,   /* MADV_COLLAPSE, Linux 6.1, which older C libraries do not name */
};

/* What may help. */
static const char *hint(void)
{
    struct rlimit limit;
    bool is_limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return is_limited ? " (ulimit -v allows no more)" : "";
}

char *arena_map(size_t *capacity, int flags, int file)
{
    size_t left = 0; /* for others, beside what is taken */
    for (size_t bytes = *capacity;; bytes /= 2, left = bytes / 2) {
        char *base =
            mmap(NULL, bytes + left, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, file, 0);
        if (base != MAP_FAILED) {
            if (left > 0) munmap(base + bytes, left);
            madvise(base, bytes, MADV_HUGEPAGE);
            *capacity = bytes;
            return base;
        }
        if (bytes / 2 < LEAST_BYTES) return NULL;
    }
}

void pm_arena_init(struct pm_arena *arena, size_t capacity)
{
    char *base = arena_map(&capacity, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!base)
        pm_die("cannot reserve %zu bytes of address space%s: %s", capacity, hint(),
               strerror(errno));
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
        pm_die("working memory of %zu bytes is full: %zu more are needed%s", arena->capacity,
               rounded - (arena->capacity - arena->used), hint());
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
