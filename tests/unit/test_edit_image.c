#include "scenes_model.h"
#include "test.h"

#include "pm/base/random.h"
#include "pm/edit/edit_image.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 12, WIDTH = 9, CHANNELS = 4, FACTOR = 4, STEPS = 4, MAX_PICTURES = 8 };
enum { PIXELS = HEIGHT * WIDTH, LATENT = CHANNELS * PIXELS, IMAGE = 3 * FACTOR * FACTOR * PIXELS };
enum { MAP_HEIGHT = 6, MAP_WIDTH = 5, CROSS = MAP_HEIGHT * MAP_WIDTH * PM_TOKENS };
enum { MAP_LAYERS = 3, HEADS = 4 }; /* of this size */

/** A picture that outlasts its call. All are bytes, so that two can be compared whole. */
struct kept {
    int target;
    bool has_mask;
    unsigned char image[IMAGE];
    float x_T[LATENT], final_latent[LATENT], trajectory[(STEPS + 1) * LATENT];
    float cross_mean[CROSS]; /* [map y, map x, PM_TOKENS], zero beyond the prompt's */
    uint8_t mask[PIXELS];
};

struct pictures {
    struct kept *kept; /* [MAX_PICTURES] */
    size_t count, evaluations;
};

static int load_model(void **state)
{
    (void)state;
    return load_scenes(STEPS);
}

/* The layers that blends look at, averaged. */
static const size_t map_layers[MAP_LAYERS] = {1, 5, 7}, all_steps[] = {0, 1, 2, 3, 4};

static struct pm_edit_settings default_settings(void)
{
    static const struct pm_attention_capture_spec mean = {.is_cross = true,
                                                          .height = MAP_HEIGHT,
                                                          .width = MAP_WIDTH,
                                                          .layers = map_layers,
                                                          .layer_count = MAP_LAYERS,
                                                          .steps = all_steps,
                                                          .step_count = STEPS,
                                                          .heads = HEADS};
    return (struct pm_edit_settings){.model = &model,
                                     .schedule = &ddim,
                                     .guidance_scale = 7.5f,
                                     .latent_height = HEIGHT,
                                     .latent_width = WIDTH,
                                     .negative_prompt = "",
                                     .keeps_trajectory = true,
                                     .targets_per_pass = 3,
                                     .captures = &mean,
                                     .capture_count = 1};
}

static void keep(void *self, int target, const struct pm_picture *picture)
{
    struct pictures *p = self;
    assert_true(p->count < MAX_PICTURES);
    struct kept *k = &p->kept[p->count++];
    k->target = target;
    k->has_mask = picture->mask != NULL;
    memcpy(k->image, picture->image, sizeof k->image);
    memcpy(k->x_T, picture->x_T, sizeof k->x_T);
    memcpy(k->final_latent, picture->final_latent, sizeof k->final_latent);
    const struct pm_attention_maps *maps = &picture->attention[0];
    assert_int_equal(maps->rows, CROSS / PM_TOKENS);
    for (size_t i = 0; i < maps->rows; i++)
        memcpy(k->cross_mean + i * PM_TOKENS, maps->values + i * maps->columns,
               maps->columns * sizeof(float));
    if (picture->trajectory)
        memcpy(k->trajectory, picture->trajectory, p->evaluations * LATENT * sizeof(float));
    if (picture->mask) memcpy(k->mask, picture->mask, sizeof k->mask);
}

/* Run one manifest line. The caller frees pictures.kept with test_free. */
static struct pictures edit(const struct pm_edit_settings *settings, const char *line)
{
    struct pm_error err = {0};
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pictures pictures = {.evaluations = settings->schedule->evaluations};
    pictures.kept = test_calloc(MAX_PICTURES, sizeof *pictures.kept);
    json_t *json = json_loads(line, 0, NULL);
    assert_non_null(json);
    pm_recipe_resolve(json, NULL);
    assert_ok(pm_recipe_read(&recipe, json, "line 1", &err), err);
    assert_ok(pm_prepare(&prepared, &recipe, model.tokenizer, settings->schedule, &err), err);
    size_t used = scratch.used;
    assert_ok(pm_edit_image(settings, &recipe, &prepared, NULL, keep, &pictures, &scratch, &err),
              err);
    assert_int_equal(scratch.used, used);
    pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
    return pictures;
}

