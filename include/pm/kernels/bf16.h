/** @file bf16.h  bfloat16: the upper half of a float32, 8 bits of exponent and 7 of mantissa. */
#ifndef PM_KERNELS_BF16_H
#define PM_KERNELS_BF16_H
#include <stdint.h>
#include <string.h>

/** Rounded to nearest, halves to even; a NaN stays one. */
static inline uint16_t pm_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}

static inline float pm_from_bf16(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
#endif
