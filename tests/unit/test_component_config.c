#include "test.h"

#include "temporary.h"

#include "pm/model/component_config.h"
#include "pm/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINI "tests/golden/data/models/mini-sd1/"

static const struct pm_config_rule rules[] = {{"free", NULL},
                                              {"act_fn", "\"silu\"|\"swish\""},
                                              {"scale", "1|1.0"},
                                              {"flag", "true"},
                                              {NULL, NULL}};

static bool check(const char *text, struct pm_error *err)
{
    json_t *json;
    assert_ok(pm_json_parse(&json, text, strlen(text), "here", err), *err);
    bool ok = pm_config_check(json, "unet/config.json", rules, err);
    json_decref(json);
    return ok;
}

static void supported_values_notes_and_absent_features_pass(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_ok(check("{}", &err), err);
    assert_ok(
        check("{\"free\": [\"anything\"], \"_note\": 3, \"act_fn\": \"swish\", \"scale\": 1.0, "
              "\"flag\": true, \"new_feature\": null, \"other_feature\": false}",
              &err),
        err);
    assert_ok(check("{\"scale\": 1}", &err), err);
}

static void other_values_are_refused_with_what_would_be_supported(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_fails(check("{\"act_fn\": \"gelu\"}", &err), err,
                 "unet/config.json: \"act_fn\" is \"gelu\", which is not supported; "
                 "\"silu\"|\"swish\" would be");
    assert_fails(check("{\"act_fn\": null}", &err), err, "\"act_fn\" is null");
    assert_fails(check("{\"act_fn\": \"sil\"}", &err), err, "\"act_fn\" is \"sil\"");
    assert_fails(check("{\"scale\": 1.5}", &err), err, "\"scale\" is 1.5, ");
    assert_fails(check("{\"flag\": \"true\"}", &err), err, "\"flag\" is \"true\", ");
    assert_fails(check("{\"new_feature\": 0}", &err), err,
                 "\"new_feature\" is 0, which is not supported; null|false would be");
    assert_fails(check("{\"new_feature\": \"null|false\"}", &err), err, "is not supported");
    assert_fails(check("[]", &err), err, "unet/config.json: an object {...} is wanted, not a list");
}

static void an_alternative_is_matched_whole(void **state)
{
    (void)state;
    assert_true(pm_config_is_listed("a", "a|bc|d"));
    assert_true(pm_config_is_listed("bc", "a|bc|d"));
    assert_true(pm_config_is_listed("d", "a|bc|d"));
    assert_false(pm_config_is_listed("b", "a|bc|d"));
    assert_false(pm_config_is_listed("c", "a|bc|d"));
    assert_false(pm_config_is_listed("a|bc", "a|bc|d"));
    assert_false(pm_config_is_listed("", "a|bc|d"));
    assert_false(pm_config_is_listed("de", "a|bc|d"));
}

