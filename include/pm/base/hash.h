/** @file hash.h  Fingerprints of bytes: XXH3, 128 and 64 bits (not for secrets). */
#ifndef PM_BASE_HASH_H
#define PM_BASE_HASH_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { PM_HASH_TEXT_BYTES = 33 }; /* 32 hexadecimal digits and the end */

/** XXH3 of @p bytes bytes, 64 bits, seeded, so that several buffers can be chained:
 *  `h = pm_hash64(a, na, 0); h = pm_hash64(b, nb, h);` */
uint64_t pm_hash64(const void *data, size_t bytes, uint64_t seed);

/** The same of a mapped file of up to 32 MiB; of a larger one, a hash of the hashes of its pieces of 32
 *  MiB, on all threads. Its pages do not stay in this process's memory. @param map  begins a page */
uint64_t pm_hash64_map(void *map, size_t bytes, uint64_t seed);

/** XXH3-128 as 32 lower-case hexadecimal digits, as `xxhsum -H2` prints it. */
void pm_hash_text(char text[PM_HASH_TEXT_BYTES], const void *data, size_t bytes);

/** The same of a regular file's content. @return false when it cannot be read */
PM_MUST_CHECK bool pm_hash_file_text(char text[PM_HASH_TEXT_BYTES], const char *path,
                                     struct pm_error *err);
#endif
