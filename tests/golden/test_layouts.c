/* The stored models, which the other goldens are of, give the same bits from every way in which
 * diffusers has written its folders. */
#include "golden.h"

#include "layout.h"
#include "model_outputs.h"
#include "temporary.h"

#include "pm/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const minis[] = {"mini-sd1", "mini-sd2", NULL};

/* What a published folder has beside the networks. @param without  one of them, or NULL */
static void copy_small_files(const char *model, const char *without)
{
    static const char *const files[] = {"model_index.json",
                                        "unet/config.json",
                                        "vae/config.json",
                                        "text_encoder/config.json",
                                        "tokenizer/vocab.json",
                                        "tokenizer/merges.txt",
                                        "tokenizer/special_tokens_map.json",
                                        "tokenizer/tokenizer_config.json",
                                        "scheduler/scheduler_config.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[256], to[256];
        snprintf(from, sizeof from, "%s/%s", golden_model_folder(model), files[i]);
        snprintf(to, sizeof to, "model/%s", files[i]);
        if (!without || strcmp(without, files[i]) != 0) temporary_copy(to, from);
    }
}

static struct model_outputs outputs_of(const char *folder)
{
    struct pm_model model;
    struct pm_error err = {0};
    assert_ok(pm_model_load(&model, folder, &err), err);
    struct model_outputs outputs = model_outputs_make(&model);
    pm_model_free(&model);
    return outputs;
}

static struct model_outputs stored[2]; /* of minis */

static int compute_stored(void **state)
{
    (void)state;
    for (size_t m = 0; minis[m]; m++) stored[m] = outputs_of(golden_model_folder(minis[m]));
    return 0;
}

static int free_stored(void **state)
{
    (void)state;
    for (size_t m = 0; minis[m]; m++) free(stored[m].values);
    return 0;
}

/* The model that was written gives what the stored one does. @param m  of minis */
static void assert_like_stored(size_t m)
{
    struct model_outputs written = outputs_of(temporary_path("model"));
    assert_same_outputs(&written, &stored[m]);
    free(written.values);
}

static void write_one(const struct layout *layout, enum pm_network network, const char *ending)
{
    char name[256];
    snprintf(name, sizeof name, "model/%s/%s%s", pm_network_name(network), pm_network_stem(network),
             ending);
    layout_write(layout, 0, layout->count, name);
}

/* In @p files files and an index, named as by diffusers: its old way has the variant at the end. */
static void write_shards(const struct layout *layout, enum pm_network network, size_t files,
                         const char *pattern, const char *index_ending)
{
    json_t *map = json_object();
    char name[256], path[512];
    for (size_t i = 0; i < files; i++) {
        size_t first = layout->count * i / files, end = layout->count * (i + 1) / files;
        snprintf(name, sizeof name, pattern, pm_network_stem(network), i + 1, files);
        snprintf(path, sizeof path, "model/%s/%s", pm_network_name(network), name);
        layout_write(layout, first, end, path);
        for (size_t j = first; j < end; j++)
            json_object_set_new(map, layout->tensors[j].name, json_string(name));
    }
    json_t *index = json_pack("{s:{}, s:o}", "metadata", "weight_map", map);
    char *text = json_dumps(index, 0);
    snprintf(path, sizeof path, "model/%s/%s.safetensors.index%s", pm_network_name(network),
             pm_network_stem(network), index_ending);
    temporary_write_text(path, text);
    free(text);
    json_decref(index);
}

/** How a network's stored file is altered before it is written. @param model  one of minis */
typedef void layout_change(struct layout *layout, enum pm_network network, const char *model);

/* The model in "model", one file a network. @param without  no such file  @param change  NULL: none */
static void write_model(const char *model, const char *without, layout_change *change,
                        const char *ending)
{
    copy_small_files(model, without);
    for (int network = 0; network < PM_NETWORKS; network++) {
        struct layout layout = layout_read(model, network);
        if (change) change(&layout, network, model);
        write_one(&layout, network, ending);
        layout_free(&layout);
    }
}

static void test_files(layout_change *change, const char *ending)
{
    for (size_t m = 0; minis[m]; m++) {
        void *state = NULL;
        assert_int_equal(temporary_make(&state), 0);
        write_model(minis[m], NULL, change, ending);
        assert_like_stored(m);
        temporary_remove(&state);
    }
}

