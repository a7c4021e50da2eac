#include "test.h"

#include <math.h>

double max_difference(const float *a, const float *b, size_t n)
{
    double max = 0.0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (isnan(d)) return INFINITY;
        if (d > max) max = d;
    }
    return max;
}

double relative_rms(const float *a, const float *b, size_t n)
{
    double error = 0.0, size = 0.0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        if (isnan(d)) return INFINITY;
        error += d * d;
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(error / (size > 0.0 ? size : 1.0));
}

void fill_random(float *x, size_t n, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1u;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

void fill_nan(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = NAN;
}
