/** @file simd_turn_x86.h  A square of 16 by 16 floats, transposed, in four-lane registers, whose
 *  shuffles go two a cycle. Included by simd_avx2.h and simd_avx512.h alone. */
#ifndef PM_KERNELS_SIMD_TURN_X86_H
#define PM_KERNELS_SIMD_TURN_X86_H
#include <immintrin.h>

/** to[i][j] = from[j][i] */
ALWAYS_INLINE void lanes_turn(float *to, const float *from)
{
    for (size_t i = 0; i < LANES; i += 4) {
        for (size_t j = 0; j < LANES; j += 4) {
            const float *f = from + j * LANES + i;
            __m128 a = _mm_loadu_ps(f), b = _mm_loadu_ps(f + LANES);
            __m128 c = _mm_loadu_ps(f + 2 * LANES), d = _mm_loadu_ps(f + 3 * LANES);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            float *t = to + i * LANES + j;
            _mm_storeu_ps(t, a);
            _mm_storeu_ps(t + LANES, b);
            _mm_storeu_ps(t + 2 * LANES, c);
            _mm_storeu_ps(t + 3 * LANES, d);
        }
    }
}
#endif
