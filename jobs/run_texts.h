/** @file run_texts.h  What a new store is told of the manifest's lines, from their survey on until
 *  it is written: a line is parsed and tokenised once. It takes the bytes of its resolved recipe,
 *  some 280, of its id, and of its prompts and their tokens, 6 bytes each. */
#ifndef RUN_TEXTS_H
#define RUN_TEXTS_H
#include "run_plan.h"

#include "pm/base/buffer.h"

/** Keep what is to be told of a line. A run_plan_watch.
 *  @param texts  a struct pm_buffer, the caller's; empty before the first line */
void run_texts_keep(void *texts, const struct run_plan *plan, const struct run_plan_line *line);

/** Put the items and prompts of this rank's share into a store: one that has just been created, or
 *  again, see pm_store_repair_plan. Not collective; all ranks do it.
 *  @param texts  kept of all lines of this rank that @p plan surveyed */
PM_MUST_CHECK bool run_texts_write(const struct pm_buffer *texts, const struct run_plan *plan,
                                   struct pm_store *store, struct pm_error *err);
#endif
