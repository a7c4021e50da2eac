/* 3x3 convolution by Winograd's F(4x4, 3x3): 36 multiplications where the direct form has 144.
 *
 * A chunk of tiles goes through three steps, each shared out over the threads: inputs are
 * transformed to [36][tiles][C], multiplied by the packed [36][C → N], and transformed back.
 * A tile's numbers do not depend on the others in its chunk.
 *
 * Backwards the steps are each other's adjoints, with the same weights: m = A ∂y Aᵀ, times the
 * transpose, and B v Bᵀ is a tile's part of 6x6 pixels, of which it shares two with each
 * neighbour. */
#include "winograd.h"
#include "isa.h"
#include "simd.h"

#include <string.h>

enum {
    CHUNK_FLOATS = 192 * 1024, /* of transformed inputs and products; the second cache */
    FEWEST_TILES = 48,         /* a chunk reads all weights, so it should use them well */
    FEWEST_TURNED = 96,        /* tiles for which the weights are transposed on the way */
    OVERLAP = WINOGRAD_IN - WINOGRAD_OUT,
    SLICE = 4 * LANES, /* channels of a row of tiles that a thread takes at once */
    SKEW = LANES,      /* floats that keep the 36 matrices out of each other's cache sets */
};

struct plane {
    size_t height, width, tiles_across, tiles; /* of a sample */
};

static struct plane plane_make(size_t height, size_t width)
{
    size_t across = (width + WINOGRAD_OUT - 1) / WINOGRAD_OUT;
    return (struct plane){.height = height,
                          .width = width,
                          .tiles_across = across,
                          .tiles = winograd_tiles(height, width)};
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
    struct plane p = plane_make(height, width);
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

/** Adjoint of transform_out: four values to six. */
ALWAYS_INLINE void spread_out(struct lanes *to, size_t step, const struct lanes y[WINOGRAD_OUT])
{
    const struct lanes a = lanes_set((float)WINOGRAD_A), b = lanes_set((float)WINOGRAD_B);
    const struct lanes a2 = lanes_set((float)WINOGRAD_A2), b2 = lanes_set((float)WINOGRAD_B2);
    const struct lanes a3 = lanes_set((float)(WINOGRAD_A2 * WINOGRAD_A));
    const struct lanes b3 = lanes_set((float)(WINOGRAD_B2 * WINOGRAD_B));
    struct lanes even_a = lanes_fma(a2, y[2], y[0]),
                 odd_a = lanes_fma(a3, y[3], lanes_mul(a, y[1]));
    struct lanes even_b = lanes_fma(b2, y[2], y[0]),
                 odd_b = lanes_fma(b3, y[3], lanes_mul(b, y[1]));
    to[0] = y[0];
    to[step] = lanes_add(even_a, odd_a);
    to[2 * step] = lanes_sub(even_a, odd_a);
    to[3 * step] = lanes_add(even_b, odd_b);
    to[4 * step] = lanes_sub(even_b, odd_b);
    to[5 * step] = y[3];
}

/** Adjoint of transform_in: six values to six. */
ALWAYS_INLINE void spread_in(struct lanes *to, size_t step, const struct lanes v[WINOGRAD_IN])
{
    const struct lanes a = lanes_set((float)WINOGRAD_A), b = lanes_set((float)WINOGRAD_B);
    const struct lanes minus_a2 = lanes_set((float)-WINOGRAD_A2);
    const struct lanes minus_b2 = lanes_set((float)-WINOGRAD_B2);
    const struct lanes a2_b2 = lanes_set((float)(WINOGRAD_A2 * WINOGRAD_B2));
    const struct lanes minus_sum = lanes_set((float)-(WINOGRAD_A2 + WINOGRAD_B2));
    struct lanes even_a = lanes_add(v[1], v[2]), odd_a = lanes_mul(a, lanes_sub(v[1], v[2]));
    struct lanes even_b = lanes_add(v[3], v[4]), odd_b = lanes_mul(b, lanes_sub(v[3], v[4]));
    struct lanes second = lanes_mul(minus_sum, v[0]);
    to[0] = lanes_mul(a2_b2, v[0]);
    to[step] = lanes_fma(minus_b2, odd_a, lanes_fma(minus_a2, odd_b, lanes_mul(a2_b2, v[5])));
    to[2 * step] = lanes_fma(minus_b2, even_a, lanes_fma(minus_a2, even_b, second));
    to[3 * step] = lanes_fma(minus_sum, v[5], lanes_add(odd_a, odd_b));
    to[4 * step] = lanes_add(v[0], lanes_add(even_a, even_b));
    to[5 * step] = v[5];
}

/** @param m  position 0 of this tile, [N]; the others lie m_stride floats apart
 *  @param grad_out  one sample  @param zeros  [N]: what lies outside the image */
static void tile_grad_out(float *m, size_t m_stride, const float *grad_out, const struct plane *p,
                          size_t tile, size_t channels, const float *zeros)
{
    size_t top = tile / p->tiles_across * WINOGRAD_OUT;
    size_t left = tile % p->tiles_across * WINOGRAD_OUT;
    const float *pixels[WINOGRAD_OUT * WINOGRAD_OUT];
    for (size_t i = 0; i < WINOGRAD_OUT * WINOGRAD_OUT; i++) {
        size_t row = top + i / WINOGRAD_OUT, column = left + i % WINOGRAD_OUT;
        bool inside = row < p->height && column < p->width;
        pixels[i] = inside ? grad_out + (row * p->width + column) * channels : zeros;
    }
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes half[WINOGRAD_OUT * WINOGRAD_IN];
        for (size_t i = 0; i < WINOGRAD_OUT; i++) {
            struct lanes y[WINOGRAD_OUT];
            UNROLLED
            for (size_t j = 0; j < WINOGRAD_OUT; j++) {
                y[j] = lanes_load_up_to(pixels[i * WINOGRAD_OUT + j] + c, n);
            }
            spread_out(half + i, WINOGRAD_OUT, y); /* transposed: [column][row] */
        }
        for (size_t j = 0; j < WINOGRAD_IN; j++) {
            struct lanes whole[WINOGRAD_IN];
            spread_out(whole, 1, half + j * WINOGRAD_OUT);
            UNROLLED
            for (size_t i = 0; i < WINOGRAD_IN; i++) {
                lanes_store_up_to(m + (i * WINOGRAD_IN + j) * m_stride + c, whole[i], n);
            }
        }
    }
}

