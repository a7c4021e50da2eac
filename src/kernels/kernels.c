#include "kernels_impl.h"

#include "pm/base/error.h"

#include <stdlib.h>
#include <string.h>

extern const struct pm_kernels pm_kernels_baseline;

#ifdef __x86_64__
extern const struct pm_kernels pm_kernels_avx2, pm_kernels_avx512, pm_kernels_avx512bf16;

static bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}

static bool cpu_has_avx512(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

static bool cpu_has_avx512bf16(void)
{
    return cpu_has_avx512() && __builtin_cpu_supports("avx512bf16");
}
#endif

static bool cpu_has_baseline(void)
{
    return true;
}

/** Best first; every CPU that this is compiled for runs the last. */
static const struct {
    const struct pm_kernels *kernels;
    bool (*cpu_has)(void);
} sets[] = {
#ifdef __x86_64__
    {&pm_kernels_avx512bf16, cpu_has_avx512bf16},
    {&pm_kernels_avx512, cpu_has_avx512},
    {&pm_kernels_avx2, cpu_has_avx2},
#endif
    {&pm_kernels_baseline, cpu_has_baseline},
};

bool pm_kernels_have_bf16(const struct pm_kernels *kernels)
{
    return strcmp(kernels->isa, "avx512bf16") == 0;
}

const struct pm_kernels *pm_kernels_named(const char *isa)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (strcmp(sets[i].kernels->isa, isa) == 0)
            return sets[i].cpu_has() ? sets[i].kernels : NULL;
    return NULL;
}

/** The best set that the CPU runs, from the one asked for downwards. */
static const struct pm_kernels *choose(void)
{
    const char *asked = getenv("PROMPTMILL_ISA");
    size_t count = sizeof sets / sizeof *sets, first = 0;
    if (asked && *asked) {
        while (first < count && strcmp(sets[first].kernels->isa, asked) != 0) first++;
        if (first == count)
            pm_die("PROMPTMILL_ISA is \"%s\": it can be avx512bf16, avx512, avx2 or baseline, and "
                   "this program "
                   "has \"%s\" at best",
                   asked, sets[0].kernels->isa);
    }
    while (!sets[first].cpu_has()) first++;
    return sets[first].kernels;
}

static _Atomic(const struct pm_kernels *) chosen;

const struct pm_kernels *pm_kernels(void)
{
    if (!chosen) chosen = choose();
    return chosen;
}

void pm_kernels_use(const struct pm_kernels *kernels)
{
    chosen = kernels;
}
