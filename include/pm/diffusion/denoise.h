/** @file denoise.h  The denoising loop. There is one: variants are data.
 *
 *  Sampling from noise, DDIM inversion of a picture, its reconstruction, edits of it, and the
 *  optimisation of null-text embeddings are this loop with another trajectory. */
#ifndef PM_DIFFUSION_DENOISE_H
#define PM_DIFFUSION_DENOISE_H
#include "pm/diffusion/schedule.h"
#include "pm/model/unet.h"

/** What a loop is led by, or leaves behind. Everything may be NULL. A latent is [height, width,
 *  channels]; a trajectory of latents begins with x_T and ends with the clean one, whichever way
 *  the loop goes. */
struct pm_trajectory {
    float *latents; /* [evaluations + 1, prompts, latent] to be filled */

    /** [evaluations + 1, latent]  where prompt 0 is before and after each step, whatever the network
     *  says of it: direct inversion (Ju et al. 2023, arXiv 2310.01506), whose offset brings the
     *  source back to its inversion at every step. */
    const float *source;

    /** [evaluations, 77, context channels]  each step's unconditional embedding, instead of one for
     *  all: null-text inversion (Mokady et al. 2022, arXiv 2211.09794). */
    const float *uncond;

    /** The same, made before each step is taken. @param latents  [prompts, latent] before the step
     *  @return [77, context channels], borrowed until the next call */
    const float *(*tune)(void *self, size_t step, const float *latents);
    void *tune_self;
};

struct pm_denoise {
    const struct pm_unet *unet;
    const struct pm_schedule *schedule;
    float guidance_scale; /* ε = ε_uncond + scale (ε_cond - ε_uncond); 1 leaves ε_uncond out */
    bool source_is_unguided; /* prompt 0 has guidance 1, the others guidance_scale; so it is, too,
                                where trajectory.source leads it */
    bool towards_noise;      /* DDIM inversion: from x_0 to x_T, the steps backwards. DDIM only */
    size_t prompts, height, width;  /* latent pixels */
    const float *cond;              /* [prompts, 77, context channels] */
    const float *uncond;            /* [77, context channels], the same for all prompts */
    struct pm_attention_hook *hook; /* sees the conditional samples; NULL: nobody looks */
    struct pm_trajectory trajectory;
};

/** @param latents  [prompts, latent]: x_T in, x_0 out; towards_noise: x_0 in, x_T out
 *  @return false with PM_E_NUMERIC when a latent is no longer finite; err tells the step */
PM_MUST_CHECK bool pm_denoise(float *latents, const struct pm_denoise *denoise,
                              struct pm_arena *scratch, struct pm_error *err);

/** UNet samples of one step. */
size_t pm_denoise_samples(const struct pm_denoise *denoise);
#endif
