/** @file attention_control.h  Prompt-to-Prompt itself: fills an attention_hook for one source and
 *  its targets.
 *
 *  At each step, in the conditional half of the batch: a target's cross-attention maps become
 *  their token map of the source's; its self-attention maps become the source's while its window
 *  is open, in layers of few enough pixels; cross-attention maps are summed as they are after the
 *  edit, for the blends, and captured before or after it; after the step, local blends put the
 *  source's latents back outside their masks.
 *  Source: google/prompt-to-prompt, AttentionControlEdit and AttentionStore. */
#ifndef PM_CONTROL_ATTENTION_CONTROL_H
#define PM_CONTROL_ATTENTION_CONTROL_H
#include "pm/control/attention_capture.h"
#include "pm/control/attention_store.h"
#include "pm/control/local_blend.h"
#include "pm/control/token_map.h"

/** What is done to one target. */
struct pm_target_control {
    const struct pm_token_map *map;     /* borrowed */
    size_t self_begin, self_end;        /* steps in which self-attention is the source's */
    size_t self_max_pixels;             /* in layers of at most so many query pixels */
    const struct pm_local_blend *blend; /* borrowed; NULL: no mask is made */
    bool only_masks;                    /* latents are left as they are */
    const float *background; /* [evaluations + 1, latent y, x, channel]  a trajectory, x_T first, to
                                be put back outside the mask instead of the source; or NULL */
};

struct pm_attention_control {
    const struct pm_target_control *targets; /* [target_count], borrowed */
    size_t target_count;
    size_t latent_height, latent_width, latent_channels;
    size_t step; /* the one at hand */
    struct pm_attention_store store;
    bool blends; /* some target: every step's maps are summed in the store */
    struct pm_attention_capture *captures; /* [capture_count], borrowed: filled as they want */
    size_t capture_count;
    float *packed;  /* [target_count, packed token map], of the step at hand */
    float *keep;    /* [target_count, PM_TOKENS]: d of the token map */
    size_t *phase;  /* [target_count]: which map is packed */
    bool *is_idle;  /* [target_count]: the token map changes nothing in this step */
    uint8_t *masks; /* [target_count, latent height, latent width], of the last blended step */
    struct pm_arena *arena; /* borrowed: owns the above and serves as scratch */
};

/** @param targets   borrowed; prompt i + 1 of the batch is target i, prompt 0 the source
 *  @param sites     the UNet's attention layers at this latent size
 *  @param captures  borrowed, made for target_count + 1 prompts; filled while the hook runs
 *  @param arena     gives all memory, for as long as the control lives */
struct pm_attention_control pm_attention_control_make(const struct pm_target_control *targets,
                                                      size_t target_count,
                                                      const struct pm_attention_site *sites,
                                                      size_t site_count, size_t latent_channels,
                                                      struct pm_attention_capture *captures,
                                                      size_t capture_count, struct pm_arena *arena);

/** The hook that runs it; borrows @p control. */
struct pm_attention_hook pm_attention_control_hook(struct pm_attention_control *control);
#endif
