#include "golden.h"

#include "pm/base/random.h"

#include <stdio.h>
#include <stdlib.h>

static const double TOLERANCE = 2e-6; /* absolute */

static void every_tensor_is_what_torch_drew(void **state)
{
    (void)state;
    struct pm_safetensors file;
    struct pm_error err = {0};
    assert_ok(pm_safetensors_open(&file, "tests/golden/data/noise_torch.safetensors", &err), err);
    assert_int_equal(file.count, 10);
    for (size_t i = 0; i < file.count; i++) {
        const struct pm_tensor *tensor = &file.tensors[i];
        unsigned long long seed;
        assert_int_equal(sscanf(tensor->name, "seed%llu_", &seed), 1);
        float *expected = test_malloc(tensor->elements * sizeof *expected);
        float *drawn = test_malloc(tensor->elements * sizeof *drawn);
        pm_tensor_floats(expected, tensor);
        fill_nan(drawn, tensor->elements);
        pm_noise_torch(drawn, tensor->elements, seed);
        double difference = max_difference(drawn, expected, tensor->elements);
        if (!(difference < TOLERANCE)) fail_msg("%s differs by %g", tensor->name, difference);
        test_free(expected);
        test_free(drawn);
    }
    pm_safetensors_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_is_what_torch_drew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
