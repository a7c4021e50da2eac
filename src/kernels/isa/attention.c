/* Attention, two vectors of queries at a time, turned: a row of scores is a key's, a lane is a
 * query's. So softmax runs down the lanes, with no sum across them, neither keys nor head sizes
 * are padded to vectors, and keys and values are read as they are.
 *
 * Keys go in blocks, whose scores the second cache holds. Of one block alone, the probabilities
 * are made before they weigh values: attention_probs and attention_apply, which are the same
 * function with some of its inputs or outputs left out, then give the whole's bits. Over several
 * blocks sums are of the largest score so far, and are divided at the end (Milakov and Gimelshein
 * 2018, arXiv 1805.02867). */
#include "isa.h"
#include "simd.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    QUERIES = TILE_PANELS * LANES,
    KEY_BLOCK = PM_ATTENTION_KEY_BLOCK, /* whole tiles */
};

/** q and k are NULL when the probabilities are given; out and v when they are the result. */
struct task {
    float *out;
    float *probs;       /* where they are wanted, or NULL */
    const float *given; /* the probabilities, or NULL */
    const float *q, *k, *v;
    const struct pm_attention_shape *shape;
    size_t block;                    /* keys at once */
    size_t key_floats, value_floats; /* of a packed head */
};

/** What a thread works in. */
struct workplace {
    float *q;      /* [D, QUERIES] */
    float *scores; /* [block in whole tiles, QUERIES] */
    float *out;    /* [D, QUERIES] */
};

/** Of all keys so far, a query a lane. */
struct running {
    struct lanes max[TILE_PANELS], sum[TILE_PANELS];
};

/** The dimensions of a head are weighed some at a time: [first, next group's first). */
static size_t group_first(size_t head_size, size_t group)
{
    size_t groups = (head_size + TILE_ROWS - 1) / TILE_ROWS;
    return head_size * group / groups;
}

/** Keys by tiles of TILE_ROWS, [tiles][D][TILE_ROWS], the last one filled up with the last key;
 *  values by groups of dimensions, each [T][dimensions]. */
static void pack_head(float *packed, const struct task *t, size_t sample, size_t head)
{
    const struct pm_attention_shape *s = t->shape;
    size_t d = s->head_size, keys = s->keys;
    if (t->k) {
        const float *k = t->k + sample * keys * s->k_stride + head * d;
        float *to = packed;
        for (size_t tile = 0; tile < keys; tile += TILE_ROWS)
            for (size_t c = 0; c < d; c++)
                for (size_t r = 0; r < TILE_ROWS; r++)
                    *to++ = k[smaller(tile + r, keys - 1) * s->k_stride + c];
    }
    if (t->v) {
        const float *v = t->v + sample * keys * s->v_stride + head * d;
        float *to = packed + t->key_floats;
        for (size_t group = 0; group_first(d, group) < d; group++) {
            size_t first = group_first(d, group), rows = group_first(d, group + 1) - first;
            for (size_t i = 0; i < keys; i++, to += rows)
                memcpy(to, v + i * s->v_stride + first, rows * sizeof *to);
        }
    }
}

/** to[columns][QUERIES] is from[rows][stride] turned; lanes past the rows are zeros. */
static void turn_in(float *to, const float *from, size_t stride, size_t rows, size_t columns)
{
    float square[LANES * LANES], turned[LANES * LANES];
    for (size_t lane = 0; lane < QUERIES; lane += LANES) {
        size_t count = rows > lane ? smaller(LANES, rows - lane) : 0;
        for (size_t c = 0; c < columns; c += LANES) {
            size_t n = smaller(LANES, columns - c);
            for (size_t r = 0; r < LANES; r++)
                lanes_store(square + r * LANES,
                            r < count ? lanes_load_up_to(from + (lane + r) * stride + c, n)
                                      : lanes_set(0.0f));
            lanes_turn(turned, square);
            for (size_t j = 0; j < n; j++)
                lanes_store(to + (c + j) * QUERIES + lane, lanes_load(turned + j * LANES));
        }
    }
}

