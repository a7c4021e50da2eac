#include "pm/model/lora.h"

#include "lora_file.h"

#include "pm/base/hash.h"
#include "pm/kernels/pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pm_loras {
    struct pm_lora_pairs *files;
    size_t count;
};

bool pm_loras_open(struct pm_loras **out, const struct pm_lora_file *files, size_t count,
                   struct pm_error *err)
{
    struct pm_loras *loras = calloc(1, sizeof *loras);
    if (loras) loras->files = calloc(count + 1, sizeof *loras->files);
    if (!loras || !loras->files) pm_die("no memory for %zu LoRA files", count);
    for (; loras->count < count; loras->count++) {
        if (pm_lora_pairs_open(&loras->files[loras->count], &files[loras->count], err)) continue;
        pm_loras_close(loras);
        return false;
    }
    *out = loras;
    return true;
}

void pm_loras_close(struct pm_loras *loras)
{
    if (!loras) return;
    for (size_t i = 0; i < loras->count; i++) pm_lora_pairs_close(&loras->files[i]);
    free(loras->files);
    free(loras);
}

static size_t side(const size_t *shape, size_t rank, size_t i)
{
    return i < rank ? shape[i] : 1;
}

static void write_shape(char *text, size_t bytes, const size_t *shape, size_t rank)
{
    size_t used = (size_t)snprintf(text, bytes, "[");
    for (size_t i = 0; i < rank && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%zu", i ? "," : "", shape[i]);
    if (used < bytes) snprintf(text + used, bytes - used, "]");
}

/* up [out, r, 1, ...] and down [r, in, ...] for a weight [out, in, ...]; ones at the end may be
 * missing, as between a linear and a 1x1 convolution. */
static bool check_shapes(const struct pm_lora_pair *pair, const char *path, size_t rank,
                         const size_t *shape, struct pm_error *err)
{
    const struct pm_tensor *down = pair->down, *up = pair->up;
    size_t r = side(down->shape, down->rank, 0);
    bool fits = rank >= 2 && r > 0 && side(up->shape, up->rank, 0) == shape[0];
    for (size_t i = 1; i < PM_TENSOR_MAX_RANK; i++)
        fits = fits && side(down->shape, down->rank, i) == side(shape, rank, i) &&
               side(up->shape, up->rank, i) == (i == 1 ? r : 1);
    if (fits) return true;
    char downs[64], ups[64], weights[64];
    write_shape(downs, sizeof downs, down->shape, down->rank);
    write_shape(ups, sizeof ups, up->shape, up->rank);
    write_shape(weights, sizeof weights, shape, rank);
    return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is %s and its other half %s; its layer is %s",
                   path, down->name, downs, ups, weights);
}

/* values[out, in] += scale up[out, r] down[r, in] */
static void add_product(float *values, const struct pm_lora_pair *pair, double weight, size_t out,
                        struct pm_arena *scratch)
{
    size_t mark = scratch->used, r = pair->down->shape[0], in = pair->down->elements / r;
    double alpha = isnan(pair->alpha) ? (double)r : pair->alpha;
    double scale = weight * alpha / (pair->divides_by_root ? sqrt((double)r) : (double)r);
    float *up = pm_arena_floats(scratch, out * r), *down = pm_arena_floats(scratch, r * in);
    float *packed = pm_arena_floats(scratch, pm_packed_floats(r, in));
    pm_tensor_floats(up, pair->up);
    pm_tensor_floats(down, pair->down);
    for (size_t i = 0; i < out * r; i++) up[i] *= (float)scale;
    pm_pack(packed, down, r, in, in, 1);
    struct pm_epilogue epilogue = {.residual = values, .residual_stride = in};
    pm_kernels()->gemm(values, in, up, r, packed, out, in, r, &epilogue);
    scratch->used = mark;
}

/* The module that a tensor is the weight of. @return false: it is no weight, or has a name longer
 * than any key's */
static bool module_of(char module[PM_LORA_MODULE_BYTES], const char *name)
{
    static const char ending[] = ".weight";
    size_t bytes = strlen(name), cut = sizeof ending - 1;
    return bytes > cut && strcmp(name + bytes - cut, ending) == 0 &&
           pm_lora_module(module, name, bytes - cut);
}

bool pm_loras_match(struct pm_loras *loras, enum pm_lora_network network, const char *name,
                    size_t rank, const size_t *shape, struct pm_error *err)
{
    char module[PM_LORA_MODULE_BYTES];
    if (!module_of(module, name)) return true;
    for (size_t i = 0; i < loras->count; i++) {
        const struct pm_lora_pairs *file = &loras->files[i];
        struct pm_lora_pair *pair = pm_lora_pairs_find(file, network, module);
        if (!pair) continue;
        PM_TRY(check_shapes(pair, file->file.path, rank, shape, err));
        pair->is_used = true;
    }
    return true;
}

void pm_loras_add(float *values, const struct pm_loras *loras, enum pm_lora_network network,
                  const char *name, size_t rows, struct pm_arena *scratch)
{
    char module[PM_LORA_MODULE_BYTES];
    if (!module_of(module, name)) return;
    for (size_t i = 0; i < loras->count; i++) {
        const struct pm_lora_pair *pair = pm_lora_pairs_find(&loras->files[i], network, module);
        if (!pair) continue;
        PM_ASSERT(pair->is_used);
        add_product(values, pair, loras->files[i].weight, rows, scratch);
    }
}

bool pm_loras_check_all_used(const struct pm_loras *loras, struct pm_error *err)
{
    for (size_t i = 0; i < loras->count; i++) {
        const struct pm_lora_pairs *file = &loras->files[i];
        for (size_t j = 0; j < file->count; j++)
            if (!file->pairs[j].is_used)
                return pm_fail(err, PM_E_FORMAT,
                               "%s: \"%s\" is for a layer that the model does not have",
                               file->file.path, file->pairs[j].down->name);
    }
    return true;
}

uint64_t pm_loras_hash(const struct pm_loras *loras, uint64_t seed)
{
    for (size_t i = 0; i < loras->count; i++) {
        const struct pm_lora_pairs *file = &loras->files[i];
        seed = pm_hash64(file->file.map, file->file.map_bytes, seed);
        seed = pm_hash64(&file->weight, sizeof file->weight, seed);
    }
    return seed;
}
