/* The stored models, which the other goldens are of, give the same bits from one file under the
 * original names. */
#include "golden.h"

#include "layout.h"
#include "model_outputs.h"
#include "temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2, LEVELS = 4 }; /* of the stored models */

struct renaming {
    const char *from, *to;
};

static void rename_all(struct layout *layout, const struct renaming *list, size_t count)
{
    for (size_t i = 0; i < count; i++) layout_rename(layout, list[i].from, list[i].to);
}

__attribute__((format(printf, 3, 4))) static void
rename_start(struct layout *layout, const char *from, const char *format, ...)
{
    char to[128];
    va_list args;
    va_start(args, format);
    vsnprintf(to, sizeof to, format, args);
    va_end(args);
    layout_rename_start(layout, from, to);
}

static void rename_unet_blocks(struct layout *unet)
{
    char from[64];
    for (int level = 0; level < LEVELS; level++)
        for (int layer = 0; layer <= LAYERS; layer++) {
            int down = 1 + level * (LAYERS + 1) + layer, up = level * (LAYERS + 1) + layer;
            snprintf(from, sizeof from, "down_blocks.%d.resnets.%d.", level, layer);
            rename_start(unet, from, "input_blocks.%d.0.", down);
            snprintf(from, sizeof from, "down_blocks.%d.attentions.%d.", level, layer);
            rename_start(unet, from, "input_blocks.%d.1.", down);
            snprintf(from, sizeof from, "up_blocks.%d.resnets.%d.", level, layer);
            rename_start(unet, from, "output_blocks.%d.0.", up);
            snprintf(from, sizeof from, "up_blocks.%d.attentions.%d.", level, layer);
            rename_start(unet, from, "output_blocks.%d.1.", up);
        }
    for (int level = 0; level < LEVELS; level++) {
        snprintf(from, sizeof from, "down_blocks.%d.downsamplers.0.conv.", level);
        rename_start(unet, from, "input_blocks.%d.0.op.", (level + 1) * (LAYERS + 1));
        snprintf(from, sizeof from, "up_blocks.%d.upsamplers.0.conv.", level);
        rename_start(unet, from, "output_blocks.%d.%d.conv.", level * (LAYERS + 1) + LAYERS,
                     level == 0 ? 1 : 2); /* the lowest level does not attend */
    }
}

static struct layout original_unet(const char *model)
{
    static const struct renaming names[] = {{"time_embedding.linear_1.", "time_embed.0."},
                                            {"time_embedding.linear_2.", "time_embed.2."},
                                            {"conv_in.", "input_blocks.0.0."},
                                            {"conv_norm_out.", "out.0."},
                                            {"conv_out.", "out.2."},
                                            {"mid_block.resnets.0.", "middle_block.0."},
                                            {"mid_block.attentions.0.", "middle_block.1."},
                                            {"mid_block.resnets.1.", "middle_block.2."}};
    static const struct renaming parts[] = {
        {".0.norm1.", ".0.in_layers.0."},
        {".0.conv1.", ".0.in_layers.2."},
        {".0.norm2.", ".0.out_layers.0."},
        {".0.conv2.", ".0.out_layers.3."},
        {"time_emb_proj.", "emb_layers.1."},
        {"conv_shortcut.", "skip_connection."},
        {"middle_block.2.norm1.", "middle_block.2.in_layers.0."},
        {"middle_block.2.conv1.", "middle_block.2.in_layers.2."},
        {"middle_block.2.norm2.", "middle_block.2.out_layers.0."},
        {"middle_block.2.conv2.", "middle_block.2.out_layers.3."}};
    struct layout unet = layout_read(model, PM_UNET);
    rename_all(&unet, names, sizeof names / sizeof *names);
    rename_unet_blocks(&unet);
    layout_rename(&unet, "transformer_blocks.0.norm", "TRANSFORMER_NORM"); /* not a resnet's */
    rename_all(&unet, parts, sizeof parts / sizeof *parts);
    layout_rename(&unet, "TRANSFORMER_NORM", "transformer_blocks.0.norm");
    layout_rename_start(&unet, "", "model.diffusion_model.");
    return unet;
}

