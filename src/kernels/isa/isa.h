/** @file isa.h  Private to src/kernels/isa: these files are compiled once for each instruction
 *  set, with PM_ISA naming it, and every function that leaves its file carries that name. */
#ifndef PM_KERNELS_ISA_H
#define PM_KERNELS_ISA_H
#include "pm/kernels/kernels.h"
#include "pm/kernels/pack.h"

#define PM_ISA_JOIN_(name, isa) pm_##name##_##isa
#define PM_ISA_JOIN(name, isa) PM_ISA_JOIN_(name, isa)
#define PM_ISA_NAME(name) PM_ISA_JOIN(name, PM_ISA) /* gemm is pm_gemm_avx2, and so on */

/** Every kernel of the table, once. */
#define PM_EACH_KERNEL(X)                                                                          \
    X(gemm)                                                                                        \
    X(gemm_bf16)                                                                                   \
    X(conv)                                                                                        \
    X(group_norm)                                                                                  \
    X(layer_norm)                                                                                  \
    X(activate)                                                                                    \
    X(geglu)                                                                                       \
    X(attention)                                                                                   \
    X(attention_probs)                                                                             \
    X(attention_apply)                                                                             \
    X(token_map)                                                                                   \
    X(resize_nearest)                                                                              \
    X(concat_channels)                                                                             \
    X(gemm_backward)                                                                               \
    X(conv_backward)                                                                               \
    X(group_norm_backward)                                                                         \
    X(layer_norm_backward)                                                                         \
    X(geglu_backward)                                                                              \
    X(attention_backward)                                                                          \
    X(resize_nearest_backward)                                                                     \
    X(concat_channels_backward)

#define PM_DECLARE_KERNEL(name) __typeof__(*((struct pm_kernels *)0)->name) PM_ISA_NAME(name);
PM_EACH_KERNEL(PM_DECLARE_KERNEL)

/* What these files call of each other, each in its own instruction set. */
#define pm_gemm PM_ISA_NAME(gemm)
#define pm_gemm_backward PM_ISA_NAME(gemm_backward)
#define pm_gemm_bf16 PM_ISA_NAME(gemm_bf16)
#define pm_gemm_serial PM_ISA_NAME(gemm_serial)
#define pm_gemm_bf16_serial PM_ISA_NAME(gemm_bf16_serial)
#define pm_rows_bf16 PM_ISA_NAME(rows_bf16)
#define pm_conv_bf16 PM_ISA_NAME(conv_bf16)
#define pm_gemm_turned PM_ISA_NAME(gemm_turned)
#define pm_gemm_rows PM_ISA_NAME(gemm_rows)
#define pm_conv_winograd PM_ISA_NAME(conv_winograd)
#define pm_conv_winograd_backward PM_ISA_NAME(conv_winograd_backward)
#define pm_threads_for PM_ISA_NAME(threads_for)

/** gemm on the calling thread alone: for kernels that share out their own work. */
__typeof__(*((struct pm_kernels *)0)->gemm) pm_gemm_serial;

/** gemm_bf16 on the calling thread alone. @param rounded  room for [m, k made even] */
void pm_gemm_bf16_serial(float *c, size_t c_stride, const float *a, size_t a_stride,
                         const uint16_t *packed_b, size_t m, size_t n, size_t k,
                         const struct pm_epilogue *epilogue, uint16_t *rounded);

/** Sums alone, of one group of panels: c[rows, width of a group] (+)= a b, for @p pairs pairs of k.
 *  @param a  [rows, a_stride], rounded  @param panel_step  numbers from panel to panel of b
 *  @param goes_on  from what is in c, else from zeros  @param columns  of the group that are wanted */
void pm_rows_bf16(float *c, const uint16_t *a, size_t a_stride, const uint16_t *b,
                  size_t panel_step, size_t pairs, bool goes_on, size_t rows, size_t columns);

/** gemm of a b[k, n] that is not packed. Its rows are read in whole vectors of 16 floats: b_stride
 *  is n rounded up to 16, or more. */
void pm_gemm_rows(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b,
                  size_t b_stride, size_t m, size_t n, size_t k,
                  const struct pm_epilogue *epilogue);

/** gemm_backward of a b whose panels lie panel_floats apart: more than its k rows take, where they
 *  are some of a larger matrix's. */
void pm_gemm_turned(float *grad_a, size_t grad_a_stride, const float *grad_c, size_t grad_c_stride,
                    const float *packed_b, size_t panel_floats, size_t m, size_t n, size_t k,
                    const struct pm_epilogue *epilogue);

/** pm_conv_winograd of a conv->packed_bf16. */
void pm_conv_bf16(float *out, const float *x, const struct pm_conv *conv, const float *bias,
                  size_t bias_stride, const float *residual, size_t batch, size_t height,
                  size_t width, struct pm_arena *scratch);

/** conv of a 3x3 of stride 1 and padding 1 of which conv->by_winograd. @param bias  [B, N] with
 *  bias_stride N, [N] with bias_stride 0, or NULL */
void pm_conv_winograd(float *out, const float *x, const struct pm_conv *conv, const float *bias,
                      size_t bias_stride, const float *residual, size_t batch, size_t height,
                      size_t width, struct pm_arena *scratch);

/** conv_backward of the same. */
void pm_conv_winograd_backward(float *grad_x, const float *grad_out, const struct pm_conv *conv,
                               size_t batch, size_t height, size_t width, struct pm_arena *scratch);

/** How many threads a kernel may put to work on @p flops floating point operations: one when it
 *  is too little to share, or when the caller is one of several threads already. */
size_t pm_threads_for(double flops);
#endif
