#include "lora_names.h"

#include <string.h>

const char *const pm_lora_scheme_names[PM_LORA_SCHEMES] = {
    [PM_LORA_KOHYA] = "kohya's lora_down and lora_up",
    [PM_LORA_PEFT] = "PEFT's lora_A and lora_B",
    [PM_LORA_DIFFUSERS] = "diffusers' lora.down and lora.up",
    [PM_LORA_TEXT] = "diffusers' lora_linear_layer",
    [PM_LORA_PROCESSOR] = "diffusers' attention processors"};

static const struct {
    const char *text;
    enum pm_lora_scheme scheme;
    enum pm_lora_role role;
} endings[] = {
    {".lora_down.weight", PM_LORA_KOHYA, PM_LORA_DOWN},
    {".lora_up.weight", PM_LORA_KOHYA, PM_LORA_UP},
    {".lora_A.weight", PM_LORA_PEFT, PM_LORA_DOWN},
    {".lora_B.weight", PM_LORA_PEFT, PM_LORA_UP},
    {".lora.down.weight", PM_LORA_DIFFUSERS, PM_LORA_DOWN},
    {".lora.up.weight", PM_LORA_DIFFUSERS, PM_LORA_UP},
    {".lora_linear_layer.down.weight", PM_LORA_TEXT, PM_LORA_DOWN},
    {".lora_linear_layer.up.weight", PM_LORA_TEXT, PM_LORA_UP},
    {"_lora.down.weight", PM_LORA_PROCESSOR, PM_LORA_DOWN},
    {"_lora.up.weight", PM_LORA_PROCESSOR, PM_LORA_UP},
    {".alpha", PM_LORA_KOHYA, PM_LORA_ALPHA},
};

/* The prefixes, and how much of them is no part of the layer's name. */
static const struct {
    const char *text;
    size_t cut;
    enum pm_lora_network network;
    bool is_kohyas;
} prefixes[] = {
    {"lora_unet_", 10, PM_LORA_UNET, true},
    {"lora_te_", 8, PM_LORA_TEXT_ENCODER, true},
    {"unet.", 5, PM_LORA_UNET, false},
    {"text_encoder.", 13, PM_LORA_TEXT_ENCODER, false},
    /* written by UNet2DConditionModel.save_attn_procs, without the network's name */
    {"down_blocks.", 0, PM_LORA_UNET, false},
    {"mid_block.", 0, PM_LORA_UNET, false},
    {"up_blocks.", 0, PM_LORA_UNET, false},
};

/* What other methods call their tensors. */
static const struct {
    const char *part, *method;
} foreign[] = {{".hada_w", "LoHa"},
               {".hada_t", "LoHa"},
               {".lokr_w", "LoKr"},
               {".lokr_t", "LoKr"},
               {".dora_scale", "DoRA"},
               {".lora_magnitude_vector", "DoRA"},
               {".lora_mid.", "Tucker decomposition (LoCon's use_cp)"},
               {".oft_", "OFT"},
               {".diff", "whole differences of weights"},
               {"lora_te1_", "SDXL"},
               {"lora_te2_", "SDXL"},
               {"text_encoder_2.", "SDXL"}};

static bool ends_with(const char *text, size_t bytes, const char *ending)
{
    size_t n = strlen(ending);
    return bytes > n && memcmp(text + bytes - n, ending, n) == 0;
}

/* Replace the ending of a module by another. */
static bool swap_ending(char module[PM_LORA_MODULE_BYTES], const char *from, const char *to)
{
    size_t bytes = strlen(module), cut = strlen(from);
    if (!ends_with(module, bytes, from) || bytes - cut + strlen(to) >= PM_LORA_MODULE_BYTES)
        return false;
    strcpy(module + bytes - cut, to);
    return true;
}

static void remove_part(char *text, const char *part)
{
    char *at = strstr(text, part);
    if (at) memmove(at, at + strlen(part), strlen(at + strlen(part)) + 1);
}

bool pm_lora_module(char module[PM_LORA_MODULE_BYTES], const char *name, size_t bytes)
{
    static const char prefix[] = "text_model_";
    if (bytes >= PM_LORA_MODULE_BYTES) return false;
    for (size_t i = 0; i < bytes; i++) module[i] = (char)(name[i] == '.' ? '_' : name[i]);
    module[bytes] = '\0';
    if (strncmp(module, prefix, sizeof prefix - 1) == 0) remove_part(module, prefix);
    return true;
}

/* An attention processor's to_q is its layer's; the text encoder's was called that way too. */
static void rename_processor(struct pm_lora_name *name)
{
    static const char *const of_text[][2] = {
        {"_to_q", "_q_proj"}, {"_to_k", "_k_proj"}, {"_to_v", "_v_proj"}, {"_to_out", "_out_proj"}};
    remove_part(name->module, "_processor");
    if (name->network == PM_LORA_UNET) {
        swap_ending(name->module, "_to_out", "_to_out_0");
        return;
    }
    for (size_t i = 0; i < sizeof of_text / sizeof *of_text; i++)
        if (swap_ending(name->module, of_text[i][0], of_text[i][1])) return;
}

static bool fail_unknown(const char *key, const char *path, struct pm_error *err)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strstr(key, foreign[i].part))
            return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is of %s, which is not supported", path,
                           key, foreign[i].method);
    return pm_fail(
        err, PM_E_FORMAT,
        "%s: \"%s\" is not how a LoRA's tensors are called by kohya's scripts, diffusers "
        "or PEFT",
        path, key);
}

bool pm_lora_name_read(struct pm_lora_name *out, const char *key, const char *path,
                       struct pm_error *err)
{
    size_t bytes = strlen(key), ending = 0, prefix = 0;
    size_t ending_count = sizeof endings / sizeof *endings;
    size_t prefix_count = sizeof prefixes / sizeof *prefixes;
    while (ending < ending_count && !ends_with(key, bytes, endings[ending].text)) ending++;
    while (prefix < prefix_count &&
           strncmp(key, prefixes[prefix].text, strlen(prefixes[prefix].text)) != 0)
        prefix++;
    if (ending == ending_count || prefix == prefix_count) return fail_unknown(key, path, err);
    *out = (struct pm_lora_name){.scheme = endings[ending].scheme,
                                 .role = endings[ending].role,
                                 .network = prefixes[prefix].network};
    bool is_kohyas = prefixes[prefix].is_kohyas;
    if (out->role != PM_LORA_ALPHA && is_kohyas != (out->scheme == PM_LORA_KOHYA))
        return fail_unknown(key, path, err);
    size_t cut = prefixes[prefix].cut, tail = strlen(endings[ending].text);
    if (bytes <= cut + tail || !pm_lora_module(out->module, key + cut, bytes - cut - tail))
        return fail_unknown(key, path, err);
    if (out->scheme == PM_LORA_PROCESSOR) rename_processor(out);
    return true;
}
