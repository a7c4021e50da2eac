#include "pm/base/random.h"

#include "pm/base/error.h"

#include <math.h>
#include <string.h>

enum { MT_WORDS = 624, MT_SHIFT = 397, BLOCK = PM_NOISE_TORCH_MIN };

/** mt19937. Source: Matsumoto and Nishimura 1998. */
struct mersenne_twister {
    uint32_t words[MT_WORDS];
    size_t next;
};

static void twister_seed(struct mersenne_twister *mt, uint32_t seed)
{
    mt->words[0] = seed;
    for (uint32_t i = 1; i < MT_WORDS; i++)
        mt->words[i] = 1812433253u * (mt->words[i - 1] ^ mt->words[i - 1] >> 30) + i;
    mt->next = MT_WORDS;
}

static uint32_t twister_next(struct mersenne_twister *mt)
{
    if (mt->next == MT_WORDS) {
        for (size_t i = 0; i < MT_WORDS; i++) {
            uint32_t y =
                (mt->words[i] & 0x80000000u) | (mt->words[(i + 1) % MT_WORDS] & 0x7FFFFFFFu);
            mt->words[i] =
                mt->words[(i + MT_SHIFT) % MT_WORDS] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
        }
        mt->next = 0;
    }
    uint32_t y = mt->words[mt->next++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

static float uniform_24(struct mersenne_twister *mt)
{
    return (float)(twister_next(mt) & 0xFFFFFFu) * 0x1p-24f;
}

static void box_muller_block(float *x)
{
    for (size_t j = 0; j < BLOCK / 2; j++) {
        double radius = sqrt(-2.0 * log1p(-(double)x[j]));
        double angle = 2.0 * M_PI * (double)x[j + BLOCK / 2];
        x[j] = (float)(radius * cos(angle));
        x[j + BLOCK / 2] = (float)(radius * sin(angle));
    }
}

void pm_noise_torch(float *out, size_t n, uint64_t seed)
{
    PM_ASSERT(n >= BLOCK);
    struct mersenne_twister mt;
    twister_seed(&mt, (uint32_t)seed);
    for (size_t i = 0; i < n; i++) out[i] = uniform_24(&mt);
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK) box_muller_block(out + i);
    if (n % BLOCK == 0) return;
    /* torch draws the last 16 anew, over what the last whole block left there */
    for (size_t i = n - BLOCK; i < n; i++) out[i] = uniform_24(&mt);
    box_muller_block(out + n - BLOCK);
}

void pm_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

void pm_noise_counter(float *out, size_t n, uint64_t seed)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (size_t i = 0; i < n; i += 2) {
        uint32_t counter[4] = {(uint32_t)i, (uint32_t)((uint64_t)i >> 32), 0, 0}, bits[4];
        pm_philox(bits, counter, key);
        double u1 = ((double)bits[0] + 1.0) * 0x1p-32; /* (0, 1] */
        double u2 = (double)bits[1] * 0x1p-32;
        double radius = sqrt(-2.0 * log(u1));
        out[i] = (float)(radius * cos(2.0 * M_PI * u2));
        if (i + 1 < n) out[i + 1] = (float)(radius * sin(2.0 * M_PI * u2));
    }
}
