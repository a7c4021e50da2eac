/* Group and layer normalisation. Variances are of differences from a mean, never a difference
 * of squares, so that a mean far larger than the spread does no harm.
 *
 * Backwards, with u = (x - mean) scale the normalised input and g its gradient,
 * dx = scale (g - mean(g) - u mean(g u)). */
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

/** One sample's mean, scale gamma and scale [3][C] out of its moments. */
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
            affine[2 * channels + c] = scale;
        }
    }
}

/** One call's layout, and what of it forward and backward have in common. */
struct grouped {
    const float *x, *gamma;
    size_t batch, pixels, channels, groups;
    float eps;
    size_t blocks;  /* of pixels, in a sample */
    float *moments; /* [B, blocks, 2, C] */
    float *affine;  /* [B, 3, C]: mean, scale gamma, scale */
};

/** The first float and the number of pixels of one of the B * blocks blocks. */
static size_t block_offset(const struct grouped *g, size_t block, size_t *rows)
{
    size_t at = block % g->blocks * BLOCK;
    *rows = smaller(BLOCK, g->pixels - at);
    return (block / g->blocks * g->pixels + at) * g->channels;
}

static struct affine block_affine(const struct grouped *g, size_t block, const float *beta)
{
    const float *affine = g->affine + block / g->blocks * 3 * g->channels;
    return (struct affine){.mean = affine, .scale = affine + g->channels, .shift = beta};
}

/** Moments and affine. By all threads of a parallel region. */
static void take_moments(const struct grouped *g)
{
    size_t channels = g->channels;
#pragma omp for schedule(static)
    for (size_t i = 0; i < g->batch * g->blocks; i++) {
        size_t rows, offset = block_offset(g, i, &rows);
        float *mean = g->moments + i * 2 * channels;
        block_moments(mean, mean + channels, g->x + offset, rows, channels);
    }
#pragma omp for schedule(static)
    for (size_t b = 0; b < g->batch; b++)
        sample_affine(g->affine + b * 3 * channels, g->moments + b * g->blocks * 2 * channels,
                      g->gamma, g->pixels, channels, g->groups, g->eps);
}

static struct grouped grouped_make(const float *x, const float *gamma, size_t batch, size_t pixels,
                                   size_t channels, size_t groups, float eps,
                                   struct pm_arena *scratch)
{
    size_t blocks = (pixels + BLOCK - 1) / BLOCK;
    return (struct grouped){.x = x,
                            .gamma = gamma,
                            .batch = batch,
                            .pixels = pixels,
                            .channels = channels,
                            .groups = groups,
                            .eps = eps,
                            .blocks = blocks,
                            .moments = pm_arena_floats(scratch, batch * blocks * 2 * channels),
                            .affine = pm_arena_floats(scratch, batch * 3 * channels)};
}

void PM_ISA_NAME(group_norm)(float *out, const float *x, const float *gamma, const float *beta,
                             size_t batch, size_t pixels, size_t channels, size_t groups, float eps,
                             enum pm_activation activation, struct pm_arena *scratch)
{
    size_t mark = scratch->used;
    struct grouped g = grouped_make(x, gamma, batch, pixels, channels, groups, eps, scratch);
    size_t threads =
        pm_threads_for(FLOPS_PER_ELEMENT * (double)(batch * pixels) * (double)channels);
#pragma omp parallel num_threads((int)threads)
    {
        take_moments(&g);
#pragma omp for schedule(static)
        for (size_t i = 0; i < batch * g.blocks; i++) {
            size_t rows, offset = block_offset(&g, i, &rows);
            struct affine a = block_affine(&g, i, beta);
            apply_block(out + offset, x + offset, rows, channels, &a, activation);
        }
    }
    scratch->used = mark;
}

/** Through the activation: dz, and over the block the sums of dz and of dz (x - mean) of each
 *  channel. @param sums  [2, C] */
