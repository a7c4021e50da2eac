/* Real pictures against the reference implementations: inversion, reconstruction, and edits. */
#include "golden.h"
#include "scenes_model.h"

#include "pm/diffusion/null_text.h"
#include "pm/edit/edit_image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* MANIFEST's table: the largest error of an inverted latent; rms of the error over rms of the data for
 * what is sampled from it. */
static const double INVERTED_MAX = 5e-4, LAST_RMS = 5e-4, FLIP_MARGIN = 1e-4;
/* Adam's first update goes by the sign of the gradient, so that elements of the embeddings with none
 * differ; their rms counts. */
static const double LOSS_SHARE = 3e-4, EMBEDDING_RMS = 2e-3;

static const char *const inversions[] = {"striped_tree", "dotted_cup", "cactus_at_night"};
enum { INVERSIONS = sizeof inversions / sizeof *inversions };
enum { SIDE = 32, CHANNELS = 4, LATENT = CHANNELS * SIDE * SIDE, IMAGE = 128 * 128 * 3 };

/** One golden, and what we make of its picture. */
static const double MOST_DRIFT =
    0.3; /* rms of what 10 steps or more lose, over rms of the latent */

struct compared {
    struct golden golden;
    unsigned char pixels[IMAGE];
    struct pm_schedule schedule;
    struct pm_edit_settings settings;
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pm_real_image real;
    struct pm_arena scratch;
    const char *method; /* as the golden's tensors are named, or NULL: not compared */
    size_t pictures;
    double drift; /* of a reconstruction from the picture's own latent */
};

static const json_t *parameter(const struct compared *c, const char *key)
{
    return json_object_get(c->golden.json, key);
}

static json_t *make_target(const struct compared *c)
{
    const json_t *edit = parameter(c, "edit"), *blend = json_object_get(edit, "blend");
    const json_t *equalizer = json_object_get(edit, "eq");
    json_t *target =
        json_pack("{sO ss sO sO}", "prompt", json_array_get(parameter(c, "prompts"), 1), "edit",
                  "refine", "cross_replace_steps", json_object_get(edit, "cross"),
                  "self_replace_steps", json_object_get(edit, "self"));
    if (blend)
        json_object_set_new(target, "local_blend",
                            json_pack("{sO sO}", "source", json_array_get(blend, 0), "target",
                                      json_array_get(blend, 1)));
    if (equalizer) {
        const json_t *words = json_array_get(equalizer, 0), *values = json_array_get(equalizer, 1);
        json_object_set_new(target, "equalizer",
                            json_pack("{sO}", json_string_value(json_array_get(words, 0)),
                                      json_array_get(values, 0)));
    }
    return target;
}

static void make_recipe(struct compared *c, const char *inversion)
{
    struct pm_error err = {0};
    json_t *line = json_pack("{ss sO ss ss s[o]}", "id", "x", "source",
                             json_array_get(parameter(c, "prompts"), 0), "image", "x.png",
                             "inversion", inversion, "targets", make_target(c));
    pm_recipe_resolve(line, NULL);
    assert_ok(pm_recipe_read(&c->recipe, line, "golden", &err), err);
    assert_ok(pm_prepare(&c->prepared, &c->recipe, model.tokenizer, &c->schedule, &err), err);
    if (c->prepared.targets[0].error.code) fail_msg("%s", c->prepared.targets[0].error.message);
}

static void free_recipe(struct compared *c)
{
    pm_prepared_free(&c->prepared);
    pm_recipe_free(&c->recipe);
}

static void open_compared(struct compared *c, const char *name)
{
    struct pm_error err = {0};
    struct pm_schedule_config config;
    *c = (struct compared){.golden = golden_open("inversion/%s", name)};
    pm_arena_init(&c->scratch, (size_t)1 << 34);
    size_t n;
    int *image = golden_ints(&c->golden, &n, "image");
    assert_int_equal(n, IMAGE);
    for (size_t i = 0; i < IMAGE; i++) c->pixels[i] = (unsigned char)image[i];
    test_free(image);
    assert_ok(pm_schedule_config_load(&config, "models/scenes/scheduler", &err), err);
    assert_ok(pm_schedule_init(&c->schedule, &config, PM_DDIM,
                               (size_t)json_integer_value(parameter(c, "steps")), &err),
              err);
    c->settings = (struct pm_edit_settings){.model = &model,
                                            .schedule = &c->schedule,
                                            .guidance_scale =
                                                (float)json_number_value(parameter(c, "guidance")),
                                            .latent_height = SIDE,
                                            .latent_width = SIDE,
                                            .negative_prompt = "",
                                            .keeps_trajectory = true,
                                            .targets_per_pass = 1};
    make_recipe(c, "direct");
    c->real.pixels = c->pixels;
    assert_ok(pm_invert_image(&c->real.inversion, &c->settings, &c->recipe, &c->prepared, c->pixels,
                              &c->scratch, &err),
              err);
}

