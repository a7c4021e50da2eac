#include "test.h"

#include "pm/control/token_map.h"
#include "pm/model/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cross-attention of one layer around the reference's controllers, 8 pixels of each head. */
struct edit {
    const char *name; /* of its tensors, NAME.stepN.before and .after */
    enum pm_edit edit;
    const char *source, *target;
    size_t steps;
    double cross_replace_steps;
    struct {
        const char *word;
        float value;
    } equalizer[2];
    size_t traced_steps[2];
};

static const struct edit edits[] = {
    {"m1",
     PM_EDIT_REPLACE,
     "a photo of a star on a road",
     "a photo of a cactus on a road",
     10,
     0.8,
     {{0}},
     {0, 6}},
    {"m2",
     PM_EDIT_REFINE,
     "a tree on a meadow",
     "a red tree on a meadow at night",
     10,
     0.8,
     {{"red", 2.0f}, {"night", -1.0f}},
     {0, 6}},
    {"01",
     PM_EDIT_REPLACE,
     "a photo of a red ball on a meadow",
     "a photo of a red cube on a meadow",
     50,
     0.8,
     {{0}},
     {0, 30}},
    {"03",
     PM_EDIT_REFINE,
     "a photo of a house in the desert",
     "a photo of a house in the desert at night",
     50,
     0.8,
     {{0}},
     {30, 30}},
};

static struct pm_safetensors golden;
static struct pm_tokenizer *tokenizer;

static int load_all(void **state)
{
    (void)state;
    struct pm_error err = {0};
    bool ok = pm_safetensors_open(&golden, "tests/golden/data/token_map.safetensors", &err) &&
              pm_tokenizer_load(&tokenizer, "models/scenes/tokenizer", &err);
    if (!ok) print_error("%s\n", err.message);
    return ok ? 0 : -1;
}

static int free_all(void **state)
{
    (void)state;
    pm_safetensors_close(&golden);
    pm_tokenizer_free(tokenizer);
    return 0;
}

static struct pm_token_map make_map(const struct edit *edit)
{
    struct pm_error err = {0};
    struct pm_tokens source, target;
    assert_ok(pm_tokenize(&source, tokenizer, edit->source, &err), err);
    assert_ok(pm_tokenize(&target, tokenizer, edit->target, &err), err);
    struct pm_token_map_spec spec = pm_token_map_spec_default(edit->edit);
    spec.mapper = PM_MAPPER_REFERENCE;
    pm_token_map_spec_window(&spec, edit->steps, 0.0, edit->cross_replace_steps);
    for (size_t i = 0; i < 2 && edit->equalizer[i].word; i++)
        assert_ok(pm_token_map_spec_equalize(&spec, edit->target, &target, edit->equalizer[i].word,
                                             edit->equalizer[i].value, &err),
                  err);
    struct pm_token_map map;
    assert_ok(pm_token_map_init(&map, &spec, edit->source, &source, edit->target, &target, &err),
              err);
    return map;
}

static float *read_maps(const struct edit *edit, size_t step, const char *when, size_t *rows)
{
    char name[64];
    snprintf(name, sizeof name, "%s.step%zu.%s", edit->name, step, when);
    const struct pm_tensor *tensor = pm_safetensors_find(&golden, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->rank, 3);
    assert_int_equal(tensor->shape[2], PM_TOKENS);
    *rows = tensor->elements / PM_TOKENS;
    float *maps = malloc(tensor->elements * sizeof *maps);
    assert_non_null(maps);
    pm_tensor_floats(maps, tensor);
    return maps;
}

/* new = source A + target d */
static void apply(float *out, const float *source, const float *target, size_t rows, const float *a,
                  const float *d)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t n = 0; n < PM_TOKENS; n++) {
            double sum = target[r * PM_TOKENS + n] * (double)d[n];
            for (size_t w = 0; w < PM_TOKENS; w++)
                sum += source[r * PM_TOKENS + w] * (double)a[w * PM_TOKENS + n];
            out[r * PM_TOKENS + n] = (float)sum;
        }
    }
}

static void check_step(const struct edit *edit, const struct pm_token_map *map, size_t step)
{
    float a[PM_TOKENS * PM_TOKENS], d[PM_TOKENS];
    fill_nan(a, PM_TOKENS * PM_TOKENS);
    fill_nan(d, PM_TOKENS);
    pm_token_map_at(a, d, map, step);
    assert_false(pm_token_map_is_idle(map, step));

    size_t rows; /* the source's heads and pixels, then the target's */
    float *before = read_maps(edit, step, "before", &rows);
    float *after = read_maps(edit, step, "after", &rows);
    size_t target = rows / 2 * PM_TOKENS;
    float *edited = malloc(target * sizeof *edited);
    assert_non_null(edited);
    fill_nan(edited, target);
    apply(edited, before, before + target, rows / 2, a, d);
    if (max_difference(edited, after + target, target) > 1e-6)
        fail_msg("%s, step %zu", edit->name, step);
    assert_true(max_difference(before + target, after + target, target) > 1e-3);
    free(before);
    free(after);
    free(edited);
}

static void maps_edit_attention_as_the_reference_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        struct pm_token_map map = make_map(&edits[i]);
        for (size_t k = 0; k < 2; k++) check_step(&edits[i], &map, edits[i].traced_steps[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_edit_attention_as_the_reference_does),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
