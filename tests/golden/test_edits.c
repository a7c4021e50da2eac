/* Whole edits against the reference implementation: every scheduler step that it recorded. */
#include "golden.h"
#include "prompt_word.h"

#include "pm/base/random.h"
#include "pm/diffusion/denoise.h"
#include "pm/edit/edit_image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* MANIFEST's table: rms of the error over rms of the data, for the last latents. The first steps
 * are held to an absolute bound. */
static const double LAST_RMS = 3e-5, FIRST_STEP_MAX = 1e-4, MEAN_CROSS_MAX = 3e-6;
/* How much further off than the reference's own run with another order of summation, which is in the
 * parameters of edits that it leads further than these. */
static const double SPREADS = 4.0;
/* Pixels whose score is so near the threshold may flip. */
static const double FLIP_MARGIN = 1e-4;

static const char *const edits[][2] = {{"mini-sd1", "m1_replace_blend_stable"},
                                       {"mini-sd1", "m2_refine_reweight_blend_nulltext"},
                                       {"mini-sd2", "m3_replace_blend_nonsquare_nulltext"},
                                       {"mini-sd2", "m4_refine_two_targets_nulltext"},
                                       {"scenes", "01_replace_stable"},
                                       {"scenes", "02_replace_blend_multitoken_nulltext"},
                                       {"scenes", "03_refine_nulltext"},
                                       {"scenes", "04_refine_blend_stable"},
                                       {"scenes", "05_reweight_2_nulltext"},
                                       {"scenes", "06_reweight_minus1_blend_stable"},
                                       {"scenes", "07_replace_reweight_blend_nulltext"},
                                       {"scenes", "08_refine_reweight_stable"},
                                       {"scenes", "09_perword_steps_stable"},
                                       {"scenes", "10_three_targets_refine_blend_nulltext"},
                                       {"scenes", "11_substruct_nulltext"},
                                       {"scenes", "12_windows_refine_nulltext"},
                                       {"scenes", "13_reweight_zero_stable"},
                                       {"scenes", "14_three_targets_replace_reweight_nulltext"}};
enum { EDITS = sizeof edits / sizeof *edits };

/** The reference's parameters, and where its run is compared with ours. */
struct compared_edit {
    const char *name;
    struct golden golden;
    const struct pm_model *model;
    struct pm_schedule schedule;
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    size_t prompts, height, width, floats; /* of one latent */
    struct pm_attention_hook inner;        /* the control's own */
    struct pm_attention_control control;
    struct pm_attention_capture_spec mean; /* as the reference averages them */
    struct pm_attention_capture capture;
    struct pm_arena *scratch;
    bool may_have_flipped; /* a mask pixel near its threshold did */
    size_t compared_steps, compared_masks;
};

static const json_t *parameter(const struct compared_edit *e, const char *key)
{
    return json_object_get(e->golden.json, key);
}

static const char *prompt_at(const struct compared_edit *e, size_t i)
{
    return json_string_value(json_array_get(parameter(e, "prompts"), i));
}

static bool has_word(const char *prompt, const char *word, const struct pm_tokenizer *tokenizer)
{
    struct pm_tokens tokens;
    struct pm_token_set set;
    struct pm_error err = {0};
    assert_ok(pm_tokenize(&tokens, tokenizer, prompt, &err), err);
    return pm_words_find(&set, prompt, &tokens, word, &err);
}

/* The reference's dictionaries name words of any target; ours must be in theirs. */
static json_t *cross_of(const struct compared_edit *e, const char *prompt)
{
    const json_t *cross = parameter(e, "cross");
    if (!json_is_object(cross)) return json_deep_copy(cross);
    json_t *out = json_object(), *window;
    const char *word;
    json_object_foreach((json_t *)cross, word, window)
    {
        if (strcmp(word, "default_") == 0)
            json_object_set(out, "default", window);
        else if (has_word(prompt, word, e->model->tokenizer))
            json_object_set(out, word, window);
    }
    return out;
}

