/** @file unet.h  UNet2DConditionModel of Stable Diffusion 1.x and 2.x, any width and depth.
 *
 *  Latents may have any size: a level whose side is odd comes back to it on the way up.
 *  Source: huggingface/diffusers, models/unets/unet_2d_condition.py and unet_2d_blocks.py.
 *
 *  A recorded pass can be gone through backwards, for the gradient with respect to the text:
 *
 *      pm_unet_forward_recorded(out, &record, unet, latents, t, context, 1, tokens, h, w, arena);
 *      ... the loss's derivative by out into cotangent ...
 *      pm_unet_backward(grad_context, NULL, &record, cotangent, arena); */
#ifndef PM_MODEL_UNET_H
#define PM_MODEL_UNET_H
#include "pm/model/component.h"
#include "pm/model/component_config.h"
#include "pm/model/resnet.h"
#include "pm/model/transformer.h"

struct pm_unet_config {
    size_t in_channels, out_channels;
    size_t sample_size; /* latent pixels a side that it was trained on */
    size_t levels, channels[PM_MAX_LEVELS], heads[PM_MAX_LEVELS];
    bool down_attends[PM_MAX_LEVELS], up_attends[PM_MAX_LEVELS]; /* up: in order of execution */
    size_t layers_per_block, transformer_depth, context_channels, groups;
    float eps;
    bool flip_sin_to_cos; /* [cos, sin] instead of [sin, cos] */
    double freq_shift;
};

enum { PM_MAX_BLOCK_LAYERS = 8 };

/** One level on the way down, the middle, or one on the way up. */
struct pm_unet_block {
    size_t layers;
    struct pm_resnet resnets[PM_MAX_BLOCK_LAYERS + 1];
    bool attends;
    struct pm_transformer transformers[PM_MAX_BLOCK_LAYERS + 1];
    bool resamples; /* down: 3x3 stride 2 after it; up: twice the size, then 3x3 */
    struct pm_conv resample;
};

struct pm_unet {
    struct pm_unet_config config;
    struct pm_conv conv_in, conv_out;
    struct pm_linear time1, time2;
    struct pm_unet_block down[PM_MAX_LEVELS], mid, up[PM_MAX_LEVELS];
    struct pm_norm norm_out;
};

/** Read <folder>/config.json and diffusion_pytorch_model.safetensors.
 *  @param memory  borrowed: the weights live there */
PM_MUST_CHECK bool pm_unet_load(struct pm_unet *out, const char *folder, struct pm_arena *memory,
                                struct pm_error *err);

/** The same of a component, with LoRA added to its layers.
 *  @param component, loras  borrowed for the call; NULL: no LoRA */
PM_MUST_CHECK bool pm_unet_load_from(struct pm_unet *out, const struct pm_component *component,
                                     struct pm_loras *loras, struct pm_arena *memory,
                                     struct pm_error *err);

/** Every attention layer of the network for a latent size, in the order of a forward pass.
 *  @param sites  [at least pm_unet_attention_layers], or NULL to count only
 *  @return how many there are */
size_t pm_unet_attention_sites(const struct pm_unet *unet, size_t height, size_t width,
                               struct pm_attention_site *sites);

/** The prompts' keys and values at every cross-attention layer. */
struct pm_unet_context {
    size_t batch, tokens;
    float *kv; /* in the arena it was made in; layer after layer */
};

/** Once for the prompts of an edit; good for every step.
 *  @param context  [batch, tokens, context channels], from the text encoder
 *  @return taken from @p arena: it lasts as long */
struct pm_unet_context pm_unet_context_make(const struct pm_unet *unet, const float *context,
                                            size_t batch, size_t tokens, struct pm_arena *arena);

/** One evaluation, all samples at the same timestep.
 *  @param out       [batch, height, width, out_channels]  ε or v, as the model was trained
 *  @param latents   [batch, height, width, in_channels]
 *  @param timestep  0 <= timestep < the schedule's training timesteps
 *  @param hook      NULL: nobody looks */
void pm_unet_forward(float *out, const struct pm_unet *unet, const float *latents, float timestep,
                     const struct pm_unet_context *context, size_t height, size_t width,
                     const struct pm_attention_hook *hook, struct pm_arena *scratch);

struct pm_unet_step;

/** What a pass keeps for its way back: its operations, each with the inputs that its derivative
 *  depends on. It borrows the network, and lives in the arena that it was recorded in. */
struct pm_unet_record {
    const struct pm_unet *unet;
    size_t batch, tokens, height, width;
    const struct pm_unet_step *last;              /* operation; each knows the one before it */
    const struct pm_unet_step *first_transformer; /* before it, nothing depends on the text */
};

/** pm_unet_forward, to the bit, and a record of it.
 *  @param record   filled in; its memory stays taken from @p arena until the caller gives it back
 *  @param context  [batch, tokens, context channels] */
void pm_unet_forward_recorded(float *out, struct pm_unet_record *record, const struct pm_unet *unet,
                              const float *latents, float timestep, const float *context,
                              size_t batch, size_t tokens, size_t height, size_t width,
                              struct pm_arena *arena);

/** The gradient of sum(cotangent · out) at the recorded pass.
 *  @param grad_context  [batch, tokens, context channels]
 *  @param grad_latents  [batch, height, width, in_channels], or NULL: then it ends at the first
 *                       attention to the text
 *  @param cotangent     [batch, height, width, out_channels]
 *  @param scratch       may be the arena of the record */
void pm_unet_backward(float *grad_context, float *grad_latents, const struct pm_unet_record *record,
                      const float *cotangent, struct pm_arena *scratch);
#endif
