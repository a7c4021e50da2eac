/** @file schedule.h  Which timesteps a sampler visits, and its step from one to the next.
 *
 *  DDIM (Song et al. 2020, eta 0) and PNDM as Stable Diffusion runs it (Liu et al. 2022 without
 *  Runge-Kutta steps: S steps are S + 1 evaluations). Coefficients are float32, as in diffusers.
 *  Source: huggingface/diffusers, schedulers/scheduling_ddim.py and scheduling_pndm.py. */
#ifndef PM_DIFFUSION_SCHEDULE_H
#define PM_DIFFUSION_SCHEDULE_H
#include "pm/base/arena.h"
#include "pm/base/error.h"
#include "pm/base/json.h"

#include <stddef.h>

enum pm_sampler { PM_DDIM, PM_PNDM };
enum pm_prediction { PM_EPSILON, PM_V_PREDICTION };
enum pm_spacing { PM_LEADING, PM_TRAILING, PM_LINSPACE };
enum pm_betas { PM_BETAS_LINEAR, PM_BETAS_SCALED_LINEAR };

/** How the model was trained, and how its authors space the steps: scheduler_config.json. */
struct pm_schedule_config {
    enum pm_sampler sampler; /* the class that the file names; DDIM for one that is not built */
    enum pm_betas betas;
    double beta_start, beta_end;
    size_t train_timesteps, steps_offset;
    enum pm_prediction prediction;
    enum pm_spacing spacing;
    bool set_alpha_to_one;
    bool rescales_to_zero_snr;    /* the last timestep is pure noise */
    bool begins_with_runge_kutta; /* a PNDM that is not built here: pm_schedule_init refuses it */
};

enum { PM_MAX_TRAIN_TIMESTEPS = 4096 };

struct pm_schedule {
    enum pm_sampler sampler;
    enum pm_prediction prediction;
    size_t steps;       /* asked for */
    size_t evaluations; /* of the network: steps, or steps + 1 with PNDM */
    size_t stride;      /* between a timestep and the one it steps to */
    size_t train_timesteps;
    size_t timesteps[PM_MAX_TRAIN_TIMESTEPS + 1]; /* [evaluations], descending */
    float alpha_cumprod[PM_MAX_TRAIN_TIMESTEPS];  /* ᾱ[train_timesteps] */
    float final_alpha_cumprod;                    /* for a timestep below 0 */
};

/** What a sampler remembers between steps: PNDM's last model outputs. */
struct pm_schedule_state {
    float *outputs[4]; /* [n] each, the newest last; unused by DDIM */
    size_t held;
    float *first_sample; /* [n] */
};

/** Read <folder>/scheduler_config.json; where it is silent, the defaults of diffusers' DDIM, or of
 *  PNDM if it names that. Other samplers' files say how to step with DDIM: by betas, spacing, offset
 *  and prediction; what is only theirs is passed over. */
PM_MUST_CHECK bool pm_schedule_config_load(struct pm_schedule_config *out, const char *folder,
                                           struct pm_error *err);

/** The same of what was read before. @param path  what messages begin with */
PM_MUST_CHECK bool pm_schedule_config_read(struct pm_schedule_config *out, const json_t *config,
                                           const char *path, struct pm_error *err);

/** @param steps  1 .. train timesteps */
PM_MUST_CHECK bool pm_schedule_init(struct pm_schedule *out,
                                    const struct pm_schedule_config *config,
                                    enum pm_sampler sampler, size_t steps, struct pm_error *err);

struct pm_schedule_state pm_schedule_state_make(const struct pm_schedule *schedule, size_t n,
                                                struct pm_arena *arena);

/** One step towards the picture, in place. Call with evaluation = 0, 1, ... in order.
 *  @param x             [n] the sample at timesteps[evaluation], then at the next
 *  @param model_output  [n] ε or v there */
void pm_schedule_step(float *x, const float *model_output, const struct pm_schedule *schedule,
                      struct pm_schedule_state *state, size_t evaluation, size_t n);

/** One DDIM step towards the noise, in place: from timestep t - stride (or the clean latent) to
 *  t, with the model's output at t for x. Source: google/prompt-to-prompt,
 *  null_text_w_ptp.ipynb, NullInversion.next_step.
 *  @param evaluation  counts down from evaluations - 1, whose timestep is the smallest */
void pm_schedule_invert_step(float *x, const float *model_output,
                             const struct pm_schedule *schedule, size_t evaluation, size_t n);
#endif
