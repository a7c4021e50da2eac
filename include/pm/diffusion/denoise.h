/** @file denoise.h  The denoising loop. There is one: variants are data. */
#ifndef PM_DIFFUSION_DENOISE_H
#define PM_DIFFUSION_DENOISE_H
#include "pm/diffusion/schedule.h"
#include "pm/model/unet.h"

/** What a loop leaves behind, or is led by. */
struct pm_trajectory {
    float *latents; /* [evaluations + 1, prompts, height, width, channels] to be filled: x_T, then
                       the latents after every step; or NULL */
};

struct pm_denoise {
    const struct pm_unet *unet;
    const struct pm_schedule *schedule;
    float guidance_scale; /* ε = ε_uncond + scale (ε_cond - ε_uncond); 1 leaves ε_uncond out */
    size_t prompts, height, width;  /* latent pixels */
    const float *cond;              /* [prompts, 77, context channels] */
    const float *uncond;            /* [77, context channels], the same for all prompts */
    struct pm_attention_hook *hook; /* sees the conditional samples; NULL: nobody looks */
    struct pm_trajectory trajectory;
};

/** @param latents  [prompts, height, width, channels]: x_T in, x_0 out
 *  @return false with PM_E_NUMERIC when a latent is no longer finite; err tells the step */
PM_MUST_CHECK bool pm_denoise(float *latents, const struct pm_denoise *denoise,
                              struct pm_arena *scratch, struct pm_error *err);
#endif
