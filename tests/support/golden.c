#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const golden_models[] = {"scenes", "mini-sd1", "mini-sd2", NULL};

#define FORMAT_INTO(buffer, format)                                                                \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, format);                                                                   \
        vsnprintf(buffer, sizeof buffer, format, args_);                                           \
        va_end(args_);                                                                             \
    } while (0)

struct golden golden_open(const char *path_format, ...)
{
    char stem[256], path[320];
    struct pm_error err = {0};
    struct golden golden = {0};
    FORMAT_INTO(stem, path_format);
    snprintf(path, sizeof path, "tests/golden/data/%s.safetensors", stem);
    assert_ok(pm_safetensors_open(&golden.tensors, path, &err), err);
    snprintf(path, sizeof path, "tests/golden/data/%s.json", stem);
    assert_ok(pm_json_load(&golden.json, path, 1 << 26, &err), err);
    return golden;
}

void golden_close(struct golden *golden)
{
    pm_safetensors_close(&golden->tensors);
    json_decref(golden->json);
}

static const struct pm_tensor *find(const struct golden *golden, const char *name)
{
    const struct pm_tensor *tensor = pm_safetensors_find(&golden->tensors, name);
    if (!tensor) fail_msg("%s has no \"%s\"", golden->tensors.path, name);
    return tensor;
}

float *golden_floats(const struct golden *golden, size_t *elements, const char *name_format, ...)
{
    char name[128];
    FORMAT_INTO(name, name_format);
    const struct pm_tensor *tensor = find(golden, name);
    float *values = test_malloc((tensor->elements + 1) * sizeof *values);
    pm_tensor_floats(values, tensor);
    if (elements) *elements = tensor->elements;
    return values;
}

int *golden_ints(const struct golden *golden, size_t *elements, const char *name_format, ...)
{
    char name[128];
    FORMAT_INTO(name, name_format);
    const struct pm_tensor *tensor = find(golden, name);
    int *values = test_malloc((tensor->elements + 1) * sizeof *values);
    bool is_byte = strcmp(tensor->dtype, "U8") == 0;
    assert_true(is_byte || strcmp(tensor->dtype, "I32") == 0);
    for (size_t i = 0; i < tensor->elements; i++) {
        int32_t value;
        memcpy(&value, tensor->data + (is_byte ? 0 : 4 * i), sizeof value);
        values[i] = is_byte ? tensor->data[i] : value;
    }
    if (elements) *elements = tensor->elements;
    return values;
}

static float *transpose(float *x, size_t batch, size_t rows, size_t columns)
{
    float *out = test_malloc((batch * rows * columns + 1) * sizeof *out);
    for (size_t b = 0; b < batch; b++)
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < columns; c++)
                out[(b * columns + c) * rows + r] = x[(b * rows + r) * columns + c];
    test_free(x);
    return out;
}

float *channels_last(float *x, size_t batch, size_t channels, size_t pixels)
{
    return transpose(x, batch, channels, pixels);
}

float *channels_first(float *x, size_t batch, size_t channels, size_t pixels)
{
    return transpose(x, batch, pixels, channels);
}

const char *golden_model_folder(const char *model)
{
    if (strcmp(model, "scenes") == 0) return "models/scenes";
    return strcmp(model, "mini-sd1") == 0 ? "tests/golden/data/models/mini-sd1"
                                          : "tests/golden/data/models/mini-sd2";
}
