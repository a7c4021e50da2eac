/** @file encode.h  Prompts and pictures into the networks' terms, shared by edits and inversions. */
#ifndef PM_EDIT_ENCODE_H
#define PM_EDIT_ENCODE_H
#include "pm/edit/edit_settings.h"

/** [channel, pixel] → [pixel, channel], as the networks have it. */
void pm_to_channels_last(float *out, const float *x, size_t channels, size_t pixels);
/** And back. */
void pm_to_channels_first(float *out, const float *x, size_t channels, size_t pixels);

/** Latent pixels of a picture. */
size_t pm_latent_pixels(const struct pm_edit_settings *settings);

/** The unconditional embedding, and the prompts'.
 *  @param uncond  [77, context channels]  @param cond  [prompts, 77, context channels] */
PM_MUST_CHECK bool pm_encode_prompts(float *uncond, float *cond,
                                     const struct pm_edit_settings *settings,
                                     const struct pm_tokens *const *prompts, size_t prompt_count,
                                     struct pm_arena *scratch, struct pm_error *err);
#endif
