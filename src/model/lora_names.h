/** @file lora_names.h  What the tensors of a LoRA file are called, and what they belong to.
 *
 *  | scheme    | key                                                                          |
 *  |-----------|------------------------------------------------------------------------------|
 *  | kohya     | lora_unet_MODULE.lora_down.weight, .lora_up.weight, .alpha; lora_te_MODULE…,  |
 *  |           | MODULE with _ for every dot                                                   |
 *  | peft      | unet.MODULE.lora_A.weight, .lora_B.weight; text_encoder.MODULE…               |
 *  | diffusers | unet.MODULE.lora.down.weight, .lora.up.weight                                 |
 *  | text      | text_encoder.MODULE.lora_linear_layer.down.weight, .up.weight                 |
 *  | processor | BLOCK.attn1.processor.to_q_lora.down.weight, .up.weight, with or without unet. |
 *
 *  MODULE is a layer of the diffusers layout; in the text encoder also without "text_model.".
 *  Sources: kohya-ss/sd-scripts networks/lora.py; huggingface/diffusers loaders/lora_pipeline.py,
 *  utils/state_dict_utils.py. */
#ifndef PM_MODEL_LORA_NAMES_H
#define PM_MODEL_LORA_NAMES_H
#include "pm/model/lora.h"

enum pm_lora_scheme {
    PM_LORA_KOHYA,
    PM_LORA_PEFT,
    PM_LORA_DIFFUSERS,
    PM_LORA_TEXT,
    PM_LORA_PROCESSOR,
    PM_LORA_SCHEMES
};
enum pm_lora_role { PM_LORA_DOWN, PM_LORA_UP, PM_LORA_ALPHA };

enum { PM_LORA_MODULE_BYTES = 192 };

struct pm_lora_name {
    enum pm_lora_scheme scheme; /* of PM_LORA_ALPHA: any may have it, and this says nothing */
    enum pm_lora_role role;
    enum pm_lora_network network;
    char module[PM_LORA_MODULE_BYTES]; /* as pm_lora_module writes it: the same in every scheme */
};

/** "kohya's", …: for messages. */
extern const char *const pm_lora_scheme_names[PM_LORA_SCHEMES];

/** Write a layer's name as one word: _ for every dot, without "text_model.".
 *  @param bytes  of @p name that are the layer's  @return whether there was room */
bool pm_lora_module(char module[PM_LORA_MODULE_BYTES], const char *name, size_t bytes);

/** Understand a key. @param path  of the file, for the error, which names the key */
PM_MUST_CHECK bool pm_lora_name_read(struct pm_lora_name *out, const char *key, const char *path,
                                     struct pm_error *err);
#endif
