/** @file winograd_sides.h  The transforms of F(4x4, 3x3), on 16 channels at a time, and what both
 *  ways share. Included by winograd.c and winograd_backward.c alone. */
#ifndef PM_KERNELS_WINOGRAD_SIDES_H
#define PM_KERNELS_WINOGRAD_SIDES_H
#include "isa.h"
#include "simd.h"
#include "winograd.h"

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

/** One side of G g Gᵀ: three values to six. */
ALWAYS_INLINE void transform_filter(struct lanes *to, size_t step, struct lanes g0, struct lanes g1,
                                    struct lanes g2)
{
    const double a = WINOGRAD_A, b = WINOGRAD_B, a2 = WINOGRAD_A2, b2 = WINOGRAD_B2;
    const double at_a = 1.0 / (2.0 * a2 * (a2 - b2)), at_b = 1.0 / (2.0 * b2 * (b2 - a2));
    const struct lanes odd_a = lanes_set((float)(a * at_a)), odd_b = lanes_set((float)(b * at_b));
    struct lanes even_a =
        lanes_fma(g2, lanes_set((float)(a2 * at_a)), lanes_mul(g0, lanes_set((float)at_a)));
    struct lanes even_b =
        lanes_fma(g2, lanes_set((float)(b2 * at_b)), lanes_mul(g0, lanes_set((float)at_b)));
    to[0] = lanes_mul(g0, lanes_set((float)(1.0 / (a2 * b2))));
    to[step] = lanes_fma(g1, odd_a, even_a);
    to[2 * step] = lanes_sub(even_a, lanes_mul(g1, odd_a));
    to[3 * step] = lanes_fma(g1, odd_b, even_b);
    to[4 * step] = lanes_sub(even_b, lanes_mul(g1, odd_b));
    to[5 * step] = g2;
}

/** u[36][cut][panels 16] = G g Gᵀ of the filters from channels [from, from + cut) to the columns of
 *  @p panels panels from @p panel. @param step  floats from position to position */
static inline void winograd_filters(float *u, size_t step, const struct pm_conv *conv, size_t from,
                                    size_t cut, size_t panel, size_t panels)
{
    size_t tap_floats = conv->in * LANES;
    for (size_t c = 0; c < cut; c++) {
        for (size_t p = 0; p < panels; p++) {
            const float *g = conv->packed + (panel + p) * 9 * tap_floats + (from + c) * LANES;
            float *to = u + (c * panels + p) * LANES;
            struct lanes half[WINOGRAD_IN * 3];
            for (size_t i = 0; i < 3; i++)
                transform_filter(half + i, 3, lanes_load(g + i * tap_floats),
                                 lanes_load(g + (3 + i) * tap_floats),
                                 lanes_load(g + (6 + i) * tap_floats));
            for (size_t i = 0; i < WINOGRAD_IN; i++) {
                struct lanes whole[WINOGRAD_IN];
                transform_filter(whole, 1, half[3 * i], half[3 * i + 1], half[3 * i + 2]);
                UNROLLED
                for (size_t j = 0; j < WINOGRAD_IN; j++) {
                    lanes_store(to + (i * WINOGRAD_IN + j) * step, whole[j]);
                }
            }
        }
    }
}
#endif
