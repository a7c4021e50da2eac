/** @file idle.h  What of an edit has no effect, or more than one would think: nothing that is wrong,
 *  and hardly what was meant. */
#ifndef PM_EDIT_IDLE_H
#define PM_EDIT_IDLE_H
#include "pm/edit/prepare.h"

/** @param sentence  without a place, good for this call */
typedef void pm_idle_report(void *self, const char *sentence);

/** Look through a target that can be done: windows that no step is in, equalizers that do nothing,
 *  words that are there more than once, blends that never blend, a target that is its source. */
void pm_idle_find(const struct pm_recipe *recipe, const struct pm_prepared *prepared, size_t target,
                  const struct pm_schedule *schedule, pm_idle_report *report, void *self);
#endif
