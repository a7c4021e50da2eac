#include "pm/model/vae.h"

#include <stdio.h>

static const float EPS = 1e-6f; /* of every norm, diffusers' vae.py */

static const struct pm_config_rule rules[] = {
    {"in_channels", NULL},
    {"out_channels", NULL},
    {"latent_channels", NULL},
    {"sample_size", NULL},
    {"block_out_channels", NULL},
    {"down_block_types", NULL},
    {"up_block_types", NULL},
    {"layers_per_block", NULL},
    {"norm_num_groups", NULL},
    {"scaling_factor", NULL},
    {"use_quant_conv", NULL},
    {"use_post_quant_conv", NULL},
    {"force_upcast", "true|false|null"}, /* everything is float32 */
    {"act_fn", "\"silu\""},
    {"mid_block_add_attention", "true"},
    {NULL, NULL}};

static bool read_config(struct pm_vae_config *c, const json_t *config, const char *path,
                        struct pm_error *err)
{
    static const char *const down_names[] = {"DownEncoderBlock2D", NULL};
    static const char *const up_names[] = {"UpDecoderBlock2D", NULL};
    double scaling_factor = 0.18215;
    size_t out_channels = 3;
    int kinds[PM_MAX_LEVELS];
    *c = (struct pm_vae_config){.in_channels = 3,
                                .latent_channels = 4,
                                .levels = 1,
                                .channels = {64},
                                .layers_per_block = 1,
                                .groups = 32,
                                .has_quant_conv = true,
                                .has_post_quant_conv = true};
    PM_TRY(pm_config_check(config, path, rules, err));
    PM_TRY(
        pm_config_sizes(config, path, "block_out_channels", 16384, c->channels, &c->levels, err));
    PM_TRY(
        pm_config_block_types(config, path, "down_block_types", down_names, kinds, c->levels, err));
    PM_TRY(pm_config_block_types(config, path, "up_block_types", up_names, kinds, c->levels, err));
    PM_TRY(pm_json_size(config, path, "in_channels", 3, 3, &c->in_channels, err));
    PM_TRY(pm_json_size(config, path, "out_channels", 3, 3, &out_channels, err));
    PM_TRY(pm_json_size(config, path, "latent_channels", 1, 64, &c->latent_channels, err));
    PM_TRY(pm_json_size(config, path, "layers_per_block", 1, PM_VAE_MAX_LAYERS,
                        &c->layers_per_block, err));
    PM_TRY(pm_json_size(config, path, "norm_num_groups", 1, 4096, &c->groups, err));
    PM_TRY(pm_json_number(config, path, "scaling_factor", 1e-3, 1e3, &scaling_factor, err));
    PM_TRY(pm_json_bool(config, path, "use_quant_conv", &c->has_quant_conv, err));
    PM_TRY(pm_json_bool(config, path, "use_post_quant_conv", &c->has_post_quant_conv, err));
    c->scaling_factor = (float)scaling_factor;
    for (size_t i = 0; i < c->levels; i++)
        if (c->channels[i] % c->groups != 0)
            return pm_fail(err, PM_E_FORMAT, "%s: %zu channels are no multiple of %zu groups", path,
                           c->channels[i], c->groups);
    return true;
}

static bool load_attention(struct pm_vae_attention *a, struct pm_weights *weights, size_t channels,
                           const char *half, struct pm_error *err)
{
    static const char *const now[] = {"to_q", "to_k", "to_v", NULL};
    static const char *const before[] = {"query", "key", "value", NULL}; /* diffusers < 0.17 */
    char name[64];
    snprintf(name, sizeof name, "%s.mid_block.attentions.0", half);
    bool is_old = pm_weights_has(weights, "%s.query.weight", name);
    PM_TRY(pm_weights_norm(&a->norm, weights, channels, err, "%s.group_norm", name));
    PM_TRY(pm_weights_fused_linear(&a->qkv, weights, channels, channels, PM_BIAS,
                                   is_old ? before : now, err, "%s", name));
    return pm_weights_linear(&a->out, weights, channels, channels, PM_BIAS, err, "%s.%s", name,
                             is_old ? "proj_attn" : "to_out.0");
}

static bool load_middle(struct pm_vae_half *h, struct pm_weights *weights,
                        const struct pm_vae_config *c, const char *half, struct pm_error *err)
{
    size_t top = c->channels[c->levels - 1];
    for (size_t i = 0; i < 2; i++)
        PM_TRY(pm_resnet_load(&h->mid[i], weights, top, top, 0, c->groups, EPS, err,
                              "%s.mid_block.resnets.%zu", half, i));
    return load_attention(&h->attention, weights, top, half, err);
}