/** to[rows][stride] is from[columns][QUERIES] turned back. */
static void turn_out(float *to, size_t stride, const float *from, size_t rows, size_t columns)
{
    float square[LANES * LANES], turned[LANES * LANES];
    for (size_t lane = 0; lane < rows; lane += LANES) {
        size_t count = smaller(LANES, rows - lane);
        for (size_t c = 0; c < columns; c += LANES) {
            size_t n = smaller(LANES, columns - c);
            for (size_t j = 0; j < LANES; j++)
                lanes_store(square + j * LANES,
                            j < n ? lanes_load(from + (c + j) * QUERIES + lane) : lanes_set(0.0f));
            lanes_turn(turned, square);
            for (size_t r = 0; r < count; r++)
                lanes_store_up_to(to + (lane + r) * stride + c, lanes_load(turned + r * LANES), n);
        }
    }
}

/** scores[TILE_ROWS][QUERIES] of a tile of keys [D][TILE_ROWS] and queries [D][QUERIES] */
static void score_tile(float *scores, const float *k, const float *q, size_t d)
{
    struct lanes sum[TILE_ROWS][TILE_PANELS];
    UNROLLED
    for (size_t r = 0; r < TILE_ROWS; r++) {
        UNROLLED
        for (size_t p = 0; p < TILE_PANELS; p++) sum[r][p] = lanes_set(0.0f);
    }
    for (size_t c = 0; c < d; c++, k += TILE_ROWS, q += QUERIES) {
        struct lanes column[TILE_PANELS];
        UNROLLED
        for (size_t p = 0; p < TILE_PANELS; p++) column[p] = lanes_load(q + p * LANES);
        UNROLLED
        for (size_t r = 0; r < TILE_ROWS; r++) {
            struct lanes x = lanes_set(k[r]);
            UNROLLED
            for (size_t p = 0; p < TILE_PANELS; p++) sum[r][p] = lanes_fma(x, column[p], sum[r][p]);
        }
    }
    UNROLLED
    for (size_t r = 0; r < TILE_ROWS; r++) {
        UNROLLED
        for (size_t p = 0; p < TILE_PANELS; p++)
            lanes_store(scores + r * QUERIES + p * LANES, sum[r][p]);
    }
}

/** out[rows][QUERIES] (+)= values[keys][rows]ᵀ probs[keys][QUERIES]; rows is a constant where this
 *  is inlined. */
ALWAYS_INLINE void weigh_tile(float *out, const float *v, const float *probs, size_t keys,
                              bool first, const size_t rows)
{
    struct lanes sum[TILE_ROWS][TILE_PANELS];
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < TILE_PANELS; p++)
            sum[r][p] = first ? lanes_set(0.0f) : lanes_load(out + r * QUERIES + p * LANES);
    }
    for (size_t i = 0; i < keys; i++, v += rows, probs += QUERIES) {
        struct lanes row[TILE_PANELS];
        UNROLLED
        for (size_t p = 0; p < TILE_PANELS; p++) row[p] = lanes_load(probs + p * LANES);
        UNROLLED
        for (size_t r = 0; r < rows; r++) {
            struct lanes x = lanes_set(v[r]);
            UNROLLED
            for (size_t p = 0; p < TILE_PANELS; p++) sum[r][p] = lanes_fma(x, row[p], sum[r][p]);
        }
    }
    UNROLLED
    for (size_t r = 0; r < rows; r++) {
        UNROLLED
        for (size_t p = 0; p < TILE_PANELS; p++)
            lanes_store(out + r * QUERIES + p * LANES, sum[r][p]);
    }
}

#define DEFINE_WEIGH(rows)                                                                         \
    static void weigh_##rows(float *out, const float *v, const float *probs, size_t keys,          \
                             bool first)                                                           \
    {                                                                                              \
        weigh_tile(out, v, probs, keys, first, rows);                                              \
    }
