/** @file transformer_impl.h  What transformer.c and transformer_backward.c share. */
#ifndef PM_MODEL_TRANSFORMER_IMPL_H
#define PM_MODEL_TRANSFORMER_IMPL_H
#include "pm/model/transformer.h"

static const float PM_LAYER_NORM_EPS = 1e-5f, PM_GROUP_NORM_EPS = 1e-6f;
enum { PM_FEED_ROWS = 256 }; /* that go through the feed-forward layer at once */

/** @param tokens  of the text, for cross-attention: q [C], kv [2C]; 0: qkv [3C] of the pixels */
struct pm_attention_shape pm_transformer_attention(const struct pm_transformer *transformer,
                                                   size_t batch, size_t pixels, size_t tokens);
#endif
