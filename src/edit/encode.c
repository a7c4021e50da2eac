#include "encode.h"

#include <string.h>

void pm_to_channels_last(float *out, const float *x, size_t channels, size_t pixels)
{
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < pixels; i++) out[i * channels + c] = x[c * pixels + i];
}

void pm_to_channels_first(float *out, const float *x, size_t channels, size_t pixels)
{
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < pixels; i++) out[c * pixels + i] = x[i * channels + c];
}

size_t pm_latent_pixels(const struct pm_edit_settings *s)
{
    return s->latent_height * s->latent_width;
}

bool pm_encode_prompts(float *uncond, float *cond, const struct pm_edit_settings *s,
                       const struct pm_tokens *const *prompts, size_t prompt_count,
                       struct pm_arena *scratch, struct pm_error *err)
{
    size_t mark = scratch->used, channels = s->model->text_encoder.channels;
    size_t floats = PM_TOKENS * channels;
    struct pm_tokens negative;
    PM_TRY(pm_tokenize(&negative, s->model->tokenizer, s->negative_prompt, err));
    int32_t *ids = pm_arena_bytes(scratch, (prompt_count + 1) * PM_TOKENS * sizeof *ids);
    float *context = pm_arena_floats(scratch, (prompt_count + 1) * floats);
    memcpy(ids, negative.ids, sizeof negative.ids);
    for (size_t i = 0; i < prompt_count; i++)
        memcpy(ids + (i + 1) * PM_TOKENS, prompts[i]->ids, sizeof prompts[i]->ids);
    pm_text_encoder_forward(context, &s->model->text_encoder, ids, prompt_count + 1, NULL, scratch);
    memcpy(uncond, context, floats * sizeof *uncond);
    memcpy(cond, context + floats, prompt_count * floats * sizeof *cond);
    scratch->used = mark;
    return true;
}
