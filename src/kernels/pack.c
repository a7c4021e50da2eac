#include "pm/kernels/pack.h"

#include "isa/winograd.h"
#include "pm/kernels/bf16.h"

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

size_t pm_packed_bf16_numbers(size_t k, size_t n)
{
    return (n + PM_PANEL - 1) / PM_PANEL * PM_PANEL * ((k + 1) / 2 * 2);
}

void pm_pack_bf16(uint16_t *packed, const float *b, size_t k, size_t n, size_t row_stride,
                  size_t column_stride)
{
    size_t even = (k + 1) / 2 * 2;
#pragma omp parallel for schedule(static) if (k * n > PARALLEL_FLOATS)
    for (size_t column = 0; column < n; column += PM_PANEL) {
        uint16_t *to = packed + column * even;
        for (size_t i = 0; i < even; i += 2)
            for (size_t j = 0; j < PM_PANEL; j++)
                for (size_t half = 0; half < 2; half++, to++) {
                    bool is_there = i + half < k && column + j < n;
                    *to =
                        is_there
                            ? pm_to_bf16(b[(i + half) * row_stride + (column + j) * column_stride])
                            : 0;
                }
    }
}

struct pm_linear pm_linear_pack(const float *weight, const float *bias, size_t out, size_t in,
                                enum pm_precision precision, struct pm_arena *memory)
{
    struct pm_linear linear = {.in = in, .out = out, .bias = bias};
    if (precision == PM_BF16) {
        uint16_t *packed = pm_arena_bytes(memory, pm_packed_bf16_numbers(in, out) * sizeof *packed);
        if (weight) pm_pack_bf16(packed, weight, in, out, 1, in);
        linear.packed_bf16 = packed;
    } else {
        float *packed = pm_arena_floats(memory, pm_packed_floats(in, out));
        if (weight) pm_pack(packed, weight, in, out, 1, in);
        linear.packed = packed;
    }
    return linear;
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

/* Row by row of the matrix, whose rows need not be pairs of one tap. */
static void pack_taps_bf16(uint16_t *packed, const float *weight, size_t out, size_t in,
                           size_t taps)
{
    size_t rows = taps * in, panel_numbers = (rows + 1) / 2 * 2 * PM_PANEL;
#pragma omp parallel for schedule(static)
    for (size_t n = 0; n < out; n += PM_PANEL) {
        uint16_t *panel = packed + n / PM_PANEL * panel_numbers;
        memset(panel, 0, panel_numbers * sizeof *panel);
        for (size_t row = 0; row < rows; row++)
            for (size_t j = 0; j < PM_PANEL && n + j < out; j++)
                panel[row / 2 * 2 * PM_PANEL + 2 * j + row % 2] =
                    pm_to_bf16(weight[((n + j) * in + row % in) * taps + row / in]);
    }
}

/* u = G g Gᵀ of F(2x2, 3x3), whose G is [1 0 0; ½ ½ ½; ½ -½ ½; 0 0 1]. */
static void transform_filter(float u[SMALL_WINOGRAD_POSITIONS], const float *g)
{
    float half[4][3];
    for (size_t x = 0; x < 3; x++) {
        float even = 0.5f * (g[x] + g[6 + x]), odd = 0.5f * g[3 + x];
        half[0][x] = g[x];
        half[1][x] = even + odd;
        half[2][x] = even - odd;
        half[3][x] = g[6 + x];
    }
    for (size_t y = 0; y < 4; y++) {
        float even = 0.5f * (half[y][0] + half[y][2]), odd = 0.5f * half[y][1];
        u[4 * y] = half[y][0];
        u[4 * y + 1] = even + odd;
        u[4 * y + 2] = even - odd;
        u[4 * y + 3] = half[y][2];
    }
}

static void pack_winograd_bf16(uint16_t *packed, const float *weight, size_t out, size_t in)
{
    size_t position_numbers = (in + 1) / 2 * 2 * PM_PANEL;
    size_t panel_numbers = SMALL_WINOGRAD_POSITIONS * position_numbers;
#pragma omp parallel for schedule(static)
    for (size_t n = 0; n < out; n += PM_PANEL) {
        uint16_t *panel = packed + n / PM_PANEL * panel_numbers;
        if (in % 2 != 0 || out - n < PM_PANEL) memset(panel, 0, panel_numbers * sizeof *panel);
        for (size_t j = 0; j < PM_PANEL && n + j < out; j++)
            for (size_t c = 0; c < in; c++) {
                float u[SMALL_WINOGRAD_POSITIONS];
                transform_filter(u, weight + ((n + j) * in + c) * 9);
                for (size_t i = 0; i < SMALL_WINOGRAD_POSITIONS; i++)
                    panel[i * position_numbers + c / 2 * 2 * PM_PANEL + 2 * j + c % 2] =
                        pm_to_bf16(u[i]);
            }
    }
}

static void pack_conv_bf16(struct pm_conv *conv, const float *weight, struct pm_arena *memory)
{
    size_t taps = conv->kernel * conv->kernel, in = conv->in, out = conv->out;
    size_t numbers = conv->by_winograd ? SMALL_WINOGRAD_POSITIONS * pm_packed_bf16_numbers(in, out)
                                       : pm_packed_bf16_numbers(taps * in, out);
    uint16_t *packed = pm_arena_bytes(memory, numbers * sizeof *packed);
    conv->packed_bf16 = packed;
    if (!weight) return;
    if (conv->by_winograd)
        pack_winograd_bf16(packed, weight, out, in);
    else
        pack_taps_bf16(packed, weight, out, in, taps);
}

struct pm_conv pm_conv_pack(const float *weight, const float *bias, size_t out, size_t in,
                            size_t kernel, size_t stride, size_t pad_before, size_t pad_after,
                            enum pm_precision precision, struct pm_arena *memory)
{
    size_t taps = kernel * kernel;
    struct pm_conv conv = {.in = in,
                           .out = out,
                           .kernel = kernel,
                           .stride = stride,
                           .pad_before = pad_before,
                           .pad_after = pad_after,
                           .bias = bias,
                           .by_winograd = kernel == 3 && stride == 1 && pad_before == 1 &&
                                          pad_after == 1 && in >= WINOGRAD_LEAST_CHANNELS};
    if (precision == PM_BF16) {
        pack_conv_bf16(&conv, weight, memory);
    } else {
        float *packed = pm_arena_floats(memory, pm_packed_floats(taps * in, out));
        if (weight) pack_taps(packed, weight, out, in, taps);
        conv.packed = packed;
    }
    return conv;
}
