/** @file vae.h  AutoencoderKL: pictures to latents and back.
 *
 *  Source: huggingface/diffusers, models/autoencoders/autoencoder_kl.py and vae.py. */
#ifndef PM_MODEL_VAE_H
#define PM_MODEL_VAE_H
#include "pm/model/component.h"
#include "pm/model/component_config.h"
#include "pm/model/resnet.h"

struct pm_vae_config {
    size_t in_channels, latent_channels;
    size_t levels, channels[PM_MAX_LEVELS];
    size_t layers_per_block, groups;
    float scaling_factor; /* latents are the encoder's mean times this */
    bool has_quant_conv, has_post_quant_conv;
};

enum { PM_VAE_MAX_LAYERS = 4 };

struct pm_vae_level {
    struct pm_resnet resnets[PM_VAE_MAX_LAYERS + 1];
    size_t layers;
    bool resamples;
    struct pm_conv resample;
};

/** One-headed self-attention over all pixels of the coarsest level. */
struct pm_vae_attention {
    struct pm_norm norm;
    struct pm_linear qkv, out;
};

/** Encoder or decoder: both have a middle and levels. */
struct pm_vae_half {
    struct pm_conv conv_in, conv_out;
    struct pm_resnet mid[2];
    struct pm_vae_attention attention;
    struct pm_vae_level levels[PM_MAX_LEVELS];
    struct pm_norm norm_out;
};

struct pm_vae {
    struct pm_vae_config config;
    size_t factor; /* a latent pixel's side in image pixels */
    struct pm_vae_half encoder, decoder;
    struct pm_conv quant_conv, post_quant_conv; /* 1x1 */
};

/** Read <folder>/config.json and diffusion_pytorch_model.safetensors; attention names of old
 *  and new diffusers are both known. @param memory  borrowed: the weights live there */
PM_MUST_CHECK bool pm_vae_load(struct pm_vae *out, const char *folder, struct pm_arena *memory,
                               struct pm_error *err);

/** The same of a component. @param component  borrowed for the call */
PM_MUST_CHECK bool pm_vae_load_from(struct pm_vae *out, const struct pm_component *component,
                                    struct pm_arena *memory, struct pm_error *err);

/** @param moments  [batch, height/factor, width/factor, 2 latent_channels]: the mean, then the log
 *                  variance clamped to [-30, 20]; not scaled
 *  @param image    [batch, height, width, 3] in [-1, 1]; both sides multiples of factor */
void pm_vae_encode(float *moments, const struct pm_vae *vae, const float *image, size_t batch,
                   size_t height, size_t width, struct pm_arena *scratch);

/** @param image    [batch, height*factor, width*factor, 3], about [-1, 1], not clamped
 *  @param latents  [batch, height, width, latent_channels], scaled as the UNet has them: they are
 *                  divided by the scaling factor here */
void pm_vae_decode(float *image, const struct pm_vae *vae, const float *latents, size_t batch,
                   size_t height, size_t width, struct pm_arena *scratch);

/** Floats of the largest feature of a sample, of which two are in memory at a time.
 *  @param pixels  of what goes in: of the latent, or of the image */
size_t pm_vae_largest_feature(const struct pm_vae_half *half, size_t levels, size_t pixels);

/** pixels[n] = the byte of (x/2 + ½) clamped to [0, 1], truncated as the reference does
 *  (google/prompt-to-prompt, ptp_utils.py, latent2image). NaN becomes 0. */
void pm_vae_to_bytes(unsigned char *pixels, const float *image, size_t n);
#endif
