#include "lora_file.h"

#include "pm/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/** A tensor and what its key says. */
struct entry {
    struct pm_lora_name name;
    const struct pm_tensor *tensor;
};

/** What PEFT writes of a network beside its tensors. */
struct peft_config {
    double alpha; /* NAN: not there */
    bool divides_by_root;
};

static int compare_layers(const struct pm_lora_name *x, const struct pm_lora_name *y)
{
    if (x->network != y->network) return x->network < y->network ? -1 : 1;
    return strcmp(x->module, y->module);
}

static int by_layer_and_role(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = compare_layers(&x->name, &y->name);
    return order ? order : (x->name.role > y->name.role) - (x->name.role < y->name.role);
}

static int by_layer(const void *a, const void *b)
{
    const struct pm_lora_pair *x = a, *y = b;
    return compare_layers(&x->name, &y->name);
}

/* diffusers keeps PEFT's LoraConfig as JSON text in the header, its keys with the network's name
 * before them, or without when the file is the UNet's alone. Source: diffusers
 * loaders/lora_base.py, LORA_ADAPTER_METADATA_KEY. */
static bool read_peft_config(struct peft_config *out, const json_t *config,
                             enum pm_lora_network network, const char *path, struct pm_error *err)
{
    static const char *const keys[] = {"lora_alpha", "use_rslora", "use_dora", "alpha_pattern"};
    enum { ALPHA, ROOT, DORA, PATTERN, KEYS };
    const json_t *values[KEYS];
    const char *prefix = network == PM_LORA_UNET ? "unet." : "text_encoder.";
    for (size_t i = 0; i < KEYS; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", prefix, keys[i]);
        values[i] = json_object_get(config, key);
        if (!values[i] && network == PM_LORA_UNET) values[i] = json_object_get(config, keys[i]);
    }
    if (json_is_true(values[DORA]) || json_object_size(values[PATTERN]) > 0)
        return pm_fail(err, PM_E_FORMAT, "%s: its lora_adapter_metadata has %s%s: not supported",
                       path, prefix, keys[json_is_true(values[DORA]) ? DORA : PATTERN]);
    *out = (struct peft_config){.alpha = NAN, .divides_by_root = json_is_true(values[ROOT])};
    if (!values[ALPHA] || json_is_null(values[ALPHA])) return true;
    out->alpha = json_number_value(values[ALPHA]);
    if (json_is_number(values[ALPHA])) return true;
    return pm_fail(err, PM_E_FORMAT, "%s: its lora_adapter_metadata says %slora_alpha is %s", path,
                   prefix, pm_json_kind(values[ALPHA]));
}

static bool read_peft_configs(struct peft_config configs[2], const struct pm_safetensors *file,
                              struct pm_error *err)
{
    const json_t *metadata = json_object_get(file->header, "__metadata__");
    const char *text = json_string_value(json_object_get(metadata, "lora_adapter_metadata"));
    json_t *config = NULL;
    if (text) PM_TRY(pm_json_parse(&config, text, strlen(text), file->path, err));
    bool ok = read_peft_config(&configs[PM_LORA_UNET], config, PM_LORA_UNET, file->path, err) &&
              read_peft_config(&configs[PM_LORA_TEXT_ENCODER], config, PM_LORA_TEXT_ENCODER,
                               file->path, err);
    json_decref(config);
    return ok;
}

static bool read_alpha(double *alpha, const struct pm_tensor *tensor, const char *path,
                       struct pm_error *err)
{
    float value = NAN;
    if (tensor->elements == 1 && pm_tensor_is_float(tensor)) pm_tensor_floats(&value, tensor);
    *alpha = (double)value;
    return isfinite(value) ||
           pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is not one finite number", path, tensor->name);
}

