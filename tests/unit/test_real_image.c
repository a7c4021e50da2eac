/* Edits of real pictures: what must be exact whatever the model. */
#include "scenes_model.h"
#include "test.h"

#include "pm/edit/edit_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 12, WIDTH = 9, CHANNELS = 4, FACTOR = 4, STEPS = 4 };
enum { PIXELS = HEIGHT * WIDTH, LATENT = CHANNELS * PIXELS, IMAGE = 3 * FACTOR * FACTOR * PIXELS };

static unsigned char pixels[IMAGE];

/** A picture that outlasts its call. */
struct kept {
    unsigned char image[IMAGE];
    float x_T[LATENT], trajectory[STEPS * LATENT];
    bool has_mask;
    uint8_t mask[PIXELS];
};

struct edited {
    struct kept pictures[4]; /* the source, then the targets */
    float inversion[(STEPS + 1) * LATENT];
};

static int load_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < IMAGE; i++) pixels[i] = (unsigned char)(i * 7 / 11 % 256);
    return load_scenes(STEPS);
}

static void keep(void *self, int target, const struct pm_picture *picture)
{
    struct edited *e = self;
    struct kept *k = &e->pictures[target + 1];
    memcpy(k->image, picture->image, sizeof k->image);
    memcpy(k->x_T, picture->x_T, sizeof k->x_T);
    memcpy(k->trajectory, picture->trajectory, sizeof k->trajectory);
    k->has_mask = picture->mask != NULL;
    if (picture->mask) memcpy(k->mask, picture->mask, sizeof k->mask);
}

/* Edit the picture. The caller frees the result with test_free. @param inversion  JSON */
static struct edited *edit(const char *inversion, size_t targets_per_pass, const char *targets)
{
    struct pm_error err = {0};
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pm_real_image real = {.pixels = pixels};
    struct pm_edit_settings settings = {.model = &model,
                                        .schedule = &ddim,
                                        .guidance_scale = 7.5f,
                                        .latent_height = HEIGHT,
                                        .latent_width = WIDTH,
                                        .negative_prompt = "",
                                        .keeps_trajectory = true,
                                        .targets_per_pass = targets_per_pass};
    char line[2048];
    snprintf(line, sizeof line,
             "{\"id\": \"x\", \"source\": \"a red ball on a meadow\", \"image\": \"x.png\", "
             "\"inversion\": %s, \"targets\": [%s]}",
             inversion, targets);
    json_t *json = json_loads(line, 0, NULL);
    assert_non_null(json);
    pm_recipe_resolve(json, NULL);
    assert_ok(pm_recipe_read(&recipe, json, "line 1", &err), err);
    assert_ok(pm_prepare(&prepared, &recipe, model.tokenizer, &ddim, &err), err);
    for (size_t i = 0; i < recipe.target_count; i++)
        if (prepared.targets[i].error.code) fail_msg("%s", prepared.targets[i].error.message);
    struct edited *e = test_calloc(1, sizeof *e);
    size_t before = scratch.used;
    assert_ok(
        pm_invert_image(&real.inversion, &settings, &recipe, &prepared, pixels, &scratch, &err),
        err);
    memcpy(e->inversion, real.inversion.latents, sizeof e->inversion);
    size_t used = scratch.used;
    assert_ok(pm_edit_image(&settings, &recipe, &prepared, &real, keep, e, &scratch, &err), err);
    assert_int_equal(scratch.used, used);
    scratch.used = before;
    pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
    return e;
}

#define CUBE "\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\""
#define SAME "\"prompt\": \"a red ball on a meadow\", \"edit\": \"refine\""

static void direct_inversions_source_is_its_inversion_to_the_bit(void **state)
{
    (void)state;
    struct edited *e = edit("\"direct\"", 1, "{" CUBE "}");
    assert_memory_equal(e->pictures[0].x_T, e->inversion, LATENT * sizeof(float));
    assert_memory_equal(e->pictures[0].trajectory, e->inversion + LATENT,
                        STEPS * LATENT * sizeof(float));
    assert_memory_equal(e->pictures[1].x_T, e->inversion, LATENT * sizeof(float));
    test_free(e);
}

static void plain_ddims_source_is_led_away_by_guidance(void **state)
{
    (void)state;
    struct edited *e = edit("\"ddim\"", 1, "{" CUBE "}");
    assert_memory_equal(e->pictures[0].x_T, e->inversion, LATENT * sizeof(float));
    const float *last = e->pictures[0].trajectory + (STEPS - 1) * LATENT;
    assert_true(relative_rms(last, e->inversion + STEPS * LATENT, LATENT) > 0.05);
    test_free(e);
}

static double drift(const struct edited *e)
{
    return relative_rms(e->pictures[0].trajectory + (STEPS - 1) * LATENT,
                        e->inversion + STEPS * LATENT, LATENT);
}