static void close_compared(struct compared *c)
{
    free_recipe(c);
    golden_close(&c->golden);
    pm_arena_free(&c->scratch);
}

/* The reference counts levels from the clean latent. */
static const float *inverted_at(const struct compared *c, size_t level)
{
    return c->real.inversion.latents + (c->schedule.evaluations - level) * LATENT;
}

static void every_recorded_level_of_the_inversion_is_the_references(void **state)
{
    struct compared c;
    open_compared(&c, *state);
    size_t count;
    int *levels = golden_ints(&c.golden, &count, "inverted.index");
    float *expected = golden_floats(&c.golden, NULL, "inverted");
    for (size_t i = 0; i < count; i++) {
        double difference =
            max_difference(inverted_at(&c, (size_t)levels[i]), expected + i * LATENT, LATENT);
        if (!(difference < INVERTED_MAX)) fail_msg("level %d differs by %g", levels[i], difference);
    }
    assert_true(count >= 4);
    test_free(levels);
    test_free(expected);
    close_compared(&c);
}

static void compare_latent(const struct compared *c, const float *latent, const char *tensor,
                           size_t prompt)
{
    float *expected = golden_floats(&c->golden, NULL, "%s", tensor);
    double rms = relative_rms(latent, expected + prompt * LATENT, LATENT);
    if (!(rms < LAST_RMS)) fail_msg("%s of prompt %zu: rms %g", tensor, prompt, rms);
    test_free(expected);
}

static void compare_image(const struct compared *c, const unsigned char *image, size_t prompt)
{
    int *expected = golden_ints(&c->golden, NULL, "%s.images", c->method);
    size_t different = 0;
    for (size_t i = 0; i < IMAGE; i++) {
        int distance = abs(image[i] - expected[prompt * IMAGE + i]);
        assert_in_range(distance, 0, 1);
        different += distance > 0;
    }
    assert_true(different * 50 < IMAGE);
    test_free(expected);
}

static void compare_mask(const struct compared *c, const uint8_t *mask, size_t last)
{
    int *expected = golden_ints(&c->golden, NULL, "%s.mask.step%zu", c->method, last);
    float *scores = golden_floats(&c->golden, NULL, "%s.mask_score.step%zu", c->method, last);
    const size_t pixels = SIDE * SIDE;
    for (size_t i = 0; i < pixels; i++) {
        double source = fabs((double)scores[i] - 0.3),
               target = fabs((double)scores[pixels + i] - 0.3);
        if (mask[i] != expected[pixels + i] && fmin(source, target) > FLIP_MARGIN)
            fail_msg("%s: mask pixel %zu", c->method, i);
    }
    test_free(expected);
    test_free(scores);
}

static void compare_picture(void *self, int target, const struct pm_picture *picture)
{
    struct compared *c = self;
    size_t last = c->schedule.evaluations - 1, prompt = target == PM_SOURCE_PICTURE ? 0 : 1;
    char name[64];
    c->pictures++;
    if (!c->method) {
        compare_latent(c, picture->final_latent, "ddim_reconstruction_latent", 0);
        c->drift = relative_rms(picture->final_latent, inverted_at(c, 0), LATENT);
        return;
    }
    snprintf(name, sizeof name, "%s.latents.step0", c->method);
    compare_latent(c, picture->trajectory, name, prompt);
    snprintf(name, sizeof name, "%s.latents.step%zu", c->method, last);
    compare_latent(c, picture->final_latent, name, prompt);
    compare_image(c, picture->image, prompt);
    if (picture->mask) compare_mask(c, picture->mask, last);
}

