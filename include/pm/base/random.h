/** @file random.h  Normal numbers that are a function of a seed and nothing else. */
#ifndef PM_BASE_RANDOM_H
#define PM_BASE_RANDOM_H
#include <stddef.h>
#include <stdint.h>

enum { PM_NOISE_TORCH_MIN = 16 };

/** What torch.randn gives on a CPU after torch.manual_seed(seed): mt19937 on the seed's low 32
 *  bits, 24-bit uniforms, Box and Muller over blocks of 16. Agrees with torch to 2e-6.
 *  @param n  at least PM_NOISE_TORCH_MIN: torch makes shorter tensors another way
 *  Source: pytorch, aten/src/ATen/native/cpu/DistributionTemplates.h, normal_fill. */
void pm_noise_torch(float *out, size_t n, uint64_t seed);

/** Counter-based: value i depends on (seed, i) alone, all 64 bits of the seed count.
 *  Philox4x32-10 (Salmon et al. 2011) and Box and Muller in double precision. */
void pm_noise_counter(float *out, size_t n, uint64_t seed);

/** Ten rounds of Philox4x32 on a counter and a key. */
void pm_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);
#endif
