#include "pm/edit/invert_image.h"

#include "encode.h"
#include "pm/diffusion/null_text.h"

static size_t latent_floats(const struct pm_edit_settings *s)
{
    return pm_latent_pixels(s) * s->model->unet.config.in_channels;
}

/* The picture's clean latent, channels last: the mean of what the encoder says, scaled. */
static void encode_image(float *latent, const struct pm_edit_settings *s,
                         const unsigned char *pixels, struct pm_arena *scratch)
{
    const struct pm_vae *vae = &s->model->vae;
    size_t mark = scratch->used, count = pm_latent_pixels(s), c = vae->config.latent_channels;
    size_t values = count * vae->factor * vae->factor * 3;
    float *image = pm_arena_floats(scratch, values);
    float *moments = pm_arena_floats(scratch, count * 2 * c);
    for (size_t i = 0; i < values; i++) image[i] = (float)pixels[i] / 127.5f - 1.0f;
    pm_vae_encode(moments, vae, image, 1, s->latent_height * vae->factor,
                  s->latent_width * vae->factor, scratch);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < c; j++)
            latent[i * c + j] = moments[i * 2 * c + j] * vae->config.scaling_factor;
    scratch->used = mark;
}

bool pm_invert_image(struct pm_inversion *out, const struct pm_edit_settings *s,
                     const struct pm_recipe *recipe, const struct pm_prepared *prepared,
                     const unsigned char *pixels, struct pm_arena *arena, struct pm_error *err)
{
    size_t before = arena->used, n = latent_floats(s), channels = s->model->unet.config.in_channels;
    size_t levels = s->schedule->evaluations + 1;
    size_t context = PM_TOKENS * s->model->unet.config.context_channels;
    float *kept = pm_arena_floats(arena, levels * n);
    bool is_null_text = recipe->image.method == PM_INVERSION_NULL_TEXT;
    float *embeddings = is_null_text ? pm_arena_floats(arena, (levels - 1) * context) : NULL;
    size_t mark = arena->used;
    float *trajectory = pm_arena_floats(arena, levels * n), *latent = pm_arena_floats(arena, n);
    float *uncond = pm_arena_floats(arena, context), *cond = pm_arena_floats(arena, context);
    const struct pm_tokens *source = &prepared->source;
    struct pm_denoise denoise = {.unet = &s->model->unet,
                                 .schedule = s->schedule,
                                 .guidance_scale = 1.0f,
                                 .towards_noise = true,
                                 .prompts = 1,
                                 .height = s->latent_height,
                                 .width = s->latent_width,
                                 .cond = cond,
                                 .uncond = uncond,
                                 .trajectory = {.latents = trajectory}};
    bool ok = pm_encode_prompts(uncond, cond, s, &source, 1, arena, err);
    encode_image(latent, s, pixels, arena);
    ok = ok && pm_denoise(latent, &denoise, arena, err);
    if (ok && is_null_text) {
        denoise.towards_noise = false;
        denoise.guidance_scale = pm_recipe_guidance_scale(recipe, s->guidance_scale);
        denoise.trajectory = (struct pm_trajectory){0};
        ok = pm_null_text_optimise(embeddings, NULL, trajectory, &denoise, &recipe->image.null_text,
                                   arena, err);
    }
    for (size_t i = 0; ok && i < levels; i++)
        pm_to_channels_first(kept + i * n, trajectory + i * n, channels, pm_latent_pixels(s));
    arena->used = ok ? mark : before;
    *out = (struct pm_inversion){.latents = kept, .uncond = embeddings};
    return ok;
}
