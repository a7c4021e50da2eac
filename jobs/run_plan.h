/** @file run_plan.h  What a run has to do: the manifest's lines against the model's tokenizer.
 *
 *  Lines are looked at one by one and not kept, see run_texts.h: a manifest may have a million. */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H
#include "run_capture.h"

#include "pm/data/manifest.h"
#include "pm/edit/edit_memory.h"

#include <mpi.h>

/** One line of the manifest. */
struct run_plan_item {
    size_t first_entry; /* in the store */
    size_t targets;
    size_t cost;  /* UNet samples; 0 when the whole line is wrong */
    size_t bytes; /* of a rank's memory that its edits work in */
};

/** Something that cannot be done. */
struct run_plan_problem {
    size_t item;
    int target;    /* of the item, from 0; PM_STORE_SOURCE: nothing of it can be done */
    char *message; /* owned */
};

struct run_plan {
    const struct pm_config *config;          /* borrowed */
    const struct pm_edit_settings *settings; /* borrowed */
    struct pm_edit_memory edit_memory;
    MPI_Comm comm; /* borrowed; MPI_COMM_NULL: alone */
    int rank, ranks;
    struct pm_manifest manifest;
    size_t first_line, end_line;       /* of the manifest's lines, this rank's share */
    struct run_plan_item *items;       /* [manifest.count]; of other ranks' lines on rank 0 only */
    struct run_plan_problem *problems; /* [problem_count] in order; likewise. An edit each */
    size_t problem_count;
    struct pm_store_shape shape;
    /* the rest is rank 0's */
    size_t entries, edits; /* an edit is a target, or a source that has none */
    double cost;
    uint64_t hash; /* of all recipes */
};

/** A line, ready to be looked at or computed. */
struct run_plan_line {
    size_t item;
    char place[PM_MANIFEST_PLACE_BYTES];
    struct pm_error error; /* of the whole line; then nothing else is set but id */
    char id[300];
    char *text; /* the resolved recipe, JSON; "" when it could not be parsed */
    struct pm_recipe recipe;
    struct pm_prepared prepared;
};

/** Sizes, sampler, guidance and captures that a config asks for, checked against a model.
 *  @param schedule, captures  filled in; *settings borrows them, the config and the model. The
 *  captures are the caller's (run_captures_free), also on failure */
PM_MUST_CHECK bool run_settings_make(struct pm_edit_settings *settings,
                                     struct pm_schedule *schedule, struct run_captures *captures,
                                     const struct pm_config *config, const struct pm_model *model,
                                     struct pm_error *err);

/** Called with each line of the rank's share, in order, as it is looked at: its item's cost is 0
 *  when nothing of it can be done.
 *  @param plan  not yet whole */
typedef void run_plan_watch(void *self, const struct run_plan *plan,
                            const struct run_plan_line *line);

/** Look at every line, each rank at its share. Collective over @p comm; MPI_COMM_NULL will do for
 *  one process alone.
 *  @param watch  NULL: none  @param self  its first argument
 *  @return true, *out owned by the caller (run_plan_free), its problems listed; false, on all
 *  ranks, only when there is no manifest to look at, or not one and the same */
PM_MUST_CHECK bool run_plan_make(struct run_plan *out, const struct pm_config *config,
                                 const struct pm_edit_settings *settings,
                                 const struct run_captures *captures, MPI_Comm comm,
                                 run_plan_watch *watch, void *self, struct pm_error *err);
void run_plan_free(struct run_plan *plan);

/** Is the store no larger than can be, and than the config allows? */
PM_MUST_CHECK bool run_plan_check_bytes(const struct run_plan *plan, struct pm_error *err);

/** @return the entry of the store that says so: the target's, or the source's */
size_t run_plan_problem_entry(const struct run_plan *plan, const struct run_plan_problem *problem);

/** @return the item whose edits take the most memory. Rank 0 only */
size_t run_plan_largest(const struct run_plan *plan);

/** The hash of all recipes, as the store keeps it. */
void run_plan_hash_text(char text[17], const struct run_plan *plan);

/** Look at one line again, without its words: only id, text and recipe are set, or the error. Free
 *  with run_plan_line_free. */
void run_plan_line_read(struct run_plan_line *line, const struct run_plan *plan, size_t item);

/** Look at one line again, as the survey did. Free with run_plan_line_free. */
void run_plan_line_load(struct run_plan_line *line, const struct run_plan *plan, size_t item);
void run_plan_line_free(struct run_plan_line *line);

/** The resolved recipe of a line as JSON text. Any thread. @return owned by the caller (free) */
char *run_plan_recipe_text(const struct run_plan *plan, size_t item);

/** Is the store one of this plan? Compares every item's recipe, unless a hash of them all tells.
 *  Rank 0 only. */
PM_MUST_CHECK bool run_plan_matches(const struct run_plan *plan, const struct pm_store *store,
                                    struct pm_error *err);
#endif
