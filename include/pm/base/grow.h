/** @file grow.h  Lists that grow one by one. */
#ifndef PM_BASE_GROW_H
#define PM_BASE_GROW_H
#include <stddef.h>

/** Room for one more. The list's capacity is the power of two from its count on, so that nobody need
 *  remember it; so all of its elements must have come through here.
 *  @param list   [count]  of elements of @p bytes; NULL while count is 0
 *  @return the list, which may have moved; owned by the caller (free). Without memory, the program
 *  ends */
void *pm_grow(void *list, size_t count, size_t bytes);
#endif
