/* A .safetensors file. */
#include "fuzz.h"

#include "pm/model/safetensors.h"

#include <stdlib.h>

enum { MOST_ELEMENTS = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_safetensors file;
    struct pm_error err;
    if (!pm_safetensors_open(&file, fuzz_file(bytes, count), &err)) return 0;
    for (size_t i = 0; i < file.count; i++) {
        const struct pm_tensor *tensor = pm_safetensors_find(&file, file.tensors[i].name);
        if (!pm_tensor_is_float(tensor) || tensor->elements > MOST_ELEMENTS) continue;
        float *values = malloc((tensor->elements + 1) * sizeof *values);
        pm_tensor_floats(values, tensor);
        free(values);
    }
    pm_safetensors_close(&file);
    return 0;
}
