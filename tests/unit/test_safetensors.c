#include "test.h"

#include "temporary.h"

#include "pm/model/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const unsigned char zeros[64];

static void write_file(const char *header, size_t data_bytes)
{
    temporary_write_safetensors("x.safetensors", header, zeros, data_bytes);
}

static void open_file(struct pm_safetensors *file)
{
    struct pm_error err = {0};
    assert_ok(pm_safetensors_open(file, temporary_path("x.safetensors"), &err), err);
}

static void tensors_are_found_by_name(void **state)
{
    (void)state;
    struct pm_safetensors file;
    write_file("{\"__metadata__\": {\"format\": \"pt\"},"
               " \"b\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [2, 26]},"
               " \"a\": {\"dtype\": \"I8\", \"shape\": [2], \"data_offsets\": [0, 2]},"
               " \"scalar\": {\"dtype\": \"F16\", \"shape\": [], \"data_offsets\": [26, 28]}}",
               28);
    open_file(&file);
    assert_int_equal(file.count, 3);
    const struct pm_tensor *b = pm_safetensors_find(&file, "b");
    assert_non_null(b);
    assert_true(b->rank == 2 && b->shape[0] == 2 && b->shape[1] == 3);
    assert_true(b->elements == 6 && b->bytes == 24);
    assert_string_equal(b->dtype, "F32");
    assert_true(pm_tensor_is_float(b));
    assert_false(pm_tensor_is_float(pm_safetensors_find(&file, "a")));
    assert_int_equal(pm_safetensors_find(&file, "scalar")->elements, 1);
    assert_null(pm_safetensors_find(&file, "__metadata__"));
    assert_null(pm_safetensors_find(&file, "c"));
    pm_safetensors_close(&file);
}

static void tensors_without_elements_are_allowed(void **state)
{
    (void)state;
    struct pm_safetensors file;
    write_file("{\"x\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]},"
               " \"first\": {\"dtype\": \"F32\", \"shape\": [0], \"data_offsets\": [0, 0]},"
               " \"last\": {\"dtype\": \"F32\", \"shape\": [3, 0], \"data_offsets\": [8, 8]}}",
               8);
    open_file(&file);
    assert_int_equal(file.count, 3);
    float unwritten = NAN;
    pm_tensor_floats(&unwritten, pm_safetensors_find(&file, "last"));
    assert_true(isnan(unwritten));
    pm_safetensors_close(&file);
    write_file("{}", 0);
    open_file(&file);
    assert_int_equal(file.count, 0);
    assert_null(pm_safetensors_find(&file, "x"));
    pm_safetensors_close(&file);
}

/* sign 2^(exponent - bias) (1 + fraction/2^bits), and the special cases, from the definition. */
static double value_of(unsigned bits16, int exponent_bits, int fraction_bits)
{
    int exponent = (int)(bits16 >> fraction_bits) & ((1 << exponent_bits) - 1);
    double fraction = ldexp(bits16 & ((1u << fraction_bits) - 1), -fraction_bits);
    int bias = (1 << (exponent_bits - 1)) - 1;
    double value;
    if (exponent == (1 << exponent_bits) - 1)
        value = fraction > 0.0 ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexp(fraction, 1 - bias);
    else
        value = ldexp(1.0 + fraction, exponent - bias);
    return bits16 & 0x8000 ? -value : value;
}

/* All 65536 values, at an address that is odd. */
static void assert_all_exact(const char *dtype, int exponent_bits, int fraction_bits)
{
    enum { ALL = 65536 };
    static unsigned char data[1 + 2 * ALL];
    static float out[ALL];
    char header[256];
    for (unsigned i = 0; i < ALL; i++) {
        data[1 + 2 * i] = (unsigned char)i;
        data[2 + 2 * i] = (unsigned char)(i >> 8);
    }
    int length = snprintf(header, sizeof header,
                          "{\"odd\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [0, 1]},"
                          " \"x\": {\"dtype\": \"%s\", \"shape\": [256, 256], \"data_offsets\": "
                          "[1, 131073]}}",
                          dtype);
    while (length % 8) header[length++] = ' '; /* so that x is at an odd address */
    header[length] = '\0';
    temporary_write_safetensors("x.safetensors", header, data, sizeof data);
    struct pm_safetensors file;
    open_file(&file);
    const struct pm_tensor *x = pm_safetensors_find(&file, "x");
    assert_true((uintptr_t)x->data % 2 == 1);
    fill_nan(out, ALL);
    pm_tensor_floats(out, x);
    for (unsigned i = 0; i < ALL; i++) {
        double expected = value_of(i, exponent_bits, fraction_bits);
        bool same = isnan(expected)
                        ? isnan(out[i])
                        : (double)out[i] == expected && !signbit(out[i]) == !signbit(expected);
        if (!same) fail_msg("%s %04x became %g, not %g", dtype, i, (double)out[i], expected);
    }
    pm_safetensors_close(&file);
}

