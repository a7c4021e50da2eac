/** @file epilogue.h  What is done to sums before they are stored. */
#ifndef PM_KERNELS_EPILOGUE_H
#define PM_KERNELS_EPILOGUE_H
#include "simd.h"

/** c = activation(sums + bias) + residual. @param c  [rows, columns], which begins at (row, column) of
 *  the product that the epilogue is of  @param sums  [rows, sum_stride], room for whole vectors */
ALWAYS_INLINE void finish_rows(float *c, size_t c_stride, const float *sums, size_t sum_stride,
                               size_t rows, size_t columns, const struct pm_epilogue *e, size_t row,
                               size_t column)
{
    const float *bias = e->bias ? e->bias + column : NULL;
    const float *residual = e->residual ? e->residual + row * e->residual_stride + column : NULL;
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j += LANES) {
            size_t n = smaller(LANES, columns - j);
            struct lanes x = lanes_load(sums + r * sum_stride + j);
            if (bias) x = lanes_add(x, lanes_load_up_to(bias + j, n));
            x = lanes_activate(x, e->activation);
            if (residual)
                x = lanes_add(x, lanes_load_up_to(residual + r * e->residual_stride + j, n));
            lanes_store_up_to(c + r * c_stride + j, x, n);
        }
    }
}
#endif
