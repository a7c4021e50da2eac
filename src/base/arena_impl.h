/** @file arena_impl.h  What arena.c and shared_arena.c share. */
#ifndef PM_BASE_ARENA_IMPL_H
#define PM_BASE_ARENA_IMPL_H
#include <stddef.h>

/** Map room to read and write. Where a process may not have that much address space (ulimit -v), or the
 *  system promises no more memory than it has, half of it is tried, and so on; at least a third of what
 *  there is stays for others then.
 *  @param capacity  bytes wanted, a multiple of 64 KiB if more than 16 MiB; those that it became
 *  @param file      -1 with MAP_ANONYMOUS among @p flags
 *  @return NULL when there are not even 16 MiB, or what was wanted if that is less; errno says why */
char *arena_map(size_t *capacity, int flags, int file);
#endif
