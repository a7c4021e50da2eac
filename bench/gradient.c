/* What the gradient by the text costs beside a plain pass, in time and in memory: models/scenes, and
 * a network of random weights in the shape of Stable Diffusion 1.5, which takes 10 GB.
 *
 *     bench-gradient [scenes|sd15] [ROUNDS]
 *
 * Run from the repository's root; OMP_NUM_THREADS=1, since threads that wait take
 * processor time too. The fastest round counts. */
#include "timing.h"

#include "pm/kernels/pack.h"
#include "pm/model/unet.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 77 };

static const struct pm_unet_config sd15 = {.in_channels = 4,
                                           .out_channels = 4,
                                           .sample_size = 64,
                                           .levels = 4,
                                           .channels = {320, 640, 1280, 1280},
                                           .heads = {8, 8, 8, 8},
                                           .down_attends = {true, true, true, false},
                                           .up_attends = {false, true, true, true},
                                           .layers_per_block = 2,
                                           .transformer_depth = 1,
                                           .context_channels = 768,
                                           .groups = 32,
                                           .eps = 1e-5f,
                                           .flip_sin_to_cos = true};

/** Where a random network's weights are made, and where they go. */
struct source {
    struct pm_arena *memory, scratch;
};

/** Uniform numbers of variance @p variance around @p mean. */
static void fill(float *x, size_t n, float mean, float variance)
{
    static const float of_one = 2.0f * 1.7320508f / 16777216.0f; /* of 24 random bits */
    unsigned state = 1;
    float factor = sqrtf(variance) * of_one;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = mean + factor * ((float)(state >> 8) - 8388608.0f);
    }
}

static float *random_floats(struct pm_arena *arena, size_t n, float mean, float variance)
{
    float *x = pm_arena_floats(arena, n);
    fill(x, n, mean, variance);
    return x;
}

static struct pm_linear linear(struct source *s, size_t out, size_t in)
{
    s->scratch.used = 0;
    return pm_linear_pack(random_floats(&s->scratch, out * in, 0.0f, 1.0f / (float)in),
                          random_floats(s->memory, out, 0.0f, 0.01f), out, in, PM_FP32, s->memory);
}

static struct pm_conv conv(struct source *s, size_t out, size_t in, size_t kernel, size_t stride)
{
    size_t n = in * kernel * kernel, pad = kernel / 2;
    s->scratch.used = 0;
    return pm_conv_pack(random_floats(&s->scratch, out * n, 0.0f, 1.0f / (float)n),
                        random_floats(s->memory, out, 0.0f, 0.01f), out, in, kernel, stride, pad,
                        pad, PM_FP32, s->memory);
}

static struct pm_norm norm(struct source *s, size_t channels)
{
    return (struct pm_norm){.gamma = random_floats(s->memory, channels, 1.0f, 0.01f),
                            .beta = random_floats(s->memory, channels, 0.0f, 0.01f),
                            .channels = channels};
}

static struct pm_resnet resnet(struct source *s, const struct pm_unet_config *c, size_t out,
                               size_t in)
{
    struct pm_resnet r = {.in = in,
                          .out = out,
                          .groups = c->groups,
                          .eps = c->eps,
                          .norm1 = norm(s, in),
                          .norm2 = norm(s, out),
                          .conv1 = conv(s, out, in, 3, 1),
                          .conv2 = conv(s, out, out, 3, 1),
                          .has_time = true,
                          .has_shortcut = in != out,
                          .time = linear(s, out, 4 * c->channels[0])};
    if (r.has_shortcut) r.shortcut = conv(s, out, in, 1, 1);
    return r;
}

static struct pm_transformer transformer(struct source *s, const struct pm_unet_config *config,
                                         size_t level)
{
    size_t c = config->channels[level];
    struct pm_transformer t = {.channels = c,
                               .context_channels = config->context_channels,
                               .heads = config->heads[level],
                               .groups = config->groups,
                               .depth = config->transformer_depth,
                               .norm = norm(s, c),
                               .proj_in = linear(s, c, c),
                               .proj_out = linear(s, c, c)};
    t.blocks = pm_arena_bytes(s->memory, t.depth * sizeof *t.blocks);
    for (size_t i = 0; i < t.depth; i++)
        t.blocks[i] =
            (struct pm_transformer_block){.norm1 = norm(s, c),
                                          .norm2 = norm(s, c),
                                          .norm3 = norm(s, c),
                                          .self_qkv = linear(s, 3 * c, c),
                                          .self_out = linear(s, c, c),
                                          .cross_q = linear(s, c, c),
                                          .cross_kv = linear(s, 2 * c, config->context_channels),
                                          .cross_out = linear(s, c, c),
                                          .feed_in = linear(s, 8 * c, c),
                                          .feed_out = linear(s, c, 4 * c)};
    return t;
}

/** @param in  channels that each of the block's resnets takes */
static struct pm_unet_block block(struct source *s, const struct pm_unet_config *c, size_t level,
                                  size_t layers, const size_t *in, bool attends)
{
    struct pm_unet_block b = {.layers = layers, .attends = attends};
    for (size_t i = 0; i < layers; i++) b.resnets[i] = resnet(s, c, c->channels[level], in[i]);
    for (size_t i = 0; attends && i < layers; i++) b.transformers[i] = transformer(s, c, level);
    return b;
}

