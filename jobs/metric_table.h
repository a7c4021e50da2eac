/** @file metric_table.h  Columns of a table of metrics: as `promptmill measure` writes it, or any other
 *  CSV file with a column "entry" and, to be checked, "id". */
#ifndef METRIC_TABLE_H
#define METRIC_TABLE_H
#include "pm/data/store.h"

/** All zero: empty. */
struct metric_table {
    size_t count;      /* columns */
    double *values;    /* [entries, count]  NaN where a cell is empty; owned */
    uint64_t *id_hash; /* [entries]  0: the table does not have the entry; owned */
};

/** Where `promptmill measure` writes a store's by itself. @return owned by the caller (free) */
char *metric_table_path(const char *store);

PM_MUST_CHECK bool metric_table_has(bool *has, const char *path, const char *column,
                                    struct pm_error *err);

/** @param columns  [count]  their names  @return false when the table cannot be read, has no such
 *  column, or has rows that are not of the store */
PM_MUST_CHECK bool metric_table_load(struct metric_table *out, const char *path,
                                     const char *const *columns, size_t count,
                                     const struct pm_store *store, struct pm_error *err);
void metric_table_free(struct metric_table *table);

/** @param row  [count]  borrowed  @param id  of the entry's item
 *  @return false when the table does not have the entry, or under another id */
PM_MUST_CHECK bool metric_table_find(const double **row, const struct metric_table *table,
                                     size_t entry, const char *id, struct pm_error *err);
#endif
