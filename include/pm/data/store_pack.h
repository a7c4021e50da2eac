/** @file store_pack.h  A smaller copy of a store, to keep or to pass on.
 *
 *  The copy has the same groups, datasets, types, shapes, attributes and axis names, but its
 *  datasets are in chunks, shuffled, compressed with gzip and checksummed by HDF5 (Fletcher32), so
 *  that it reads like the live store and can be written no more: pm_store_open refuses it.
 *
 *      struct pm_store_pack_options options = pm_store_pack_options_default();
 *      struct pm_store_pack_report report;
 *      if (!pm_store_pack("edits.h5", "small.h5", &options, &report, &err)) ...
 *
 *  An entry that is done or failed, and whose checksum is right, is in the copy as it is. All
 *  others are pending there, and nothing of their payload is kept. What promptmill does not know in
 *  the file is copied as it is, uncompressed. The same store gives the same bytes each time. */
#ifndef PM_DATA_STORE_PACK_H
#define PM_DATA_STORE_PACK_H
#include "pm/data/store.h"

/** Chunks are filled with whole rows up to so many bytes; a larger row has one to itself. */
enum { PM_STORE_CHUNK_BYTES = 1 << 20 };

struct pm_store_pack_options {
    int level;        /* of gzip, 1 (fast) to 9 (small) */
    bool replaces;    /* a file that has the copy's name already */
    bool keeps_going; /* make the copy though entries are damaged; they are pending in it */

    /* May be NULL. Each gets the context. */
    /** Called for each entry that is damaged; @p why is a sentence, or "": its checksum is
     *  not that of its bytes. */
    void (*damaged)(void *context, const struct pm_store *store, size_t entry, const char *why);
    /** Called every few MB, all bytes being counted before compression. @return false to stop */
    bool (*progress)(void *context, uint64_t bytes_done, uint64_t bytes);
    void *context;
};

/** Level 4, nothing replaced, damage is a failure, silent. */
struct pm_store_pack_options pm_store_pack_options_default(void);

struct pm_store_pack_report {
    size_t entries, damaged;
    uint64_t bytes_before, bytes_after; /* of the files; after: 0 where there is no copy */
};

/** Pack the store @p from, which nobody should be writing, into @p to. The copy is made under a
 *  temporary name beside @p to, synced, and then renamed, so that whatever happens @p from is
 *  untouched and @p to whole or not there; a temporary file that a killed process left is removed
 *  by the next one an hour later. Entries are checked and copied in groups of 64; memory is one
 *  chunk, which is PM_STORE_CHUNK_BYTES or the largest dataset's row.
 *  @return false: PM_E_INPUT (@p to is there, or is @p from itself; told to stop), PM_E_IO (on a
 *  full disk, HDF5 keeps an empty nameless file open until the process ends), PM_E_FORMAT (not a
 *  store; or report->damaged > 0, all of which have been named) */
PM_MUST_CHECK bool pm_store_pack(const char *from, const char *to,
                                 const struct pm_store_pack_options *options,
                                 struct pm_store_pack_report *report, struct pm_error *err);
#endif