EACH_TILE_ROWS(DEFINE_WEIGH)

#define WEIGH_ENTRY(rows) [rows] = weigh_##rows,
static void (*const weigh[TILE_ROWS + 1])(float *, const float *, const float *, size_t,
                                          bool) = {EACH_TILE_ROWS(WEIGH_ENTRY)};

/** Scores of keys that a query does not see go to -infinity. @param key  the row's
 *  @param query  the first lane's */
ALWAYS_INLINE struct lanes hide_later(struct lanes score, size_t key, size_t query)
{
    size_t hidden = key > query ? key - query : 0;
    if (hidden == 0) return score;
    struct lanes lowest = lanes_set(-INFINITY);
    return hidden >= LANES ? lowest : lanes_first(lowest, score, hidden);
}

/** e^(scale (score - max)) of a block of keys, in place; max and sum go on from the blocks before,
 *  and so does what they have weighed. */
static void exponentiate(float *scores, size_t first_key, size_t keys, struct running *running,
                         float *out, const struct pm_attention_shape *s, size_t query)
{
    const struct lanes scale = lanes_set(s->scale);
    for (size_t p = 0; p < TILE_PANELS; p++) {
        float *column = scores + p * LANES;
        size_t first_query = query + p * LANES;
        struct lanes max = first_key ? running->max[p] : lanes_set(-INFINITY);
        for (size_t i = 0; i < keys; i++) {
            struct lanes x = lanes_load(column + i * QUERIES);
            if (s->causal) x = hide_later(x, first_key + i, first_query);
            max = lanes_max(max, x);
        }
        struct lanes sum = lanes_set(0.0f);
        if (first_key) {
            struct lanes less = lanes_exp(lanes_mul(lanes_sub(running->max[p], max), scale));
            sum = lanes_mul(running->sum[p], less);
            for (size_t c = 0; c < s->head_size; c++) {
                float *o = out + c * QUERIES + p * LANES;
                lanes_store(o, lanes_mul(lanes_load(o), less));
            }
        }
        for (size_t i = 0; i < keys; i++) {
            struct lanes x = lanes_load(column + i * QUERIES);
            if (s->causal) x = hide_later(x, first_key + i, first_query);
            struct lanes e = lanes_exp(lanes_mul(lanes_sub(x, max), scale));
            lanes_store(column + i * QUERIES, e);
            sum = lanes_add(sum, e);
        }
        running->max[p] = max;
        running->sum[p] = sum;
    }
}

/** Rows of [rows][QUERIES] divided by the sums. */
static void divide(float *x, size_t rows, const struct running *running)
{
    for (size_t p = 0; p < TILE_PANELS; p++) {
        struct lanes share = lanes_div(lanes_set(1.0f), running->sum[p]);
        for (size_t i = 0; i < rows; i++) {
            float *at = x + i * QUERIES + p * LANES;
            lanes_store(at, lanes_mul(lanes_load(at), share));
        }
    }
}

/** Up to QUERIES queries of one head, from @p row. */
static void attend_rows(const struct task *t, const float *packed, size_t sample, size_t head,
                        size_t row, const struct workplace *w)
{
    const struct pm_attention_shape *s = t->shape;
    size_t d = s->head_size, rows = smaller(QUERIES, s->queries - row);
    size_t first = sample * s->queries + row; /* token */
    size_t map = ((sample * s->heads + head) * s->queries + row) * s->keys;
    bool is_whole = s->keys <= t->block;
    struct running running = {.max[0] = lanes_set(0.0f)};
    if (t->q) turn_in(w->q, t->q + first * s->q_stride + head * d, s->q_stride, rows, d);
    for (size_t key = 0; key < s->keys; key += t->block) {
        size_t keys = smaller(t->block, s->keys - key);
        if (t->given) {
            turn_in(w->scores, t->given + map + key, s->keys, rows, keys);
        } else {
            for (size_t i = 0; i < keys; i += TILE_ROWS)
                score_tile(w->scores + i * QUERIES, packed + (key + i) * d, w->q, d);
            exponentiate(w->scores, key, keys, &running, w->out, s, row);
            if (is_whole) divide(w->scores, keys, &running);
        }
        if (t->probs) turn_out(t->probs + map, s->keys, w->scores, rows, keys);
        if (!t->out) continue;
        const float *values = packed + t->key_floats;
        for (size_t group = 0; group_first(d, group) < d; group++) {
            size_t at = group_first(d, group), size = group_first(d, group + 1) - at;
            weigh[size](w->out + at * QUERIES, values + at * s->keys + key * size, w->scores, keys,
                        key == 0);
        }
    }
    if (!t->out) return;
    if (!is_whole && !t->given) divide(w->out, d, &running);
    turn_out(t->out + first * s->out_stride + head * d, s->out_stride, w->out, rows, d);
}

