/* 3x3 convolution by Winograd's F(4x4, 3x3): 36 multiplications where the direct form has 144.
 *
 * A chunk of tiles goes through three steps, each shared out over the threads: inputs are
 * transformed to [36][tiles][C], multiplied by the packed [36][C → N], and transformed back.
 * A tile's numbers do not depend on the others in its chunk. */
#include "winograd.h"
#include "isa.h"
#include "simd.h"

#include <string.h>

enum {
    CHUNK_FLOATS = 192 * 1024, /* of transformed inputs and products; the second cache */
    FEWEST_TILES = 48,         /* a chunk reads all weights, so it should use them well */
    LEAST_PIXELS = 16,
    SKEW = LANES, /* floats that keep the 36 matrices out of each other's cache sets */
};

struct plane {
    size_t height, width, tiles_across, tiles; /* of a sample */
};

bool pm_winograd_pays(size_t height, size_t width)
{
    size_t tiles =
        (height + WINOGRAD_OUT - 1) / WINOGRAD_OUT * ((width + WINOGRAD_OUT - 1) / WINOGRAD_OUT);
    /* Half of what is computed is wanted, and the weights, four times as many, are used. */
    return height * width >= 8 * tiles && height * width >= LEAST_PIXELS;
}

/** One side of Bᵀ d B: six values at distance @p step. */
ALWAYS_INLINE void transform_in(struct lanes *to, size_t step, const struct lanes d[WINOGRAD_IN])
{
    const struct lanes a = lanes_set((float)WINOGRAD_A), minus_a = lanes_set((float)-WINOGRAD_A);
    const struct lanes b = lanes_set((float)WINOGRAD_B), minus_b = lanes_set((float)-WINOGRAD_B);
    const struct lanes minus_a2 = lanes_set((float)-WINOGRAD_A2);
    const struct lanes minus_b2 = lanes_set((float)-WINOGRAD_B2);
    const struct lanes a2_b2 = lanes_set((float)(WINOGRAD_A2 * WINOGRAD_B2));
    const struct lanes minus_sum = lanes_set((float)-(WINOGRAD_A2 + WINOGRAD_B2));
    struct lanes even_a = lanes_fma(minus_b2, d[2], d[4]), odd_a = lanes_fma(minus_b2, d[1], d[3]);
    struct lanes even_b = lanes_fma(minus_a2, d[2], d[4]), odd_b = lanes_fma(minus_a2, d[1], d[3]);
    to[0] = lanes_fma(a2_b2, d[0], lanes_fma(minus_sum, d[2], d[4]));
    to[step] = lanes_fma(a, odd_a, even_a);
    to[2 * step] = lanes_fma(minus_a, odd_a, even_a);
    to[3 * step] = lanes_fma(b, odd_b, even_b);
    to[4 * step] = lanes_fma(minus_b, odd_b, even_b);
    to[5 * step] = lanes_fma(a2_b2, d[1], lanes_fma(minus_sum, d[3], d[5]));
}

/** One side of Aᵀ m A: six values to four. */
ALWAYS_INLINE void transform_out(struct lanes *to, size_t step, const struct lanes m[WINOGRAD_IN])
{
    const struct lanes a = lanes_set((float)WINOGRAD_A), b = lanes_set((float)WINOGRAD_B);
    const struct lanes a2 = lanes_set((float)WINOGRAD_A2), b2 = lanes_set((float)WINOGRAD_B2);
    const struct lanes a3 = lanes_set((float)(WINOGRAD_A2 * WINOGRAD_A));
    const struct lanes b3 = lanes_set((float)(WINOGRAD_B2 * WINOGRAD_B));
    struct lanes even_a = lanes_add(m[1], m[2]), odd_a = lanes_sub(m[1], m[2]);
    struct lanes even_b = lanes_add(m[3], m[4]), odd_b = lanes_sub(m[3], m[4]);
    to[0] = lanes_add(m[0], lanes_add(even_a, even_b));
    to[step] = lanes_fma(b, odd_b, lanes_mul(a, odd_a));
    to[2 * step] = lanes_fma(b2, even_b, lanes_mul(a2, even_a));
    to[3 * step] = lanes_fma(b3, odd_b, lanes_fma(a3, odd_a, m[5]));
}

/** @param v  position 0 of this tile, [C]; the others lie v_stride floats apart
 *  @param x  one sample  @param zeros  [C]: what lies outside the image */
static void tile_in(float *v, size_t v_stride, const float *x, const struct plane *p, size_t tile,
                    size_t channels, const float *zeros)
{
    size_t top = tile / p->tiles_across * WINOGRAD_OUT;
    size_t left = tile % p->tiles_across * WINOGRAD_OUT;
    const float *pixels[WINOGRAD_POSITIONS];
    for (size_t i = 0; i < WINOGRAD_POSITIONS; i++) {
        size_t row = top + i / WINOGRAD_IN, column = left + i % WINOGRAD_IN; /* 1 too many: pad */
        bool inside = row >= 1 && row <= p->height && column >= 1 && column <= p->width;
        pixels[i] = inside ? x + ((row - 1) * p->width + column - 1) * channels : zeros;
    }
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes half[WINOGRAD_POSITIONS];
        for (size_t i = 0; i < WINOGRAD_IN; i++) {
            struct lanes d[WINOGRAD_IN];
            UNROLLED
            for (size_t j = 0; j < WINOGRAD_IN; j++) {
                d[j] = lanes_load_up_to(pixels[i * WINOGRAD_IN + j] + c, n);
            }
            transform_in(half + i, WINOGRAD_IN, d); /* transposed: [column][row] */
        }
        for (size_t j = 0; j < WINOGRAD_IN; j++) {
            struct lanes whole[WINOGRAD_IN];
            transform_in(whole, 1, half + j * WINOGRAD_IN);
            UNROLLED
            for (size_t i = 0; i < WINOGRAD_IN; i++) {
                lanes_store_up_to(v + (i * WINOGRAD_IN + j) * v_stride + c, whole[i], n);
            }
        }
    }
}

