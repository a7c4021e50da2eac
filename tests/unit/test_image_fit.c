#include "test.h"

#include "pm/data/image_fit.h"

#include <string.h>

static struct pm_image pattern(size_t width, size_t height)
{
    struct pm_image image;
    pm_image_init(&image, width, height);
    for (size_t i = 0; i < width * height * 3; i++) image.pixels[i] = (uint8_t)(i * 89 + i / 5);
    return image;
}

static void the_wanted_size_is_a_copy(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image = pattern(7, 5);
    const struct pm_image_fit rules[] = {{.rule = PM_FIT_CROP}, {.rule = PM_FIT_EXACT}};
    for (size_t i = 0; i < 2; i++) {
        uint8_t rgb[5 * 7 * 3] = {0};
        assert_ok(pm_image_fit(rgb, 5, 7, &image, &rules[i], "a.png", &err), err);
        assert_memory_equal(rgb, image.pixels, sizeof rgb);
    }
    pm_image_free(&image);
}

static void an_even_picture_stays_even_at_any_size(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    pm_image_init(&image, 33, 21);
    memset(image.pixels, 201, 33 * 21 * 3);
    for (size_t side = 1; side < 90; side += 8) {
        uint8_t rgb[90 * 90 * 3];
        struct pm_image_fit fit = {.rule = PM_FIT_CROP};
        assert_ok(pm_image_fit(rgb, side, side, &image, &fit, "a.png", &err), err);
        for (size_t i = 0; i < side * side * 3; i++) assert_int_equal(rgb[i], 201);
    }
    pm_image_free(&image);
}

/* Of an odd remainder the smaller half lies left and above. */
static void the_centre_is_kept(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image = pattern(10, 3);
    struct pm_image_fit fit = {.rule = PM_FIT_CROP};
    uint8_t rgb[3 * 3 * 3];
    assert_ok(pm_image_fit(rgb, 3, 3, &image, &fit, "a.png", &err), err);
    for (size_t y = 0; y < 3; y++)
        assert_memory_equal(rgb + y * 9, image.pixels + (y * 10 + 3) * 3, 9);
    pm_image_free(&image);
    image = pattern(3, 10);
    assert_ok(pm_image_fit(rgb, 3, 3, &image, &fit, "a.png", &err), err);
    assert_memory_equal(rgb, image.pixels + 3 * 9, 27);
    pm_image_free(&image);
}

static void margins_come_first(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image = pattern(8, 6);
    struct pm_image_fit fit = {.rule = PM_FIT_EXACT, .crop = {3, 1, 2, 1}};
    uint8_t rgb[3 * 4 * 3];
    assert_ok(pm_image_fit(rgb, 3, 4, &image, &fit, "a.png", &err), err);
    for (size_t y = 0; y < 3; y++)
        assert_memory_equal(rgb + y * 12, image.pixels + ((y + 2) * 8 + 3) * 3, 12);
    pm_image_free(&image);
}

static void margins_that_leave_nothing_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image = pattern(8, 6);
    const struct pm_image_margins margins[] = {
        {8, 0, 0, 0}, {5, 3, 0, 0}, {1, SIZE_MAX, 0, 0}, {0, 0, 6, 0}, {0, 0, 2, 4}};
    for (size_t i = 0; i < sizeof margins / sizeof *margins; i++) {
        uint8_t rgb[3];
        struct pm_image_fit fit = {.rule = PM_FIT_CROP, .crop = margins[i]};
        assert_fails(pm_image_fit(rgb, 1, 1, &image, &fit, "a.png", &err), err,
                     "a.png: the crop takes");
        assert_int_equal(err.code, PM_E_INPUT);
    }
    pm_image_free(&image);
}

static void another_size_than_the_exact_one_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image = pattern(8, 6);
    uint8_t rgb[8 * 8 * 3];
    struct pm_image_fit fit = {.rule = PM_FIT_EXACT};
    assert_fails(pm_image_fit(rgb, 8, 8, &image, &fit, "a.png", &err), err,
                 "a.png is 8x6 pixels after its crop; \"fit\": \"exact\" wants 8x8");
    pm_image_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wanted_size_is_a_copy),
        cmocka_unit_test(an_even_picture_stays_even_at_any_size),
        cmocka_unit_test(the_centre_is_kept),
        cmocka_unit_test(margins_come_first),
        cmocka_unit_test(margins_that_leave_nothing_are_refused),
        cmocka_unit_test(another_size_than_the_exact_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
