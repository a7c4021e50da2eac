/** @file local_blend.h  Keep the source's latents wherever attention to some words is low.
 *
 *  Per prompt: maps summed over the words, 3x3 max pool, nearest upsampling to the latent, divided
 *  by their maximum, compared with a threshold; the source's mask is added (OR); a mask made the
 *  same way but unpooled from other words is taken away. Then x = x_source + mask (x - x_source).
 *  A map without a positive value gives no mask.
 *  Source: google/prompt-to-prompt, null_text_w_ptp.ipynb, LocalBlend. */
#ifndef PM_CONTROL_LOCAL_BLEND_H
#define PM_CONTROL_LOCAL_BLEND_H
#include "pm/control/attention_store.h"
#include "pm/control/words.h"

#include <stdint.h>

/** What one target's blend looks at. Tokens of the source prompt and of the target prompt. */
struct pm_local_blend {
    struct pm_token_set source, target;
    bool subtracts;
    struct pm_token_set subtract_source, subtract_target;
    float threshold, subtract_threshold; /* of the normalised map, 0 .. 1 */
    size_t start_step;                   /* the first step after which latents are blended */
};

/** mask[latent height, latent width] = 1 where the target may differ from the source, else 0.
 *  @param target  the target's index among the store's prompts; the source is 0
 *  @param scores  [2, latent height, latent width] normalised maps of source and target before
 *                 the threshold, or NULL */
void pm_local_blend_mask(uint8_t *mask, const struct pm_local_blend *blend,
                         const struct pm_attention_store *store, size_t target,
                         size_t latent_height, size_t latent_width, float *scores,
                         struct pm_arena *scratch);

/** target = source + mask (target - source), [pixels, channels]. */
void pm_local_blend_apply(float *target, const float *source, const uint8_t *mask, size_t pixels,
                          size_t channels);
#endif
