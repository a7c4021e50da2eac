#include "pm/base/hash.h"

#include <stdio.h>
#include <xxhash.h>

uint64_t pm_hash64(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

void pm_hash_text(char text[PM_HASH_TEXT_BYTES], const void *data, size_t bytes)
{
    XXH128_hash_t h = XXH3_128bits(data, bytes);
    snprintf(text, PM_HASH_TEXT_BYTES, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}
