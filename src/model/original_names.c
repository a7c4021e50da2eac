#include "pm/model/original_names.h"

#include <stdio.h>
#include <string.h>

/** A beginning of a name, and what takes its place; lists end with NULL. */
struct renaming {
    const char *from, *to;
};

/** The name that is being made: what is done, and what is left of the old one. */
struct making {
    struct pm_original_name *out;
    const char *rest;
};

/* Does the rest begin so? Then it is passed. */
static bool pass(struct making *m, const char *beginning)
{
    size_t length = strlen(beginning);
    if (strncmp(m->rest, beginning, length) != 0) return false;
    m->rest += length;
    return true;
}

/* A number of few digits and the point after it. */
static bool pass_number(struct making *m, size_t *number)
{
    size_t digits = strspn(m->rest, "0123456789");
    if (digits == 0 || digits > 4 || m->rest[digits] != '.') return false;
    *number = 0;
    for (size_t i = 0; i < digits; i++) *number = 10 * *number + (size_t)(m->rest[i] - '0');
    m->rest += digits + 1;
    return true;
}

static int finish(const struct making *m, const char *beginning)
{
    int n = snprintf(m->out->name, sizeof m->out->name, "%s%s", beginning, m->rest);
    return n > 0 && (size_t)n < sizeof m->out->name ? 1 : PM_ORIGINAL_UNKNOWN;
}

/* @param beginning  of the new name, before what the list has */
static int rename_by(struct making *m, const char *beginning, const struct renaming *list)
{
    char name[PM_ORIGINAL_NAME_BYTES];
    for (; list->from; list++)
        if (pass(m, list->from)) {
            snprintf(name, sizeof name, "%s%s", beginning, list->to);
            return finish(m, name);
        }
    return PM_ORIGINAL_UNKNOWN;
}

static int unet_resnet(struct making *m, const char *beginning)
{
    static const struct renaming parts[] = {{"in_layers.0.", "norm1."},
                                            {"in_layers.2.", "conv1."},
                                            {"emb_layers.1.", "time_emb_proj."},
                                            {"out_layers.0.", "norm2."},
                                            {"out_layers.3.", "conv2."},
                                            {"skip_connection.", "conv_shortcut."},
                                            {NULL, NULL}};
    return rename_by(m, beginning, parts);
}

/* input_blocks.N: conv_in, then each level's blocks and, but for the last, its downsampler. */
static int unet_down(struct making *m, const struct pm_original_sizes *sizes)
{
    size_t index, part;
    char name[96];
    if (!pass_number(m, &index) || !pass_number(m, &part)) return PM_ORIGINAL_UNKNOWN;
    if (index == 0) return part == 0 ? finish(m, "conv_in.") : PM_ORIGINAL_UNKNOWN;
    size_t level = (index - 1) / (sizes->unet_layers + 1);
    size_t layer = (index - 1) % (sizes->unet_layers + 1);
    if (layer == sizes->unet_layers) {
        snprintf(name, sizeof name, "down_blocks.%zu.downsamplers.0.conv.", level);
        return part == 0 && pass(m, "op.") ? finish(m, name) : PM_ORIGINAL_UNKNOWN;
    }
    if (part > 1) return PM_ORIGINAL_UNKNOWN;
    snprintf(name, sizeof name, "down_blocks.%zu.%s.%zu.", level, part ? "attentions" : "resnets",
             layer);
    return part ? finish(m, name) : unet_resnet(m, name);
}

static int unet_middle(struct making *m)
{
    size_t part;
    if (!pass_number(m, &part) || part > 2) return PM_ORIGINAL_UNKNOWN;
    if (part == 1) return finish(m, "mid_block.attentions.0.");
    return unet_resnet(m, part ? "mid_block.resnets.1." : "mid_block.resnets.0.");
}

/* output_blocks.N: a level's blocks; its last ends with the upsampler, after the attention if there
 * is one. */
