/** @file measure_table.h  What was measured, as a table: gathered, written, summed up. */
#ifndef MEASURE_TABLE_H
#define MEASURE_TABLE_H
#include "measure_item.h"

#include <mpi.h>

enum measure_format { MEASURE_CSV, MEASURE_JSONL };

/** All zero: empty. */
struct measure_table {
    struct measured *rows; /* owned; [count], of [capacity] */
    size_t count, capacity;
    size_t left_out; /* targets that are not done */
};

void measure_table_free(struct measure_table *table);

/** Make room for an item's pictures. @param room  where they go; they count when count says so */
PM_MUST_CHECK bool measure_table_grow(struct measure_table *table, struct measured **room,
                                      const struct pm_store *store, size_t item,
                                      struct pm_error *err);

/** Give rank 0 the rows of all, by entry. Collective. */
void measure_table_gather(struct measure_table *table, MPI_Comm comm);

/** Write the table: it appears when it is whole. @param truth  not NULL: with its columns */
PM_MUST_CHECK bool measure_table_write(const struct measure_table *table, const char *path,
                                       enum measure_format format, const struct pm_store *store,
                                       const char *truth, struct pm_error *err);

/** Print means by category, of the finite values. */
PM_MUST_CHECK bool measure_table_summarise(const struct measure_table *table, const char *path,
                                           const struct pm_store *store, const char *truth,
                                           struct pm_error *err);
#endif
