/** @file run_inversions.h  Inversions that were made before: by this run's store, or by another that
 *  the config names.
 *
 *  An inversion is found by a key: a hash of all that decides its bits. What is found is vouched for
 *  by its store's checksum before it is used; otherwise it is made anew. */
#ifndef RUN_INVERSIONS_H
#define RUN_INVERSIONS_H
#include "run_store.h"

/** Open the store that the config's "inversions" names, if any, and list what it and the run's own
 *  store have. Not collective; all ranks do it once the run's store is open.
 *  @return true, run->inversions to be freed (run_inversions_free), also on failure */
PM_MUST_CHECK bool run_inversions_open(struct run *run, struct pm_error *err);
void run_inversions_free(struct run_inversions *inversions);

/** The key of a picture's inversion by the run's settings. @param pixels  as fitted */
struct pm_store_inversion_key run_inversions_key(const struct run *run,
                                                 const struct pm_recipe *recipe,
                                                 const struct pm_prepared *prepared,
                                                 const unsigned char *pixels);

/** @return whether there is one, *out in the run's scratch */
bool run_inversions_find(struct pm_inversion *out, struct run *run,
                         const struct pm_store_inversion_key *key, bool has_embeddings);

/** The run's store has one now, of this rank. */
void run_inversions_add(struct run *run, const struct pm_store_inversion_key *key, size_t item);
#endif
