/* What the networks are said to take from their arena, held against what they take. */
#include "scenes_model.h"
#include "test.h"

#include "pm/model/model.h"
#include "pm/model/scratch.h"

#include <omp.h>
#include <string.h>

static int load_model(void **state)
{
    (void)state;
    return load_scenes(10);
}

/* Never too few; @param slack  the share that may be too many */
static void assert_enough(const char *what, size_t said, size_t taken, double slack)
{
    if (said < taken) fail_msg("%s: %zu bytes are said, %zu are taken", what, said, taken);
    if ((double)said > (1.0 + slack) * (double)taken)
        fail_msg("%s: %zu bytes are said, only %zu are taken", what, said, taken);
}

static float *zeros(struct pm_arena *arena, size_t count)
{
    return memset(pm_arena_floats(arena, count), 0, count * sizeof(float));
}

static bool wants_all(void *self, const struct pm_attention_site *site)
{
    (void)self;
    return site->queries > 0;
}

static void look_at(void *self, const struct pm_attention_site *site, float *probs)
{
    (void)self;
    (void)site;
    (void)probs;
}

/* One pass, and what it took beyond its inputs. */
static void try_forward_of(const struct pm_unet *unet, size_t batch, size_t height, size_t width,
                           size_t observed, size_t threads, double slack)
{
    struct pm_attention_hook hook = {.wants = wants_all,
                                     .on_probs = look_at,
                                     .first_sample = batch - observed,
                                     .samples = observed};
    struct pm_arena arena;
    omp_set_num_threads((int)threads);
    pm_arena_init(&arena, (size_t)1 << 34);
    float *latents = zeros(&arena, batch * height * width * unet->config.in_channels);
    float *out = zeros(&arena, batch * height * width * unet->config.out_channels);
    float *text = zeros(&arena, batch * PM_TOKENS * unet->config.context_channels);
    size_t mark = arena.used;
    struct pm_unet_context context = pm_unet_context_make(unet, text, batch, PM_TOKENS, &arena);
    assert_enough("context", pm_unet_context_bytes(unet, batch, PM_TOKENS), arena.used - mark,
                  0.01);
    mark = arena.peak = arena.used;
    pm_unet_forward(out, unet, latents, 1.0f, &context, height, width, &hook, &arena);
    size_t said = pm_unet_scratch_bytes(unet, batch, PM_TOKENS, height, width, &hook, threads);
    assert_enough("UNet", said, arena.peak - mark, slack);
    pm_arena_free(&arena);
}

static void try_forward(size_t batch, size_t height, size_t width, size_t observed, size_t threads,
                        double slack)
{
    try_forward_of(&model.unet, batch, height, width, observed, threads, slack);
}

static void a_pass_takes_what_is_said(void **state)
{
    (void)state;
    try_forward(4, 16, 16, 0, 1, 0.05);
    try_forward(6, 16, 16, 3, 1, 0.05);
    try_forward(2, 32, 32, 1, 1, 0.05);
    try_forward(2, 32, 24, 0, 2, 0.10);
    try_forward(2, 13, 9, 1, 2, 1.0); /* of so little, kernels' own memory is the most */
}

static void a_pass_in_bf16_takes_what_is_said(void **state)
{
    (void)state;
    struct pm_model rounded;
    struct pm_error err = {0};
    const struct pm_model_additions in_bf16 = {.precision = PM_BF16};
    assert_ok(pm_model_load_with(&rounded, "models/scenes", &in_bf16, &err), err);
    try_forward_of(&rounded.unet, 4, 16, 16, 0, 1, 0.05);
    try_forward_of(&rounded.unet, 6, 16, 16, 3, 1, 0.05);
    try_forward_of(&rounded.unet, 2, 32, 24, 1, 2, 0.10);
    pm_model_free(&rounded);
}

static void a_gradient_takes_what_is_said(void **state)
{
    (void)state;
    const struct pm_unet *unet = &model.unet;
    static const size_t sides[] = {16, 24};
    omp_set_num_threads(1);
    for (size_t i = 0; i < 2; i++) {
        struct pm_arena arena;
        struct pm_unet_record record;
        size_t side = sides[i], pixels = side * side;
        pm_arena_init(&arena, (size_t)1 << 34);
        float *latents = zeros(&arena, pixels * unet->config.in_channels);
        float *out = zeros(&arena, pixels * unet->config.out_channels);
        float *text = zeros(&arena, PM_TOKENS * unet->config.context_channels);
        float *grad = zeros(&arena, PM_TOKENS * unet->config.context_channels);
        size_t mark = arena.used;
        pm_unet_forward_recorded(out, &record, unet, latents, 1.0f, text, 1, PM_TOKENS, side, side,
                                 &arena);
        pm_unet_backward(grad, NULL, &record, out, &arena);
        assert_enough("gradient", pm_unet_gradient_bytes(unet, 1, PM_TOKENS, side, side, 1),
                      arena.peak - mark, 0.10);
        pm_arena_free(&arena);
    }
}

/* Kernels' own memory, which instruction sets differ in, is a larger part of it. */
static void the_vae_takes_what_is_said(void **state)
{
    (void)state;
    const struct pm_vae *vae = &model.vae;
    struct pm_arena arena;
    size_t side = 32, pixels = side * side, image = pixels * vae->factor * vae->factor * 3;
    for (size_t threads = 1; threads <= 2; threads++) {
        omp_set_num_threads((int)threads);
        pm_arena_init(&arena, (size_t)1 << 34);
        float *latents = zeros(&arena, pixels * vae->config.latent_channels * 2);
        float *picture = zeros(&arena, image);
        size_t mark = arena.peak = arena.used;
        pm_vae_decode(picture, vae, latents, 1, side, side, &arena);
        assert_enough("decoder", pm_vae_decode_bytes(vae, side, side, threads), arena.peak - mark,
                      0.15);
        arena.peak = arena.used;
        pm_vae_encode(latents, vae, picture, 1, side * vae->factor, side * vae->factor, &arena);
        assert_enough("encoder", pm_vae_encode_bytes(vae, side, side, threads), arena.peak - mark,
                      0.15);
        pm_arena_free(&arena);
    }
}

static void the_text_encoder_takes_what_is_said(void **state)
{
    (void)state;
    struct pm_arena arena;
    int32_t ids[3 * PM_TOKENS] = {0};
    omp_set_num_threads(1);
    pm_arena_init(&arena, (size_t)1 << 30);
    float *context = zeros(&arena, 3 * PM_TOKENS * model.text_encoder.channels);
    size_t mark = arena.peak = arena.used;
    pm_text_encoder_forward(context, &model.text_encoder, ids, 3, NULL, &arena);
    assert_enough("text encoder", pm_text_encoder_scratch_bytes(&model.text_encoder, 3, 1),
                  arena.peak - mark, 0.6);
    pm_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_takes_what_is_said),
        cmocka_unit_test(a_pass_in_bf16_takes_what_is_said),
        cmocka_unit_test(a_gradient_takes_what_is_said),
        cmocka_unit_test(the_vae_takes_what_is_said),
        cmocka_unit_test(the_text_encoder_takes_what_is_said),
    };
    return cmocka_run_group_tests(tests, load_model, free_scenes);
}
