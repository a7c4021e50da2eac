#include "gradient_case.h"
#include "plain_kernels.h"
#include "test.h"

#include "pm/kernels/pack.h"

#include <string.h>

static const double BOUND = 3e-6;

/** Of a norm, a GEGLU or a copy. */
struct sizes {
    size_t batch, height, width, channels;
    size_t groups, out_height, out_width, more_channels;
    enum pm_activation activation;
    const float *gamma, *beta, *residual;
    bool in_place;
};

static size_t pixels(const struct sizes *s)
{
    return s->height * s->width;
}

static void plain_group(float *out, const float *x, const void *inputs)
{
    const struct sizes *s = inputs;
    plain_group_norm(out, x, s->gamma, s->beta, s->batch, pixels(s), s->channels, s->groups, 1e-5f,
                     s->activation);
}

static void plain_group_backward(float *grad_x, const float *grad_out, const float *x,
                                 const void *inputs)
{
    const struct sizes *s = inputs;
    plain_group_norm_backward(grad_x, grad_out, x, s->gamma, s->beta, s->batch, pixels(s),
                              s->channels, s->groups, 1e-5f, s->activation);
    for (size_t i = 0; s->residual && i < s->batch * pixels(s) * s->channels; i++)
        grad_x[i] += s->residual[i];
}

static void plain_group_backward_alone(float *grad_x, const float *grad_out, const float *x,
                                       const void *inputs)
{
    struct sizes bare = *(const struct sizes *)inputs;
    bare.residual = NULL;
    plain_group_backward(grad_x, grad_out, x, &bare);
}

static void group_backward(float *grad_x, const float *grad_out, const float *x,
                           const struct pm_kernels *kernels, struct pm_arena *scratch,
                           const void *inputs)
{
    const struct sizes *s = inputs;
    if (s->in_place) memcpy(grad_x, grad_out, s->batch * pixels(s) * s->channels * sizeof *grad_x);
    kernels->group_norm_backward(grad_x, s->in_place ? grad_x : grad_out, x, s->gamma, s->beta,
                                 s->residual, s->batch, pixels(s), s->channels, s->groups, 1e-5f,
                                 s->activation, scratch);
}

static void layer_backward(float *grad_x, const float *grad_out, const float *x,
                           const struct pm_kernels *kernels, struct pm_arena *scratch,
                           const void *inputs)
{
    const struct sizes *s = inputs;
    (void)scratch;
    if (s->residual && s->in_place)
        memcpy(grad_x, s->residual, s->batch * s->channels * sizeof *grad_x);
    kernels->layer_norm_backward(grad_x, grad_out, x, s->gamma,
                                 s->residual && s->in_place ? grad_x : s->residual, s->batch,
                                 s->channels, 1e-5f);
}

/** A residual, whose own gradient is known, is left out of what finite differences see. */
static void check_norm(struct sizes s, bool layer)
{
    size_t floats = s.batch * pixels(&s) * s.channels;
    float *gamma = guarded_random(s.channels, 2), *beta = guarded_random(s.channels, 3);
    float *residual = guarded_random(floats, 4);
    s.gamma = gamma;
    s.beta = beta;
    struct gradient_case c = {.plain = plain_group,
                              .plain_backward = plain_group_backward_alone,
                              .backward = layer ? layer_backward : group_backward,
                              .inputs = &s,
                              .x_floats = floats,
                              .out_floats = floats,
                              .bound = BOUND};
    check_gradient(&c);
    s.residual = residual;
    s.in_place = true;
    float *x = guarded_random(floats, 5), *grad_out = guarded_random(floats, 6);
    float *expected = guarded_floats(floats), *grad_x = guarded_floats(floats);
    struct pm_arena scratch;
    pm_arena_init(&scratch, (size_t)1 << 26);
    plain_group_backward(expected, grad_out, x, &s);
    for (size_t i = 0; isa_number(i); i++) {
        fill_nan(grad_x, floats);
        c.backward(grad_x, grad_out, x, isa_number(i), &scratch, &s);
        assert_true(relative_rms(grad_x, expected, floats) < BOUND);
    }
    pm_arena_free(&scratch);
    guarded_free(x, floats);
    guarded_free(grad_out, floats);
    guarded_free(expected, floats);
    guarded_free(grad_x, floats);
    guarded_free(gamma, s.channels);
    guarded_free(beta, s.channels);
    guarded_free(residual, floats);
}

