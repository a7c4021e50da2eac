/* Group and layer normalisation. Variances are of differences from a mean, never a difference
 * of squares, so that a mean far larger than the spread does no harm. */
#include "isa.h"
#include "simd.h"

#include <math.h>

static const double FLOPS_PER_ELEMENT = 10.0; /* for the choice of threads only */
enum { BLOCK = 128 };                         /* pixels whose moments are taken at once */

/** Mean, and sum of squared differences from it, of each channel over a block of pixels. */
static void block_moments(float *mean, float *squares, const float *x, size_t pixels,
                          size_t channels)
{
    const struct lanes share = lanes_set(1.0f / (float)pixels);
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes sum = lanes_set(0.0f), square = sum;
        for (size_t i = 0; i < pixels; i++)
            sum = lanes_add(sum, lanes_load_up_to(x + i * channels + c, n));
        struct lanes middle = lanes_mul(sum, share);
        for (size_t i = 0; i < pixels; i++) {
            struct lanes d = lanes_sub(lanes_load_up_to(x + i * channels + c, n), middle);
            square = lanes_fma(d, d, square);
        }
        lanes_store_up_to(mean + c, middle, n);
        lanes_store_up_to(squares + c, square, n);
    }
}

/** One group's mean and 1/sqrt(variance + eps) from the moments of blocks and channels
 *  (Chan, Golub and LeVeque 1979), in double. @param moments  [blocks][mean, squares][C] */
static void join_moments(float *mean, float *scale, const float *moments, size_t pixels,
                         size_t channels, size_t first, size_t end, float eps)
{
    size_t blocks = (pixels + BLOCK - 1) / BLOCK;
    double total = 0.0, squares = 0.0, n = (double)pixels * (double)(end - first);
    for (size_t b = 0; b < blocks; b++) {
        double sum = 0.0;
        for (size_t c = first; c < end; c++) sum += (double)moments[2 * b * channels + c];
        total += sum * (double)smaller(BLOCK, pixels - b * BLOCK);
    }
    double middle = total / n;
    for (size_t b = 0; b < blocks; b++) {
        const float *means = moments + 2 * b * channels;
        double between = 0.0;
        for (size_t c = first; c < end; c++) {
            double d = (double)means[c] - middle;
            between += d * d;
            squares += (double)means[channels + c];
        }
        squares += between * (double)smaller(BLOCK, pixels - b * BLOCK);
    }
    *mean = (float)middle;
    *scale = (float)(1.0 / sqrt(squares / n + (double)eps));
}

/** What a channel is normalised with: out = (x - mean) scale + shift. Each is [C]. */
struct affine {
    const float *mean, *scale, *shift;
};

ALWAYS_INLINE void apply_rows(float *out, const float *x, size_t rows, size_t channels,
                              const struct affine *a, enum pm_activation activation)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c += LANES) {
            size_t n = smaller(LANES, channels - c), at = r * channels + c;
            struct lanes mean = lanes_load_up_to(a->mean + c, n);
            struct lanes scale = lanes_load_up_to(a->scale + c, n);
            struct lanes shift = lanes_load_up_to(a->shift + c, n);
            struct lanes y = lanes_sub(lanes_load_up_to(x + at, n), mean);
            y = lanes_fma(y, scale, shift);
            lanes_store_up_to(out + at, lanes_activate(y, activation), n);
        }
    }
}

static void apply_block(float *out, const float *x, size_t rows, size_t channels,
                        const struct affine *a, enum pm_activation activation)
{
    switch (activation) { /* a constant where it is inlined */
    case PM_IDENTITY:
        apply_rows(out, x, rows, channels, a, PM_IDENTITY);
        break;
    case PM_SILU:
        apply_rows(out, x, rows, channels, a, PM_SILU);
        break;
    default:
        apply_rows(out, x, rows, channels, a, activation);
        break;
    }
}

/** One sample's mean and scale [2][C] out of its moments. */
static void sample_affine(float *affine, const float *moments, const float *gamma, size_t pixels,
                          size_t channels, size_t groups, float eps)
{
    size_t width = channels / groups;
    for (size_t g = 0; g < groups; g++) {
        float mean, scale;
        join_moments(&mean, &scale, moments, pixels, channels, g * width, (g + 1) * width, eps);
        for (size_t c = g * width; c < (g + 1) * width; c++) {
            affine[c] = mean;
            affine[channels + c] = scale * gamma[c];
        }
    }
}

void PM_ISA_NAME(group_norm)(float *out, const float *x, const float *gamma, const float *beta,
                             size_t batch, size_t pixels, size_t channels, size_t groups, float eps,
                             enum pm_activation activation, struct pm_arena *scratch)
{
    size_t mark = scratch->used, blocks = (pixels + BLOCK - 1) / BLOCK;
    float *moments = pm_arena_floats(scratch, batch * blocks * 2 * channels);
    float *affine = pm_arena_floats(scratch, batch * 2 * channels);
    size_t threads =
        pm_threads_for(FLOPS_PER_ELEMENT * (double)(batch * pixels) * (double)channels);
#pragma omp parallel num_threads((int)threads)
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < batch * blocks; i++) {
            size_t at = i % blocks * BLOCK, rows = smaller(BLOCK, pixels - at);
            float *mean = moments + i * 2 * channels;
            block_moments(mean, mean + channels, x + (i / blocks * pixels + at) * channels, rows,
                          channels);
        }
#pragma omp for schedule(static)
        for (size_t b = 0; b < batch; b++)
            sample_affine(affine + b * 2 * channels, moments + b * blocks * 2 * channels, gamma,
                          pixels, channels, groups, eps);
#pragma omp for schedule(static)
        for (size_t i = 0; i < batch * blocks; i++) {
            size_t at = i % blocks * BLOCK, rows = smaller(BLOCK, pixels - at);
            size_t b = i / blocks, offset = (b * pixels + at) * channels;
            struct affine a = {.mean = affine + b * 2 * channels,
                               .scale = affine + (b * 2 + 1) * channels,
                               .shift = beta};
            apply_block(out + offset, x + offset, rows, channels, &a, activation);
        }
    }
    scratch->used = mark;
}

static void normalize_row(float *out, const float *x, const float *gamma, const float *beta,
                          size_t channels, float eps)
{
    struct lanes sum = lanes_set(0.0f), squares = sum;
    for (size_t c = 0; c < channels; c += LANES)
        sum = lanes_add(sum, lanes_load_up_to(x + c, smaller(LANES, channels - c)));
    struct lanes mean = lanes_set(lanes_sum(sum) / (float)channels);
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes d = lanes_sub(lanes_load_up_to(x + c, n), mean);
        if (n < LANES) d = lanes_first(d, lanes_set(0.0f), n);
        squares = lanes_fma(d, d, squares);
    }
    struct lanes scale = lanes_set(1.0f / sqrtf(lanes_sum(squares) / (float)channels + eps));
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes y = lanes_mul(lanes_sub(lanes_load_up_to(x + c, n), mean), scale);
        y = lanes_fma(y, lanes_load_up_to(gamma + c, n), lanes_load_up_to(beta + c, n));
        lanes_store_up_to(out + c, y, n);
    }
}

void PM_ISA_NAME(layer_norm)(float *out, const float *x, const float *gamma, const float *beta,
                             size_t rows, size_t channels, float eps)
{
    size_t threads = pm_threads_for(FLOPS_PER_ELEMENT * (double)rows * (double)channels);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t r = 0; r < rows; r++)
        normalize_row(out + r * channels, x + r * channels, gamma, beta, channels, eps);
}
