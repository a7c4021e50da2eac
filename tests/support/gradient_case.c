#include "gradient_case.h"

#include "test.h"

#include <math.h>

static const double FINITE_BOUND = 2e-3; /* floats of about 1 and steps of 1/64 allow no less */
static const float STEP = 0.015625f;
enum { MOST_ELEMENTS = 60 }; /* that are moved */

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void check_finite_differences(const struct gradient_case *c, const float *grad_x, float *x,
                                     const float *grad_out)
{
    float *out = guarded_floats(c->out_floats);
    size_t step = c->x_floats / MOST_ELEMENTS + 1;
    double errors = 0.0, squares = 0.0;
    for (size_t i = 0; i < c->x_floats; i += step) {
        float middle = x[i];
        x[i] = middle + STEP;
        c->plain(out, x, c->inputs);
        double slope = dot(out, grad_out, c->out_floats);
        x[i] = middle - STEP;
        c->plain(out, x, c->inputs);
        slope = (slope - dot(out, grad_out, c->out_floats)) / (2.0 * (double)STEP);
        x[i] = middle;
        errors += (slope - (double)grad_x[i]) * (slope - (double)grad_x[i]);
        squares += (double)grad_x[i] * (double)grad_x[i];
    }
    if (!(errors <= FINITE_BOUND * FINITE_BOUND * squares))
        fail_msg("the plain gradient is %g from finite differences", sqrt(errors / squares));
    guarded_free(out, c->out_floats);
}

struct backward_inputs {
    const struct gradient_case *gradient;
    const float *grad_out, *x;
};

static void run_backward(float *grad_x, const struct pm_kernels *kernels, struct pm_arena *scratch,
                         const void *inputs)
{
    const struct backward_inputs *b = inputs;
    b->gradient->backward(grad_x, b->grad_out, b->x, kernels, scratch, b->gradient->inputs);
}

void check_gradient(const struct gradient_case *c)
{
    float *x = guarded_random(c->x_floats, 11), *grad_out = guarded_random(c->out_floats, 12);
    float *expected = guarded_floats(c->x_floats);
    c->plain_backward(expected, grad_out, x, c->inputs);
    check_finite_differences(c, expected, x, grad_out);
    struct backward_inputs inputs = {.gradient = c, .grad_out = grad_out, .x = x};
    check_on_every_isa(
        &(struct kernel_case){run_backward, &inputs, c->x_floats, expected, c->bound});
    guarded_free(x, c->x_floats);
    guarded_free(grad_out, c->out_floats);
    guarded_free(expected, c->x_floats);
}
