/** @file packed_file.h  Packed weights kept in a file, for the next run to map.
 *
 *  The file is FOLDER/FINGERPRINT-PRECISION.packed. It is good for the program that wrote it and for
 *  no other: the order of the numbers is the kernels' own. Checksums vouch for the numbers, and no
 *  addresses are among them, so that a wrong file is refused, and a forged one gives wrong pictures
 *  and nothing worse. All ranks of a host that map it share its pages in the page cache. */
#ifndef PM_MODEL_PACKED_FILE_H
#define PM_MODEL_PACKED_FILE_H
#include "pm/base/arena.h"
#include "pm/base/error.h"
#include "pm/kernels/kernels.h"

/** What a file must be of. */
struct pm_packed_key {
    const char *fingerprint; /* of the model, PM_HASH_TEXT_BYTES */
    enum pm_precision precision;
};

/** Put the file's numbers in the place of an arena's.
 *  @param arena  what is taken from it is where the numbers belong; read-only afterwards
 *  @param share  of @p shares: which checksums to look at, where several processes divide them. 0
 *  of 1: all
 *  @return true; false when there is no such file, or it is not what it should be, with the reason
 *  in err: then the arena is good for nothing but pm_arena_free */
PM_MUST_CHECK bool pm_packed_file_map(struct pm_arena *arena, const struct pm_packed_key *key,
                                      const char *folder, size_t share, size_t shares,
                                      struct pm_error *err);

/** Write what is taken from an arena to the file, which is there whole or not at all. When another
 *  process is at it, that is left to it. */
PM_MUST_CHECK bool pm_packed_file_save(const struct pm_arena *arena,
                                       const struct pm_packed_key *key, const char *folder,
                                       struct pm_error *err);
#endif
