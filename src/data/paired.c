#include "pm/data/paired.h"

#include "pm/base/error.h"
#include "pm/base/random.h"

#include <math.h>
#include <stdlib.h>

enum { RESAMPLES = 10000 };
static const double TAIL = 0.025;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean(const double *values, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    return sum / (double)n;
}

/* The mean of n differences drawn with replacement; four numbers from each block of Philox. */
static double resampled_mean(const double *differences, size_t n, uint32_t resample)
{
    const uint32_t key[2] = {0, 0};
    double sum = 0.0;
    for (size_t i = 0; i < n; i += 4) {
        const uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)((i / 4) >> 32), resample, 0};
        uint32_t bits[4];
        pm_philox(bits, counter, key);
        for (size_t k = 0; k < 4 && i + k < n; k++)
            sum += differences[(size_t)((double)bits[k] / 4294967296.0 * (double)n)];
    }
    return sum / (double)n;
}

static void bootstrap(struct pm_paired *out, const double *differences, size_t n)
{
    double *means = malloc(RESAMPLES * sizeof *means);
    if (!means) pm_die("no memory for a bootstrap");
    for (uint32_t i = 0; i < RESAMPLES; i++) means[i] = resampled_mean(differences, n, i);
    qsort(means, RESAMPLES, sizeof *means, ascending);
    out->low = means[(size_t)(TAIL * RESAMPLES)];
    out->high = means[RESAMPLES - 1 - (size_t)(TAIL * RESAMPLES)];
    free(means);
}

/* Twice the binomial distribution's tail, at most 1. */
static double sign_test(size_t higher, size_t lower)
{
    size_t n = higher + lower, fewer = higher < lower ? higher : lower;
    double tail = 0.0, total = (double)n;
    for (size_t k = 0; k <= fewer; k++)
        tail += exp(lgamma(total + 1.0) - lgamma((double)k + 1.0) -
                    lgamma(total - (double)k + 1.0) - total * log(2.0));
    return fmin(1.0, 2.0 * tail);
}

struct pm_paired pm_paired_compare(const double *a, const double *b, size_t n)
{
    struct pm_paired out = {.mean_a = NAN,
                            .mean_b = NAN,
                            .mean_difference = NAN,
                            .low = NAN,
                            .high = NAN,
                            .sign_p = 1.0};
    double *rows = malloc((3 * n + 1) * sizeof *rows);
    if (!rows) pm_die("no memory for %zu pairs", n);
    double *of_a = rows, *of_b = rows + n, *differences = rows + 2 * n;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) continue;
        of_a[out.pairs] = a[i];
        of_b[out.pairs] = b[i];
        differences[out.pairs++] = b[i] - a[i];
        out.b_higher += b[i] > a[i];
        out.b_lower += b[i] < a[i];
    }
    if (out.pairs > 0) {
        out.mean_a = mean(of_a, out.pairs);
        out.mean_b = mean(of_b, out.pairs);
        out.mean_difference = mean(differences, out.pairs);
        bootstrap(&out, differences, out.pairs);
        out.sign_p = sign_test(out.b_higher, out.b_lower);
    }
    free(rows);
    return out;
}
