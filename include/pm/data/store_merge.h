/** @file store_merge.h  One store of several that share the work of one manifest.
 *
 *  Every part of a run (the config's "part") has a store with a place for every entry, and fills its
 *  own. The merged store has each entry where it is done, byte for byte, with its checksum: it is
 *  the store that one run would have made, and a run may go on with it. */
#ifndef PM_DATA_STORE_MERGE_H
#define PM_DATA_STORE_MERGE_H
#include "pm/data/store.h"

struct pm_store_merge_report {
    size_t entries, done, failed, left; /* of the merged store */
};

/** Merge @p from[count], which nobody should be writing, into @p to. It is made under a temporary
 *  name, synced and renamed; the others are only read. From one process, without MPI.
 *  @param replaces  a file that has the name @p to already; it may not be one of the others
 *  @return false, and no @p to, with PM_E_INPUT (a store of another manifest, model or config, or an
 *  entry that two stores have: both are named), PM_E_FORMAT (an entry is damaged) or PM_E_IO */
PM_MUST_CHECK bool pm_store_merge(const char *to, const char *const *from, size_t count,
                                  bool replaces, struct pm_store_merge_report *report,
                                  struct pm_error *err);
#endif
