#include "pm/kernels/profile.h"

#include "kernels_impl.h"
#include "pm/base/clock.h"

static const struct pm_kernels *real;
static struct pm_profile noted;

const char *pm_profile_kind_name(enum pm_profile_kind kind)
{
    static const char *const names[PM_PROFILE_KINDS] = {
        [PM_PROFILE_CONV_3X3] = "convolutions 3x3",
        [PM_PROFILE_CONV_OTHER] = "other convolutions",
        [PM_PROFILE_LINEAR] = "linear layers",
        [PM_PROFILE_SELF_ATTENTION] = "self-attention",
        [PM_PROFILE_CROSS_ATTENTION] = "cross-attention",
        [PM_PROFILE_MAPS] = "attention with maps",
        [PM_PROFILE_GROUP_NORM] = "group norms",
        [PM_PROFILE_LAYER_NORM] = "layer norms",
        [PM_PROFILE_ACTIVATION] = "activations",
        [PM_PROFILE_MOVE] = "resizing, joining",
        [PM_PROFILE_GRADIENT] = "gradients",
    };
    return names[kind];
}

static void note(enum pm_profile_kind kind, double begin, double flops)
{
    noted.seconds[kind] += pm_clock_seconds() - begin;
    noted.flops[kind] += flops;
    noted.calls[kind] += 1.0;
}

static void gemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *packed_b,
                 size_t m, size_t n, size_t k, const struct pm_epilogue *epilogue)
{
    double begin = pm_clock_seconds();
    real->gemm(c, c_stride, a, a_stride, packed_b, m, n, k, epilogue);
    note(PM_PROFILE_LINEAR, begin, 2.0 * (double)m * (double)n * (double)k);
}

static void gemm_bf16(float *c, size_t c_stride, const float *a, size_t a_stride,
                      const uint16_t *packed_b, size_t m, size_t n, size_t k,
                      const struct pm_epilogue *epilogue, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->gemm_bf16(c, c_stride, a, a_stride, packed_b, m, n, k, epilogue, scratch);
    note(PM_PROFILE_LINEAR, begin, 2.0 * (double)m * (double)n * (double)k);
}

static void conv(float *out, const float *x, const struct pm_conv *layer, const float *sample_bias,
                 const float *residual, size_t batch, size_t height, size_t width,
                 struct pm_arena *scratch)
{
    double begin = pm_clock_seconds(), taps = (double)(layer->kernel * layer->kernel);
    double pixels = (double)(batch * height * width) / (double)(layer->stride * layer->stride);
    real->conv(out, x, layer, sample_bias, residual, batch, height, width, scratch);
    note(layer->kernel == 3 && layer->stride == 1 ? PM_PROFILE_CONV_3X3 : PM_PROFILE_CONV_OTHER,
         begin, 2.0 * pixels * taps * (double)layer->in * (double)layer->out);
}

static void group_norm(float *out, const float *x, const float *gamma, const float *beta,
                       size_t batch, size_t pixels, size_t channels, size_t groups, float eps,
                       enum pm_activation activation, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->group_norm(out, x, gamma, beta, batch, pixels, channels, groups, eps, activation,
                     scratch);
    note(PM_PROFILE_GROUP_NORM, begin, 0.0);
}

static void layer_norm(float *out, const float *x, const float *gamma, const float *beta,
                       size_t rows, size_t channels, float eps)
{
    double begin = pm_clock_seconds();
    real->layer_norm(out, x, gamma, beta, rows, channels, eps);
    note(PM_PROFILE_LAYER_NORM, begin, 0.0);
}

static void activate(float *out, const float *x, size_t n, enum pm_activation activation)
{
    double begin = pm_clock_seconds();
    real->activate(out, x, n, activation);
    note(PM_PROFILE_ACTIVATION, begin, 0.0);
}

static void geglu(float *out, const float *x, size_t rows, size_t channels)
{
    double begin = pm_clock_seconds();
    real->geglu(out, x, rows, channels);
    note(PM_PROFILE_ACTIVATION, begin, 0.0);
}

