/* Layers are chosen by their share of the latent's sides: for any size of picture. */
#include "test.h"

#include "pm/edit/edit_image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SITES = 64, STEPS = 1, LONGEST = 96, MAX_PIXELS = LONGEST * LONGEST };

static const char MODEL[] = "tests/golden/data/models/mini-sd2"; /* four levels, as SD has */
static const double NEAR_THRESHOLD = 1e-4;

static struct pm_model model;
static struct pm_arena scratch;
static struct pm_schedule ddim;

static int load_model(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_schedule_config config;
    char folder[256];
    snprintf(folder, sizeof folder, "%s/scheduler", MODEL);
    pm_arena_init(&scratch, (size_t)1 << 36);
    if (pm_model_load(&model, MODEL, &err) && pm_schedule_config_load(&config, folder, &err) &&
        pm_schedule_init(&ddim, &config, PM_DDIM, STEPS, &err))
        return 0;
    print_error("%s\n", err.message);
    return -1;
}

static int free_model(void **state)
{
    (void)state;
    pm_model_free(&model);
    pm_arena_free(&scratch);
    return 0;
}

static size_t sites_of(struct pm_attention_site sites[MAX_SITES], size_t height, size_t width)
{
    size_t count = pm_unet_attention_sites(&model.unet, height, width, NULL);
    assert_true(count <= MAX_SITES);
    pm_unet_attention_sites(&model.unet, height, width, sites);
    return count;
}

/* google/prompt-to-prompt stores maps of up to 32x32 and takes down_cross[2:4] + up_cross[:3]. */
static void at_512_pixels_the_blends_layers_are_the_references(void **state)
{
    (void)state;
    struct pm_attention_site sites[MAX_SITES];
    size_t count = sites_of(sites, 64, 64), height, width, down = 0, up = 0;
    pm_attention_store_size(&height, &width, sites, count);
    assert_true(height == 16 && width == 16);
    const struct pm_attention_store store = {.height = height, .width = width};
    for (size_t i = 0; i < count; i++) {
        const struct pm_attention_site *site = &sites[i];
        if (!site->is_cross || site->queries > 32 * 32) continue;
        bool expected = false;
        if (site->place == PM_DOWN) expected = down >= 2 && down < 4;
        if (site->place == PM_UP) expected = up < 3;
        assert_int_equal(pm_attention_store_wants(&store, site), expected);
        down += site->place == PM_DOWN;
        up += site->place == PM_UP;
    }
    assert_true(down == 4 && up == 6);
}

static void the_same_layers_are_taken_at_every_size(void **state)
{
    (void)state;
    static const size_t sizes[][4] = {/* latent height, width; map height, width */
                                      {96, 96, 24, 24}, {48, 64, 12, 16}, {128, 32, 32, 8},
                                      {27, 35, 7, 9},   {5, 9, 2, 3},     {4, 4, 1, 1}};
    struct pm_attention_site sites[MAX_SITES], at_512[MAX_SITES];
    size_t count = sites_of(at_512, 64, 64);
    const struct pm_attention_store store_512 = {.height = 16, .width = 16};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t height, width;
        sites_of(sites, sizes[s][0], sizes[s][1]);
        pm_attention_store_size(&height, &width, sites, count);
        assert_true(height == sizes[s][2] && width == sizes[s][3]);
        const struct pm_attention_store store = {.height = height, .width = width};
        for (size_t i = 0; i < count; i++)
            assert_int_equal(pm_attention_store_wants(&store, &sites[i]),
                             pm_attention_store_wants(&store_512, &at_512[i]));
    }
}

/* As the reference has it: 16x16 of 64x64 in the first notebook, 32x32 in the second. */
static void self_attention_is_replaced_in_the_same_layers_at_every_size(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{64, 64}, {96, 96}, {48, 64}, {27, 35}, {9, 9}, {65, 31}};
    struct pm_attention_site sites[MAX_SITES], at_512[MAX_SITES];
    size_t count = sites_of(at_512, 64, 64);
    for (int half = 0; half < 2; half++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const struct pm_target_recipe target = {.self_max_side = half ? 0.5 : 0.25};
            size_t most = pm_recipe_self_max_pixels(&target, sizes[s][0], sizes[s][1]);
            if (s == 0) assert_int_equal(most, half ? 32 * 32 : 16 * 16);
            sites_of(sites, sizes[s][0], sizes[s][1]);
            for (size_t i = 0; i < count; i++)
                assert_int_equal(sites[i].queries <= most,
                                 at_512[i].queries <= (half ? 32 * 32 : 16 * 16));
        }
    const struct pm_target_recipe by_pixels = {.self_max_side = 0.5, .self_max_pixels = 100};
    assert_int_equal(pm_recipe_self_max_pixels(&by_pixels, 64, 64), 100);
}

