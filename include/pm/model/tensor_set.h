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
    char **names; /* owned, [count] of the tensors that were added; NULL: the files have them */
    size_t name_count;
};

/** Open what there is, the first of the list above.
 *  @return true, *out owned by the caller (pm_tensor_set_close); else err names what was looked for,
 *  or file and tensor */
PM_MUST_CHECK bool pm_tensor_set_open(struct pm_tensor_set *out, const char *folder,
                                      const char *stem, struct pm_error *err);
void pm_tensor_set_close(struct pm_tensor_set *set);

/** Build a set otherwise: begin it, add tensors in any order under other names, end it.
 *  @param path  what messages call it */
void pm_tensor_set_begin(struct pm_tensor_set *out, const char *path);
/** @param tensor  copied, its data borrowed, for as long as the set is used; its name is not used */
void pm_tensor_set_add(struct pm_tensor_set *set, const struct pm_tensor *tensor, const char *name);
/** @return true, and the set can be searched; else two tensors have one name. Close it anyway. */
PM_MUST_CHECK bool pm_tensor_set_end(struct pm_tensor_set *set, struct pm_error *err);

/** @return the tensor, borrowed, or NULL */
const struct pm_tensor *pm_tensor_set_find(const struct pm_tensor_set *set, const char *name);
#endif