static void null_text_inversion_leads_the_guided_source_back(void **state)
{
    (void)state;
    struct edited *plain = edit("\"ddim\"", 1, "{" CUBE "}");
    struct edited *few = edit("{\"method\": \"null-text\", \"inner_steps\": 1}", 1, "{" CUBE "}");
    struct edited *many = edit("{\"method\": \"null-text\", \"inner_steps\": 8}", 1, "{" CUBE "}");
    assert_memory_equal(few->inversion, plain->inversion, sizeof plain->inversion);
    assert_true(drift(few) < drift(plain));
    assert_true(drift(many) < 0.8 * drift(plain));
    test_free(plain);
    test_free(few);
    test_free(many);
}

static void null_text_inversion_that_need_not_move_is_plain_ddims(void **state)
{
    (void)state;
    struct edited *plain = edit("\"ddim\"", 1, "{" CUBE "}");
    struct edited *still =
        edit("{\"method\": \"null-text\", \"learning_rate\": 0}", 1, "{" CUBE "}");
    assert_memory_equal(still->pictures, plain->pictures, sizeof plain->pictures);
    test_free(plain);
    test_free(still);
}

/* Guidance between a prompt and itself is none. */
static void negative_prompt_inversions_target_of_the_same_prompt_is_the_source(void **state)
{
    (void)state;
    struct edited *e = edit("\"negative-prompt\"", 1, "{" SAME "}");
    assert_memory_equal(e->pictures[0].trajectory, e->pictures[1].trajectory,
                        sizeof e->pictures[0].trajectory);
    assert_memory_equal(e->pictures[0].image, e->pictures[1].image, IMAGE);
    test_free(e);
}

static void targets_do_not_depend_on_their_pass(void **state)
{
    (void)state;
    static const char targets[] = "{" CUBE ", \"restore\": \"mask\"}, {" SAME "}";
    struct edited *together = edit("\"direct\"", 2, targets),
                  *apart = edit("\"direct\"", 1, targets);
    for (size_t i = 0; i < 3; i++) {
        assert_memory_equal(together->pictures[i].image, apart->pictures[i].image, IMAGE);
        assert_memory_equal(together->pictures[i].trajectory, apart->pictures[i].trajectory,
                            sizeof apart->pictures[i].trajectory);
    }
    test_free(together);
    test_free(apart);
}

static void restoring_gives_the_pictures_own_bytes_outside_the_mask(void **state)
{
    (void)state;
    struct edited *e = edit("\"direct\"", 2,
                            "{" CUBE ", \"restore\": {\"feather\": 0, \"threshold\": 0.7}}, "
                            "{" CUBE "}");
    const struct kept *restored = &e->pictures[1], *plain = &e->pictures[2];
    assert_true(restored->has_mask && !plain->has_mask);
    size_t inside = 0;
    for (size_t i = 0; i < IMAGE; i++) {
        size_t y = i / 3 / (WIDTH * FACTOR), x = i / 3 % (WIDTH * FACTOR);
        bool edited = restored->mask[y / FACTOR * WIDTH + x / FACTOR];
        inside += edited;
        assert_int_equal(restored->image[i], edited ? plain->image[i] : pixels[i]);
    }
    assert_in_range(inside, 1, IMAGE - 1);
    assert_memory_equal(restored->trajectory, plain->trajectory, sizeof plain->trajectory);
    test_free(e);
}

static void a_blend_against_the_inversion_keeps_it_outside_the_mask(void **state)
{
    (void)state;
    struct edited *e = edit("\"ddim\"", 1,
                            "{" CUBE ", \"local_blend\": {\"threshold\": 0.8, \"start\": 0, "
                            "\"background\": \"inversion\"}}");
    const float *last = e->pictures[1].trajectory + (STEPS - 1) * LATENT;
    const float *clean = e->inversion + STEPS * LATENT;
    size_t inside = 0;
    for (size_t i = 0; i < PIXELS; i++) {
        inside += e->pictures[1].mask[i];
        for (size_t c = 0; c < CHANNELS && !e->pictures[1].mask[i]; c++)
            assert_true(last[c * PIXELS + i] == clean[c * PIXELS + i]);
    }
    assert_in_range(inside, 1, PIXELS - 1);
    test_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_inversions_source_is_its_inversion_to_the_bit),
        cmocka_unit_test(plain_ddims_source_is_led_away_by_guidance),
        cmocka_unit_test(null_text_inversion_leads_the_guided_source_back),
        cmocka_unit_test(null_text_inversion_that_need_not_move_is_plain_ddims),
        cmocka_unit_test(negative_prompt_inversions_target_of_the_same_prompt_is_the_source),
        cmocka_unit_test(targets_do_not_depend_on_their_pass),
        cmocka_unit_test(restoring_gives_the_pictures_own_bytes_outside_the_mask),
        cmocka_unit_test(a_blend_against_the_inversion_keeps_it_outside_the_mask),
    };
    return cmocka_run_group_tests(tests, load_model, free_scenes);
}
