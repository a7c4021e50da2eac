/** @file null_text.h  Null-text inversion: unconditional embeddings that make guided sampling
 *  follow an inversion.
 *
 *  Mokady et al. 2022, arXiv 2211.09794, algorithm 1. Source: google/prompt-to-prompt,
 *  null_text_w_ptp.ipynb, NullInversion.null_optimization. */
#ifndef PM_DIFFUSION_NULL_TEXT_H
#define PM_DIFFUSION_NULL_TEXT_H
#include "pm/diffusion/denoise.h"

struct pm_null_text {
    size_t inner_steps;         /* of Adam at each step of sampling, at most */
    double learning_rate;       /* at step 0 */
    double learning_rate_decay; /* the rate at step i is learning_rate (1 - i decay) */
    double epsilon;             /* a loss below epsilon + i epsilon_growth ends a step early */
    double epsilon_growth;
    double beta1, beta2, adam_epsilon; /* Adam's (Kingma and Ba 2014) */
};

/** The notebook's constants. */
struct pm_null_text pm_null_text_default(void);

/** @param embeddings  [evaluations, 77, context channels]  each step begins with the one before
 *  @param losses      [evaluations, inner_steps]  mean squared distance of the latent from the
 *                     inversion's, before each update; NaN where an early stop left it out; or NULL
 *  @param trajectory  [evaluations + 1, latent]  the inversion, x_T first
 *  @param denoise     of one prompt: its cond, guidance_scale and uncond, where step 0 begins
 *  @return false with PM_E_NUMERIC when it diverges; err tells the step */
PM_MUST_CHECK bool pm_null_text_optimise(float *embeddings, float *losses, const float *trajectory,
                                         const struct pm_denoise *denoise,
                                         const struct pm_null_text *settings,
                                         struct pm_arena *scratch, struct pm_error *err);
#endif
