/** @file compare_edits.h  The same edits under several settings, side by side.
 *
 *  Several stores: a column each, and the same edit is the one of the same id, target and prompts. One
 *  store: a column for each setting of its sweep. */
#ifndef COMPARE_EDITS_H
#define COMPARE_EDITS_H
#include "pm/base/json.h"
#include "pm/data/image.h"
#include "pm/data/store.h"

enum { COMPARE_MAX_STORES = 16, COMPARE_MAX_COLUMNS = 32, COMPARE_MAX_METRICS = 64 };

struct compare_column {
    const struct pm_store *store;
    char *name; /* owned */
};

/** An edit under one setting. */
struct compare_cell {
    size_t item, entry;
    size_t source; /* entry of its source */
};

/** An edit: what it is called, and where it is in each column that has it done. */
struct compare_edit {
    char *id, *category;          /* owned */
    int target;                   /* from 0 */
    char *source_prompt, *prompt; /* owned */
    bool has[COMPARE_MAX_COLUMNS];
    struct compare_cell cells[COMPARE_MAX_COLUMNS];
    double *values; /* [columns, metrics]  NaN where there is none; owned */
};

struct comparison {
    struct compare_column
        columns[COMPARE_MAX_COLUMNS]; /* the first is what the others are compared to */
    size_t column_count;
    const char *metrics[COMPARE_MAX_METRICS];
    size_t metric_count;
    struct compare_edit *edits; /* [edit_count]  of those done in two columns or more; owned */
    size_t edit_count;
    size_t lonely; /* edits that are done in one column only */
};

/** @param metrics  [count]  columns of the stores' tables of metrics (metric_table.h); none: the usual
 *                  ones that all have
 *  @return false when a table is missing or a store has nothing to compare; *out is then empty */
PM_MUST_CHECK bool compare_edits(struct comparison *out, const char *const *paths,
                                 const struct pm_store *const *stores, size_t store_count,
                                 const char *const *metrics, size_t metric_count,
                                 struct pm_error *err);
void comparison_free(struct comparison *c);
#endif
