#include "pm/model/linear.h"

#include "pm/base/error.h"

void pm_linear_forward(float *y, const float *x, const struct pm_linear *linear, size_t rows,
                       enum pm_activation activation, const float *residual,
                       struct pm_arena *scratch)
{
    struct pm_epilogue epilogue = {.bias = linear->bias,
                                   .activation = activation,
                                   .residual = residual,
                                   .residual_stride = linear->out};
    size_t in = linear->in, out = linear->out;
    if (linear->packed_bf16)
        pm_kernels()->gemm_bf16(y, out, x, in, linear->packed_bf16, rows, out, in, &epilogue,
                                scratch);
    else
        pm_kernels()->gemm(y, out, x, in, linear->packed, rows, out, in, &epilogue);
}

void pm_linear_backward(float *grad_x, const float *grad_y, const struct pm_linear *linear,
                        size_t rows, const float *residual)
{
    PM_ASSERT(linear->packed);
    struct pm_epilogue epilogue = {.residual = residual, .residual_stride = linear->in};
    pm_kernels()->gemm_backward(grad_x, linear->in, grad_y, linear->out, linear->packed, rows,
                                linear->out, linear->in, &epilogue);
}
