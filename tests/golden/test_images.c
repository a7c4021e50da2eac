#include "golden.h"

#include "pm/data/image_fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FOLDER[] = "tests/golden/data/images";

static struct pm_image read_file(const char *name)
{
    char path[256];
    struct pm_error err = {0};
    struct pm_image image = {0};
    snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    assert_ok(pm_image_read(&image, path, &err), err);
    return image;
}

static void assert_same_pixels(const uint8_t *got, const struct golden *golden, const char *name)
{
    size_t n;
    int *expected = golden_ints(golden, &n, "%s", name);
    for (size_t i = 0; i < n; i++)
        if (got[i] != expected[i])
            fail_msg("%s: byte %zu is %d, not %d", name, i, got[i], expected[i]);
    test_free(expected);
}

static void every_kind_of_file_has_pillows_pixels(void **state)
{
    (void)state;
    struct golden golden = golden_open("images/images");
    const json_t *names = json_object_get(golden.json, "read"), *name;
    size_t i;
    assert_true(json_array_size(names) > 30);
    json_array_foreach(names, i, name)
    {
        const char *file = json_string_value(name);
        const struct pm_tensor *tensor = pm_safetensors_find(&golden.tensors, file);
        struct pm_image image = read_file(file);
        if (image.height != tensor->shape[0] || image.width != tensor->shape[1])
            fail_msg("%s is read as %zux%zu", file, image.width, image.height);
        assert_same_pixels(image.pixels, &golden, file);
        pm_image_free(&image);
    }
    golden_close(&golden);
}

static void crops_and_resized_pictures_are_pillows(void **state)
{
    (void)state;
    struct golden golden = golden_open("images/images");
    const json_t *cases = json_object_get(golden.json, "fit"), *test;
    size_t i;
    assert_true(json_array_size(cases) > 10);
    json_array_foreach(cases, i, test)
    {
        char name[32], path[256];
        const char *file = NULL;
        struct pm_error err = {0};
        struct pm_image_fit fit = {.rule = PM_FIT_CROP};
        struct pm_image_margins *crop = &fit.crop;
        const json_t *cut = json_object_get(test, "crop");
        size_t width = 0, height = 0;
        snprintf(name, sizeof name, "fit.%zu", i);
        assert_ok(pm_json_string(test, name, "file", &file, &err) &&
                      pm_json_size(test, name, "width", 1, 999, &width, &err) &&
                      pm_json_size(test, name, "height", 1, 999, &height, &err) &&
                      pm_json_size(cut, name, "left", 0, 999, &crop->left, &err) &&
                      pm_json_size(cut, name, "right", 0, 999, &crop->right, &err) &&
                      pm_json_size(cut, name, "top", 0, 999, &crop->top, &err) &&
                      pm_json_size(cut, name, "bottom", 0, 999, &crop->bottom, &err),
                  err);
        snprintf(path, sizeof path, "%s/%s", FOLDER, file);
        uint8_t *rgb = test_malloc(height * width * 3);
        assert_ok(pm_image_load_fitted(rgb, height, width, path, &fit, &err), err);
        assert_same_pixels(rgb, &golden, name);
        test_free(rgb);
    }
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_file_has_pillows_pixels),
        cmocka_unit_test(crops_and_resized_pictures_are_pillows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
