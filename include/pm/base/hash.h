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

/** Hashes of pieces of mapped files, of which several processes each make a share.
 *
 *  Each goes through the same files in the same order; then hashes[count] are brought together by a
 *  bitwise or, are_known is set, and the files are gone through once more: they are not read again. */
struct pm_hash_pieces {
    size_t share, shares; /* the process's own, of so many */
    bool are_known;
    uint64_t *hashes;   /* owned; [count]; 0 where they are another's share */
    size_t count, used; /* used: of those that are known. In the end as many as there are, unless
                           the files have changed */
};

/** Hash of a mapped file: of its pieces of 32 MiB, on all threads, and then, if there are several or a
 *  seed, of their hashes. Its pages do not stay in this process's memory.
 *  @param map  begins a page  @param pieces  NULL: all are this process's
 *  @return 0 while pieces are not known */
uint64_t pm_hash64_map(void *map, size_t bytes, uint64_t seed, struct pm_hash_pieces *pieces);

/** XXH3-128 as 32 lower-case hexadecimal digits, as `xxhsum -H2` prints it. */
void pm_hash_text(char text[PM_HASH_TEXT_BYTES], const void *data, size_t bytes);

/** The same of a regular file's content. @return false when it cannot be read */
PM_MUST_CHECK bool pm_hash_file_text(char text[PM_HASH_TEXT_BYTES], const char *path,
                                     struct pm_error *err);
#endif
