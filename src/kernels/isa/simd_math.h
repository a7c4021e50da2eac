/** @file simd_math.h  Functions of 16 lanes, out of the operations of simd.h alone: the same bits
 *  wherever those are. Included by simd.h. */
#ifndef PM_KERNELS_SIMD_MATH_H
#define PM_KERNELS_SIMD_MATH_H
#include "pm/kernels/kernels.h"

#include <float.h>

ALWAYS_INLINE size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Up to 16 floats, zeros after them. */
ALWAYS_INLINE struct lanes lanes_load_up_to(const float *p, size_t n)
{
    return n >= LANES ? lanes_load(p) : lanes_load_part(p, n);
}
ALWAYS_INLINE void lanes_store_up_to(float *p, struct lanes x, size_t n)
{
    if (n >= LANES)
        lanes_store(p, x);
    else
        lanes_store_part(p, x, n);
}

/** e^x within 1 ulp; 0 below -104, infinity above 88.73, NaN of NaN.
 *
 *  x = n ln 2 + r with |r| <= ln 2 / 2, so e^x = 2^n e^r. ln 2 in two parts, the first short
 *  enough that n times it is exact. e^r = 1 + r + r² p(r), p the minimax polynomial: its error
 *  is 0.03 ulp. */
ALWAYS_INLINE struct lanes lanes_exp(struct lanes x)
{
    x = lanes_min(lanes_set(89.0f), lanes_max(lanes_set(-104.0f), x));
    struct lanes n = lanes_round(lanes_mul(x, lanes_set(1.44269504f)));
    struct lanes r = lanes_fma(n, lanes_set(-0.693359375f), x);
    r = lanes_fma(n, lanes_set(2.12194440e-4f), r);
    struct lanes p = lanes_set(1.3814468e-3f);
    p = lanes_fma(p, r, lanes_set(8.3687808e-3f));
    p = lanes_fma(p, r, lanes_set(4.16683927e-2f));
    p = lanes_fma(p, r, lanes_set(1.66665196e-1f));
    p = lanes_fma(p, r, lanes_set(4.9999994e-1f));
    p = lanes_fma(p, lanes_mul(r, r), r);
    return lanes_scale(lanes_add(p, lanes_set(1.0f)), n);
}

/** 2^x within 1 ulp for x <= 0; 0 below -150, NaN of NaN: softmax's exponential.
 *
 *  x = n + f with |f| <= ½, and 2^f = 1 + f p(f), p the minimax polynomial: its error is 0.02 ulp. */
ALWAYS_INLINE struct lanes lanes_exp2_below(struct lanes x)
{
    x = lanes_max(lanes_set(-152.0f), x);
    struct lanes n = lanes_round(x), f = lanes_sub(x, n);
    struct lanes p = lanes_set(1.53533618e-4f);
    p = lanes_fma(p, f, lanes_set(1.33988744e-3f));
    p = lanes_fma(p, f, lanes_set(9.61843736e-3f));
    p = lanes_fma(p, f, lanes_set(5.55033247e-2f));
    p = lanes_fma(p, f, lanes_set(2.40226479e-1f));
    p = lanes_fma(p, f, lanes_set(6.93147203e-1f));
    return lanes_scale(lanes_fma(p, f, lanes_set(1.0f)), n);
}

/** x / (1 + e^(-steepness x)) */
ALWAYS_INLINE struct lanes lanes_swish(struct lanes x, float steepness)
{
    struct lanes e = lanes_exp(lanes_mul(x, lanes_set(-steepness)));
    return lanes_div(x, lanes_add(lanes_set(1.0f), e));
}

/** The derivative of x s(kx), where s(y) = 1 / (1 + e^-y): s + kx s (1 - s). */
ALWAYS_INLINE struct lanes lanes_swish_slope(struct lanes x, float steepness)
{
    const struct lanes one = lanes_set(1.0f);
    struct lanes y = lanes_mul(x, lanes_set(steepness));
    /* 1 - s is e s, which cancels nowhere; below -88, where e ends, all is 0 */
    struct lanes e = lanes_exp(lanes_sub(lanes_set(0.0f), lanes_max(lanes_set(-88.0f), y)));
    struct lanes s = lanes_div(one, lanes_add(one, e));
    return lanes_mul(s, lanes_fma(y, lanes_mul(e, s), one));
}