static void lists_are_read_and_bounded(void **state)
{
    (void)state;
    static const char *const names[] = {"Down", "Up", NULL};
    struct pm_error err = {0};
    size_t sizes[PM_MAX_LEVELS] = {0}, count = 9;
    int kinds[PM_MAX_LEVELS] = {-1, -1};
    json_t *json = json_pack("{s[iiii] s[ss] s[] s[iiiiiiiii] s[iI] s[s]}", "sizes", 1, 2, 3, 4,
                             "kinds", "Up", "Down", "none", "nine", 1, 2, 3, 4, 5, 6, 7, 8, 9,
                             "wide", 1, (json_int_t)5, "odd", "Sideways");
    assert_ok(pm_config_sizes(json, "c", "absent", 4, sizes, &count, &err), err);
    assert_int_equal(count, 9);
    assert_ok(pm_config_sizes(json, "c", "sizes", 4, sizes, &count, &err), err);
    assert_true(count == 4 && sizes[0] == 1 && sizes[3] == 4);
    assert_fails(pm_config_sizes(json, "c", "none", 4, sizes, &count, &err), err,
                 "c: \"none\" must be a list of 1 to 8 numbers");
    assert_fails(pm_config_sizes(json, "c", "nine", 9, sizes, &count, &err), err, "1 to 8 numbers");
    assert_fails(pm_config_sizes(json, "c", "wide", 4, sizes, &count, &err), err,
                 "c: \"wide\"[1] must be a whole number from 1 to 4");
    assert_fails(pm_config_sizes(json, "c", "kinds", 4, sizes, &count, &err), err, "\"kinds\"[0]");

    assert_ok(pm_config_block_types(json, "c", "kinds", names, kinds, 2, &err), err);
    assert_true(kinds[0] == 1 && kinds[1] == 0);
    assert_fails(pm_config_block_types(json, "c", "kinds", names, kinds, 3, &err), err,
                 "c: \"kinds\" must list 3 blocks");
    assert_fails(pm_config_block_types(json, "c", "absent", names, kinds, 3, &err), err,
                 "3 blocks");
    assert_fails(pm_config_block_types(json, "c", "odd", names, kinds, 1, &err), err,
                 "c: \"odd\"[0] is \"Sideways\", which is not supported");
    assert_fails(pm_config_block_types(json, "c", "sizes", names, kinds, 4, &err), err,
                 "c: \"sizes\"[0] is \"\", which is not supported");
    json_decref(json);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char path[PM_CONFIG_PATH_BYTES], folder[PM_CONFIG_PATH_BYTES + 1];
    struct pm_error err = {0};
    memset(folder, 'f', sizeof folder);
    folder[PM_CONFIG_PATH_BYTES] = '\0';
    assert_fails(pm_config_path(path, folder, &err), err, "is too long");
    assert_ok(pm_config_path(path, "model/unet", &err), err);
    assert_string_equal(path, "model/unet/config.json");
}

static bool load_unet(struct pm_arena *memory, struct pm_error *err)
{
    static struct pm_unet unet;
    return pm_unet_load(&unet, temporary_path("unet"), memory, err);
}

static bool load_vae(struct pm_arena *memory, struct pm_error *err)
{
    static struct pm_vae vae;
    return pm_vae_load(&vae, temporary_path("vae"), memory, err);
}

static bool load_text_encoder(struct pm_arena *memory, struct pm_error *err)
{
    static struct pm_text_encoder encoder;
    return pm_text_encoder_load(&encoder, temporary_path("text_encoder"), memory, err);
}

typedef bool load_component(struct pm_arena *memory, struct pm_error *err);

