/** @file attention_store.h  Cross-attention maps, summed as the denoising goes: what local blends
 *  look at.
 *
 *  Of the cross-attention layers on the way down and up (never in the middle), those whose maps
 *  have one size are summed over steps, layers and heads. That size is a quarter of the latent's
 *  sides, which are halved twice, rounding up: 16x16 for 64x64 latents, as the reference has it
 *  (google/prompt-to-prompt, prompt-to-prompt_stable.ipynb, LocalBlend), 24x24 for 96x96, 12x16 for
 *  48x64. A network that does not attend there gives the nearest halving, of two the larger map. */
#ifndef PM_CONTROL_ATTENTION_STORE_H
#define PM_CONTROL_ATTENTION_STORE_H
#include "pm/base/arena.h"
#include "pm/model/attention_hook.h"

struct pm_attention_store {
    size_t prompts, height, width, tokens;
    float *sums; /* [prompts, height, width, tokens] */
};

/** The map size for these layers (pm_unet_attention_sites); 0 x 0 if none on the way attends to
 *  words. */
void pm_attention_store_size(size_t *height, size_t *width, const struct pm_attention_site *sites,
                             size_t site_count);

/** Sums of zero, in @p arena. */
struct pm_attention_store pm_attention_store_make(size_t prompts, size_t height, size_t width,
                                                  size_t tokens, struct pm_arena *arena);

/** Is this one of the layers that are summed? */
bool pm_attention_store_wants(const struct pm_attention_store *store,
                              const struct pm_attention_site *site);

/** Add one layer's maps. @param probs  [prompts, heads, queries, tokens] */
void pm_attention_store_add(struct pm_attention_store *store, const struct pm_attention_site *site,
                            const float *probs);
#endif
