/** @file plain_kernels.h  Every kernel once more, as plainly as it can be said: loops that follow
 *  the formula, sums in double, weights as torch has them. Slow, and what the fast ones must
 *  agree with. Arguments as in pm/kernels/kernels.h. */
#ifndef PLAIN_KERNELS_H
#define PLAIN_KERNELS_H
#include "pm/kernels/kernels.h"

double plain_activation(double x, enum pm_activation activation);

/** @param b  [k, n], not packed */
void plain_gemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b,
                size_t m, size_t n, size_t k, const struct pm_epilogue *epilogue);

/** @param weight  [N, C, kernel, kernel]  @param conv  for its sizes and bias */
void plain_conv(float *out, const float *x, const float *weight, const struct pm_conv *conv,
                const float *sample_bias, const float *residual, size_t batch, size_t height,
                size_t width);

void plain_group_norm(float *out, const float *x, const float *gamma, const float *beta,
                      size_t batch, size_t pixels, size_t channels, size_t groups, float eps,
                      enum pm_activation activation);

void plain_layer_norm(float *out, const float *x, const float *gamma, const float *beta,
                      size_t rows, size_t channels, float eps);

void plain_geglu(float *out, const float *x, size_t rows, size_t channels);

void plain_attention_probs(float *probs, const float *q, const float *k,
                           const struct pm_attention_shape *shape);

void plain_attention_apply(float *out, const float *probs, const float *v,
                           const struct pm_attention_shape *shape);

/** @param map  [T, T], not packed */
void plain_token_map(float *target, const float *base, const float *map, const float *keep,
                     size_t rows, size_t tokens);

void plain_resize_nearest(float *out, const float *x, size_t batch, size_t height, size_t width,
                          size_t out_height, size_t out_width, size_t channels);

void plain_concat_channels(float *out, const float *a, size_t a_channels, const float *b,
                           size_t b_channels, size_t rows);

/* The way back, out of the derivatives' formulas; plain_kernels_backward.c. */

double plain_activation_slope(double x, enum pm_activation activation);

/** @param b  [k, n], not packed */
void plain_gemm_backward(float *grad_a, size_t grad_a_stride, const float *grad_c,
                         size_t grad_c_stride, const float *b, size_t m, size_t n, size_t k);

/** @param weight  [N, C, kernel, kernel] */
void plain_conv_backward(float *grad_x, const float *grad_out, const float *weight,
                         const struct pm_conv *conv, size_t batch, size_t height, size_t width);

/** Of layer norm too: its rows are samples of one pixel and one group. */
void plain_group_norm_backward(float *grad_x, const float *grad_out, const float *x,
                               const float *gamma, const float *beta, size_t batch, size_t pixels,
                               size_t channels, size_t groups, float eps,
                               enum pm_activation activation);

void plain_geglu_backward(float *grad_x, const float *grad_out, const float *x, size_t rows,
                          size_t channels);

void plain_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                              const float *q, const float *k, const float *v,
                              const struct pm_attention_shape *shape);

void plain_resize_nearest_backward(float *grad_x, const float *grad_out, size_t batch,
                                   size_t height, size_t width, size_t out_height, size_t out_width,
                                   size_t channels);
#endif