static void every_half_and_every_bfloat_is_exact(void **state)
{
    (void)state;
    assert_all_exact("F16", 5, 10);
    assert_all_exact("BF16", 8, 7);
}

static void floats_are_read_from_any_address(void **state)
{
    (void)state;
    static const float values[] = {1.0f, -0.0f, 3.4028235e38f, 1.4e-45f, -7.25f, INFINITY};
    enum { VALUES = sizeof values / sizeof *values };
    for (size_t shift = 0; shift < 4; shift++) {
        unsigned char data[4 + sizeof values] = {0};
        memcpy(data + shift, values, sizeof values);
        char header[256];
        snprintf(header, sizeof header,
                 "{\"pad\": {\"dtype\": \"U8\", \"shape\": [%zu], \"data_offsets\": [0, %zu]},"
                 " \"x\": {\"dtype\": \"F32\", \"shape\": [%d], \"data_offsets\": [%zu, %zu]}}",
                 shift, shift, VALUES, shift, shift + sizeof values);
        temporary_write_safetensors("x.safetensors", header, data, shift + sizeof values);
        struct pm_safetensors file;
        float out[VALUES];
        open_file(&file);
        pm_tensor_floats(out, pm_safetensors_find(&file, "x"));
        assert_memory_equal(out, values, sizeof out);
        pm_safetensors_close(&file);
    }
}

static void assert_open_fails(const char *name, const char *sentence)
{
    struct pm_error err = {0};
    struct pm_safetensors file;
    assert_fails(pm_safetensors_open(&file, temporary_path(name), &err), err, sentence);
    if (!strstr(err.message, temporary_path(name))) fail_msg("no file in: %s", err.message);
    assert_null(file.map);
}

/* A header for 8 bytes of data whose tensor "w" is wrong; the sentence names it and the file. */
static void assert_tensor_refused(const char *entries, const char *sentence)
{
    char header[512];
    snprintf(header, sizeof header, "{%s}", entries);
    write_file(header, 8);
    assert_open_fails("x.safetensors", sentence);
    struct pm_error err = {0};
    struct pm_safetensors file;
    assert_fails(pm_safetensors_open(&file, temporary_path("x.safetensors"), &err), err, "\"w\"");
}

#define ENTRY(dtype, shape, offsets)                                                               \
    "\"w\": {\"dtype\": " dtype ", \"shape\": " shape ", \"data_offsets\": " offsets "}"

static void a_tensor_outside_the_file_is_refused(void **state)
{
    (void)state;
    assert_tensor_refused(ENTRY("\"F32\"", "[3]", "[0, 12]"),
                          "lies outside the file (8 data bytes)");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "[8, 0]"), "lies outside the file");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "[-8, 0]"), "lies outside the file");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "[4, 12]"), "lies outside the file");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "[9223372036854775800, 9223372036854775807]"),
                          "lies outside the file");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "[0]"), "lies outside the file");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "[0, 8, 8]"), "lies outside the file");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "[0, 8.0]"), "lies outside the file");
    assert_tensor_refused(ENTRY("\"F32\"", "[2]", "\"0\""), "lies outside the file");
}

static void a_shape_that_does_not_fit_its_bytes_is_refused(void **state)
{
    (void)state;
    assert_tensor_refused(ENTRY("\"F32\"", "[3]", "[0, 8]"),
                          "has 8 bytes, its shape wants 3 of F32");
    assert_tensor_refused(ENTRY("\"F64\"", "[2]", "[0, 8]"),
                          "has 8 bytes, its shape wants 2 of F64");
    assert_tensor_refused(ENTRY("\"F32\"", "[]", "[0, 8]"),
                          "has 8 bytes, its shape wants 1 of F32");
    /* 2^32 * 2^32, and 2^62 * 4 bytes + 8 */
    assert_tensor_refused(ENTRY("\"F32\"", "[4294967296, 4294967296]", "[0, 8]"),
                          "impossible shape");
    assert_tensor_refused(ENTRY("\"F32\"", "[4611686018427387906]", "[0, 8]"), "has 8 bytes");
    assert_tensor_refused(ENTRY("\"F32\"", "[-2, -1]", "[0, 8]"), "impossible shape");
    assert_tensor_refused(ENTRY("\"F32\"", "[2.0]", "[0, 8]"), "impossible shape");
    assert_tensor_refused(ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0, 8]"),
                          "no shape of at most 8 dimensions");
    assert_tensor_refused(ENTRY("\"F32\"", "2", "[0, 8]"), "no shape");
    assert_tensor_refused("\"w\": {\"dtype\": \"F32\"}", "no shape");
}

