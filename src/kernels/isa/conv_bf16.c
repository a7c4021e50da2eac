/* 3x3 convolution of bfloat16 by Winograd's F(2x2, 3x3): 16 multiplications where the direct form has
 * 36, and transforms that only add, so that what is rounded is hardly larger than what was there
 * (3.8e-3 relative rms of a layer, where the direct form has 2.4e-3 and F(4x4) 2.5e-2).
 *
 * A chunk of tiles goes through three steps, each shared out over the threads: inputs are
 * transformed and rounded to [16][tiles][C]; multiplied, a group of columns at a time, in float32
 * sums; and transformed back. */
#include "isa.h"
#include "tile.h"
#include "winograd.h"

#include <omp.h>
#include <string.h>

enum {
    IN = SMALL_WINOGRAD_IN,
    OUT = SMALL_WINOGRAD_OUT,
    POSITIONS = SMALL_WINOGRAD_POSITIONS,
    WIDTH = TILE_PANELS * LANES,      /* columns of a group */
    SKEW_NUMBERS = 2 * WINOGRAD_SKEW, /* as many bytes as there, off the powers of two */
};

/** One call. */
struct task {
    float *out;
    const float *x;
    const struct pm_conv *conv;
    const float *bias, *residual; /* or NULL */
    size_t bias_stride;           /* from sample to sample */
    size_t height, width, tiles_across, tiles;
    const float *zeros; /* [C] */
    size_t stride;      /* of a transformed tile: C made even */
};

/** Tiles [first, first + count) of all samples. */
struct chunk {
    size_t first, count;
    uint16_t *inputs; /* [16][count][stride], SKEW_NUMBERS apart */
};

static uint16_t *position_of(const struct chunk *chunk, size_t position, size_t stride)
{
    return chunk->inputs + position * (chunk->count * stride + SKEW_NUMBERS);
}

/** One side of Bᵀ d B. */
ALWAYS_INLINE void transform_in(struct lanes *to, size_t step, const struct lanes d[IN])
{
    to[0] = lanes_sub(d[0], d[2]);
    to[step] = lanes_add(d[1], d[2]);
    to[2 * step] = lanes_sub(d[2], d[1]);
    to[3 * step] = lanes_sub(d[1], d[3]);
}

/** One side of Aᵀ m A. */
ALWAYS_INLINE void transform_out(struct lanes *to, size_t step, const struct lanes m[IN])
{
    to[0] = lanes_add(m[0], lanes_add(m[1], m[2]));
    to[step] = lanes_sub(lanes_sub(m[1], m[2]), m[3]);
}

static void tile_in(const struct chunk *chunk, size_t i, const struct task *t)
{
    size_t all = chunk->first + i, channels = t->conv->in;
    size_t top = all % t->tiles / t->tiles_across * OUT;
    size_t left = all % t->tiles % t->tiles_across * OUT;
    const float *x = t->x + all / t->tiles * t->height * t->width * channels;
    const float *pixels[POSITIONS];
    for (size_t j = 0; j < POSITIONS; j++) {
        size_t row = top + j / IN, column = left + j % IN; /* 1 too many: pad */
        bool inside = row >= 1 && row <= t->height && column >= 1 && column <= t->width;
        pixels[j] = inside ? x + ((row - 1) * t->width + column - 1) * channels : t->zeros;
    }
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c), room = smaller(LANES, t->stride - c);
        struct lanes half[POSITIONS];
        UNROLLED
        for (size_t j = 0; j < IN; j++) {
            struct lanes d[IN];
            UNROLLED
            for (size_t k = 0; k < IN; k++) {
                d[k] = lanes_load_up_to(pixels[j * IN + k] + c, n);
            }
            transform_in(half + j, IN, d); /* transposed: [column][row] */
        }
        UNROLLED
        for (size_t j = 0; j < IN; j++) {
            struct lanes whole[IN];
            transform_in(whole, 1, half + j * IN);
            UNROLLED
            for (size_t k = 0; k < IN; k++) {
                uint16_t *to = position_of(chunk, k * IN + j, t->stride) + i * t->stride + c;
                lanes_store_bf16_up_to(to, whole[k], n, room);
            }
        }
    }
}

/** Columns [column, column + columns) of tile @p i. @param products  [16][count][WIDTH], skewed */
static void tile_out(const struct task *t, const struct chunk *chunk, const float *products,
                     size_t i, size_t column, size_t columns)
{
    size_t all = chunk->first + i, sample = all / t->tiles, outs = t->conv->out;
    size_t top = all % t->tiles / t->tiles_across * OUT;
    size_t left = all % t->tiles % t->tiles_across * OUT;
    size_t rows = smaller(OUT, t->height - top), across = smaller(OUT, t->width - left);
    const float *bias = t->bias ? t->bias + sample * t->bias_stride + column : NULL;
    for (size_t c = 0; c < columns; c += LANES) {
        size_t n = smaller(LANES, columns - c);
        struct lanes half[OUT * IN], y[OUT * OUT];
        UNROLLED
        for (size_t j = 0; j < IN; j++) {
            struct lanes row[IN];
            UNROLLED
            for (size_t k = 0; k < IN; k++) {
                row[k] =
                    lanes_load(products + (j * IN + k) * (chunk->count * WIDTH + WINOGRAD_SKEW) +
                               i * WIDTH + c);
            }
            transform_out(half + j, IN, row); /* transposed: [column][row] */
        }
        UNROLLED
        for (size_t j = 0; j < OUT; j++) {
            transform_out(y + j, OUT, half + j * IN);
        }
        struct lanes shift = bias ? lanes_load_up_to(bias + c, n) : lanes_set(0.0f);
        for (size_t j = 0; j < rows; j++) {
            for (size_t k = 0; k < across; k++) {
                size_t pixel = (sample * t->height + top + j) * t->width + left + k;
                size_t at = pixel * outs + column + c;
                struct lanes sum = lanes_add(y[j * OUT + k], shift);
                if (t->residual) sum = lanes_add(sum, lanes_load_up_to(t->residual + at, n));
                lanes_store_up_to(t->out + at, sum, n);
            }
        }
    }
}