static void make_random(struct pm_unet *u, const struct pm_unet_config *c, struct pm_arena *memory)
{
    struct source s = {.memory = memory};
    size_t base = c->channels[0], top = c->levels - 1, n = c->layers_per_block;
    size_t in[PM_MAX_BLOCK_LAYERS + 1];
    pm_arena_init(&s.scratch, (size_t)1 << 30);
    *u = (struct pm_unet){.config = *c,
                          .conv_in = conv(&s, base, c->in_channels, 3, 1),
                          .conv_out = conv(&s, c->out_channels, base, 3, 1),
                          .time1 = linear(&s, 4 * base, base),
                          .time2 = linear(&s, 4 * base, 4 * base),
                          .norm_out = norm(&s, base)};
    for (size_t level = 0; level < c->levels; level++) {
        size_t out = c->channels[level];
        for (size_t i = 0; i < n; i++) in[i] = c->channels[i || level == 0 ? level : level - 1];
        u->down[level] = block(&s, c, level, n, in, c->down_attends[level]);
        u->down[level].resamples = level < top;
        if (level < top) u->down[level].resample = conv(&s, out, out, 3, 2);
    }
    in[0] = in[1] = c->channels[top];
    u->mid = block(&s, c, top, 2, in, true);
    for (size_t position = 0; position < c->levels; position++) {
        size_t level = top - position, out = c->channels[level];
        for (size_t i = 0; i <= n; i++)
            in[i] = c->channels[i || level == top ? level : level + 1] +
                    c->channels[i == n && level > 0 ? level - 1 : level];
        u->up[position] = block(&s, c, level, n + 1, in, c->up_attends[position]);
        u->up[position].resamples = level > 0;
        if (level > 0) u->up[position].resample = conv(&s, out, out, 3, 1);
    }
    pm_arena_free(&s.scratch);
}

static void least(double *best, double start)
{
    double took = processor_seconds() - start;
    if (took < *best) *best = took;
}

static void measure(const char *name, const struct pm_unet *unet, int rounds)
{
    struct pm_arena inputs, arena;
    pm_arena_init(&inputs, (size_t)1 << 30);
    pm_arena_init(&arena, (size_t)16 << 30);
    size_t side = unet->config.sample_size, n = side * side * 4;
    size_t context_floats = TOKENS * unet->config.context_channels;
    float *latents = random_floats(&inputs, n, 0.0f, 1.0f);
    float *cotangent = random_floats(&inputs, n, 0.0f, 1.0f);
    float *context = random_floats(&inputs, context_floats, 0.0f, 1.0f);
    float *out = pm_arena_floats(&inputs, n), *grad = pm_arena_floats(&inputs, context_floats);
    double forward = INFINITY, recorded = INFINITY, backward = INFINITY;
    size_t plain_peak = 0;
    for (int i = 0; i < rounds; i++) {
        double start = processor_seconds();
        struct pm_unet_context kv = pm_unet_context_make(unet, context, 1, TOKENS, &arena);
        pm_unet_forward(out, unet, latents, 501.0f, &kv, side, side, NULL, &arena);
        least(&forward, start);
        if (i == 0) plain_peak = arena.peak;
        arena.used = 0;
        struct pm_unet_record record;
        start = processor_seconds();
        pm_unet_forward_recorded(out, &record, unet, latents, 501.0f, context, 1, TOKENS, side,
                                 side, &arena);
        least(&recorded, start);
        start = processor_seconds();
        pm_unet_backward(grad, NULL, &record, cotangent, &arena);
        least(&backward, start);
        arena.used = 0;
    }
    double squares = 0.0;
    for (size_t i = 0; i < context_floats; i++) squares += (double)grad[i] * (double)grad[i];
    printf("%-8s %9.3f %9.3f %9.3f  %5.2f %9.1f %9.1f  %.6g\n", name, forward, recorded, backward,
           (recorded + backward) / forward, (double)plain_peak / 1e6, (double)arena.peak / 1e6,
           sqrt(squares));
    pm_arena_free(&arena);
    pm_arena_free(&inputs);
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "scenes";
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    bool random = strcmp(which, "sd15") == 0;
    if (argc > 3 || rounds < 1 || (!random && strcmp(which, "scenes") != 0)) {
        fprintf(stderr, "usage: %s [scenes|sd15] [ROUNDS]\n", argv[0]);
        return 2;
    }
    struct pm_arena memory;
    struct pm_unet unet;
    struct pm_error err = {0};
    pm_arena_init(&memory, (size_t)32 << 30);
    if (random) {
        make_random(&unet, &sd15, &memory);
    } else if (!pm_unet_load(&unet, "models/scenes/unet", &memory, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%s, %d threads, one sample; processor seconds, passes, MB\n"
           "model      forward  recorded  backward  ratio   forward      both  |gradient|\n",
           pm_kernels()->isa, omp_get_max_threads());
    measure(which, &unet, rounds);
    pm_arena_free(&memory);
    return 0;
}
