#include "model_outputs.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 8, WIDTH = 4, TIMESTEP = 321 }; /* of the latent */

struct model_outputs model_outputs_make(const struct pm_model *model)
{
    struct pm_arena scratch;
    const char *prompt = "a photo of a red ball on a meadow!";
    struct pm_tokens tokens;
    struct pm_error err = {0};
    pm_arena_init(&scratch, (size_t)1 << 34);
    size_t context_floats = PM_TOKENS * model->text_encoder.channels;
    size_t latent_floats = HEIGHT * WIDTH * model->unet.config.in_channels;
    size_t image_floats = 3 * HEIGHT * WIDTH * model->vae.factor * model->vae.factor;
    size_t count = context_floats + 3 * latent_floats + image_floats;
    struct model_outputs out = {.values = malloc(count * sizeof(float)), .count = count};
    assert_non_null(out.values);
    fill_nan(out.values, count);
    float *context = out.values, *noise = context + context_floats;
    float *image = noise + latent_floats, *moments = image + image_floats;

    assert_ok(pm_tokenize(&tokens, model->tokenizer, prompt, &err), err);
    pm_text_encoder_forward(context, &model->text_encoder, tokens.ids, 1, NULL, &scratch);
    float *latents = pm_arena_floats(&scratch, latent_floats);
    fill_random(latents, latent_floats, 7);
    struct pm_unet_context kv = pm_unet_context_make(&model->unet, context, 1, PM_TOKENS, &scratch);
    pm_unet_forward(noise, &model->unet, latents, TIMESTEP, &kv, HEIGHT, WIDTH, NULL, &scratch);
    pm_vae_decode(image, &model->vae, latents, 1, HEIGHT, WIDTH, &scratch);
    pm_vae_encode(moments, &model->vae, image, 1, HEIGHT * model->vae.factor,
                  WIDTH * model->vae.factor, &scratch);
    pm_arena_free(&scratch);
    return out;
}

void assert_same_outputs(const struct model_outputs *a, const struct model_outputs *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        if (!(a->values[i] * 0.0f == 0.0f)) fail_msg("value %zu is not finite", i);
    assert_memory_equal(a->values, b->values, a->count * sizeof *a->values);
}
