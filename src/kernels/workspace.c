#include "pm/kernels/workspace.h"

#include "isa/winograd.h"
#include "pm/kernels/pack.h"

/* Kernels cut their work into blocks that the second cache holds, of some rows at least; each of
 * them has its own measure of that, and none a larger one than this. */
enum {
    CACHE_FLOATS = 192 * 1024,
    FEWEST_TILES = 96,
    FEWEST_ROWS = 48,
    PATCH_FLOATS = 64 * 1024,
    MOST_PATCHES = 384,
    NORM_PIXELS = 128,
    SCORE_ROWS = 96,
    MAP_ROWS = 96,
    QUERIES = 32,
    TILE_KEYS = 12,
    ROUNDED_NUMBERS = 128 * 1024,
    MOST_ROUNDED_ROWS = 192,
    LINE = 32, /* floats that a row or a matrix is longer than what is in it */
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t tiles(size_t side)
{
    return (side + WINOGRAD_OUT - 1) / WINOGRAD_OUT;
}

/* Transformed inputs, and in each thread filters of a cut and products of some columns. */
static size_t winograd_floats(const struct pm_conv *conv, size_t all, size_t threads)
{
    size_t tiles = winograd_chunk_tiles(all, WINOGRAD_MOST_TILES), in = conv->in;
    size_t wide = (conv->out + QUERIES - 1) / QUERIES * QUERIES;
    size_t columns = smaller(wide, WINOGRAD_MOST_COLUMNS);
    size_t skews = WINOGRAD_SKEW * (in / WINOGRAD_CUT + 1 + threads * (columns / PM_PANEL + 1));
    size_t own = WINOGRAD_CUT * QUERIES + columns * tiles;
    return WINOGRAD_POSITIONS * (tiles * in + smaller(threads, wide / QUERIES) * own + skews) + in +
           4 * LINE;
}

/* Tiles before and after their products, [36][tiles][C] and [36][tiles][N], and the filters. */
static size_t winograd_backward_floats(const struct pm_conv *conv, size_t all, size_t fewest)
{
    size_t each = WINOGRAD_POSITIONS * (conv->in + conv->out);
    return smaller(all * each, larger(CACHE_FLOATS, fewest * each)) +
           WINOGRAD_POSITIONS * WINOGRAD_CUT * (conv->out + LINE) + 2 * WINOGRAD_POSITIONS * LINE +
           larger(conv->in, conv->out);
}

/* Tiles of F(2x2), rounded, and in each thread products of a group of columns. */
static size_t small_winograd_floats(const struct pm_conv *conv, size_t all, size_t threads)
{
    size_t tiles = winograd_chunk_tiles(all, SMALL_WINOGRAD_MOST_TILES),
           groups = (conv->out + PM_PANEL - 1) / PM_PANEL;
    return SMALL_WINOGRAD_POSITIONS *
               (tiles * (conv->in + 1) / 2 + LINE +
                smaller(threads, groups) * (tiles * QUERIES + WINOGRAD_SKEW)) +
           conv->in + 3 * LINE;
}

size_t pm_gemm_bf16_workspace(size_t m, size_t k, size_t threads)
{
    size_t row = (k + 1) / 2, rows = ROUNDED_NUMBERS / 2 / row + 1;
    return threads * smaller(m, smaller(larger(rows, FEWEST_ROWS), MOST_ROUNDED_ROWS)) * row +
           2 * LINE;
}

size_t pm_conv_workspace(const struct pm_conv *conv, size_t batch, size_t height, size_t width,
                         size_t threads)
{
    size_t biases = batch * conv->out + LINE, pixels = height * width;
    bool is_bf16 = conv->packed_bf16 != NULL;
    if (conv->kernel == 1)
        return biases + (is_bf16 ? pm_gemm_bf16_workspace(batch * pixels, conv->in, threads) : 0);
    if (conv->by_winograd && is_bf16) {
        size_t tiles = (height + 1) / 2 * ((width + 1) / 2);
        return biases + small_winograd_floats(conv, batch * tiles, threads);
    }
    size_t patch = conv->kernel * conv->kernel * conv->in;
    size_t rows = smaller(larger(PATCH_FLOATS / patch, FEWEST_ROWS), MOST_PATCHES);
    rows = smaller(rows, pixels);
    size_t patches = threads * rows * (patch + (is_bf16 ? (patch + 1) / 2 : 0)) + LINE * threads;
    if (!conv->by_winograd) return biases + patches;
    size_t winograd = winograd_floats(conv, batch * tiles(height) * tiles(width), threads);
    return biases + larger(winograd, patches);
}

size_t pm_conv_backward_workspace(const struct pm_conv *conv, size_t batch, size_t height,
                                  size_t width)
{
    if (conv->kernel == 1) return 0;
    size_t by_taps = batch * height * width * conv->in; /* a stride only makes it less */
    if (!conv->by_winograd) return by_taps;
    size_t across = tiles(width), all = batch * tiles(height) * across;
    size_t strips = batch * tiles(height) * 2 * width * conv->in;
    return larger(by_taps,
                  winograd_backward_floats(conv, all, FEWEST_TILES + across) + strips + 2 * LINE);
}

size_t pm_group_norm_workspace(size_t batch, size_t pixels, size_t channels)
{
    size_t blocks = (pixels + NORM_PIXELS - 1) / NORM_PIXELS;
    return batch * (2 * blocks + 3 + 2) * channels + 3 * LINE;
}

static size_t score_floats(size_t keys)
{
    return larger(CACHE_FLOATS / 2, FEWEST_ROWS / 2 * (keys + LINE));
}

size_t pm_attention_workspace(size_t keys, size_t head_size, enum pm_precision precision,
                              bool are_maps_made, size_t threads)
{
    size_t at_once = are_maps_made ? keys : smaller(keys, PM_ATTENTION_KEY_BLOCK);
    size_t packed = (2 * keys + TILE_KEYS) * head_size, rounded = 0;
    if (precision == PM_BF16) {
        packed = ((keys + 1) * head_size + (keys + TILE_KEYS) * (head_size + 1)) / 2;
        rounded = QUERIES * (head_size + at_once + 2) / 2;
    }
    return threads *
           (packed + rounded + QUERIES * (2 * head_size + at_once + TILE_KEYS) + 8 * LINE);
}

size_t pm_attention_backward_workspace(size_t keys, size_t head_size, size_t threads)
{
    size_t packed = 2 * pm_packed_floats(head_size, keys) + pm_packed_floats(keys, head_size);
    size_t turned = 2 * head_size * (SCORE_ROWS + keys + LINE);
    return threads * (packed + 2 * score_floats(keys) + turned + 10 * LINE);
}

size_t pm_token_map_workspace(size_t tokens, size_t threads)
{
    return threads * MAP_ROWS * tokens + LINE;
}