/* Edit as a method does it. @param tensors  what its golden is called */
static void compare_edit(struct compared *c, const char *inversion, const char *tensors)
{
    struct pm_error err = {0};
    free_recipe(c);
    make_recipe(c, inversion);
    c->method = tensors;
    c->pictures = 0;
    assert_ok(pm_edit_image(&c->settings, &c->recipe, &c->prepared, &c->real, compare_picture, c,
                            &c->scratch, &err),
              err);
    assert_int_equal(c->pictures, 2);
}

static void direct_inversions_edit_is_the_references(void **state)
{
    struct compared c;
    open_compared(&c, *state);
    compare_edit(&c, "direct", "direct_edit");
    close_compared(&c);
}

static void negative_prompt_inversions_edit_is_the_references(void **state)
{
    struct compared c;
    open_compared(&c, *state);
    compare_edit(&c, "negative-prompt", "npi_edit");
    close_compared(&c);
}

static void without_guidance_plain_ddim_gives_the_picture_back_as_the_reference_does(void **state)
{
    struct compared c;
    struct pm_error err = {0};
    open_compared(&c, *state);
    free_recipe(&c);
    make_recipe(&c, "ddim");
    c.settings.guidance_scale = 1.0f;
    c.recipe.target_count = 0;
    assert_ok(pm_edit_image(&c.settings, &c.recipe, &c.prepared, &c.real, compare_picture, &c,
                            &c.scratch, &err),
              err);
    assert_int_equal(c.pictures, 1);
    assert_true(c.drift < MOST_DRIFT);
    close_compared(&c);
}

/* The unconditional embedding, then the source's. */
static void encode_prompts(struct compared *c, float *contexts)
{
    int32_t ids[2 * PM_TOKENS];
    struct pm_tokens empty;
    struct pm_error err = {0};
    assert_ok(pm_tokenize(&empty, model.tokenizer, "", &err), err);
    memcpy(ids, empty.ids, sizeof empty.ids);
    memcpy(ids + PM_TOKENS, c->prepared.source.ids, sizeof empty.ids);
    pm_text_encoder_forward(contexts, &model.text_encoder, ids, 2, NULL, &c->scratch);
}

static void compare_losses(const struct compared *c, const float *losses, size_t inner_steps)
{
    const json_t *expected = parameter(c, "null_losses");
    assert_int_equal(json_array_size(expected), c->schedule.evaluations);
    for (size_t step = 0; step < c->schedule.evaluations; step++) {
        const json_t *of_step = json_array_get(expected, step);
        for (size_t i = 0; i < inner_steps; i++) {
            double loss = (double)losses[step * inner_steps + i];
            if (i >= json_array_size(of_step)) { /* an early stop */
                assert_true(isnan(loss));
                continue;
            }
            double wanted = json_number_value(json_array_get(of_step, i));
            if (!(fabs(loss - wanted) < LOSS_SHARE * wanted))
                fail_msg("step %zu, update %zu: loss %g, not %g", step, i, loss, wanted);
        }
    }
}

/* Of the two with few steps, one of which stops early; the third takes as long as both. */
static void null_texts_losses_embeddings_and_edit_are_the_references(void **state)
{
    if (strcmp(*state, "dotted_cup") == 0) return;
    struct compared c;
    struct pm_error err = {0};
    open_compared(&c, *state);
    struct pm_null_text settings = pm_null_text_default();
    settings.inner_steps = (size_t)json_integer_value(parameter(&c, "inner"));
    settings.epsilon = json_number_value(parameter(&c, "epsilon"));
    size_t steps = c.schedule.evaluations, n, levels = steps + 1;
    size_t context = PM_TOKENS * model.text_encoder.channels;
    float *contexts = pm_arena_floats(&c.scratch, 2 * context);
    float *trajectory = pm_arena_floats(&c.scratch, levels * LATENT);
    float *embeddings = pm_arena_floats(&c.scratch, steps * context);
    float *losses = pm_arena_floats(&c.scratch, steps * settings.inner_steps);
    fill_nan(embeddings, steps * context);
    encode_prompts(&c, contexts);
    for (size_t level = 0; level < levels; level++)
        for (size_t p = 0; p < SIDE * SIDE; p++)
            for (size_t k = 0; k < CHANNELS; k++)
                trajectory[level * LATENT + p * CHANNELS + k] =
                    c.real.inversion.latents[level * LATENT + k * SIDE * SIDE + p];
    struct pm_denoise denoise = {.unet = &model.unet,
                                 .schedule = &c.schedule,
                                 .guidance_scale = c.settings.guidance_scale,
                                 .prompts = 1,
                                 .height = SIDE,
                                 .width = SIDE,
                                 .uncond = contexts,
                                 .cond = contexts + context};
    assert_ok(pm_null_text_optimise(embeddings, losses, trajectory, &denoise, &settings, &c.scratch,
                                    &err),
              err);
    compare_losses(&c, losses, settings.inner_steps);
    if (pm_safetensors_find(&c.golden.tensors, "null_embeddings")) {
        float *expected = golden_floats(&c.golden, &n, "null_embeddings");
        assert_int_equal(n, steps * context);
        assert_true(relative_rms(embeddings, expected, n) < EMBEDDING_RMS);
        test_free(expected);
    }
    c.real.inversion.uncond = embeddings;
    compare_edit(&c, "null-text", "null_edit");
    close_compared(&c);
}