static void an_unknown_dtype_is_refused(void **state)
{
    (void)state;
    assert_tensor_refused(ENTRY("\"F4\"", "[2]", "[0, 8]"), "has the unknown dtype \"F4\"");
    assert_tensor_refused(ENTRY("7", "[2]", "[0, 8]"), "has the unknown dtype \"\"");
    assert_tensor_refused("\"w\": 3", "has the unknown dtype \"\"");
}

static void holes_and_overlaps_are_refused(void **state)
{
    (void)state;
    assert_tensor_refused(ENTRY("\"F32\"", "[1]", "[4, 8]"), "overlaps another or leaves a hole");
    assert_tensor_refused(
        "\"a\": {\"dtype\": \"U8\", \"shape\": [5], \"data_offsets\": [0, 5]}, " ENTRY(
            "\"F32\"", "[1]", "[4, 8]"),
        "overlaps another or leaves a hole");
    assert_tensor_refused(
        "\"a\": {\"dtype\": \"U8\", \"shape\": [8], \"data_offsets\": [0, 8]}, " ENTRY(
            "\"F32\"", "[0]", "[4, 4]"),
        "overlaps another or leaves a hole");
    write_file("{" ENTRY("\"F32\"", "[1]", "[0, 4]") "}", 8);
    assert_open_fails("x.safetensors", "4 bytes at its end belong to no tensor");
    write_file("{}", 1);
    assert_open_fails("x.safetensors", "1 bytes at its end belong to no tensor");
}

static void a_header_that_is_no_header_is_refused(void **state)
{
    (void)state;
    write_file("{" ENTRY("\"F32\"", "[2]", "[0, 8]") ", " ENTRY("\"F32\"", "[2]", "[0, 8]") "}", 8);
    assert_open_fails("x.safetensors", "duplicate object key");
    write_file("{\"w\": ", 8);
    assert_open_fails("x.safetensors", "column");
    write_file("[1, 2]", 0);
    assert_open_fails("x.safetensors", "its header is no JSON object");
    write_file("", 8);
    assert_open_fails("x.safetensors", "column");
    write_file("{\"w\\u0000x\": 1}", 8);
    assert_open_fails("x.safetensors", "column");
}

static void a_header_longer_than_the_file_is_refused(void **state)
{
    (void)state;
    static const unsigned char one_too_many[] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    static const unsigned char wraps[] = {0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, '{', '}'};
    temporary_write("x.safetensors", one_too_many, sizeof one_too_many);
    assert_open_fails("x.safetensors", "its header claims 3 bytes, the file has 10");
    temporary_write("x.safetensors", wraps, sizeof wraps);
    assert_open_fails("x.safetensors", "its header claims 18446744073709551608 bytes");

    /* 100000001 bytes, all there: a sparse file */
    static const unsigned char large[] = {0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0};
    temporary_write("x.safetensors", large, sizeof large);
    assert_int_equal(truncate(temporary_path("x.safetensors"), 100000009), 0);
    assert_open_fails("x.safetensors", "its header has 100000001 bytes, more than 100000000");
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    temporary_write("empty", "", 0);
    assert_open_fails("empty", "has 0 bytes: too short");
    temporary_write("short", "1234567", 7);
    assert_open_fails("short", "has 7 bytes: too short");
    assert_open_fails(".", "is not a regular file");
    assert_open_fails("none", "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_found_by_name),
        cmocka_unit_test(tensors_without_elements_are_allowed),
        cmocka_unit_test(every_half_and_every_bfloat_is_exact),
        cmocka_unit_test(floats_are_read_from_any_address),
        cmocka_unit_test(a_tensor_outside_the_file_is_refused),
        cmocka_unit_test(a_shape_that_does_not_fit_its_bytes_is_refused),
        cmocka_unit_test(an_unknown_dtype_is_refused),
        cmocka_unit_test(holes_and_overlaps_are_refused),
        cmocka_unit_test(a_header_that_is_no_header_is_refused),
        cmocka_unit_test(a_header_longer_than_the_file_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
