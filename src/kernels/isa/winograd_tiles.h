/** @file winograd_tiles.h  Images cut into Winograd's tiles, whatever their size, both ways.
 *  `in` and `out` are the pixels of a side that a tile reads and writes: constants where this is
 *  inlined. */
#ifndef PM_KERNELS_WINOGRAD_TILES_H
#define PM_KERNELS_WINOGRAD_TILES_H
#include "isa.h"
#include "simd.h"

#include <string.h>

struct winograd_plane {
    size_t height, width, tiles_across, tiles; /* of a sample */
};

static inline struct winograd_plane winograd_plane_make(size_t height, size_t width, size_t out)
{
    size_t across = (width + out - 1) / out;
    return (struct winograd_plane){.height = height,
                                   .width = width,
                                   .tiles_across = across,
                                   .tiles = (height + out - 1) / out * across};
}

/** Where the side x side pixels lie that begin @p pad above and left of a tile's own.
 *  @param x  one sample  @param zeros  [C]: what lies outside it */
ALWAYS_INLINE void winograd_pixels(const float **pixels, const size_t side, const size_t pad,
                                   const size_t out, const float *x, const struct winograd_plane *p,
                                   size_t tile, size_t channels, const float *zeros)
{
    size_t top = tile / p->tiles_across * out, left = tile % p->tiles_across * out;
    for (size_t i = 0; i < side * side; i++) {
        size_t row = top + i / side, column = left + i % side; /* pad too many */
        bool inside =
            row >= pad && row - pad < p->height && column >= pad && column - pad < p->width;
        pixels[i] = inside ? x + ((row - pad) * p->width + column - pad) * channels : zeros;
    }
}

/** A convolution of 3x3, one call. */
struct winograd_task {
    float *out;
    const float *x;
    const struct pm_conv *conv;
    const float *bias, *residual; /* or NULL */
    size_t bias_stride;           /* from sample to sample */
    struct winograd_plane plane;
    const float *zeros; /* [C] */
};

/** @param zeros  [C] from @p scratch, for the caller to keep */
static inline struct winograd_task winograd_task_make(float *out, const float *x,
                                                      const struct pm_conv *conv, const float *bias,
                                                      size_t bias_stride, const float *residual,
                                                      size_t height, size_t width, size_t side,
                                                      struct pm_arena *scratch)
{
    float *zeros = pm_arena_floats(scratch, conv->in);
    memset(zeros, 0, conv->in * sizeof *zeros);
    return (struct winograd_task){.out = out,
                                  .x = x,
                                  .conv = conv,
                                  .bias = bias,
                                  .bias_stride = bias_stride,
                                  .residual = residual,
                                  .plane = winograd_plane_make(height, width, side),
                                  .zeros = zeros};
}

/** What tile number @p tile of all samples reads. */
ALWAYS_INLINE void winograd_inputs(const float **pixels, const size_t in, const size_t out,
                                   const struct winograd_task *t, size_t tile)
{
    const struct winograd_plane *p = &t->plane;
    const float *x = t->x + tile / p->tiles * p->height * p->width * t->conv->in;
    winograd_pixels(pixels, in, 1, out, x, p, tile % p->tiles, t->conv->in, t->zeros);
}

/** y[out][out] and what is added to it, into columns [column, column + n) of a tile's own pixels. */
ALWAYS_INLINE void winograd_store(const struct winograd_task *t, size_t tile, size_t column,
                                  size_t n, const struct lanes *y, const size_t out)
{
    const struct winograd_plane *p = &t->plane;
    size_t sample = tile / p->tiles, place = tile % p->tiles;
    size_t top = place / p->tiles_across * out, left = place % p->tiles_across * out;
    size_t rows = smaller(out, p->height - top), across = smaller(out, p->width - left);
    struct lanes shift =
        t->bias ? lanes_load_up_to(t->bias + sample * t->bias_stride + column, n) : lanes_set(0.0f);
    for (size_t j = 0; j < rows; j++) {
        for (size_t k = 0; k < across; k++) {
            size_t pixel = (sample * p->height + top + j) * p->width + left + k;
            size_t at = pixel * t->conv->out + column;
            struct lanes sum = lanes_add(y[j * out + k], shift);
            if (t->residual) sum = lanes_add(sum, lanes_load_up_to(t->residual + at, n));
            lanes_store_up_to(t->out + at, sum, n);
        }
    }
}
#endif
