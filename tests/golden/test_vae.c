#include "golden.h"

#include "pm/model/vae.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MOMENTS_TOLERANCE = 1e-3, LATENT_TOLERANCE = 2e-4, DECODED_TOLERANCE = 1e-4;

static void mean_variance_and_decoded_picture_are_the_references(void **state)
{
    (void)state;
    for (size_t m = 0; golden_models[m]; m++) {
        struct pm_arena memory, scratch;
        struct pm_vae vae;
        struct pm_error err = {0};
        char folder[256];
        pm_arena_init(&memory, (size_t)1 << 33);
        pm_arena_init(&scratch, (size_t)1 << 34);
        snprintf(folder, sizeof folder, "%s/vae", golden_model_folder(golden_models[m]));
        assert_ok(pm_vae_load(&vae, folder, &memory, &err), err);
        struct golden golden = golden_open("components/%s/vae", golden_models[m]);

        size_t n, latent_n;
        int *bytes = golden_ints(&golden, &n, "image");
        const struct pm_tensor *shape = pm_safetensors_find(&golden.tensors, "image");
        size_t height = shape->shape[shape->rank - 3], width = shape->shape[shape->rank - 2];
        size_t pixels = height / vae.factor * (width / vae.factor);
        float *image = pm_arena_floats(&scratch, n);
        for (size_t i = 0; i < n; i++) image[i] = (float)bytes[i] / 127.5f - 1.0f;
        float *mean = channels_last(golden_floats(&golden, &latent_n, "mean"), 1, 4, pixels);
        float *logvar = channels_last(golden_floats(&golden, NULL, "logvar"), 1, 4, pixels);
        float *latent = channels_last(golden_floats(&golden, NULL, "latent"), 1, 4, pixels);
        float *moments = pm_arena_floats(&scratch, 2 * latent_n);
        fill_nan(moments, 2 * latent_n);
        pm_vae_encode(moments, &vae, image, 1, height, width, &scratch);
        for (size_t p = 0; p < pixels; p++)
            for (size_t c = 0; c < 4; c++) {
                float got = moments[p * 8 + c];
                assert_float_equal(got, mean[p * 4 + c], MOMENTS_TOLERANCE);
                assert_float_equal(moments[p * 8 + 4 + c], logvar[p * 4 + c], MOMENTS_TOLERANCE);
                assert_float_equal(got * vae.config.scaling_factor, latent[p * 4 + c],
                                   LATENT_TOLERANCE);
            }

        const struct pm_tensor *z_shape = pm_safetensors_find(&golden.tensors, "z");
        size_t zh = z_shape->shape[2], zw = z_shape->shape[3], decoded_n;
        float *z = channels_last(golden_floats(&golden, NULL, "z"), 1, 4, zh * zw);
        float *expected = golden_floats(&golden, &decoded_n, "decoded");
        expected = channels_last(expected, 1, 3, decoded_n / 3);
        int *expected_bytes = golden_ints(&golden, NULL, "decoded_u8");
        float *decoded = pm_arena_floats(&scratch, decoded_n);
        unsigned char *got = pm_arena_bytes(&scratch, decoded_n);
        fill_nan(decoded, decoded_n);
        pm_vae_decode(decoded, &vae, z, 1, zh, zw, &scratch);
        assert_true(max_difference(decoded, expected, decoded_n) < DECODED_TOLERANCE);
        pm_vae_to_bytes(got, decoded, decoded_n);
        size_t different = 0;
        for (size_t i = 0; i < decoded_n; i++) {
            assert_in_range(abs(got[i] - expected_bytes[i]), 0, 1);
            different += got[i] != expected_bytes[i];
        }
        assert_true(different * 100 < decoded_n);

        test_free(bytes);
        test_free(mean);
        test_free(logvar);
        test_free(latent);
        test_free(z);
        test_free(expected);
        test_free(expected_bytes);
        golden_close(&golden);
        pm_arena_free(&memory);
        pm_arena_free(&scratch);
    }
}

static void bytes_are_truncated_clamped_and_zero_for_nan(void **state)
{
    (void)state;
    const float x[] = {-3.0f, -1.0f, 0.0f, 0.99999f, 1.0f, 7.0f, NAN};
    unsigned char got[7];
    pm_vae_to_bytes(got, x, 7);
    const unsigned char expected[] = {0, 0, 127, 254, 255, 255, 0};
    assert_memory_equal(got, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_variance_and_decoded_picture_are_the_references),
        cmocka_unit_test(bytes_are_truncated_clamped_and_zero_for_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
