/** @file kernels.h  The arithmetic: plain functions over memory that the caller owns.
 *
 *  Shape letters, here and everywhere: B batch, Y and X pixels, C channels in, N channels or
 *  columns out, M rows, K the summed dimension, H heads, D head size, Q queries, T keys.
 *  Activations are float32, [B, Y, X, C], channels last: pixels and tokens are the same memory.
 *
 *  Every kernel is compiled once for each instruction set (src/kernels/isa/); a table holds one
 *  set's functions, and pm_kernels() gives the best one this CPU runs. Kernels do not allocate,
 *  print, fail, or keep state; what they need to work in, they take from the arena and give
 *  back. Outputs may not overlap inputs unless it says so.
 *
 *  An output row depends on its own inputs alone, never on M, B, or the number of threads, to
 *  the last bit; avx2, avx512 and avx512bf16 give the same bits (all sum in fused multiply-adds
 *  over 16 lanes, in the same order), but for bfloat16, for which avx512bf16 has instructions of
 *  its own. baseline has no fused multiply-add and may differ in the last bits. */
#ifndef PM_KERNELS_KERNELS_H
#define PM_KERNELS_KERNELS_H
#include "pm/base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Keys over which softmax is taken at once: 32x32 pixels, and whole tiles of every set. */
enum { PM_ATTENTION_KEY_BLOCK = 1032 };

/** Of the inputs of products: sums, and all that is no product, are float32. */
enum pm_precision {
    PM_FP32,
    PM_BF16, /* bfloat16, rounded to nearest */
};

enum pm_activation {
    PM_IDENTITY,
    PM_SILU,       /* x sigmoid(x) */
    PM_GELU,       /* x Phi(x), with erf */
    PM_QUICK_GELU, /* x sigmoid(1.702 x) */
};

/** What is done to a product before it is stored: c = activation(a b + bias) + residual. */
struct pm_epilogue {
    const float *bias; /* [N], or NULL */
    enum pm_activation activation;
    const float *residual;  /* [M, N], or NULL; may be the output itself */
    size_t residual_stride; /* floats from row to row */
};

/** y = x Wᵀ + b, torch's Linear. Made by pm_linear_pack; the memory is not owned. */
struct pm_linear {
    size_t in, out;
    const float *packed;         /* see pack.h; or NULL, and */
    const uint16_t *packed_bf16; /* the same in bfloat16 */
    const float *bias;           /* [out], or NULL */
};

/** A square convolution. Made by pm_conv_pack; the memory is not owned. */
struct pm_conv {
    size_t in, out, kernel; /* channels, channels, side */
    size_t stride;
    size_t pad_before, pad_after; /* zeros above and left, below and right */
    const float *packed; /* [kernel*kernel*in → out] as a matrix; see pack.h. Or NULL, and */
    const uint16_t *packed_bf16; /* the same in bfloat16, transformed where by_winograd */
    const float *bias;           /* [out], or NULL */
    bool by_winograd;            /* images that are large enough */
};

/** Attention over B samples of H heads. Rows of q and out are tokens of H*D floats, head after
 *  head; strides are floats from token to token, so that q, k and v may lie in one fused buffer.
 *  Samples follow each other without gaps: Q (or T) times the stride. */
struct pm_attention_shape {
    size_t batch, heads, head_size, queries, keys;
    size_t q_stride, k_stride, v_stride, out_stride;
    float scale; /* of the logits, usually D^-½ */
    bool causal; /* query i sees keys 0..i only */
    enum pm_precision precision;
};

struct pm_kernels {
    const char *isa; /* "avx512bf16", "avx512", "avx2" or "baseline" */

    /** c[m, n] = epilogue(a[m, k] b[k, n]), b packed by pm_pack. Rows of c and a have strides. */
    void (*gemm)(float *c, size_t c_stride, const float *a, size_t a_stride, const float *packed_b,
                 size_t m, size_t n, size_t k, const struct pm_epilogue *epilogue);

    /** The same of bfloat16: a is rounded on the way. */
    void (*gemm_bf16)(float *c, size_t c_stride, const float *a, size_t a_stride,
                      const uint16_t *packed_b, size_t m, size_t n, size_t k,
                      const struct pm_epilogue *epilogue, struct pm_arena *scratch);

    /** out[B, Y', X', N] of x[B, Y, X, C], Y' = (Y + pads - kernel)/stride + 1.
     *  @param sample_bias  [B, N] added beside the bias (a time embedding), or NULL
     *  @param residual     [B, Y', X', N] added last, or NULL; may be out itself */
    void (*conv)(float *out, const float *x, const struct pm_conv *conv, const float *sample_bias,
                 const float *residual, size_t batch, size_t height, size_t width,
                 struct pm_arena *scratch);

    /** Normalise over each sample's group of channels and all its pixels, then scale, shift and
     *  activate. out may be x. @param x  [B, pixels, C], C a multiple of groups */
    void (*group_norm)(float *out, const float *x, const float *gamma, const float *beta,
                       size_t batch, size_t pixels, size_t channels, size_t groups, float eps,
                       enum pm_activation activation, struct pm_arena *scratch);

    /** Normalise each row, then scale and shift. out may be x. @param x  [rows, C] */
    void (*layer_norm)(float *out, const float *x, const float *gamma, const float *beta,
                       size_t rows, size_t channels, float eps);

    /** out[i] = activation(x[i]). out may be x. */
    void (*activate)(float *out, const float *x, size_t n, enum pm_activation activation);

