/** @file run_store.h  What one rank of a run holds, and how its store is begun or gone on with. */
#ifndef RUN_STORE_H
#define RUN_STORE_H
#include "run_plan.h"

#include "pm/model/model.h"
#include "pm/runtime/progress.h"
#include "pm/runtime/stop.h"
#include "pm/runtime/world.h"

/** Everything a rank holds. */
struct run {
    struct pm_world world;
    struct pm_config config;
    struct pm_model model;
    struct pm_schedule schedule;
    struct pm_edit_settings settings;
    struct pm_arena scratch;
    struct pm_store *store;
    struct run_plan plan; /* rank 0 */
    size_t *order;        /* rank 0: items, dearest first */
    size_t order_count;
    struct pm_progress progress; /* rank 0 */
    struct pm_stop stop;
    size_t failed; /* rank 0: entries that failed in this run */
};

/** Create the store, its plan in it, or go on with one that is of the same plan and settings.
 *  Collective. @return false on all ranks, err with the first difference */
PM_MUST_CHECK bool run_store_open(struct run *run, struct pm_error *err);

/** Rank 0: record what the plan found wrong, where the store does not say so already. */
PM_MUST_CHECK bool run_store_record_problems(struct run *run, struct pm_error *err);

/** Rank 0: run->order = the items that have an entry pending, dearest first.
 *  @param edits,cost  what they come to, added */
PM_MUST_CHECK bool run_store_choose_items(struct run *run, size_t *edits, double *cost,
                                          struct pm_error *err);
#endif
