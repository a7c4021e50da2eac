#include "plain_kernels.h"

#include "pm/base/error.h"

#include <math.h>
#include <stdlib.h>

double plain_activation(double x, enum pm_activation activation)
{
    switch (activation) {
    case PM_SILU:
        return x / (1.0 + exp(-x));
    case PM_GELU:
        return 0.5 * x * erfc(-x * sqrt(0.5));
    case PM_QUICK_GELU:
        return x / (1.0 + exp(-1.702 * x));
    case PM_IDENTITY:
        break;
    }
    return x;
}

void plain_gemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b,
                size_t m, size_t n, size_t k, const struct pm_epilogue *epilogue)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (size_t l = 0; l < k; l++)
                sum += (double)a[i * a_stride + l] * (double)b[l * n + j];
            if (epilogue) {
                if (epilogue->bias) sum += (double)epilogue->bias[j];
                sum = plain_activation(sum, epilogue->activation);
                if (epilogue->residual)
                    sum += (double)epilogue->residual[i * epilogue->residual_stride + j];
            }
            c[i * c_stride + j] = (float)sum;
        }
    }
}

/** One pixel and channel. @param x  one sample  @param weight  [C, kernel, kernel] */
static double convolve_once(const float *x, const float *weight, const struct pm_conv *conv,
                            size_t height, size_t width, size_t oy, size_t ox)
{
    double sum = 0.0;
    for (size_t ky = 0; ky < conv->kernel; ky++) {
        for (size_t kx = 0; kx < conv->kernel; kx++) {
            size_t y = oy * conv->stride + ky, px = ox * conv->stride + kx;
            if (y < conv->pad_before || y - conv->pad_before >= height) continue;
            if (px < conv->pad_before || px - conv->pad_before >= width) continue;
            y -= conv->pad_before;
            px -= conv->pad_before;
            for (size_t c = 0; c < conv->in; c++)
                sum += (double)x[(y * width + px) * conv->in + c] *
                       (double)weight[(c * conv->kernel + ky) * conv->kernel + kx];
        }
    }
    return sum;
}

void plain_conv(float *out, const float *x, const float *weight, const struct pm_conv *conv,
                const float *sample_bias, const float *residual, size_t batch, size_t height,
                size_t width)
{
    size_t pads = conv->pad_before + conv->pad_after, taps = conv->kernel * conv->kernel;
    size_t out_height = (height + pads - conv->kernel) / conv->stride + 1;
    size_t out_width = (width + pads - conv->kernel) / conv->stride + 1;
    for (size_t b = 0; b < batch; b++) {
        for (size_t pixel = 0; pixel < out_height * out_width; pixel++) {
            for (size_t n = 0; n < conv->out; n++) {
                double sum =
                    convolve_once(x + b * height * width * conv->in, weight + n * conv->in * taps,
                                  conv, height, width, pixel / out_width, pixel % out_width);
                size_t at = (b * out_height * out_width + pixel) * conv->out + n;
                if (conv->bias) sum += (double)conv->bias[n];
                if (sample_bias) sum += (double)sample_bias[b * conv->out + n];
                if (residual) sum += (double)residual[at];
                out[at] = (float)sum;
            }
        }
    }
}

void plain_group_norm(float *out, const float *x, const float *gamma, const float *beta,
                      size_t batch, size_t pixels, size_t channels, size_t groups, float eps,
                      enum pm_activation activation)
{
    size_t width = channels / groups;
    for (size_t b = 0; b < batch; b++) {
        for (size_t g = 0; g < groups; g++) {
            const float *from = x + b * pixels * channels + g * width;
            float *to = out + b * pixels * channels + g * width;
            double sum = 0.0, squares = 0.0, count = (double)(pixels * width);
            for (size_t i = 0; i < pixels * width; i++)
                sum += (double)from[i / width * channels + i % width];
            double mean = sum / count;
            for (size_t i = 0; i < pixels * width; i++) {
                double d = (double)from[i / width * channels + i % width] - mean;
                squares += d * d;
            }
            double scale = 1.0 / sqrt(squares / count + (double)eps);
            for (size_t i = 0; i < pixels * width; i++) {
                size_t at = i / width * channels + i % width, c = g * width + i % width;
                double y = ((double)from[at] - mean) * scale * (double)gamma[c] + (double)beta[c];
                to[at] = (float)plain_activation(y, activation);
            }
        }
    }
}

