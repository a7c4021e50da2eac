/** @file store_shard_impl.h  What store_shard.c (use) and store_shard_create.c (making) share. */
#ifndef PM_DATA_STORE_SHARD_IMPL_H
#define PM_DATA_STORE_SHARD_IMPL_H
#include "store_internal.h"

enum { PREFIX_BYTES = 236 };

/** A range of items with their entries, in a file of its own. */
struct shard {
    char *path;
    char *temporary;                /* this rank has made it and it is not published; or NULL */
    size_t first_item, first_entry; /* up to the next shard's */
    struct pm_store *store;         /* NULL: not open */
    size_t last_use;
};

struct store_shards {
    size_t count, open, uses;
    char prefix[PREFIX_BYTES];   /* of the files' names */
    char uuid[STORE_UUID_BYTES]; /* of the store */
    struct shard shard[];        /* [count + 1] the last only ends the one before */
};

/** Where the datasets lie in a shard's file: nobody else's file has such a group. */
void store_shard_group_path(char path[STORE_SHARD_GROUP_BYTES], const struct pm_store *store,
                            size_t shard);

/** The first of the store's rows that a shard has. */
size_t store_shard_first_row(const struct pm_store *store, enum part part, size_t shard);

/** Give a store its shards. @param first_item, first_entry  [shape.shards] */
void store_shards_lay_out(struct pm_store *store, const char *prefix, const char *uuid,
                          const size_t *first_item, const size_t *first_entry);

/** A store of its own, with some of the rows and nothing else. @return owned by the caller
 *  (pm_store_close) */
struct pm_store *store_shard_new(const struct pm_store *store, size_t shard);

/** Open a shard's file and check it. */
PM_MUST_CHECK bool store_shard_open(const struct pm_store *store, size_t shard,
                                    struct pm_error *err);
#endif
