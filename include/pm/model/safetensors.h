/** @file safetensors.h  A .safetensors file, mapped and checked, its tensors by name.
 *
 *  Layout: 8 bytes length N (little-endian), N bytes of JSON, then the data. An entry is
 *  {"dtype", "shape", "data_offsets": [begin, end]}, offsets from the start of the data. Data may
 *  lie at any address: it is read byte-wise, never through an aligned pointer.
 *  Source: github.com/huggingface/safetensors, format description. */
#ifndef PM_MODEL_SAFETENSORS_H
#define PM_MODEL_SAFETENSORS_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { PM_TENSOR_MAX_RANK = 8 };

struct pm_tensor {
    const char *name;  /* borrowed from the file */
    const char *dtype; /* "F32", "F16", "BF16", "I64", ... as the file has it */
    size_t rank, shape[PM_TENSOR_MAX_RANK];
    size_t elements, bytes;
    const unsigned char *data; /* borrowed from the mapped file, may be unaligned */
};

struct pm_safetensors {
    char *path;
    void *map;
    size_t map_bytes;
    struct json_t *header;     /* holds the names */
    struct pm_tensor *tensors; /* sorted by name */
    size_t count;
};

/** Map a file and check its header: sizes, offsets inside the file, no overlap, no hole.
 *  @return true, *out owned by the caller (pm_safetensors_close); else err names the file and the
 *  tensor */
PM_MUST_CHECK bool pm_safetensors_open(struct pm_safetensors *out, const char *path,
                                       struct pm_error *err);
void pm_safetensors_close(struct pm_safetensors *file);

/** Does the file begin as what torch.save writes? @return false also for one that cannot be read */
bool pm_file_is_pickled(const char *path);

/** @return the tensor, borrowed, or NULL */
const struct pm_tensor *pm_safetensors_find(const struct pm_safetensors *file, const char *name);

/** @return whether pm_tensor_floats can read it: F32, F16 or BF16 */
bool pm_tensor_is_float(const struct pm_tensor *tensor);

/** The tensor will not be read again soon: its part of the file need not count as this process's
 *  memory. */
void pm_tensor_let_go(const struct pm_tensor *tensor);

/** out[elements] = the tensor as float32; exact for all three types. The tensor is a float one. */
void pm_tensor_floats(float *out, const struct pm_tensor *tensor);
#endif
