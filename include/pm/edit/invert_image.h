/** @file invert_image.h  A real picture as latents that an edit can start from.
 *
 *  DDIM inversion with the source prompt at guidance 1.
 *  Source: google/prompt-to-prompt,
 *  null_text_w_ptp.ipynb, NullInversion. */
#ifndef PM_EDIT_INVERT_IMAGE_H
#define PM_EDIT_INVERT_IMAGE_H
#include "pm/edit/edit_settings.h"
#include "pm/edit/prepare.h"

/** The way of a picture into the noise. It depends on picture, source prompt, model and schedule. */
struct pm_inversion {
    const float *latents; /* [evaluations + 1, channel, latent y, latent x]: x_T first, last the
                             picture's own latent */
    const float *uncond;  /* [evaluations, 77, context channels] of null-text, otherwise NULL */
};

/** A real picture and its inversion. */
struct pm_real_image {
    const unsigned char *pixels; /* [height, width, 3] of the run's size; borrowed */
    struct pm_inversion inversion;
};

/** @param pixels  [height, width, 3] of the settings' size
 *  @param arena   gives the inversion's memory, and serves as scratch
 *  @return false with PM_E_NUMERIC when it diverges; then nothing is taken from @p arena */
PM_MUST_CHECK bool pm_invert_image(struct pm_inversion *out,
                                   const struct pm_edit_settings *settings,
                                   const struct pm_recipe *recipe,
                                   const struct pm_prepared *prepared, const unsigned char *pixels,
                                   struct pm_arena *arena, struct pm_error *err);
#endif
