#include "pm/model/unet.h"

#include <string.h>

/* What diffusers' constructor takes and this network does not do differently. */
static const struct pm_config_rule rules[] = {
    {"in_channels", NULL},
    {"out_channels", NULL},
    {"sample_size", NULL},
    {"block_out_channels", NULL},
    {"down_block_types", NULL},
    {"up_block_types", NULL},
    {"layers_per_block", NULL},
    {"attention_head_dim", NULL},
    {"cross_attention_dim", NULL},
    {"norm_num_groups", NULL},
    {"norm_eps", NULL},
    {"flip_sin_to_cos", NULL},
    {"freq_shift", NULL},
    {"transformer_layers_per_block", NULL},
    {"use_linear_projection", "true|false"}, /* the same over channels last */
    {"upcast_attention", "true|false|null"}, /* everything is float32 */
    {"dropout", NULL},                       /* inference */
    {"mid_block_type", "\"UNetMidBlock2DCrossAttn\""},
    {"act_fn", "\"silu\""},
    {"downsample_padding", "1"},
    {"conv_in_kernel", "3"},
    {"conv_out_kernel", "3"},
    {"mid_block_scale_factor", "1|1.0"},
    {"resnet_out_scale_factor", "1|1.0"},
    {"resnet_time_scale_shift", "\"default\""},
    {"time_embedding_type", "\"positional\""},
    {"attention_type", "\"default\""},
    {"addition_embed_type_num_heads", NULL}, /* without addition_embed_type it means nothing */
    {NULL, NULL}};

static bool read_heads(struct pm_unet_config *c, const json_t *config, const char *path,
                       struct pm_error *err)
{
    /* diffusers calls the number of heads attention_head_dim */
    const json_t *heads = json_object_get(config, "attention_head_dim");
    if (json_is_array(heads)) {
        size_t count = 0;
        PM_TRY(pm_config_sizes(config, path, "attention_head_dim", 256, c->heads, &count, err));
        if (count != c->levels)
            return pm_fail(err, PM_E_FORMAT, "%s: \"attention_head_dim\" lists %zu levels of %zu",
                           path, count, c->levels);
        return true;
    }
    size_t same = 8;
    PM_TRY(pm_json_size(config, path, "attention_head_dim", 1, 256, &same, err));
    for (size_t i = 0; i < c->levels; i++) c->heads[i] = same;
    return true;
}

static bool read_blocks(struct pm_unet_config *c, const json_t *config, const char *path,
                        struct pm_error *err)
{
    static const char *const down_names[] = {"DownBlock2D", "CrossAttnDownBlock2D", NULL};
    static const char *const up_names[] = {"UpBlock2D", "CrossAttnUpBlock2D", NULL};
    int down[PM_MAX_LEVELS], up[PM_MAX_LEVELS];
    PM_TRY(
        pm_config_sizes(config, path, "block_out_channels", 16384, c->channels, &c->levels, err));
    if (c->levels == 0)
        return pm_fail(err, PM_E_FORMAT, "%s: \"block_out_channels\" is missing", path);
    PM_TRY(
        pm_config_block_types(config, path, "down_block_types", down_names, down, c->levels, err));
    PM_TRY(pm_config_block_types(config, path, "up_block_types", up_names, up, c->levels, err));
    for (size_t i = 0; i < c->levels; i++) {
        c->down_attends[i] = down[i] == 1;
        c->up_attends[i] = up[i] == 1;
    }
    return true;
}

