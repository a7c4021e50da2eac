/** @file run_edit.h  One item of a run: from the queue into the store. */
#ifndef RUN_EDIT_H
#define RUN_EDIT_H
#include "run_store.h"

#include "pm/runtime/queue.h"

/** Make the item's pictures that are still pending, and record each, or why it could not be made.
 *  Not collective. @return false only when the store cannot be read or written */
PM_MUST_CHECK bool run_edit_item(struct run *run, const struct pm_work *work,
                                 struct pm_work_result *result, struct pm_error *err);
#endif
