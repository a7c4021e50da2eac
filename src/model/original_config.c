#include "pm/model/original_config.h"

#include "pm/model/component_config.h"
#include "pm/model/tokenizer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define UNET "model.diffusion_model."
#define VAE "first_stage_model."
#define CLIP "cond_stage_model.transformer.text_model."
#define OPEN_CLIP "cond_stage_model.model."

enum { MOST_BLOCKS = 128, HEAD_CHANNELS = 64, HEADS = 8 };
enum { OPEN_CLIP_H_CHANNELS = 1024, OPEN_CLIP_H_LAYERS = 23 }; /* SD 2's: 24, the last unused */

/** What is looked into, and where a missing tensor is told. */
struct looking {
    const struct pm_safetensors *file;
    struct pm_error *err;
};

static const struct pm_tensor *find(const struct looking *l, const char *format, va_list args)
{
    char name[PM_ORIGINAL_NAME_BYTES];
    vsnprintf(name, sizeof name, format, args);
    return pm_safetensors_find(l->file, name);
}

__attribute__((format(printf, 2, 3))) static bool has(const struct looking *l, const char *format,
                                                      ...)
{
    va_list args;
    va_start(args, format);
    const struct pm_tensor *tensor = find(l, format, args);
    va_end(args);
    return tensor != NULL;
}

