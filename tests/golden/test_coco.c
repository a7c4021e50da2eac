#include "golden.h"

#include "pm/data/coco.h"

#include <stdlib.h>
#include <string.h>

static void check_case(const struct golden *golden, const char *name, json_t *wanted)
{
    const json_t *size = json_object_get(wanted, "size");
    size_t height = (size_t)json_integer_value(json_array_get(size, 0)), n;
    size_t width = (size_t)json_integer_value(json_array_get(size, 1));
    int *values = golden_ints(golden, &n, "%s.mask", name);
    uint8_t *mask = test_malloc(n);
    for (size_t i = 0; i < n; i++) mask[i] = (uint8_t)values[i];
    assert_int_equal(n, height * width);
    json_t *got = pm_coco_annotation(mask, height, width);
    json_t *segmentation = json_object_get(got, "segmentation");
    assert_string_equal(json_string_value(json_object_get(segmentation, "counts")),
                        json_string_value(json_object_get(wanted, "counts")));
    assert_true(json_equal(json_object_get(segmentation, "size"), size));
    assert_true(json_equal(json_object_get(got, "area"), json_object_get(wanted, "area")));
    assert_true(json_equal(json_object_get(got, "bbox"), json_object_get(wanted, "bbox")));
    json_decref(got);
    test_free(mask);
    test_free(values);
}

static void annotations_are_pycocotools(void **state)
{
    (void)state;
    struct golden golden = golden_open("coco");
    const char *name;
    json_t *wanted;
    assert_int_equal(json_object_size(golden.json), 7);
    json_object_foreach(golden.json, name, wanted) check_case(&golden, name, wanted);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(annotations_are_pycocotools)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
