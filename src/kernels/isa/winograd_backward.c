/* 3x3 convolution backwards by Winograd's F(4x4, 3x3): its steps are each other's adjoints, with the
 * same filters: m = A ∂y Aᵀ, times the transpose, and B v Bᵀ is a tile's part of 6x6 pixels, of which
 * it shares two with each neighbour. */
#include "isa.h"
#include "winograd.h"
#include "winograd_sides.h"
#include "winograd_tiles.h"

#include <string.h>

enum {
    CHUNK_FLOATS = 192 * 1024, /* of transformed gradients before and after the products */
    FEWEST_TILES = 96,         /* for which filters are made and transposed */
    CUT = WINOGRAD_CUT,
    OVERLAP = WINOGRAD_IN - WINOGRAD_OUT,
    SLICE = 4 * LANES, /* channels of a row of tiles that a thread takes at once */
    SKEW = WINOGRAD_SKEW,
};

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
static void tile_grad_out(float *m, size_t m_stride, const float *grad_out,
                          const struct winograd_plane *p, size_t tile, size_t channels,
                          const float *zeros)
{
    const float *pixels[WINOGRAD_OUT * WINOGRAD_OUT];
    winograd_pixels(pixels, WINOGRAD_OUT, 0, WINOGRAD_OUT, grad_out, p, tile, channels, zeros);
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

static struct band band_make(float *grad_x, float *strip, const struct winograd_plane *p,
                             size_t tile_row, size_t channels)
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
static void add_strip(float *grad_x, const float *strip, const struct winograd_plane *p,
                      size_t tile_row, size_t channels)
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
    struct winograd_plane p = winograd_plane_make(height, width, WINOGRAD_OUT);
    /* A chunk is whole rows of tiles, so that neighbours to the side meet in it. */
    size_t tile_rows = p.tiles / p.tiles_across, all = batch * tile_rows;
    size_t tiles = CHUNK_FLOATS / (WINOGRAD_POSITIONS * (in + outs));
    tiles = tiles < FEWEST_TILES ? FEWEST_TILES : tiles;
    size_t chunk = smaller(all, (tiles + p.tiles_across - 1) / p.tiles_across);
    size_t m_stride = chunk * p.tiles_across * outs + SKEW;
    size_t v_stride = chunk * p.tiles_across * in + SKEW;
    float *m = pm_arena_floats(scratch, WINOGRAD_POSITIONS * m_stride);
    float *v = pm_arena_floats(scratch, WINOGRAD_POSITIONS * v_stride);
    size_t strip_floats = OVERLAP * width * in, slices = (in + SLICE - 1) / SLICE;
    float *strips = pm_arena_floats(scratch, all * strip_floats);
    float *zeros = pm_arena_floats(scratch, outs);
    memset(zeros, 0, outs * sizeof *zeros);
    size_t panels = (outs + LANES - 1) / LANES;
    float *filters = pm_arena_floats(scratch, WINOGRAD_POSITIONS * (CUT * panels * LANES + SKEW));
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
            for (size_t from = 0; from < in; from += CUT) {
                size_t cut = smaller(CUT, in - from), filter_floats = cut * panels * LANES + SKEW;
#pragma omp for schedule(static)
                for (size_t i = 0; i < panels; i++)
                    winograd_filters(filters + i * cut * LANES, filter_floats, conv, from, cut, i,
                                     1);
#pragma omp for schedule(static)
                for (size_t i = 0; i < WINOGRAD_POSITIONS; i++)
                    pm_gemm_turned(v + i * v_stride + from, in, m + i * m_stride, outs,
                                   filters + i * filter_floats, cut * LANES, count, outs, cut,
                                   NULL);
            }
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
