/** @file edit_image.h  A recipe in, pictures and maps out. */
#ifndef PM_EDIT_EDIT_IMAGE_H
#define PM_EDIT_EDIT_IMAGE_H
#include "pm/edit/invert_image.h"

/** One picture of a result: the source's or a target's. All is in the arena it was made in. */
struct pm_picture {
    const unsigned char *image; /* [height, width, 3]; NULL with latents_only */
    const float *x_T;           /* [channel, latent y, latent x] */
    float *final_latent;        /* [channel, latent y, latent x] */
    float *trajectory; /* [evaluations, channel, latent y, latent x] after each step; or NULL */
    struct pm_attention_maps attention[PM_MAX_CAPTURES]; /* [capture_count] */
    const uint8_t
        *mask; /* [latent y, latent x] 0 or 1, the last step's, of a local blend or of what
                            is restored; NULL: neither */
};

/** Called for each picture as it is made. @param target  PM_SOURCE_PICTURE, or the target's index
 */
enum { PM_SOURCE_PICTURE = -1 };
typedef void pm_picture_ready(void *self, int target, const struct pm_picture *picture);

/** Make the source's picture and those of all targets that could be prepared.
 *  @param real     of a recipe with an image: the source's picture is its reconstruction; NULL: the
 *                  pictures start from noise
 *  @param ready    gets each picture; what it points to lasts for the call only
 *  @param scratch  given back as it was
 *  @return false with PM_E_NUMERIC: pictures not handed out yet are lost */
PM_MUST_CHECK bool pm_edit_image(const struct pm_edit_settings *settings,
                                 const struct pm_recipe *recipe, const struct pm_prepared *prepared,
                                 const struct pm_real_image *real, pm_picture_ready *ready,
                                 void *ready_self, struct pm_arena *scratch, struct pm_error *err);

/** UNet samples that the recipe costs, an inversion among them: what a run's order and time left
 *  are computed from. */
size_t pm_edit_cost(const struct pm_edit_settings *settings, const struct pm_recipe *recipe,
                    const struct pm_prepared *prepared);

/** The model's attention layers at the settings' latent size.
 *  @param count  how many  @return in @p arena */
struct pm_attention_site *pm_edit_sites(size_t *count, const struct pm_edit_settings *settings,
                                        struct pm_arena *arena);
#endif
