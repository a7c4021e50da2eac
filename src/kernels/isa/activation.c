/* Element by element. */
#include "isa.h"
#include "simd.h"

static const double FLOPS_PER_ACTIVATION = 30.0; /* for the choice of threads only */
enum { PIECE = 4096 };                           /* elements that a thread takes at a time */

static void activate_piece(float *out, const float *x, size_t n, enum pm_activation activation)
{
    for (size_t i = 0; i < n; i += LANES) {
        size_t count = smaller(LANES, n - i);
        lanes_store_up_to(out + i, lanes_activate(lanes_load_up_to(x + i, count), activation),
                          count);
    }
}

void PM_ISA_NAME(activate)(float *out, const float *x, size_t n, enum pm_activation activation)
{
    size_t threads = pm_threads_for(FLOPS_PER_ACTIVATION * (double)n);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t i = 0; i < n; i += PIECE)
        activate_piece(out + i, x + i, smaller(PIECE, n - i), activation);
}

void PM_ISA_NAME(geglu)(float *out, const float *x, size_t rows, size_t channels)
{
    size_t threads = pm_threads_for(FLOPS_PER_ACTIVATION * (double)rows * (double)channels);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        const float *value = x + r * 2 * channels, *gate = value + channels;
        for (size_t c = 0; c < channels; c += LANES) {
            size_t n = smaller(LANES, channels - c);
            struct lanes opened = lanes_gelu(lanes_load_up_to(gate + c, n));
            lanes_store_up_to(out + r * channels + c,
                              lanes_mul(lanes_load_up_to(value + c, n), opened), n);
        }
    }
}

static void row_backward(float *grad_x, const float *grad_out, const float *x, size_t channels)
{
    const float *value = x, *gate = x + channels;
    float *to_value = grad_x, *to_gate = grad_x + channels;
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = smaller(LANES, channels - c);
        struct lanes grad = lanes_load_up_to(grad_out + c, n);
        struct lanes v = lanes_load_up_to(value + c, n), g = lanes_load_up_to(gate + c, n);
        lanes_store_up_to(to_value + c, lanes_mul(grad, lanes_gelu(g)), n);
        lanes_store_up_to(to_gate + c, lanes_mul(lanes_mul(grad, v), lanes_gelu_slope(g)), n);
    }
}

void PM_ISA_NAME(geglu_backward)(float *grad_x, const float *grad_out, const float *x, size_t rows,
                                 size_t channels)
{
    size_t threads = pm_threads_for(2.0 * FLOPS_PER_ACTIVATION * (double)rows * (double)channels);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t r = 0; r < rows; r++)
        row_backward(grad_x + r * 2 * channels, grad_out + r * channels, x + r * 2 * channels,
                     channels);
}
