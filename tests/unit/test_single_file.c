/* Checkpoints of one file: the true lists of their tensors, both ways, and what is refused. */
#include "test.h"

#include "temporary.h"

#include "pm/base/json.h"
#include "pm/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTS "tests/golden/data/checkpoints/"
static const char TOKENIZER[] = "tests/golden/data/tokenizer/clip-tokenizer";
enum { LINE_BYTES = 512, MOST_LINES = 1500 };

/** A tensor of a list: what it is called in the file and in the diffusers layout. */
struct entry {
    char name[192], other[192]; /* "-": not used; {qkv} stands for three */
    json_t *shape;
};

static struct entry entries[MOST_LINES];
static size_t entry_count;

static json_t *read_shape(const char *text)
{
    json_t *shape = json_array();
    for (const char *p = text; *p && strcmp(text, "1s") != 0; p += strspn(p, "x")) {
        json_array_append_new(shape, json_integer(strtol(p, (char **)&p, 10)));
    }
    return shape;
}

static void add_entry(const char *name, const char *other, const char *ending, const char *shape)
{
    assert_true(entry_count < MOST_LINES);
    struct entry *e = &entries[entry_count++];
    snprintf(e->name, sizeof e->name, "%s%s", name, ending);
    snprintf(e->other, sizeof e->other, "%s%s", other, strcmp(other, "-") == 0 ? "" : ending);
    e->shape = read_shape(shape);
}

/* A line has name, other name and shape; or with a second shape, of the bias, names without ending. */
static void read_list(const char *family)
{
    char path[128], line[LINE_BYTES];
    snprintf(path, sizeof path, LISTS "%s-keys.txt", family);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    entry_count = 0;
    while (fgets(line, sizeof line, file)) {
        char name[192], other[192], shape[64], bias[64];
        int n = sscanf(line, "%191s %191s %63s %63s", name, other, shape, bias);
        assert_true(n == 3 || n == 4);
        add_entry(name, other, n == 4 ? ".weight" : "", shape);
        if (n == 4) add_entry(name, other, ".bias", bias);
    }
    fclose(file);
}

static void forget_list(void)
{
    for (size_t i = 0; i < entry_count; i++) json_decref(entries[i].shape);
    entry_count = 0;
}

static size_t elements(const json_t *shape)
{
    size_t n = 1, i;
    json_t *side;
    json_array_foreach(shape, i, side) n *= (size_t)json_integer_value(side);
    return n;
}

