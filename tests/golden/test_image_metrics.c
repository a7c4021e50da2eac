#include "golden.h"

#include "pm/data/image_metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double TOLERANCE = 1e-4; /* of the value where it is above 1: the PSNRs */

static uint8_t *golden_bytes(const struct golden *golden, const char *test, const char *name)
{
    size_t n;
    int *values = golden_ints(golden, &n, "%s.%s", test, name);
    uint8_t *bytes = test_malloc(n);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)values[i];
    test_free(values);
    return bytes;
}

static void every_metric_is_the_libraries(void **state)
{
    (void)state;
    struct golden golden = golden_open("images/metrics");
    const char *name;
    json_t *expected;
    assert_int_equal(json_object_size(golden.json), 4);
    json_object_foreach(golden.json, name, expected)
    {
        char tensor[64];
        double got[PM_IMAGE_METRICS];
        snprintf(tensor, sizeof tensor, "%s.image", name);
        const size_t *shape = pm_safetensors_find(&golden.tensors, tensor)->shape;
        uint8_t *image = golden_bytes(&golden, name, "image");
        uint8_t *reference = golden_bytes(&golden, name, "reference");
        uint8_t *mask = golden_bytes(&golden, name, "mask");
        pm_image_measure(got, image, reference, mask, shape[0], shape[1]);
        for (size_t i = 0; i < PM_IMAGE_METRICS; i++) {
            const json_t *value = json_object_get(expected, pm_image_metric_names[i]);
            assert_true(json_is_number(value));
            double wanted = json_number_value(value), scale = fmax(1.0, fabs(wanted));
            if (!(fabs(got[i] - wanted) < TOLERANCE * scale))
                fail_msg("%s: %s is %.8f, not %.8f", name, pm_image_metric_names[i], got[i],
                         wanted);
        }
        test_free(image);
        test_free(reference);
        test_free(mask);
    }
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_is_the_libraries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