/* The offset that direct inversion adds is what a guided step leaves of the way to the inversion. */
static void guided_steps_miss_the_inversion_by_the_references_offsets(void **state)
{
    struct compared c;
    open_compared(&c, *state);
    size_t count, pixels = SIDE * SIDE, mark = c.scratch.used;
    int *steps = golden_ints(&c.golden, &count, "direct.offsets.index");
    float *expected = golden_floats(&c.golden, NULL, "direct.offsets");
    size_t context = PM_TOKENS * model.text_encoder.channels;
    float *contexts = pm_arena_floats(&c.scratch, 2 * context);
    encode_prompts(&c, contexts);
    struct pm_unet_context kv =
        pm_unet_context_make(&model.unet, contexts, 2, PM_TOKENS, &c.scratch);
    for (size_t i = 0; i < count; i++) {
        size_t step = (size_t)steps[i];
        const float *before = c.real.inversion.latents + step * LATENT;
        float two[2 * LATENT], output[2 * LATENT];
        for (size_t p = 0; p < pixels; p++)
            for (size_t k = 0; k < CHANNELS; k++)
                two[p * CHANNELS + k] = two[LATENT + p * CHANNELS + k] = before[k * pixels + p];
        pm_unet_forward(output, &model.unet, two, (float)c.schedule.timesteps[step], &kv, SIDE,
                        SIDE, NULL, &c.scratch);
        for (size_t j = 0; j < LATENT; j++)
            output[j] += c.settings.guidance_scale * (output[LATENT + j] - output[j]);
        struct pm_schedule_state none = {.held = 0};
        pm_schedule_step(two, output, &c.schedule, &none, step, LATENT);
        for (size_t p = 0; p < pixels; p++)
            for (size_t k = 0; k < CHANNELS; k++)
                output[k * pixels + p] = before[LATENT + k * pixels + p] - two[p * CHANNELS + k];
        double difference = max_difference(output, expected + i * LATENT, LATENT);
        if (!(difference < INVERTED_MAX)) fail_msg("step %zu differs by %g", step, difference);
    }
    c.scratch.used = mark;
    test_free(steps);
    test_free(expected);
    close_compared(&c);
}

static int load_model(void **state)
{
    (void)state;
    return load_scenes(10);
}

int main(void)
{
    static const struct CMUnitTest facts[] = {
        cmocka_unit_test(every_recorded_level_of_the_inversion_is_the_references),
        cmocka_unit_test(null_texts_losses_embeddings_and_edit_are_the_references),
        cmocka_unit_test(without_guidance_plain_ddim_gives_the_picture_back_as_the_reference_does),
        cmocka_unit_test(guided_steps_miss_the_inversion_by_the_references_offsets),
        cmocka_unit_test(direct_inversions_edit_is_the_references),
        cmocka_unit_test(negative_prompt_inversions_edit_is_the_references),
    };
    enum { FACTS = sizeof facts / sizeof *facts };
    struct CMUnitTest tests[FACTS * INVERSIONS];
    for (size_t i = 0; i < FACTS * INVERSIONS; i++) {
        tests[i] = facts[i % FACTS];
        tests[i].initial_state = (void *)(uintptr_t)inversions[i / FACTS];
    }
    return cmocka_run_group_tests_name("inversion", tests, load_model, free_scenes);
}
