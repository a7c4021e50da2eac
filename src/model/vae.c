#include "pm/model/vae.h"

#include "pm/model/linear.h"

#include <math.h>
#include <string.h>

static const float EPS = 1e-6f; /* of every norm, diffusers' vae.py */

/** An activation and its shape, as it goes through the levels. */
struct feature {
    float *x; /* [batch, height, width, channels] */
    size_t height, width, channels;
};

/** Features come and go in turn, each into the buffer that the one before it is not in. */
struct turns {
    float *buffers[2]; /* for the largest feature each */
    size_t next, batch;
    struct pm_arena *scratch;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t pm_vae_largest_feature(const struct pm_vae_half *half, size_t levels, size_t pixels)
{
    size_t largest = pixels * larger(half->conv_in.in, half->conv_in.out);
    for (size_t i = 0; i < levels; i++) {
        const struct pm_vae_level *level = &half->levels[i];
        for (size_t j = 0; j < level->layers; j++)
            largest = larger(largest, pixels * level->resnets[j].out);
        if (!level->resamples) continue;
        if (level->resample.stride == 1) pixels *= 4; /* enlarged before */
        largest = larger(largest, pixels * level->resample.in);
        if (level->resample.stride == 2) pixels /= 4;
    }
    return largest;
}

static struct turns turns_make(const struct pm_vae_half *half, size_t levels, size_t batch,
                               size_t pixels, struct pm_arena *scratch)
{
    size_t floats = batch * pm_vae_largest_feature(half, levels, pixels);
    return (struct turns){
        .buffers = {pm_arena_floats(scratch, floats), pm_arena_floats(scratch, floats)},
        .batch = batch,
        .scratch = scratch};
}

static struct feature feature_make(struct turns *t, size_t height, size_t width, size_t channels)
{
    float *x = t->buffers[t->next];
    t->next = 1 - t->next;
    return (struct feature){.x = x, .height = height, .width = width, .channels = channels};
}

static struct feature run_conv(struct feature in, const struct pm_conv *conv, struct turns *t)
{
    size_t pads = conv->pad_before + conv->pad_after;
    struct feature out =
        feature_make(t, (in.height + pads - conv->kernel) / conv->stride + 1,
                     (in.width + pads - conv->kernel) / conv->stride + 1, conv->out);
    pm_kernels()->conv(out.x, in.x, conv, NULL, NULL, t->batch, in.height, in.width, t->scratch);
    return out;
}

static struct feature run_resnet(struct feature in, const struct pm_resnet *resnet, struct turns *t)
{
    struct feature out = feature_make(t, in.height, in.width, resnet->out);
    pm_resnet_forward(out.x, NULL, in.x, resnet, NULL, t->batch, in.height, in.width, t->scratch);
    return out;
}

static void run_attention(struct feature f, const struct pm_vae_attention *a, size_t groups,
                          size_t batch, struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = scratch->used, c = f.channels, pixels = f.height * f.width;
    float *normed = pm_arena_floats(scratch, batch * pixels * c);
    float *qkv = pm_arena_floats(scratch, batch * pixels * 3 * c);
    struct pm_attention_shape shape = {.batch = batch,
                                       .heads = 1,
                                       .head_size = c,
                                       .queries = pixels,
                                       .keys = pixels,
                                       .q_stride = 3 * c,
                                       .k_stride = 3 * c,
                                       .v_stride = 3 * c,
                                       .out_stride = c,
                                       .scale = 1.0f / sqrtf((float)c)};
    k->group_norm(normed, f.x, a->norm.gamma, a->norm.beta, batch, pixels, c, groups, EPS,
                  PM_IDENTITY, scratch);
    pm_linear_forward(qkv, normed, &a->qkv, batch * pixels, PM_IDENTITY, NULL, scratch);
    k->attention(normed, qkv, qkv + c, qkv + 2 * c, &shape, scratch);
    pm_linear_forward(f.x, normed, &a->out, batch * pixels, PM_IDENTITY, f.x, scratch);
    scratch->used = mark;
}

static struct feature run_middle(struct feature f, const struct pm_vae_half *half, size_t groups,
                                 struct turns *t)
{
    f = run_resnet(f, &half->mid[0], t);
    run_attention(f, &half->attention, groups, t->batch, t->scratch);
    return run_resnet(f, &half->mid[1], t);
}

static struct feature run_out(struct feature f, const struct pm_vae_half *half, size_t groups,
                              struct turns *t)
{
    pm_kernels()->group_norm(f.x, f.x, half->norm_out.gamma, half->norm_out.beta, t->batch,
                             f.height * f.width, f.channels, groups, EPS, PM_SILU, t->scratch);
    return run_conv(f, &half->conv_out, t);
}

void pm_vae_encode(float *moments, const struct pm_vae *vae, const float *image, size_t batch,
                   size_t height, size_t width, struct pm_arena *scratch)
{
    const struct pm_vae_half *half = &vae->encoder;
    size_t mark = scratch->used, groups = vae->config.groups, n = vae->config.latent_channels;
    struct turns t = turns_make(half, vae->config.levels, batch, height * width, scratch);
    struct feature f = {(float *)image, height, width, vae->config.in_channels};
    f = run_conv(f, &half->conv_in, &t);
    for (size_t i = 0; i < vae->config.levels; i++) {
        const struct pm_vae_level *level = &half->levels[i];
        for (size_t j = 0; j < level->layers; j++) f = run_resnet(f, &level->resnets[j], &t);
        if (level->resamples) f = run_conv(f, &level->resample, &t);
    }
    f = run_middle(f, half, groups, &t);
    f = run_out(f, half, groups, &t);
    if (vae->config.has_quant_conv) f = run_conv(f, &vae->quant_conv, &t);
    for (size_t p = 0; p < batch * f.height * f.width; p++)
        for (size_t c = 0; c < 2 * n; c++) {
            float value = f.x[p * 2 * n + c];
            moments[p * 2 * n + c] = c < n ? value : fminf(fmaxf(value, -30.0f), 20.0f);
        }
    scratch->used = mark;
}

void pm_vae_decode(float *image, const struct pm_vae *vae, const float *latents, size_t batch,
                   size_t height, size_t width, struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    const struct pm_vae_half *half = &vae->decoder;
    size_t mark = scratch->used, groups = vae->config.groups;
    struct turns t = turns_make(half, vae->config.levels, batch, height * width, scratch);
    struct feature f = feature_make(&t, height, width, vae->config.latent_channels);
    for (size_t i = 0; i < batch * height * width * f.channels; i++)
        f.x[i] = latents[i] / vae->config.scaling_factor;
    if (vae->config.has_post_quant_conv) f = run_conv(f, &vae->post_quant_conv, &t);
    f = run_conv(f, &half->conv_in, &t);
    f = run_middle(f, half, groups, &t);
    for (size_t i = 0; i < vae->config.levels; i++) {
        const struct pm_vae_level *level = &half->levels[i];
        for (size_t j = 0; j < level->layers; j++) f = run_resnet(f, &level->resnets[j], &t);
        if (!level->resamples) continue;
        struct feature twice = feature_make(&t, 2 * f.height, 2 * f.width, f.channels);
        k->resize_nearest(twice.x, f.x, batch, f.height, f.width, twice.height, twice.width,
                          f.channels);
        f = run_conv(twice, &level->resample, &t);
    }
    f = run_out(f, half, groups, &t);
    memcpy(image, f.x, batch * f.height * f.width * f.channels * sizeof *image);
    scratch->used = mark;
}

void pm_vae_to_bytes(unsigned char *pixels, const float *image, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value = image[i] / 2.0f + 0.5f;
        value = value > 0.0f ? value : 0.0f; /* NaN compares false */
        pixels[i] = (unsigned char)((value < 1.0f ? value : 1.0f) * 255.0f);
    }
}
