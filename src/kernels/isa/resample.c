/* Pixels and channels moved, not changed. */
#include "isa.h"
#include "simd.h"

#include <string.h>

void PM_ISA_NAME(resize_nearest)(float *out, const float *x, size_t batch, size_t height,
                                 size_t width, size_t out_height, size_t out_width, size_t channels)
{
    size_t pixel_bytes = channels * sizeof *out, rows = batch * out_height;
    size_t threads = pm_threads_for((double)rows * (double)(out_width * channels));
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t row = 0; row < rows; row++) {
        size_t y = row % out_height * height / out_height;
        const float *from = x + (row / out_height * height + y) * width * channels;
        float *to = out + row * out_width * channels;
        for (size_t i = 0; i < out_width; i++)
            memcpy(to + i * channels, from + i * width / out_width * channels, pixel_bytes);
    }
}

/** The first pixel out of @p outs that is a copy of pixel @p i of @p n, or of one after it. */
static size_t first_copy(size_t i, size_t outs, size_t n)
{
    return (i * outs + n - 1) / n;
}

void PM_ISA_NAME(resize_nearest_backward)(float *grad_x, const float *grad_out, size_t batch,
                                          size_t height, size_t width, size_t out_height,
                                          size_t out_width, size_t channels)
{
    size_t rows = batch * height;
    size_t threads = pm_threads_for((double)(batch * out_height) * (double)(out_width * channels));
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t row = 0; row < rows; row++) {
        size_t y = row % height, first = row / height * out_height;
        for (size_t i = 0; i < width; i++) {
            size_t left = first_copy(i, out_width, width),
                   right = first_copy(i + 1, out_width, width);
            float *to = grad_x + (row * width + i) * channels;
            for (size_t c = 0; c < channels; c += LANES) {
                size_t n = smaller(LANES, channels - c);
                struct lanes sum = lanes_set(0.0f);
                for (size_t oy = first_copy(y, out_height, height);
                     oy < first_copy(y + 1, out_height, height); oy++)
                    for (size_t ox = left; ox < right; ox++)
                        sum = lanes_add(
                            sum, lanes_load_up_to(
                                     grad_out + ((first + oy) * out_width + ox) * channels + c, n));
                lanes_store_up_to(to + c, sum, n);
            }
        }
    }
}

void PM_ISA_NAME(concat_channels)(float *out, const float *a, size_t a_channels, const float *b,
                                  size_t b_channels, size_t rows)
{
    size_t channels = a_channels + b_channels;
    size_t threads = pm_threads_for((double)rows * (double)channels);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        memcpy(out + r * channels, a + r * a_channels, a_channels * sizeof *out);
        memcpy(out + r * channels + a_channels, b + r * b_channels, b_channels * sizeof *out);
    }
}

void PM_ISA_NAME(concat_channels_backward)(float *grad_a, size_t a_channels, float *grad_b,
                                           size_t b_channels, const float *grad_out, size_t rows)
{
    size_t channels = a_channels + b_channels;
    size_t threads = pm_threads_for((double)rows * (double)channels);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        const float *row = grad_out + r * channels;
        memcpy(grad_a + r * a_channels, row, a_channels * sizeof *grad_a);
        memcpy(grad_b + r * b_channels, row + a_channels, b_channels * sizeof *grad_b);
    }
}