/* The reference's equalizer goes by token position of the first target: give the word there. */
static json_t *equalizer_of(const struct compared_edit *e, size_t target, const char *prompt)
{
    if (!parameter(e, "eq")) return NULL;
    size_t n;
    float *values = golden_floats(&e->golden, &n, "equalizer");
    const float *row = values + (n > PM_TOKENS ? target * PM_TOKENS : 0);
    json_t *out = json_object();
    struct pm_tokens tokens;
    struct pm_error err = {0};
    assert_ok(pm_tokenize(&tokens, e->model->tokenizer, prompt, &err), err);
    for (size_t t = 0; t < tokens.count; t++) {
        if (row[t] == 1.0f) continue;
        struct pm_word word = prompt_word(prompt, (size_t)tokens.word[t]);
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)word.bytes, word.text);
        json_object_set_new(out, text, json_real(row[t]));
    }
    test_free(values);
    return out;
}

static json_t *blend_of(const struct compared_edit *e, size_t target)
{
    const json_t *words = parameter(e, "blend"), *subtract = parameter(e, "substruct");
    if (!words) return NULL;
    const json_t *blend = parameter(e, "local_blend"), *th = json_object_get(blend, "threshold");
    double steps = json_number_value(parameter(e, "steps"));
    double start = json_number_value(json_object_get(blend, "start_step")) / steps;
    json_t *out = json_pack("{sO sO sO sf}", "source", json_array_get(words, 0), "target",
                            json_array_get(words, target + 1), "threshold",
                            json_is_array(th) ? json_array_get(th, 0) : th, "start", start);
    if (subtract)
        json_object_set_new(out, "subtract",
                            json_pack("{sO sO sO}", "source", json_array_get(subtract, 0), "target",
                                      json_array_get(subtract, target + 1), "threshold",
                                      json_array_get(th, 1)));
    return out;
}

static void make_recipe(struct compared_edit *e)
{
    struct pm_error err = {0};
    const char *controller = json_string_value(parameter(e, "controller"));
    char edit[16];
    snprintf(edit, sizeof edit, "%.*s", (int)strcspn(controller, "+"), controller);
    json_t *targets = json_array();
    for (size_t i = 0; i + 1 < e->prompts; i++) {
        const char *prompt = prompt_at(e, i + 1);
        /* the reference's mapper, since the golden is what it made */
        json_t *target = json_pack(
            "{ss ss ss sO sO so}", "prompt", prompt, "edit", edit, "mapper", "reference",
            "self_replace_steps", parameter(e, "self"), "self_replace_max_pixels",
            parameter(e, "self_replace_max_pixels"), "cross_replace_steps", cross_of(e, prompt));
        json_t *equalizer = equalizer_of(e, i, prompt), *blend = blend_of(e, i);
        if (equalizer) json_object_set_new(target, "equalizer", equalizer);
        if (blend) json_object_set_new(target, "local_blend", blend);
        json_array_append_new(targets, target);
    }
    json_t *line = json_pack("{ss ss sO so}", "id", e->name, "source", prompt_at(e, 0), "seed",
                             parameter(e, "seed"), "targets", targets);
    pm_recipe_resolve(line, NULL);
    assert_ok(pm_recipe_read(&e->recipe, line, e->name, &err), err);
    assert_ok(pm_prepare(&e->prepared, &e->recipe, e->model->tokenizer, &e->schedule, &err), err);
    for (size_t i = 0; i + 1 < e->prompts; i++)
        if (e->prepared.targets[i].error.code) fail_msg("%s", e->prepared.targets[i].error.message);
}

static void make_schedule(struct compared_edit *e, const char *model)
{
    struct pm_schedule_config config;
    struct pm_error err = {0};
    char folder[256];
    snprintf(folder, sizeof folder, "%s/scheduler", golden_model_folder(model));
    assert_ok(pm_schedule_config_load(&config, folder, &err), err);
    bool pndm = strcmp(json_string_value(parameter(e, "scheduler")), "PNDMScheduler") == 0;
    assert_ok(pm_schedule_init(&e->schedule, &config, pndm ? PM_PNDM : PM_DDIM,
                               (size_t)json_integer_value(parameter(e, "steps")), &err),
              err);
}

