/** @file run_plan.h  What a run has to do: the manifest's lines against the model's tokenizer.
 *
 *  Lines are looked at one by one and not kept: a manifest may have a million. */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H
#include "run_capture.h"

#include "pm/data/manifest.h"

/** One line of the manifest. */
struct run_plan_item {
    size_t first_entry; /* in the store */
    size_t targets;
    size_t cost; /* UNet samples; 0 when the whole line is wrong */
};

/** Something that cannot be done. */
struct run_plan_problem {
    size_t item;
    size_t entry, entries; /* of the store, that it spoils */
    char *message;
};

struct run_plan {
    const struct pm_config *config;          /* borrowed */
    const struct pm_edit_settings *settings; /* borrowed */
    struct pm_manifest manifest;
    struct run_plan_item *items; /* [manifest.count] */
    size_t entries, edits;       /* an edit is a target, or a source that has none */
    struct run_plan_problem *problems;
    size_t problem_count, failed_edits;
    double cost;
    uint64_t hash; /* of all recipes */
    struct pm_store_shape shape;
};

/** A line, ready to be looked at or computed. */
struct run_plan_line {
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

/** Look at every line. @return true, *out owned by the caller (run_plan_free), its problems listed;
 *  false only when there is no manifest to look at */
PM_MUST_CHECK bool run_plan_make(struct run_plan *out, const struct pm_config *config,
                                 const struct pm_edit_settings *settings,
                                 const struct run_captures *captures, struct pm_error *err);
void run_plan_free(struct run_plan *plan);

/** Is the store no larger than can be, and than the config allows? */
PM_MUST_CHECK bool run_plan_check_bytes(const struct run_plan *plan, struct pm_error *err);

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

/** Write all items and prompts into a store that has just been created. */
PM_MUST_CHECK bool run_plan_write(const struct run_plan *plan, struct pm_store *store,
                                  struct pm_error *err);

/** Is the store one of this plan? Compares every item's recipe. */
PM_MUST_CHECK bool run_plan_matches(const struct run_plan *plan, const struct pm_store *store,
                                    struct pm_error *err);
#endif
