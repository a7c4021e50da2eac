/* An edit of attention maps: one matrix over tokens, and a share of the old map. */
#include "isa.h"
#include "simd.h"

#include <omp.h>

enum { BLOCK = 96 }; /* rows */

void PM_ISA_NAME(token_map)(float *target, const float *base, const float *packed_map,
                            const float *keep, size_t rows, size_t tokens, struct pm_arena *scratch)
{
    size_t mark = scratch->used;
    size_t threads = pm_threads_for(2.0 * (double)rows * (double)tokens * (double)tokens);
    float *mapped = pm_arena_floats(scratch, threads * BLOCK * tokens);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (size_t row = 0; row < rows; row += BLOCK) {
        size_t count = smaller(BLOCK, rows - row);
        float *own = mapped + (size_t)omp_get_thread_num() * BLOCK * tokens;
        pm_gemm_serial(own, tokens, base + row * tokens, tokens, packed_map, count, tokens, tokens,
                       NULL);
        for (size_t i = 0; i < count; i++) {
            float *to = target + (row + i) * tokens;
            for (size_t j = 0; j < tokens; j += LANES) {
                size_t n = smaller(LANES, tokens - j);
                struct lanes old = lanes_load_up_to(to + j, n);
                struct lanes share = lanes_load_up_to(keep + j, n);
                struct lanes new = lanes_load_up_to(own + i * tokens + j, n);
                lanes_store_up_to(to + j, lanes_fma(old, share, new), n);
            }
        }
    }
    scratch->used = mark;
}
