/** @file linear.h  y = activation(x Wᵀ + bias) + residual over contiguous rows. */
#ifndef PM_MODEL_LINEAR_H
#define PM_MODEL_LINEAR_H
#include "pm/kernels/kernels.h"

/** @param y  [rows, out]  @param x  [rows, in]
 *  @param residual  [rows, out], or NULL; may be y itself
 *  @param scratch  where bfloat16's inputs are rounded */
void pm_linear_forward(float *y, const float *x, const struct pm_linear *linear, size_t rows,
                       enum pm_activation activation, const float *residual,
                       struct pm_arena *scratch);

/** The gradient by x, of float32. @param grad_x  [rows, in]  @param grad_y  [rows, out], of y without activation
 *  @param residual  [rows, in] added to it, or NULL; may be grad_x itself */
void pm_linear_backward(float *grad_x, const float *grad_y, const struct pm_linear *linear,
                        size_t rows, const float *residual);
#endif