static double bound(const struct compared_edit *e, const char *what, double usual)
{
    const json_t *spread = json_object_get(parameter(e, "spread"), what);
    return fmax(usual, SPREADS * json_number_value(spread));
}

static bool is_recorded(const struct compared_edit *e, const char *what, size_t step)
{
    char name[64];
    snprintf(name, sizeof name, "%s.step%zu", what, step);
    return pm_safetensors_find(&e->golden.tensors, name) != NULL;
}

static void compare_latents(struct compared_edit *e, const char *what, size_t step,
                            const float *latents)
{
    size_t n, pixels = e->height * e->width;
    float *expected = channels_last(golden_floats(&e->golden, &n, "%s.step%zu", what, step),
                                    e->prompts, e->floats / pixels, pixels);
    assert_int_equal(n, e->prompts * e->floats);
    double rms = relative_rms(latents, expected, n), max = max_difference(latents, expected, n);
    bool good = step == 0 ? max < FIRST_STEP_MAX : rms < bound(e, "latents", LAST_RMS);
    if (!good && !e->may_have_flipped)
        fail_msg("%s: %s after step %zu: rms %g, max %g", e->name, what, step, rms, max);
    test_free(expected);
    e->compared_steps++;
}

/* Masks agree but where the reference's score is within the margin of the threshold. */
static void compare_masks(struct compared_edit *e, size_t step)
{
    size_t n, pixels = e->height * e->width;
    int *expected = golden_ints(&e->golden, &n, "mask.step%zu", step);
    float *scores = golden_floats(&e->golden, NULL, "mask_score.step%zu", step);
    for (size_t t = 0; t + 1 < e->prompts; t++) {
        const struct pm_local_blend *blend = &e->prepared.targets[t].blend;
        const int *mask = n == pixels ? expected : expected + (t + 1) * pixels;
        for (size_t i = 0; i < pixels; i++) {
            if (e->control.masks[t * pixels + i] == mask[i]) continue;
            double source = fabs((double)scores[i] - (double)blend->threshold);
            double target = fabs((double)scores[(t + 1) * pixels + i] - (double)blend->threshold);
            if (fmin(source, target) > FLIP_MARGIN && !e->may_have_flipped)
                fail_msg("%s: mask pixel %zu of target %zu after step %zu", e->name, i, t, step);
            e->may_have_flipped = true;
        }
    }
    test_free(expected);
    test_free(scores);
    e->compared_masks++;
}

static void end_step(void *self, size_t step, float *latents)
{
    struct compared_edit *e = self;
    if (is_recorded(e, "pre_blend", step)) compare_latents(e, "pre_blend", step, latents);
    e->inner.end_step(e->inner.self, step, latents);
    if (is_recorded(e, "mask", step)) compare_masks(e, step);
    if (is_recorded(e, "latents", step)) compare_latents(e, "latents", step, latents);
}

static void begin_step(void *self, size_t step)
{
    struct compared_edit *e = self;
    e->inner.begin_step(e->inner.self, step);
}

static bool wants(void *self, const struct pm_attention_site *site)
{
    struct compared_edit *e = self;
    return e->inner.wants(e->inner.self, site);
}

static void on_probs(void *self, const struct pm_attention_site *site, float *probs)
{
    struct compared_edit *e = self;
    e->inner.on_probs(e->inner.self, site, probs);
}

static void compare_maps(struct compared_edit *e)
{
    size_t n, map = e->mean.height * e->mean.width * PM_TOKENS, mark = e->scratch->used;
    float *expected = golden_floats(&e->golden, &n, "mean_cross");
    struct pm_tokens every_token = {.count = PM_TOKENS};
    assert_int_equal(n, e->prompts * map);
    for (size_t p = 0; p < e->prompts; p++) {
        struct pm_attention_maps mean =
            pm_attention_capture_maps(&e->capture, p, &every_token, e->scratch);
        assert_int_equal(mean.rows * mean.columns, map);
        double difference = max_difference(mean.values, expected + p * map, map);
        if (!(difference < bound(e, "mean_cross", MEAN_CROSS_MAX)) && !e->may_have_flipped)
            fail_msg("%s: mean maps of prompt %zu differ by %g", e->name, p, difference);
    }
    test_free(expected);
    e->scratch->used = mark;
}