/** R and e^(-a²/2) for a in 0..15; see lanes_gelu. */
struct normal_tail {
    struct lanes ratio, exponential;
};

ALWAYS_INLINE struct normal_tail lanes_normal_tail(struct lanes a)
{
    struct lanes one = lanes_set(1.0f);
    struct lanes t = lanes_div(one, lanes_fma(a, lanes_set(0.34f), one));
    struct lanes r = lanes_set(4.47064414e-2f);
    r = lanes_fma(r, t, lanes_set(-1.99982300e-1f));
    r = lanes_fma(r, t, lanes_set(2.63063133e-1f));
    r = lanes_fma(r, t, lanes_set(-2.97516249e-2f));
    r = lanes_fma(r, t, lanes_set(1.56082541e-1f));
    r = lanes_fma(r, t, lanes_set(1.29868463e-1f));
    r = lanes_fma(r, t, lanes_set(1.36013195e-1f));
    struct lanes e = lanes_exp(lanes_mul(lanes_mul(a, a), lanes_set(-0.5f)));
    return (struct normal_tail){.ratio = lanes_mul(r, t), .exponential = e};
}

ALWAYS_INLINE struct lanes lanes_magnitude_up_to_15(struct lanes x)
{
    return lanes_min(lanes_set(15.0f), lanes_max(lanes_sub(lanes_set(0.0f), x), x));
}

/** x Phi(x) = max(x, 0) - |x| Phi(-|x|), which cancels nowhere.
 *
 *  Phi(-a) = e^(-a²/2) R(a), and R is a polynomial in t = 1/(1 + 0.34 a), fitted for the least
 *  absolute error of the whole on a in 0..12: 7e-9 before rounding. Beyond a = 15 Phi(-a) is 0. */
ALWAYS_INLINE struct lanes lanes_gelu(struct lanes x)
{
    struct lanes a = lanes_magnitude_up_to_15(x);
    struct normal_tail n = lanes_normal_tail(a);
    struct lanes tail = lanes_mul(lanes_mul(a, n.exponential), n.ratio);
    return lanes_sub(lanes_max(lanes_set(0.0f), x), tail);
}

/** The derivative of x Phi(x): Phi(x) + x e^(-x²/2) / sqrt(2 pi). */
ALWAYS_INLINE struct lanes lanes_gelu_slope(struct lanes x)
{
    struct lanes a = lanes_magnitude_up_to_15(x);
    struct normal_tail n = lanes_normal_tail(a);
    /* that of -a; those of x and -x add up to 1 */
    struct lanes below = lanes_mul(n.exponential, lanes_fma(a, lanes_set(-0.398942280f), n.ratio));
    struct lanes one = lanes_set(1.0f), zero = lanes_set(0.0f);
    struct lanes positive = lanes_div(lanes_min(lanes_set(15.0f), lanes_max(zero, x)),
                                      lanes_max(lanes_set(FLT_MIN), a)); /* 1 above 0, else 0 */
    return lanes_fma(lanes_fma(positive, lanes_set(-2.0f), one), below, positive);
}

ALWAYS_INLINE struct lanes lanes_activate(struct lanes x, enum pm_activation activation)
{
    switch (activation) {
    case PM_SILU:
        return lanes_swish(x, 1.0f);
    case PM_GELU:
        return lanes_gelu(x);
    case PM_QUICK_GELU:
        return lanes_swish(x, 1.702f);
    case PM_IDENTITY:
        break;
    }
    return x;
}

/** The derivative of lanes_activate. */
ALWAYS_INLINE struct lanes lanes_slope(struct lanes x, enum pm_activation activation)
{
    switch (activation) {
    case PM_SILU:
        return lanes_swish_slope(x, 1.0f);
    case PM_GELU:
        return lanes_gelu_slope(x);
    case PM_QUICK_GELU:
        return lanes_swish_slope(x, 1.702f);
    case PM_IDENTITY:
        break;
    }
    return lanes_set(1.0f);
}
#endif
