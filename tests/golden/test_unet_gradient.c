#include "golden.h"

#include "pm/model/unet.h"

#include <math.h>
#include <string.h>

enum { TOKENS = 77 };
static const double TOLERANCE = 1e-4; /* of the greatest element, as the reference's table says */

/** A model and inputs of two samples. */
struct example {
    struct pm_arena memory, arena;
    struct pm_unet unet;
    struct golden inputs, gradients;
    float *sample, *context, *cotangent, *out;
    size_t floats, height, width, context_floats;
};

static float *pixels_of(struct example *e, const struct golden *golden, const char *name)
{
    return channels_last(golden_floats(golden, NULL, "%s", name), 2, 4, e->height * e->width);
}

static void open_example(struct example *e, const char *model)
{
    struct pm_error err = {0};
    char folder[256];
    pm_arena_init(&e->memory, (size_t)1 << 34);
    pm_arena_init(&e->arena, (size_t)1 << 34);
    snprintf(folder, sizeof folder, "%s/unet", golden_model_folder(model));
    assert_ok(pm_unet_load(&e->unet, folder, &e->memory, &err), err);
    e->inputs = golden_open("components/%s/unet", model);
    e->gradients = golden_open("components/%s/unet_grad", model);
    const struct pm_tensor *sample = pm_safetensors_find(&e->inputs.tensors, "sample");
    e->height = sample->shape[2];
    e->width = sample->shape[3];
    e->floats = 2 * 4 * e->height * e->width;
    e->sample = pixels_of(e, &e->inputs, "sample");
    e->context = golden_floats(&e->inputs, &e->context_floats, "context");
    e->cotangent = pixels_of(e, &e->gradients, "cotangent");
    e->out = pm_arena_floats(&e->arena, e->floats);
}

static void close_example(struct example *e)
{
    test_free(e->sample);
    test_free(e->context);
    test_free(e->cotangent);
    golden_close(&e->inputs);
    golden_close(&e->gradients);
    pm_arena_free(&e->memory);
    pm_arena_free(&e->arena);
}

/** Both gradients of samples [first, first + batch); @p by_latents may be NULL. */
static void differentiate(float *by_context, float *by_latents, struct example *e, size_t first,
                          size_t batch, float timestep)
{
    size_t mark = e->arena.used, at = first * e->floats / 2;
    struct pm_unet_record record;
    fill_nan(e->out, e->floats);
    fill_nan(by_context, batch * e->context_floats / 2);
    if (by_latents) fill_nan(by_latents, batch * e->floats / 2);
    pm_unet_forward_recorded(e->out, &record, &e->unet, e->sample + at, timestep,
                             e->context + first * e->context_floats / 2, batch, TOKENS, e->height,
                             e->width, &e->arena);
    pm_unet_backward(by_context, by_latents, &record, e->cotangent + at, &e->arena);
    e->arena.used = mark;
}

static void check(const float *gradient, const float *expected, size_t n, const char *what,
                  const char *model, int timestep)
{
    double most = 0.0, difference = max_difference(gradient, expected, n);
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)expected[i]));
    if (!(difference < TOLERANCE * most))
        fail_msg("%s, t %d: gradient by %s differs by %g of its greatest element", model, timestep,
                 what, difference / most);
}

static void gradients_are_autograds_at_three_timesteps(void **state)
{
    (void)state;
    static const int timesteps[] = {981, 501, 1};
    for (size_t m = 0; golden_models[m]; m++) {
        struct example e;
        open_example(&e, golden_models[m]);
        float *by_context = pm_arena_floats(&e.arena, e.context_floats);
        float *by_latents = pm_arena_floats(&e.arena, e.floats);
        for (size_t t = 0; t < 3; t++) {
            char name[32];
            snprintf(name, sizeof name, "grad_sample.t%d", timesteps[t]);
            float *latents = pixels_of(&e, &e.gradients, name);
            float *context = golden_floats(&e.gradients, NULL, "grad_context.t%d", timesteps[t]);
            differentiate(by_context, by_latents, &e, 0, 2, (float)timesteps[t]);
            check(by_context, context, e.context_floats, "context", golden_models[m], timesteps[t]);
            check(by_latents, latents, e.floats, "latents", golden_models[m], timesteps[t]);
            test_free(latents);
            test_free(context);
        }
        close_example(&e);
    }
}

