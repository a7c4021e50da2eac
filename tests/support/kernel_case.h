/** @file kernel_case.h  What a test of a kernel has to go through: every instruction set of this
 *  CPU, one thread and two, outputs and surroundings full of NaN. */
#ifndef KERNEL_CASE_H
#define KERNEL_CASE_H
#include "pm/kernels/kernels.h"

/** Room for @p n floats in the midst of NaNs, itself NaN; off any alignment but a float's. */
float *guarded_floats(size_t n);
/** The same, filled from @p seed. */
float *guarded_random(size_t n, unsigned seed);
/** The same, of numbers that bfloat16 has. */
float *guarded_rounded(size_t n, unsigned seed);
/** The NaNs around must be there still. */
void guarded_free(float *x, size_t n);

/** One call of one kernel. */
struct kernel_case {
    /** @param out  [n], NaN @param inputs  of this case */
    void (*run)(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                const void *inputs);
    const void *inputs;
    size_t n;
    const float *expected; /* [n] */
    double bound;          /* of the relative rms difference */
};

/** On every instruction set: within the bound, the same bits from one thread and from two, and
 *  from all sets that have fused multiply-adds. Fails the running test otherwise. */
void check_on_every_isa(const struct kernel_case *c);

/** The same at a precision: bfloat16's bits may be others on avx512bf16, which has products of its own. */
void check_precision_on_every_isa(const struct kernel_case *c, enum pm_precision precision);

/** The kernel sets that this CPU runs. @param i  from 0 @return NULL after the last */
const struct pm_kernels *isa_number(size_t i);
#endif
