#include "golden.h"

#include "pm/model/text_encoder.h"

#include <string.h>

static const double TOLERANCE = 2e-5; /* absolute */

static void hidden_states_and_context_are_the_references(void **state)
{
    (void)state;
    for (size_t m = 0; golden_models[m]; m++) {
        struct pm_arena memory, scratch;
        struct pm_text_encoder encoder;
        struct pm_error err = {0};
        char folder[256];
        pm_arena_init(&memory, (size_t)1 << 33);
        pm_arena_init(&scratch, (size_t)1 << 33);
        snprintf(folder, sizeof folder, "%s/text_encoder", golden_model_folder(golden_models[m]));
        assert_ok(pm_text_encoder_load(&encoder, folder, &memory, &err), err);

        struct golden golden = golden_open("components/%s/text_encoder", golden_models[m]);
        size_t id_count, n;
        int *ids = golden_ints(&golden, &id_count, "ids");
        float *expected = golden_floats(&golden, &n, "last_hidden_state");
        size_t prompts = id_count / PM_TOKENS, one = PM_TOKENS * encoder.channels;
        float *context = pm_arena_floats(&scratch, n);
        float *hidden = pm_arena_floats(&scratch, (encoder.layer_count + 1) * n);
        fill_nan(context, n);
        pm_text_encoder_forward(context, &encoder, ids, prompts, hidden, &scratch);
        assert_true(max_difference(context, expected, n) < TOLERANCE);
        for (size_t i = 0; i <= encoder.layer_count; i++) {
            float *layer = golden_floats(&golden, NULL, "hidden.%zu", i);
            assert_true(max_difference(hidden + i * n, layer, one) < TOLERANCE);
            test_free(layer);
        }
        test_free(ids);
        test_free(expected);
        golden_close(&golden);
        pm_arena_free(&memory);
        pm_arena_free(&scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_states_and_context_are_the_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
