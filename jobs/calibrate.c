#include "calibrate.h"

#include "pm/base/clock.h"
#include "pm/model/unet_flops.h"

#include <omp.h>
#include <string.h>

/* What even an old core does, and how long all measuring may take on it. */
static const double LEAST_FLOPS_PER_SECOND = 20e9, MOST_SECONDS = 6.0;
enum { MEASURED_SAMPLES = 2, LEAST_SIDE = 8 };

static float *zeros(struct pm_arena *arena, size_t count)
{
    return memset(pm_arena_floats(arena, count), 0, count * sizeof(float));
}

/* Seconds of one sample. */
static double time_unet(const struct pm_unet *unet, size_t height, size_t width)
{
    struct pm_arena arena;
    double best = 0.0;
    pm_arena_init(&arena, pm_model_scratch_bytes());
    size_t floats = MEASURED_SAMPLES * height * width;
    float *latents = zeros(&arena, floats * unet->config.in_channels);
    float *out = pm_arena_floats(&arena, floats * unet->config.out_channels);
    float *prompts = zeros(&arena, MEASURED_SAMPLES * PM_TOKENS * unet->config.context_channels);
    struct pm_unet_context context =
        pm_unet_context_make(unet, prompts, MEASURED_SAMPLES, PM_TOKENS, &arena);
    for (int i = 0; i < 2; i++) { /* the first run also gets the memory from the system */
        double start = pm_clock_seconds();
        pm_unet_forward(out, unet, latents, 1.0f, &context, height, width, NULL, &arena);
        double took = pm_clock_seconds() - start;
        if (i == 0 || took < best) best = took;
    }
    pm_arena_free(&arena);
    return best / MEASURED_SAMPLES;
}

static double time_decoder(const struct pm_vae *vae, size_t height, size_t width)
{
    struct pm_arena arena;
    pm_arena_init(&arena, pm_model_scratch_bytes());
    float *latents = zeros(&arena, height * width * vae->config.latent_channels);
    float *image = pm_arena_floats(&arena, height * width * vae->factor * vae->factor * 3);
    double start = pm_clock_seconds();
    pm_vae_decode(image, vae, latents, 1, height, width, &arena);
    double took = pm_clock_seconds() - start;
    pm_arena_free(&arena);
    return took;
}

void calibrate(struct calibration *out, const struct pm_edit_settings *settings, size_t threads)
{
    const struct pm_model *model = settings->model;
    size_t height = settings->latent_height, width = settings->latent_width;
    double whole = pm_unet_flops(&model->unet, height, width, PM_TOKENS);
    while (2 * MEASURED_SAMPLES * pm_unet_flops(&model->unet, height, width, PM_TOKENS) >
               MOST_SECONDS * LEAST_FLOPS_PER_SECOND &&
           height >= 2 * LEAST_SIDE && width >= 2 * LEAST_SIDE) {
        height /= 2;
        width /= 2;
    }
    omp_set_num_threads((int)threads);
    double share = whole / pm_unet_flops(&model->unet, height, width, PM_TOKENS);
    double area =
        (double)(settings->latent_height * settings->latent_width) / (double)(height * width);
    *out = (struct calibration){.height = height, .width = width};
    out->sample_seconds = share * time_unet(&model->unet, height, width);
    if (!settings->latents_only)
        out->picture_seconds = area * time_decoder(&model->vae, height, width);
}
