/** @file lora_file.h  One LoRA file: its tensors, paired by the layer they belong to. */
#ifndef PM_MODEL_LORA_FILE_H
#define PM_MODEL_LORA_FILE_H
#include "lora_names.h"

#include "pm/model/safetensors.h"

/** All that a file has for one layer. The tensors are borrowed from the file. */
struct pm_lora_pair {
    struct pm_lora_name name; /* of down */
    const struct pm_tensor *down, *up;
    double alpha;         /* NAN: none, which means the rank */
    bool divides_by_root; /* alpha / √rank (PEFT's use_rslora), not alpha / rank */
    bool is_used;
};

struct pm_lora_pairs {
    struct pm_safetensors file;
    struct pm_lora_pair *pairs; /* [count], sorted by network and module */
    size_t count;
    double weight;
};

/** Map and pair. @return true, *out owned by the caller (pm_lora_pairs_close) */
PM_MUST_CHECK bool pm_lora_pairs_open(struct pm_lora_pairs *out, const struct pm_lora_file *file,
                                      struct pm_error *err);
void pm_lora_pairs_close(struct pm_lora_pairs *pairs);

/** @return the layer's pair, or NULL */
struct pm_lora_pair *pm_lora_pairs_find(const struct pm_lora_pairs *pairs,
                                        enum pm_lora_network network, const char *module);
#endif
