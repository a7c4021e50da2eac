/** @file tensor_set.h  A network's tensors by name, from however many .safetensors files.
 *
 *  Layouts of huggingface/diffusers and transformers, "stem" being diffusion_pytorch_model or model:
 *
 *      stem.safetensors                  one file, or in half precision
 *      stem.fp16.safetensors
 *      stem.safetensors.index.json       {"weight_map": {tensor: file}}, the files beside it
 *      stem.safetensors.index.fp16.json */
#ifndef PM_MODEL_TENSOR_SET_H
#define PM_MODEL_TENSOR_SET_H
#include "pm/model/safetensors.h"

struct pm_tensor_set {
    char *path;                   /* owned: of the file, or of the index */
    struct pm_safetensors *files; /* owned, [file_count] */
    size_t file_count;
    bool has_index;
    struct pm_tensor *tensors; /* owned, [count] sorted by name */
    size_t count;
};

/** Open what there is, the first of the list above.
 *  @return true, *out owned by the caller (pm_tensor_set_close); else err names what was looked for,
 *  or file and tensor */
PM_MUST_CHECK bool pm_tensor_set_open(struct pm_tensor_set *out, const char *folder,
                                      const char *stem, struct pm_error *err);
void pm_tensor_set_close(struct pm_tensor_set *set);

/** @return the tensor, borrowed, or NULL */
const struct pm_tensor *pm_tensor_set_find(const struct pm_tensor_set *set, const char *name);
#endif
