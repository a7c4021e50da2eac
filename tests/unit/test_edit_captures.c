/* Attention captured through whole edits. */
#include "scenes_model.h"
#include "test.h"

#include "pm/edit/edit_image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 12, WIDTH = 9, STEPS = 4, MAX_PICTURES = 4 };
enum { MAP_HEIGHT = 6, MAP_WIDTH = 5, MAP_LAYERS = 3, HEADS = 4 };

static const size_t map_layers[MAP_LAYERS] = {1, 5, 7}, all_steps[STEPS] = {0, 1, 2, 3};

static int load_model(void **state)
{
    (void)state;
    return load_scenes(STEPS);
}

static struct pm_attention_capture_spec mean_spec(void)
{
    return (struct pm_attention_capture_spec){.is_cross = true,
                                              .height = MAP_HEIGHT,
                                              .width = MAP_WIDTH,
                                              .layers = map_layers,
                                              .layer_count = MAP_LAYERS,
                                              .steps = all_steps,
                                              .step_count = STEPS,
                                              .heads = HEADS};
}

static struct pm_edit_settings default_settings(void)
{
    return (struct pm_edit_settings){.model = &model,
                                     .schedule = &ddim,
                                     .guidance_scale = 7.5f,
                                     .latent_height = HEIGHT,
                                     .latent_width = WIDTH,
                                     .negative_prompt = "",
                                     .latents_only = true,
                                     .targets_per_pass = 3};
}

#define BALL "a photo of a red ball on a meadow"
#define CUBE "a photo of a red cube on a meadow"
#define CONE "a photo of a blue cone on a meadow"
#define LINE(targets)                                                                              \
    "{\"id\": \"x\", \"source\": \"" BALL "\", \"seed\": 7, \"targets\": [" targets "]}"
#define CUBE_BLENDED                                                                               \
    "{\"prompt\": \"" CUBE "\", \"edit\": \"replace\", \"self_replace_steps\": 0.5, "              \
    "\"local_blend\": {\"source\": \"ball\", \"target\": \"cube\", \"threshold\": 0.6}}"
#define CONE_REFINED                                                                               \
    "{\"prompt\": \"" CONE "\", \"edit\": \"refine\", \"equalizer\": {\"blue\": 2}}"

/* Run one manifest line. */
static void edit(const struct pm_edit_settings *settings, const char *line, pm_picture_ready *ready,
                 void *self)
{
    struct pm_error err = {0};
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    json_t *json = json_loads(line, 0, NULL);
    assert_non_null(json);
    pm_recipe_resolve(json, NULL);
    assert_ok(pm_recipe_read(&recipe, json, "line 1", &err), err);
    assert_ok(pm_prepare(&prepared, &recipe, model.tokenizer, settings->schedule, &err), err);
    size_t used = scratch.used;
    assert_ok(pm_edit_image(settings, &recipe, &prepared, NULL, ready, self, &scratch, &err), err);
    assert_int_equal(scratch.used, used);
    pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
}

enum { EACH = STEPS * MAP_LAYERS * HEADS, SELF_PIXELS = MAP_HEIGHT * MAP_WIDTH };

/** The captures of the tests below, in this order. */
enum { MEAN, EACH_MAP, BEFORE, WORDS, SELF, CAPTURES };

struct captured {
    size_t pictures;
    struct {
        size_t rows, columns;
        float *values;
    } maps[MAX_PICTURES][CAPTURES];
};

static void keep_captured(void *self, int target, const struct pm_picture *picture)
{
    struct captured *c = self;
    (void)target;
    for (size_t i = 0; i < CAPTURES; i++) {
        const struct pm_attention_maps *maps = &picture->attention[i];
        size_t bytes = maps->rows * maps->columns * sizeof(float);
        c->maps[c->pictures][i].rows = maps->rows;
        c->maps[c->pictures][i].columns = maps->columns;
        c->maps[c->pictures][i].values = test_malloc(bytes);
        memcpy(c->maps[c->pictures][i].values, maps->values, bytes);
    }
    assert_null(picture->image);
    c->pictures++;
}

static struct captured capture(size_t targets_per_pass, const char *line)
{
    static const size_t self_layers[] = {0, 4, 6};
    struct pm_attention_capture_spec specs[CAPTURES] = {mean_spec(), mean_spec(), mean_spec(),
                                                        mean_spec(), mean_spec()};
    specs[EACH_MAP].keeps_steps = specs[EACH_MAP].keeps_layers = specs[EACH_MAP].keeps_heads = true;
    specs[BEFORE].is_before = specs[WORDS].of_words = true;
    specs[SELF].is_cross = false;
    specs[SELF].layers = self_layers;
    struct pm_edit_settings settings = default_settings();
    settings.captures = specs;
    settings.capture_count = CAPTURES;
    settings.targets_per_pass = targets_per_pass;
    struct captured out = {0};
    edit(&settings, line, keep_captured, &out);
    return out;
}