/** Where a row of tiles puts its six rows of pixels, from the one above it to the one below: the
 *  last two, which the next row of tiles has as its first, into a strip. NULL: off the image. */
struct band {
    float *rows[WINOGRAD_IN];
    size_t width, channels;
};

static struct band band_make(float *grad_x, float *strip, const struct plane *p, size_t tile_row,
                             size_t channels)
{
    struct band b = {.width = p->width, .channels = channels};
    size_t floats = p->width * channels, top = tile_row * WINOGRAD_OUT; /* 1 too many: pad */
    bool last = (tile_row + 1) * p->tiles_across == p->tiles;
    for (size_t i = 0; i < WINOGRAD_IN; i++) {
        if (top + i < 1 || top + i > p->height) continue;
        b.rows[i] = i < WINOGRAD_OUT || last ? grad_x + (top + i - 1) * floats
                                             : strip + (i - WINOGRAD_OUT) * floats;
    }
    return b;
}

/** The channels [c, c + n) of one tile into its band: onto what the tile to its left left there.
 *  @param v  position 0 of this tile, at c */
static void tile_grad_in(const struct band *b, const float *v, size_t v_stride, size_t tile_column,
                         size_t c, size_t n)
{
    struct lanes half[WINOGRAD_POSITIONS];
    for (size_t i = 0; i < WINOGRAD_IN; i++) {
        struct lanes row[WINOGRAD_IN];
        UNROLLED
        for (size_t j = 0; j < WINOGRAD_IN; j++) {
            row[j] = lanes_load_up_to(v + (i * WINOGRAD_IN + j) * v_stride, n);
        }
        spread_in(half + i, WINOGRAD_IN, row); /* transposed: [column][row] */
    }
    for (size_t j = 0; j < WINOGRAD_IN; j++) {
        size_t column = tile_column * WINOGRAD_OUT + j; /* 1 too many: pad */
        if (column < 1 || column > b->width) continue;
        struct lanes d[WINOGRAD_IN];
        spread_in(d, 1, half + j * WINOGRAD_IN);
        bool shared = j < OVERLAP && tile_column > 0;
        for (size_t i = 0; i < WINOGRAD_IN; i++) {
            if (!b->rows[i]) continue;
            float *to = b->rows[i] + (column - 1) * b->channels + c;
            lanes_store_up_to(to, shared ? lanes_add(lanes_load_up_to(to, n), d[i]) : d[i], n);
        }
    }
}