    /** out[r, c] = x[r, c] gelu(x[r, C + c]), x [rows, 2C]: GEGLU's second half gates the first. */
    void (*geglu)(float *out, const float *x, size_t rows, size_t channels);

    /** Fused attention: softmax(scale q kᵀ) v, the probabilities never stored. */
    void (*attention)(float *out, const float *q, const float *k, const float *v,
                      const struct pm_attention_shape *shape, struct pm_arena *scratch);

    /** The two halves of the same, for whoever wants the maps between them. Of at most
     *  PM_ATTENTION_KEY_BLOCK keys they give the whole's bits, so that looking at maps changes
     *  nothing; of more, the whole rounds otherwise in the last bits.
     *  @param probs  [B, H, Q, T], rows sum to 1 */
    void (*attention_probs)(float *probs, const float *q, const float *k,
                            const struct pm_attention_shape *shape, struct pm_arena *scratch);
    void (*attention_apply)(float *out, const float *probs, const float *v,
                            const struct pm_attention_shape *shape, struct pm_arena *scratch);

    /** target[r, n] = Σ_w base[r, w] map[w, n] + target[r, n] keep[n]: an edit of attention maps
     *  as one linear map over tokens. In place. @param packed_map  [T, T] packed by pm_pack */
    void (*token_map)(float *target, const float *base, const float *packed_map, const float *keep,
                      size_t rows, size_t tokens, struct pm_arena *scratch);

    /** out[B, out_height, out_width, C]: the nearest pixel of x[B, Y, X, C], that is
     *  floor(y Y / out_height), as torch's nearest. Twice the size: every pixel four times. */
    void (*resize_nearest)(float *out, const float *x, size_t batch, size_t height, size_t width,
                           size_t out_height, size_t out_width, size_t channels);

    /** out[rows, Ca + Cb]: the channels of a, then those of b. */
    void (*concat_channels)(float *out, const float *a, size_t a_channels, const float *b,
                            size_t b_channels, size_t rows);

    /* The way back: from grad_out, the gradient of a number with respect to a kernel's output, its
     * gradient with respect to the kernel's inputs, never to weights. What the derivative depends
     * on is given again as it was given forward, and whatever only led there is computed anew. */

    /** Of gemm by a, where its epilogue is a bias and a residual at most:
     *  grad_a[m, k] = epilogue(grad_c[m, n] bᵀ), b[k, n] as packed for gemm. */
    void (*gemm_backward)(float *grad_a, size_t grad_a_stride, const float *grad_c,
                          size_t grad_c_stride, const float *packed_b, size_t m, size_t n, size_t k,
                          const struct pm_epilogue *epilogue);

    /** @param grad_x  [B, Y, X, C]  @param grad_out  [B, Y', X', N]
     *  @param height, width  Y and X, as given forward */
    void (*conv_backward)(float *grad_x, const float *grad_out, const struct pm_conv *conv,
                          size_t batch, size_t height, size_t width, struct pm_arena *scratch);

    /** @param grad_x, grad_out, x  [B, pixels, C]; grad_x may be grad_out
     *  @param residual  [B, pixels, C] added last, or NULL; may not be grad_x */
    void (*group_norm_backward)(float *grad_x, const float *grad_out, const float *x,
                                const float *gamma, const float *beta, const float *residual,
                                size_t batch, size_t pixels, size_t channels, size_t groups,
                                float eps, enum pm_activation activation, struct pm_arena *scratch);

    /** @param grad_x, grad_out, x  [rows, C]
     *  @param residual  [rows, C] added last, or NULL; it and grad_out may be grad_x */
    void (*layer_norm_backward)(float *grad_x, const float *grad_out, const float *x,
                                const float *gamma, const float *residual, size_t rows,
                                size_t channels, float eps);

    /** @param grad_x, x  [rows, 2C]; one may be the other  @param grad_out  [rows, C] */
    void (*geglu_backward)(float *grad_x, const float *grad_out, const float *x, size_t rows,
                           size_t channels);

    /** Of attention. The gradients lie as what they belong to, with its strides; grad_out as out.
     *  @param grad_q  NULL: not wanted */
    void (*attention_backward)(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                               const float *q, const float *k, const float *v,
                               const struct pm_attention_shape *shape, struct pm_arena *scratch);

    /** Sizes as given forward. */
    void (*resize_nearest_backward)(float *grad_x, const float *grad_out, size_t batch,
                                    size_t height, size_t width, size_t out_height,
                                    size_t out_width, size_t channels);

    /** grad_out[rows, Ca + Cb] into the part of a and the part of b. */
    void (*concat_channels_backward)(float *grad_a, size_t a_channels, float *grad_b,
                                     size_t b_channels, const float *grad_out, size_t rows);
};

/** The best set for this CPU, chosen once. The environment variable PROMPTMILL_ISA=avx512bf16|
 *  avx512|avx2|baseline asks for a lesser one (to compare them); a set that the CPU lacks is not taken, and
 *  any other word ends the program. */
const struct pm_kernels *pm_kernels(void);

/** Has it products of bfloat16? Others multiply the same numbers as float32, which takes longer than
 *  float32 does. */
bool pm_kernels_have_bf16(const struct pm_kernels *kernels);

/** A set by name, or NULL when it is not built in or this CPU cannot run it. */
const struct pm_kernels *pm_kernels_named(const char *isa);
#endif
