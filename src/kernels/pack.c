#include "pm/kernels/pack.h"

#include <string.h>

/* Input channels below which the transforms, whose vectors are 16 channels, cost more than the
 * products save. Of output channels few are enough: conv_out has 4 and runs twice as fast. */
enum { WINOGRAD_LEAST_CHANNELS = 16 };
enum { PARALLEL_FLOATS = 1 << 16 }; /* below, threads cost more than they save */

size_t pm_packed_floats(size_t k, size_t n)
{
    return (n + PM_PANEL - 1) / PM_PANEL * PM_PANEL * k;
}

void pm_pack(float *packed, const float *b, size_t k, size_t n, size_t row_stride,
             size_t column_stride)
{
#pragma omp parallel for schedule(static) if (k * n > PARALLEL_FLOATS)
    for (size_t column = 0; column < n; column += PM_PANEL) {
        size_t width = n - column < PM_PANEL ? n - column : PM_PANEL;
        float *panel = packed + column * k;
        for (size_t i = 0; i < k; i++, panel += PM_PANEL) {
            const float *row = b + i * row_stride + column * column_stride;
            for (size_t j = 0; j < width; j++) panel[j] = row[j * column_stride];
            for (size_t j = width; j < PM_PANEL; j++) panel[j] = 0.0f;
        }
    }
}

struct pm_linear pm_linear_pack(const float *weight, const float *bias, size_t out, size_t in,
                                struct pm_arena *memory)
{
    float *packed = pm_arena_floats(memory, pm_packed_floats(in, out));
    if (weight) pm_pack(packed, weight, in, out, 1, in);
    return (struct pm_linear){.in = in, .out = out, .packed = packed, .bias = bias};
}

/* torch has [out, in, y, x]; the rows of the matrix go by y, x, in. */
static void pack_taps(float *packed, const float *weight, size_t out, size_t in, size_t taps)
{
    size_t panel_floats = taps * in * PM_PANEL;
#pragma omp parallel for schedule(static)
    for (size_t n = 0; n < out; n += PM_PANEL) {
        size_t width = out - n < PM_PANEL ? out - n : PM_PANEL;
        for (size_t tap = 0; tap < taps; tap++)
            pm_pack(packed + n / PM_PANEL * panel_floats + tap * in * PM_PANEL,
                    weight + n * in * taps + tap, in, width, taps, in * taps);
    }
}

struct pm_conv pm_conv_pack(const float *weight, const float *bias, size_t out, size_t in,
                            size_t kernel, size_t stride, size_t pad_before, size_t pad_after,
                            struct pm_arena *memory)
{
    size_t taps = kernel * kernel;
    float *packed = pm_arena_floats(memory, pm_packed_floats(taps * in, out));
    if (weight) pack_taps(packed, weight, out, in, taps);
    return (struct pm_conv){.in = in,
                            .out = out,
                            .kernel = kernel,
                            .stride = stride,
                            .pad_before = pad_before,
                            .pad_after = pad_after,
                            .packed = packed,
                            .bias = bias,
                            .by_winograd = kernel == 3 && stride == 1 && pad_before == 1 &&
                                           pad_after == 1 && in >= WINOGRAD_LEAST_CHANNELS};
}