static void half_precision_files_by_their_own_name(void **state)
{
    (void)state;
    test_files(NULL, ".fp16.safetensors");
}

static void to_f32(struct layout *layout, enum pm_network network, const char *model)
{
    (void)network, (void)model;
    layout_convert(layout, "F32");
}

static void full_precision_files(void **state)
{
    (void)state;
    test_files(to_f32, ".safetensors");
}

static void to_bf16(struct layout *layout, enum pm_network network, const char *model)
{
    (void)network, (void)model;
    layout_convert(layout, "BF16");
}

static void to_bf16_in_f32(struct layout *layout, enum pm_network network, const char *model)
{
    to_bf16(layout, network, model);
    to_f32(layout, network, model);
}

/* BF16 rounds, so it is compared with the rounded numbers in full precision. */
static void bf16_files_are_read_exactly(void **state)
{
    (void)state;
    struct model_outputs outputs[2];
    for (int is_f32 = 0; is_f32 < 2; is_f32++) {
        assert_int_equal(temporary_make(state), 0);
        write_model("mini-sd1", NULL, is_f32 ? to_bf16_in_f32 : to_bf16, ".safetensors");
        outputs[is_f32] = outputs_of(temporary_path("model"));
        temporary_remove(state);
    }
    assert_same_outputs(&outputs[0], &outputs[1]);
    free(outputs[0].values);
    free(outputs[1].values);
}

static void test_shards(const char *pattern, const char *index_ending)
{
    for (size_t m = 0; minis[m]; m++) {
        void *state = NULL;
        assert_int_equal(temporary_make(&state), 0);
        copy_small_files(minis[m], NULL);
        for (int network = 0; network < PM_NETWORKS; network++) {
            struct layout layout = layout_read(minis[m], network);
            write_shards(&layout, network, 2 + (size_t)network, pattern, index_ending);
            layout_free(&layout);
        }
        assert_like_stored(m);
        temporary_remove(&state);
    }
}

static void several_files_with_an_index(void **state)
{
    (void)state;
    test_shards("%s-%05zu-of-%05zu.safetensors", ".json");
}

static void several_half_precision_files_named_as_today(void **state)
{
    (void)state;
    test_shards("%s.fp16-%05zu-of-%05zu.safetensors", ".fp16.json");
}

static void several_half_precision_files_named_as_before(void **state)
{
    (void)state;
    test_shards("%s-%05zu-of-%05zu.fp16.safetensors", ".fp16.json");
}

/* The names that diffusers had before 0.17 and those that it has now, each for the model that is
 * stored with the other. */
static void exchange_vae_names(struct layout *layout, enum pm_network network, const char *model)
{
    static const char *const names[][2] = {{".query.", ".to_q."},
                                           {".key.", ".to_k."},
                                           {".value.", ".to_v."},
                                           {".proj_attn.", ".to_out.0."}};
    bool is_old = strcmp(model, "mini-sd1") == 0;
    for (size_t i = 0; network == PM_VAE && i < sizeof names / sizeof *names; i++)
        assert_int_equal(layout_rename(layout, names[i][!is_old], names[i][is_old]), 4);
}

static void old_and_new_names_of_the_vaes_attention(void **state)
{
    (void)state;
    test_files(exchange_vae_names, ".safetensors");
}

/* transformers 5 leaves "text_model." out, and the position ids; each for the other model. */
static void exchange_text_names(struct layout *layout, enum pm_network network, const char *model)
{
    bool has_prefix = strcmp(model, "mini-sd1") == 0;
    if (network == PM_TEXT_ENCODER && has_prefix)
        assert_true(layout_rename_start(layout, "text_model.", "") == layout->count);
    if (network == PM_TEXT_ENCODER && !has_prefix) {
        assert_true(layout_rename_start(layout, "", "text_model.") == layout->count);
        layout_add(layout, "text_model.embeddings.position_ids", "I64", 2,
                   (size_t[]){1, PM_TOKENS});
    }
}

