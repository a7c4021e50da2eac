#include "golden.h"

#include "pm/model/unet.h"

#include <math.h>
#include <string.h>

/* Absolute. The reference's table, its UNet rows times 10 since Winograd sums in another order. */
static const double OUT_TOLERANCE = 2e-4, FEATURE_TOLERANCE = 1e-3, PROBS_TOLERANCE = 5e-4;
/* Of a pass. Of rounding all inputs of products Stable Diffusion 1.5 shows 1.1e-2. */
static const double RMS_TOLERANCE = 5e-5, BF16_RMS_TOLERANCE = 1.5e-2;

struct loaded {
    struct pm_arena memory, scratch;
    struct pm_unet unet;
    struct golden golden;
};

static void load_in(struct loaded *l, const char *model, enum pm_precision precision)
{
    struct pm_error err = {0};
    struct pm_component component;
    char folder[256];
    pm_arena_init(&l->memory, (size_t)1 << 34);
    pm_arena_init(&l->scratch, (size_t)1 << 34);
    snprintf(folder, sizeof folder, "%s/unet", golden_model_folder(model));
    assert_ok(pm_component_open(&component, folder, PM_UNET, &err), err);
    component.precision = precision;
    assert_ok(pm_unet_load_from(&l->unet, &component, NULL, &l->memory, &err), err);
    pm_component_close(&component);
    l->golden = golden_open("components/%s/unet", model);
}

static void load(struct loaded *l, const char *model)
{
    load_in(l, model, PM_FP32);
}

static void unload(struct loaded *l)
{
    golden_close(&l->golden);
    pm_arena_free(&l->memory);
    pm_arena_free(&l->scratch);
}

static void size_of(size_t *height, size_t *width, const struct golden *golden, const char *name)
{
    const struct pm_tensor *tensor = pm_safetensors_find(&golden->tensors, name);
    *height = tensor->shape[2];
    *width = tensor->shape[3];
}

/** @return the greatest relative rms difference of a pass from the reference, in *worst the
 *  greatest absolute one */
static double differ_at_three_timesteps(double *worst, enum pm_precision precision)
{
    double rms = 0.0;
    *worst = 0.0;
    for (size_t m = 0; golden_models[m]; m++) {
        struct loaded l;
        load_in(&l, golden_models[m], precision);
        size_t n, h, w;
        size_of(&h, &w, &l.golden, "sample");
        float *sample = channels_last(golden_floats(&l.golden, &n, "sample"), 2, 4, h * w);
        float *context = golden_floats(&l.golden, NULL, "context");
        struct pm_unet_context kv = pm_unet_context_make(&l.unet, context, 2, 77, &l.scratch);
        float *out = pm_arena_floats(&l.scratch, n);
        const int timesteps[] = {981, 501, 1};
        for (size_t t = 0; t < 3; t++) {
            float *expected =
                channels_last(golden_floats(&l.golden, NULL, "out.t%d", timesteps[t]), 2, 4, h * w);
            fill_nan(out, n);
            pm_unet_forward(out, &l.unet, sample, (float)timesteps[t], &kv, h, w, NULL, &l.scratch);
            *worst = fmax(*worst, max_difference(out, expected, n));
            rms = fmax(rms, relative_rms(out, expected, n));
            test_free(expected);
        }
        test_free(sample);
        test_free(context);
        unload(&l);
    }
    return rms;
}

static void outputs_are_the_references_at_three_timesteps(void **state)
{
    (void)state;
    double worst, rms = differ_at_three_timesteps(&worst, PM_FP32);
    if (!(worst < OUT_TOLERANCE)) fail_msg("%g from the reference", worst);
    if (!(rms < RMS_TOLERANCE)) fail_msg("relative rms %g from the reference", rms);
}

static void outputs_in_bf16_are_the_references_within_its_rounding(void **state)
{
    (void)state;
    double worst, rms = differ_at_three_timesteps(&worst, PM_BF16);
    if (!(rms < BF16_RMS_TOLERANCE)) fail_msg("relative rms %g from the reference", rms);
    assert_true(rms > RMS_TOLERANCE); /* it was bfloat16 */
}

/** Compares everything seen on the way with the golden. */
struct observer {
    const struct golden *golden;
    size_t features, layers;
    double worst_probs;
};

