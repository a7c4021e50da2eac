#include "test.h"

#include "pm/data/image_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 17, WIDTH = 23, PIXELS = HEIGHT * WIDTH };

static double metrics[PM_IMAGE_METRICS];

static void measure(const uint8_t *image, const uint8_t *reference, const uint8_t *mask)
{
    for (size_t i = 0; i < PM_IMAGE_METRICS; i++) metrics[i] = -1e9;
    pm_image_measure(metrics, image, reference, mask, HEIGHT, WIDTH);
}

static void equal_pictures_differ_by_nothing(void **state)
{
    (void)state;
    uint8_t image[PIXELS * 3], mask[PIXELS] = {0};
    for (size_t i = 0; i < sizeof image; i++) image[i] = (uint8_t)(i * 71 % 253);
    for (size_t i = 0; i < PIXELS / 2; i++) mask[i] = 1;
    measure(image, image, mask);
    for (size_t i = 0; i < PM_IMAGE_METRICS; i += 3) {
        assert_true(metrics[i + PM_MSE] == 0.0);
        assert_true(metrics[i + PM_PSNR] == INFINITY);
        assert_float_equal(metrics[i + PM_SSIM], 1.0, 1e-12);
    }
}

static void an_even_difference_has_the_mean_square_of_it(void **state)
{
    (void)state;
    uint8_t image[PIXELS * 3], reference[PIXELS * 3], mask[PIXELS] = {0};
    memset(image, 151, sizeof image);
    memset(reference, 100, sizeof reference);
    for (size_t i = 0; i < 50; i++) mask[i] = 1;
    const double square = 0.04, masked = 50.0 / PIXELS; /* (51 / 255)² */
    measure(image, reference, mask);
    assert_float_equal(metrics[PM_MSE], square, 1e-12);
    assert_float_equal(metrics[PM_PSNR], 13.9794, 1e-4);
    assert_float_equal(metrics[PM_MSE_INSIDE_MASK], square, 1e-12);
    assert_float_equal(metrics[PM_MSE_OUTSIDE_MASK], square, 1e-12);
    assert_float_equal(metrics[PM_MSE_EDIT_PART], square * masked, 1e-12);
    assert_float_equal(metrics[PM_MSE_UNEDIT_PART], square * (1.0 - masked), 1e-12);
}

static void what_is_not_there_is_nan(void **state)
{
    (void)state;
    uint8_t image[PIXELS * 3] = {0}, mask[PIXELS] = {0};
    measure(image, image, NULL);
    assert_true(metrics[PM_MSE] == 0.0);
    for (size_t i = PM_SSIM + 1; i < PM_IMAGE_METRICS; i++) assert_true(isnan(metrics[i]));
    measure(image, image, mask); /* no pixel is edited */
    for (size_t i = 0; i < 3; i++) {
        assert_true(isnan(metrics[PM_MSE_EDIT_PART + i]));
        assert_true(isnan(metrics[PM_MSE_INSIDE_MASK + i]));
        assert_false(isnan(metrics[PM_MSE_UNEDIT_PART + i]));
        assert_false(isnan(metrics[PM_MSE_OUTSIDE_MASK + i]));
    }
    memset(mask, 1, sizeof mask);
    measure(image, image, mask);
    assert_true(isnan(metrics[PM_MSE_UNEDIT_PART]));
    assert_true(isnan(metrics[PM_PSNR_OUTSIDE_MASK]));
    pm_image_measure(metrics, image, image, mask, 10, 30); /* too low for a window */
    assert_true(isnan(metrics[PM_SSIM]));
    assert_true(metrics[PM_MSE] == 0.0);
}

static void a_change_inside_is_not_seen_outside(void **state)
{
    (void)state;
    uint8_t image[PIXELS * 3] = {0}, reference[PIXELS * 3] = {0}, mask[PIXELS] = {0};
    size_t pixel = 8 * WIDTH + 11;
    mask[pixel] = 255; /* whatever is not 0 */
    image[pixel * 3 + 1] = 255;
    measure(image, reference, mask);
    assert_true(metrics[PM_MSE_OUTSIDE_MASK] == 0.0);
    assert_true(metrics[PM_PSNR_UNEDIT_PART] == INFINITY);
    assert_float_equal(metrics[PM_MSE_INSIDE_MASK], 1.0 / 3.0, 1e-12);
    assert_float_equal(metrics[PM_MSE_EDIT_PART], 1.0 / (3.0 * PIXELS), 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_pictures_differ_by_nothing),
        cmocka_unit_test(an_even_difference_has_the_mean_square_of_it),
        cmocka_unit_test(what_is_not_there_is_nan),
        cmocka_unit_test(a_change_inside_is_not_seen_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
