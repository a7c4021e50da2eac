/** @file run_store.h  What one rank of a run holds, and how its store is begun or gone on with. */
#ifndef RUN_STORE_H
#define RUN_STORE_H
#include "run_estimate.h"
#include "run_memory.h"
#include "run_texts.h"

#include "pm/model/model.h"
#include "pm/runtime/lock.h"
#include "pm/runtime/progress.h"
#include "pm/runtime/stop.h"
#include "pm/runtime/world.h"

/** An inversion that is known to be in a store. */
struct run_inversion {
    struct pm_store_inversion_key key;
    const struct pm_store *store;
    size_t item;
};

/** See run_inversions.h. */
struct run_inversions {
    struct pm_store *earlier; /* another run's, or NULL */
    struct run_inversion *known;
    size_t count;
};

/** Everything a rank holds. */
struct run {
    struct pm_world world;
    struct pm_config config;
    struct pm_model model;
    struct pm_schedule schedule;
    struct pm_edit_settings settings;
    struct run_captures captures;
    struct pm_arena scratch;
    struct run_memory memory;
    struct pm_store *store;
    struct run_inversions inversions;
    bool retries_failed;
    struct pm_stop stop;
    struct run_plan plan;
    struct pm_buffer texts; /* until the store is open */
    /* the rest is rank 0's */
    struct pm_lock lock;
    size_t *order; /* items, dearest first */
    size_t order_count;
    int *node_of_rank; /* [ranks] the host's number */
    struct pm_progress progress;
    struct run_estimate estimate;
};

/** Create the store, its plan in it, or go on with one that is of the same plan and settings: what
 *  was damaged since it was written is found by its checksum and made pending again, and with
 *  retries_failed what failed. Takes the lock. Collective.
 *  @return false on all ranks, err with the first difference */
PM_MUST_CHECK bool run_store_open(struct run *run, struct pm_error *err);

/** Rank 0: record what the plan found wrong, where the store does not say so already. */
PM_MUST_CHECK bool run_store_record_problems(struct run *run, struct pm_error *err);

/** Rank 0: pictures in the store that failed, in this run or before. */
PM_MUST_CHECK bool run_store_count_failed(size_t *failed, const struct run *run,
                                          struct pm_error *err);

/** Rank 0: run->order = the items that have an entry pending, dearest first.
 *  @param edits,cost  what they come to, added */
PM_MUST_CHECK bool run_store_choose_items(struct run *run, size_t *edits, double *cost,
                                          struct pm_error *err);

/** The queue's groups: the hosts whose ranks have a shard of the store to write to. A store of one
 *  file has none. The latter two are called on rank 0, by any thread. @param run  a struct run */
size_t run_store_groups(const struct run *run);
size_t run_store_item_group(void *run, size_t item);
size_t run_store_rank_group(void *run, int rank);
#endif
