/** @file narrow.h  Floats in two bytes, and numbers from 0 to 1 in one. */
#ifndef PM_BASE_NARROW_H
#define PM_BASE_NARROW_H
#include <stdint.h>

/** The nearest IEEE 754 binary16, ties to even; from 65520 on infinite; NaN stays NaN. */
uint16_t pm_half_from_float(float value);

/** Exact. */
float pm_float_from_half(uint16_t half);

/** 0 .. 1 to 0 .. 255, rounded; what is outside is brought to the nearer end, NaN to 0. */
uint8_t pm_byte_from_unit(float value);

/** byte / 255. */
float pm_unit_from_byte(uint8_t byte);
#endif
