/** @file scratch.h  How much the networks take from their arena, to know beforehand whether an edit
 *  has room.
 *
 *  Bytes, never too few, and a few percent too many at most where it matters: a UNet's or decoder's
 *  pass over real pictures. They follow the passes in unet.c, unet_backward.c, vae.c and
 *  text_encoder.c; tests/unit/test_scratch.c holds them against what those take.
 *
 *  @param threads  of OpenMP, since kernels work in some memory for each */
#ifndef PM_MODEL_SCRATCH_H
#define PM_MODEL_SCRATCH_H
#include "pm/model/text_encoder.h"
#include "pm/model/unet.h"
#include "pm/model/vae.h"

/** Of pm_text_encoder_forward. */
size_t pm_text_encoder_scratch_bytes(const struct pm_text_encoder *encoder, size_t prompts,
                                     size_t threads);

/** Of pm_unet_context_make, which stays taken. */
size_t pm_unet_context_bytes(const struct pm_unet *unet, size_t batch, size_t tokens);

/** Of pm_unet_forward. @param hook  whose wants() says which layers' maps are made of its samples;
 *  NULL: none */
size_t pm_unet_scratch_bytes(const struct pm_unet *unet, size_t batch, size_t tokens, size_t height,
                             size_t width, const struct pm_attention_hook *hook, size_t threads);

/** Of pm_unet_forward_recorded and pm_unet_backward after it, in one arena. */
size_t pm_unet_gradient_bytes(const struct pm_unet *unet, size_t batch, size_t tokens,
                              size_t height, size_t width, size_t threads);

/** Of pm_vae_encode and pm_vae_decode, of one picture. @param height, width  of its latent */
size_t pm_vae_encode_bytes(const struct pm_vae *vae, size_t height, size_t width, size_t threads);
size_t pm_vae_decode_bytes(const struct pm_vae *vae, size_t height, size_t width, size_t threads);
#endif
