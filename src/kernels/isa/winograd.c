/* 3x3 convolution by Winograd's F(4x4, 3x3): 36 multiplications where the direct form has 144.
 *
 * A chunk of tiles goes through three steps, each shared out over the threads: inputs are
 * transformed to [cuts of C][36][tiles][cut]; multiplied, some columns at a time, by filters that
 * are transformed just before, into the second cache, since four times as many numbers would
 * have to come from memory otherwise; and transformed back. A tile's numbers do not depend on the
 * others in its chunk, and a sum runs over ascending channels, whatever the cuts. */
#include "winograd.h"
#include "isa.h"
#include "tile.h"
#include "winograd_sides.h"
#include "winograd_tiles.h"

#include <omp.h>

enum {
    CUT = WINOGRAD_CUT,
    SKEW = WINOGRAD_SKEW,
    WIDTH = TILE_PANELS * LANES,                 /* columns of a group */
    MOST_GROUPS = WINOGRAD_MOST_COLUMNS / WIDTH, /* that go over the inputs together */
};

/** Tiles [first, first + count) of all samples. The 36 matrices of a cut lie SKEW apart. */
struct chunk {
    size_t first, count;
    float *inputs; /* [cuts][36][count][cut] */
};

static float *cut_of(const struct chunk *chunk, size_t from)
{
    return chunk->inputs + WINOGRAD_POSITIONS * (from * chunk->count + from / CUT * SKEW);
}

/** What a thread multiplies in. */
struct workplace {
    float *filters;  /* [36][CUT][WIDTH] */
    float *products; /* [MOST_GROUPS][36][count][WIDTH] */
};

static void tile_in(const struct chunk *chunk, size_t i, const struct winograd_task *t)
{
    size_t channels = t->conv->in;
    const float *pixels[WINOGRAD_POSITIONS];
    winograd_inputs(pixels, WINOGRAD_IN, WINOGRAD_OUT, t, chunk->first + i);
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c), from = c / CUT * CUT;
        size_t cut = smaller(CUT, channels - from), step = chunk->count * cut + SKEW;
        float *v = cut_of(chunk, from) + i * cut + c - from;
        struct lanes half[WINOGRAD_POSITIONS];
        for (size_t j = 0; j < WINOGRAD_IN; j++) {
            struct lanes d[WINOGRAD_IN];
            UNROLLED
            for (size_t k = 0; k < WINOGRAD_IN; k++) {
                d[k] = lanes_load_up_to(pixels[j * WINOGRAD_IN + k] + c, n);
            }
            transform_in(half + j, WINOGRAD_IN, d); /* transposed: [column][row] */
        }
        for (size_t j = 0; j < WINOGRAD_IN; j++) {
            struct lanes whole[WINOGRAD_IN];
            transform_in(whole, 1, half + j * WINOGRAD_IN);
            UNROLLED
            for (size_t k = 0; k < WINOGRAD_IN; k++) {
                lanes_store_up_to(v + (k * WINOGRAD_IN + j) * step, whole[k], n);
            }
        }
    }
}

/** Columns [column, column + columns) of tile @p i of the chunk, from products[36][count][width]. */
static void tile_out(const struct winograd_task *t, const struct chunk *chunk,
                     const float *products, size_t i, size_t column, size_t columns, size_t width)
{
    for (size_t c = 0; c < columns; c += LANES) {
        struct lanes half[WINOGRAD_OUT * WINOGRAD_IN], y[WINOGRAD_OUT * WINOGRAD_OUT];
        for (size_t j = 0; j < WINOGRAD_IN; j++) {
            struct lanes row[WINOGRAD_IN];
            UNROLLED
            for (size_t k = 0; k < WINOGRAD_IN; k++) {
                size_t position = j * WINOGRAD_IN + k;
                row[k] =
                    lanes_load(products + position * (chunk->count * width + SKEW) + i * width + c);
            }
            transform_out(half + j, WINOGRAD_IN, row); /* transposed: [column][row] */
        }
        for (size_t j = 0; j < WINOGRAD_OUT; j++)
            transform_out(y + j, WINOGRAD_OUT, half + j * WINOGRAD_IN);
        winograd_store(t, chunk->first + i, column + c, smaller(LANES, columns - c), y,
                       WINOGRAD_OUT);
    }
}

#define DEFINE_PRODUCT(rows)                                                                       \
    static void product_##rows(float *c, const float *a, size_t stride, const float *b, size_t k,  \
                               bool goes_on, size_t panels)                                        \
    {                                                                                              \
        if (panels == TILE_PANELS)                                                                 \
            tile_product(c, a, stride, 1, b, k, goes_on, rows, TILE_PANELS);                       \
        else                                                                                       \
            tile_product(c, a, stride, 1, b, k, goes_on, rows, 1);                                 \
    }