static void assert_same_picture(const struct kept *a, const struct kept *b)
{
    assert_memory_equal(a->image, b->image, sizeof a->image);
    assert_memory_equal(a->final_latent, b->final_latent, sizeof a->final_latent);
    assert_memory_equal(a->trajectory, b->trajectory, sizeof a->trajectory);
    assert_memory_equal(a->cross_mean, b->cross_mean, sizeof a->cross_mean);
    assert_memory_equal(a->x_T, b->x_T, sizeof a->x_T);
    assert_true(a->has_mask == b->has_mask);
    assert_memory_equal(a->mask, b->mask, sizeof a->mask);
}

#define BALL "a photo of a red ball on a meadow"
#define CUBE "a photo of a red cube on a meadow"
#define CONE "a photo of a blue cone on a meadow"
#define LINE(source, seed, targets)                                                                \
    "{\"id\": \"x\", \"source\": \"" source "\", \"seed\": " seed ", \"targets\": [" targets "]}"
#define OFF "\"cross_replace_steps\": 0, \"self_replace_steps\": 0"

#define CUBE_BLENDED                                                                               \
    "{\"prompt\": \"" CUBE "\", \"edit\": \"replace\", \"self_replace_steps\": 0.5, "              \
    "\"local_blend\": {\"source\": \"ball\", \"target\": \"cube\", \"threshold\": 0.6}}"
#define CONE_REFINED                                                                               \
    "{\"prompt\": \"" CONE "\", \"edit\": \"refine\", \"equalizer\": {\"blue\": 2}}"
#define RED_LESS "{\"edit\": \"reweight\", \"equalizer\": {\"red\": -1}}"

static void an_edit_that_is_off_is_plain_denoising(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    struct pictures both = edit(
        &settings, LINE(BALL, "7", "{\"prompt\": \"" CUBE "\", \"edit\": \"replace\", " OFF "}"));
    struct pictures ball = edit(&settings, LINE(BALL, "7", ""));
    struct pictures cube = edit(&settings, LINE(CUBE, "7", ""));
    assert_true(both.count == 2 && ball.count == 1 && cube.count == 1);
    assert_true(both.kept[0].target == PM_SOURCE_PICTURE && both.kept[1].target == 0);
    assert_same_picture(&both.kept[0], &ball.kept[0]);
    assert_same_picture(&both.kept[1], &cube.kept[0]);
    assert_true(memcmp(ball.kept[0].image, cube.kept[0].image, IMAGE) != 0);
    test_free(both.kept);
    test_free(ball.kept);
    test_free(cube.kept);
}

static void an_edit_changes_its_target_and_not_the_source(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    struct pictures edited = edit(&settings, LINE(BALL, "7", CUBE_BLENDED ", " CONE_REFINED));
    struct pictures ball = edit(&settings, LINE(BALL, "7", ""));
    struct pictures cube = edit(&settings, LINE(CUBE, "7", ""));
    assert_same_picture(&edited.kept[0], &ball.kept[0]);
    assert_true(memcmp(edited.kept[1].image, cube.kept[0].image, IMAGE) != 0);
    assert_true(memcmp(edited.kept[1].image, ball.kept[0].image, IMAGE) != 0);
    test_free(edited.kept);
    test_free(ball.kept);
    test_free(cube.kept);
}

static void replacing_a_prompt_by_itself_gives_the_source_to_the_last_bit(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    struct pictures p =
        edit(&settings, LINE(BALL, "7", "{\"prompt\": \"" BALL "\", \"edit\": \"replace\"}"));
    assert_int_equal(p.count, 2);
    assert_same_picture(&p.kept[0], &p.kept[1]);
    test_free(p.kept);
}

static void passes_do_not_matter(void **state)
{
    (void)state;
    static const char line[] = LINE(BALL, "7", CUBE_BLENDED ", " CONE_REFINED ", " RED_LESS);
    struct pm_edit_settings settings = default_settings();
    struct pictures together = edit(&settings, line);
    assert_int_equal(together.count, 4);
    for (size_t targets_per_pass = 1; targets_per_pass < 3; targets_per_pass++) {
        settings.targets_per_pass = targets_per_pass;
        struct pictures apart = edit(&settings, line);
        assert_int_equal(apart.count, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(apart.kept[i].target, (int)i - 1);
            assert_same_picture(&apart.kept[i], &together.kept[i]);
        }
        test_free(apart.kept);
    }
    test_free(together.kept);
}

