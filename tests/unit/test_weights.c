#include "test.h"

#include "temporary.h"

#include "pm/model/linear.h"
#include "pm/model/weights.h"

#include <string.h>

/* A network of one linear [2, 3] with a bias, a convolution [2, 3, 3, 3], a norm of 3 channels,
 * and the whole numbers that text encoders bring along. */
static const char HEADER[] =
    "{\"lin.weight\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]},"
    " \"lin.bias\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [24, 32]},"
    " \"conv.weight\": {\"dtype\": \"F32\", \"shape\": [2, 3, 3, 3], \"data_offsets\": [32, 248]},"
    " \"conv.bias\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [248, 256]},"
    " \"norm.weight\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [256, 268]},"
    " \"norm.bias\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [268, 280]},"
    " \"position_ids\": {\"dtype\": \"I64\", \"shape\": [1, 1], \"data_offsets\": [280, 288]}}";
static const float values[72] = {1, 2, 3, 4, 5, 6, 0.5f, -0.5f};

static struct pm_arena memory;
static struct pm_component component;
static struct pm_weights weights;

static void open_weights(const char *name, const char *header, size_t bytes)
{
    struct pm_error err = {0};
    temporary_write_safetensors(name, header, values, bytes);
    assert_ok(pm_tensor_set_open(&component.set, temporary_path("."), "net", &err), err);
    pm_weights_open(&weights, &component, &memory);
}

static void close_weights(void)
{
    pm_weights_close(&weights);
    pm_tensor_set_close(&component.set);
}

static int set_up(void **state)
{
    pm_arena_init(&memory, 1 << 20);
    return temporary_make(state);
}

static int tear_down(void **state)
{
    if (weights.used) close_weights();
    pm_arena_free(&memory);
    return temporary_remove(state);
}

static void assert_gives_its_product(const struct pm_linear *linear)
{
    static const float x[] = {1.0f, 10.0f, 100.0f};
    float y[2];
    fill_nan(y, 2);
    pm_linear_forward(y, x, linear, 1, PM_IDENTITY, NULL, NULL);
    float bias[2] = {linear->bias ? 0.5f : 0.0f, linear->bias ? -0.5f : 0.0f};
    assert_true(y[0] == 321.0f + bias[0] && y[1] == 654.0f + bias[1]);
}

static void a_linear_is_read_with_and_without_bias(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_linear linear;
    open_weights("net.safetensors", HEADER, sizeof values);
    assert_true(pm_weights_has(&weights, "%s.bias", "lin"));
    assert_false(pm_weights_has(&weights, "%s.bias", "li"));
    assert_ok(pm_weights_linear(&linear, &weights, 2, 3, PM_BIAS, &err, "lin"), err);
    assert_non_null(linear.bias);
    assert_gives_its_product(&linear);
    assert_ok(pm_weights_linear(&linear, &weights, 2, 3, PM_NO_BIAS, &err, "%s", "lin"), err);
    assert_null(linear.bias);
    assert_gives_its_product(&linear);
}

static void a_1x1_convolution_is_a_linear(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_linear linear;
    open_weights("net.safetensors",
                 "{\"p.weight\": {\"dtype\": \"F32\", \"shape\": [2, 3, 1, 1], \"data_offsets\": "
                 "[0, 24]}}",
                 24);
    assert_ok(pm_weights_linear(&linear, &weights, 2, 3, PM_NO_BIAS, &err, "p"), err);
    assert_gives_its_product(&linear);
}

static void half_precision_is_found_under_its_own_name(void **state)
{
    (void)state;
    struct pm_error err = {0};
    const float *x;
    static const unsigned char one_and_minus_two[] = {0x00, 0x3C, 0x00, 0xC0};
    temporary_write_safetensors(
        "net.fp16.safetensors",
        "{\"x\": {\"dtype\": \"F16\", \"shape\": [2], \"data_offsets\": [0, 4]}}",
        one_and_minus_two, 4);
    assert_ok(pm_tensor_set_open(&component.set, temporary_path("."), "net", &err), err);
    pm_weights_open(&weights, &component, &memory);
    assert_ok(pm_weights_floats(&x, &weights, 2, 1, &err, "x"), err);
    assert_true(x[0] == 1.0f && x[1] == -2.0f);
    close_weights();

    /* where both are, the full one is taken */
    open_weights("net.safetensors", HEADER, sizeof values);
    assert_true(pm_weights_has(&weights, "lin.weight"));
}

static void a_folder_without_weights_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_fails(pm_tensor_set_open(&component.set, temporary_path("."), "net", &err), err,
                 "has neither net.safetensors nor net.fp16.safetensors");
    temporary_write_text("net.safetensors", "no weights");
    assert_fails(pm_tensor_set_open(&component.set, temporary_path("."), "net", &err), err,
                 "net.safetensors: its header claims");
}

