#include "pm/base/grow.h"

#include "pm/base/error.h"

#include <stdint.h>
#include <stdlib.h>

void *pm_grow(void *list, size_t count, size_t bytes)
{
    if ((count & (count - 1)) != 0) return list; /* not a power of two: there is room */
    size_t capacity = count ? 2 * count : 1;
    void *grown = capacity <= SIZE_MAX / bytes ? realloc(list, capacity * bytes) : NULL;
    if (!grown) pm_die("no memory for a list of %zu", capacity);
    return grown;
}