/** Of one of attention's two products. */
static double product_flops(const struct pm_attention_shape *s)
{
    return 2.0 * (double)(s->batch * s->heads * s->queries) * (double)(s->keys * s->head_size);
}

static void attention(float *out, const float *q, const float *k, const float *v,
                      const struct pm_attention_shape *shape, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->attention(out, q, k, v, shape, scratch);
    note(shape->keys == shape->queries ? PM_PROFILE_SELF_ATTENTION : PM_PROFILE_CROSS_ATTENTION,
         begin, 2.0 * product_flops(shape));
}

static void attention_probs(float *probs, const float *q, const float *k,
                            const struct pm_attention_shape *shape, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->attention_probs(probs, q, k, shape, scratch);
    note(PM_PROFILE_MAPS, begin, product_flops(shape));
}

static void attention_apply(float *out, const float *probs, const float *v,
                            const struct pm_attention_shape *shape, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->attention_apply(out, probs, v, shape, scratch);
    note(PM_PROFILE_MAPS, begin, product_flops(shape));
}

static void token_map(float *target, const float *base, const float *packed_map, const float *keep,
                      size_t rows, size_t tokens, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->token_map(target, base, packed_map, keep, rows, tokens, scratch);
    note(PM_PROFILE_MAPS, begin, 2.0 * (double)rows * (double)(tokens * tokens));
}

static void resize_nearest(float *out, const float *x, size_t batch, size_t height, size_t width,
                           size_t out_height, size_t out_width, size_t channels)
{
    double begin = pm_clock_seconds();
    real->resize_nearest(out, x, batch, height, width, out_height, out_width, channels);
    note(PM_PROFILE_MOVE, begin, 0.0);
}

static void concat_channels(float *out, const float *a, size_t a_channels, const float *b,
                            size_t b_channels, size_t rows)
{
    double begin = pm_clock_seconds();
    real->concat_channels(out, a, a_channels, b, b_channels, rows);
    note(PM_PROFILE_MOVE, begin, 0.0);
}

static void gemm_backward(float *grad_a, size_t grad_a_stride, const float *grad_c,
                          size_t grad_c_stride, const float *packed_b, size_t m, size_t n, size_t k,
                          const struct pm_epilogue *epilogue)
{
    double begin = pm_clock_seconds();
    real->gemm_backward(grad_a, grad_a_stride, grad_c, grad_c_stride, packed_b, m, n, k, epilogue);
    note(PM_PROFILE_GRADIENT, begin, 2.0 * (double)m * (double)n * (double)k);
}

static void conv_backward(float *grad_x, const float *grad_out, const struct pm_conv *layer,
                          size_t batch, size_t height, size_t width, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->conv_backward(grad_x, grad_out, layer, batch, height, width, scratch);
    note(PM_PROFILE_GRADIENT, begin, 0.0);
}

static void attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                               const float *q, const float *k, const float *v,
                               const struct pm_attention_shape *shape, struct pm_arena *scratch)
{
    double begin = pm_clock_seconds();
    real->attention_backward(grad_q, grad_k, grad_v, grad_out, q, k, v, shape, scratch);
    note(PM_PROFILE_GRADIENT, begin, 0.0);
}

void pm_profile_start(void)
{
    static struct pm_kernels timed;
    if (real) return;
    real = pm_kernels();
    timed = *real;
    timed.gemm = gemm;
    timed.gemm_bf16 = gemm_bf16;
    timed.conv = conv;
    timed.group_norm = group_norm;
    timed.layer_norm = layer_norm;
    timed.activate = activate;
    timed.geglu = geglu;
    timed.attention = attention;
    timed.attention_probs = attention_probs;
    timed.attention_apply = attention_apply;
    timed.token_map = token_map;
    timed.resize_nearest = resize_nearest;
    timed.concat_channels = concat_channels;
    timed.gemm_backward = gemm_backward;
    timed.conv_backward = conv_backward;
    timed.attention_backward = attention_backward;
    pm_kernels_use(&timed);
}

struct pm_profile pm_profile_so_far(void)
{
    return noted;
}
