#include "pm/model/weights.h"

#include "pm/kernels/pack.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 192 };
static const size_t SCRATCH_BYTES = (size_t)8 << 30; /* address space; one tensor at a time */

/* Write the printf-like name into a local buffer. */
/* NOLINTBEGIN(bugprone-macro-parentheses): name is declared, format names va_start's argument */
#define NAME_FROM_ARGS(name, format)                                                               \
    char name[NAME_BYTES];                                                                         \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, format);                                                                   \
        int length_ = vsnprintf(name, sizeof(name), format, args_);                                \
        va_end(args_);                                                                             \
        PM_ASSERT(length_ >= 0 && (size_t)length_ < sizeof name);                                  \
    } while (0)
/* NOLINTEND(bugprone-macro-parentheses) */

void pm_weights_open(struct pm_weights *out, const struct pm_component *component,
                     struct pm_arena *memory)
{
    *out = (struct pm_weights){.set = &component->set,
                               .memory = memory,
                               .layers = component->layers ? component->layers : memory,
                               .component = component,
                               .precision = component->precision};
    out->used = calloc(out->set->count + 1, sizeof *out->used);
    if (!out->used) pm_die("no memory to read %s", out->set->path);
    pm_arena_init(&out->scratch, SCRATCH_BYTES);
}

void pm_weights_close(struct pm_weights *weights)
{
    free(weights->used);
    pm_arena_free(&weights->scratch);
    *weights = (struct pm_weights){0};
}

/* What is asked for next, of so many numbers, falls to the share that has had the fewest so far. */
static void begin_turn(struct pm_weights *weights, size_t numbers)
{
    const struct pm_component *c = weights->component;
    size_t next = 0, shares = c->shares < PM_WEIGHTS_SHARES ? c->shares : PM_WEIGHTS_SHARES;
    weights->skips = c->only_measures;
    if (shares < 2) return;
    for (size_t i = 1; i < shares; i++)
        if (weights->turns[i] < weights->turns[next]) next = i;
    weights->turns[next] += numbers;
    weights->skips = weights->skips || next != c->share;
}

/* Whole numbers, and the list of positions even where the file was made half precision as a whole. */
static bool is_no_weight(const struct pm_tensor *tensor)
{
    const char *ending = strstr(tensor->name, "position_ids");
    return (ending && strcmp(ending, "position_ids") == 0) || strchr("IU", tensor->dtype[0]) ||
           strcmp(tensor->dtype, "BOOL") == 0;
}

bool pm_weights_check_all_used(const struct pm_weights *weights, struct pm_error *err)
{
    for (size_t i = 0; i < weights->set->count; i++) {
        const struct pm_tensor *tensor = &weights->set->tensors[i];
        if (!weights->used[i] && !is_no_weight(tensor))
            return pm_fail(err, PM_E_FORMAT,
                           "%s: the tensor \"%s\" has no place in the network that its config "
                           "describes",
                           weights->set->path, tensor->name);
    }
    return true;
}

bool pm_weights_has(const struct pm_weights *weights, const char *format, ...)
{
    NAME_FROM_ARGS(name, format);
    return pm_tensor_set_find(weights->set, name) != NULL;
}

/* Find a float tensor of a given rank's shape (trailing ones may be missing or added). */
static const struct pm_tensor *take(struct pm_weights *weights, const char *name, size_t rank,
                                    const size_t *shape, struct pm_error *err)
{
    const struct pm_tensor *tensor = pm_tensor_set_find(weights->set, name);
    const char *path = weights->set->path;
    if (!tensor) {
        pm_fail(err, PM_E_FORMAT, "%s has no tensor \"%s\"", path, name);
        return NULL;
    }
    if (!pm_tensor_is_float(tensor)) {
        pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is %s; F32, F16 or BF16 is wanted", path, name,
                tensor->dtype);
        return NULL;
    }
    bool same = true;
    for (size_t i = 0; i < PM_TENSOR_MAX_RANK; i++)
        same = same && (i < tensor->rank ? tensor->shape[i] : 1) == (i < rank ? shape[i] : 1);
    if (!same) {
        char has[96] = "", wants[96] = "";
        for (size_t i = 0; i < tensor->rank; i++)
            snprintf(has + strlen(has), sizeof has - strlen(has), "%s%zu", i ? "," : "",
                     tensor->shape[i]);
        for (size_t i = 0; i < rank; i++)
            snprintf(wants + strlen(wants), sizeof wants - strlen(wants), "%s%zu", i ? "," : "",
                     shape[i]);
        pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is [%s], its config asks for [%s]", path, name, has,
                wants);
        return NULL;
    }
    weights->used[tensor - weights->set->tensors] = true;
    return tensor;
}

static bool floats_named(const float **out, struct pm_weights *weights, struct pm_arena *where,
                         const char *name, size_t rank, const size_t *shape, struct pm_error *err)
{
    const struct pm_tensor *tensor = take(weights, name, rank, shape, err);
    if (!tensor) return false;
    float *values = pm_arena_floats(where, tensor->elements);
    *out = values;
    if (weights->loras)
        PM_TRY(pm_loras_match(weights->loras, weights->network, name, rank, shape, err));
    if (weights->skips) return true;
    pm_tensor_floats(values, tensor);
    pm_tensor_let_go(tensor);
    if (weights->loras)
        pm_loras_add(values, weights->loras, weights->network, name, shape[0], &weights->scratch);
    return true;
}

