/* Matrix times packed matrix, and times its transpose.
 *
 * The work is cut into blocks of rows by groups of panels, and a block into tiles whose sums
 * stay in registers while k runs. Every element is one chain of fused multiply-adds over
 * ascending k, started at zero: where k is cut (K_BLOCK, so that a group of panels stays in the
 * first cache) the chain goes on from the stored sum. So no cut changes a bit.
 *
 * For the transpose each cut of a group is turned into a packed one, 16 rows by 16 columns at a
 * time, just before the tiles read it: it never leaves the cache, and the tiles are the same. */
#include "epilogue.h"
#include "isa.h"
#include "tile.h"

#include <omp.h>

enum {
    K_BLOCK = 384,                       /* 32 columns of it: 48 KiB */
    MOST_ROWS = 192,                     /* in a block */
    FEWEST_ROWS = 48,                    /* in a block, so that panels read are panels used */
    BLOCK_FLOATS = 96 * 1024,            /* rows of a that a block rereads for each group */
    FEWEST_TURNED_ROWS = 96,             /* in a block for which a cut is turned */
    GROUP_COLUMNS = TILE_PANELS * LANES, /* columns of a tile */
};

static const double FLOPS_WORTH_A_THREAD = 1e6;

size_t pm_threads_for(double flops)
{
    if (omp_in_parallel() || flops < 2 * FLOPS_WORTH_A_THREAD) return 1;
    size_t threads = (size_t)omp_get_max_threads(), most = (size_t)(flops / FLOPS_WORTH_A_THREAD);
    return smaller(threads, most);
}

/** One tile: up to TILE_ROWS rows by up to TILE_PANELS panels. */
struct tile {
    float *c;
    size_t c_stride;
    const float *a;
    size_t a_stride;
    const float *b;
    size_t panel_floats;   /* from panel to panel of b */
    size_t b_step;         /* floats from row to row of a panel */
    size_t k;              /* of this cut */
    float *sums;           /* [rows, GROUP_COLUMNS] kept from cut to cut; used if k is cut */
    bool first, last;      /* cut of k */
    size_t columns;        /* of c; the last panel may be wider */
    const float *bias;     /* at the first column, or NULL */
    const float *residual; /* at the first row and column, or NULL */
    size_t residual_stride;
    enum pm_activation activation;
};

/** rows and panels are constants where this is inlined, so that the sums are registers. */
ALWAYS_INLINE void run_tile(const struct tile *t, const size_t rows, const size_t panels)
{
    struct lanes sum[TILE_ROWS][TILE_PANELS];
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            const float *kept = t->sums + r * GROUP_COLUMNS + p * LANES;
            sum[r][p] = t->first ? lanes_set(0.0f) : lanes_load(kept);
        }
    }
    const float *a = t->a, *b = t->b;
    const size_t a_stride = t->a_stride, panel_floats = t->panel_floats, k_end = t->k;
    const size_t b_step = t->b_step;
    for (size_t k = 0; k < k_end; k++, b += b_step) {
        struct lanes column[TILE_PANELS];
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            column[p] = lanes_load(b + p * panel_floats);
            __builtin_prefetch(b + p * panel_floats + AHEAD * LANES);
        }
        UNROLLED
        for (size_t r = 0; r < rows; r++) {
            struct lanes x = lanes_set(a[r * a_stride + k]);
            UNROLLED
            for (size_t p = 0; p < panels; p++) {
                sum[r][p] = lanes_fma(x, column[p], sum[r][p]);
            }
        }
    }
    if (t->last && t->activation == PM_IDENTITY && t->columns == panels * LANES) {
        UNROLLED
        for (size_t r = 0; r < rows; r++) {
            UNROLLED
            for (size_t p = 0; p < panels; p++) {
                struct lanes x = sum[r][p];
                size_t j = p * LANES;
                if (t->bias) x = lanes_add(x, lanes_load(t->bias + j));
                if (t->residual)
                    x = lanes_add(x, lanes_load(t->residual + r * t->residual_stride + j));
                lanes_store(t->c + r * t->c_stride + j, x);
            }
        }
        return;
    }
    float whole[TILE_ROWS * GROUP_COLUMNS];
    float *sums = t->last ? whole : t->sums;
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            lanes_store(sums + r * GROUP_COLUMNS + p * LANES, sum[r][p]);
        }
    }
    const struct pm_epilogue e = {.bias = t->bias,
                                  .activation = t->activation,
                                  .residual = t->residual,
                                  .residual_stride = t->residual_stride};
    if (t->last) finish_rows(t->c, t->c_stride, whole, GROUP_COLUMNS, rows, t->columns, &e, 0, 0);
}

