#include "pm/model/linear.h"

void pm_linear_forward(float *y, const float *x, const struct pm_linear *linear, size_t rows,
                       enum pm_activation activation, const float *residual)
{
    struct pm_epilogue epilogue = {.bias = linear->bias,
                                   .activation = activation,
                                   .residual = residual,
                                   .residual_stride = linear->out};
    pm_kernels()->gemm(y, linear->out, x, linear->in, linear->packed, rows, linear->out, linear->in,
                       &epilogue);
}

void pm_linear_backward(float *grad_x, const float *grad_y, const struct pm_linear *linear,
                        size_t rows, const float *residual)
{
    struct pm_epilogue epilogue = {.residual = residual, .residual_stride = linear->in};
    pm_kernels()->gemm_backward(grad_x, linear->in, grad_y, linear->out, linear->packed, rows,
                                linear->out, linear->in, &epilogue);
}