#define DEFINE_PRODUCT(rows)                                                                       \
    static void product_##rows(float *c, const uint16_t *a, size_t stride, const uint16_t *b,      \
                               size_t panel_step, size_t panels)                                   \
    {                                                                                              \
        if (panels == TILE_PANELS)                                                                 \
            tile_product_bf16(c, WIDTH, a, stride, PAIR, b, panel_step, stride / PAIR, false,      \
                              rows, TILE_PANELS);                                                  \
        else                                                                                       \
            tile_product_bf16(c, WIDTH, a, stride, PAIR, b, panel_step, stride / PAIR, false,      \
                              rows, 1);                                                            \
    }
EACH_TILE_ROWS(DEFINE_PRODUCT)

#define PRODUCT_ENTRY(rows) [rows] = product_##rows,
static void (*const product[TILE_ROWS + 1])(float *, const uint16_t *, size_t, const uint16_t *,
                                            size_t, size_t) = {EACH_TILE_ROWS(PRODUCT_ENTRY)};

/** One group of columns of a chunk. */
static void convolve_group(const struct task *t, const struct chunk *chunk, size_t group,
                           float *products)
{
    size_t columns = smaller(WIDTH, t->conv->out - group * WIDTH);
    size_t panels = (columns + LANES - 1) / LANES, position_step = t->stride * LANES;
    size_t panel_step = POSITIONS * position_step;
    size_t tile_count = (chunk->count + TILE_ROWS - 1) / TILE_ROWS;
    const uint16_t *filters = t->conv->packed_bf16 + group * TILE_PANELS * panel_step;
    for (size_t i = 0; i < POSITIONS; i++) {
        const uint16_t *a = position_of(chunk, i, t->stride);
        float *c = products + i * (chunk->count * WIDTH + WINOGRAD_SKEW);
        for (size_t j = 0; j < tile_count; j++) {
            size_t row = chunk->count * j / tile_count, end = chunk->count * (j + 1) / tile_count;
            product[end - row](c + row * WIDTH, a + row * t->stride, t->stride,
                               filters + i * position_step, panel_step, panels);
        }
    }
    for (size_t i = 0; i < chunk->count; i++)
        tile_out(t, chunk, products, i, group * WIDTH, columns);
}

void pm_conv_bf16(float *out, const float *x, const struct pm_conv *conv, const float *bias,
                  size_t bias_stride, const float *residual, size_t batch, size_t height,
                  size_t width, struct pm_arena *scratch)
{
    size_t groups = (conv->out + WIDTH - 1) / WIDTH;
    float *zeros = pm_arena_floats(scratch, conv->in);
    memset(zeros, 0, conv->in * sizeof *zeros);
    struct task t = {.out = out,
                     .x = x,
                     .conv = conv,
                     .bias = bias,
                     .bias_stride = bias_stride,
                     .residual = residual,
                     .height = height,
                     .width = width,
                     .tiles_across = (width + OUT - 1) / OUT,
                     .zeros = zeros,
                     .stride = (conv->in + 1) / PAIR * PAIR};
    t.tiles = (height + OUT - 1) / OUT * t.tiles_across;
    size_t all = batch * t.tiles;
    size_t chunks = (all + SMALL_WINOGRAD_MOST_TILES - 1) / SMALL_WINOGRAD_MOST_TILES;
    size_t most = (all + chunks - 1) / chunks;
    uint16_t *inputs =
        pm_arena_bytes(scratch, POSITIONS * (most * t.stride + SKEW_NUMBERS) * sizeof *inputs);
    double flops = 2.0 * POSITIONS * (double)all * (double)conv->in * (double)conv->out;
    size_t threads = smaller(groups, pm_threads_for(flops));
    size_t product_floats = POSITIONS * (most * WIDTH + WINOGRAD_SKEW);
    float *products = pm_arena_floats(scratch, threads * product_floats);
#pragma omp parallel num_threads((int)threads)
    for (size_t i = 0; i < chunks; i++) {
        size_t first = all * i / chunks;
        struct chunk chunk = {
            .first = first, .count = all * (i + 1) / chunks - first, .inputs = inputs};
#pragma omp for schedule(static)
        for (size_t j = 0; j < chunk.count; j++) tile_in(&chunk, j, &t);
#pragma omp for schedule(dynamic)
        for (size_t j = 0; j < groups; j++)
            convolve_group(&t, &chunk, j, products + (size_t)omp_get_thread_num() * product_floats);
    }
}