static void group_norms_gradient_is_that_of_its_formula(void **state)
{
    (void)state;
    static const size_t cases[][4] = {{1, 2, 4, 2},    {3, 7, 30, 5},    {2, 129, 64, 32},
                                      {1, 300, 77, 7}, {2, 64, 192, 16}, {1, 1000, 100, 1}};
    static const enum pm_activation activations[] = {PM_IDENTITY, PM_SILU, PM_GELU, PM_QUICK_GELU};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t a = 0; a < 4; a++)
            check_norm((struct sizes){.batch = cases[i][0],
                                      .height = 1,
                                      .width = cases[i][1],
                                      .channels = cases[i][2],
                                      .groups = cases[i][3],
                                      .activation = activations[a]},
                       false);
}

static void layer_norms_gradient_is_that_of_its_formula(void **state)
{
    (void)state;
    static const size_t channels[] = {3, 15, 16, 17, 77, 320};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        check_norm((struct sizes){.batch = 7 + 300 * (i == 5),
                                  .height = 1,
                                  .width = 1,
                                  .channels = channels[i],
                                  .groups = 1},
                   true);
}

static void plain_gated(float *out, const float *x, const void *inputs)
{
    const struct sizes *s = inputs;
    plain_geglu(out, x, s->batch, s->channels);
}

static void plain_gated_backward(float *grad_x, const float *grad_out, const float *x,
                                 const void *inputs)
{
    const struct sizes *s = inputs;
    plain_geglu_backward(grad_x, grad_out, x, s->batch, s->channels);
}

static void gated_backward(float *grad_x, const float *grad_out, const float *x,
                           const struct pm_kernels *kernels, struct pm_arena *scratch,
                           const void *inputs)
{
    const struct sizes *s = inputs;
    (void)scratch;
    if (s->in_place) memcpy(grad_x, x, s->batch * 2 * s->channels * sizeof *grad_x);
    kernels->geglu_backward(grad_x, grad_out, s->in_place ? grad_x : x, s->batch, s->channels);
}

static void geglus_gradient_is_that_of_its_formula(void **state)
{
    (void)state;
    static const size_t cases[][2] = {{1, 1}, {5, 16}, {3, 31}, {700, 130}};
    for (size_t i = 0; i < 8; i++) {
        struct sizes s = {.batch = cases[i / 2][0], .channels = cases[i / 2][1], .in_place = i % 2};
        check_gradient(&(struct gradient_case){.plain = plain_gated,
                                               .plain_backward = plain_gated_backward,
                                               .backward = gated_backward,
                                               .inputs = &s,
                                               .x_floats = 2 * s.batch * s.channels,
                                               .out_floats = s.batch * s.channels,
                                               .bound = BOUND});
    }
}

/* The slope of SiLU and GELU goes to 0 and 1, and to no NaN on the way. */
static void slopes_far_from_zero_are_those_of_the_formula(void **state)
{
    (void)state;
    enum { N = 9 };
    static const float gates[N] = {-1e30f, -200.0f, -90.0f, -20.0f, 0.0f,
                                   20.0f,  90.0f,   1e6f,   1e30f};
    float x[2 * N], grad_x[2 * N], expected[2 * N], grad_out[N], gamma[N], beta[N];
    for (size_t i = 0; i < N; i++) {
        x[i] = 1.0f;
        x[N + i] = gates[i];
        grad_out[i] = 1.0f;
        gamma[i] = 0.5f;
        beta[i] = gates[i] > 1e3f ? 1e3f : gates[i] < -1e3f ? -1e3f : gates[i];
    }
    struct pm_arena scratch;
    pm_arena_init(&scratch, (size_t)1 << 20);
    for (size_t i = 0; isa_number(i); i++) {
        plain_geglu_backward(expected, grad_out, x, 1, N);
        fill_nan(grad_x, 2 * N);
        isa_number(i)->geglu_backward(grad_x, grad_out, x, 1, N);
        assert_true(max_difference(grad_x + N, expected + N, N) < 1e-6);
        float pixels_of_two[2 * N], grads[2 * N];
        for (size_t j = 0; j < 2 * N; j++) {
            pixels_of_two[j] = j < N ? 0.0f : 1.0f;
            grads[j] = (float)j;
        }
        plain_group_norm_backward(expected, grads, pixels_of_two, gamma, beta, 1, 2, N, N, 1e-5f,
                                  PM_SILU);
        fill_nan(grad_x, 2 * N);
        isa_number(i)->group_norm_backward(grad_x, grads, pixels_of_two, gamma, beta, NULL, 1, 2, N,
                                           N, 1e-5f, PM_SILU, &scratch);
        assert_true(max_difference(grad_x, expected, 2 * N) < 1e-4);
    }
    pm_arena_free(&scratch);
}