#define DEFINE_TILE(rows)                                                                          \
    static void tile_##rows(const struct tile *t, size_t panels)                                   \
    {                                                                                              \
        if (panels == TILE_PANELS)                                                                 \
            run_tile(t, rows, TILE_PANELS);                                                        \
        else                                                                                       \
            run_tile(t, rows, 1);                                                                  \
    }
EACH_TILE_ROWS(DEFINE_TILE)

#define TILE_ENTRY(rows) [rows] = tile_##rows,
static void (*const tiles[TILE_ROWS + 1])(const struct tile *,
                                          size_t) = {EACH_TILE_ROWS(TILE_ENTRY)};

/** c[m, n] = epilogue(a[m, k] b[k, n]) */
struct product {
    float *c;
    size_t c_stride;
    const float *a;
    size_t a_stride;
    const float *b;
    size_t panel_floats, b_step; /* of b; see struct tile */
    bool turned;                 /* b is packed as its transpose [n, k]: panel_floats n * LANES */
    size_t m, n, k;
    const struct pm_epilogue *epilogue;
};

/** to[i][j] = from[j][i] for j below @p width, zeros after them; both are [16][16]. */
static void turn_square(float *to, const float *from, size_t width)
{
    if (width >= LANES) {
        lanes_turn(to, from);
        return;
    }
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < LANES; j++)
            to[i * LANES + j] = j < width ? from[j * LANES + i] : 0.0f;
}

/** Rows [k, k + rows) and the group's columns of a matrix that is packed as its transpose, whose
 *  panels are [n, 16] and go along k.
 *  @param to  panels [rows, 16]; with rows off 16, what is written after one is the next one's */
static void turn_cut(float *to, const struct product *p, size_t k, size_t rows, size_t column,
                     size_t columns)
{
    for (size_t j = 0; j < columns; j += LANES)
        for (size_t i = 0; i < rows; i += LANES)
            turn_square(to + j * rows + i * LANES,
                        p->b + (k + i) / LANES * p->panel_floats + (column + j) * LANES,
                        columns - j);
}

/** Rows [row, row + rows) of one group of panels: all cuts of k, tile after tile. */
static void run_group(const struct product *p, size_t row, size_t rows, size_t column)
{
    static const struct pm_epilogue none = {.activation = PM_IDENTITY};
    const struct pm_epilogue *e = p->epilogue ? p->epilogue : &none;
    size_t columns = smaller(GROUP_COLUMNS, p->n - column);
    size_t tile_count = (rows + TILE_ROWS - 1) / TILE_ROWS;
    float sums[MOST_ROWS * GROUP_COLUMNS], cut[K_BLOCK * GROUP_COLUMNS];
    size_t k = 0;
    do {
        size_t k_cut = smaller(K_BLOCK, p->k - k);
        if (p->turned) turn_cut(cut, p, k, k_cut, column, columns);
        for (size_t i = 0; i < tile_count; i++) {
            size_t from = rows * i / tile_count, to = rows * (i + 1) / tile_count;
            struct tile t = {
                .c = p->c + (row + from) * p->c_stride + column,
                .c_stride = p->c_stride,
                .a = p->a + (row + from) * p->a_stride + k,
                .a_stride = p->a_stride,
                .b = p->turned ? cut : p->b + column / LANES * p->panel_floats + k * p->b_step,
                .panel_floats = p->turned ? k_cut * LANES : p->panel_floats,
                .b_step = p->b_step,
                .k = k_cut,
                .sums = sums + from * GROUP_COLUMNS,
                .first = k == 0,
                .last = k + k_cut == p->k,
                .columns = columns,
                .bias = e->bias ? e->bias + column : NULL,
                .residual =
                    e->residual ? e->residual + (row + from) * e->residual_stride + column : NULL,
                .residual_stride = e->residual_stride,
                .activation = e->activation,
            };
            tiles[to - from](&t, (columns + LANES - 1) / LANES);
        }
        k += k_cut;
    } while (k < p->k);
}

