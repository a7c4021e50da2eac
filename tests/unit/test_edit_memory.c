/* What an edit is said to take from its arena, held against what it takes. */
#include "scenes_model.h"
#include "test.h"

#include "pm/edit/edit_image.h"
#include "pm/edit/edit_memory.h"

#include <stdio.h>
#include <string.h>

enum { SIDE = 12, STEPS = 3, FACTOR = 4, IMAGE = SIDE * SIDE * FACTOR * FACTOR * 3 };

static unsigned char pixels[IMAGE];

static int load_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < IMAGE; i++) pixels[i] = (unsigned char)(i * 7 / 11 % 256);
    return load_scenes(STEPS);
}

static struct pm_edit_settings default_settings(void)
{
    return (struct pm_edit_settings){.model = &model,
                                     .schedule = &ddim,
                                     .guidance_scale = 7.5f,
                                     .latent_height = SIDE,
                                     .latent_width = SIDE,
                                     .negative_prompt = "",
                                     .targets_per_pass = 8};
}

static void ignore(void *self, int target, const struct pm_picture *picture)
{
    (void)self;
    (void)target;
    (void)picture;
}

/** A line, ready to be edited. */
struct line {
    struct pm_recipe recipe;
    struct pm_prepared prepared;
};

static void line_read(struct line *line, const struct pm_edit_settings *s, const char *text)
{
    struct pm_error err = {0};
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    pm_recipe_resolve(json, NULL);
    assert_ok(pm_recipe_read(&line->recipe, json, "line 1", &err), err);
    assert_ok(pm_prepare(&line->prepared, &line->recipe, model.tokenizer, s->schedule, &err), err);
    for (size_t i = 0; i < line->recipe.target_count; i++)
        if (line->prepared.targets[i].error.code)
            fail_msg("%s", line->prepared.targets[i].error.message);
}

static void line_free(struct line *line)
{
    pm_prepared_free(&line->prepared);
    pm_recipe_free(&line->recipe);
}

static size_t said(const struct pm_edit_settings *s, const char *text)
{
    struct line line;
    line_read(&line, s, text);
    struct pm_edit_memory memory = pm_edit_memory_make(s, 1);
    size_t bytes = pm_edit_memory_bytes(&memory, &line.recipe, &line.prepared, s->targets_per_pass);
    line_free(&line);
    return bytes;
}

static size_t taken(const struct pm_edit_settings *s, const char *text)
{
    struct pm_error err = {0};
    struct line line;
    struct pm_real_image image = {.pixels = pixels}, *real = NULL;
    struct pm_arena arena;
    line_read(&line, s, text);
    pm_arena_init(&arena, (size_t)1 << 34);
    if (line.recipe.image.path) {
        pm_arena_bytes(&arena, IMAGE); /* the pixels lie in the same arena */
        real = &image;
        assert_ok(pm_invert_image(&image.inversion, s, &line.recipe, &line.prepared, pixels, &arena,
                                  &err),
                  err);
    }
    assert_ok(pm_edit_image(s, &line.recipe, &line.prepared, real, ignore, NULL, &arena, &err),
              err);
    size_t bytes = arena.peak;
    pm_arena_free(&arena);
    line_free(&line);
    return bytes;
}

/* @return bytes taken */
static size_t assert_enough(const struct pm_edit_settings *s, const char *line)
{
    size_t wanted = taken(s, line), told = said(s, line);
    if (told < wanted || (double)told > 1.12 * (double)wanted)
        fail_msg("%zu bytes are said, %zu are taken by %s", told, wanted, line);
    return wanted;
}

#define LINE(more) "{\"id\": \"x\", \"source\": \"a red ball on a meadow\", " more "}"
#define CUBE "\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\""
#define HILL "{\"prompt\": \"a red ball on a hill at sunset\", \"edit\": \"refine\"}"
#define NO_LAYER "\"self_replace_max_pixels\": 1"
#define BLEND "\"local_blend\": {\"source\": \"ball\", \"target\": \"cube\"}"