/** The part of the task that every tile of a sample shares. */
struct output {
    float *out;
    const float *bias, *residual; /* of the sample, or NULL */
    size_t channels;
};

/** @param m  position 0 of this tile, [N]; the others lie m_stride floats apart */
static void tile_out(const struct output *o, const float *m, size_t m_stride, const struct plane *p,
                     size_t tile)
{
    size_t top = tile / p->tiles_across * WINOGRAD_OUT;
    size_t left = tile % p->tiles_across * WINOGRAD_OUT;
    size_t rows = smaller(WINOGRAD_OUT, p->height - top);
    size_t columns = smaller(WINOGRAD_OUT, p->width - left);
    for (size_t c = 0; c < o->channels; c += LANES) {
        size_t n = smaller(LANES, o->channels - c);
        struct lanes half[WINOGRAD_OUT * WINOGRAD_IN], y[WINOGRAD_OUT * WINOGRAD_OUT];
        for (size_t i = 0; i < WINOGRAD_IN; i++) {
            struct lanes row[WINOGRAD_IN];
            UNROLLED
            for (size_t j = 0; j < WINOGRAD_IN; j++) {
                row[j] = lanes_load_up_to(m + (i * WINOGRAD_IN + j) * m_stride + c, n);
            }
            transform_out(half + i, WINOGRAD_IN, row); /* transposed: [column][row] */
        }
        for (size_t j = 0; j < WINOGRAD_OUT; j++)
            transform_out(y + j, WINOGRAD_OUT, half + j * WINOGRAD_IN);
        struct lanes bias = o->bias ? lanes_load_up_to(o->bias + c, n) : lanes_set(0.0f);
        for (size_t i = 0; i < rows; i++) {
            for (size_t j = 0; j < columns; j++) {
                size_t at = ((top + i) * p->width + left + j) * o->channels + c;
                struct lanes sum = lanes_add(y[i * WINOGRAD_OUT + j], bias);
                if (o->residual) sum = lanes_add(sum, lanes_load_up_to(o->residual + at, n));
                lanes_store_up_to(o->out + at, sum, n);
            }
        }
    }
}

void pm_conv_winograd(float *out, const float *x, const struct pm_conv *conv, const float *bias,
                      size_t bias_stride, const float *residual, size_t batch, size_t height,
                      size_t width, struct pm_arena *scratch)
{
    size_t in = conv->in, outs = conv->out, pixels = height * width;
    struct plane p = {.height = height,
                      .width = width,
                      .tiles_across = (width + WINOGRAD_OUT - 1) / WINOGRAD_OUT};
    p.tiles = p.tiles_across * ((height + WINOGRAD_OUT - 1) / WINOGRAD_OUT);
    size_t all = batch * p.tiles, chunk = CHUNK_FLOATS / (WINOGRAD_POSITIONS * (in + outs));
    chunk = smaller(all, chunk < FEWEST_TILES ? FEWEST_TILES : chunk);
    size_t v_stride = chunk * in + SKEW, m_stride = chunk * outs + SKEW;
    float *v = pm_arena_floats(scratch, WINOGRAD_POSITIONS * v_stride);
    float *m = pm_arena_floats(scratch, WINOGRAD_POSITIONS * m_stride);
    float *zeros = pm_arena_floats(scratch, in);
    memset(zeros, 0, in * sizeof *zeros);
    size_t weight_floats = pm_packed_floats(in, outs);
    size_t threads =
        pm_threads_for(2.0 * WINOGRAD_POSITIONS * (double)all * (double)in * (double)outs);
#pragma omp parallel num_threads((int)threads)
    for (size_t first = 0; first < all; first += chunk) {
        size_t tiles = smaller(chunk, all - first);
#pragma omp for schedule(static)
        for (size_t i = 0; i < tiles; i++) {
            size_t sample = (first + i) / p.tiles, tile = (first + i) % p.tiles;
            tile_in(v + i * in, v_stride, x + sample * pixels * in, &p, tile, in, zeros);
        }
#pragma omp for schedule(static)
        for (size_t i = 0; i < WINOGRAD_POSITIONS; i++)
            pm_gemm_serial(m + i * m_stride, outs, v + i * v_stride, in,
                           conv->winograd + i * weight_floats, tiles, outs, in, NULL);
#pragma omp for schedule(static)
        for (size_t i = 0; i < tiles; i++) {
            size_t sample = (first + i) / p.tiles, tile = (first + i) % p.tiles;
            size_t at = sample * pixels * outs;
            struct output o = {.out = out + at,
                               .bias = bias ? bias + sample * bias_stride : NULL,
                               .residual = residual ? residual + at : NULL,
                               .channels = outs};
            tile_out(&o, m + i * outs, m_stride, &p, tile);
        }
    }
}