/** Heads are shared out over the threads, or, where they are too few, the queries of each. */
static void attend(struct task t, struct pm_arena *scratch)
{
    const struct pm_attention_shape *s = t.shape;
    size_t mark = scratch->used, heads = s->batch * s->heads, d = s->head_size;
    size_t tiles = (s->keys + TILE_ROWS - 1) / TILE_ROWS;
    t.block = t.probs ? s->keys : smaller(KEY_BLOCK, s->keys);
    t.key_floats = tiles * TILE_ROWS * d;
    t.value_floats = s->keys * d;
    size_t threads =
        pm_threads_for(4.0 * (double)(heads * s->queries) * (double)(s->keys * s->head_size));
    size_t packs = heads >= threads ? threads : 1, pack_floats = t.key_floats + t.value_floats;
    float *packed = pm_arena_floats(scratch, packs * pack_floats);
    struct workplace *places = pm_arena_bytes(scratch, threads * sizeof *places);
    for (size_t i = 0; i < threads; i++)
        places[i] = (struct workplace){
            .q = pm_arena_floats(scratch, d * QUERIES),
            .scores = pm_arena_floats(scratch, (t.block + TILE_ROWS) * QUERIES),
            .out = pm_arena_floats(scratch, d * QUERIES),
        };
    if (packs == threads) {
#pragma omp parallel for num_threads((int)threads) schedule(dynamic)
        for (size_t i = 0; i < heads; i++) {
            size_t thread = (size_t)omp_get_thread_num();
            float *own = packed + thread * pack_floats;
            pack_head(own, &t, i / s->heads, i % s->heads);
            for (size_t row = 0; row < s->queries; row += QUERIES)
                attend_rows(&t, own, i / s->heads, i % s->heads, row, &places[thread]);
        }
    } else {
        for (size_t i = 0; i < heads; i++) {
            pack_head(packed, &t, i / s->heads, i % s->heads);
#pragma omp parallel for num_threads((int)threads) schedule(dynamic)
            for (size_t row = 0; row < s->queries; row += QUERIES)
                attend_rows(&t, packed, i / s->heads, i % s->heads, row,
                            &places[omp_get_thread_num()]);
        }
    }
    scratch->used = mark;
}

void PM_ISA_NAME(attention)(float *out, const float *q, const float *k, const float *v,
                            const struct pm_attention_shape *shape, struct pm_arena *scratch)
{
    attend((struct task){.out = out, .q = q, .k = k, .v = v, .shape = shape}, scratch);
}

void PM_ISA_NAME(attention_probs)(float *probs, const float *q, const float *k,
                                  const struct pm_attention_shape *shape, struct pm_arena *scratch)
{
    attend((struct task){.probs = probs, .q = q, .k = k, .shape = shape}, scratch);
}

void PM_ISA_NAME(attention_apply)(float *out, const float *probs, const float *v,
                                  const struct pm_attention_shape *shape, struct pm_arena *scratch)
{
    attend((struct task){.out = out, .given = probs, .v = v, .shape = shape}, scratch);
}