static void compare_images(struct compared_edit *e, const float *latents)
{
    const struct pm_vae *vae = &e->model->vae;
    size_t n = e->height * e->width * vae->factor * vae->factor * 3, mark = e->scratch->used;
    float *decoded = pm_arena_floats(e->scratch, n);
    unsigned char *bytes = pm_arena_bytes(e->scratch, n);
    int *expected = golden_ints(&e->golden, NULL, "images");
    for (size_t p = 0; p < e->prompts; p++) {
        pm_vae_decode(decoded, vae, latents + p * e->floats, 1, e->height, e->width, e->scratch);
        pm_vae_to_bytes(bytes, decoded, n);
        size_t different = 0;
        for (size_t i = 0; i < n; i++) {
            int distance = abs(bytes[i] - expected[p * n + i]);
            assert_true(distance <= 1 || e->may_have_flipped);
            different += distance > 0;
        }
        assert_true(different * 50 < n || e->may_have_flipped);
    }
    test_free(expected);
    e->scratch->used = mark;
}

/* All steps of the layers that blends look at. */
static void capture_mean(struct compared_edit *e, size_t *steps, size_t *layers,
                         const struct pm_attention_site *sites, size_t site_count)
{
    struct pm_attention_capture_spec *mean = &e->mean;
    *mean = (struct pm_attention_capture_spec){.is_cross = true, .steps = steps, .layers = layers};
    pm_attention_store_size(&mean->height, &mean->width, sites, site_count);
    for (size_t i = 0; i < site_count; i++)
        if (sites[i].is_cross && sites[i].place != PM_MID && sites[i].height == mean->height &&
            sites[i].width == mean->width)
            layers[mean->layer_count++] = sites[i].layer;
    for (; mean->step_count < e->schedule.evaluations; mean->step_count++)
        steps[mean->step_count] = mean->step_count;
    e->capture = pm_attention_capture_make(mean, e->prompts, PM_TOKENS, e->scratch);
}

static void run(struct compared_edit *e)
{
    struct pm_error err = {0};
    size_t context = PM_TOKENS * e->model->text_encoder.channels;
    size_t channels = e->model->unet.config.in_channels, pixels = e->height * e->width;
    int32_t ids[8 * PM_TOKENS];
    struct pm_tokens empty;
    assert_ok(pm_tokenize(&empty, e->model->tokenizer, "", &err), err);
    memcpy(ids, empty.ids, sizeof empty.ids);
    memcpy(ids + PM_TOKENS, e->prepared.source.ids, sizeof empty.ids);
    for (size_t i = 1; i < e->prompts; i++)
        memcpy(ids + (i + 1) * PM_TOKENS, e->prepared.targets[i - 1].tokens.ids, sizeof empty.ids);
    float *contexts = pm_arena_floats(e->scratch, (e->prompts + 1) * context);
    pm_text_encoder_forward(contexts, &e->model->text_encoder, ids, e->prompts + 1, NULL,
                            e->scratch);

    float *noise = pm_arena_floats(e->scratch, e->floats);
    float *latents = pm_arena_floats(e->scratch, e->prompts * e->floats);
    float *x_T = golden_floats(&e->golden, NULL, "x_T");
    pm_noise_torch(noise, e->floats, e->recipe.seed);
    assert_true(max_difference(noise, x_T, e->floats) < 2e-6);
    x_T = channels_last(x_T, 1, channels, pixels);
    for (size_t p = 0; p < e->prompts; p++)
        memcpy(latents + p * e->floats, x_T, e->floats * sizeof *latents);

    struct pm_target_control controls[8];
    for (size_t i = 0; i + 1 < e->prompts; i++) {
        const struct pm_prepared_target *t = &e->prepared.targets[i];
        controls[i] =
            (struct pm_target_control){.map = &t->map,
                                       .self_begin = t->self_begin,
                                       .self_end = t->self_end,
                                       .self_max_pixels = e->recipe.targets[i].self_max_pixels,
                                       .blend = t->has_mask ? &t->blend : NULL};
    }
    struct pm_attention_site sites[128];
    size_t site_count = pm_unet_attention_sites(&e->model->unet, e->height, e->width, sites);
    size_t steps[PM_MAX_TRAIN_TIMESTEPS], layers[128];
    capture_mean(e, steps, layers, sites, site_count);
    e->control = pm_attention_control_make(controls, e->prompts - 1, sites, site_count, channels,
                                           &e->capture, 1, e->scratch);
    e->inner = pm_attention_control_hook(&e->control);
    struct pm_attention_hook hook = {.self = e,
                                     .begin_step = begin_step,
                                     .wants = wants,
                                     .on_probs = on_probs,
                                     .end_step = end_step};
    struct pm_denoise denoise = {.unet = &e->model->unet,
                                 .schedule = &e->schedule,
                                 .guidance_scale =
                                     (float)json_number_value(parameter(e, "guidance")),
                                 .prompts = e->prompts,
                                 .height = e->height,
                                 .width = e->width,
                                 .cond = contexts + context,
                                 .uncond = contexts,
                                 .hook = &hook};
    assert_ok(pm_denoise(latents, &denoise, e->scratch, &err), err);
    compare_maps(e);
    compare_images(e, latents);
    test_free(x_T);
}