static void edits_take_what_is_said(void **state)
{
    (void)state;
    struct pm_edit_settings s = default_settings();
    assert_enough(&s, LINE("\"targets\": []"));
    size_t one = assert_enough(&s, LINE("\"targets\": [{" CUBE "}]"));
    size_t two = assert_enough(&s, LINE("\"targets\": [{" CUBE "}, " HILL "]"));
    assert_true(two > one);
    assert_enough(&s, LINE("\"targets\": [{" CUBE ", " BLEND "}]"));
    s.schedule = &pndm;
    s.keeps_trajectory = true;
    assert_enough(&s, LINE("\"targets\": [{" CUBE "}]"));
    s.latents_only = true;
    s.guidance_scale = 1.0f;
    assert_enough(&s, LINE("\"targets\": [{" CUBE "}]"));
}

static void maps_of_large_layers_are_counted(void **state)
{
    (void)state;
    struct pm_edit_settings s = default_settings();
    s.latent_height = s.latent_width = 192;
    s.latents_only = true; /* or the decoder would take more */
    size_t few = said(&s, LINE("\"targets\": [{" CUBE ", " NO_LAYER "}]"));
    size_t all = said(&s, LINE("\"targets\": [{" CUBE "}]"));
    size_t map = (size_t)96 * 96 * 96 * 96 * sizeof(float); /* of two prompts and 4 heads */
    assert_true(all > few);
    assert_true(all > 2 * 4 * map);
}

static void several_passes_take_as_much_as_the_largest(void **state)
{
    (void)state;
    struct pm_edit_settings s = default_settings();
    size_t whole = assert_enough(&s, LINE("\"targets\": [{" CUBE "}, " HILL ", " HILL "]"));
    s.targets_per_pass = 2;
    assert_true(assert_enough(&s, LINE("\"targets\": [{" CUBE "}, " HILL ", " HILL "]")) < whole);
}

static void captures_are_counted(void **state)
{
    (void)state;
    static const size_t layers[] = {0}, steps[] = {0, 1, 2};
    struct pm_edit_settings s = default_settings();
    struct pm_attention_capture_spec capture = {.height = SIDE,
                                                .width = SIDE,
                                                .layers = layers,
                                                .layer_count = 1,
                                                .steps = steps,
                                                .step_count = STEPS,
                                                .keeps_steps = true,
                                                .keeps_heads = true};
    struct pm_attention_site sites[64];
    assert_true(pm_unet_attention_sites(&model.unet, SIDE, SIDE, NULL) <= 64);
    pm_unet_attention_sites(&model.unet, SIDE, SIDE, sites);
    capture.heads = sites[0].heads;
    capture.height = sites[0].height;
    capture.width = sites[0].width;
    size_t without = assert_enough(&s, LINE("\"targets\": [{" CUBE "}]"));
    s.captures = &capture;
    s.capture_count = 1;
    assert_true(assert_enough(&s, LINE("\"targets\": [{" CUBE "}]")) > without);
}

static void inversions_are_counted(void **state)
{
    (void)state;
    struct pm_edit_settings s = default_settings();
#define REAL(method)                                                                               \
    LINE("\"image\": \"x.png\", \"inversion\": " method ", \"targets\": [{" CUBE "}]")
    assert_enough(&s, REAL("\"direct\""));
    assert_enough(&s, REAL("\"negative-prompt\""));
    assert_enough(&s, REAL("{\"method\": \"null-text\", \"inner_steps\": 1}"));
    s.guidance_scale = 1.0f;
    assert_enough(&s, REAL("\"ddim\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_take_what_is_said),
        cmocka_unit_test(maps_of_large_layers_are_counted),
        cmocka_unit_test(several_passes_take_as_much_as_the_largest),
        cmocka_unit_test(captures_are_counted),
        cmocka_unit_test(inversions_are_counted),
    };
    return cmocka_run_group_tests(tests, load_model, free_scenes);
}
