/** @file run_texts.h  What a new store is told of the manifest's lines, from their survey on until
 *  it is written: a line is parsed and tokenised once. It takes the bytes of its resolved recipe,
 *  some 280, of its id, and of its prompts and their tokens, 6 bytes each. */
#ifndef RUN_TEXTS_H
#define RUN_TEXTS_H
#include "run_plan.h"

/** Of this rank's lines, one after the other. */
struct run_texts {
    char *bytes; /* owned */
    size_t used, capacity;
};

/** Keep what is to be told of a line. A run_plan_watch.
 *  @param texts  a struct run_texts; zeroed before the first line */
void run_texts_keep(void *texts, const struct run_plan *plan, const struct run_plan_line *line);

/** Put the items and prompts of this rank's share into a store: one that has just been created, or
 *  again, see pm_store_repair_plan. Not collective; all ranks do it.
 *  @param texts  kept of all lines that @p plan surveyed */
PM_MUST_CHECK bool run_texts_write(const struct run_texts *texts, const struct run_plan *plan,
                                   struct pm_store *store, struct pm_error *err);

void run_texts_free(struct run_texts *texts);
#endif