ALWAYS_INLINE void slope_rows(float *grad_z, float *sums, const float *grad_out, const float *x,
                              size_t rows, size_t channels, const struct affine *a,
                              enum pm_activation activation)
{
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes mean = lanes_load_up_to(a->mean + c, n);
        struct lanes scale = lanes_load_up_to(a->scale + c, n);
        struct lanes shift = lanes_load_up_to(a->shift + c, n);
        struct lanes sum = lanes_set(0.0f), product = sum;
        for (size_t r = 0; r < rows; r++) {
            size_t at = r * channels + c;
            struct lanes d = lanes_sub(lanes_load_up_to(x + at, n), mean);
            struct lanes slope = lanes_slope(lanes_fma(d, scale, shift), activation);
            struct lanes dz = lanes_mul(lanes_load_up_to(grad_out + at, n), slope);
            lanes_store_up_to(grad_z + at, dz, n);
            sum = lanes_add(sum, dz);
            product = lanes_fma(dz, d, product);
        }
        lanes_store_up_to(sums + c, sum, n);
        lanes_store_up_to(sums + channels + c, product, n);
    }
}

static void slope_block(float *grad_z, float *sums, const float *grad_out, const float *x,
                        size_t rows, size_t channels, const struct affine *a,
                        enum pm_activation activation)
{
    switch (activation) { /* as in apply_block */
    case PM_IDENTITY:
        slope_rows(grad_z, sums, grad_out, x, rows, channels, a, PM_IDENTITY);
        break;
    case PM_SILU:
        slope_rows(grad_z, sums, grad_out, x, rows, channels, a, PM_SILU);
        break;
    default:
        slope_rows(grad_z, sums, grad_out, x, rows, channels, a, activation);
        break;
    }
}

/** What a channel's way back is, out of the sums of one sample, in double:
 *  dx = scale gamma dz - (x - mean) slope - constant.
 *  @param terms  [2, C]: slope, constant  @param sums  [blocks, 2, C]  @param scale  [C] */
static void sample_terms(float *terms, const float *sums, const float *scale,
                         const struct grouped *g)
{
    size_t channels = g->channels, width = channels / g->groups;
    double share = 1.0 / ((double)g->pixels * (double)width);
    for (size_t first = 0; first < channels; first += width) {
        double sum = 0.0, product = 0.0; /* of g; of g (x - mean) */
        for (size_t b = 0; b < g->blocks; b++) {
            const float *block = sums + 2 * b * channels;
            for (size_t c = first; c < first + width; c++) {
                sum += (double)g->gamma[c] * (double)block[c];
                product += (double)g->gamma[c] * (double)block[channels + c];
            }
        }
        double s = (double)scale[first];
        for (size_t c = first; c < first + width; c++) {
            terms[c] = (float)(s * s * s * product * share);
            terms[channels + c] = (float)(s * sum * share);
        }
    }
}

/** grad_x holds dz. @param residual  of the block, or NULL  @param terms  [2, C] */
static void finish_block(float *grad_x, const float *x, const float *residual, size_t rows,
                         size_t channels, const struct affine *a, const float *terms)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c += LANES) {
            size_t n = smaller(LANES, channels - c), at = r * channels + c;
            struct lanes slope = lanes_load_up_to(terms + c, n);
            struct lanes d =
                lanes_sub(lanes_load_up_to(a->mean + c, n), lanes_load_up_to(x + at, n));
            struct lanes dx =
                lanes_mul(lanes_load_up_to(grad_x + at, n), lanes_load_up_to(a->scale + c, n));
            dx = lanes_sub(lanes_fma(d, slope, dx), lanes_load_up_to(terms + channels + c, n));
            if (residual) dx = lanes_add(dx, lanes_load_up_to(residual + at, n));
            lanes_store_up_to(grad_x + at, dx, n);
        }
    }
}