static int unet_up(struct making *m, const struct pm_original_sizes *sizes)
{
    size_t index, part;
    char name[96];
    if (!pass_number(m, &index) || !pass_number(m, &part) || part > 2) return PM_ORIGINAL_UNKNOWN;
    size_t level = index / (sizes->unet_layers + 1), layer = index % (sizes->unet_layers + 1);
    if (part > 0 && pass(m, "conv.")) {
        snprintf(name, sizeof name, "up_blocks.%zu.upsamplers.0.conv.", level);
        return layer == sizes->unet_layers ? finish(m, name) : PM_ORIGINAL_UNKNOWN;
    }
    if (part > 1) return PM_ORIGINAL_UNKNOWN;
    snprintf(name, sizeof name, "up_blocks.%zu.%s.%zu.", level, part ? "attentions" : "resnets",
             layer);
    return part ? finish(m, name) : unet_resnet(m, name);
}

static int unet(struct making *m, const struct pm_original_sizes *sizes)
{
    static const struct renaming ends[] = {{"time_embed.0.", "time_embedding.linear_1."},
                                           {"time_embed.2.", "time_embedding.linear_2."},
                                           {"out.0.", "conv_norm_out."},
                                           {"out.2.", "conv_out."},
                                           {NULL, NULL}};
    m->out->network = PM_UNET;
    if (pass(m, "input_blocks.")) return unet_down(m, sizes);
    if (pass(m, "middle_block.")) return unet_middle(m);
    if (pass(m, "output_blocks.")) return unet_up(m, sizes);
    return rename_by(m, "", ends);
}

/* @param half  "encoder." or "decoder." */
static int vae_middle(struct making *m, const char *half)
{
    static const struct renaming parts[] = {
        {"block_1.", "mid_block.resnets.0."},
        {"block_2.", "mid_block.resnets.1."},
        {"attn_1.norm.", "mid_block.attentions.0.group_norm."},
        {"attn_1.q.", "mid_block.attentions.0.to_q."},
        {"attn_1.k.", "mid_block.attentions.0.to_k."},
        {"attn_1.v.", "mid_block.attentions.0.to_v."},
        {"attn_1.proj_out.", "mid_block.attentions.0.to_out.0."},
        {NULL, NULL}};
    return rename_by(m, half, parts);
}

/* The decoder's levels are counted from the finest, in diffusers in the order of execution. */
static int vae_level(struct making *m, bool is_encoder, const struct pm_original_sizes *sizes)
{
    const char *blocks = is_encoder ? "encoder.down_blocks" : "decoder.up_blocks";
    size_t level, layer;
    char name[96];
    if (!pass_number(m, &level) || level >= sizes->vae_levels) return PM_ORIGINAL_UNKNOWN;
    if (!is_encoder) level = sizes->vae_levels - 1 - level;
    if (pass(m, is_encoder ? "downsample." : "upsample.")) {
        snprintf(name, sizeof name, "%s.%zu.%s.0.", blocks, level,
                 is_encoder ? "downsamplers" : "upsamplers");
        return finish(m, name);
    }
    if (!pass(m, "block.") || !pass_number(m, &layer)) return PM_ORIGINAL_UNKNOWN;
    bool is_shortcut = pass(m, "nin_shortcut.");
    snprintf(name, sizeof name, "%s.%zu.resnets.%zu.%s", blocks, level, layer,
             is_shortcut ? "conv_shortcut." : "");
    return finish(m, name);
}

static int vae(struct making *m, const struct pm_original_sizes *sizes)
{
    static const struct renaming ends[] = {{"conv_in.", "conv_in."},
                                           {"norm_out.", "conv_norm_out."},
                                           {"conv_out.", "conv_out."},
                                           {NULL, NULL}};
    m->out->network = PM_VAE;
    if (strncmp(m->rest, "quant_conv.", 11) == 0 || strncmp(m->rest, "post_quant_conv.", 16) == 0)
        return finish(m, "");
    bool is_encoder = pass(m, "encoder.");
    if (!is_encoder && !pass(m, "decoder.")) return PM_ORIGINAL_UNKNOWN;
    const char *half = is_encoder ? "encoder." : "decoder.";
    if (pass(m, "mid.")) return vae_middle(m, half);
    if (pass(m, is_encoder ? "down." : "up.")) return vae_level(m, is_encoder, sizes);
    return rename_by(m, half, ends);
}