/** Rows and columns [from, to), block of rows after block of rows. */
static void run_part(const struct product *p, size_t row, size_t row_end, size_t column,
                     size_t column_end)
{
    size_t block = BLOCK_FLOATS / (p->k + 1) / TILE_ROWS * TILE_ROWS;
    size_t fewest = p->turned ? FEWEST_TURNED_ROWS : FEWEST_ROWS;
    block = block < fewest ? fewest : smaller(block, MOST_ROWS);
    for (; row < row_end; row += block) {
        size_t rows = smaller(block, row_end - row);
        for (size_t j = column; j < column_end; j += GROUP_COLUMNS) run_group(p, row, rows, j);
    }
}

static void run_product(const struct product *p)
{
    size_t m = p->m, n = p->n;
    size_t threads = pm_threads_for(2.0 * (double)m * (double)n * (double)p->k);
    if (threads == 1) {
        run_part(p, 0, m, 0, n);
        return;
    }
    /* Rows first; columns are shared out only when there are too few rows. */
    size_t groups = (n + GROUP_COLUMNS - 1) / GROUP_COLUMNS;
    size_t row_parts = smaller((m + FEWEST_ROWS - 1) / FEWEST_ROWS, 4 * threads);
    size_t column_parts = smaller(groups, (4 * threads + row_parts - 1) / row_parts);
#pragma omp parallel for num_threads((int)threads) schedule(dynamic)
    for (size_t i = 0; i < row_parts * column_parts; i++) {
        size_t r = i / column_parts, g = i % column_parts;
        run_part(p, m * r / row_parts, m * (r + 1) / row_parts,
                 groups * g / column_parts * GROUP_COLUMNS,
                 smaller(n, groups * (g + 1) / column_parts * GROUP_COLUMNS));
    }
}

static struct product packed_product(float *c, size_t c_stride, const float *a, size_t a_stride,
                                     const float *packed_b, size_t m, size_t n, size_t k,
                                     const struct pm_epilogue *epilogue)
{
    return (struct product){.c = c,
                            .c_stride = c_stride,
                            .a = a,
                            .a_stride = a_stride,
                            .b = packed_b,
                            .panel_floats = k * LANES,
                            .b_step = LANES,
                            .m = m,
                            .n = n,
                            .k = k,
                            .epilogue = epilogue};
}

void pm_gemm_serial(float *c, size_t c_stride, const float *a, size_t a_stride,
                    const float *packed_b, size_t m, size_t n, size_t k,
                    const struct pm_epilogue *epilogue)
{
    struct product p = packed_product(c, c_stride, a, a_stride, packed_b, m, n, k, epilogue);
    run_part(&p, 0, m, 0, n);
}

void PM_ISA_NAME(gemm)(float *c, size_t c_stride, const float *a, size_t a_stride,
                       const float *packed_b, size_t m, size_t n, size_t k,
                       const struct pm_epilogue *epilogue)
{
    struct product p = packed_product(c, c_stride, a, a_stride, packed_b, m, n, k, epilogue);
    run_product(&p);
}

void pm_gemm_turned(float *grad_a, size_t grad_a_stride, const float *grad_c, size_t grad_c_stride,
                    const float *packed_b, size_t panel_floats, size_t m, size_t n, size_t k,
                    const struct pm_epilogue *epilogue)
{
    struct product p =
        packed_product(grad_a, grad_a_stride, grad_c, grad_c_stride, packed_b, m, k, n, epilogue);
    p.panel_floats = panel_floats;
    p.turned = true;
    run_product(&p);
}

void PM_ISA_NAME(gemm_backward)(float *grad_a, size_t grad_a_stride, const float *grad_c,
                                size_t grad_c_stride, const float *packed_b, size_t m, size_t n,
                                size_t k, const struct pm_epilogue *epilogue)
{
    pm_gemm_turned(grad_a, grad_a_stride, grad_c, grad_c_stride, packed_b, k * LANES, m, n, k,
                   epilogue);
}

void pm_gemm_rows(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b,
                  size_t b_stride, size_t m, size_t n, size_t k, const struct pm_epilogue *epilogue)
{
    struct product p = packed_product(c, c_stride, a, a_stride, b, m, n, k, epilogue);
    p.panel_floats = LANES;
    p.b_step = b_stride;
    run_product(&p);
}
