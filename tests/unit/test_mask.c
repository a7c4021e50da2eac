#include "generate.h"
#include "temporary.h"
#include "test.h"

#include "pm/data/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pm_image_fit whole = {.rule = PM_FIT_CROP};

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

static void runs_are_read_and_written_alike(void **state)
{
    (void)state;
    struct pm_error err = {0};
    uint8_t mask[15], expected[15] = {1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    json_t *json = parse("{\"height\": 3, \"width\": 5, \"runs\": [0, 2, 4, 1, 13, 2]}");
    memset(mask, 77, sizeof mask);
    assert_ok(pm_mask_load_fitted(mask, 3, 5, json, ".", &whole, "a.jsonl:1", &err), err);
    assert_memory_equal(mask, expected, sizeof mask);
    json_t *again = pm_mask_to_runs(mask, 3, 5);
    assert_true(json_equal(json, again));
    json_decref(again);
    json_decref(json);
}

/* Any mask comes back from its runs, which touch nowhere, and so does one that is read one run too far. */
static void any_mask_comes_back_from_its_runs(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 300; i++) {
        struct generator g = generate(i);
        struct pm_error err = {0};
        size_t height = 1 + generate_below(&g, 40), width = 1 + generate_below(&g, 40);
        size_t pixels = height * width, likely = 1 + generate_below(&g, 20), end = 0;
        uint8_t *mask = malloc(pixels), *again = malloc(pixels);
        assert_true(mask && again);
        for (size_t p = 0; p < pixels; p++)
            mask[p] = p > 0 && generate_below(&g, likely) > 0 ? mask[p - 1]
                                                              : (uint8_t)generate_below(&g, 2);
        json_t *json = pm_mask_to_runs(mask, height, width), *runs = json_object_get(json, "runs");
        for (size_t r = 0; r < json_array_size(runs); r += 2) {
            size_t start = (size_t)json_integer_value(json_array_get(runs, r));
            size_t length = (size_t)json_integer_value(json_array_get(runs, r + 1));
            assert_true(length > 0 && (r == 0 || start > end));
            end = start + length;
        }
        memset(again, 77, pixels);
        assert_ok(pm_mask_from_runs(again, pixels, runs, false, "a", &err), err);
        if (memcmp(mask, again, pixels) != 0)
            fail_msg("case %llu: %zu x %zu", (unsigned long long)g.number, height, width);
        json_array_append_new(runs, json_integer((json_int_t)(pixels - 1)));
        json_array_append_new(runs, json_integer(2));
        assert_fails(pm_mask_from_runs(again, pixels, runs, false, "a", &err), err, "goes beyond");
        assert_ok(pm_mask_from_runs(again, pixels, runs, true, "a", &err), err);
        mask[pixels - 1] = 1;
        assert_memory_equal(mask, again, pixels);
        json_decref(json);
        free(mask);
        free(again);
    }
}

static void wrong_runs_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    const char *const wrong[][2] = {
        {"{\"height\": 3, \"width\": 5, \"runs\": [0, 2, 4]}", "odd number"},
        {"{\"height\": 3, \"width\": 5, \"runs\": [14, 2]}",
         "[0]: a run of 2 pixels from 14 goes beyond the 15 there are"},
        {"{\"height\": 3, \"width\": 5, \"runs\": [-1, 2]}",
         "[0] and [1] are not a run's start and length"},
        {"{\"height\": 3, \"width\": 5, \"runs\": [0, 1, 1, 9223372036854775807]}", "[2]"},
        {"{\"height\": 3, \"width\": 5, \"runs\": [9223372036854775807, 1]}", "goes beyond"},
        {"{\"height\": 3, \"width\": 5, \"runs\": [0, 1.5]}", "[0] and [1]"},
        {"{\"height\": 3, \"width\": 5}", "null"},
        {"{\"height\": 3, \"runs\": []}", "needs \"height\" and \"width\""},
        {"{\"height\": 16384, \"width\": 16384, \"runs\": []}", "at most"},
        {"{\"height\": 3, \"width\": 5, \"run\": []}", "did you mean \"runs\""},
        {"[0, 2]", "a list"},
        {"\"missing.png\"", "a.jsonl:1: \"mask\": cannot open ./missing.png"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t mask[15];
        json_t *json = parse(wrong[i][0]);
        assert_fails(pm_mask_load_fitted(mask, 3, 5, json, ".", &whole, "a.jsonl:1", &err), err,
                     wrong[i][1]);
        assert_int_equal(strncmp(err.message, "a.jsonl:1: \"mask\"", 17), 0);
        json_decref(json);
    }
}

static void runs_beyond_the_end_are_clipped_on_request(void **state)
{
    (void)state;
    struct pm_error err = {0};
    uint8_t mask[4];
    json_t *runs = parse("[2, 900]"), *outside = parse("[4, 1]");
    assert_ok(pm_mask_from_runs(mask, 4, runs, true, "m", &err), err);
    assert_memory_equal(mask, ((const uint8_t[]){0, 0, 1, 1}), 4);
    assert_fails(pm_mask_from_runs(mask, 4, outside, true, "m", &err), err, "goes beyond");
    json_decref(outside);
    json_decref(runs);
}

static void a_mask_goes_where_its_picture_goes(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image picture;
    pm_image_init(&picture, 40, 20);                                         /* white */
    for (size_t y = 0; y < 20; y++) memset(picture.pixels + y * 120, 0, 60); /* the left half not */
    assert_ok(pm_image_write_png(&picture, temporary_path("mask.png"), &err), err);
    pm_image_free(&picture);
    const struct pm_image_fit fit = {.rule = PM_FIT_CROP, .crop = {.left = 10, .right = 10}};
    uint8_t mask[8 * 8];
    json_t *json = json_string("mask.png");
    char folder[512];
    snprintf(folder, sizeof folder, "%s", temporary_path("."));
    assert_ok(pm_mask_load_fitted(mask, 8, 8, json, folder, &fit, "a.jsonl:1", &err), err);
    for (size_t i = 0; i < sizeof mask; i++) assert_int_equal(mask[i], i % 8 >= 4);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_read_and_written_alike),
        cmocka_unit_test(any_mask_comes_back_from_its_runs),
        cmocka_unit_test(wrong_runs_are_refused),
        cmocka_unit_test(runs_beyond_the_end_are_clipped_on_request),
        cmocka_unit_test(a_mask_goes_where_its_picture_goes),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
