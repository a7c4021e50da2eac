/* Convolutions as matrix products: of the image itself for 1x1, of its patches for the rest. */
#include "isa.h"
#include "simd.h"
#include "winograd.h"

#include "pm/base/error.h"

#include <omp.h>
#include <string.h>

enum { PATCH_FLOATS = 64 * 1024, FEWEST_ROWS = 48, MOST_ROWS = 384 }; /* of a chunk of patches */

/** What one call computes; pixels are those of the output. */
struct task {
    float *out;
    const float *x;
    const struct pm_conv *conv;
    const float *bias; /* [B, N], or [1, N] for all samples, or NULL */
    size_t bias_stride;
    const float *residual;
    size_t height, width, out_width, pixels;
};

/** What a thread gathers patches in. */
struct patches {
    float *rows;       /* [rows, kernel² C] */
    uint16_t *rounded; /* the same with an even number in a row, for bfloat16 */
};

/** One row of the patch matrix: kernel rows of kernel * C floats, zeros outside the image.
 *  @param x  one sample */
static void gather_patch(float *patch, const struct task *t, const float *x, size_t pixel)
{
    const struct pm_conv *conv = t->conv;
    size_t kernel = conv->kernel, channels = conv->in, pad = conv->pad_before;
    size_t top = pixel / t->out_width * conv->stride, left = pixel % t->out_width * conv->stride;
    /* Columns [first, end) of the window lie in the image, which ends at edge. */
    size_t edge = t->width + pad;
    size_t first = left < pad ? smaller(pad - left, kernel) : 0;
    size_t end = left + kernel > edge ? edge - smaller(left, edge) : kernel;
    if (end < first) end = first;
    for (size_t ky = 0; ky < kernel; ky++, patch += kernel * channels) {
        size_t y = top + ky;
        if (y < pad || y - pad >= t->height || end == first) {
            memset(patch, 0, kernel * channels * sizeof *patch);
            continue;
        }
        const float *from = x + ((y - pad) * t->width + left + first - pad) * channels;
        memset(patch, 0, first * channels * sizeof *patch);
        memcpy(patch + first * channels, from, (end - first) * channels * sizeof *patch);
        memset(patch + end * channels, 0, (kernel - end) * channels * sizeof *patch);
    }
}

/** Output pixels [pixel, pixel + rows) of one sample. */
static void convolve_pixels(const struct task *t, size_t sample, size_t pixel, size_t rows,
                            const struct patches *patches)
{
    const struct pm_conv *conv = t->conv;
    const float *x = t->x + sample * t->height * t->width * conv->in;
    size_t k = conv->kernel * conv->kernel * conv->in;
    size_t at = (sample * t->pixels + pixel) * conv->out;
    for (size_t i = 0; i < rows; i++) gather_patch(patches->rows + i * k, t, x, pixel + i);
    struct pm_epilogue epilogue = {.bias = t->bias ? t->bias + sample * t->bias_stride : NULL,
                                   .residual = t->residual ? t->residual + at : NULL,
                                   .residual_stride = conv->out};
    if (conv->packed_bf16)
        pm_gemm_bf16_serial(t->out + at, conv->out, patches->rows, k, conv->packed_bf16, rows,
                            conv->out, k, &epilogue, patches->rounded);
    else
        pm_gemm_serial(t->out + at, conv->out, patches->rows, k, conv->packed, rows, conv->out, k,
                       &epilogue);
}

static void convolve_by_patches(const struct task *t, size_t batch, struct pm_arena *scratch)
{
    size_t k = t->conv->kernel * t->conv->kernel * t->conv->in, pixels = t->pixels;
    size_t rows = PATCH_FLOATS / k;
    rows = rows < FEWEST_ROWS ? FEWEST_ROWS : smaller(rows, MOST_ROWS);
    size_t chunks = (pixels + rows - 1) / rows;
    size_t threads =
        pm_threads_for(2.0 * (double)(batch * pixels) * (double)k * (double)t->conv->out);
    rows = smaller(rows, pixels);
    struct patches *patches = pm_arena_bytes(scratch, threads * sizeof *patches);
    for (size_t i = 0; i < threads; i++)
        patches[i] = (struct patches){
            .rows = pm_arena_floats(scratch, rows * k),
            .rounded = t->conv->packed_bf16
                           ? pm_arena_bytes(scratch, rows * (k + k % 2) * sizeof(uint16_t))
                           : NULL};
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t i = 0; i < batch * chunks; i++) {
        size_t pixel = i % chunks * rows;
        convolve_pixels(t, i / chunks, pixel, smaller(rows, pixels - pixel),
                        &patches[omp_get_thread_num()]);
    }
}

/** 1x1: the image is the matrix. */
static void convolve_by_pixels(const struct task *t, size_t batch, struct pm_arena *scratch)
{
    const struct pm_conv *conv = t->conv;
    size_t in = conv->in, out = conv->out;
    size_t parts = t->bias_stride > 0 ? batch : 1, rows = batch * t->pixels / parts;
    for (size_t i = 0; i < parts; i++) {
        struct pm_epilogue epilogue = {.bias = t->bias ? t->bias + i * t->bias_stride : NULL,
                                       .residual =
                                           t->residual ? t->residual + i * rows * out : NULL,
                                       .residual_stride = out};
        float *to = t->out + i * rows * out;
        const float *from = t->x + i * rows * in;
        if (conv->packed_bf16)
            pm_gemm_bf16(to, out, from, in, conv->packed_bf16, rows, out, in, &epilogue, scratch);
        else
            pm_gemm(to, out, from, in, conv->packed, rows, out, in, &epilogue);
    }
}