static void compare_edit(const char *model_name, const char *name, const struct pm_model *model)
{
    struct pm_arena scratch;
    pm_arena_init(&scratch, (size_t)1 << 34);
    struct compared_edit e = {.name = name, .model = model, .scratch = &scratch};
    e.golden = golden_open("edits/%s/%s", model_name, name);
    e.prompts = json_array_size(parameter(&e, "prompts"));
    e.height = (size_t)json_integer_value(json_array_get(parameter(&e, "lat_hw"), 0));
    e.width = (size_t)json_integer_value(json_array_get(parameter(&e, "lat_hw"), 1));
    e.floats = e.height * e.width * model->unet.config.in_channels;
    make_schedule(&e, model_name);
    make_recipe(&e);
    assert_int_equal(e.schedule.evaluations, json_integer_value(parameter(&e, "unet_calls")));
    for (size_t i = 0; i < e.schedule.evaluations; i++)
        assert_int_equal(e.schedule.timesteps[i],
                         json_integer_value(json_array_get(parameter(&e, "timesteps"), i)));
    run(&e);
    assert_true(e.compared_steps >= json_array_size(parameter(&e, "saved_steps")));
    assert_int_equal(e.compared_masks, json_array_size(parameter(&e, "mask_steps")));
    pm_prepared_free(&e.prepared);
    pm_recipe_free(&e.recipe);
    golden_close(&e.golden);
    pm_arena_free(&scratch);
}

/* The models are loaded once for all edits. */
static struct pm_model models[3];

static int load_models(void **state)
{
    (void)state;
    for (size_t m = 0; golden_models[m]; m++) {
        struct pm_error err = {0};
        if (pm_model_load(&models[m], golden_model_folder(golden_models[m]), &err)) continue;
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
}

static int free_models(void **state)
{
    (void)state;
    for (size_t m = 0; golden_models[m]; m++) pm_model_free(&models[m]);
    return 0;
}

static void every_recorded_step_mask_map_and_image_is_the_references(void **state)
{
    const char *const *edit = *state;
    size_t m = 0;
    while (strcmp(golden_models[m], edit[0]) != 0) m++;
    compare_edit(edit[0], edit[1], &models[m]);
}

/* An argument picks edits by their name: "m*" those of the mini models, which are quick. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[EDITS];
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    for (size_t i = 0; i < EDITS; i++)
        tests[i] = (struct CMUnitTest){.name = edits[i][1],
                                       .test_func =
                                           every_recorded_step_mask_map_and_image_is_the_references,
                                       .initial_state = (void *)edits[i]};
    return cmocka_run_group_tests_name("edits", tests, load_models, free_models);
}