/** The channels [c, end) of a row of tiles. @param v  position 0 of its first tile, at channel 0 */
static void band_grad_in(const struct band *b, const float *v, size_t v_stride, size_t tiles,
                         size_t c, size_t end)
{
    for (size_t i = 0; i < tiles; i++)
        for (size_t from = c; from < end; from += LANES)
            tile_grad_in(b, v + i * b->channels + from, v_stride, i, from,
                         smaller(LANES, end - from));
}

/** One row's strip onto the band below it. */
static void add_strip(float *grad_x, const float *strip, const struct plane *p, size_t tile_row,
                      size_t channels)
{
    if ((tile_row + 1) * p->tiles_across == p->tiles) return;
    size_t floats = p->width * channels;
    float *to = grad_x + ((tile_row + 1) * WINOGRAD_OUT - 1) * floats;
    for (size_t i = 0; i < OVERLAP * floats; i++) to[i] += strip[i];
}

void pm_conv_winograd_backward(float *grad_x, const float *grad_out, const struct pm_conv *conv,
                               size_t batch, size_t height, size_t width, struct pm_arena *scratch)
{
    size_t in = conv->in, outs = conv->out, pixels = height * width;
    struct plane p = plane_make(height, width);
    /* A chunk is whole rows of tiles, so that neighbours to the side meet in it. */
    size_t tile_rows = p.tiles / p.tiles_across, all = batch * tile_rows;
    size_t tiles = CHUNK_FLOATS / (WINOGRAD_POSITIONS * (in + outs));
    tiles = tiles < FEWEST_TURNED ? FEWEST_TURNED : tiles;
    size_t chunk = smaller(all, (tiles + p.tiles_across - 1) / p.tiles_across);
    size_t m_stride = chunk * p.tiles_across * outs + SKEW;
    size_t v_stride = chunk * p.tiles_across * in + SKEW;
    float *m = pm_arena_floats(scratch, WINOGRAD_POSITIONS * m_stride);
    float *v = pm_arena_floats(scratch, WINOGRAD_POSITIONS * v_stride);
    size_t strip_floats = OVERLAP * width * in, slices = (in + SLICE - 1) / SLICE;
    float *strips = pm_arena_floats(scratch, all * strip_floats);
    float *zeros = pm_arena_floats(scratch, outs);
    memset(zeros, 0, outs * sizeof *zeros);
    size_t weight_floats = pm_packed_floats(in, outs);
    size_t threads = pm_threads_for(2.0 * WINOGRAD_POSITIONS * (double)(batch * p.tiles) *
                                    (double)in * (double)outs);
#pragma omp parallel num_threads((int)threads)
    {
        for (size_t first = 0; first < all; first += chunk) {
            size_t rows = smaller(chunk, all - first), count = rows * p.tiles_across;
#pragma omp for schedule(static)
            for (size_t i = 0; i < count; i++) {
                size_t tile = first * p.tiles_across + i, sample = tile / p.tiles;
                tile_grad_out(m + i * outs, m_stride, grad_out + sample * pixels * outs, &p,
                              tile % p.tiles, outs, zeros);
            }
#pragma omp for schedule(static)
            for (size_t i = 0; i < WINOGRAD_POSITIONS; i++)
                pm_gemm_backward(v + i * v_stride, in, m + i * m_stride, outs,
                                 conv->winograd + i * weight_floats, count, outs, in, NULL);
#pragma omp for schedule(static)
            for (size_t i = 0; i < rows * slices; i++) {
                size_t row = first + i / slices, c = i % slices * SLICE;
                struct band band = band_make(grad_x + row / tile_rows * pixels * in,
                                             strips + row * strip_floats, &p, row % tile_rows, in);
                band_grad_in(&band, v + i / slices * p.tiles_across * in, v_stride, p.tiles_across,
                             c, smaller(in, c + SLICE));
            }
        }
#pragma omp for schedule(static)
        for (size_t i = 0; i < all; i++)
            add_strip(grad_x + i / tile_rows * pixels * in, strips + i * strip_floats, &p,
                      i % tile_rows, in);
    }
}