static int open_clip_layer(struct making *m, const struct pm_original_sizes *sizes, int part)
{
    static const char letters[] = "qkv";
    static const struct renaming parts[] = {{"ln_1.", "layer_norm1."},
                                            {"ln_2.", "layer_norm2."},
                                            {"attn.out_proj.", "self_attn.out_proj."},
                                            {"mlp.c_fc.", "mlp.fc1."},
                                            {"mlp.c_proj.", "mlp.fc2."},
                                            {NULL, NULL}};
    size_t layer;
    char name[96];
    if (!pass_number(m, &layer)) return PM_ORIGINAL_UNKNOWN;
    if (layer >= sizes->text_layers) return PM_ORIGINAL_UNUSED;
    snprintf(name, sizeof name, "text_model.encoder.layers.%zu.", layer);
    if (!pass(m, "attn.in_proj_")) return rename_by(m, name, parts);
    snprintf(name, sizeof name, "text_model.encoder.layers.%zu.self_attn.%c_proj.", layer,
             letters[part]);
    return finish(m, name) == 1 ? 3 : PM_ORIGINAL_UNKNOWN;
}

static int open_clip(struct making *m, const struct pm_original_sizes *sizes, int part)
{
    static const struct renaming ends[] = {
        {"token_embedding.", "embeddings.token_embedding."},
        {"positional_embedding", "embeddings.position_embedding.weight"},
        {"ln_final.", "final_layer_norm."},
        {NULL, NULL}};
    static const char *const unused[] = {"text_projection", "logit_scale", "attn_mask"};
    m->out->network = PM_TEXT_ENCODER;
    if (pass(m, "transformer.resblocks.")) return open_clip_layer(m, sizes, part);
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        if (strcmp(m->rest, unused[i]) == 0) return PM_ORIGINAL_UNUSED;
    return rename_by(m, "text_model.", ends);
}

static int clip(struct making *m)
{
    m->out->network = PM_TEXT_ENCODER;
    if (strcmp(m->rest, "text_model.embeddings.position_ids") == 0) return PM_ORIGINAL_UNUSED;
    return strncmp(m->rest, "text_model.", 11) == 0 ? finish(m, "") : PM_ORIGINAL_UNKNOWN;
}

/* What training leaves behind: copies, discriminators, tables that the betas give. */
static bool is_of_training(const char *name)
{
    static const char *const beginnings[] = {"model_ema.", "first_stage_model.loss.",
                                             "first_stage_model.model_ema.", "denoiser."};
    static const char *const names[] = {"betas",
                                        "alphas_cumprod",
                                        "alphas_cumprod_prev",
                                        "sqrt_alphas_cumprod",
                                        "sqrt_one_minus_alphas_cumprod",
                                        "log_one_minus_alphas_cumprod",
                                        "sqrt_recip_alphas_cumprod",
                                        "sqrt_recipm1_alphas_cumprod",
                                        "posterior_variance",
                                        "posterior_log_variance_clipped",
                                        "posterior_mean_coef1",
                                        "posterior_mean_coef2",
                                        "lvlb_weights",
                                        "logvar",
                                        "scale_factor",
                                        "global_step",
                                        "cond_stage_model.logit_scale"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

int pm_original_name(struct pm_original_name *out, const char *name,
                     const struct pm_original_sizes *sizes, int part)
{
    struct making m = {.out = out, .rest = name};
    if (is_of_training(name)) return PM_ORIGINAL_UNUSED;
    if (pass(&m, "model.diffusion_model.")) return unet(&m, sizes);
    if (pass(&m, "first_stage_model.")) return vae(&m, sizes);
    if (pass(&m, "cond_stage_model.transformer.")) return clip(&m);
    if (pass(&m, "cond_stage_model.model.")) return open_clip(&m, sizes, part);
    return PM_ORIGINAL_UNKNOWN;
}
