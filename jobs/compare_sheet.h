/** @file compare_sheet.h  Edits under several settings in one picture: a row an edit, a column a setting,
 *  before them what was edited. */
#ifndef COMPARE_SHEET_H
#define COMPARE_SHEET_H
#include "compare_edits.h"

/** How much the pictures of a cell differ: the mean of |b - a| over pixels and colours, of 255.
 *  @param out  NaN where one of them is missing or they have not the same size */
PM_MUST_CHECK bool compare_pictures(double *out, const struct comparison *c,
                                    const struct compare_edit *edit, size_t a, size_t b,
                                    struct pm_error *err);

/** Draw edits. @param edits  [count]  which of the comparison's  @param out  owned by the caller on true
 *  @return false when a store cannot be read, or the sheet would be too large */
PM_MUST_CHECK bool compare_sheet_draw(struct pm_image *out, const struct comparison *c,
                                      const size_t *edits, size_t count, struct pm_error *err);
#endif
