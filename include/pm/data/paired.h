/** @file paired.h  Is one of two treatments of the same cases better? */
#ifndef PM_DATA_PAIRED_H
#define PM_DATA_PAIRED_H
#include <stddef.h>

struct pm_paired {
    size_t pairs;             /* those of which both numbers are finite; the rest is of them */
    double mean_a, mean_b;    /* NaN without a pair, as are the next three */
    double mean_difference;   /* b - a */
    double low, high;         /* of it, a 95 % interval */
    size_t b_higher, b_lower; /* in so many pairs */
    double sign_p;            /* two-sided sign test: chance of so unequal counts, or more so, if
                                  neither were more likely; equal pairs do not count */
};

/** Compare. The interval is a percentile bootstrap's (Efron 1979) over pairs, 10000 resamples, whose
 *  chances are always the same; of one pair it is that pair's difference. It takes time
 *  proportional to 10000 n.
 *  @param a, b  [n]  of the same cases */
struct pm_paired pm_paired_compare(const double *a, const double *b, size_t n);
#endif
