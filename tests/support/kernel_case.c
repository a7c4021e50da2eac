#include "kernel_case.h"

#include "test.h"

#include "pm/kernels/bf16.h"

#include "pm/base/error.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 81, MOST_THREADS = 2 };
static const size_t SCRATCH_BYTES = (size_t)1 << 30;

float *guarded_floats(size_t n)
{
    float *all = malloc((n + 2 * GUARD) * sizeof *all);
    if (!all) pm_die("no memory for %zu floats", n + 2 * GUARD);
    fill_nan(all, n + 2 * GUARD);
    return all + GUARD;
}

float *guarded_random(size_t n, unsigned seed)
{
    float *x = guarded_floats(n);
    fill_random(x, n, seed);
    return x;
}

float *guarded_rounded(size_t n, unsigned seed)
{
    float *x = guarded_random(n, seed);
    for (size_t i = 0; i < n; i++) x[i] = pm_from_bf16(pm_to_bf16(x[i]));
    return x;
}

void guarded_free(float *x, size_t n)
{
    for (size_t i = 0; i < GUARD; i++) {
        if (!isnan(x[n + i])) fail_msg("written %zu floats after the end of %zu", i, n);
        if (!isnan((x - GUARD)[i])) fail_msg("written %zu floats before the start", GUARD - i);
    }
    free(x - GUARD);
}

const struct pm_kernels *isa_number(size_t i)
{
    static const char *const names[] = {"baseline", "avx2", "avx512", "avx512bf16"};
    for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
        const struct pm_kernels *kernels = pm_kernels_named(names[j]);
        if (kernels && i-- == 0) return kernels;
    }
    return NULL;
}

void check_precision_on_every_isa(const struct kernel_case *c, enum pm_precision precision)
{
    struct pm_arena scratch;
    pm_arena_init(&scratch, SCRATCH_BYTES);
    float *fused = NULL; /* what a set with fused multiply-add gave */
    for (size_t i = 0; isa_number(i); i++) {
        const struct pm_kernels *kernels = isa_number(i);
        float *one = guarded_floats(c->n), *two = guarded_floats(c->n);
        omp_set_num_threads(1);
        c->run(one, kernels, &scratch, c->inputs);
        omp_set_num_threads(MOST_THREADS);
        c->run(two, kernels, &scratch, c->inputs);
        assert_int_equal(scratch.used, 0);
        double difference = relative_rms(one, c->expected, c->n);
        if (!(difference <= c->bound))
            fail_msg("%s: %g from the plain kernel, %g allowed", kernels->isa, difference,
                     c->bound);
        if (memcmp(one, two, c->n * sizeof *one) != 0)
            fail_msg("%s: two threads give other bits than one", kernels->isa);
        bool is_native = precision == PM_BF16 && pm_kernels_have_bf16(kernels);
        if (fused && !is_native && memcmp(one, fused, c->n * sizeof *one) != 0)
            fail_msg("%s gives other bits than the set before it", kernels->isa);
        guarded_free(two, c->n);
        if (fused) guarded_free(fused, c->n);
        fused = is_native || strcmp(kernels->isa, "baseline") == 0 ? NULL : one;
        if (!fused) guarded_free(one, c->n);
    }
    if (fused) guarded_free(fused, c->n);
    pm_arena_free(&scratch);
}

void check_on_every_isa(const struct kernel_case *c)
{
    check_precision_on_every_isa(c, PM_FP32);
}
