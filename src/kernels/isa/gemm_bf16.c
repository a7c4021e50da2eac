/* Matrix times packed matrix, of bfloat16 inputs and float32 sums.
 *
 * A block of rows is rounded once, and then meets all panels. Every element is one chain over
 * ascending pairs of k, whatever the block. */
#include "epilogue.h"
#include "isa.h"
#include "tile.h"

#include <omp.h>

enum {
    K_BLOCK = 512,              /* pairs; 32 columns of it: 64 KiB */
    MOST_ROWS = 192,            /* in a block */
    FEWEST_ROWS = 48,           /* so that panels read are panels used */
    BLOCK_NUMBERS = 128 * 1024, /* of a block, rounded: a quarter of the second cache */
    WIDTH = TILE_PANELS * LANES,
};

/** c[m, n] = epilogue(a[m, k] b[k, n]) */
struct product {
    float *c;
    size_t c_stride;
    const float *a;
    size_t a_stride;
    const uint16_t *b;
    size_t m, n, k, pairs;
    const struct pm_epilogue *epilogue;
    size_t block; /* rows */
};

#define DEFINE_PRODUCT(rows)                                                                       \
    static void product_##rows(float *c, const uint16_t *a, size_t stride, const uint16_t *b,      \
                               size_t panel_step, size_t pairs, bool goes_on, size_t panels)       \
    {                                                                                              \
        if (panels == TILE_PANELS)                                                                 \
            tile_product_bf16(c, WIDTH, a, stride, PAIR, b, panel_step, pairs, goes_on, rows,      \
                              TILE_PANELS);                                                        \
        else                                                                                       \
            tile_product_bf16(c, WIDTH, a, stride, PAIR, b, panel_step, pairs, goes_on, rows, 1);  \
    }
EACH_TILE_ROWS(DEFINE_PRODUCT)

#define PRODUCT_ENTRY(rows) [rows] = product_##rows,
static void (*const tiles[TILE_ROWS + 1])(float *, const uint16_t *, size_t, const uint16_t *,
                                          size_t, size_t, bool,
                                          size_t) = {EACH_TILE_ROWS(PRODUCT_ENTRY)};

void pm_rows_bf16(float *c, const uint16_t *a, size_t a_stride, const uint16_t *b,
                  size_t panel_step, size_t pairs, bool goes_on, size_t rows, size_t columns)
{
    size_t tile_count = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (size_t i = 0; i < tile_count; i++) {
        size_t from = rows * i / tile_count, to = rows * (i + 1) / tile_count;
        tiles[to - from](c + from * WIDTH, a + from * a_stride, a_stride, b, panel_step, pairs,
                         goes_on, (columns + LANES - 1) / LANES);
    }
}

/** rounded[rows, 2 pairs] */
static void round_rows(uint16_t *rounded, const struct product *p, size_t row, size_t rows)
{
    size_t stride = PAIR * p->pairs;
    for (size_t r = 0; r < rows; r++) {
        const float *from = p->a + (row + r) * p->a_stride;
        for (size_t i = 0; i < stride; i += LANES)
            lanes_store_bf16_up_to(
                rounded + r * stride + i, lanes_load_up_to(from + i, p->k > i ? p->k - i : 0),
                p->k > i ? smaller(LANES, p->k - i) : 0, smaller(LANES, stride - i));
    }
}

/** Rows [row, row + rows), at most MOST_ROWS, and one group of columns. */
static void run_group(const struct product *p, const uint16_t *rounded, size_t row, size_t rows,
                      size_t column)
{
    static const struct pm_epilogue none = {.activation = PM_IDENTITY};
    size_t columns = smaller(WIDTH, p->n - column), stride = PAIR * p->pairs;
    size_t panel_step = p->pairs * PAIR * LANES;
    const uint16_t *b = p->b + column / LANES * panel_step;
    float sums[MOST_ROWS * WIDTH];
    for (size_t k = 0; k < p->pairs; k += K_BLOCK)
        pm_rows_bf16(sums, rounded + PAIR * k, stride, b + k * PAIR * LANES, panel_step,
                     smaller(K_BLOCK, p->pairs - k), k > 0, rows, columns);
    finish_rows(p->c + row * p->c_stride + column, p->c_stride, sums, WIDTH, rows, columns,
                p->epilogue ? p->epilogue : &none, row, column);
}

static void run_block(const struct product *p, uint16_t *rounded, size_t row, size_t rows)
{
    round_rows(rounded, p, row, rows);
    for (size_t j = 0; j < p->n; j += WIDTH) run_group(p, rounded, row, rows, j);
}

static struct product product_make(float *c, size_t c_stride, const float *a, size_t a_stride,
                                   const uint16_t *packed_b, size_t m, size_t n, size_t k,
                                   const struct pm_epilogue *epilogue)
{
    size_t pairs = (k + 1) / PAIR, block = BLOCK_NUMBERS / (PAIR * pairs) / TILE_ROWS * TILE_ROWS;
    block = block < FEWEST_ROWS ? FEWEST_ROWS : smaller(block, MOST_ROWS);
    return (struct product){.c = c,
                            .c_stride = c_stride,
                            .a = a,
                            .a_stride = a_stride,
                            .b = packed_b,
                            .m = m,
                            .n = n,
                            .k = k,
                            .pairs = pairs,
                            .epilogue = epilogue,
                            .block = smaller(block, m)};
}

void pm_gemm_bf16_serial(float *c, size_t c_stride, const float *a, size_t a_stride,
                         const uint16_t *packed_b, size_t m, size_t n, size_t k,
                         const struct pm_epilogue *epilogue, uint16_t *rounded)
{
    struct product p = product_make(c, c_stride, a, a_stride, packed_b, m, n, k, epilogue);
    for (size_t row = 0; row < m; row += p.block)
        run_block(&p, rounded, row, smaller(p.block, m - row));
}

void PM_ISA_NAME(gemm_bf16)(float *c, size_t c_stride, const float *a, size_t a_stride,
                            const uint16_t *packed_b, size_t m, size_t n, size_t k,
                            const struct pm_epilogue *epilogue, struct pm_arena *scratch)
{
    size_t mark = scratch->used;
    struct product p = product_make(c, c_stride, a, a_stride, packed_b, m, n, k, epilogue);
    size_t threads = pm_threads_for(2.0 * (double)m * (double)n * (double)k);
    size_t blocks = (m + p.block - 1) / p.block;
    if (blocks >= threads) {
        if (threads > 1 && blocks % threads != 0) { /* as many for each */
            blocks = (blocks + threads - 1) / threads * threads;
            p.block = (m + blocks - 1) / blocks;
        }
        size_t each = p.block * PAIR * p.pairs;
        uint16_t *rounded = pm_arena_bytes(scratch, threads * each * sizeof *rounded);
#pragma omp parallel for num_threads((int)threads) schedule(static)
        for (size_t row = 0; row < m; row += p.block)
            run_block(&p, rounded + (size_t)omp_get_thread_num() * each, row,
                      smaller(p.block, m - row));
    } else { /* one block's columns are shared out */
        uint16_t *rounded = pm_arena_bytes(scratch, p.block * PAIR * p.pairs * sizeof *rounded);
        for (size_t row = 0; row < m; row += p.block) {
            size_t rows = smaller(p.block, m - row);
            round_rows(rounded, &p, row, rows);
#pragma omp parallel for num_threads((int)threads) schedule(static)
            for (size_t j = 0; j < n; j += WIDTH) run_group(&p, rounded, row, rows, j);
        }
    }
    scratch->used = mark;
}