/* The list as a file of F16 tensors, full size; their data is a hole in the file. */
static void write_list_with(const char *file_name, json_t *metadata)
{
    json_t *header = json_object();
    if (metadata) json_object_set_new(header, "__metadata__", metadata);
    size_t at = 0;
    for (size_t i = 0; i < entry_count; i++) {
        size_t bytes = 2 * elements(entries[i].shape);
        json_object_set_new(header, entries[i].name,
                            json_pack("{s:s, s:O, s:[I, I]}", "dtype", "F16", "shape",
                                      entries[i].shape, "data_offsets", (json_int_t)at,
                                      (json_int_t)(at + bytes)));
        at += bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    temporary_write_safetensors(file_name, text, NULL, 0);
    assert_int_equal(truncate(temporary_path(file_name), (off_t)(8 + strlen(text) + at)), 0);
    free(text);
    json_decref(header);
}

static void write_list(const char *file_name)
{
    write_list_with(file_name, NULL);
}

static const struct pm_single_file_options nothing_more;

static void open_list(struct pm_single_file *file, const char *family)
{
    struct pm_error err = {0};
    read_list(family);
    write_list("model.safetensors");
    assert_ok(pm_single_file_open(file, temporary_path("model.safetensors"), &nothing_more, &err),
              err);
}

/* The name of one of three in place of {qkv}. */
static void expected_name(char name[192], const struct entry *e, int part)
{
    const char *three = strstr(e->other, "{qkv}");
    snprintf(name, 192, "%.*s", three ? (int)(three - e->other) : 191, e->other);
    if (three)
        snprintf(name + (three - e->other), 192 - (size_t)(three - e->other), "%c%s", "qkv"[part],
                 three + 5);
}

static void test_names(const char *family)
{
    struct pm_single_file file;
    open_list(&file, family);
    for (size_t i = 0; i < entry_count; i++) {
        struct pm_original_name got;
        bool is_unused = strcmp(entries[i].other, "-") == 0;
        int parts = strstr(entries[i].other, "{qkv}") ? 3 : 1;
        for (int part = 0; part < parts; part++) {
            char whole[256], wanted[192];
            int n = pm_original_name(&got, entries[i].name, &file.model.sizes, part);
            assert_int_equal(n, is_unused ? PM_ORIGINAL_UNUSED : parts);
            if (is_unused) continue;
            expected_name(wanted, &entries[i], part);
            snprintf(whole, sizeof whole, "%s/%s", pm_network_name(got.network), got.name);
            assert_string_equal(whole, wanted);
        }
    }
    pm_single_file_close(&file);
    forget_list();
}

static void every_tensor_of_the_true_lists_gets_its_name(void **state)
{
    (void)state;
    test_names("sd15");
    test_names("sd21");
}

/* The other way: whatever the diffusers layout has is there, once and with its shape. */
static void test_components(const char *family)
{
    struct pm_single_file file;
    struct pm_component components[PM_NETWORKS];
    struct pm_error err = {0};
    size_t wanted[PM_NETWORKS] = {0};
    open_list(&file, family);
    for (int i = 0; i < PM_NETWORKS; i++)
        assert_ok(pm_single_file_component(&components[i], &file, i, &err), err);
    for (size_t i = 0; i < entry_count; i++) {
        if (strcmp(entries[i].other, "-") == 0) continue;
        int parts = strstr(entries[i].other, "{qkv}") ? 3 : 1;
        for (int part = 0; part < parts; part++) {
            char name[192];
            int network = 0;
            expected_name(name, &entries[i], part);
            while (strncmp(name, pm_network_name(network), strcspn(name, "/")) != 0) network++;
            const struct pm_tensor *t =
                pm_tensor_set_find(&components[network].set, strchr(name, '/') + 1);
            assert_non_null(t);
            assert_int_equal(t->elements, elements(entries[i].shape) / (size_t)parts);
            wanted[network]++;
        }
    }
    for (int i = 0; i < PM_NETWORKS; i++) {
        assert_int_equal(components[i].set.count, wanted[i]);
        pm_component_close(&components[i]);
    }
    pm_single_file_close(&file);
    forget_list();
}

static void the_true_lists_give_all_of_the_diffusers_layout(void **state)
{
    (void)state;
    test_components("sd15");
    test_components("sd21");
}

/* One number for all levels is as good as a list of it. */
static bool is_same(const json_t *published, const json_t *inferred)
{
    if (!json_is_array(inferred) || json_is_array(published))
        return json_is_number(published)
                   ? json_number_value(published) == json_number_value(inferred)
                   : json_equal(published, inferred);
    size_t i;
    json_t *item;
    json_array_foreach(inferred, i, item) if (!json_equal(item, published)) return false;
    return true;
}

static void test_configs(const char *family)
{
    struct pm_single_file file;
    struct pm_error err = {0};
    json_t *published, *value;
    const char *key;
    char path[128];
    open_list(&file, family);
    snprintf(path, sizeof path, LISTS "%s-configs.json", family);
    assert_ok(pm_json_load(&published, path, 1 << 20, &err), err);
    for (int i = 0; i <= PM_NETWORKS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/config.json",
                 i < PM_NETWORKS ? pm_network_name(i) : "scheduler");
        json_t *inferred = i < PM_NETWORKS ? file.model.configs[i] : file.model.scheduler;
        const json_t *theirs =
            json_object_get(published, i < PM_NETWORKS ? name : "scheduler/scheduler_config.json");
        assert_non_null(theirs);
        json_object_foreach(inferred, key, value)
        {
            const json_t *same = json_object_get(theirs, key);
            if (same && !is_same(same, value)) fail_msg("%s: %s, %s is another", family, name, key);
        }
    }
    json_decref(published);
    pm_single_file_close(&file);
    forget_list();
}

static void what_is_inferred_is_what_was_published(void **state)
{
    (void)state;
    test_configs("sd15");
    test_configs("sd21");
}

static void measure(struct pm_model *model, const char *family, const char *prediction)
{
    struct pm_error err = {0};
    read_list(family);
    write_list("model.safetensors");
    const struct pm_model_additions given = {
        .options = {.tokenizer = TOKENIZER, .prediction = prediction}};
    assert_ok(pm_model_measure(model, temporary_path("model.safetensors"), &given, &err), err);
    forget_list();
}