static void another_shape_is_refused_with_both(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_linear linear;
    struct pm_conv conv = {.stride = 1};
    struct pm_norm norm;
    open_weights("net.safetensors", HEADER, sizeof values);
    assert_fails(pm_weights_linear(&linear, &weights, 3, 2, PM_BIAS, &err, "lin"), err,
                 "net.safetensors: \"lin.weight\" is [2,3], its config asks for [3,2]");
    assert_fails(pm_weights_conv(&conv, &weights, 2, 3, 1, &err, "conv"), err,
                 "\"conv.weight\" is [2,3,3,3], its config asks for [2,3,1,1]");
    assert_fails(pm_weights_linear(&linear, &weights, 2, 3, PM_BIAS, &err, "conv"), err,
                 "\"conv.weight\" is [2,3,3,3], its config asks for [2,3]");
    assert_fails(pm_weights_norm(&norm, &weights, 4, &err, "norm"), err,
                 "\"norm.weight\" is [3], its config asks for [4]");
}

static void a_missing_tensor_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {"lin", "to_k", NULL};
    struct pm_error err = {0};
    struct pm_linear linear;
    const float *x;
    open_weights("net.safetensors", HEADER, sizeof values);
    assert_fails(pm_weights_linear(&linear, &weights, 2, 3, PM_NO_BIAS, &err, "mid.%d", 7), err,
                 "net.safetensors has no tensor \"mid.7.weight\"");
    assert_fails(pm_weights_fused_linear(&linear, &weights, 2, 3, PM_NO_BIAS, names, &err, "attn"),
                 err, "has no tensor \"attn.lin.weight\"");
    assert_fails(pm_weights_floats(&x, &weights, 1, 1, &err, "position_ids"), err,
                 "\"position_ids\" is I64; F32, F16 or BF16 is wanted");
    assert_fails(pm_weights_floats(&x, &weights, 2, 7, &err, "lin.weight"), err, "\"lin.weight\"");
}

static void every_float_must_have_been_asked_for(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_linear linear;
    struct pm_conv conv = {.stride = 1, .pad_before = 1, .pad_after = 1};
    struct pm_norm norm;
    open_weights("net.safetensors", HEADER, sizeof values);
    assert_ok(pm_weights_linear(&linear, &weights, 2, 3, PM_BIAS, &err, "lin"), err);
    assert_ok(pm_weights_conv(&conv, &weights, 2, 3, 3, &err, "conv"), err);
    assert_fails(pm_weights_check_all_used(&weights, &err), err,
                 "net.safetensors: the tensor \"norm.bias\" has no place in the network");
    assert_ok(pm_weights_norm(&norm, &weights, 3, &err, "norm"), err);
    assert_ok(pm_weights_check_all_used(&weights, &err), err); /* position_ids are passed over */
    close_weights();

    open_weights("net.safetensors",
                 "{\"wide\": {\"dtype\": \"F64\", \"shape\": [1], \"data_offsets\": [0, 8]}}", 8);
    assert_fails(pm_weights_check_all_used(&weights, &err), err, "the tensor \"wide\"");
}

static void fused_linears_lie_side_by_side(void **state)
{
    (void)state;
    static const char *const names[] = {"to_q", "to_k", NULL};
    struct pm_error err = {0};
    struct pm_linear fused;
    open_weights(
        "net.safetensors",
        "{\"a.to_q.weight\": {\"dtype\": \"F32\", \"shape\": [1, 3], \"data_offsets\": [0, 12]},"
        " \"a.to_k.weight\": {\"dtype\": \"F32\", \"shape\": [1, 3], \"data_offsets\": [12, "
        "24]}, \"a.to_q.bias\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [24, "
        "28]}, \"a.to_k.bias\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [28, "
        "32]}}",
        32);
    assert_ok(pm_weights_fused_linear(&fused, &weights, 1, 3, PM_BIAS, names, &err, "%s", "a"),
              err);
    assert_true(fused.out == 2 && fused.in == 3);
    assert_gives_its_product(&fused);
    assert_ok(pm_weights_check_all_used(&weights, &err), err);
}

#define EACH_IN_ITS_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_IN_ITS_FOLDER(a_linear_is_read_with_and_without_bias),
        EACH_IN_ITS_FOLDER(a_1x1_convolution_is_a_linear),
        EACH_IN_ITS_FOLDER(half_precision_is_found_under_its_own_name),
        EACH_IN_ITS_FOLDER(a_folder_without_weights_is_refused),
        EACH_IN_ITS_FOLDER(another_shape_is_refused_with_both),
        EACH_IN_ITS_FOLDER(a_missing_tensor_is_named),
        EACH_IN_ITS_FOLDER(every_float_must_have_been_asked_for),
        EACH_IN_ITS_FOLDER(fused_linears_lie_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