static struct layout original_vae(const char *model)
{
    static const struct renaming names[] = {{"mid_block.resnets.0.", "mid.block_1."},
                                            {"mid_block.resnets.1.", "mid.block_2."},
                                            {"mid_block.attentions.0.", "mid.attn_1."},
                                            {"group_norm.", "norm."},
                                            {".query.", ".q."},
                                            {".key.", ".k."},
                                            {".value.", ".v."},
                                            {".proj_attn.", ".proj_out."},
                                            {".to_q.", ".q."},
                                            {".to_k.", ".k."},
                                            {".to_v.", ".v."},
                                            {".to_out.0.", ".proj_out."},
                                            {"conv_norm_out.", "norm_out."},
                                            {"conv_shortcut.", "nin_shortcut."},
                                            {"downsamplers.0.", "downsample."},
                                            {"upsamplers.0.", "upsample."},
                                            {"resnets.", "block."},
                                            {"down_blocks.", "down."}};
    struct layout vae = layout_read(model, PM_VAE);
    rename_all(&vae, names, sizeof names / sizeof *names);
    for (int level = 0; level < LEVELS; level++) {
        char from[32], to[32];
        snprintf(from, sizeof from, "up_blocks.%d.", level);
        snprintf(to, sizeof to, "up.%d.", LEVELS - 1 - level);
        layout_rename(&vae, from, to);
    }
    for (size_t i = 0; i < vae.count; i++) { /* the attention's weights are convolutions there */
        struct layout_tensor *t = &vae.tensors[i];
        if (!strstr(t->name, "attn_1.") || t->rank != 2) continue;
        t->rank = 4;
        t->shape[2] = t->shape[3] = 1;
    }
    layout_rename_start(&vae, "", "first_stage_model.");
    return vae;
}

/* Queries, keys and values of a layer as one tensor, at the place of the queries. */
static void fuse(struct layout *text, int layer, const char *ending)
{
    char name[96];
    struct layout_tensor *parts[3];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "encoder.layers.%d.self_attn.%c_proj.%s", layer, "qkv"[i],
                 ending);
        parts[i] = layout_find(text, name);
    }
    size_t bytes = parts[0]->bytes;
    unsigned char *data = test_malloc(3 * bytes);
    for (int i = 0; i < 3; i++) {
        memcpy(data + (size_t)i * bytes, parts[i]->data, bytes);
        test_free(parts[i]->data);
    }
    *parts[0] = (struct layout_tensor){.dtype = parts[0]->dtype,
                                       .rank = parts[0]->rank,
                                       .shape = {3 * parts[0]->shape[0], parts[0]->shape[1]},
                                       .elements = 3 * parts[0]->elements,
                                       .bytes = 3 * bytes,
                                       .data = data};
    snprintf(parts[0]->name, sizeof parts[0]->name, "transformer.resblocks.%d.attn.in_proj_%s",
             layer, ending);
    for (int i = 1; i < 3; i++) { /* the place of the others goes to what OpenCLIP has besides */
        static const size_t shape[] = {8};
        parts[i]->data = test_calloc(16, 1);
        parts[i]->rank = 1;
        parts[i]->elements = 8;
        memcpy(parts[i]->shape, shape, sizeof shape);
        parts[i]->bytes = 16;
        snprintf(parts[i]->name, sizeof parts[i]->name, "transformer.resblocks.%d.ln_2.spare%d%s",
                 LAYERS, 2 * layer + i, ending);
    }
}

static struct layout open_clip(const char *model)
{
    static const struct renaming names[] = {
        {"embeddings.token_embedding.", "token_embedding."},
        {"embeddings.position_embedding.weight", "positional_embedding"},
        {"final_layer_norm.", "ln_final."},
        {"encoder.layers.", "transformer.resblocks."},
        {"layer_norm1.", "ln_1."},
        {"layer_norm2.", "ln_2."},
        {"self_attn.out_proj.", "attn.out_proj."},
        {"mlp.fc1.", "mlp.c_fc."},
        {"mlp.fc2.", "mlp.c_proj."}};
    struct layout text = layout_read(model, PM_TEXT_ENCODER);
    for (int layer = 0; layer < LAYERS; layer++) {
        fuse(&text, layer, "weight");
        fuse(&text, layer, "bias");
    }
    rename_all(&text, names, sizeof names / sizeof *names);
    layout_add(&text, "text_projection", "F16", 2, (size_t[]){4, 4});
    layout_add(&text, "logit_scale", "F32", 0, NULL);
    layout_rename_start(&text, "", "cond_stage_model.model.");
    return text;
}