static void old_and_new_names_of_the_text_encoder(void **state)
{
    (void)state;
    test_files(exchange_text_names, ".safetensors");
}

/* As transformers 5 writes it: one file, merges as pairs; before as text. */
static void write_whole_tokenizer(const char *model, bool has_pairs)
{
    char path[256], line[256];
    struct pm_error err = {0};
    json_t *vocabulary, *merges = json_array();
    snprintf(path, sizeof path, "%s/tokenizer/vocab.json", golden_model_folder(model));
    assert_ok(pm_json_load(&vocabulary, path, 1 << 26, &err), err);
    snprintf(path, sizeof path, "%s/tokenizer/merges.txt", golden_model_folder(model));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *space = strchr(line, ' ');
        if (line[0] == '#' || !space) continue;
        json_array_append_new(merges, has_pairs
                                          ? json_pack("[s%s]", line, (int)(space - line), space + 1)
                                          : json_string(line));
    }
    fclose(file);
    json_t *whole = json_pack("{s:s, s:[], s:{s:s, s:o, s:o}}", "version", "1.0", "added_tokens",
                              "model", "type", "BPE", "vocab", vocabulary, "merges", merges);
    char *text = json_dumps(whole, 0);
    temporary_write_text("model/tokenizer/tokenizer.json", text);
    free(text);
    json_decref(whole);
}

static void a_tokenizer_in_one_file(void **state)
{
    (void)state;
    for (size_t m = 0; minis[m]; m++) {
        char fingerprints[2][PM_HASH_TEXT_BYTES];
        for (int has_pairs = 0; has_pairs < 2; has_pairs++) {
            void *folder = NULL;
            struct pm_model model;
            struct pm_error err = {0};
            assert_int_equal(temporary_make(&folder), 0);
            write_model(minis[m], NULL, NULL, ".safetensors");
            assert_int_equal(unlink(temporary_path("model/tokenizer/vocab.json")), 0);
            assert_int_equal(unlink(temporary_path("model/tokenizer/merges.txt")), 0);
            write_whole_tokenizer(minis[m], has_pairs);
            assert_like_stored(m);
            assert_ok(pm_model_load(&model, temporary_path("model"), &err), err);
            strcpy(fingerprints[has_pairs], model.fingerprint);
            pm_model_free(&model);
            temporary_remove(&folder);
        }
        assert_string_not_equal(fingerprints[0], fingerprints[1]);
    }
}

/* A folder without what only other programs need, and without what says what is usual anyway. */
static void files_that_say_nothing_of_their_own_may_be_missing(void **state)
{
    (void)state;
    static const char *const optional[] = {"tokenizer/tokenizer_config.json",
                                           "tokenizer/special_tokens_map.json"};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        assert_int_equal(temporary_make(state), 0);
        write_model("mini-sd1", optional[i], NULL, ".safetensors");
        assert_like_stored(0);
        temporary_remove(state);
    }
}

static void files_that_decide_may_not_be_missing(void **state)
{
    (void)state;
    static const char *const needed[] = {"model_index.json", "unet/config.json",
                                         "tokenizer/vocab.json", "tokenizer/merges.txt"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        struct pm_model model;
        struct pm_error err = {0};
        assert_int_equal(temporary_make(state), 0);
        write_model("mini-sd1", needed[i], NULL, ".safetensors");
        assert_fails(pm_model_load(&model, temporary_path("model"), &err), err, needed[i]);
        temporary_remove(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_precision_files_by_their_own_name),
        cmocka_unit_test(full_precision_files),
        cmocka_unit_test(bf16_files_are_read_exactly),
        cmocka_unit_test(several_files_with_an_index),
        cmocka_unit_test(several_half_precision_files_named_as_today),
        cmocka_unit_test(several_half_precision_files_named_as_before),
        cmocka_unit_test(old_and_new_names_of_the_vaes_attention),
        cmocka_unit_test(old_and_new_names_of_the_text_encoder),
        cmocka_unit_test(a_tokenizer_in_one_file),
        cmocka_unit_test(files_that_say_nothing_of_their_own_may_be_missing),
        cmocka_unit_test(files_that_decide_may_not_be_missing),
    };
    return cmocka_run_group_tests(tests, compute_stored, free_stored);
}