static void free_captured(struct captured *c)
{
    for (size_t p = 0; p < c->pictures; p++)
        for (size_t i = 0; i < CAPTURES; i++) test_free(c->maps[p][i].values);
}

/* rows[n] of one capture averaged over @p groups of n rows each */
static double mean_difference(const float *mean, const float *each, size_t groups, size_t n)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t g = 0; g < groups; g++) sum += (double)each[g * n + i];
        most = fmax(most, fabs(sum / (double)groups - (double)mean[i]));
    }
    return most;
}

static void the_mean_of_each_map_is_the_mean_map(void **state)
{
    (void)state;
    struct captured c = capture(3, LINE(CUBE_BLENDED ", " CONE_REFINED));
    assert_int_equal(c.pictures, 3);
    for (size_t p = 0; p < c.pictures; p++) {
        size_t n = c.maps[p][MEAN].rows * c.maps[p][MEAN].columns;
        assert_int_equal(c.maps[p][EACH_MAP].rows, EACH * c.maps[p][MEAN].rows);
        assert_true(mean_difference(c.maps[p][MEAN].values, c.maps[p][EACH_MAP].values, EACH, n) <
                    1e-6);
    }
    free_captured(&c);
}

static void before_the_edit_is_after_it_for_the_source_alone(void **state)
{
    (void)state;
    struct captured c = capture(3, LINE(CUBE_BLENDED));
    for (size_t p = 0; p < 2; p++) {
        size_t n = c.maps[p][MEAN].rows * c.maps[p][MEAN].columns;
        bool same =
            memcmp(c.maps[p][BEFORE].values, c.maps[p][MEAN].values, n * sizeof(float)) == 0;
        assert_int_equal(same, p == 0);
    }
    free_captured(&c);
}

static void captured_rows_are_probabilities(void **state)
{
    (void)state;
    struct captured c = capture(3, LINE(""));
    assert_int_equal(c.maps[0][SELF].columns, SELF_PIXELS);
    assert_int_equal(c.maps[0][WORDS].columns, 9); /* a photo of a red ball on a meadow */
    for (size_t row = 0; row < SELF_PIXELS; row++) {
        double sum = 0.0, words = 0.0, tokens = 0.0;
        for (size_t k = 0; k < SELF_PIXELS; k++)
            sum += (double)c.maps[0][SELF].values[row * SELF_PIXELS + k];
        assert_true(fabs(sum - 1.0) < 1e-5);
        for (size_t k = 0; k < 9; k++) words += (double)c.maps[0][WORDS].values[row * 9 + k];
        size_t columns = c.maps[0][MEAN].columns;
        for (size_t k = 0; k < columns; k++)
            tokens += (double)c.maps[0][MEAN].values[row * columns + k];
        assert_true(words > 0.0 && words < tokens && tokens < 1.0); /* the rest is padding's */
    }
    free_captured(&c);
}

static void passes_do_not_matter_to_captures(void **state)
{
    (void)state;
    static const char line[] = LINE(CUBE_BLENDED ", " CONE_REFINED);
    struct captured together = capture(3, line), apart = capture(1, line);
    for (size_t p = 0; p < 3; p++)
        for (size_t i = 0; i < CAPTURES; i++) {
            size_t n = together.maps[p][i].rows * together.maps[p][i].columns;
            assert_int_equal(n, apart.maps[p][i].rows * apart.maps[p][i].columns);
            assert_memory_equal(together.maps[p][i].values, apart.maps[p][i].values,
                                n * sizeof(float));
        }
    free_captured(&together);
    free_captured(&apart);
}

static void keep_final_latent(void *self, int target, const struct pm_picture *picture)
{
    float *latents = self;
    size_t n = HEIGHT * WIDTH * model.unet.config.in_channels;
    memcpy(latents + (size_t)(target + 1) * n, picture->final_latent, n * sizeof *latents);
}

static void capturing_changes_nothing(void **state)
{
    (void)state;
    enum { FLOATS = 2 * HEIGHT * WIDTH * 4 };
    static const char line[] = LINE(CUBE_BLENDED);
    float with[FLOATS], without[FLOATS];
    struct pm_attention_capture_spec spec = mean_spec();
    struct pm_edit_settings settings = default_settings();
    assert_int_equal(model.unet.config.in_channels, 4);
    fill_nan(with, FLOATS);
    edit(&settings, line, keep_final_latent, without);
    settings.captures = &spec;
    settings.capture_count = 1;
    edit(&settings, line, keep_final_latent, with);
    assert_memory_equal(with, without, sizeof with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_of_each_map_is_the_mean_map),
        cmocka_unit_test(before_the_edit_is_after_it_for_the_source_alone),
        cmocka_unit_test(captured_rows_are_probabilities),
        cmocka_unit_test(passes_do_not_matter_to_captures),
        cmocka_unit_test(capturing_changes_nothing),
    };
    return cmocka_run_group_tests(tests, load_model, free_scenes);
}
