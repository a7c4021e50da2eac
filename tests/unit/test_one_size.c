/* A model that is loaded for pictures of one size gives the same bits, in less memory. */
#include "test.h"

#include "golden.h"
#include "model_outputs.h"

#include <stdlib.h>

enum {
    HEIGHT = 64,
    WIDTH = 32
}; /* of model_outputs.c's pictures: there are both small images and others */

static void load(struct pm_model *model, const char *name, bool are_of_one_size)
{
    struct pm_error err = {0};
    const struct pm_model_additions given = {
        .pictures = {.are_of_one_size = are_of_one_size, .height = HEIGHT, .width = WIDTH}};
    assert_ok(pm_model_load_with(model, golden_model_folder(name), &given, &err), err);
}

static void a_model_for_one_size_gives_the_same_bits_in_less_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"mini-sd1", "mini-sd2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct pm_model any, one;
        load(&any, names[i], false);
        load(&one, names[i], true);
        struct model_outputs of_any = model_outputs_make(&any), of_one = model_outputs_make(&one);
        assert_same_outputs(&of_one, &of_any);
        assert_true(one.weights.used < any.weights.used);
        assert_string_equal(one.fingerprint, any.fingerprint);
        free(of_any.values);
        free(of_one.values);
        pm_model_free(&any);
        pm_model_free(&one);
    }
}

static void each_convolution_has_the_form_that_its_images_take(void **state)
{
    (void)state;
    struct pm_model model;
    load(&model, "mini-sd1", true);
    const struct pm_conv *large = &model.unet.down[0].resnets[0].conv2; /* 8 x 4 */
    const struct pm_conv *small = &model.unet.mid.resnets[0].conv2;     /* 1 x 1 */
    assert_true(large->only_height == 8 && large->only_width == 4);
    assert_true(large->winograd && !large->packed);
    assert_true(small->only_height == 1 && small->only_width == 1);
    assert_true(small->packed && !small->winograd);
    assert_true(pm_conv_takes(large, 8, 4) && !pm_conv_takes(large, 4, 8));
    pm_model_free(&model);
}

static void a_model_that_is_measured_takes_what_it_will_take(void **state)
{
    (void)state;
    for (int one = 0; one < 2; one++) {
        struct pm_model loaded, measured;
        struct pm_error err = {0};
        const struct pm_model_additions given = {
            .pictures = {.are_of_one_size = one, .height = HEIGHT, .width = WIDTH}};
        load(&loaded, "mini-sd2", one);
        assert_ok(pm_model_measure(&measured, golden_model_folder("mini-sd2"), &given, &err), err);
        assert_int_equal(measured.weights.used, loaded.weights.used);
        assert_string_equal(measured.fingerprint, "");
        assert_ok(pm_model_fingerprint(&measured, &err), err);
        assert_string_equal(measured.fingerprint, loaded.fingerprint);
        pm_model_free(&loaded);
        pm_model_free(&measured);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_for_one_size_gives_the_same_bits_in_less_memory),
        cmocka_unit_test(each_convolution_has_the_form_that_its_images_take),
        cmocka_unit_test(a_model_that_is_measured_takes_what_it_will_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
