/** @file simd_avx2.h  16 lanes as two ymm registers. Included by simd.h alone. */
#ifndef PM_KERNELS_SIMD_AVX2_H
#define PM_KERNELS_SIMD_AVX2_H
#include "simd_turn_x86.h"

#include <immintrin.h>

/* A tile of 6 rows by one panel keeps 12 of the 16 registers as sums. */
enum { TILE_ROWS = 6, TILE_PANELS = 1 };
#define EACH_TILE_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)

struct lanes {
    __m256 v, w; /* lanes 0..7, lanes 8..15 */
};

static const int32_t lane_masks[32] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                       -1, -1, -1, -1, -1, -1, -1, -1};

ALWAYS_INLINE __m256i first_lanes(size_t n, size_t from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)(lane_masks + 16 - n + from));
}
ALWAYS_INLINE struct lanes lanes_set(float x)
{
    return (struct lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
ALWAYS_INLINE struct lanes lanes_load(const float *p)
{
    return (struct lanes){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
/** The first n < 16 lanes, zeros after them. */
ALWAYS_INLINE struct lanes lanes_load_part(const float *p, size_t n)
{
    return (struct lanes){_mm256_maskload_ps(p, first_lanes(n, 0)),
                          _mm256_maskload_ps(p + 8, first_lanes(n, 8))};
}
ALWAYS_INLINE void lanes_store(float *p, struct lanes x)
{
    _mm256_storeu_ps(p, x.v);
    _mm256_storeu_ps(p + 8, x.w);
}
ALWAYS_INLINE void lanes_store_part(float *p, struct lanes x, size_t n)
{
    _mm256_maskstore_ps(p, first_lanes(n, 0), x.v);
    _mm256_maskstore_ps(p + 8, first_lanes(n, 8), x.w);
}
/** x in the first n < 16 lanes, y after them. */
ALWAYS_INLINE struct lanes lanes_first(struct lanes x, struct lanes y, size_t n)
{
    return (struct lanes){_mm256_blendv_ps(y.v, x.v, _mm256_castsi256_ps(first_lanes(n, 0))),
                          _mm256_blendv_ps(y.w, x.w, _mm256_castsi256_ps(first_lanes(n, 8)))};
}
ALWAYS_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_add_ps(a.v, b.v), _mm256_add_ps(a.w, b.w)};
}
ALWAYS_INLINE struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_sub_ps(a.v, b.v), _mm256_sub_ps(a.w, b.w)};
}
ALWAYS_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_mul_ps(a.v, b.v), _mm256_mul_ps(a.w, b.w)};
}
ALWAYS_INLINE struct lanes lanes_div(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_div_ps(a.v, b.v), _mm256_div_ps(a.w, b.w)};
}
/** a b + c */
ALWAYS_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm256_fmadd_ps(a.v, b.v, c.v), _mm256_fmadd_ps(a.w, b.w, c.w)};
}
ALWAYS_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_max_ps(a.v, b.v), _mm256_max_ps(a.w, b.w)};
}
ALWAYS_INLINE struct lanes lanes_min(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_min_ps(a.v, b.v), _mm256_min_ps(a.w, b.w)};
}
/** To the nearest whole number, halves to even. */
ALWAYS_INLINE struct lanes lanes_round(struct lanes x)
{
    return (struct lanes){_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                          _mm256_round_ps(x.w, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/** 2^n as bits: n in -127..128 is what an exponent holds. */
ALWAYS_INLINE __m256 power_of_two(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/** In two steps, since 2^n alone may be out of range; the first is exact. */
ALWAYS_INLINE __m256 scale_half(__m256 x, __m256 n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256 once = _mm256_mul_ps(x, power_of_two(half));
    return _mm256_mul_ps(once, power_of_two(_mm256_sub_epi32(whole, half)));
}
/** x 2^n for whole n in -160..160, rounded once. */
ALWAYS_INLINE struct lanes lanes_scale(struct lanes x, struct lanes n)
{
    return (struct lanes){scale_half(x.v, n.v), scale_half(x.w, n.w)};
}
ALWAYS_INLINE float lanes_sum(struct lanes x)
{
    __m256 eight = _mm256_add_ps(x.v, x.w);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
ALWAYS_INLINE float lanes_highest(struct lanes x)
{
    __m256 eight = _mm256_max_ps(x.v, x.w);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
#endif
