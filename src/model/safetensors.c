#include "pm/model/safetensors.h"

#include "pm/base/json.h"
#include "pm/base/narrow.h"
#include "pm/base/open_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = 100000000 }; /* the format's own limit */

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
              {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
              {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

static uint64_t little_endian_64(const unsigned char *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

static bool map_file(struct pm_safetensors *file, struct pm_error *err)
{
    size_t bytes;
    bool ok = true;
    int fd = pm_open_file(&bytes, file->path, err);
    if (fd < 0) return false;
    if (bytes < LENGTH_BYTES) {
        ok = pm_fail(err, PM_E_FORMAT, "%s has %zu bytes: too short for a .safetensors file",
                     file->path, bytes);
    } else {
        file->map_bytes = bytes;
        file->map = mmap(NULL, file->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (file->map == MAP_FAILED) {
            file->map = NULL;
            ok = pm_fail(err, PM_E_IO, "cannot map %s: %s", file->path, strerror(errno));
        }
    }
    close(fd);
    return ok;
}

static bool read_shape(struct pm_tensor *tensor, const json_t *shape, const char *path,
                       struct pm_error *err)
{
    tensor->rank = json_array_size(shape);
    tensor->elements = 1;
    if (!json_is_array(shape) || tensor->rank > PM_TENSOR_MAX_RANK)
        return pm_fail(err, PM_E_FORMAT, "%s: tensor \"%s\" has no shape of at most %d dimensions",
                       path, tensor->name, PM_TENSOR_MAX_RANK);
    for (size_t i = 0; i < tensor->rank; i++) {
        const json_t *side = json_array_get(shape, i);
        json_int_t n = json_integer_value(side);
        if (!json_is_integer(side) || n < 0 ||
            __builtin_mul_overflow(tensor->elements, (size_t)n, &tensor->elements))
            return pm_fail(err, PM_E_FORMAT, "%s: tensor \"%s\" has an impossible shape", path,
                           tensor->name);
        tensor->shape[i] = (size_t)n;
    }
    return true;
}

static bool read_entry(struct pm_tensor *tensor, const json_t *entry, const char *path,
                       const unsigned char *data, size_t data_bytes, struct pm_error *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    size_t element_bytes = 0;
    for (size_t i = 0; dtype && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, dtype) == 0) {
            tensor->dtype = dtypes[i].name;
            element_bytes = dtypes[i].bytes;
        }
    if (!element_bytes)
        return pm_fail(err, PM_E_FORMAT, "%s: tensor \"%s\" has the unknown dtype \"%s\"", path,
                       tensor->name, dtype ? dtype : "");
    PM_TRY(read_shape(tensor, json_object_get(entry, "shape"), path, err));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
        begin < 0 || end < begin || (uint64_t)end > data_bytes)
        return pm_fail(err, PM_E_FORMAT, "%s: tensor \"%s\" lies outside the file (%zu data bytes)",
                       path, tensor->name, data_bytes);
    size_t wanted;
    if (__builtin_mul_overflow(tensor->elements, element_bytes, &wanted) ||
        wanted != (size_t)(end - begin))
        return pm_fail(err, PM_E_FORMAT,
                       "%s: tensor \"%s\" has %lld bytes, its shape wants %zu of %s", path,
                       tensor->name, (long long)(end - begin), tensor->elements, tensor->dtype);
    tensor->data = data + begin;
    tensor->bytes = wanted;
    return true;
}

static int by_address(const void *a, const void *b)
{
    const struct pm_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pm_tensor *)a)->name, ((const struct pm_tensor *)b)->name);
}

/* The format wants the tensors to cover the data exactly: no overlap, no hole. */
static bool check_cover(struct pm_safetensors *file, const unsigned char *data, size_t data_bytes,
                        struct pm_error *err)
{
    qsort(file->tensors, file->count, sizeof *file->tensors, by_address);
    const unsigned char *next = data;
    for (size_t i = 0; i < file->count; i++) {
        if (file->tensors[i].data != next)
            return pm_fail(err, PM_E_FORMAT, "%s: tensor \"%s\" overlaps another or leaves a hole",
                           file->path, file->tensors[i].name);
        next += file->tensors[i].bytes;
    }
    if (next != data + data_bytes)
        return pm_fail(err, PM_E_FORMAT, "%s: %zu bytes at its end belong to no tensor", file->path,
                       (size_t)(data + data_bytes - next));
    qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
    return true;
}

/* How torch.save's files begin: as a zip archive, or at once with a pickle of protocol 2 to 5. */
static bool is_pickled(const unsigned char *bytes)
{
    return memcmp(bytes, "PK\003\004", 4) == 0 ||
           (bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5);
}

bool pm_file_is_pickled(const char *path)
{
    unsigned char bytes[LENGTH_BYTES] = {0};
    struct pm_error err;
    FILE *file = pm_open_stream(path, &err);
    if (!file) return false;
    size_t read = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    /* a .safetensors file's header is below 2^32 bytes, and so the upper half of its length 0 */
    return read == sizeof bytes && is_pickled(bytes) && little_endian_64(bytes) >> 32;
}

