/* Attention, two vectors of queries at a time, turned: a row of scores is a key's, a lane is a
 * query's. So softmax runs down the lanes, with no sum across them, neither keys nor head sizes
 * are padded to vectors, and keys and values are read as they are.
 *
 * Keys go in blocks, whose scores the second cache holds. Of one block alone, the probabilities
 * are made before they weigh values: attention_probs and attention_apply, which are the same
 * function with some of its inputs or outputs left out, then give the whole's bits. Over several
 * blocks sums are of the largest score so far, and are divided at the end (Milakov and Gimelshein
 * 2018, arXiv 1805.02867). */
#include "attention_pack.h"
#include "isa.h"
#include "tile.h"

#include <math.h>
#include <omp.h>

enum {
    QUERIES = TILE_PANELS * LANES,
    KEY_BLOCK = PM_ATTENTION_KEY_BLOCK, /* whole tiles, and pairs */
    LINE = 64,                          /* bytes */
};

/** q and k are NULL when the probabilities are given; out and v when they are the result. */
struct task {
    float *out;
    float *probs;       /* where they are wanted, or NULL */
    const float *given; /* the probabilities, or NULL */
    const float *q, *k, *v;
    const struct pm_attention_shape *shape;
    bool is_bf16;
    size_t block;                  /* keys at once; an even number where there are several blocks */
    size_t key_bytes, value_bytes; /* of a packed head */
};

/** What a thread works in. */
struct workplace {
    float *q;      /* [D, QUERIES] */
    float *scores; /* [block in whole tiles, QUERIES] */
    float *out;    /* [D, QUERIES] */
    uint16_t *rounded_q, *rounded_probs;
};

/** Of all keys so far, a query a lane. */
struct running {
    struct lanes max[TILE_PANELS], sum[TILE_PANELS];
};

static void pack_head(char *packed, const struct task *t, size_t sample, size_t head)
{
    const struct pm_attention_shape *s = t->shape;
    size_t d = s->head_size, keys = s->keys;
    const float *k = t->k ? t->k + sample * keys * s->k_stride + head * d : NULL;
    const float *v = t->v ? t->v + sample * keys * s->v_stride + head * d : NULL;
    void *to_values = packed + t->key_bytes, *to_keys = packed;
    if (t->is_bf16) {
        if (k) pack_keys_bf16(to_keys, k, s->k_stride, keys, d);
        if (v) pack_values_bf16(to_values, v, s->v_stride, keys, d);
        return;
    }
    if (k) pack_keys(to_keys, k, s->k_stride, keys, d);
    if (v) pack_values(to_values, v, s->v_stride, keys, d);
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

/** [pairs][QUERIES][2] by panels of [pairs][16][2], of x[rows][QUERIES]; a missing row is zeros. */
static void round_rows(uint16_t *to, const float *x, size_t rows)
{
    for (size_t p = 0; p < TILE_PANELS; p++) {
        const float *column = x + p * LANES;
        for (size_t i = 0; i < rows; i += PAIR, to += PAIR * LANES)
            pairs_store(to, lanes_load(column + i * QUERIES),
                        i + 1 < rows ? lanes_load(column + (i + 1) * QUERIES) : lanes_set(0.0f));
    }
}

/** scores[keys in whole tiles][QUERIES] of the keys from @p key */
static void score(const struct task *t, const struct workplace *w, const void *packed, size_t key,
                  size_t keys)
{
    size_t d = t->shape->head_size, pairs = pairs_of(d);
    for (size_t i = 0; i < keys; i += TILE_ROWS) {
        float *to = w->scores + i * QUERIES;
        if (t->is_bf16)
            tile_product_bf16(to, QUERIES, (const uint16_t *)packed + (key + i) * PAIR * pairs,
                              PAIR, PAIR * TILE_ROWS, w->rounded_q, PAIR * LANES * pairs, pairs,
                              false, TILE_ROWS, TILE_PANELS);
        else
            tile_product(to, (const float *)packed + (key + i) * d, 1, TILE_ROWS, w->q, d, false,
                         TILE_ROWS, TILE_PANELS);
    }
}

#define DEFINE_WEIGH(rows)                                                                         \
    static void weigh_##rows(float *out, const float *v, const float *probs, size_t keys,          \
                             bool goes_on)                                                         \
    {                                                                                              \
        tile_product(out, v, 1, rows, probs, keys, goes_on, rows, TILE_PANELS);                    \
    }                                                                                              \
    static void weigh_bf16_##rows(float *out, const uint16_t *v, const uint16_t *probs,            \
                                  size_t pairs, bool goes_on)                                      \
    {                                                                                              \
        tile_product_bf16(out, QUERIES, v, PAIR, PAIR *(rows), probs, PAIR *LANES *pairs, pairs,   \
                          goes_on, rows, TILE_PANELS);                                             \
    }
EACH_TILE_ROWS(DEFINE_WEIGH)

#define WEIGH_ENTRY(rows) [rows] = weigh_##rows,
#define WEIGH_BF16_ENTRY(rows) [rows] = weigh_bf16_##rows,
static void (*const weigh_rows[TILE_ROWS + 1])(float *, const float *, const float *, size_t,
                                               bool) = {EACH_TILE_ROWS(WEIGH_ENTRY)};
static void (*const weigh_rows_bf16[TILE_ROWS + 1])(float *, const uint16_t *, const uint16_t *,
                                                    size_t,
                                                    bool) = {EACH_TILE_ROWS(WEIGH_BF16_ENTRY)};