static bool read_config(struct pm_unet_config *c, const json_t *config, const char *path,
                        struct pm_error *err)
{
    double eps = 1e-5;
    *c = (struct pm_unet_config){.in_channels = 4,
                                 .out_channels = 4,
                                 .sample_size = 64,
                                 .layers_per_block = 2,
                                 .transformer_depth = 1,
                                 .context_channels = 1280,
                                 .groups = 32,
                                 .flip_sin_to_cos = true};
    PM_TRY(pm_config_check(config, path, rules, err));
    PM_TRY(read_blocks(c, config, path, err));
    PM_TRY(read_heads(c, config, path, err));
    PM_TRY(pm_json_size(config, path, "in_channels", 1, 64, &c->in_channels, err));
    PM_TRY(pm_json_size(config, path, "out_channels", 1, 64, &c->out_channels, err));
    PM_TRY(pm_json_size(config, path, "sample_size", 1, 4096, &c->sample_size, err));
    PM_TRY(pm_json_size(config, path, "layers_per_block", 1, PM_MAX_BLOCK_LAYERS,
                        &c->layers_per_block, err));
    PM_TRY(pm_json_size(config, path, "transformer_layers_per_block", 1, 64, &c->transformer_depth,
                        err));
    PM_TRY(pm_json_size(config, path, "cross_attention_dim", 1, 16384, &c->context_channels, err));
    PM_TRY(pm_json_size(config, path, "norm_num_groups", 1, 4096, &c->groups, err));
    PM_TRY(pm_json_number(config, path, "norm_eps", 0.0, 1.0, &eps, err));
    PM_TRY(pm_json_bool(config, path, "flip_sin_to_cos", &c->flip_sin_to_cos, err));
    PM_TRY(pm_json_number(config, path, "freq_shift", 0.0, 1.0, &c->freq_shift, err));
    c->eps = (float)eps;
    for (size_t i = 0; i < c->levels; i++)
        if (c->channels[i] % c->groups != 0)
            return pm_fail(err, PM_E_FORMAT, "%s: %zu channels are no multiple of %zu groups", path,
                           c->channels[i], c->groups);
    if (c->channels[0] < 4 || c->channels[0] % 2 != 0)
        return pm_fail(err, PM_E_FORMAT, "%s: a first level of %zu channels has no time embedding",
                       path, c->channels[0]);
    if (c->in_channels != c->out_channels)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"in_channels\" is %zu, \"out_channels\" %zu: an inpainting or other "
                       "special model, which is not supported",
                       path, c->in_channels, c->out_channels);
    return true;
}

static bool load_attention(struct pm_unet_block *block, const struct pm_unet_config *c,
                           size_t level, size_t i, struct pm_weights *weights, const char *name,
                           struct pm_error *err)
{
    return pm_transformer_load(&block->transformers[i], weights, c->channels[level],
                               c->context_channels, c->heads[level], c->transformer_depth,
                               c->groups, err, "%s.attentions.%zu", name, i);
}

static bool load_down(struct pm_unet *u, size_t level, struct pm_weights *weights,
                      struct pm_error *err)
{
    const struct pm_unet_config *c = &u->config;
    struct pm_unet_block *block = &u->down[level];
    char name[48];
    snprintf(name, sizeof name, "down_blocks.%zu", level);
    size_t out = c->channels[level], in = level ? c->channels[level - 1] : out;
    block->layers = c->layers_per_block;
    block->attends = c->down_attends[level];
    block->resamples = level + 1 < c->levels;
    for (size_t i = 0; i < block->layers; i++) {
        PM_TRY(pm_resnet_load(&block->resnets[i], weights, out, i ? out : in, 4 * c->channels[0],
                              c->groups, c->eps, err, "%s.resnets.%zu", name, i));
        if (block->attends) PM_TRY(load_attention(block, c, level, i, weights, name, err));
    }
    block->resample = (struct pm_conv){.stride = 2, .pad_before = 1, .pad_after = 1};
    return !block->resamples || pm_weights_conv(&block->resample, weights, out, out, 3, err,
                                                "%s.downsamplers.0.conv", name);
}

static bool load_mid(struct pm_unet *u, struct pm_weights *weights, struct pm_error *err)
{
    const struct pm_unet_config *c = &u->config;
    size_t top = c->levels - 1;
    u->mid = (struct pm_unet_block){.layers = 2, .attends = true};
    for (size_t i = 0; i < 2; i++)
        PM_TRY(pm_resnet_load(&u->mid.resnets[i], weights, c->channels[top], c->channels[top],
                              4 * c->channels[0], c->groups, c->eps, err, "mid_block.resnets.%zu",
                              i));
    return load_attention(&u->mid, c, top, 0, weights, "mid_block", err);
}

