/** @file run_memory.h  Has a rank the memory that an edit needs? Asked before the edit is begun, so that
 *  the edit is refused with a sentence, instead of its rank being killed. */
#ifndef RUN_MEMORY_H
#define RUN_MEMORY_H
#include "run_plan.h"

/** Of a rank, beside what edits work in: MPI, HDF5, buffers, tokenizer. */
#define RUN_MEMORY_RANK_BYTES 150e6

/** What the ranks of a host have. */
struct run_memory {
    double host_bytes;    /* "limits.memory_bytes", or what the host has */
    double weights_bytes; /* shared by its ranks */
    double scratch_bytes; /* address space that a rank's edits work in: `ulimit -v` */
    size_t ranks;
};
/** @param scratch_bytes  pm_model_scratch_bytes() where there is no limit */
struct run_memory run_memory_make(const struct pm_config *config, const struct pm_model *model,
                                  size_t ranks, size_t scratch_bytes);

/** @return bytes that a rank's edits may take; below 0 where there is not even room for the weights */
double run_memory_share(const struct run_memory *memory);

/** Bytes that all edits take beside what plan->items says, to bring a picture into the store. */
double run_memory_picture_bytes(const struct pm_store_shape *shape);

/** Bytes of a rank that does the edits which need the most, the weights aside. Rank 0 only. */
double run_memory_rank_bytes(const struct run_plan *plan);

/** @return false, with PM_E_MEMORY and what would help, when the edit needs more than a rank has */
PM_MUST_CHECK bool run_memory_allows(const struct run_memory *memory, const struct run_plan *plan,
                                     const struct pm_store_shape *shape,
                                     const struct pm_recipe *recipe,
                                     const struct pm_prepared *prepared, struct pm_error *err);
#endif