/* A side of a tensor that must be there. */
__attribute__((format(printf, 4, 5))) static bool side(const struct looking *l, size_t *out,
                                                       size_t dimension, const char *format, ...)
{
    char name[PM_ORIGINAL_NAME_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const struct pm_tensor *tensor = pm_safetensors_find(l->file, name);
    if (!tensor || tensor->rank <= dimension)
        return pm_fail(l->err, PM_E_FORMAT,
                       "%s %s \"%s\": it is no whole Stable Diffusion checkpoint", l->file->path,
                       tensor ? "has another shape of" : "has no tensor", name);
    *out = tensor->shape[dimension];
    return true;
}

/** Beginnings of names in files that are something else, which is worth saying. */
static const struct {
    const char *beginning, *what;
} others[] = {
    {"conditioner.embedders.", "Stable Diffusion XL, which is not supported; 1.x and 2.x are"},
    {"model.diffusion_model.joint_blocks.",
     "Stable Diffusion 3, which is not supported; 1.x and 2.x are"},
    {"model.diffusion_model.double_blocks.", "Flux, which is not supported"},
    {"control_model.", "a ControlNet, which is not supported"},
    {"lora_", "a LoRA: give it with \"lora\" or --lora, beside a model"},
    {"down_blocks.", "one network in the diffusers layout: give the whole model's folder"},
    {"encoder.down_blocks.", "one network in the diffusers layout: give the whole model's folder"},
    {"text_model.", "one network in the diffusers layout: give the whole model's folder"},
};

static bool refuse_others(const struct looking *l)
{
    for (size_t i = 0; i < l->file->count; i++)
        for (size_t j = 0; j < sizeof others / sizeof *others; j++)
            if (strncmp(l->file->tensors[i].name, others[j].beginning,
                        strlen(others[j].beginning)) == 0)
                return pm_fail(l->err, PM_E_FORMAT, "%s is %s", l->file->path, others[j].what);
    return true;
}

static void append_size(json_t *list, size_t size)
{
    json_array_append_new(list, json_integer((json_int_t)size));
}

static void set_size(json_t *object, const char *key, size_t size)
{
    json_object_set_new(object, key, json_integer((json_int_t)size));
}

/* Residual blocks of a level: the first downsampler comes after them. */
static size_t count_unet_layers(const struct looking *l)
{
    size_t index = 1;
    while (index < MOST_BLOCKS && has(l, UNET "input_blocks.%zu.0.in_layers.0.weight", index))
        index++;
    return index - 1;
}

/* One level; channels, kinds of blocks and heads are appended to the config's lists. */
static bool infer_unet_level(json_t *c, const struct looking *l, size_t level, size_t layers,
                             bool has_wide_heads)
{
    size_t channels, first = 1 + level * (layers + 1);
    PM_TRY(side(l, &channels, 0, UNET "input_blocks.%zu.0.out_layers.3.weight", first));
    bool attends = has(l, UNET "input_blocks.%zu.1.proj_in.weight", first);
    bool up_attends =
        has(l, UNET "output_blocks.%zu.1.proj_in.weight", level * (layers + 1)); /* from below */
    append_size(json_object_get(c, "block_out_channels"), channels);
    append_size(json_object_get(c, "attention_head_dim"), /* number of heads, in diffusers */
                has_wide_heads ? channels / HEAD_CHANNELS : HEADS);
    json_array_append_new(json_object_get(c, "down_block_types"),
                          json_string(attends ? "CrossAttnDownBlock2D" : "DownBlock2D"));
    json_array_append_new(json_object_get(c, "up_block_types"),
                          json_string(up_attends ? "CrossAttnUpBlock2D" : "UpBlock2D"));
    return true;
}

static bool infer_unet(struct pm_original_model *m, const struct looking *l)
{
    static const char *const lists[] = {"block_out_channels", "attention_head_dim",
                                        "down_block_types", "up_block_types"};
    json_t *c = m->configs[PM_UNET] = json_object();
    size_t in, out, context, layers = count_unet_layers(l), levels = 1, depth = 1;
    PM_TRY(side(l, &in, 1, UNET "input_blocks.0.0.weight"));
    PM_TRY(side(l, &out, 0, UNET "out.2.weight"));
    PM_TRY(side(l, &context, 1, UNET "middle_block.1.transformer_blocks.0.attn2.to_k.weight"));
    while (levels <= PM_MAX_LEVELS &&
           has(l, UNET "input_blocks.%zu.0.op.weight", levels * (layers + 1)))
        levels++;
    while (depth < MOST_BLOCKS &&
           has(l, UNET "middle_block.1.transformer_blocks.%zu.norm1.weight", depth))
        depth++;
    set_size(c, "in_channels", in);
    set_size(c, "out_channels", out);
    set_size(c, "cross_attention_dim", context);
    set_size(c, "layers_per_block", layers);
    set_size(c, "transformer_layers_per_block", depth);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        json_object_set_new(c, lists[i], json_array());
    for (size_t level = 0; level < levels; level++)
        PM_TRY(infer_unet_level(c, l, level, layers, m->is_open_clip));
    m->sizes.unet_layers = layers;
    return true;
}

static bool infer_vae(struct pm_original_model *m, const struct looking *l)
{
    json_t *c = m->configs[PM_VAE] = json_object();
    json_t *channels = json_array(), *down = json_array(), *up = json_array();
    json_object_set_new(c, "block_out_channels", channels);
    json_object_set_new(c, "down_block_types", down);
    json_object_set_new(c, "up_block_types", up);
    size_t latent, levels = 0, layers = 0;
    PM_TRY(side(l, &latent, 1, VAE "decoder.conv_in.weight"));
    do {
        size_t size;
        PM_TRY(side(l, &size, 0, VAE "encoder.down.%zu.block.0.conv1.weight", levels));
        append_size(channels, size);
        json_array_append_new(down, json_string("DownEncoderBlock2D"));
        json_array_append_new(up, json_string("UpDecoderBlock2D"));
    } while (++levels <= PM_MAX_LEVELS &&
             has(l, VAE "encoder.down.%zu.block.0.conv1.weight", levels));
    while (layers < MOST_BLOCKS && has(l, VAE "encoder.down.0.block.%zu.conv1.weight", layers))
        layers++;
    set_size(c, "latent_channels", latent);
    set_size(c, "layers_per_block", layers);
    json_object_set_new(c, "use_quant_conv", json_boolean(has(l, VAE "quant_conv.weight")));
    json_object_set_new(c, "use_post_quant_conv",
                        json_boolean(has(l, VAE "post_quant_conv.weight")));
    m->sizes.vae_levels = levels;
    return true;
}

static bool infer_text_encoder(struct pm_original_model *m, const struct looking *l)
{
    json_t *c = m->configs[PM_TEXT_ENCODER] = json_object();
    size_t vocabulary, channels, feed, layers = 0;
    if (m->is_open_clip) {
        PM_TRY(side(l, &vocabulary, 0, OPEN_CLIP "token_embedding.weight"));
        PM_TRY(side(l, &channels, 1, OPEN_CLIP "token_embedding.weight"));
        PM_TRY(side(l, &feed, 0, OPEN_CLIP "transformer.resblocks.0.mlp.c_fc.weight"));
        while (layers < MOST_BLOCKS &&
               has(l, OPEN_CLIP "transformer.resblocks.%zu.ln_1.weight", layers))
            layers++;
        layers = channels == OPEN_CLIP_H_CHANNELS ? OPEN_CLIP_H_LAYERS : layers - 1;
    } else {
        PM_TRY(side(l, &vocabulary, 0, CLIP "embeddings.token_embedding.weight"));
        PM_TRY(side(l, &channels, 1, CLIP "embeddings.token_embedding.weight"));
        PM_TRY(side(l, &feed, 0, CLIP "encoder.layers.0.mlp.fc1.weight"));
        while (layers < MOST_BLOCKS && has(l, CLIP "encoder.layers.%zu.layer_norm1.weight", layers))
            layers++;
    }
    set_size(c, "vocab_size", vocabulary);
    set_size(c, "hidden_size", channels);
    set_size(c, "intermediate_size", feed);
    set_size(c, "num_attention_heads", channels / HEAD_CHANNELS);
    set_size(c, "num_hidden_layers", layers);
    json_object_set_new(c, "hidden_act", json_string(m->is_open_clip ? "gelu" : "quick_gelu"));
    return true;
}

/* @return "epsilon" or "v_prediction" */
static const char *prediction_of(const struct pm_original_model *m, const json_t *metadata)
{
    const char *said = json_string_value(json_object_get(metadata, "modelspec.prediction_type"));
    if (said && strcmp(said, "epsilon") == 0) return "epsilon";
    if (said && strcmp(said, "v") == 0) return "v_prediction";
    return m->is_open_clip ? "v_prediction" : "epsilon";
}

/* @return the trained pictures' side in pixels: the longer one of "768x768" */
static size_t side_of(const json_t *metadata, size_t otherwise)
{
    const char *said = json_string_value(json_object_get(metadata, "modelspec.resolution"));
    unsigned width, height;
    if (!said || strlen(said) > 11 || sscanf(said, "%ux%u", &width, &height) != 2) return otherwise;
    size_t longer = width > height ? width : height;
    return longer >= 64 && longer <= 8192 ? longer : otherwise;
}

static void infer_scheduler(struct pm_original_model *m, const struct looking *l,
                            const char *prediction)
{
    const json_t *metadata = json_object_get(l->file->header, "__metadata__");
    if (!prediction) prediction = prediction_of(m, metadata);
    bool is_768 = m->is_open_clip && strcmp(prediction, "v_prediction") == 0;
    set_size(m->configs[PM_UNET], "sample_size",
             side_of(metadata, is_768 ? 768 : 512) >> (m->sizes.vae_levels - 1));
    m->scheduler = json_pack("{s:s, s:f, s:f, s:s, s:i, s:b, s:b, s:i, s:s}", "_class_name",
                             m->is_open_clip ? "DDIMScheduler" : "PNDMScheduler", "beta_start",
                             0.00085, "beta_end", 0.012, "beta_schedule", "scaled_linear",
                             "num_train_timesteps", 1000, "set_alpha_to_one", 0, "skip_prk_steps",
                             1, "steps_offset", 1, "prediction_type", prediction);
}

bool pm_original_model_infer(struct pm_original_model *out, const struct pm_safetensors *file,
                             const char *prediction, struct pm_error *err)
{
    const struct looking l = {.file = file, .err = err};
    *out = (struct pm_original_model){0};
    PM_TRY(refuse_others(&l));
    out->is_open_clip = has(&l, OPEN_CLIP "token_embedding.weight");
    if (infer_unet(out, &l) && infer_vae(out, &l) && infer_text_encoder(out, &l)) {
        out->sizes.text_layers = (size_t)json_integer_value(
            json_object_get(out->configs[PM_TEXT_ENCODER], "num_hidden_layers"));
        infer_scheduler(out, &l, prediction);
        return true;
    }
    pm_original_model_free(out);
    return false;
}

void pm_original_model_free(struct pm_original_model *model)
{
    for (int i = 0; i < PM_NETWORKS; i++) json_decref(model->configs[i]);
    json_decref(model->scheduler);
    *model = (struct pm_original_model){0};
}
