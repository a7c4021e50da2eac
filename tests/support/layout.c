#include "layout.h"

#include "golden.h"
#include "temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct layout_tensor *add(struct layout *layout, const char *name, const char *dtype,
                                 size_t rank, const size_t *shape, size_t element_bytes)
{
    layout->tensors = test_realloc(layout->tensors, (layout->count + 1) * sizeof *layout->tensors);
    struct layout_tensor *t = &layout->tensors[layout->count++];
    *t = (struct layout_tensor){.dtype = dtype, .rank = rank, .elements = 1};
    snprintf(t->name, sizeof t->name, "%s", name);
    for (size_t i = 0; i < rank; i++) {
        t->shape[i] = shape[i];
        t->elements *= shape[i];
    }
    t->bytes = t->elements * element_bytes;
    t->data = test_calloc(t->bytes + 1, 1);
    return t;
}

/* Of a list that outlives the file that names it. */
static const char *lasting_dtype(const char *dtype)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16", "I64"};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype, dtypes[i]) == 0) return dtypes[i];
    fail_msg("a tensor of %s", dtype);
    return NULL;
}

struct layout layout_read(const char *model, enum pm_network network)
{
    char folder[256];
    struct pm_tensor_set set;
    struct pm_error err = {0};
    struct layout layout = {0};
    snprintf(folder, sizeof folder, "%s/%s", golden_model_folder(model), pm_network_name(network));
    assert_ok(pm_tensor_set_open(&set, folder, pm_network_stem(network), &err), err);
    for (size_t i = 0; i < set.count; i++) {
        const struct pm_tensor *t = &set.tensors[i];
        struct layout_tensor *copy = add(&layout, t->name, lasting_dtype(t->dtype), t->rank,
                                         t->shape, t->elements ? t->bytes / t->elements : 1);
        memcpy(copy->data, t->data, t->bytes);
    }
    pm_tensor_set_close(&set);
    return layout;
}

void layout_free(struct layout *layout)
{
    for (size_t i = 0; i < layout->count; i++) test_free(layout->tensors[i].data);
    if (layout->tensors) test_free(layout->tensors);
    *layout = (struct layout){0};
}

static void replace(struct layout_tensor *t, char *at, size_t length, const char *to)
{
    char renamed[sizeof t->name];
    int n = snprintf(renamed, sizeof renamed, "%.*s%s%s", (int)(at - t->name), t->name, to,
                     at + length);
    assert_true(n > 0 && (size_t)n < sizeof renamed);
    strcpy(t->name, renamed);
}

size_t layout_rename(struct layout *layout, const char *from, const char *to)
{
    size_t count = 0;
    for (size_t i = 0; i < layout->count; i++) {
        char *at = strstr(layout->tensors[i].name, from);
        if (!at) continue;
        replace(&layout->tensors[i], at, strlen(from), to);
        count++;
    }
    return count;
}

size_t layout_rename_start(struct layout *layout, const char *from, const char *to)
{
    size_t count = 0;
    for (size_t i = 0; i < layout->count; i++) {
        if (strncmp(layout->tensors[i].name, from, strlen(from)) != 0) continue;
        replace(&layout->tensors[i], layout->tensors[i].name, strlen(from), to);
        count++;
    }
    return count;
}

struct layout_tensor *layout_find(const struct layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->count; i++)
        if (strcmp(layout->tensors[i].name, name) == 0) return &layout->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

void layout_convert(struct layout *layout, const char *dtype)
{
    size_t bytes = strcmp(dtype, "F32") == 0 ? 4 : 2;
    for (size_t i = 0; i < layout->count; i++) {
        struct layout_tensor *t = &layout->tensors[i];
        struct pm_tensor old = {
            .name = t->name, .dtype = t->dtype, .elements = t->elements, .data = t->data};
        if (!pm_tensor_is_float(&old)) continue;
        float *values = test_malloc((t->elements + 1) * sizeof *values);
        pm_tensor_floats(values, &old);
        test_free(t->data);
        t->data = test_malloc(t->elements * bytes + 1);
        for (size_t j = 0; j < t->elements; j++) /* a BF16 is the upper half */
            memcpy(t->data + j * bytes, (char *)&values[j] + sizeof(float) - bytes, bytes);
        t->dtype = lasting_dtype(dtype);
        t->bytes = t->elements * bytes;
        test_free(values);
    }
}

void layout_add(struct layout *layout, const char *name, const char *dtype, size_t rank,
                const size_t *shape)
{
    size_t bytes = strcmp(dtype, "I64") == 0 ? 8 : strcmp(dtype, "F32") == 0 ? 4 : 2;
    add(layout, name, lasting_dtype(dtype), rank, shape, bytes);
}

void layout_append(struct layout *layout, struct layout *from)
{
    layout->tensors =
        test_realloc(layout->tensors, (layout->count + from->count) * sizeof *layout->tensors);
    memcpy(layout->tensors + layout->count, from->tensors, from->count * sizeof *from->tensors);
    layout->count += from->count;
    test_free(from->tensors);
    *from = (struct layout){0};
}

void layout_write(const struct layout *layout, size_t first, size_t end, const char *name)
{
    size_t bytes = 0, at = 0;
    json_t *header = json_object();
    for (size_t i = first; i < end; i++) bytes += layout->tensors[i].bytes;
    unsigned char *data = test_malloc(bytes + 1);
    for (size_t i = first; i < end; i++) {
        const struct layout_tensor *t = &layout->tensors[i];
        json_t *shape = json_array();
        for (size_t j = 0; j < t->rank; j++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape[j]));
        memcpy(data + at, t->data, t->bytes);
        json_object_set_new(header, t->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->dtype, "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes)));
        at += t->bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    temporary_write_safetensors(name, text, data, bytes);
    free(text);
    json_decref(header);
    test_free(data);
}