static struct layout original_text_encoder(const char *model)
{
    if (strcmp(model, "mini-sd2") == 0) return open_clip(model);
    struct layout text = layout_read(model, PM_TEXT_ENCODER);
    layout_rename_start(&text, "", "cond_stage_model.transformer.");
    return text;
}

static struct layout original(const char *model)
{
    struct layout all = original_unet(model), vae = original_vae(model),
                  text = original_text_encoder(model);
    layout_append(&all, &vae);
    layout_append(&all, &text);
    return all;
}

static struct model_outputs outputs_of(const char *path, const char *configs)
{
    struct pm_model model;
    struct pm_error err = {0};
    const struct pm_model_additions given = {.options = {.configs = configs}};
    assert_ok(pm_model_load_with(&model, path, &given, &err), err);
    struct model_outputs outputs = model_outputs_make(&model);
    pm_model_free(&model);
    return outputs;
}

/* The tokenizer of the folder of configs is taken too: each family pads as it does. */
static void assert_like_stored(const char *model, const struct layout *written)
{
    const char *folder = golden_model_folder(model);
    layout_write(written, 0, written->count, "model.safetensors");
    struct model_outputs stored = outputs_of(folder, NULL);
    struct model_outputs got = outputs_of(temporary_path("model.safetensors"), folder);
    assert_same_outputs(&got, &stored);
    free(got.values);
    free(stored.values);
}

static void one_file_of_sd_1(void **state)
{
    (void)state;
    struct layout all = original("mini-sd1");
    assert_like_stored("mini-sd1", &all);
    layout_free(&all);
}

static void one_file_of_sd_2_with_open_clip(void **state)
{
    (void)state;
    struct layout all = original("mini-sd2");
    assert_like_stored("mini-sd2", &all);
    layout_free(&all);
}

/* As published with all that training needs: the averaged weights have other numbers. */
static void the_last_steps_weights_are_taken_beside_averaged_ones(void **state)
{
    (void)state;
    struct layout all = original("mini-sd1"), averaged = original_unet("mini-sd1");
    for (size_t i = 0; i < averaged.count; i++) {
        struct layout_tensor *t = &averaged.tensors[i];
        char name[192] = "model_ema.diffusion_model";
        size_t end = strlen(name);
        for (const char *p = t->name + strlen("model.diffusion_model."); *p; p++)
            if (*p != '.') name[end++] = *p; /* that program leaves the points out */
        name[end] = '\0';
        strcpy(t->name, name);
        memset(t->data, 0, t->bytes);
    }
    layout_append(&all, &averaged);
    layout_add(&all, "model_ema.num_updates", "I64", 0, NULL);
    layout_add(&all, "alphas_cumprod", "F32", 1, (size_t[]){1000});
    assert_like_stored("mini-sd1", &all);
    layout_free(&all);
}

static void one_file_in_full_precision(void **state)
{
    (void)state;
    struct layout all = original("mini-sd2");
    layout_convert(&all, "F32");
    assert_like_stored("mini-sd2", &all);
    layout_free(&all);
}

static void the_fingerprint_is_of_the_file_its_tokenizer_and_its_config(void **state)
{
    (void)state;
    struct layout all = original("mini-sd2");
    char texts[3][PM_HASH_TEXT_BYTES];
    layout_write(&all, 0, all.count, "model.safetensors");
    for (int i = 0; i < 3; i++) {
        struct pm_model model;
        struct pm_error err = {0};
        const struct pm_model_additions given = {
            .options = {.configs = golden_model_folder("mini-sd2"),
                        .tokenizer = i == 1 ? "models/scenes/tokenizer" : NULL,
                        .prediction = i == 2 ? "epsilon" : NULL}};
        bool ok = pm_model_load_with(&model, temporary_path("model.safetensors"), &given, &err);
        assert_ok(ok, err);
        strcpy(texts[i], model.fingerprint);
        pm_model_free(&model);
    }
    assert_string_not_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[0], texts[2]);
    layout_free(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file_of_sd_1),
        cmocka_unit_test(one_file_of_sd_2_with_open_clip),
        cmocka_unit_test(the_last_steps_weights_are_taken_beside_averaged_ones),
        cmocka_unit_test(one_file_in_full_precision),
        cmocka_unit_test(the_fingerprint_is_of_the_file_its_tokenizer_and_its_config),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