static void compare_feature(void *self, const char *block, const float *x, size_t batch,
                            size_t height, size_t width, size_t channels)
{
    struct observer *o = self;
    size_t n;
    assert_int_equal(batch, 1);
    float *expected = channels_last(golden_floats(o->golden, &n, "small.feature.%s", block), 1,
                                    channels, height * width);
    assert_int_equal(n, height * width * channels);
    double difference = max_difference(x, expected, n);
    if (!(difference < FEATURE_TOLERANCE)) fail_msg("%s differs by %g", block, difference);
    test_free(expected);
    o->features++;
}

static void compare_probs(void *self, const struct pm_attention_site *site, float *probs)
{
    struct observer *o = self;
    size_t n;
    float *expected = golden_floats(o->golden, &n, "small.attn.L%02zu", site->layer);
    assert_int_equal(n, site->heads * site->queries * site->keys);
    double difference = max_difference(probs, expected, n);
    if (difference > o->worst_probs) o->worst_probs = difference;
    test_free(expected);
    o->layers++;
}

static void every_block_and_every_attention_map_is_the_references(void **state)
{
    (void)state;
    for (size_t m = 0; golden_models[m]; m++) {
        struct loaded l;
        load(&l, golden_models[m]);
        size_t n, h, w;
        size_of(&h, &w, &l.golden, "small.sample");
        float *sample = channels_last(golden_floats(&l.golden, &n, "small.sample"), 1, 4, h * w);
        float *expected = channels_last(golden_floats(&l.golden, NULL, "small.out"), 1, 4, h * w);
        float *context = golden_floats(&l.golden, NULL, "context");
        struct pm_unet_context kv = pm_unet_context_make(&l.unet, context, 1, 77, &l.scratch);
        float *out = pm_arena_floats(&l.scratch, n), *unobserved = pm_arena_floats(&l.scratch, n);
        struct observer observer = {.golden = &l.golden};
        struct pm_attention_hook hook = {.self = &observer,
                                         .samples = 1,
                                         .on_probs = compare_probs,
                                         .on_feature = compare_feature};
        pm_unet_forward(out, &l.unet, sample, 321.0f, &kv, h, w, &hook, &l.scratch);
        assert_true(max_difference(out, expected, n) < OUT_TOLERANCE);
        assert_true(observer.worst_probs < PROBS_TOLERANCE);
        assert_int_equal(observer.layers,
                         json_array_size(json_object_get(l.golden.json, "attention_layers")));
        assert_int_equal(observer.layers, pm_unet_attention_sites(&l.unet, h, w, NULL));
        assert_int_equal(observer.features, 3 + 2 * l.unet.config.levels);

        pm_unet_forward(unobserved, &l.unet, sample, 321.0f, &kv, h, w, NULL, &l.scratch);
        assert_memory_equal(out, unobserved, n * sizeof *out);
        test_free(sample);
        test_free(expected);
        test_free(context);
        unload(&l);
    }
}

static void a_sample_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "scenes");
    size_t n, h, w;
    size_of(&h, &w, &l.golden, "sample");
    float *sample = channels_last(golden_floats(&l.golden, &n, "sample"), 2, 4, h * w);
    float *context = golden_floats(&l.golden, NULL, "context");
    size_t one = n / 2, context_one = 77 * l.unet.config.context_channels;
    float *both = pm_arena_floats(&l.scratch, n), *alone = pm_arena_floats(&l.scratch, one);
    struct pm_unet_context kv = pm_unet_context_make(&l.unet, context, 2, 77, &l.scratch);
    pm_unet_forward(both, &l.unet, sample, 501.0f, &kv, h, w, NULL, &l.scratch);
    kv = pm_unet_context_make(&l.unet, context + context_one, 1, 77, &l.scratch);
    pm_unet_forward(alone, &l.unet, sample + one, 501.0f, &kv, h, w, NULL, &l.scratch);
    assert_memory_equal(alone, both + one, one * sizeof *alone);
    test_free(sample);
    test_free(context);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_the_references_at_three_timesteps),
        cmocka_unit_test(outputs_in_bf16_are_the_references_within_its_rounding),
        cmocka_unit_test(every_block_and_every_attention_map_is_the_references),
        cmocka_unit_test(a_sample_does_not_depend_on_its_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
