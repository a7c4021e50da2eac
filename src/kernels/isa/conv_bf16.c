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
#include "winograd_tiles.h"

#include <omp.h>

enum {
    IN = SMALL_WINOGRAD_IN,
    OUT = SMALL_WINOGRAD_OUT,
    POSITIONS = SMALL_WINOGRAD_POSITIONS,
    WIDTH = TILE_PANELS * LANES,      /* columns of a group */
    SKEW_NUMBERS = 2 * WINOGRAD_SKEW, /* as many bytes as there, off the powers of two */
};

/** Tiles [first, first + count) of all samples. */
struct chunk {
    size_t first, count;
    size_t stride;    /* of a transformed tile: C made even */
    uint16_t *inputs; /* [16][count][stride], SKEW_NUMBERS apart */
};

static uint16_t *position_of(const struct chunk *chunk, size_t position)
{
    return chunk->inputs + position * (chunk->count * chunk->stride + SKEW_NUMBERS);
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

static void tile_in(const struct chunk *chunk, size_t i, const struct winograd_task *t)
{
    size_t channels = t->conv->in, stride = chunk->stride;
    const float *pixels[POSITIONS];
    winograd_inputs(pixels, IN, OUT, t, chunk->first + i);
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c), room = smaller(LANES, stride - c);
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
                uint16_t *to = position_of(chunk, k * IN + j) + i * stride + c;
                lanes_store_bf16_up_to(to, whole[k], n, room);
            }
        }
    }
}

/** Columns [column, column + columns) of tile @p i. @param products  [16][count][WIDTH], skewed */
static void tile_out(const struct winograd_task *t, const struct chunk *chunk,
                     const float *products, size_t i, size_t column, size_t columns)
{
    for (size_t c = 0; c < columns; c += LANES) {
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
        winograd_store(t, chunk->first + i, column + c, smaller(LANES, columns - c), y, OUT);
    }
}

/** One group of columns of a chunk. */
static void convolve_group(const struct winograd_task *t, const struct chunk *chunk, size_t group,
                           float *products)
{
    size_t columns = smaller(WIDTH, t->conv->out - group * WIDTH);
    size_t position_step = chunk->stride * LANES, panel_step = POSITIONS * position_step;
    const uint16_t *filters = t->conv->packed_bf16 + group * TILE_PANELS * panel_step;
    for (size_t i = 0; i < POSITIONS; i++)
        pm_rows_bf16(products + i * (chunk->count * WIDTH + WINOGRAD_SKEW), position_of(chunk, i),
                     chunk->stride, filters + i * position_step, panel_step, chunk->stride / PAIR,
                     false, chunk->count, columns);
    for (size_t i = 0; i < chunk->count; i++)
        tile_out(t, chunk, products, i, group * WIDTH, columns);
}

void pm_conv_bf16(float *out, const float *x, const struct pm_conv *conv, const float *bias,
                  size_t bias_stride, const float *residual, size_t batch, size_t height,
                  size_t width, struct pm_arena *scratch)
{
    size_t groups = (conv->out + WIDTH - 1) / WIDTH;
    struct winograd_task t =
        winograd_task_make(out, x, conv, bias, bias_stride, residual, height, width, OUT, scratch);
    size_t all = batch * t.plane.tiles, stride = (conv->in + 1) / PAIR * PAIR;
    size_t most = winograd_chunk_tiles(all, SMALL_WINOGRAD_MOST_TILES);
    size_t chunks = (all + most - 1) / most;
    uint16_t *inputs =
        pm_arena_bytes(scratch, POSITIONS * (most * stride + SKEW_NUMBERS) * sizeof *inputs);
    double flops = 2.0 * POSITIONS * (double)all * (double)conv->in * (double)conv->out;
    size_t threads = smaller(groups, pm_threads_for(flops));
    size_t product_floats = POSITIONS * (most * WIDTH + WINOGRAD_SKEW);
    float *products = pm_arena_floats(scratch, threads * product_floats);
#pragma omp parallel num_threads((int)threads)
    for (size_t i = 0; i < chunks; i++) {
        size_t first = all * i / chunks;
        struct chunk chunk = {.first = first,
                              .count = all * (i + 1) / chunks - first,
                              .stride = stride,
                              .inputs = inputs};
#pragma omp for schedule(static)
        for (size_t j = 0; j < chunk.count; j++) tile_in(&chunk, j, &t);
#pragma omp for schedule(dynamic)
        for (size_t j = 0; j < groups; j++)
            convolve_group(&t, &chunk, j, products + (size_t)omp_get_thread_num() * product_floats);
    }
}