/* What one target's key and the run's defaults come to. */
static struct pm_target_recipe target_of(const char *key, const char *defaults_text)
{
    char text[512];
    struct pm_recipe recipe;
    struct pm_error err = {0};
    snprintf(
        text, sizeof text,
        "{\"id\": \"a\", \"source\": \"a cat\", \"targets\": [{\"prompt\": \"a dog\", \"edit\": "
        "\"replace\"%s}]}",
        key);
    json_t *line = json_loads(text, 0, NULL), *defaults = json_loads(defaults_text, 0, NULL);
    assert_true(line && defaults);
    assert_ok(pm_recipe_check_defaults(defaults, "here", &err), err);
    pm_recipe_resolve(line, defaults);
    json_decref(defaults);
    assert_ok(pm_recipe_read(&recipe, line, "line 1", &err), err);
    struct pm_target_recipe target = recipe.targets[0];
    pm_recipe_free(&recipe);
    return target;
}

static void side_and_pixels_are_two_words_for_one_thing(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_target_recipe t = target_of("", "{}");
    assert_true(t.error.code == PM_OK && t.self_max_side == 0.5 && t.self_max_pixels == 0);
    t = target_of("", "{\"self_replace_max_side\": 0.25}");
    assert_true(t.self_max_side == 0.25 && t.self_max_pixels == 0);
    t = target_of("", "{\"self_replace_max_pixels\": 256}");
    assert_int_equal(t.self_max_pixels, 256);
    t = target_of(", \"self_replace_max_side\": 1", "{\"self_replace_max_pixels\": 256}");
    assert_true(t.self_max_side == 1.0 && t.self_max_pixels == 0);
    t = target_of(", \"self_replace_max_pixels\": 64", "{\"self_replace_max_side\": 0.25}");
    assert_int_equal(t.self_max_pixels, 64);
    t = target_of(", \"self_replace_max_side\": 1, \"self_replace_max_pixels\": 64", "{}");
    assert_non_null(strstr(t.error.message, "are both given; one is wanted"));
    t = target_of(", \"self_replace_max_side\": 1.5", "{}");
    assert_non_null(strstr(t.error.message, "\"self_replace_max_side\" is 1.5"));
    json_t *both =
        json_loads("{\"self_replace_max_side\": 1, \"self_replace_max_pixels\": 1}", 0, NULL);
    assert_fails(pm_recipe_check_defaults(both, "here", &err), err,
                 "here: \"self_replace_max_side\" and");
    json_decref(both);
}

/** One edit at one size. */
struct blended {
    size_t height, width, map_height, map_width, pictures;
    struct pm_token_set words[2]; /* source's and target's */
    float source[MAX_PIXELS * 4], scores[2][MAX_PIXELS / 16];
};

/* What the mask is made from, by the definition: summed over tokens, pooled, normalised. */
static void keep_scores(float *out, const struct blended *b, const struct pm_attention_maps *maps,
                        const struct pm_token_set *words)
{
    static float sums[MAX_PIXELS / 16];
    size_t h = b->map_height, w = b->map_width;
    float max = 0.0f;
    assert_int_equal(maps->rows, h * w);
    for (size_t i = 0; i < h * w; i++) {
        sums[i] = 0.0f;
        for (size_t t = 0; t < maps->columns; t++)
            if (words->has[t]) sums[i] += maps->values[i * maps->columns + t];
    }
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) {
            float pooled = 0.0f;
            for (size_t j = 0; j < h; j++)
                for (size_t i = 0; i < w; i++)
                    if (j + 1 >= y && j <= y + 1 && i + 1 >= x && i <= x + 1)
                        pooled = fmaxf(pooled, sums[j * w + i]);
            out[y * w + x] = pooled;
            max = fmaxf(max, pooled);
        }
    for (size_t i = 0; i < h * w; i++) out[i] /= max;
}

