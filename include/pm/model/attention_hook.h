/** @file attention_hook.h  How an edit sees and changes attention, without the networks knowing.
 *
 *  The denoising loop calls begin_step and end_step around each scheduler step; within a step the
 *  UNet asks wants() before each attention layer. Only wanted maps are ever made: those of the
 *  samples first_sample .. first_sample + samples - 1 of the batch (the conditional ones); the
 *  others, and every layer that is not wanted, go through the fused kernel. */
#ifndef PM_MODEL_ATTENTION_HOOK_H
#define PM_MODEL_ATTENTION_HOOK_H
#include <stdbool.h>
#include <stddef.h>

enum pm_unet_place { PM_DOWN, PM_MID, PM_UP };

/** Which attention layer is asking. */
struct pm_attention_site {
    enum pm_unet_place place;
    size_t layer;  /* 0-based, in the order of the forward pass; self and cross both count */
    bool is_cross; /* keys are prompt tokens, else the pixels themselves */
    size_t heads;
    size_t height, width; /* of the map of query pixels */
    size_t latent_height, latent_width;
    size_t samples;       /* observed ones */
    size_t queries, keys; /* height * width, and tokens or pixels */
};

/** Any function may be NULL. `self` is borrowed and handed back to each. */
struct pm_attention_hook {
    void *self;
    size_t first_sample, samples; /* of the batch; set by the denoising loop */

    void (*begin_step)(void *self, size_t step);
    /** Shall this layer's probabilities be made for on_probs? */
    bool (*wants)(void *self, const struct pm_attention_site *site);
    /** May read and change probabilities between softmax and the product with V.
     *  @param probs  [samples, heads, queries, keys]  rows sum to 1 on entry
     *  Source: google/prompt-to-prompt ptp_utils.py, register_attention_control. */
    void (*on_probs)(void *self, const struct pm_attention_site *site, float *probs);
    /** After the scheduler's step. @param latents  [samples, y, x, channel], may be changed */
    void (*end_step)(void *self, size_t step, float *latents);
    /** The output of a top-level block ("conv_in", "down_blocks.0", "mid_block", "up_blocks.0",
     *  ...), all samples. @param x  [batch, height, width, channels] */
    void (*on_feature)(void *self, const char *block, const float *x, size_t batch, size_t height,
                       size_t width, size_t channels);
};
#endif
