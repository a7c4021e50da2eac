/** @file tile.h  The innermost product: a tile of sums that stays in registers while k runs. */
#ifndef PM_KERNELS_TILE_H
#define PM_KERNELS_TILE_H
#include "simd.h"
#include "simd_bf16.h"

#include <stdbool.h>

enum { AHEAD = 16 }; /* rows of b that are asked for before they are read */

/** c[rows, panels 16] (+)= a[rows, k] b[k, panels 16]; element (r, i) of a lies at r row_step +
 *  i k_step. rows and panels are constants where this is inlined, and so had better be the steps.
 *  @param goes_on  from what is in c, else from zeros */
ALWAYS_INLINE void tile_product(float *c, const float *a, size_t row_step, size_t k_step,
                                const float *b, size_t k, bool goes_on, const size_t rows,
                                const size_t panels)
{
    struct lanes sum[TILE_ROWS][TILE_PANELS];
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            sum[r][p] = goes_on ? lanes_load(c + (r * panels + p) * LANES) : lanes_set(0.0f);
        }
    }
    for (size_t i = 0; i < k; i++, a += k_step, b += panels * LANES) {
        struct lanes column[TILE_PANELS];
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            column[p] = lanes_load(b + p * LANES);
        }
        UNROLLED
        for (size_t r = 0; r < rows; r++) {
            struct lanes x = lanes_set(a[r * row_step]);
            UNROLLED
            for (size_t p = 0; p < panels; p++) {
                sum[r][p] = lanes_fma(x, column[p], sum[r][p]);
            }
        }
    }
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            lanes_store(c + (r * panels + p) * LANES, sum[r][p]);
        }
    }
}

/** The same in bfloat16, for pairs [k]: element (r, i) of a is the pair at r row_step + i k_step, b is
 *  panels of [pairs, 16], panel_step apart. @param c  [rows, c_step] */
ALWAYS_INLINE void tile_product_bf16(float *c, size_t c_step, const uint16_t *a, size_t row_step,
                                     size_t k_step, const uint16_t *b, size_t panel_step,
                                     size_t pairs, bool goes_on, const size_t rows,
                                     const size_t panels)
{
    struct lanes sum[TILE_ROWS][TILE_PANELS];
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            sum[r][p] = goes_on ? lanes_load(c + r * c_step + p * LANES) : lanes_set(0.0f);
        }
    }
    for (size_t i = 0; i < pairs; i++, a += k_step, b += PAIR * LANES) {
        struct pairs column[TILE_PANELS];
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            column[p] = pairs_load(b + p * panel_step);
            __builtin_prefetch(b + p * panel_step + AHEAD * PAIR * LANES);
        }
        UNROLLED
        for (size_t r = 0; r < rows; r++) {
            struct pairs x = pairs_set(a + r * row_step);
            UNROLLED
            for (size_t p = 0; p < panels; p++) {
                sum[r][p] = lanes_dot(sum[r][p], x, column[p]);
            }
        }
    }
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < panels; p++) {
            lanes_store(c + r * c_step + p * LANES, sum[r][p]);
        }
    }
}
#endif
