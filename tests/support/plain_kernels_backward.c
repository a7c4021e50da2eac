#include "plain_kernels.h"

#include "pm/base/error.h"

#include <math.h>
#include <stdlib.h>

static const double PI = 3.14159265358979323846;

static double *zeros(size_t n)
{
    double *x = calloc(n, sizeof *x);
    if (!x) pm_die("no memory for %zu sums", n);
    return x;
}

static void store_and_free(float *out, double *sums, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)sums[i];
    free(sums);
}

static double swish_slope(double x, double steepness)
{
    double s = 1.0 / (1.0 + exp(-steepness * x));
    return s + steepness * x * s * (1.0 - s);
}

double plain_activation_slope(double x, enum pm_activation activation)
{
    switch (activation) {
    case PM_SILU:
        return swish_slope(x, 1.0);
    case PM_GELU:
        return 0.5 * erfc(-x * sqrt(0.5)) + x * exp(-0.5 * x * x) / sqrt(2.0 * PI);
    case PM_QUICK_GELU:
        return swish_slope(x, 1.702);
    case PM_IDENTITY:
        break;
    }
    return 1.0;
}

void plain_gemm_backward(float *grad_a, size_t grad_a_stride, const float *grad_c,
                         size_t grad_c_stride, const float *b, size_t m, size_t n, size_t k)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t l = 0; l < k; l++) {
            double sum = 0.0;
            for (size_t j = 0; j < n; j++)
                sum += (double)grad_c[i * grad_c_stride + j] * (double)b[l * n + j];
            grad_a[i * grad_a_stride + l] = (float)sum;
        }
    }
}

/** What one output pixel and channel gives each input. @param weight  [C, kernel, kernel]
 *  @param sums  one sample */
static void give_back(double *sums, double grad, const float *weight, const struct pm_conv *conv,
                      size_t height, size_t width, size_t oy, size_t ox)
{
    for (size_t tap = 0; tap < conv->kernel * conv->kernel; tap++) {
        size_t y = oy * conv->stride + tap / conv->kernel, pad = conv->pad_before;
        size_t x = ox * conv->stride + tap % conv->kernel;
        if (y < pad || y - pad >= height || x < pad || x - pad >= width) continue;
        for (size_t c = 0; c < conv->in; c++)
            sums[((y - pad) * width + x - pad) * conv->in + c] +=
                grad * (double)weight[c * conv->kernel * conv->kernel + tap];
    }
}

void plain_conv_backward(float *grad_x, const float *grad_out, const float *weight,
                         const struct pm_conv *conv, size_t batch, size_t height, size_t width)
{
    size_t pads = conv->pad_before + conv->pad_after, taps = conv->kernel * conv->kernel;
    size_t out_height = (height + pads - conv->kernel) / conv->stride + 1;
    size_t out_width = (width + pads - conv->kernel) / conv->stride + 1;
    size_t floats = height * width * conv->in;
    double *sums = zeros(batch * floats);
    for (size_t i = 0; i < batch * out_height * out_width * conv->out; i++) {
        size_t n = i % conv->out, pixel = i / conv->out % (out_height * out_width);
        size_t sample = i / conv->out / (out_height * out_width);
        give_back(sums + sample * floats, (double)grad_out[i], weight + n * conv->in * taps, conv,
                  height, width, pixel / out_width, pixel % out_width);
    }
    store_and_free(grad_x, sums, batch * floats);
}

/** One group of one sample: its first float and its width in channels are given. */
static void group_backward(float *grad_x, const float *grad_out, const float *x, const float *gamma,
                           const float *beta, size_t pixels, size_t channels, size_t width,
                           float eps, enum pm_activation activation)
{
    double n = (double)(pixels * width), mean = 0.0, squares = 0.0, sum = 0.0, product = 0.0;
    double *g = zeros(pixels * width), *u = zeros(pixels * width);
    for (size_t i = 0; i < pixels * width; i++)
        mean += (double)x[i / width * channels + i % width] / n;
    for (size_t i = 0; i < pixels * width; i++) {
        u[i] = (double)x[i / width * channels + i % width] - mean;
        squares += u[i] * u[i];
    }
    double scale = 1.0 / sqrt(squares / n + (double)eps);
    for (size_t i = 0; i < pixels * width; i++) {
        double weight = (double)gamma[i % width];
        u[i] *= scale;
        g[i] = (double)grad_out[i / width * channels + i % width] * weight *
               plain_activation_slope(u[i] * weight + (double)beta[i % width], activation);
        sum += g[i];
        product += g[i] * u[i];
    }
    for (size_t i = 0; i < pixels * width; i++)
        grad_x[i / width * channels + i % width] =
            (float)(scale * (g[i] - sum / n - u[i] * product / n));
    free(g);
    free(u);
}

