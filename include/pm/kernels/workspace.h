/** @file workspace.h  How many floats a kernel takes from its arena and gives back: an upper bound,
 *  the same for every instruction set. @param threads  that OpenMP may give it */
#ifndef PM_KERNELS_WORKSPACE_H
#define PM_KERNELS_WORKSPACE_H
#include "pm/kernels/kernels.h"

/** @param height, width  of the input */
size_t pm_conv_workspace(const struct pm_conv *conv, size_t batch, size_t height, size_t width,
                         size_t threads);
size_t pm_conv_backward_workspace(const struct pm_conv *conv, size_t batch, size_t height,
                                  size_t width);

/** Forwards and backwards. */
size_t pm_group_norm_workspace(size_t batch, size_t pixels, size_t channels);

/** @param are_maps_made  by attention_probs; the others take less of many keys */
size_t pm_attention_workspace(size_t keys, size_t head_size, bool are_maps_made, size_t threads);
size_t pm_attention_backward_workspace(size_t keys, size_t head_size, size_t threads);

size_t pm_token_map_workspace(size_t tokens, size_t threads);
#endif
