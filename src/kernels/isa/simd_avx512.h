/** @file simd_avx512.h  16 lanes as one zmm register. Included by simd.h alone. */
#ifndef PM_KERNELS_SIMD_AVX512_H
#define PM_KERNELS_SIMD_AVX512_H
#include "simd_turn_x86.h"

#include <immintrin.h>

/* A tile of 12 rows by two panels keeps 24 of the 32 registers as sums. */
enum { TILE_ROWS = 12, TILE_PANELS = 2 };
#define EACH_TILE_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

struct lanes {
    __m512 v;
};

ALWAYS_INLINE __mmask16 first_lanes(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}
ALWAYS_INLINE struct lanes lanes_set(float x)
{
    return (struct lanes){_mm512_set1_ps(x)};
}
ALWAYS_INLINE struct lanes lanes_load(const float *p)
{
    return (struct lanes){_mm512_loadu_ps(p)};
}
/** The first n < 16 lanes, zeros after them. */
ALWAYS_INLINE struct lanes lanes_load_part(const float *p, size_t n)
{
    return (struct lanes){_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
ALWAYS_INLINE void lanes_store(float *p, struct lanes x)
{
    _mm512_storeu_ps(p, x.v);
}
ALWAYS_INLINE void lanes_store_part(float *p, struct lanes x, size_t n)
{
    _mm512_mask_storeu_ps(p, first_lanes(n), x.v);
}
/** x in the first n < 16 lanes, y after them. */
ALWAYS_INLINE struct lanes lanes_first(struct lanes x, struct lanes y, size_t n)
{
    return (struct lanes){_mm512_mask_mov_ps(y.v, first_lanes(n), x.v)};
}
ALWAYS_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_add_ps(a.v, b.v)};
}
ALWAYS_INLINE struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_sub_ps(a.v, b.v)};
}
ALWAYS_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_mul_ps(a.v, b.v)};
}
ALWAYS_INLINE struct lanes lanes_div(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_div_ps(a.v, b.v)};
}
/** a b + c */
ALWAYS_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm512_fmadd_ps(a.v, b.v, c.v)};
}
ALWAYS_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_max_ps(a.v, b.v)};
}
ALWAYS_INLINE struct lanes lanes_min(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_min_ps(a.v, b.v)};
}
/** To the nearest whole number, halves to even. */
ALWAYS_INLINE struct lanes lanes_round(struct lanes x)
{
    return (struct lanes){_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT)};
}
/** x 2^n for whole n in -160..160, rounded once. */
ALWAYS_INLINE struct lanes lanes_scale(struct lanes x, struct lanes n)
{
    return (struct lanes){_mm512_scalef_ps(x.v, n.v)};
}
ALWAYS_INLINE float lanes_sum(struct lanes x)
{
    __m256 low = _mm512_castps512_ps256(x.v), high = _mm512_extractf32x8_ps(x.v, 1);
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
ALWAYS_INLINE float lanes_highest(struct lanes x)
{
    __m256 low = _mm512_castps512_ps256(x.v), high = _mm512_extractf32x8_ps(x.v, 1);
    __m256 eight = _mm256_max_ps(low, high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
#endif
