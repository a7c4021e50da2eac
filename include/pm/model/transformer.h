/** @file transformer.h  The UNet's spatial transformer: self-attention, cross-attention, GEGLU.
 *
 *  Source: huggingface/diffusers, models/transformers/transformer_2d.py and attention.py. */
#ifndef PM_MODEL_TRANSFORMER_H
#define PM_MODEL_TRANSFORMER_H
#include "pm/model/attention_hook.h"
#include "pm/model/weights.h"

struct pm_transformer_block {
    struct pm_norm norm1, norm2, norm3;            /* layer norms, eps 1e-5 */
    struct pm_linear self_qkv, self_out;           /* [C → 3C] without bias, [C → C] */
    struct pm_linear cross_q, cross_kv, cross_out; /* kv: [context → 2C] */
    struct pm_linear feed_in, feed_out;            /* [C → 8C], GEGLU, [4C → C] */
};

struct pm_transformer {
    size_t channels, context_channels, heads, groups, depth;
    enum pm_precision precision;        /* of the attention, too */
    struct pm_norm norm;                /* group norm, eps 1e-6 */
    struct pm_linear proj_in, proj_out; /* 1x1 convolution or linear: the same over channels last */
    struct pm_transformer_block *blocks; /* [depth], in the model's memory */
};

/** @param format  printf-like: the transformer's name, "mid_block.attentions.0" */
PM_MUST_CHECK bool pm_transformer_load(struct pm_transformer *transformer,
                                       struct pm_weights *weights, size_t channels,
                                       size_t context_channels, size_t heads, size_t depth,
                                       size_t groups, struct pm_error *err, const char *format, ...)
    PM_NAME_FORMAT(9, 10);

/** Keys and values of the prompts for each block, computed once a prompt: they do not depend on
 *  the latent. @param context  [B, tokens, context channels]
 *  @param kv  [depth, B, tokens, 2C] */
void pm_transformer_context(float *kv, const struct pm_transformer *transformer,
                            const float *context, size_t batch, size_t tokens,
                            struct pm_arena *scratch);

/** What a block's way back needs and what would be dear to compute again, [B * pixels] rows each. */
struct pm_transformer_block_record {
    float *before_self, *before_cross, *before_feed; /* [C]: what the three norms were given */
    float *qkv, *cross_q;                            /* [3C], [C] */
};

struct pm_transformer_record {
    float *x;                                   /* [B, height, width, C] as it came */
    struct pm_transformer_block_record *blocks; /* [depth] */
    const float *kv;
};

/** Room for a record, to be filled by a forward pass; taken from @p arena. */
struct pm_transformer_record pm_transformer_record_make(const struct pm_transformer *transformer,
                                                        size_t batch, size_t height, size_t width,
                                                        struct pm_arena *arena);

/** In place on x [B, height, width, C].
 *  @param record  filled for the way back, or NULL
 *  @param kv    from pm_transformer_context; a record borrows it
 *  @param site  the place and latent size are set; its layer counts on
 *  @param hook  NULL: nobody looks */
void pm_transformer_forward(float *x, struct pm_transformer_record *record,
                            const struct pm_transformer *transformer, const float *kv, size_t batch,
                            size_t height, size_t width, size_t tokens,
                            const struct pm_attention_hook *hook, struct pm_attention_site *site,
                            struct pm_arena *scratch);

/** The gradients by x and by the text, through the attention that nobody looked at or changed.
 *  @param grad_context  [B, tokens, context channels], which it is added to
 *  @param grad_x  [B, height, width, C], or NULL: not wanted, and not computed
 *  @param grad_y  [B, height, width, C], by what x became */
void pm_transformer_backward(float *grad_context, float *grad_x, const float *grad_y,
                             const struct pm_transformer_record *record,
                             const struct pm_transformer *transformer, size_t batch, size_t height,
                             size_t width, size_t tokens, struct pm_arena *scratch);
#endif