/** out[D][QUERIES] (+)= the values of the keys from @p key, weighed by what is in scores. */
static void weigh(const struct task *t, const struct workplace *w, const void *values, size_t key,
                  size_t keys)
{
    size_t d = t->shape->head_size, all = t->shape->keys;
    if (t->is_bf16) round_rows(w->rounded_probs, w->scores, keys);
    for (size_t group = 0; group_first(d, group) < d; group++) {
        size_t at = group_first(d, group), size = group_first(d, group + 1) - at;
        float *out = w->out + at * QUERIES;
        if (t->is_bf16)
            weigh_rows_bf16[size](out,
                                  (const uint16_t *)values + PAIR * pairs_of(all) * at + key * size,
                                  w->rounded_probs, pairs_of(keys), key > 0);
        else
            weigh_rows[size](out, (const float *)values + at * all + key * size, w->scores, keys,
                             key > 0);
    }
}

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
    const struct lanes scale = lanes_set(s->scale * 1.44269504f); /* e^x is 2^(x log2 e) */
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
            struct lanes less = lanes_exp2_below(lanes_mul(lanes_sub(running->max[p], max), scale));
            sum = lanes_mul(running->sum[p], less);
            for (size_t c = 0; c < s->head_size; c++) {
                float *o = out + c * QUERIES + p * LANES;
                lanes_store(o, lanes_mul(lanes_load(o), less));
            }
        }
        for (size_t i = 0; i < keys; i++) {
            struct lanes x = lanes_load(column + i * QUERIES);
            if (s->causal) x = hide_later(x, first_key + i, first_query);
            struct lanes e = lanes_exp2_below(lanes_mul(lanes_sub(x, max), scale));
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
static void attend_rows(const struct task *t, const char *packed, size_t sample, size_t head,
                        size_t row, const struct workplace *w)
{
    const struct pm_attention_shape *s = t->shape;
    size_t d = s->head_size, rows = smaller(QUERIES, s->queries - row);
    size_t first = sample * s->queries + row; /* token */
    size_t map = ((sample * s->heads + head) * s->queries + row) * s->keys;
    bool is_whole = s->keys <= t->block;
    struct running running = {.max[0] = lanes_set(0.0f)};
    if (t->q) turn_in(w->q, t->q + first * s->q_stride + head * d, s->q_stride, rows, d);
    if (t->q && t->is_bf16) round_rows(w->rounded_q, w->q, d);
    for (size_t key = 0; key < s->keys; key += t->block) {
        size_t keys = smaller(t->block, s->keys - key);
        if (t->given) {
            turn_in(w->scores, t->given + map + key, s->keys, rows, keys);
        } else {
            score(t, w, packed, key, keys);
            exponentiate(w->scores, key, keys, &running, w->out, s, row);
            if (is_whole) divide(w->scores, keys, &running);
        }
        if (t->probs) turn_out(t->probs + map, s->keys, w->scores, rows, keys);
        if (t->out) weigh(t, w, packed + t->key_bytes, key, keys);
    }
    if (!t->out) return;
    if (!is_whole && !t->given) divide(w->out, d, &running);
    turn_out(t->out + first * s->out_stride + head * d, s->out_stride, w->out, rows, d);
}

static uint16_t *round_room(struct pm_arena *scratch, size_t rows)
{
    return pm_arena_bytes(scratch, PAIR * pairs_of(rows) * QUERIES * sizeof(uint16_t));
}

/** Heads are shared out over the threads, or, where they are too few, the queries of each. */
static void attend(struct task t, struct pm_arena *scratch)
{
    const struct pm_attention_shape *s = t.shape;
    size_t mark = scratch->used, heads = s->batch * s->heads, d = s->head_size;
    t.is_bf16 = s->precision == PM_BF16;
    t.block = t.probs ? s->keys : smaller(KEY_BLOCK, s->keys);
    t.key_bytes = (packed_keys_bytes(s->keys, d, t.is_bf16) + LINE - 1) / LINE * LINE;
    t.value_bytes = (packed_values_bytes(s->keys, d, t.is_bf16) + LINE - 1) / LINE * LINE;
    size_t threads =
        pm_threads_for(4.0 * (double)(heads * s->queries) * (double)(s->keys * s->head_size));
    size_t packs = heads >= threads ? threads : 1, pack_bytes = t.key_bytes + t.value_bytes;
    char *packed = pm_arena_bytes(scratch, packs * pack_bytes);
    struct workplace *places = pm_arena_bytes(scratch, threads * sizeof *places);
    for (size_t i = 0; i < threads; i++)
        places[i] = (struct workplace){
            .q = pm_arena_floats(scratch, d * QUERIES),
            .scores = pm_arena_floats(scratch, (t.block + TILE_ROWS) * QUERIES),
            .out = pm_arena_floats(scratch, d * QUERIES),
            .rounded_q = round_room(scratch, t.is_bf16 ? d : 0),
            .rounded_probs = round_room(scratch, t.is_bf16 ? t.block : 0),
        };
    if (packs == threads) {
#pragma omp parallel for num_threads((int)threads) schedule(dynamic)
        for (size_t i = 0; i < heads; i++) {
            size_t thread = (size_t)omp_get_thread_num();
            char *own = packed + thread * pack_bytes;
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