/* Channels of the skip that the i-th resnet of an up level takes: the down path, backwards. */
static size_t skip_channels(const struct pm_unet_config *c, size_t level, size_t i)
{
    bool last = i == c->layers_per_block;
    return c->channels[last && level > 0 ? level - 1 : level];
}

static bool load_up(struct pm_unet *u, size_t position, struct pm_weights *weights,
                    struct pm_error *err)
{
    const struct pm_unet_config *c = &u->config;
    struct pm_unet_block *block = &u->up[position];
    size_t level = c->levels - 1 - position, out = c->channels[level];
    size_t below = c->channels[position ? level + 1 : level];
    char name[48];
    snprintf(name, sizeof name, "up_blocks.%zu", position);
    block->layers = c->layers_per_block + 1;
    block->attends = c->up_attends[position];
    block->resamples = level > 0;
    for (size_t i = 0; i < block->layers; i++) {
        size_t in = (i ? out : below) + skip_channels(c, level, i);
        PM_TRY(pm_resnet_load(&block->resnets[i], weights, out, in, 4 * c->channels[0], c->groups,
                              c->eps, err, "%s.resnets.%zu", name, i));
        if (block->attends) PM_TRY(load_attention(block, c, level, i, weights, name, err));
    }
    block->resample = (struct pm_conv){.stride = 1, .pad_before = 1, .pad_after = 1};
    return !block->resamples || pm_weights_conv(&block->resample, weights, out, out, 3, err,
                                                "%s.upsamplers.0.conv", name);
}

static bool load_weights(struct pm_unet *u, struct pm_weights *weights, struct pm_error *err)
{
    const struct pm_unet_config *c = &u->config;
    size_t base = c->channels[0], time = 4 * base;
    enum pm_precision precision = weights->precision;
    u->conv_in = u->conv_out = (struct pm_conv){.stride = 1, .pad_before = 1, .pad_after = 1};
    /* What is little work and goes into every layer, or comes out of the last one, stays float32. */
    weights->precision = PM_FP32;
    PM_TRY(pm_weights_conv(&u->conv_in, weights, base, c->in_channels, 3, err, "conv_in"));
    PM_TRY(
        pm_weights_linear(&u->time1, weights, time, base, PM_BIAS, err, "time_embedding.linear_1"));
    PM_TRY(
        pm_weights_linear(&u->time2, weights, time, time, PM_BIAS, err, "time_embedding.linear_2"));
    weights->precision = precision;
    for (size_t i = 0; i < c->levels; i++) PM_TRY(load_down(u, i, weights, err));
    PM_TRY(load_mid(u, weights, err));
    for (size_t i = 0; i < c->levels; i++) PM_TRY(load_up(u, i, weights, err));
    PM_TRY(pm_weights_norm(&u->norm_out, weights, base, err, "conv_norm_out"));
    weights->precision = PM_FP32;
    PM_TRY(pm_weights_conv(&u->conv_out, weights, c->out_channels, base, 3, err, "conv_out"));
    return pm_weights_check_all_used(weights, err);
}

bool pm_unet_load_from(struct pm_unet *out, const struct pm_component *component,
                       struct pm_loras *loras, struct pm_arena *memory, struct pm_error *err)
{
    struct pm_weights weights;
    *out = (struct pm_unet){0};
    PM_TRY(read_config(&out->config, component->config, component->path, err));
    pm_weights_open(&weights, component, memory);
    weights.loras = loras;
    weights.network = PM_LORA_UNET;
    bool ok = load_weights(out, &weights, err);
    pm_weights_close(&weights);
    return ok;
}

bool pm_unet_load(struct pm_unet *out, const char *folder, struct pm_arena *memory,
                  struct pm_error *err)
{
    struct pm_component component;
    PM_TRY(pm_component_open(&component, folder, PM_UNET, err));
    bool ok = pm_unet_load_from(out, &component, NULL, memory, err);
    pm_component_close(&component);
    return ok;
}
