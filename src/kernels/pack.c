#include "pm/kernels/pack.h"

#include "isa/winograd.h"

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

/** G g for one panel of filters: [3][3][16] → [6][3][16]; again on the other side by strides. */
static void transform_side(double *to, const double *from, size_t step, size_t rows, size_t to_row,
                           size_t from_row)
{
    static const double a = WINOGRAD_A, b = WINOGRAD_B, a2 = WINOGRAD_A2, b2 = WINOGRAD_B2;
    const double at_0 = 1.0 / (a2 * b2), at_a = 1.0 / (2.0 * a2 * (a2 - b2)),
                 at_b = 1.0 / (2.0 * b2 * (b2 - a2));
    for (size_t r = 0; r < rows; r++) {
        const double *g = from + r * from_row;
        double *u = to + r * to_row;
        for (size_t j = 0; j < PM_PANEL; j++) {
            double g0 = g[j], g1 = g[step + j], g2 = g[2 * step + j];
            u[j] = g0 * at_0;
            u[step + j] = (g0 + a * g1 + a2 * g2) * at_a;
            u[2 * step + j] = (g0 - a * g1 + a2 * g2) * at_a;
            u[3 * step + j] = (g0 + b * g1 + b2 * g2) * at_b;
            u[4 * step + j] = (g0 - b * g1 + b2 * g2) * at_b;
            u[5 * step + j] = g2;
        }
    }
}

/** u = G g Gᵀ for input channel @p c and the 16 output channels from @p n. */
static void transform_panel(float *winograd, size_t position_floats, const float *weight,
                            size_t out, size_t in, size_t n, size_t c)
{
    double g[3][3][PM_PANEL] = {0}, half[WINOGRAD_IN][3][PM_PANEL];
    double u[WINOGRAD_IN][WINOGRAD_IN][PM_PANEL];
    for (size_t j = 0; j < PM_PANEL && n + j < out; j++)
        for (size_t i = 0; i < 9; i++) g[i / 3][i % 3][j] = weight[((n + j) * in + c) * 9 + i];
    transform_side(&half[0][0][0], &g[0][0][0], 3 * PM_PANEL, 3, PM_PANEL, PM_PANEL);
    transform_side(&u[0][0][0], &half[0][0][0], PM_PANEL, WINOGRAD_IN, WINOGRAD_IN * PM_PANEL,
                   3 * PM_PANEL);
    for (size_t i = 0; i < WINOGRAD_POSITIONS; i++) {
        float *row = winograd + i * position_floats + n * in + c * PM_PANEL;
        const double *from = &u[0][0][0] + i * PM_PANEL;
        for (size_t j = 0; j < PM_PANEL; j++) row[j] = (float)from[j];
    }
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

static void pack_winograd(float *winograd, const float *weight, size_t out, size_t in)
{
    size_t position_floats = pm_packed_floats(in, out);
#pragma omp parallel for collapse(2) schedule(static)
    for (size_t n = 0; n < out; n += PM_PANEL)
        for (size_t c = 0; c < in; c++)
            transform_panel(winograd, position_floats, weight, out, in, n, c);
}

void pm_conv_fill(struct pm_conv *conv, const float *weight, struct pm_arena *memory)
{
    size_t taps = conv->kernel * conv->kernel, in = conv->in, out = conv->out;
    bool has_winograd = conv->kernel == 3 && conv->stride == 1 && conv->pad_before == 1 &&
                        conv->pad_after == 1 && in >= WINOGRAD_LEAST_CHANNELS;
    bool is_known = conv->only_height > 0;
    bool pays = !is_known || winograd_pays(conv->only_height, conv->only_width);
    conv->packed = conv->winograd = NULL;
    if (!has_winograd || !is_known || !pays) {
        float *packed = pm_arena_floats(memory, pm_packed_floats(taps * in, out));
        if (weight) pack_taps(packed, weight, out, in, taps);
        conv->packed = packed;
    }
    if (has_winograd && pays) {
        float *winograd = pm_arena_floats(memory, WINOGRAD_POSITIONS * pm_packed_floats(in, out));
        if (weight) pack_winograd(winograd, weight, out, in);
        conv->winograd = winograd;
    }
}

struct pm_conv pm_conv_pack(const float *weight, const float *bias, size_t out, size_t in,
                            size_t kernel, size_t stride, size_t pad_before, size_t pad_after,
                            struct pm_arena *memory)
{
    struct pm_conv conv = {.in = in,
                           .out = out,
                           .kernel = kernel,
                           .stride = stride,
                           .pad_before = pad_before,
                           .pad_after = pad_after,
                           .bias = bias};
    pm_conv_fill(&conv, weight, memory);
    return conv;
}