static void plain_resize(float *out, const float *x, const void *inputs)
{
    const struct sizes *s = inputs;
    plain_resize_nearest(out, x, s->batch, s->height, s->width, s->out_height, s->out_width,
                         s->channels);
}

static void plain_resize_backward(float *grad_x, const float *grad_out, const float *x,
                                  const void *inputs)
{
    const struct sizes *s = inputs;
    (void)x;
    plain_resize_nearest_backward(grad_x, grad_out, s->batch, s->height, s->width, s->out_height,
                                  s->out_width, s->channels);
}

static void resize_backward(float *grad_x, const float *grad_out, const float *x,
                            const struct pm_kernels *kernels, struct pm_arena *scratch,
                            const void *inputs)
{
    const struct sizes *s = inputs;
    (void)x;
    (void)scratch;
    kernels->resize_nearest_backward(grad_x, grad_out, s->batch, s->height, s->width, s->out_height,
                                     s->out_width, s->channels);
}

static void every_pixel_gets_the_gradients_of_its_copies(void **state)
{
    (void)state;
    static const size_t cases[][6] = {{1, 1, 1, 1, 1, 1},
                                      {2, 3, 5, 6, 10, 17},
                                      {1, 4, 3, 7, 5, 32},
                                      {2, 7, 5, 3, 4, 3},
                                      {1, 64, 64, 128, 127, 96}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t *c = cases[i];
        struct sizes s = {.batch = c[0],
                          .height = c[1],
                          .width = c[2],
                          .out_height = c[3],
                          .out_width = c[4],
                          .channels = c[5]};
        check_gradient(&(struct gradient_case){.plain = plain_resize,
                                               .plain_backward = plain_resize_backward,
                                               .backward = resize_backward,
                                               .inputs = &s,
                                               .x_floats = c[0] * c[1] * c[2] * c[5],
                                               .out_floats = c[0] * c[3] * c[4] * c[5],
                                               .bound = BOUND});
    }
}

static void what_was_put_together_comes_apart(void **state)
{
    (void)state;
    enum { ROWS = 37, A = 19, B = 5 };
    float *a = guarded_random(ROWS * A, 1), *b = guarded_random(ROWS * B, 2);
    float *both = guarded_floats(ROWS * (A + B));
    plain_concat_channels(both, a, A, b, B, ROWS);
    for (size_t i = 0; isa_number(i); i++) {
        float *grad_a = guarded_floats(ROWS * A), *grad_b = guarded_floats(ROWS * B);
        isa_number(i)->concat_channels_backward(grad_a, A, grad_b, B, both, ROWS);
        assert_memory_equal(grad_a, a, ROWS * A * sizeof *a);
        assert_memory_equal(grad_b, b, ROWS * B * sizeof *b);
        guarded_free(grad_a, ROWS * A);
        guarded_free(grad_b, ROWS * B);
    }
    guarded_free(a, ROWS * A);
    guarded_free(b, ROWS * B);
    guarded_free(both, ROWS * (A + B));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_norms_gradient_is_that_of_its_formula),
        cmocka_unit_test(layer_norms_gradient_is_that_of_its_formula),
        cmocka_unit_test(geglus_gradient_is_that_of_its_formula),
        cmocka_unit_test(slopes_far_from_zero_are_those_of_the_formula),
        cmocka_unit_test(every_pixel_gets_the_gradients_of_its_copies),
        cmocka_unit_test(what_was_put_together_comes_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
