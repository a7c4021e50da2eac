/** @file workspace.h  How many floats a kernel takes from its arena and gives back: an upper bound,
 *  the same for every instruction set. @param threads  that OpenMP may give it */
#ifndef PM_KERNELS_WORKSPACE_H
#define PM_KERNELS_WORKSPACE_H
#include "pm/kernels/kernels.h"

/** Rows of bfloat16 products' left side, rounded. */
size_t pm_gemm_bf16_workspace(size_t m, size_t k, size_t threads);

/** @param height, width  of the input */
size_t pm_conv_workspace(const struct pm_conv *conv, size_t batch, size_t height, size_t width,
                         size_t threads);
size_t pm_conv_backward_workspace(const struct pm_conv *conv, size_t batch, size_t height,
                                  size_t width);

/** Forwards and backwards. */
size_t pm_group_norm_workspace(size_t batch, size_t pixels, size_t channels);

/** @param are_maps_made  by attention_probs; the others take less of many keys */
size_t pm_attention_workspace(size_t keys, size_t head_size, enum pm_precision precision,
                              bool are_maps_made, size_t threads);
size_t pm_attention_backward_workspace(size_t keys, size_t head_size, size_t threads);

size_t pm_token_map_workspace(size_t tokens, size_t threads);
#endif