static void the_true_lists_load_at_full_size(void **state)
{
    (void)state;
    struct pm_model model;
    measure(&model, "sd15", NULL);
    assert_int_equal(model.unet.config.sample_size, 64);
    assert_int_equal(model.text_encoder.layer_count, 12);
    assert_int_equal(model.text_encoder.activation, PM_QUICK_GELU);
    assert_true(model.weights.used > (size_t)4 * 1066000000);
    pm_model_free(&model);

    measure(&model, "sd21", NULL);
    assert_int_equal(model.unet.config.sample_size, 96);
    assert_int_equal(model.unet.config.heads[0], 5);
    assert_int_equal(model.unet.config.heads[3], 20);
    assert_int_equal(model.text_encoder.layer_count, 23);
    assert_int_equal(model.text_encoder.activation, PM_GELU);
    assert_true(model.weights.used > (size_t)4 * 1289000000);
    pm_model_free(&model);
}

static void the_prediction_that_is_given_decides_the_size(void **state)
{
    (void)state;
    struct pm_model model;
    measure(&model, "sd21", "epsilon");
    assert_int_equal(model.unet.config.sample_size, 64);
    const char *type =
        json_string_value(json_object_get(model.checkpoint.scheduler, "prediction_type"));
    assert_string_equal(type, "epsilon");
    pm_model_free(&model);
}

static void each_family_has_its_padding(void **state)
{
    (void)state;
    static const char *const families[] = {"sd15", "sd21"};
    static const int padding[] = {49407, 0};
    for (int i = 0; i < 2; i++) {
        struct pm_model model;
        struct pm_tokens tokens;
        struct pm_error err = {0};
        measure(&model, families[i], NULL);
        assert_ok(pm_tokenize(&tokens, model.tokenizer, "a cat", &err), err);
        assert_int_equal(tokens.ids[3], 49407);
        assert_int_equal(tokens.ids[PM_TOKENS - 1], padding[i]);
        pm_model_free(&model);
    }
}

static void a_file_without_a_tokenizer_says_what_to_do(void **state)
{
    (void)state;
    struct pm_model model;
    struct pm_error err = {0};
    read_list("sd15");
    write_list("model.safetensors");
    assert_fails(pm_model_load(&model, temporary_path("model.safetensors"), &err), err,
                 "has no tokenizer, as no checkpoint of one file has: give a folder with CLIP's "
                 "vocab.json and merges.txt");
    assert_non_null(strstr(err.message, "--tokenizer"));
    forget_list();
}

static void assert_refused(const char *header, const char *sentence)
{
    struct pm_single_file file;
    struct pm_error err = {0};
    static const unsigned char zeros[8];
    temporary_write_safetensors("other.safetensors", header, zeros, 2);
    assert_fails(
        pm_single_file_open(&file, temporary_path("other.safetensors"), &nothing_more, &err), err,
        sentence);
    assert_null(file.file.map);
}

#define ONE(name) "{\"" name "\": {\"dtype\": \"F16\", \"shape\": [1], \"data_offsets\": [0, 2]}}"

static void other_models_are_refused_by_what_they_are(void **state)
{
    (void)state;
    assert_refused(ONE("conditioner.embedders.0.x"), "is Stable Diffusion XL, which is not");
    assert_refused(ONE("model.diffusion_model.joint_blocks.0.x"), "is Stable Diffusion 3");
    assert_refused(ONE("lora_unet_x.alpha"), "is a LoRA: give it with");
    assert_refused(ONE("down_blocks.0.x"), "give the whole model's folder");
    assert_refused(ONE("x"), "has no tensor \"model.diffusion_model.input_blocks.0.0.weight\"");
}

static void a_tensor_that_nobody_knows_is_named(void **state)
{
    (void)state;
    struct pm_single_file file;
    struct pm_component component;
    struct pm_error err = {0};
    static const char *const names[] = {"model.diffusion_model.label_emb.0.0.weight",
                                        "model.diffusion_model.input_blocks.1.2.x",
                                        "model.diffusion_model.input_blocks.3.0.conv.weight",
                                        "first_stage_model.decoder.up.4.x",
                                        "model.diffusion_model.output_blocks.1.1.conv.weight",
                                        "surprise"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        read_list("sd15");
        add_entry(names[i], "-", "", "1");
        write_list("model.safetensors");
        assert_ok(
            pm_single_file_open(&file, temporary_path("model.safetensors"), &nothing_more, &err),
            err);
        assert_fails(pm_single_file_component(&component, &file, PM_UNET, &err), err, names[i]);
        pm_single_file_close(&file);
        forget_list();
    }
}