EACH_TILE_ROWS(DEFINE_PRODUCT)

#define PRODUCT_ENTRY(rows) [rows] = product_##rows,
static void (*const product[TILE_ROWS + 1])(float *, const float *, size_t, const float *, size_t,
                                            bool, size_t) = {EACH_TILE_ROWS(PRODUCT_ENTRY)};

/** products (+)= the inputs' channels [from, from + cut) times the filters, for all positions. */
static void multiply(float *products, const struct chunk *chunk, const float *filters, size_t from,
                     size_t cut, size_t panels)
{
    size_t width = panels * LANES, tiles = (chunk->count + TILE_ROWS - 1) / TILE_ROWS;
    const float *inputs = cut_of(chunk, from);
    for (size_t i = 0; i < WINOGRAD_POSITIONS; i++) {
        float *c = products + i * (chunk->count * width + SKEW);
        const float *a = inputs + i * (chunk->count * cut + SKEW);
        const float *b = filters + i * (cut * width + SKEW);
        for (size_t j = 0; j < tiles; j++) {
            size_t row = chunk->count * j / tiles, end = chunk->count * (j + 1) / tiles;
            product[end - row](c + row * width, a + row * cut, cut, b, cut, from > 0, panels);
        }
    }
}

/** Groups of columns [group, end) of a chunk. */
static void convolve_groups(const struct winograd_task *t, const struct chunk *chunk, size_t group,
                            size_t end, const struct workplace *w)
{
    size_t in = t->conv->in, outs = t->conv->out;
    size_t floats = WINOGRAD_POSITIONS * (chunk->count * WIDTH + SKEW);
    for (size_t from = 0; from < in; from += CUT) {
        size_t cut = smaller(CUT, in - from);
        for (size_t g = group; g < end; g++) {
            size_t columns = smaller(WIDTH, outs - g * WIDTH);
            size_t panels = (columns + LANES - 1) / LANES;
            winograd_filters(w->filters, cut * panels * LANES + SKEW, t->conv, from, cut,
                             g * TILE_PANELS, panels);
            multiply(w->products + (g - group) * floats, chunk, w->filters, from, cut, panels);
        }
    }
    for (size_t g = group; g < end; g++) {
        size_t columns = smaller(WIDTH, outs - g * WIDTH);
        for (size_t i = 0; i < chunk->count; i++)
            tile_out(t, chunk, w->products + (g - group) * floats, i, g * WIDTH, columns,
                     (columns + LANES - 1) / LANES * LANES);
    }
}

void pm_conv_winograd(float *out, const float *x, const struct pm_conv *conv, const float *bias,
                      size_t bias_stride, const float *residual, size_t batch, size_t height,
                      size_t width, struct pm_arena *scratch)
{
    size_t in = conv->in, groups = (conv->out + WIDTH - 1) / WIDTH;
    struct winograd_task t = winograd_task_make(out, x, conv, bias, bias_stride, residual, height,
                                                width, WINOGRAD_OUT, scratch);
    size_t all = batch * t.plane.tiles, most = winograd_chunk_tiles(all, WINOGRAD_MOST_TILES);
    size_t chunks = (all + most - 1) / most;
    float *inputs =
        pm_arena_floats(scratch, WINOGRAD_POSITIONS * (most * in + (in + CUT - 1) / CUT * SKEW));
    size_t threads = smaller(groups, pm_threads_for(2.0 * WINOGRAD_POSITIONS * (double)all *
                                                    (double)in * (double)conv->out));
    size_t parts = (groups + MOST_GROUPS - 1) / MOST_GROUPS;
    parts = smaller(groups, (parts + threads - 1) / threads * threads);
    size_t most_groups = (groups + parts - 1) / parts;
    struct workplace *places = pm_arena_bytes(scratch, threads * sizeof *places);
    for (size_t i = 0; i < threads; i++)
        places[i] = (struct workplace){
            .filters = pm_arena_floats(scratch, WINOGRAD_POSITIONS * (CUT * WIDTH + SKEW)),
            .products =
                pm_arena_floats(scratch, most_groups * WINOGRAD_POSITIONS * (most * WIDTH + SKEW))};
#pragma omp parallel num_threads((int)threads)
    for (size_t i = 0; i < chunks; i++) {
        size_t first = all * i / chunks;
        struct chunk chunk = {
            .first = first, .count = all * (i + 1) / chunks - first, .inputs = inputs};
#pragma omp for schedule(static)
        for (size_t j = 0; j < chunk.count; j++) tile_in(&chunk, j, &t);
#pragma omp for schedule(dynamic)
        for (size_t j = 0; j < parts; j++)
            convolve_groups(&t, &chunk, groups * j / parts, groups * (j + 1) / parts,
                            &places[omp_get_thread_num()]);
    }
}