/* Load mini-sd1's component with one thing in its config.json changed to @p value_text. */
static bool load_changed(const char *component, const char *key, const char *value_text,
                         load_component *load, struct pm_error *err)
{
    char path[128], name[64];
    json_t *config, *value;
    snprintf(path, sizeof path, MINI "%s/config.json", component);
    snprintf(name, sizeof name, "%s/config.json", component);
    assert_ok(pm_json_load(&config, path, 1 << 20, err), *err);
    value = json_loads(value_text, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    assert_int_equal(json_object_set_new(config, key, value), 0);
    char *text = json_dumps(config, 0);
    temporary_write_text(name, text);
    free(text);
    json_decref(config);
    struct pm_arena memory;
    pm_arena_init(&memory, (size_t)1 << 32);
    bool ok = load(&memory, err);
    pm_arena_free(&memory);
    return ok;
}

static void assert_unet_refused(const char *key, const char *value, const char *sentence)
{
    struct pm_error err = {0};
    assert_fails(load_changed("unet", key, value, load_unet, &err), err, sentence);
    assert_int_equal(err.code, PM_E_FORMAT);
    assert_non_null(strstr(err.message, "unet/"));
}

static void an_unchanged_component_is_loaded(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_ok(load_changed("unet", "_note", "1", load_unet, &err), err);
    assert_ok(load_changed("vae", "_note", "1", load_vae, &err), err);
    assert_ok(load_changed("text_encoder", "_note", "1", load_text_encoder, &err), err);
}

static void another_unet_is_refused_by_what_is_different(void **state)
{
    (void)state;
    assert_unet_refused("class_embed_type", "\"timestep\"",
                        "\"class_embed_type\" is \"timestep\", which is not supported; null|false "
                        "would be");
    assert_unet_refused("act_fn", "\"gelu\"",
                        "\"act_fn\" is \"gelu\", which is not supported; \"silu\" would be");
    assert_unet_refused("center_input_sample", "true", "\"center_input_sample\" is true");
    assert_unet_refused("time_embedding_type", "\"fourier\"", "\"positional\" would be");
    assert_unet_refused("num_attention_heads", "8", "\"num_attention_heads\" is 8");
    assert_unet_refused("only_cross_attention", "[true, true, true, false]",
                        "\"only_cross_attention\" is [true,true,true,false]");
    assert_unet_refused("down_block_types",
                        "[\"CrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\", "
                        "\"CrossAttnDownBlock2D\", \"DownBlok2D\"]",
                        "\"down_block_types\"[3] is \"DownBlok2D\", which is not supported");
    assert_unet_refused("up_block_types", "[\"UpBlock2D\"]",
                        "\"up_block_types\" must list 4 blocks");
    assert_unet_refused("in_channels", "9",
                        "\"in_channels\" is 9, \"out_channels\" 4: an inpainting or other special "
                        "model");
    assert_unet_refused("norm_num_groups", "7", "16 channels are no multiple of 7 groups");
    assert_unet_refused("attention_head_dim", "7", "16 channels cannot be split into 7 heads");
    assert_unet_refused("attention_head_dim", "[2, 4]", "lists 2 levels of 4");
}

static void a_unet_of_other_weights_is_refused_by_the_tensor(void **state)
{
    (void)state;
    assert_unet_refused("block_out_channels", "[16, 32, 48, 64]",
                        "its config asks for [64,48,3,3]");
    assert_unet_refused("layers_per_block", "3", "has no tensor \"down_blocks.0.resnets.2");
    assert_unet_refused("cross_attention_dim", "64",
                        "attn2.to_k.weight\" is [16,48], its config asks for [16,64]");
    assert_unet_refused("down_block_types",
                        "[\"DownBlock2D\", \"CrossAttnDownBlock2D\", "
                        "\"CrossAttnDownBlock2D\", \"DownBlock2D\"]",
                        "the tensor \"down_blocks.0.attentions.0");
}

static void another_vae_is_refused_by_what_is_different(void **state)
{
    (void)state;
    static const char *const changes[][3] = {
        {"shift_factor", "0.1", "vae/config.json: \"shift_factor\" is 0.1"},
        {"latents_mean", "[0.0]", "\"latents_mean\" is [0.0], which is not supported"},
        {"mid_block_add_attention", "false", "\"mid_block_add_attention\" is false"},
        {"down_block_types", "[\"DownEncoderBlock2D\"]", "must list 4 blocks"},
        {"in_channels", "4", "\"in_channels\" is 4; it must be from 3 to 3"},
        {"scaling_factor", "0", "\"scaling_factor\" is 0"},
        {"norm_num_groups", "5", "8 channels are no multiple of 5 groups"},
        {"use_quant_conv", "false", "the tensor \"quant_conv.bias\" has no place"},
        {"latent_channels", "16",
         "encoder.conv_out.weight\" is [8,24,3,3], its config asks for "
         "[32,24,3,3]"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct pm_error err = {0};
        assert_fails(load_changed("vae", changes[i][0], changes[i][1], load_vae, &err), err,
                     changes[i][2]);
    }
}

static void another_text_encoder_is_refused_by_what_is_different(void **state)
{
    (void)state;
    static const char *const changes[][3] = {
        {"hidden_act", "\"relu\"", "must be one of \"quick_gelu\", \"gelu\""},
        {"max_position_embeddings", "248", "is 248; only 77 is supported"},
        {"num_attention_heads", "5", "\"hidden_size\" 48 is no multiple of its 5 heads"},
        {"num_hidden_layers", "3",
         "has no tensor \"text_model.encoder.layers.2.layer_norm1.weight\""},
        {"num_hidden_layers", "1", "the tensor \"text_model.encoder.layers.1."},
        {"vocab_size", "642", "\"text_model.embeddings.token_embedding.weight\""},
        {"intermediate_size", "\"192\"", "\"intermediate_size\" is a string"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct pm_error err = {0};
        assert_fails(
            load_changed("text_encoder", changes[i][0], changes[i][1], load_text_encoder, &err),
            err, changes[i][2]);
        assert_non_null(strstr(err.message, "text_encoder/"));
    }
}

static void assert_model_refused(const char *component, const char *value, const char *sentence)
{
    struct pm_error err = {0};
    struct pm_model model;
    json_t *index;
    assert_ok(pm_json_load(&index, MINI "model_index.json", 1 << 20, &err), err);
    json_object_set_new(index, component, json_loads(value, JSON_DECODE_ANY, NULL));
    char *text = json_dumps(index, 0);
    temporary_write_text("model_index.json", text);
    free(text);
    json_decref(index);
    assert_fails(pm_model_load(&model, temporary_path("."), &err), err, sentence);
}

static void a_model_of_other_classes_is_refused_by_the_component(void **state)
{
    (void)state;
    assert_model_refused("unet", "[\"diffusers\", \"UNet3DConditionModel\"]",
                         "model_index.json: \"unet\" is a UNet3DConditionModel, which is not "
                         "supported; UNet2DConditionModel is");
    assert_model_refused("vae", "null", "model_index.json names no \"vae\"");
    assert_model_refused("tokenizer", "[\"transformers\", \"CLIPTokenizer|CLIPTokenizerFast\"]",
                         "which is not supported");
}

static void a_repository_in_the_hubs_cache_is_refused_with_where_its_models_are(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_model model;
    temporary_write_text("models--a--b/refs/main", "1234");
    temporary_copy("models--a--b/snapshots/1234/model_index.json", MINI "model_index.json");
    assert_fails(pm_model_load(&model, temporary_path("models--a--b"), &err), err,
                 "the model is a folder in ");
    assert_non_null(strstr(err.message, "models--a--b/snapshots"));
    assert_fails(pm_model_load(&model, temporary_path("models--a--b/snapshots/1234"), &err), err,
                 "snapshots/1234/scheduler/scheduler_config.json");
}

static int copy_weights(void **state)
{
    if (temporary_make(state) != 0) return -1;
    temporary_copy("unet/diffusion_pytorch_model.safetensors",
                   MINI "unet/diffusion_pytorch_model.safetensors");
    temporary_copy("vae/diffusion_pytorch_model.safetensors",
                   MINI "vae/diffusion_pytorch_model.safetensors");
    temporary_copy("text_encoder/model.safetensors", MINI "text_encoder/model.safetensors");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supported_values_notes_and_absent_features_pass),
        cmocka_unit_test(other_values_are_refused_with_what_would_be_supported),
        cmocka_unit_test(an_alternative_is_matched_whole),
        cmocka_unit_test(lists_are_read_and_bounded),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
        cmocka_unit_test(an_unchanged_component_is_loaded),
        cmocka_unit_test(another_unet_is_refused_by_what_is_different),
        cmocka_unit_test(a_unet_of_other_weights_is_refused_by_the_tensor),
        cmocka_unit_test(another_vae_is_refused_by_what_is_different),
        cmocka_unit_test(another_text_encoder_is_refused_by_what_is_different),
        cmocka_unit_test(a_model_of_other_classes_is_refused_by_the_component),
        cmocka_unit_test(a_repository_in_the_hubs_cache_is_refused_with_where_its_models_are),
    };
    return cmocka_run_group_tests(tests, copy_weights, temporary_remove);
}
