/** @file store_pack_file.h  A copy's file, packed or merged: before there is anything in it, and when
 *  all is. */
#ifndef STORE_PACK_FILE_H
#define STORE_PACK_FILE_H
#include "store_internal.h"

/** Entries that are checked and then copied together. */
enum { STORE_PACK_GROUP = 64 };

/** How one dataset is cut into chunks: along its first axis, every row being whole in one. */
struct pack_part {
    size_t rows, chunk_rows; /* rows: 0 where there is no such dataset */
    size_t row_bytes;        /* in memory */
    bool is_payload;         /* counts only where an entry says done; else, of the plan */
};

/** A payload dataset's chunks have a number of rows that divides STORE_PACK_GROUP, so that each is
 *  written, and compressed, once. */
void store_pack_cut(struct pack_part parts[PARTS], const struct pm_store *live);

/** In place of a level: nothing is compressed, and everything has its place, as in a live store. */
enum { STORE_PACK_FIXED = 0 };

/** Create packed->temporary with all that @p live has but the data of the store's own datasets:
 *  groups, empty datasets, attributes, and what else somebody put into the file. */
PM_MUST_CHECK bool store_pack_create(struct pm_store *packed, const struct pm_store *live,
                                     const struct pack_part parts[PARTS], int level,
                                     struct pm_error *err);

/** Put it on the disk and under its name. @param bytes  of the file */
PM_MUST_CHECK bool store_pack_finish(struct pm_store *packed, bool replaces, uint64_t *bytes,
                                     struct pm_error *err);

/** HDF5 cannot close a file that it cannot write. So this one stays open, empty and without a name,
 *  until the process ends. */
void store_pack_abandon(struct pm_store *packed);
#endif
