/** @file simd_bf16.h  Products of bfloat16, two at a time, summed in float32.
 *
 *  A pair is two numbers that are neighbours in the summed dimension, in 32 bits; struct pairs is 16
 *  of them. Where the CPU has vdpbf16ps that is one instruction, which rounds after each of the two
 *  products as it likes; elsewhere the same numbers are multiplied as float32, and the last bits
 *  differ. */
#ifndef PM_KERNELS_SIMD_BF16_H
#define PM_KERNELS_SIMD_BF16_H
#include "pm/kernels/bf16.h"
#include "simd.h"

#include <string.h>

enum { PAIR = 2 };

#ifdef __AVX512BF16__
struct pairs {
    __m512i v;
};

ALWAYS_INLINE struct pairs pairs_load(const uint16_t *p)
{
    return (struct pairs){_mm512_loadu_si512(p)};
}
/** The same pair 16 times. */
ALWAYS_INLINE struct pairs pairs_set(const uint16_t *p)
{
    int both;
    memcpy(&both, p, sizeof both);
    return (struct pairs){_mm512_set1_epi32(both)};
}
/** sum + a[0] b[0] + a[1] b[1] in each lane */
ALWAYS_INLINE struct lanes lanes_dot(struct lanes sum, struct pairs a, struct pairs b)
{
    return (struct lanes){_mm512_dpbf16_ps(sum.v, (__m512bh)a.v, (__m512bh)b.v)};
}
/** 16 numbers, rounded to nearest. */
ALWAYS_INLINE void lanes_store_bf16(uint16_t *p, struct lanes x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)_mm512_cvtneps_pbh(x.v));
}
/** 16 pairs of a lane of each. */
ALWAYS_INLINE void pairs_store(uint16_t *p, struct lanes even, struct lanes odd)
{
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(odd.v, even.v);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi16(order, halves));
}
#else
struct pairs {
    struct lanes even, odd;
};

ALWAYS_INLINE struct pairs pairs_load(const uint16_t *p)
{
    uint32_t both[LANES], bits[LANES];
    float even[LANES], odd[LANES];
    memcpy(both, p, sizeof both);
    for (size_t i = 0; i < LANES; i++) bits[i] = both[i] << 16;
    memcpy(even, bits, sizeof even);
    for (size_t i = 0; i < LANES; i++) bits[i] = both[i] & 0xffff0000u;
    memcpy(odd, bits, sizeof odd);
    return (struct pairs){lanes_load(even), lanes_load(odd)};
}
ALWAYS_INLINE struct pairs pairs_set(const uint16_t *p)
{
    return (struct pairs){lanes_set(pm_from_bf16(p[0])), lanes_set(pm_from_bf16(p[1]))};
}
ALWAYS_INLINE struct lanes lanes_dot(struct lanes sum, struct pairs a, struct pairs b)
{
    return lanes_fma(a.odd, b.odd, lanes_fma(a.even, b.even, sum));
}
ALWAYS_INLINE void lanes_store_bf16(uint16_t *p, struct lanes x)
{
    float values[LANES];
    lanes_store(values, x);
    for (size_t i = 0; i < LANES; i++) p[i] = pm_to_bf16(values[i]);
}
ALWAYS_INLINE void pairs_store(uint16_t *p, struct lanes even, struct lanes odd)
{
    float evens[LANES], odds[LANES];
    lanes_store(evens, even);
    lanes_store(odds, odd);
    for (size_t i = 0; i < LANES; i++) {
        p[PAIR * i] = pm_to_bf16(evens[i]);
        p[PAIR * i + 1] = pm_to_bf16(odds[i]);
    }
}
#endif

/** Up to 16 numbers, zeros after them up to @p room of them. */
ALWAYS_INLINE void lanes_store_bf16_up_to(uint16_t *p, struct lanes x, size_t n, size_t room)
{
    if (room >= LANES) {
        lanes_store_bf16(p, n < LANES ? lanes_first(x, lanes_set(0.0f), n) : x);
        return;
    }
    uint16_t whole[LANES];
    lanes_store_bf16(whole, n < LANES ? lanes_first(x, lanes_set(0.0f), n) : x);
    memcpy(p, whole, room * sizeof *p);
}
#endif