static void a_recorded_pass_has_the_bits_of_a_plain_one(void **state)
{
    (void)state;
    for (size_t m = 0; golden_models[m]; m++) {
        struct example e;
        open_example(&e, golden_models[m]);
        struct pm_unet_context context =
            pm_unet_context_make(&e.unet, e.context, 2, TOKENS, &e.arena);
        float *plain = pm_arena_floats(&e.arena, e.floats);
        float *by_context = pm_arena_floats(&e.arena, e.context_floats);
        pm_unet_forward(plain, &e.unet, e.sample, 501.0f, &context, e.height, e.width, NULL,
                        &e.arena);
        differentiate(by_context, NULL, &e, 0, 2, 501.0f);
        assert_memory_equal(e.out, plain, e.floats * sizeof *plain);
        close_example(&e);
    }
}

static void the_texts_gradient_is_the_same_with_neighbours_and_without_the_latents(void **state)
{
    (void)state;
    for (size_t m = 0; golden_models[m]; m++) {
        struct example e;
        open_example(&e, golden_models[m]);
        float *both = pm_arena_floats(&e.arena, e.context_floats);
        float *alone = pm_arena_floats(&e.arena, e.context_floats / 2);
        float *by_latents = pm_arena_floats(&e.arena, e.floats);
        differentiate(both, by_latents, &e, 0, 2, 1.0f);
        differentiate(alone, NULL, &e, 1, 1, 1.0f);
        assert_memory_equal(alone, both + e.context_floats / 2,
                            e.context_floats / 2 * sizeof *alone);
        close_example(&e);
    }
}

/** sum(cotangent . out) for one sample. */
static double loss(struct example *e, const float *latents, const float *context)
{
    size_t mark = e->arena.used, n = e->height * e->width * 4;
    struct pm_unet_context kv = pm_unet_context_make(&e->unet, context, 1, TOKENS, &e->arena);
    pm_unet_forward(e->out, &e->unet, latents, 501.0f, &kv, e->height, e->width, NULL, &e->arena);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)e->cotangent[i] * (double)e->out[i];
    e->arena.used = mark;
    return sum;
}

/** The slope of the loss along the gradient itself. */
static void check_slope(struct example *e, float *moved, const float *gradient, size_t n)
{
    double length = 0.0, step, up, down;
    float *middle = pm_arena_floats(&e->arena, n);
    memcpy(middle, moved, n * sizeof *middle);
    for (size_t i = 0; i < n; i++) length += (double)gradient[i] * (double)gradient[i];
    length = sqrt(length);
    step = 0.02 / length * sqrt((double)n) * 0.1;
    for (size_t i = 0; i < n; i++)
        moved[i] = (float)((double)middle[i] + step * (double)gradient[i]);
    up = loss(e, e->sample, e->context);
    for (size_t i = 0; i < n; i++)
        moved[i] = (float)((double)middle[i] - step * (double)gradient[i]);
    down = loss(e, e->sample, e->context);
    memcpy(moved, middle, n * sizeof *middle);
    double slope = (up - down) / (2.0 * step);
    if (!(fabs(slope - length * length) < 2e-3 * length * length))
        fail_msg("slope %g where the gradient says %g", slope, length * length);
}

static void finite_differences_agree_at_odd_sizes(void **state)
{
    (void)state;
    struct example e;
    open_example(&e, "mini-sd1");
    e.height = 13;
    e.width = 11;
    e.floats = 2 * 4 * 13 * 11; /* of inputs that are larger: any will do */
    float *by_context = pm_arena_floats(&e.arena, e.context_floats / 2);
    float *by_latents = pm_arena_floats(&e.arena, e.floats / 2);
    differentiate(by_context, by_latents, &e, 0, 1, 501.0f);
    check_slope(&e, e.context, by_context, e.context_floats / 2);
    check_slope(&e, e.sample, by_latents, e.floats / 2);
    close_example(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_autograds_at_three_timesteps),
        cmocka_unit_test(a_recorded_pass_has_the_bits_of_a_plain_one),
        cmocka_unit_test(the_texts_gradient_is_the_same_with_neighbours_and_without_the_latents),
        cmocka_unit_test(finite_differences_agree_at_odd_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