bool pm_weights_floats(const float **out, struct pm_weights *weights, size_t rows, size_t columns,
                       struct pm_error *err, const char *format, ...)
{
    NAME_FROM_ARGS(name, format);
    begin_turn(weights, rows * columns);
    return floats_named(out, weights, weights->memory, name, 2, (size_t[]){rows, columns}, err);
}

static bool bias_named(const float **out, struct pm_weights *weights, const char *name,
                       size_t elements, struct pm_error *err)
{
    char bias[NAME_BYTES + 8];
    snprintf(bias, sizeof bias, "%s.bias", name);
    return floats_named(out, weights, weights->memory, bias, 1, &elements, err);
}

static bool weight_named(const float **out, struct pm_weights *weights, const char *name,
                         size_t rank, const size_t *shape, struct pm_error *err)
{
    char weight[NAME_BYTES + 8];
    snprintf(weight, sizeof weight, "%s.weight", name);
    return floats_named(out, weights, &weights->scratch, weight, rank, shape, err);
}

bool pm_weights_linear(struct pm_linear *linear, struct pm_weights *weights, size_t out, size_t in,
                       enum pm_bias bias, struct pm_error *err, const char *format, ...)
{
    NAME_FROM_ARGS(name, format);
    size_t mark = weights->scratch.used;
    const float *weight, *bias_values = NULL;
    begin_turn(weights, out * in);
    PM_TRY(weight_named(&weight, weights, name, 2, (size_t[]){out, in}, err));
    if (bias == PM_BIAS) PM_TRY(bias_named(&bias_values, weights, name, out, err));
    *linear = pm_linear_pack(weights->skips ? NULL : weight, bias_values, out, in,
                             weights->precision, weights->memory);
    weights->scratch.used = mark;
    return true;
}

bool pm_weights_fused_linear(struct pm_linear *linear, struct pm_weights *weights, size_t out_each,
                             size_t in, enum pm_bias bias, const char *const *names,
                             struct pm_error *err, const char *format, ...)
{
    NAME_FROM_ARGS(prefix, format);
    size_t mark = weights->scratch.used, count = 0;
    while (names[count]) count++;
    begin_turn(weights, count * out_each * in);
    float *all = pm_arena_floats(&weights->scratch, count * out_each * in);
    float *all_biases = bias == PM_BIAS ? pm_arena_floats(weights->memory, count * out_each) : NULL;
    for (size_t i = 0; i < count; i++) {
        char name[2 * NAME_BYTES];
        const float *one;
        int n = snprintf(name, sizeof name, "%s.%s.weight", prefix, names[i]);
        PM_ASSERT(n > 0 && (size_t)n < sizeof name);
        PM_TRY(
            floats_named(&one, weights, &weights->scratch, name, 2, (size_t[]){out_each, in}, err));
        if (!weights->skips) memcpy(all + i * out_each * in, one, out_each * in * sizeof *all);
        if (!all_biases) continue;
        snprintf(name, sizeof name, "%s.%s.bias", prefix, names[i]);
        PM_TRY(floats_named(&one, weights, &weights->scratch, name, 1, &out_each, err));
        if (!weights->skips) memcpy(all_biases + i * out_each, one, out_each * sizeof *one);
    }
    *linear = pm_linear_pack(weights->skips ? NULL : all, all_biases, count * out_each, in,
                             weights->precision, weights->memory);
    weights->scratch.used = mark;
    return true;
}

bool pm_weights_conv(struct pm_conv *conv, struct pm_weights *weights, size_t out, size_t in,
                     size_t kernel, struct pm_error *err, const char *format, ...)
{
    NAME_FROM_ARGS(name, format);
    size_t mark = weights->scratch.used;
    const float *weight, *bias;
    begin_turn(weights, out * in * kernel * kernel);
    PM_TRY(weight_named(&weight, weights, name, 4, (size_t[]){out, in, kernel, kernel}, err));
    PM_TRY(bias_named(&bias, weights, name, out, err));
    *conv = pm_conv_pack(weights->skips ? NULL : weight, bias, out, in, kernel, conv->stride,
                         conv->pad_before, conv->pad_after, weights->precision, weights->memory);
    weights->scratch.used = mark;
    return true;
}

bool pm_weights_norm(struct pm_norm *norm, struct pm_weights *weights, size_t channels,
                     struct pm_error *err, const char *format, ...)
{
    NAME_FROM_ARGS(name, format);
    char weight[NAME_BYTES + 8];
    snprintf(weight, sizeof weight, "%s.weight", name);
    norm->channels = channels;
    begin_turn(weights, 2 * channels);
    PM_TRY(floats_named(&norm->gamma, weights, weights->memory, weight, 1, &channels, err));
    return bias_named(&norm->beta, weights, name, channels, err);
}