static void neighbours_do_not_matter(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    struct pictures a = edit(&settings, LINE(BALL, "7", CUBE_BLENDED ", " CONE_REFINED));
    struct pictures b =
        edit(&settings, LINE(BALL, "7", RED_LESS ", " CONE_REFINED ", " CUBE_BLENDED));
    assert_same_picture(&a.kept[1], &b.kept[3]);
    assert_same_picture(&a.kept[2], &b.kept[2]);
    test_free(a.kept);
    test_free(b.kept);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    static const char line[] = LINE(BALL, "7", CUBE_BLENDED);
    struct pm_edit_settings settings = default_settings();
    struct pictures one = edit(&settings, line);
    omp_set_num_threads(3);
    struct pictures three = edit(&settings, line);
    omp_set_num_threads(1);
    for (size_t i = 0; i < 2; i++) assert_same_picture(&one.kept[i], &three.kept[i]);
    test_free(one.kept);
    test_free(three.kept);
}

static void targets_with_an_error_are_left_out(void **state)
{
    (void)state;
    static const char wrong[] = "{\"prompt\": \"a cube\", \"edit\": \"replace\"}";
    char line[1024];
    struct pm_edit_settings settings = default_settings();
    snprintf(line, sizeof line, LINE(BALL, "7", "%s, %s, %s, %s"), wrong, CUBE_BLENDED, wrong,
             wrong);
    struct pictures without = edit(&settings, LINE(BALL, "7", CUBE_BLENDED));
    for (settings.targets_per_pass = 1; settings.targets_per_pass < 4;
         settings.targets_per_pass++) {
        struct pictures with = edit(&settings, line);
        assert_int_equal(with.count, 2);
        assert_int_equal(with.kept[1].target, 1);
        assert_same_picture(&with.kept[1], &without.kept[1]);
        test_free(with.kept);
    }
    snprintf(line, sizeof line, LINE(BALL, "7", "%s"), wrong);
    struct pictures source_alone = edit(&settings, line);
    assert_int_equal(source_alone.count, 1);
    assert_same_picture(&source_alone.kept[0], &without.kept[0]);
    test_free(source_alone.kept);
    test_free(without.kept);
}

static void a_trajectory_begins_at_the_seeds_noise_and_ends_at_the_final_latent(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    float noise[LATENT];
    struct pictures p = edit(&settings, LINE(BALL, "4294967303", CUBE_BLENDED));
    pm_noise_torch(noise, LATENT, 4294967303u);
    for (size_t i = 0; i < 2; i++) {
        const struct kept *k = &p.kept[i];
        assert_memory_equal(k->x_T, noise, sizeof noise);
        assert_memory_equal(k->trajectory + (STEPS - 1) * LATENT, k->final_latent, sizeof noise);
        assert_true(max_difference(k->trajectory, k->final_latent, LATENT) > 0.1);
    }
    test_free(p.kept);

    settings.keeps_trajectory = false;
    p = edit(&settings, "{\"id\": \"x\", \"source\": \"" BALL
                        "\", \"seed\": 4294967303, \"noise\": \"counter\"}");
    pm_noise_counter(noise, LATENT, 4294967303u);
    assert_memory_equal(p.kept[0].x_T, noise, sizeof noise);
    test_free(p.kept);
}

static void a_blend_keeps_the_source_outside_its_mask(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    struct pictures p = edit(&settings, LINE(BALL, "7", CUBE_BLENDED ", " CONE_REFINED));
    assert_true(!p.kept[0].has_mask && p.kept[1].has_mask && !p.kept[2].has_mask);
    size_t inside = 0, changed = 0;
    for (size_t i = 0; i < LATENT; i++) {
        bool in_mask = p.kept[1].mask[i % PIXELS];
        bool same = p.kept[1].final_latent[i] == p.kept[0].final_latent[i];
        assert_true(in_mask || same);
        inside += in_mask;
        changed += !same;
    }
    assert_true(inside > 0 && inside < LATENT && changed > 0);
    test_free(p.kept);
}

static void maps_are_of_the_layers_that_blends_look_at(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    size_t mark = scratch.used, count, height, width, found = 0;
    const struct pm_attention_site *sites = pm_edit_sites(&count, &settings, &scratch);
    pm_attention_store_size(&height, &width, sites, count);
    assert_true(height == MAP_HEIGHT && width == MAP_WIDTH);
    for (size_t i = 0; i < count; i++)
        if (sites[i].is_cross && sites[i].place != PM_MID && sites[i].height == height)
            assert_int_equal(sites[i].layer, map_layers[found++]);
    assert_int_equal(found, MAP_LAYERS);
    scratch.used = mark;
}