void PM_ISA_NAME(group_norm_backward)(float *grad_x, const float *grad_out, const float *x,
                                      const float *gamma, const float *beta, const float *residual,
                                      size_t batch, size_t pixels, size_t channels, size_t groups,
                                      float eps, enum pm_activation activation,
                                      struct pm_arena *scratch)
{
    size_t mark = scratch->used;
    struct grouped g = grouped_make(x, gamma, batch, pixels, channels, groups, eps, scratch);
    float *terms = pm_arena_floats(scratch, batch * 2 * channels);
    size_t threads =
        pm_threads_for(2.0 * FLOPS_PER_ELEMENT * (double)(batch * pixels) * (double)channels);
#pragma omp parallel num_threads((int)threads)
    {
        take_moments(&g);
#pragma omp for schedule(static)
        for (size_t i = 0; i < batch * g.blocks; i++) { /* the sums take the moments' place */
            size_t rows, offset = block_offset(&g, i, &rows);
            struct affine a = block_affine(&g, i, beta);
            slope_block(grad_x + offset, g.moments + i * 2 * channels, grad_out + offset,
                        x + offset, rows, channels, &a, activation);
        }
#pragma omp for schedule(static)
        for (size_t b = 0; b < batch; b++)
            sample_terms(terms + b * 2 * channels, g.moments + b * g.blocks * 2 * channels,
                         g.affine + (b * 3 + 2) * channels, &g);
#pragma omp for schedule(static)
        for (size_t i = 0; i < batch * g.blocks; i++) {
            size_t rows, offset = block_offset(&g, i, &rows);
            struct affine a = block_affine(&g, i, beta);
            finish_block(grad_x + offset, x + offset, residual ? residual + offset : NULL, rows,
                         channels, &a, terms + i / g.blocks * 2 * channels);
        }
    }
    scratch->used = mark;
}

/** A row's mean and 1/sqrt(variance + eps), in every lane. */
ALWAYS_INLINE void row_moments(struct lanes *mean, struct lanes *scale, const float *x,
                               size_t channels, float eps)
{
    struct lanes sum = lanes_set(0.0f), squares = sum;
    for (size_t c = 0; c < channels; c += LANES)
        sum = lanes_add(sum, lanes_load_up_to(x + c, smaller(LANES, channels - c)));
    *mean = lanes_set(lanes_sum(sum) / (float)channels);
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes d = lanes_sub(lanes_load_up_to(x + c, n), *mean);
        if (n < LANES) d = lanes_first(d, lanes_set(0.0f), n);
        squares = lanes_fma(d, d, squares);
    }
    *scale = lanes_set(1.0f / sqrtf(lanes_sum(squares) / (float)channels + eps));
}

static void normalize_row(float *out, const float *x, const float *gamma, const float *beta,
                          size_t channels, float eps)
{
    struct lanes mean, scale;
    row_moments(&mean, &scale, x, channels, eps);
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

static void row_backward(float *grad_x, const float *grad_out, const float *x, const float *gamma,
                         const float *residual, size_t channels, float eps)
{
    struct lanes mean, scale, sum = lanes_set(0.0f), product = sum; /* of g; of g u */
    row_moments(&mean, &scale, x, channels, eps);
    for (size_t c = 0; c < channels; c += LANES) { /* lanes past the end are zeros in g */
        size_t n = smaller(LANES, channels - c);
        struct lanes u = lanes_mul(lanes_sub(lanes_load_up_to(x + c, n), mean), scale);
        struct lanes g =
            lanes_mul(lanes_load_up_to(grad_out + c, n), lanes_load_up_to(gamma + c, n));
        sum = lanes_add(sum, g);
        product = lanes_fma(g, u, product);
    }
    sum = lanes_set(lanes_sum(sum) / (float)channels);
    product = lanes_set(lanes_sum(product) / (float)channels);
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes u = lanes_mul(lanes_sub(mean, lanes_load_up_to(x + c, n)), scale);
        struct lanes g =
            lanes_mul(lanes_load_up_to(grad_out + c, n), lanes_load_up_to(gamma + c, n));
        struct lanes dx = lanes_mul(lanes_fma(u, product, lanes_sub(g, sum)), scale);
        if (residual) dx = lanes_add(dx, lanes_load_up_to(residual + c, n));
        lanes_store_up_to(grad_x + c, dx, n);
    }
}

void PM_ISA_NAME(layer_norm_backward)(float *grad_x, const float *grad_out, const float *x,
                                      const float *gamma, const float *residual, size_t rows,
                                      size_t channels, float eps)
{
    size_t threads = pm_threads_for(2.0 * FLOPS_PER_ELEMENT * (double)rows * (double)channels);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * channels;
        row_backward(grad_x + at, grad_out + at, x + at, gamma, residual ? residual + at : NULL,
                     channels, eps);
    }
}
