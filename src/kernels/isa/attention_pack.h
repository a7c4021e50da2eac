/** @file attention_pack.h  Keys and values of a head in the order in which attention.c reads them. */
#ifndef PM_KERNELS_ATTENTION_PACK_H
#define PM_KERNELS_ATTENTION_PACK_H
#include "simd_bf16.h"

#include <string.h>

/** The dimensions of a head are weighed some at a time: [first, next group's first). */
static inline size_t group_first(size_t head_size, size_t group)
{
    size_t groups = (head_size + TILE_ROWS - 1) / TILE_ROWS;
    return head_size * group / groups;
}

static inline size_t pairs_of(size_t n)
{
    return (n + 1) / PAIR;
}

static inline size_t packed_keys_bytes(size_t keys, size_t d, bool is_bf16)
{
    size_t rows = (keys + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    return is_bf16 ? rows * PAIR * pairs_of(d) * sizeof(uint16_t) : rows * d * sizeof(float);
}

static inline size_t packed_values_bytes(size_t keys, size_t d, bool is_bf16)
{
    return is_bf16 ? PAIR * pairs_of(keys) * d * sizeof(uint16_t) : keys * d * sizeof(float);
}

/** [tiles][D][TILE_ROWS], the last tile filled up with the last key. */
static inline void pack_keys(float *to, const float *k, size_t stride, size_t keys, size_t d)
{
    for (size_t tile = 0; tile < keys; tile += TILE_ROWS)
        for (size_t c = 0; c < d; c++)
            for (size_t r = 0; r < TILE_ROWS; r++)
                *to++ = k[smaller(tile + r, keys - 1) * stride + c];
}

/** [tiles][pairs of D][TILE_ROWS][2]; what is missing in a pair is zero. */
static inline void pack_keys_bf16(uint16_t *to, const float *k, size_t stride, size_t keys,
                                  size_t d)
{
    for (size_t tile = 0; tile < keys; tile += TILE_ROWS)
        for (size_t c = 0; c < d; c += PAIR)
            for (size_t r = 0; r < TILE_ROWS; r++) {
                const float *key = k + smaller(tile + r, keys - 1) * stride + c;
                *to++ = pm_to_bf16(key[0]);
                *to++ = c + 1 < d ? pm_to_bf16(key[1]) : 0;
            }
}

/** [groups][T][dimensions of the group] */
static inline void pack_values(float *to, const float *v, size_t stride, size_t keys, size_t d)
{
    for (size_t group = 0; group_first(d, group) < d; group++) {
        size_t first = group_first(d, group), rows = group_first(d, group + 1) - first;
        for (size_t i = 0; i < keys; i++, to += rows)
            memcpy(to, v + i * stride + first, rows * sizeof *to);
    }
}

/** [groups][pairs of T][dimensions of the group][2] */
static inline void pack_values_bf16(uint16_t *to, const float *v, size_t stride, size_t keys,
                                    size_t d)
{
    for (size_t group = 0; group_first(d, group) < d; group++) {
        size_t first = group_first(d, group), end = group_first(d, group + 1);
        for (size_t i = 0; i < keys; i += PAIR)
            for (size_t c = first; c < end; c++) {
                *to++ = pm_to_bf16(v[i * stride + c]);
                *to++ = i + 1 < keys ? pm_to_bf16(v[(i + 1) * stride + c]) : 0;
            }
    }
}
#endif