void plain_layer_norm(float *out, const float *x, const float *gamma, const float *beta,
                      size_t rows, size_t channels, float eps)
{
    for (size_t r = 0; r < rows; r++, x += channels, out += channels) {
        double mean = 0.0, squares = 0.0;
        for (size_t c = 0; c < channels; c++) mean += (double)x[c] / (double)channels;
        for (size_t c = 0; c < channels; c++)
            squares += ((double)x[c] - mean) * ((double)x[c] - mean);
        double scale = 1.0 / sqrt(squares / (double)channels + (double)eps);
        for (size_t c = 0; c < channels; c++)
            out[c] = (float)(((double)x[c] - mean) * scale * (double)gamma[c] + (double)beta[c]);
    }
}

void plain_geglu(float *out, const float *x, size_t rows, size_t channels)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < channels; c++)
            out[r * channels + c] =
                (float)((double)x[r * 2 * channels + c] *
                        plain_activation((double)x[(r * 2 + 1) * channels + c], PM_GELU));
}

void plain_attention_probs(float *probs, const float *q, const float *k,
                           const struct pm_attention_shape *s)
{
    double *e = malloc(s->keys * sizeof *e);
    if (!e) pm_die("no memory for %zu scores", s->keys);
    for (size_t i = 0; i < s->batch * s->heads * s->queries; i++) {
        size_t query = i % s->queries, head = i / s->queries % s->heads;
        size_t sample = i / s->queries / s->heads;
        size_t visible = s->causal && query + 1 < s->keys ? query + 1 : s->keys;
        const float *a = q + (sample * s->queries + query) * s->q_stride + head * s->head_size;
        double max = -INFINITY, sum = 0.0;
        for (size_t t = 0; t < visible; t++) {
            const float *b = k + (sample * s->keys + t) * s->k_stride + head * s->head_size;
            e[t] = 0.0;
            for (size_t d = 0; d < s->head_size; d++) e[t] += (double)a[d] * (double)b[d];
            e[t] *= (double)s->scale;
            max = fmax(max, e[t]);
        }
        for (size_t t = 0; t < visible; t++) sum += exp(e[t] - max);
        for (size_t t = 0; t < s->keys; t++)
            probs[i * s->keys + t] = t < visible ? (float)(exp(e[t] - max) / sum) : 0.0f;
    }
    free(e);
}

void plain_attention_apply(float *out, const float *probs, const float *v,
                           const struct pm_attention_shape *s)
{
    for (size_t i = 0; i < s->batch * s->heads * s->queries; i++) {
        size_t query = i % s->queries, head = i / s->queries % s->heads;
        size_t sample = i / s->queries / s->heads;
        for (size_t d = 0; d < s->head_size; d++) {
            double sum = 0.0;
            for (size_t t = 0; t < s->keys; t++)
                sum += (double)probs[i * s->keys + t] *
                       (double)v[(sample * s->keys + t) * s->v_stride + head * s->head_size + d];
            out[(sample * s->queries + query) * s->out_stride + head * s->head_size + d] =
                (float)sum;
        }
    }
}

void plain_token_map(float *target, const float *base, const float *map, const float *keep,
                     size_t rows, size_t tokens)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t n = 0; n < tokens; n++) {
            double sum = (double)target[r * tokens + n] * (double)keep[n];
            for (size_t w = 0; w < tokens; w++)
                sum += (double)base[r * tokens + w] * (double)map[w * tokens + n];
            target[r * tokens + n] = (float)sum;
        }
    }
}

void plain_resize_nearest(float *out, const float *x, size_t batch, size_t height, size_t width,
                          size_t out_height, size_t out_width, size_t channels)
{
    for (size_t b = 0; b < batch; b++)
        for (size_t y = 0; y < out_height; y++)
            for (size_t i = 0; i < out_width; i++)
                for (size_t c = 0; c < channels; c++) {
                    size_t row = b * height + y * height / out_height;
                    size_t from = (row * width + i * width / out_width) * channels + c;
                    out[((b * out_height + y) * out_width + i) * channels + c] = x[from];
                }
}

void plain_concat_channels(float *out, const float *a, size_t a_channels, const float *b,
                           size_t b_channels, size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < a_channels; c++) *out++ = a[r * a_channels + c];
        for (size_t c = 0; c < b_channels; c++) *out++ = b[r * b_channels + c];
    }
}