static void guidance_of_one_needs_no_unconditional_half(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings(), other = default_settings();
    settings.guidance_scale = 1.0f;
    struct pictures p = edit(&settings, LINE(BALL, "7", CUBE_BLENDED));
    other.guidance_scale = 1.0f;
    other.negative_prompt = "a dog"; /* nobody looks at it */
    struct pictures same = edit(&other, LINE(BALL, "7", CUBE_BLENDED));
    for (size_t i = 0; i < 2; i++) assert_same_picture(&p.kept[i], &same.kept[i]);
    other.guidance_scale = 7.5f;
    struct pictures guided = edit(&other, LINE(BALL, "7", CUBE_BLENDED));
    assert_true(max_difference(p.kept[0].final_latent, guided.kept[0].final_latent, LATENT) > 0.01);
    test_free(p.kept);
    test_free(same.kept);
    test_free(guided.kept);
}

static void pndm_makes_one_evaluation_more(void **state)
{
    (void)state;
    struct pm_edit_settings settings = default_settings();
    settings.schedule = &pndm;
    struct pictures p = edit(&settings, LINE(BALL, "7", CUBE_BLENDED));
    assert_int_equal(p.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(p.kept[i].trajectory + STEPS * LATENT, p.kept[i].final_latent,
                            LATENT * sizeof(float));
    test_free(p.kept);
}

static void the_cost_counts_the_source_in_every_pass(void **state)
{
    (void)state;
    struct pm_prepared_target targets[5] = {{.error = {.code = PM_E_INPUT}}};
    struct pm_prepared prepared = {.targets = targets};
    struct pm_recipe recipe = {0};
    struct pm_edit_settings settings = default_settings();
    recipe.target_count = 0;
    assert_int_equal(pm_edit_cost(&settings, &recipe, &prepared), 1 * 2 * STEPS);
    recipe.target_count = 1;
    assert_int_equal(pm_edit_cost(&settings, &recipe, &prepared), 1 * 2 * STEPS);
    recipe.target_count = 4;
    assert_int_equal(pm_edit_cost(&settings, &recipe, &prepared), 4 * 2 * STEPS);
    recipe.target_count = 5;
    assert_int_equal(pm_edit_cost(&settings, &recipe, &prepared), (4 + 2) * 2 * STEPS);
    settings.guidance_scale = 1.0f;
    settings.schedule = &pndm;
    settings.targets_per_pass = 1;
    recipe.target_count = 5;
    assert_int_equal(pm_edit_cost(&settings, &recipe, &prepared), 8 * (STEPS + 1));
}

static void latents_that_are_no_numbers_are_an_error(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pictures none = {0};
    struct pm_edit_settings settings = default_settings();
    settings.guidance_scale = 1e38f;
    json_t *json = json_loads(LINE(BALL, "7", ""), 0, NULL);
    assert_ok(pm_recipe_read(&recipe, json, "line 1", &err), err);
    assert_ok(pm_prepare(&prepared, &recipe, model.tokenizer, settings.schedule, &err), err);
    size_t used = scratch.used;
    assert_fails(pm_edit_image(&settings, &recipe, &prepared, NULL, keep, &none, &scratch, &err),
                 err, "the latents are not finite after step");
    assert_int_equal(err.code, PM_E_NUMERIC);
    assert_int_equal(scratch.used, used);
    settings.negative_prompt = "\xff";
    assert_fails(pm_edit_image(&settings, &recipe, &prepared, NULL, keep, &none, &scratch, &err),
                 err, "UTF-8");
    assert_int_equal(scratch.used, used);
    pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_that_is_off_is_plain_denoising),
        cmocka_unit_test(an_edit_changes_its_target_and_not_the_source),
        cmocka_unit_test(replacing_a_prompt_by_itself_gives_the_source_to_the_last_bit),
        cmocka_unit_test(passes_do_not_matter),
        cmocka_unit_test(neighbours_do_not_matter),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(targets_with_an_error_are_left_out),
        cmocka_unit_test(a_trajectory_begins_at_the_seeds_noise_and_ends_at_the_final_latent),
        cmocka_unit_test(a_blend_keeps_the_source_outside_its_mask),
        cmocka_unit_test(maps_are_of_the_layers_that_blends_look_at),
        cmocka_unit_test(guidance_of_one_needs_no_unconditional_half),
        cmocka_unit_test(pndm_makes_one_evaluation_more),
        cmocka_unit_test(the_cost_counts_the_source_in_every_pass),
        cmocka_unit_test(latents_that_are_no_numbers_are_an_error),
    };
    return cmocka_run_group_tests(tests, load_model, free_scenes);
}
