#include "pm/diffusion/denoise.h"

#include "pm/model/tokenizer.h"

#include <math.h>
#include <string.h>

/* Samples of a UNet batch: the unconditional ones first, as the reference has them. */
static struct pm_unet_context make_context(const struct pm_denoise *d, bool guided,
                                           struct pm_arena *scratch)
{
    size_t floats = PM_TOKENS * d->unet->config.context_channels;
    size_t batch = guided ? 2 * d->prompts : d->prompts;
    float *context = pm_arena_floats(scratch, batch * floats), *next = context;
    for (size_t p = 0; guided && p < d->prompts; p++, next += floats)
        memcpy(next, d->uncond, floats * sizeof *next);
    memcpy(next, d->cond, d->prompts * floats * sizeof *next);
    return pm_unet_context_make(d->unet, context, batch, PM_TOKENS, scratch);
}

static bool all_finite(const float *x, size_t n)
{
    float sum = 0.0f; /* x - x is 0 for a finite x, NaN otherwise */
    for (size_t i = 0; i < n; i++) sum += x[i] - x[i];
    return sum == 0.0f;
}

bool pm_denoise(float *latents, const struct pm_denoise *d, struct pm_arena *scratch,
                struct pm_error *err)
{
    const struct pm_schedule *schedule = d->schedule;
    size_t mark = scratch->used;
    size_t n = d->prompts * d->height * d->width * d->unet->config.in_channels;
    bool guided = d->guidance_scale != 1.0f, ok = true;
    struct pm_unet_context context = make_context(d, guided, scratch);
    struct pm_schedule_state state = pm_schedule_state_make(schedule, n, scratch);
    float *batch = pm_arena_floats(scratch, 2 * n), *output = pm_arena_floats(scratch, 2 * n);
    struct pm_attention_hook *hook = d->hook;
    if (hook) {
        hook->first_sample = guided ? d->prompts : 0;
        hook->samples = d->prompts;
    }
    if (d->trajectory.latents) memcpy(d->trajectory.latents, latents, n * sizeof *latents);

    for (size_t step = 0; ok && step < schedule->evaluations; step++) {
        if (hook && hook->begin_step) hook->begin_step(hook->self, step);
        memcpy(batch, latents, n * sizeof *batch);
        if (guided) memcpy(batch + n, latents, n * sizeof *batch);
        pm_unet_forward(output, d->unet, batch, (float)schedule->timesteps[step], &context,
                        d->height, d->width, hook, scratch);
        for (size_t i = 0; guided && i < n; i++)
            output[i] += d->guidance_scale * (output[n + i] - output[i]);
        pm_schedule_step(latents, output, schedule, &state, step, n);
        if (hook && hook->end_step) hook->end_step(hook->self, step, latents);
        if (d->trajectory.latents)
            memcpy(d->trajectory.latents + (step + 1) * n, latents, n * sizeof *latents);
        if (!all_finite(latents, n))
            ok = pm_fail(err, PM_E_NUMERIC,
                         "the latents are not finite after step %zu (timestep %zu)", step,
                         schedule->timesteps[step]);
    }
    scratch->used = mark;
    return ok;
}