/** The bias of each sample: [B, N]. */
static const float *add_biases(const float *bias, const float *sample_bias, size_t batch, size_t n,
                               struct pm_arena *scratch)
{
    if (!bias) return sample_bias;
    float *sum = pm_arena_floats(scratch, batch * n);
    for (size_t i = 0; i < batch * n; i++) sum[i] = bias[i % n] + sample_bias[i];
    return sum;
}

void PM_ISA_NAME(conv)(float *out, const float *x, const struct pm_conv *conv,
                       const float *sample_bias, const float *residual, size_t batch, size_t height,
                       size_t width, struct pm_arena *scratch)
{
    size_t mark = scratch->used, pads = conv->pad_before + conv->pad_after;
    PM_ASSERT(height + pads >= conv->kernel && width + pads >= conv->kernel);
    size_t out_height = (height + pads - conv->kernel) / conv->stride + 1;
    size_t out_width = (width + pads - conv->kernel) / conv->stride + 1;
    const float *bias = conv->bias;
    if (sample_bias) bias = add_biases(bias, sample_bias, batch, conv->out, scratch);
    struct task t = {.out = out,
                     .x = x,
                     .conv = conv,
                     .bias = bias,
                     .bias_stride = sample_bias ? conv->out : 0,
                     .residual = residual,
                     .height = height,
                     .width = width,
                     .out_width = out_width,
                     .pixels = out_height * out_width};
    if (conv->by_winograd && conv->packed_bf16)
        pm_conv_bf16(out, x, conv, bias, t.bias_stride, residual, batch, height, width, scratch);
    else if (conv->by_winograd && winograd_pays(height, width))
        pm_conv_winograd(out, x, conv, bias, t.bias_stride, residual, batch, height, width,
                         scratch);
    else if (conv->kernel == 1 && conv->stride == 1 && pads == 0)
        convolve_by_pixels(&t, batch, scratch);
    else
        convolve_by_patches(&t, batch, scratch);
    scratch->used = mark;
}

/** Of one tap: to the pixels of a sample under it, out of what each output pixel gives them.
 *  @param given  [output pixels of the batch, C]  @param rows  of output pixels, all samples */
static void add_tap(float *grad_x, const float *given, const struct task *t, size_t tap,
                    size_t rows)
{
    const struct pm_conv *conv = t->conv;
    size_t channels = conv->in, stride = conv->stride, out_height = t->pixels / t->out_width;
    size_t ky = tap / conv->kernel, kx = tap % conv->kernel, pad = conv->pad_before;
    size_t threads = pm_threads_for((double)(rows * t->out_width) * (double)channels);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t row = 0; row < rows; row++) {
        size_t y = row % out_height * stride + ky;
        if (y < pad || y - pad >= t->height) continue;
        float *line = grad_x + (row / out_height * t->height + y - pad) * t->width * channels;
        for (size_t ox = 0; ox < t->out_width; ox++) {
            size_t x = ox * stride + kx;
            if (x < pad || x - pad >= t->width) continue;
            float *to = line + (x - pad) * channels;
            const float *from = given + (row * t->out_width + ox) * channels;
            for (size_t c = 0; c < channels; c++) to[c] += from[c];
        }
    }
}

/** A tap's rows of the packed matrix are a matrix in themselves; an output pixel has one input
 *  pixel under each tap, so that taps, one after the other, write every pixel once. */
static void backward_by_taps(float *grad_x, const float *grad_out, const struct task *t,
                             size_t batch, struct pm_arena *scratch)
{
    const struct pm_conv *conv = t->conv;
    size_t taps = conv->kernel * conv->kernel, rows = batch * t->pixels;
    float *given = pm_arena_floats(scratch, rows * conv->in);
    memset(grad_x, 0, batch * t->height * t->width * conv->in * sizeof *grad_x);
    for (size_t tap = 0; tap < taps; tap++) {
        pm_gemm_turned(given, conv->in, grad_out, conv->out, conv->packed + tap * conv->in * LANES,
                       taps * conv->in * LANES, rows, conv->out, conv->in, NULL);
        add_tap(grad_x, given, t, tap, rows / t->out_width);
    }
}

void PM_ISA_NAME(conv_backward)(float *grad_x, const float *grad_out, const struct pm_conv *conv,
                                size_t batch, size_t height, size_t width, struct pm_arena *scratch)
{
    size_t mark = scratch->used, pads = conv->pad_before + conv->pad_after;
    PM_ASSERT(height + pads >= conv->kernel && width + pads >= conv->kernel);
    PM_ASSERT(conv->packed);
    size_t out_height = (height + pads - conv->kernel) / conv->stride + 1;
    size_t out_width = (width + pads - conv->kernel) / conv->stride + 1;
    struct task t = {.conv = conv,
                     .height = height,
                     .width = width,
                     .out_width = out_width,
                     .pixels = out_height * out_width};
    if (conv->by_winograd && winograd_pays(height, width))
        pm_conv_winograd_backward(grad_x, grad_out, conv, batch, height, width, scratch);
    else if (conv->kernel == 1 && conv->stride == 1 && pads == 0)
        pm_gemm_backward(grad_x, conv->in, grad_out, conv->out, conv->packed, batch * t.pixels,
                         conv->out, conv->in, NULL);
    else
        backward_by_taps(grad_x, grad_out, &t, batch, scratch);
    scratch->used = mark;
}