static void check_picture(void *self, int target, const struct pm_picture *picture)
{
    struct blended *b = self;
    size_t pixels = b->height * b->width, inside = 0, changed = 0;
    bool is_source = target == PM_SOURCE_PICTURE;
    keep_scores(b->scores[is_source ? 0 : 1], b, &picture->attention[0],
                &b->words[is_source ? 0 : 1]);
    b->pictures++;
    if (is_source) {
        memcpy(b->source, picture->final_latent, 4 * pixels * sizeof *b->source);
        return;
    }
    for (size_t y = 0; y < b->height; y++)
        for (size_t x = 0; x < b->width; x++) {
            size_t at = y * b->width + x;
            size_t from =
                y * b->map_height / b->height * b->map_width + x * b->map_width / b->width;
            float score = fmaxf(b->scores[0][from], b->scores[1][from]);
            bool in_mask = picture->mask[at] == 1;
            if (fabs((double)score - 0.8) > NEAR_THRESHOLD) assert_int_equal(in_mask, score > 0.8f);
            inside += in_mask;
            bool same = true;
            for (size_t c = 0; c < 4; c++)
                same = same && b->source[c * pixels + at] == picture->final_latent[c * pixels + at];
            assert_true(same || in_mask);
            changed += !same;
        }
    assert_true(inside > 0 && inside < pixels && changed > 0);
}

static void edit_at(size_t height, size_t width, size_t map_height, size_t map_width)
{
    static const char line[] =
        "{\"id\": \"x\", \"source\": \"a photo of a cat\", \"seed\": 5, \"targets\": [{\"prompt\": "
        "\"a photo of a dog\", \"edit\": \"replace\", \"cross_replace_steps\": 0, "
        "\"self_replace_steps\": 0, \"local_blend\": {\"source\": \"cat\", \"target\": \"dog\", "
        "\"threshold\": 0.8, \"start\": 0}}]}";
    static struct blended b;
    struct pm_error err = {0};
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pm_attention_site sites[MAX_SITES];
    size_t layers[MAX_SITES], steps[STEPS] = {0};
    struct pm_attention_capture_spec spec = {.is_cross = true,
                                             .height = map_height,
                                             .width = map_width,
                                             .layers = layers,
                                             .steps = steps,
                                             .step_count = STEPS};
    size_t count = sites_of(sites, height, width);
    for (size_t i = 0; i < count; i++)
        if (sites[i].is_cross && sites[i].place != PM_MID && sites[i].height == map_height)
            layers[spec.layer_count++] = i;
    assert_int_equal(spec.layer_count, 5);
    b = (struct blended){
        .height = height, .width = width, .map_height = map_height, .map_width = map_width};
    struct pm_edit_settings settings = {.model = &model,
                                        .schedule = &ddim,
                                        .guidance_scale = 1.0f,
                                        .latent_height = height,
                                        .latent_width = width,
                                        .negative_prompt = "",
                                        .latents_only = true,
                                        .targets_per_pass = 1,
                                        .captures = &spec,
                                        .capture_count = 1};
    json_t *json = json_loads(line, 0, NULL);
    assert_non_null(json);
    pm_recipe_resolve(json, NULL);
    assert_ok(pm_recipe_read(&recipe, json, "line 1", &err), err);
    assert_ok(pm_prepare(&prepared, &recipe, model.tokenizer, settings.schedule, &err), err);
    b.words[0] = prepared.targets[0].blend.source;
    b.words[1] = prepared.targets[0].blend.target;
    assert_ok(pm_edit_image(&settings, &recipe, &prepared, NULL, check_picture, &b, &scratch, &err),
              err);
    assert_int_equal(b.pictures, 2);
    pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
}

static void an_edit_of_768_pixels_blends_by_maps_of_24x24(void **state)
{
    (void)state;
    edit_at(96, 96, 24, 24);
}

static void an_edit_that_is_not_square_blends_by_maps_of_its_shape(void **state)
{
    (void)state;
    edit_at(24, 40, 6, 10);
    edit_at(41, 23, 11, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_512_pixels_the_blends_layers_are_the_references),
        cmocka_unit_test(the_same_layers_are_taken_at_every_size),
        cmocka_unit_test(self_attention_is_replaced_in_the_same_layers_at_every_size),
        cmocka_unit_test(side_and_pixels_are_two_words_for_one_thing),
        cmocka_unit_test(an_edit_of_768_pixels_blends_by_maps_of_24x24),
        cmocka_unit_test(an_edit_that_is_not_square_blends_by_maps_of_its_shape),
    };
    return cmocka_run_group_tests(tests, load_model, free_model);
}
