#include "golden.h"

#include "pm/data/heat_map.h"
#include "pm/data/word_heat.h"

#include <stdlib.h>

static const double TOLERANCE = 1e-4; /* of values that go up to the number of steps */

/** A case's maps, of each size. */
struct sizes {
    struct pm_heat_maps maps[4];
    size_t count;
};

static size_t number(const json_t *json, const char *key)
{
    return (size_t)json_integer_value(json_object_get(json, key));
}

static struct sizes open_sizes(const struct golden *golden, const char *name, const json_t *json)
{
    struct sizes sizes = {.count = number(json, "groups")};
    for (size_t i = 0; i < sizes.count; i++) {
        char tensor[64];
        snprintf(tensor, sizeof tensor, "%s.maps%zu", name, i);
        const size_t *shape = pm_safetensors_find(&golden->tensors, tensor)->shape;
        sizes.maps[i] = (struct pm_heat_maps){.values = golden_floats(golden, NULL, "%s", tensor),
                                              .steps = shape[0],
                                              .layers = shape[1],
                                              .heads = shape[2],
                                              .height = shape[3],
                                              .width = shape[4],
                                              .columns = shape[5],
                                              .all_steps = shape[0],
                                              .all_layers = shape[1],
                                              .all_heads = shape[2]};
    }
    return sizes;
}

static void close_sizes(struct sizes *sizes)
{
    for (size_t i = 0; i < sizes->count; i++) test_free((void *)sizes->maps[i].values);
}

static void assert_golden(const float *got, const struct golden *golden, const char *name,
                          const char *what)
{
    size_t n;
    float *wanted = golden_floats(golden, &n, "%s.%s", name, what);
    double difference = max_difference(got, wanted, n);
    if (!(difference < TOLERANCE)) fail_msg("%s.%s differs by %g", name, what, difference);
    test_free(wanted);
}

static void check_case(const struct golden *golden, const char *name, const json_t *json)
{
    char tensor[64];
    struct sizes sizes = open_sizes(golden, name, json);
    snprintf(tensor, sizeof tensor, "%s.heat", name);
    const size_t *shape = pm_safetensors_find(&golden->tensors, tensor)->shape;
    size_t tokens = shape[0], height = shape[1], width = shape[2], pixels = height * width;
    snprintf(tensor, sizeof tensor, "%s.expanded", name);
    const size_t *picture = pm_safetensors_find(&golden->tensors, tensor)->shape;
    float *heat = test_malloc(tokens * pixels * sizeof *heat);
    float *word = test_malloc(pixels * sizeof *word);
    float *expanded = test_malloc(picture[0] * picture[1] * sizeof *expanded);
    fill_nan(heat, tokens * pixels);

    pm_word_heat_of_maps(heat, height, width, sizes.maps, sizes.count, PM_HEAT_SUM_OF_STEPS);
    assert_golden(heat, golden, name, "heat");

    size_t columns[8], count = json_array_size(json_object_get(json, "word"));
    for (size_t i = 0; i < count; i++)
        columns[i] = (size_t)json_integer_value(json_array_get(json_object_get(json, "word"), i));
    pm_word_heat_merge(word, heat, pixels, columns, count);
    assert_golden(word, golden, name, "word");

    pm_heat_map_interpolate(expanded, picture[0], picture[1], word, height, width);
    pm_heat_map_normalize(expanded, picture[0] * picture[1], PM_HEAT_MIN_TO_MAX);
    assert_golden(expanded, golden, name, "expanded");

    pm_word_heat_share(heat, tokens, pixels, 1, tokens - 1);
    assert_golden(heat, golden, name, "share");
    test_free(heat);
    test_free(word);
    test_free(expanded);
    close_sizes(&sizes);
}

static void heat_maps_are_daams(void **state)
{
    (void)state;
    struct golden golden = golden_open("heat_maps");
    const char *name;
    json_t *json;
    assert_int_equal(json_object_size(golden.json), 3);
    json_object_foreach(golden.json, name, json) check_case(&golden, name, json);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heat_maps_are_daams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
