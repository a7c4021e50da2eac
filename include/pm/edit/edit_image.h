/** @file edit_image.h  A recipe in, pictures and maps out. */
#ifndef PM_EDIT_EDIT_IMAGE_H
#define PM_EDIT_EDIT_IMAGE_H
#include "pm/diffusion/denoise.h"
#include "pm/edit/prepare.h"
#include "pm/model/model.h"

/** What is the same for all edits of a run. */
struct pm_edit_settings {
    const struct pm_model *model;       /* borrowed */
    const struct pm_schedule *schedule; /* borrowed */
    float guidance_scale;
    size_t latent_height, latent_width;
    const char *negative_prompt; /* of the unconditional half, usually ""; borrowed */
    bool keeps_trajectory;
    bool latents_only;       /* no picture is decoded */
    size_t targets_per_pass; /* more are done in several passes, the source anew in each */
    const struct pm_attention_capture_spec *captures; /* [capture_count], borrowed */
    size_t capture_count;
};

enum { PM_MAX_CAPTURES = 16 };

/** One picture of a result: the source's or a target's. All is in the arena it was made in. */
struct pm_picture {
    unsigned char *image; /* [height, width, 3]; NULL with latents_only */
    const float *x_T;     /* [channel, latent y, latent x] */
    float *final_latent;  /* [channel, latent y, latent x] */
    float *trajectory;    /* [evaluations, channel, latent y, latent x] after each step; or NULL */
    struct pm_attention_maps attention[PM_MAX_CAPTURES]; /* [capture_count] */
    const uint8_t *blend_mask; /* [latent y, latent x] 0 or 1, the last step's; NULL: no blend */
};

/** Called for each picture as it is made. @param target  PM_SOURCE_PICTURE, or the target's index
 */
enum { PM_SOURCE_PICTURE = -1 };
typedef void pm_picture_ready(void *self, int target, const struct pm_picture *picture);

/** Make the source's picture and those of all targets that could be prepared.
 *  @param ready    gets each picture; what it points to lasts for the call only
 *  @param scratch  given back as it was
 *  @return false with PM_E_NUMERIC: pictures not handed out yet are lost */
PM_MUST_CHECK bool pm_edit_image(const struct pm_edit_settings *settings,
                                 const struct pm_recipe *recipe, const struct pm_prepared *prepared,
                                 pm_picture_ready *ready, void *ready_self,
                                 struct pm_arena *scratch, struct pm_error *err);

/** UNet samples that the recipe costs: what a run's order and time left are computed from. */
size_t pm_edit_cost(const struct pm_edit_settings *settings, const struct pm_prepared *prepared,
                    size_t target_count);

/** The model's attention layers at the settings' latent size.
 *  @param count  how many  @return in @p arena */
struct pm_attention_site *pm_edit_sites(size_t *count, const struct pm_edit_settings *settings,
                                        struct pm_arena *arena);
#endif