static bool load_level(struct pm_vae_level *level, struct pm_weights *weights,
                       const struct pm_vae_config *c, size_t out, size_t in, const char *name,
                       const char *resampler, struct pm_error *err)
{
    for (size_t i = 0; i < level->layers; i++)
        PM_TRY(pm_resnet_load(&level->resnets[i], weights, out, i ? out : in, 0, c->groups, EPS,
                              err, "%s.resnets.%zu", name, i));
    if (!level->resamples) return true;
    return pm_weights_conv(&level->resample, weights, out, out, 3, err, "%s.%s.0.conv", name,
                           resampler);
}

static bool load_encoder(struct pm_vae *vae, struct pm_weights *weights, struct pm_error *err)
{
    const struct pm_vae_config *c = &vae->config;
    struct pm_vae_half *h = &vae->encoder;
    size_t top = c->channels[c->levels - 1];
    h->conv_in = h->conv_out = (struct pm_conv){.stride = 1, .pad_before = 1, .pad_after = 1};
    PM_TRY(pm_weights_conv(&h->conv_in, weights, c->channels[0], c->in_channels, 3, err,
                           "encoder.conv_in"));
    for (size_t i = 0; i < c->levels; i++) {
        char name[48];
        snprintf(name, sizeof name, "encoder.down_blocks.%zu", i);
        h->levels[i] = (struct pm_vae_level){.layers = c->layers_per_block,
                                             .resamples = i + 1 < c->levels,
                                             .resample = {.stride = 2, .pad_after = 1}};
        PM_TRY(load_level(&h->levels[i], weights, c, c->channels[i], c->channels[i ? i - 1 : 0],
                          name, "downsamplers", err));
    }
    PM_TRY(load_middle(h, weights, c, "encoder", err));
    PM_TRY(pm_weights_norm(&h->norm_out, weights, top, err, "encoder.conv_norm_out"));
    return pm_weights_conv(&h->conv_out, weights, 2 * c->latent_channels, top, 3, err,
                           "encoder.conv_out");
}

static bool load_decoder(struct pm_vae *vae, struct pm_weights *weights, struct pm_error *err)
{
    const struct pm_vae_config *c = &vae->config;
    struct pm_vae_half *h = &vae->decoder;
    size_t top = c->channels[c->levels - 1];
    h->conv_in = h->conv_out = (struct pm_conv){.stride = 1, .pad_before = 1, .pad_after = 1};
    PM_TRY(
        pm_weights_conv(&h->conv_in, weights, top, c->latent_channels, 3, err, "decoder.conv_in"));
    PM_TRY(load_middle(h, weights, c, "decoder", err));
    for (size_t i = 0; i < c->levels; i++) {
        size_t level = c->levels - 1 - i;
        char name[48];
        snprintf(name, sizeof name, "decoder.up_blocks.%zu", i);
        h->levels[i] =
            (struct pm_vae_level){.layers = c->layers_per_block + 1,
                                  .resamples = level > 0,
                                  .resample = {.stride = 1, .pad_before = 1, .pad_after = 1}};
        PM_TRY(load_level(&h->levels[i], weights, c, c->channels[level],
                          c->channels[i ? level + 1 : level], name, "upsamplers", err));
    }
    PM_TRY(pm_weights_norm(&h->norm_out, weights, c->channels[0], err, "decoder.conv_norm_out"));
    return pm_weights_conv(&h->conv_out, weights, c->in_channels, c->channels[0], 3, err,
                           "decoder.conv_out");
}

static bool load_weights(struct pm_vae *vae, struct pm_weights *weights, struct pm_error *err)
{
    const struct pm_vae_config *c = &vae->config;
    size_t n = c->latent_channels;
    vae->quant_conv = vae->post_quant_conv = (struct pm_conv){.stride = 1};
    PM_TRY(load_encoder(vae, weights, err));
    PM_TRY(load_decoder(vae, weights, err));
    if (c->has_quant_conv)
        PM_TRY(pm_weights_conv(&vae->quant_conv, weights, 2 * n, 2 * n, 1, err, "quant_conv"));
    if (c->has_post_quant_conv)
        PM_TRY(pm_weights_conv(&vae->post_quant_conv, weights, n, n, 1, err, "post_quant_conv"));
    return pm_weights_check_all_used(weights, err);
}

bool pm_vae_load_from(struct pm_vae *out, const struct pm_component *component,
                      struct pm_arena *memory, struct pm_error *err)
{
    struct pm_weights weights;
    *out = (struct pm_vae){0};
    PM_TRY(read_config(&out->config, component->config, component->path, err));
    out->factor = (size_t)1 << (out->config.levels - 1);
    pm_weights_open(&weights, component, memory);
    bool ok = load_weights(out, &weights, err);
    pm_weights_close(&weights);
    return ok;
}

bool pm_vae_load(struct pm_vae *out, const char *folder, struct pm_arena *memory,
                 struct pm_error *err)
{
    struct pm_component component;
    PM_TRY(pm_component_open(&component, folder, PM_VAE, err));
    bool ok = pm_vae_load_from(out, &component, memory, err);
    pm_component_close(&component);
    return ok;
}
