/** @file text_encoder.h  CLIP's text encoder (CLIPTextModel): causal, pre-norm, final layer norm.
 *
 *  Padding is attended to like any token, as Stable Diffusion was trained.
 *  Source: huggingface/transformers, models/clip/modeling_clip.py. */
#ifndef PM_MODEL_TEXT_ENCODER_H
#define PM_MODEL_TEXT_ENCODER_H
#include "pm/model/component.h"
#include "pm/model/tokenizer.h"
#include "pm/model/weights.h"

struct pm_text_layer {
    struct pm_norm norm1, norm2;
    struct pm_linear qkv, out, feed_in, feed_out;
};

struct pm_text_encoder {
    size_t vocabulary, channels, heads, layer_count, feed_channels;
    float eps;
    enum pm_activation activation;
    const float *token_embedding;    /* [vocabulary, channels] */
    const float *added_embedding;    /* [added_count, channels], of the ids from added_first on;
                                        the table's rows from there on have no token */
    size_t added_first, added_count; /* none: vocabulary, 0 */
    const float *position_embedding; /* [77, channels] */
    struct pm_text_layer *layers;
    struct pm_norm final_norm;
};

/** Read <folder>/config.json and model.safetensors, keys with or without "text_model.".
 *  @param memory  borrowed: the weights live there */
PM_MUST_CHECK bool pm_text_encoder_load(struct pm_text_encoder *out, const char *folder,
                                        struct pm_arena *memory, struct pm_error *err);

/** The same of a component, with LoRA added to its layers.
 *  @param component, loras  borrowed for the call; NULL: no LoRA */
PM_MUST_CHECK bool pm_text_encoder_load_from(struct pm_text_encoder *out,
                                             const struct pm_component *component,
                                             struct pm_loras *loras, struct pm_arena *memory,
                                             struct pm_error *err);

/** Give ids from @p first on vectors of their own. @param vectors  [count, channels], borrowed */
void pm_text_encoder_add(struct pm_text_encoder *encoder, size_t first, const float *vectors,
                         size_t count);

/** @param context  [prompts, 77, channels]: the last hidden state, after the final layer norm
 *  @param ids      [prompts, 77], each below the vocabulary's size, or one that was added
 *  @param hidden   [layers + 1, prompts, 77, channels] the residual stream before each layer and
 *                  after the last, or NULL */
void pm_text_encoder_forward(float *context, const struct pm_text_encoder *encoder,
                             const int32_t *ids, size_t prompts, float *hidden,
                             struct pm_arena *scratch);
#endif
