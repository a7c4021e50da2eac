/** @file narrow.h  Floats in two bytes, and numbers from 0 to 1 in one. */
#ifndef PM_BASE_NARROW_H
#define PM_BASE_NARROW_H
#include <stdint.h>
#include <string.h>

/** The nearest IEEE 754 binary16, ties to even; from 65520 on infinite; NaN stays NaN. */
uint16_t pm_half_from_float(float value);

/** Exact. Without a branch, so that loops over it become vectors. */
static inline float pm_float_from_half(uint16_t half)
{
    /* the exponent is 112 too low, which a multiplication makes good, of subnormal numbers as well;
     * infinity and NaN keep the highest one */
    uint32_t rest = (uint32_t)(half & 0x7FFFu) << 13, bits;
    uint32_t highest = rest >= (uint32_t)0x7C00 << 13 ? 0x7F800000u : 0u;
    float value;
    memcpy(&value, &rest, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    bits |= highest | (uint32_t)(half & 0x8000u) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/** 0 .. 1 to 0 .. 255, rounded; what is outside is brought to the nearer end, NaN to 0. */
uint8_t pm_byte_from_unit(float value);

/** byte / 255. */
float pm_unit_from_byte(uint8_t byte);
#endif
