#include "test.h"

#include "pm/data/heat_map.h"

#include <math.h>

/* The kernel at a quarter and three quarters, worked out by hand from Keys' polynomials with
 * a = -0.75; all are exact in binary. The overshoot below 0 is cut, the one above 1 is not. */
static void a_step_gives_the_values_worked_out_by_hand(void **state)
{
    (void)state;
    const float step[2] = {0.0f, 1.0f}, expected[4] = {0.0f, 0.2265625f, 0.7734375f, 1.10546875f};
    float across[4], down[4];
    fill_nan(across, 4);
    fill_nan(down, 4);
    pm_heat_map_resize(across, 1, 4, step, 1, 2);
    pm_heat_map_resize(down, 4, 1, step, 2, 1);
    assert_true(max_difference(across, expected, 4) < 1e-7);
    assert_true(max_difference(down, expected, 4) < 1e-7);
    pm_heat_map_interpolate(across, 1, 4, step, 1, 2);
    assert_true(across[0] == -0.10546875f && across[3] == expected[3]);
}

/* torch 2.15: interpolate(map, size=(3, 5), mode="bicubic", align_corners=False) */
static void an_odd_resize_agrees_with_torch(void **state)
{
    (void)state;
    const float map[8] = {1, 3, 9, 7, 2, 14, 6, 8};
    const float expected[15] = {0.844429f, 0.933844f,  5.978951f, 9.401028f, 6.770602f,
                                1.07475f,  6.657252f,  8.65625f,  7.389751f, 7.5f,
                                1.305072f, 12.380659f, 11.33355f, 5.378478f, 8.2294f};
    float out[15];
    fill_nan(out, 15);
    pm_heat_map_resize(out, 3, 5, map, 2, 4);
    assert_true(max_difference(out, expected, 15) < 1e-5);
}

static void an_even_map_stays_even(void **state)
{
    (void)state;
    const size_t sizes[][4] = {{1, 1, 1, 1}, {1, 1, 7, 5}, {3, 5, 11, 2}, {16, 16, 37, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t *s = sizes[i];
        float map[256], out[37 * 64];
        for (size_t k = 0; k < 256; k++) map[k] = 0.7f;
        fill_nan(out, 37 * 64);
        pm_heat_map_resize(out, s[2], s[3], map, s[0], s[1]);
        for (size_t k = 0; k < s[2] * s[3]; k++) assert_true(fabsf(out[k] - 0.7f) < 1e-6f);
    }
}

static void at_its_own_size_a_map_stays_as_it_is(void **state)
{
    (void)state;
    float map[7 * 5], out[7 * 5];
    fill_random(map, 35, 3);
    for (size_t i = 0; i < 35; i++) map[i] = fabsf(map[i]);
    pm_heat_map_resize(out, 7, 5, map, 7, 5);
    assert_true(max_difference(out, map, 35) == 0.0);
}

static void a_broken_value_is_no_heat(void **state)
{
    (void)state;
    float map[9] = {1, 1, 1, 1, NAN, 1, 1, 1, INFINITY}, out[81];
    fill_nan(out, 81);
    pm_heat_map_resize(out, 9, 9, map, 3, 3);
    for (size_t i = 0; i < 81; i++) assert_true(isfinite(out[i]));
    assert_true(out[4 * 9 + 4] < 0.01f);
    pm_heat_map_normalize(map, 9, PM_HEAT_MIN_TO_MAX);
    assert_true(map[0] == 1.0f && map[4] == 0.0f && map[8] == 0.0f);
}

static void a_word_is_the_mean_of_its_tokens(void **state)
{
    (void)state;
    const float maps[2 * 4] = {1, 2, 3, 4, 10, 20, 30, 50}, expected[2] = {3, 35};
    const size_t tokens[2] = {1, 3};
    float out[2];
    fill_nan(out, 2);
    pm_heat_map_of_word(out, maps, 2, 4, tokens, 2);
    assert_true(max_difference(out, expected, 2) == 0.0);
}

static void normalising_spans_zero_to_one(void **state)
{
    (void)state;
    float stretched[4] = {2, 6, 4, 3}, from_zero[4] = {2, 8, -4, 0};
    pm_heat_map_normalize(stretched, 4, PM_HEAT_MIN_TO_MAX);
    assert_true(max_difference(stretched, (const float[]){0, 1, 0.5f, 0.25f}, 4) == 0.0);
    float negative[3] = {-3, -1, 1};
    pm_heat_map_normalize(negative, 3, PM_HEAT_MIN_TO_MAX);
    assert_true(max_difference(negative, (const float[]){0, 0.5f, 1}, 3) == 0.0);
    pm_heat_map_normalize(from_zero, 4, PM_HEAT_ZERO_TO_MAX);
    assert_true(max_difference(from_zero, (const float[]){0.25f, 1, 0, 0}, 4) == 0.0);
}

static void a_map_without_range_becomes_zero(void **state)
{
    (void)state;
    float even[3] = {0.4f, 0.4f, 0.4f}, none[3] = {0, 0, 0};
    const float zeros[3] = {0};
    pm_heat_map_normalize(even, 3, PM_HEAT_MIN_TO_MAX);
    pm_heat_map_normalize(none, 3, PM_HEAT_ZERO_TO_MAX);
    assert_true(max_difference(even, zeros, 3) == 0.0);
    assert_true(max_difference(none, zeros, 3) == 0.0);
}

static void colours_grow_lighter_with_heat(void **state)
{
    (void)state;
    double before = -1.0;
    for (int i = 0; i <= 100; i++) {
        struct pm_color color = pm_heat_color((float)i / 100.0f);
        double light = 0.2126 * color.red + 0.7152 * color.green + 0.0722 * color.blue;
        assert_true(light > before);
        before = light;
    }
    struct pm_color hottest = pm_heat_color(7.0f), coldest = pm_heat_color(-1.0f);
    assert_memory_equal(&hottest, (&(struct pm_color){252, 255, 164}), 3);
    assert_memory_equal(&coldest, (&(struct pm_color){0, 0, 4}), 3);
    coldest = pm_heat_color(NAN);
    assert_memory_equal(&coldest, (&(struct pm_color){0, 0, 4}), 3);
}

static void heat_covers_as_much_as_there_is(void **state)
{
    (void)state;
    struct pm_image picture;
    pm_image_init(&picture, 4, 1);
    pm_canvas_fill(&picture, 0, 0, 4, 1, (struct pm_color){10, 110, 210});
    pm_heat_map_overlay(&picture, (const float[]){0.0f, 0.5f, 1.0f, NAN});
    const uint8_t expected[12] = {10, 110, 210, 99, 82, 147, 252, 255, 164, 10, 110, 210};
    assert_memory_equal(picture.pixels, expected, 12);
    pm_image_free(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_gives_the_values_worked_out_by_hand),
        cmocka_unit_test(an_odd_resize_agrees_with_torch),
        cmocka_unit_test(an_even_map_stays_even),
        cmocka_unit_test(at_its_own_size_a_map_stays_as_it_is),
        cmocka_unit_test(a_broken_value_is_no_heat),
        cmocka_unit_test(a_word_is_the_mean_of_its_tokens),
        cmocka_unit_test(normalising_spans_zero_to_one),
        cmocka_unit_test(a_map_without_range_becomes_zero),
        cmocka_unit_test(colours_grow_lighter_with_heat),
        cmocka_unit_test(heat_covers_as_much_as_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
