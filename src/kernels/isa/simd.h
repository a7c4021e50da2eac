/** @file simd.h  One vector type for every instruction set: 16 lanes of float.
 *
 *  The same sequence of lane operations gives the same bits on AVX2 and AVX-512, whose
 *  operations round alike; sums over lanes go by a fixed tree. Where the CPU has no fused
 *  multiply-add, lanes_fma rounds twice.
 *
 *  lanes_max(a, b) is a > b ? a : b and lanes_min(a, b) is a < b ? a : b: a NaN in b stays. */
#ifndef PM_KERNELS_SIMD_H
#define PM_KERNELS_SIMD_H
#include <stddef.h>
#include <stdint.h>

enum { LANES = 16 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

#if defined(__AVX512F__)
#include "simd_avx512.h"
#elif defined(__AVX2__)
#include "simd_avx2.h"
#else
#include "simd_portable.h"
#endif

#include "simd_math.h"
#endif
