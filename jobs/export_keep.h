/** @file export_keep.h  Which edits are good enough: conditions on a table of metrics. */
#ifndef EXPORT_KEEP_H
#define EXPORT_KEEP_H
#include "metric_table.h"

enum { EXPORT_MAX_CONDITIONS = 16, EXPORT_NAME_BYTES = 64 };

/** "ssim>=0.4": a metric and what it must not fall below, or exceed. */
struct export_condition {
    char name[EXPORT_NAME_BYTES];
    bool is_least; /* >=, else <= */
    double bound;
};

/** All zero: everything is kept. */
struct export_keep {
    struct export_condition conditions[EXPORT_MAX_CONDITIONS];
    size_t count;
    struct metric_table table; /* of the conditions' metrics */
};

/** @return false when it is no condition */
PM_MUST_CHECK bool export_condition_read(struct export_condition *out, const char *text,
                                         struct pm_error *err);

/** Read the columns that the conditions name. @return false when the table cannot be read, or has no
 *  such column, or rows that are not of the store */
PM_MUST_CHECK bool export_keep_load(struct export_keep *keep, const char *path,
                                    const struct pm_store *store, struct pm_error *err);
void export_keep_free(struct export_keep *keep);

/** Does a finished edit meet all conditions? A metric that is not a number meets none.
 *  @param id  its item's  @return false when the table does not have the edit */
PM_MUST_CHECK bool export_keep_judge(bool *kept, const struct export_keep *keep, size_t entry,
                                     const char *id, struct pm_error *err);
#endif
