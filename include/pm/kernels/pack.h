/** @file pack.h  Weights in the order in which the kernels read them. Done once, at load.
 *
 *  A packed [k, n] matrix is a sequence of panels of 16 columns, each [k, 16], the last one
 *  padded with zeros: the layout is the same for every instruction set. In bfloat16 a panel is
 *  [pairs of k, 16, 2], a pair's missing half zero. */
#ifndef PM_KERNELS_PACK_H
#define PM_KERNELS_PACK_H
#include "pm/kernels/kernels.h"

enum { PM_PANEL = 16 }; /* columns */

/** @return floats that pm_pack writes for a [k, n] matrix */
size_t pm_packed_floats(size_t k, size_t n);

/** Pack b[k, n], where element (i, j) lies at b[i * row_stride + j * column_stride]. */
void pm_pack(float *packed, const float *b, size_t k, size_t n, size_t row_stride,
             size_t column_stride);

/** The same in bfloat16. */
size_t pm_packed_bf16_numbers(size_t k, size_t n);
void pm_pack_bf16(uint16_t *packed, const float *b, size_t k, size_t n, size_t row_stride,
                  size_t column_stride);

/** Describe and pack torch's Linear. @param weight  [out, in]; NULL: the memory is taken, and not
 *  touched  @param bias  [out] or NULL; kept, not copied. The packed weights are taken from
 *  @p memory. */
struct pm_linear pm_linear_pack(const float *weight, const float *bias, size_t out, size_t in,
                                enum pm_precision precision, struct pm_arena *memory);

/** Pack torch's Conv2d. A 3x3 of stride 1 and padding 1 goes by Winograd's forms: in float32 its
 *  filters are transformed on the way, in bfloat16 here, to [panels of N][16][pairs of C, 16, 2], so
 *  that they are rounded once. @param weight  [out, in, kernel, kernel], or NULL as above */
struct pm_conv pm_conv_pack(const float *weight, const float *bias, size_t out, size_t in,
                            size_t kernel, size_t stride, size_t pad_before, size_t pad_after,
                            enum pm_precision precision, struct pm_arena *memory);
#endif
