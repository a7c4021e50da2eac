#include "test.h"

#include "temporary.h"

#include "pm/model/tensor_set.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct pm_tensor_set set;
static const float values[] = {1.0f, 2.0f, 3.0f};

static void write_shard(const char *file, const char *tensor, const char *other)
{
    char header[256];
    int n =
        snprintf(header, sizeof header,
                 "{\"%s\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}", tensor);
    snprintf(header + n, sizeof header - (size_t)n,
             other ? ", \"%s\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [4, 12]}}"
                   : "}",
             other);
    temporary_write_safetensors(file, header, values, other ? 12 : 4);
}

static void write_index(const char *weight_map)
{
    char text[512];
    snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": 16}, \"weight_map\": %s}",
             weight_map);
    temporary_write_text("net.safetensors.index.json", text);
}

static void assert_opens(size_t tensors)
{
    struct pm_error err = {0};
    assert_ok(pm_tensor_set_open(&set, temporary_path("."), "net", &err), err);
    assert_int_equal(set.count, tensors);
}

static void assert_refused(const char *sentence)
{
    struct pm_error err = {0};
    assert_fails(pm_tensor_set_open(&set, temporary_path("."), "net", &err), err, sentence);
    assert_null(set.files);
}

static int close_and_remove(void **state)
{
    pm_tensor_set_close(&set);
    return temporary_remove(state);
}

static void an_index_brings_its_files_together(void **state)
{
    (void)state;
    float x;
    write_shard("net-00001-of-00002.safetensors", "b", "c");
    write_shard("net-00002-of-00002.safetensors", "a", NULL);
    write_index(
        "{\"a\": \"net-00002-of-00002.safetensors\", \"b\": \"net-00001-of-00002.safetensors\","
        " \"c\": \"net-00001-of-00002.safetensors\"}");
    assert_opens(3);
    assert_int_equal(set.file_count, 2);
    assert_true(set.has_index);
    pm_tensor_floats(&x, pm_tensor_set_find(&set, "b"));
    assert_true(x == 1.0f);
    assert_int_equal(pm_tensor_set_find(&set, "c")->elements, 2);
    assert_null(pm_tensor_set_find(&set, "d"));
}

static void half_precision_has_an_index_of_its_own(void **state)
{
    (void)state;
    write_shard("net.fp16-00001-of-00001.safetensors", "a", NULL);
    temporary_write_text("net.safetensors.index.fp16.json",
                         "{\"weight_map\": {\"a\": \"net.fp16-00001-of-00001.safetensors\"}}");
    assert_opens(1);
}

static void one_file_goes_before_an_index(void **state)
{
    (void)state;
    write_shard("net.safetensors", "a", NULL);
    write_index("{\"a\": \"no-such-file.safetensors\"}");
    assert_opens(1);
    assert_false(set.has_index);
}

static void an_index_that_does_not_fit_its_files_is_refused(void **state)
{
    (void)state;
    write_shard("one.safetensors", "a", "b");
    write_shard("two.safetensors", "b", NULL);
    write_index("{\"a\": \"one.safetensors\"}");
    assert_refused("net.safetensors.index.json does not list the tensor \"b\" of its files");
    write_index(
        "{\"a\": \"one.safetensors\", \"b\": \"one.safetensors\", \"c\": \"one.safetensors\"}");
    assert_refused("net.safetensors.index.json: \"c\" is not in one.safetensors");
    write_index("{\"a\": \"one.safetensors\", \"b\": \"two.safetensors\"}");
    assert_refused("has the tensor \"b\" twice");
    write_index("{\"a\": \"three.safetensors\"}");
    assert_refused("three.safetensors");
    write_index("{\"a\": \"../one.safetensors\"}");
    assert_refused("names the file \"../one.safetensors\"; one beside it is wanted");
    write_index("{\"a\": 1}");
    assert_refused("names the file \"\"");
    write_index("[]");
    assert_refused("has no \"weight_map\"");
    temporary_write_text("net.safetensors.index.json", "[]");
    assert_refused("has no \"weight_map\"");
    temporary_write_text("net.safetensors.index.json", "{");
    assert_refused("net.safetensors.index.json:1");
}

static void a_folder_that_leaves_no_room_for_its_files_names_is_refused(void **state)
{
    (void)state;
    char folder[PATH_MAX];
    struct pm_error err = {0};
    for (size_t i = 0; i < sizeof folder; i++) folder[i] = i % 2 ? '/' : '.';
    folder[sizeof folder - 2] = '\0';
    assert_fails(pm_tensor_set_open(&set, folder, "net", &err), err, "the path ./././");
    assert_non_null(strstr(err.message, "is too long"));
}

static void a_pickled_file_is_refused_with_what_converts_it(void **state)
{
    (void)state;
    temporary_write_text("net.bin", "PK\003\004");
    assert_refused("net.bin is a pickled file of PyTorch's");
    assert_refused("save_pretrained");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temporary_make, close_and_remove)
    const struct CMUnitTest tests[] = {
        TEST(an_index_brings_its_files_together),
        TEST(half_precision_has_an_index_of_its_own),
        TEST(one_file_goes_before_an_index),
        TEST(an_index_that_does_not_fit_its_files_is_refused),
        TEST(a_folder_that_leaves_no_room_for_its_files_names_is_refused),
        TEST(a_pickled_file_is_refused_with_what_converts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
