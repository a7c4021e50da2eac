/** @file simd_portable.h  16 lanes as four vectors of four, in the vector extension of gcc and
 *  clang: SSE2, NEON or whatever the machine has. Included by simd.h alone. */
#ifndef PM_KERNELS_SIMD_PORTABLE_H
#define PM_KERNELS_SIMD_PORTABLE_H
#include <string.h>

/* A tile of 3 rows by one panel keeps 12 vectors as sums: x86 has 16 of this size. */
enum { TILE_ROWS = 3, TILE_PANELS = 1 };
#define EACH_TILE_ROWS(X) X(1) X(2) X(3)

typedef float four_floats __attribute__((vector_size(16)));
typedef int32_t four_ints __attribute__((vector_size(16)));

struct lanes {
    four_floats v[4];
};

#define EACH_FOUR(expression)                                                                      \
    do {                                                                                           \
        UNROLLED for (size_t i = 0; i < 4; i++) r.v[i] = (expression);                             \
    } while (0)

ALWAYS_INLINE struct lanes lanes_set(float x)
{
    struct lanes r;
    EACH_FOUR(((four_floats){x, x, x, x}));
    return r;
}
ALWAYS_INLINE struct lanes lanes_load(const float *p)
{
    struct lanes r;
    memcpy(&r, p, sizeof r);
    return r;
}
/** The first n < 16 lanes, zeros after them. */
ALWAYS_INLINE struct lanes lanes_load_part(const float *p, size_t n)
{
    float x[LANES] = {0};
    memcpy(x, p, n * sizeof *x);
    return lanes_load(x);
}
ALWAYS_INLINE void lanes_store(float *p, struct lanes x)
{
    memcpy(p, &x, sizeof x);
}
ALWAYS_INLINE void lanes_store_part(float *p, struct lanes x, size_t n)
{
    memcpy(p, &x, n * sizeof *p);
}
/** x in the first n < 16 lanes, y after them. */
ALWAYS_INLINE struct lanes lanes_first(struct lanes x, struct lanes y, size_t n)
{
    memcpy(&y, &x, n * sizeof(float));
    return y;
}
ALWAYS_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    struct lanes r;
    EACH_FOUR(a.v[i] + b.v[i]);
    return r;
}
ALWAYS_INLINE struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    struct lanes r;
    EACH_FOUR(a.v[i] - b.v[i]);
    return r;
}
ALWAYS_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    struct lanes r;
    EACH_FOUR(a.v[i] * b.v[i]);
    return r;
}
ALWAYS_INLINE struct lanes lanes_div(struct lanes a, struct lanes b)
{
    struct lanes r;
    EACH_FOUR(a.v[i] / b.v[i]);
    return r;
}
/** a b + c */
ALWAYS_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    struct lanes r;
    EACH_FOUR(a.v[i] * b.v[i] + c.v[i]);
    return r;
}
/** a where the mask is set, b elsewhere. */
ALWAYS_INLINE four_floats choose(four_ints mask, four_floats a, four_floats b)
{
    return (four_floats)((mask & (four_ints)a) | (~mask & (four_ints)b));
}
ALWAYS_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    struct lanes r;
    EACH_FOUR(choose(a.v[i] > b.v[i], a.v[i], b.v[i]));
    return r;
}
ALWAYS_INLINE struct lanes lanes_min(struct lanes a, struct lanes b)
{
    struct lanes r;
    EACH_FOUR(choose(a.v[i] < b.v[i], a.v[i], b.v[i]));
    return r;
}
/** To the nearest whole number, halves to even, for |x| < 2^22: adding 1.5 2^23 leaves no
 *  room for a fraction. */
ALWAYS_INLINE struct lanes lanes_round(struct lanes x)
{
    struct lanes shift = lanes_set(12582912.0f);
    return lanes_sub(lanes_add(x, shift), shift);
}
/** 2^n as bits: n in -127..128 is what an exponent holds. */
ALWAYS_INLINE four_floats power_of_two(four_ints n)
{
    return (four_floats)((n + 127) << 23);
}
/** In two steps, since 2^n alone may be out of range; the first is exact. */
ALWAYS_INLINE four_floats scale_four(four_floats x, four_floats n)
{
    four_ints whole = __builtin_convertvector(n, four_ints), half = whole >> 1;
    return x * power_of_two(half) * power_of_two(whole - half);
}
/** x 2^n for whole n in -160..160, rounded once. */
ALWAYS_INLINE struct lanes lanes_scale(struct lanes x, struct lanes n)
{
    struct lanes r;
    EACH_FOUR(scale_four(x.v[i], n.v[i]));
    return r;
}
/** to[i][j] = from[j][i], both [16][16] */
ALWAYS_INLINE void lanes_turn(float *to, const float *from)
{
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < LANES; j++) to[i * LANES + j] = from[j * LANES + i];
}
/** Lanes 8 apart, then 4, 2, 1: the order of the other instruction sets. */
ALWAYS_INLINE float lanes_sum(struct lanes x)
{
    four_floats four = (x.v[0] + x.v[2]) + (x.v[1] + x.v[3]);
    return (four[0] + four[2]) + (four[1] + four[3]);
}
ALWAYS_INLINE float lanes_highest(struct lanes x)
{
    four_floats a = choose(x.v[0] > x.v[2], x.v[0], x.v[2]);
    four_floats b = choose(x.v[1] > x.v[3], x.v[1], x.v[3]);
    four_floats c = choose(a > b, a, b);
    float even = c[0] > c[2] ? c[0] : c[2], odd = c[1] > c[3] ? c[1] : c[3];
    return even > odd ? even : odd;
}
#endif