/* OpenCLIP has the matrices of query, key and value in one tensor. */
static void a_tensor_that_cannot_be_cut_in_three_is_named(void **state)
{
    (void)state;
    struct pm_single_file file;
    struct pm_component component;
    struct pm_error err = {0};
    read_list("sd21");
    for (size_t i = 0; i < entry_count; i++)
        if (strstr(entries[i].name, "resblocks.0.attn.in_proj_bias"))
            json_array_set_new(entries[i].shape, 0, json_integer(3071));
    write_list("model.safetensors");
    assert_ok(pm_single_file_open(&file, temporary_path("model.safetensors"), &nothing_more, &err),
              err);
    assert_fails(
        pm_single_file_component(&component, &file, PM_TEXT_ENCODER, &err), err,
        "model.safetensors: the rows of "
        "\"cond_stage_model.model.transformer.resblocks.0.attn.in_proj_bias\" are not three "
        "times as many");
    pm_single_file_close(&file);
    forget_list();
}

static void configs_that_are_not_there_are_named(void **state)
{
    (void)state;
    struct pm_single_file file;
    struct pm_error err = {0};
    const struct pm_single_file_options given = {.configs = "no/such/folder"};
    read_list("sd15");
    write_list("model.safetensors");
    assert_fails(pm_single_file_open(&file, temporary_path("model.safetensors"), &given, &err), err,
                 "the folder of configs, no/such/folder, is not there");
    forget_list();
}

static void what_training_leaves_behind_is_passed_over(void **state)
{
    (void)state;
    struct pm_model model;
    struct pm_error err = {0};
    static const char *const names[] = {"model_ema.diffusion_modelinput_blocks00weight", "betas",
                                        "model_ema.decay", "first_stage_model.loss.logvar"};
    read_list("sd15");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) add_entry(names[i], "-", "", "1000");
    write_list("model.safetensors");
    const struct pm_model_additions given = {.options = {.tokenizer = TOKENIZER}};
    assert_ok(pm_model_measure(&model, temporary_path("model.safetensors"), &given, &err), err);
    pm_model_free(&model);
    forget_list();
}

static void a_pickled_file_is_refused_with_what_converts_it(void **state)
{
    (void)state;
    struct pm_model model;
    struct pm_error err = {0};
    temporary_write("model.ckpt", "PK\003\004\0\0\010\010 and so on, longer than a header", 40);
    assert_fails(
        pm_model_load(&model, temporary_path("model.ckpt"), &err), err,
        "model.ckpt is pickled and can run programs when read: convert it with python3 -c");
    assert_non_null(strstr(err.message, "\"OUT.safetensors\")'")); /* not cut */
}

static void metadata_say_what_is_predicted(void **state)
{
    (void)state;
    struct pm_single_file file;
    struct pm_error err = {0};
    read_list("sd21");
    write_list_with("said.safetensors", json_pack("{s:s, s:s}", "modelspec.prediction_type",
                                                  "epsilon", "modelspec.resolution", "512x512"));
    assert_ok(pm_single_file_open(&file, temporary_path("said.safetensors"), &nothing_more, &err),
              err);
    assert_string_equal(json_string_value(json_object_get(file.model.scheduler, "prediction_type")),
                        "epsilon");
    assert_int_equal(
        json_integer_value(json_object_get(file.model.configs[PM_UNET], "sample_size")), 64);
    pm_single_file_close(&file);
    forget_list();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_of_the_true_lists_gets_its_name),
        cmocka_unit_test(the_true_lists_give_all_of_the_diffusers_layout),
        cmocka_unit_test(what_is_inferred_is_what_was_published),
        cmocka_unit_test(the_true_lists_load_at_full_size),
        cmocka_unit_test(the_prediction_that_is_given_decides_the_size),
        cmocka_unit_test(metadata_say_what_is_predicted),
        cmocka_unit_test(each_family_has_its_padding),
        cmocka_unit_test(a_file_without_a_tokenizer_says_what_to_do),
        cmocka_unit_test(other_models_are_refused_by_what_they_are),
        cmocka_unit_test(a_tensor_that_cannot_be_cut_in_three_is_named),
        cmocka_unit_test(configs_that_are_not_there_are_named),
        cmocka_unit_test(a_tensor_that_nobody_knows_is_named),
        cmocka_unit_test(what_training_leaves_behind_is_passed_over),
        cmocka_unit_test(a_pickled_file_is_refused_with_what_converts_it),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