static bool read_header(struct pm_safetensors *file, struct pm_error *err)
{
    const unsigned char *bytes = file->map;
    PM_ASSERT(bytes);
    uint64_t header_bytes = little_endian_64(bytes);
    if (header_bytes > file->map_bytes - LENGTH_BYTES && is_pickled(bytes))
        return pm_fail(err, PM_E_FORMAT,
                       "%s is a pickled file of PyTorch's, which can run any program when it is "
                       "read: convert it to .safetensors",
                       file->path);
    if (header_bytes > file->map_bytes - LENGTH_BYTES)
        return pm_fail(err, PM_E_FORMAT, "%s: its header claims %llu bytes, the file has %zu",
                       file->path, (unsigned long long)header_bytes, file->map_bytes);
    if (header_bytes > MAX_HEADER_BYTES)
        return pm_fail(err, PM_E_FORMAT, "%s: its header has %llu bytes, more than %d", file->path,
                       (unsigned long long)header_bytes, MAX_HEADER_BYTES);
    PM_TRY(pm_json_parse(&file->header, (const char *)bytes + LENGTH_BYTES, (size_t)header_bytes,
                         file->path, err));
    if (!json_is_object(file->header))
        return pm_fail(err, PM_E_FORMAT, "%s: its header is no JSON object", file->path);
    file->tensors = calloc(json_object_size(file->header) + 1, sizeof *file->tensors);
    if (!file->tensors) pm_die("no memory for the tensors of %s", file->path);
    const unsigned char *data = bytes + LENGTH_BYTES + header_bytes;
    size_t data_bytes = file->map_bytes - LENGTH_BYTES - (size_t)header_bytes;
    const char *name;
    json_t *entry;
    json_object_foreach(file->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        struct pm_tensor *tensor = &file->tensors[file->count++];
        tensor->name = name;
        PM_TRY(read_entry(tensor, entry, file->path, data, data_bytes, err));
    }
    return check_cover(file, data, data_bytes, err);
}

bool pm_safetensors_open(struct pm_safetensors *out, const char *path, struct pm_error *err)
{
    *out = (struct pm_safetensors){.path = strdup(path)};
    if (!out->path) pm_die("no memory for a path");
    if (map_file(out, err) && read_header(out, err)) return true;
    pm_safetensors_close(out);
    return false;
}

void pm_safetensors_close(struct pm_safetensors *file)
{
    if (file->map) munmap(file->map, file->map_bytes);
    json_decref(file->header);
    free(file->tensors);
    free(file->path);
    *file = (struct pm_safetensors){0};
}

const struct pm_tensor *pm_safetensors_find(const struct pm_safetensors *file, const char *name)
{
    struct pm_tensor key = {.name = name};
    return bsearch(&key, file->tensors, file->count, sizeof key, by_name);
}

void pm_tensor_let_go(const struct pm_tensor *tensor)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)tensor->data;
    uintptr_t end = (begin + tensor->bytes) / page * page;
    begin = begin / page * page; /* a neighbour's part of a page is read again if need be */
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

bool pm_tensor_is_float(const struct pm_tensor *tensor)
{
    return strcmp(tensor->dtype, "F32") == 0 || strcmp(tensor->dtype, "F16") == 0 ||
           strcmp(tensor->dtype, "BF16") == 0;
}

/** The three types that pm_tensor_floats reads. */
enum number { F32, F16, BF16 };
enum { BLOCK = 1 << 16 }; /* elements that a thread converts at once */

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t little_endian_16(const unsigned char *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap16(value);
#endif
    return value;
}

static uint32_t little_endian_32(const unsigned char *p)
{
    return (uint32_t)little_endian_16(p) | (uint32_t)little_endian_16(p + 2) << 16;
}

/* Elements [first, end). */
static void convert(float *out, const unsigned char *p, enum number number, size_t first,
                    size_t end)
{
    if (number == F32)
        for (size_t i = first; i < end; i++) out[i] = float_from_bits(little_endian_32(p + 4 * i));
    else if (number == F16)
        for (size_t i = first; i < end; i++)
            out[i] = pm_float_from_half(little_endian_16(p + 2 * i));
    else
        for (size_t i = first; i < end; i++)
            out[i] = float_from_bits((uint32_t)little_endian_16(p + 2 * i) << 16);
}

void pm_tensor_floats(float *out, const struct pm_tensor *tensor)
{
    PM_ASSERT(pm_tensor_is_float(tensor));
    const enum number number = tensor->dtype[0] == 'B' ? BF16 : tensor->dtype[1] == '3' ? F32 : F16;
    size_t blocks = (tensor->elements + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (size_t block = 0; block < blocks; block++) {
        size_t first = block * BLOCK, end = first + BLOCK;
        convert(out, tensor->data, number, first, end < tensor->elements ? end : tensor->elements);
    }
}
