#include "pm/model/resnet.h"

#include "pm/model/linear.h"

#include <stdarg.h>
#include <stdio.h>

bool pm_resnet_load(struct pm_resnet *resnet, struct pm_weights *weights, size_t out, size_t in,
                    size_t time_channels, size_t groups, float eps, struct pm_error *err,
                    const char *format, ...)
{
    char name[128];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const struct pm_conv same = {.stride = 1, .pad_before = 1, .pad_after = 1};
    const struct pm_conv pointwise = {.stride = 1};
    *resnet = (struct pm_resnet){.in = in,
                                 .out = out,
                                 .groups = groups,
                                 .eps = eps,
                                 .conv1 = same,
                                 .conv2 = same,
                                 .shortcut = pointwise,
                                 .has_time = time_channels > 0,
                                 .has_shortcut = in != out};
    PM_TRY(pm_weights_norm(&resnet->norm1, weights, in, err, "%s.norm1", name));
    PM_TRY(pm_weights_conv(&resnet->conv1, weights, out, in, 3, err, "%s.conv1", name));
    PM_TRY(pm_weights_norm(&resnet->norm2, weights, out, err, "%s.norm2", name));
    PM_TRY(pm_weights_conv(&resnet->conv2, weights, out, out, 3, err, "%s.conv2", name));
    enum pm_precision precision = weights->precision;
    weights->precision = PM_FP32; /* it is the same for all pixels */
    if (resnet->has_time)
        PM_TRY(pm_weights_linear(&resnet->time, weights, out, time_channels, PM_BIAS, err,
                                 "%s.time_emb_proj", name));
    weights->precision = precision;
    if (resnet->has_shortcut)
        PM_TRY(
            pm_weights_conv(&resnet->shortcut, weights, out, in, 1, err, "%s.conv_shortcut", name));
    return true;
}

void pm_resnet_forward(float *y, float *middle, const float *x, const struct pm_resnet *r,
                       const float *time, size_t batch, size_t height, size_t width,
                       struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = scratch->used, pixels = height * width;
    float *normed = pm_arena_floats(scratch, batch * pixels * (r->in > r->out ? r->in : r->out));
    float *h = middle ? middle : pm_arena_floats(scratch, batch * pixels * r->out);

    float *time_bias = NULL;
    if (r->has_time) {
        time_bias = pm_arena_floats(scratch, batch * r->out);
        pm_linear_forward(time_bias, time, &r->time, batch, PM_IDENTITY, NULL, scratch);
    }
    k->group_norm(normed, x, r->norm1.gamma, r->norm1.beta, batch, pixels, r->in, r->groups, r->eps,
                  PM_SILU, scratch);
    k->conv(h, normed, &r->conv1, time_bias, NULL, batch, height, width, scratch);
    k->group_norm(normed, h, r->norm2.gamma, r->norm2.beta, batch, pixels, r->out, r->groups,
                  r->eps, PM_SILU, scratch);
    const float *residual = x;
    if (r->has_shortcut) {
        k->conv(y, x, &r->shortcut, NULL, NULL, batch, height, width, scratch);
        residual = y;
    }
    k->conv(y, normed, &r->conv2, NULL, residual, batch, height, width, scratch);
    scratch->used = mark;
}

void pm_resnet_backward(float *grad_x, const float *grad_y, const float *x, const float *middle,
                        const struct pm_resnet *r, size_t batch, size_t height, size_t width,
                        struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = scratch->used, pixels = height * width;
    float *grad_middle = pm_arena_floats(scratch, batch * pixels * r->out);
    k->conv_backward(grad_middle, grad_y, &r->conv2, batch, height, width, scratch);
    k->group_norm_backward(grad_middle, grad_middle, middle, r->norm2.gamma, r->norm2.beta, NULL,
                           batch, pixels, r->out, r->groups, r->eps, PM_SILU, scratch);
    k->conv_backward(grad_x, grad_middle, &r->conv1, batch, height, width, scratch);
    const float *residual = grad_y;
    if (r->has_shortcut) {
        float *by_shortcut = pm_arena_floats(scratch, batch * pixels * r->in);
        k->conv_backward(by_shortcut, grad_y, &r->shortcut, batch, height, width, scratch);
        residual = by_shortcut;
    }
    k->group_norm_backward(grad_x, grad_x, x, r->norm1.gamma, r->norm1.beta, residual, batch,
                           pixels, r->in, r->groups, r->eps, PM_SILU, scratch);
    scratch->used = mark;
}