void plain_group_norm_backward(float *grad_x, const float *grad_out, const float *x,
                               const float *gamma, const float *beta, size_t batch, size_t pixels,
                               size_t channels, size_t groups, float eps,
                               enum pm_activation activation)
{
    size_t width = channels / groups;
    for (size_t i = 0; i < batch * groups; i++) {
        size_t c = i % groups * width, at = i / groups * pixels * channels + c;
        group_backward(grad_x + at, grad_out + at, x + at, gamma + c, beta + c, pixels, channels,
                       width, eps, activation);
    }
}

void plain_geglu_backward(float *grad_x, const float *grad_out, const float *x, size_t rows,
                          size_t channels)
{
    for (size_t i = 0; i < rows * channels; i++) {
        size_t value = i / channels * 2 * channels + i % channels, gate = value + channels;
        double grad = (double)grad_out[i];
        grad_x[value] = (float)(grad * plain_activation((double)x[gate], PM_GELU));
        grad_x[gate] =
            (float)(grad * (double)x[value] * plain_activation_slope((double)x[gate], PM_GELU));
    }
}

/** One query of one head. Pointers are to its token's and head's first float, or its key's 0.
 *  @param grad_k, grad_v  sums with the strides of k and v */
static void query_backward(float *grad_q, double *grad_k, double *grad_v, const float *grad_out,
                           const float *q, const float *k, const float *v, const float *probs,
                           const struct pm_attention_shape *s)
{
    double *grad_p = zeros(s->keys), *sum_q = zeros(s->head_size), mean = 0.0;
    for (size_t t = 0; t < s->keys; t++) {
        for (size_t d = 0; d < s->head_size; d++) {
            grad_p[t] += (double)grad_out[d] * (double)v[t * s->v_stride + d];
            grad_v[t * s->v_stride + d] += (double)probs[t] * (double)grad_out[d];
        }
        mean += (double)probs[t] * grad_p[t];
    }
    for (size_t t = 0; t < s->keys; t++) {
        double grad_logit = (double)s->scale * (double)probs[t] * (grad_p[t] - mean);
        for (size_t d = 0; d < s->head_size; d++) {
            sum_q[d] += grad_logit * (double)k[t * s->k_stride + d];
            grad_k[t * s->k_stride + d] += grad_logit * (double)q[d];
        }
    }
    free(grad_p);
    store_and_free(grad_q, sum_q, s->head_size);
}

void plain_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                              const float *q, const float *k, const float *v,
                              const struct pm_attention_shape *s)
{
    size_t maps = s->batch * s->heads * s->queries, kv_tokens = s->batch * s->keys;
    float *probs = malloc(maps * s->keys * sizeof *probs);
    if (!probs) pm_die("no memory for %zu probabilities", maps * s->keys);
    double *sum_k = zeros(kv_tokens * s->k_stride), *sum_v = zeros(kv_tokens * s->v_stride);
    plain_attention_probs(probs, q, k, s);
    for (size_t i = 0; i < maps; i++) {
        size_t head = i / s->queries % s->heads * s->head_size;
        size_t sample = i / s->queries / s->heads, token = sample * s->queries + i % s->queries;
        size_t k_at = sample * s->keys * s->k_stride + head;
        size_t v_at = sample * s->keys * s->v_stride + head;
        query_backward(grad_q + token * s->q_stride + head, sum_k + k_at, sum_v + v_at,
                       grad_out + token * s->out_stride + head, q + token * s->q_stride + head,
                       k + k_at, v + v_at, probs + i * s->keys, s);
    }
    free(probs);
    for (size_t i = 0; i < kv_tokens; i++) {
        for (size_t c = 0; c < s->heads * s->head_size; c++) {
            grad_k[i * s->k_stride + c] = (float)sum_k[i * s->k_stride + c];
            grad_v[i * s->v_stride + c] = (float)sum_v[i * s->v_stride + c];
        }
    }
    free(sum_k);
    free(sum_v);
}

void plain_resize_nearest_backward(float *grad_x, const float *grad_out, size_t batch,
                                   size_t height, size_t width, size_t out_height, size_t out_width,
                                   size_t channels)
{
    size_t floats = batch * height * width * channels;
    double *sums = zeros(floats);
    for (size_t i = 0; i < batch * out_height * out_width; i++) {
        size_t x = i % out_width * width / out_width;
        size_t y = i / out_width % out_height * height / out_height;
        size_t row = i / out_width / out_height * height + y;
        for (size_t c = 0; c < channels; c++)
            sums[(row * width + x) * channels + c] += (double)grad_out[i * channels + c];
    }
    store_and_free(grad_x, sums, floats);
}