/* One layer's tensors, which follow each other. @param entries  [count], of one layer */
static bool make_pair(struct pm_lora_pair *out, const struct entry *entries, size_t count,
                      const struct peft_config configs[2], const char *path, struct pm_error *err)
{
    const struct entry *by_role[3] = {0};
    for (size_t i = 0; i < count; i++) {
        const struct entry **place = &by_role[entries[i].name.role];
        if (*place)
            return pm_fail(err, PM_E_FORMAT,
                           "%s: \"%s\" and \"%s\" are of one layer; a pair for each is wanted",
                           path, (*place)->tensor->name, entries[i].tensor->name);
        *place = &entries[i];
    }
    const struct entry *down = by_role[PM_LORA_DOWN], *up = by_role[PM_LORA_UP];
    if (!down || !up)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" lacks its other half, the %s matrix", path,
                       entries[0].tensor->name, down ? "up (lora_B)" : "down (lora_A)");
    if (down->name.scheme != up->name.scheme)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is in %s, its other half \"%s\" in %s", path,
                       down->tensor->name, pm_lora_scheme_names[down->name.scheme],
                       up->tensor->name, pm_lora_scheme_names[up->name.scheme]);
    const struct peft_config *config = &configs[down->name.network];
    *out = (struct pm_lora_pair){.name = down->name,
                                 .down = down->tensor,
                                 .up = up->tensor,
                                 .alpha = config->alpha,
                                 .divides_by_root = config->divides_by_root};
    for (size_t i = 0; i < 2; i++) {
        const struct pm_tensor *half = i ? out->up : out->down;
        if (!pm_tensor_is_float(half))
            return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is %s; F32, F16 or BF16 is wanted", path,
                           half->name, half->dtype);
    }
    const struct entry *alpha = by_role[PM_LORA_ALPHA];
    return !alpha || read_alpha(&out->alpha, alpha->tensor, path, err);
}

static bool pair_entries(struct pm_lora_pairs *out, struct entry *entries, struct pm_error *err)
{
    size_t count = out->file.count;
    struct peft_config configs[2];
    PM_TRY(read_peft_configs(configs, &out->file, err));
    for (size_t i = 0; i < count; i++) {
        entries[i].tensor = &out->file.tensors[i];
        PM_TRY(pm_lora_name_read(&entries[i].name, entries[i].tensor->name, out->file.path, err));
    }
    qsort(entries, count, sizeof *entries, by_layer_and_role);
    for (size_t i = 0, next; i < count; i = next) {
        next = i + 1;
        while (next < count && compare_layers(&entries[i].name, &entries[next].name) == 0) next++;
        PM_TRY(make_pair(&out->pairs[out->count], entries + i, next - i, configs, out->file.path,
                         err));
        out->count++;
    }
    return true;
}

bool pm_lora_pairs_open(struct pm_lora_pairs *out, const struct pm_lora_file *file,
                        struct pm_error *err)
{
    *out = (struct pm_lora_pairs){.weight = file->weight};
    PM_TRY(pm_safetensors_open(&out->file, file->path, err));
    size_t count = out->file.count;
    struct entry *entries = calloc(count + 1, sizeof *entries);
    out->pairs = calloc(count + 1, sizeof *out->pairs);
    if (!entries || !out->pairs) pm_die("no memory for the %zu tensors of %s", count, file->path);
    bool ok = count > 0 || pm_fail(err, PM_E_FORMAT, "%s has no tensors", file->path);
    ok = ok && pair_entries(out, entries, err);
    free(entries);
    if (!ok) pm_lora_pairs_close(out);
    return ok;
}

void pm_lora_pairs_close(struct pm_lora_pairs *pairs)
{
    pm_safetensors_close(&pairs->file);
    free(pairs->pairs);
    *pairs = (struct pm_lora_pairs){0};
}

struct pm_lora_pair *pm_lora_pairs_find(const struct pm_lora_pairs *pairs,
                                        enum pm_lora_network network, const char *module)
{
    struct pm_lora_pair key = {.name = {.network = network}};
    PM_ASSERT(strlen(module) < sizeof key.name.module);
    strcpy(key.name.module, module);
    return bsearch(&key, pairs->pairs, pairs->count, sizeof key, by_layer);
}
