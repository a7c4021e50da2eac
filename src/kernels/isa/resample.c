/* Pixels and channels moved, not changed. */
#include "isa.h"

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
