#include "pm/base/narrow.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t pm_half_from_float(float value)
{
    const uint32_t infinity = 0x7F800000u, overflow = 0x477FF000u /* 65520 */,
                   normal = 0x38800000u /* 2^-14 */, rebias = (127u - 15u) << 23;
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > infinity) return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= overflow) return (uint16_t)(sign | 0x7C00u);
    if (magnitude < normal) {
        /* subnormal, a multiple of 2^-24: what the last bit of a float from 1/2 to 1 is worth, so
         * that the addition rounds as wanted */
        uint32_t sum = bits_of(float_of(magnitude) + 0.5f);
        return (uint16_t)(sign | (sum - bits_of(0.5f)));
    }
    uint32_t is_odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | (magnitude - rebias + 0xFFFu + is_odd) >> 13);
}

uint8_t pm_byte_from_unit(float value)
{
    if (!(value > 0.0f)) return 0;
    return (uint8_t)lrintf(fminf(value, 1.0f) * 255.0f);
}

float pm_unit_from_byte(uint8_t byte)
{
    return (float)byte / 255.0f;
}
