/* The index of a checkpoint of several files. */
#include "fuzz.h"

#include "pm/model/tensor_set.h"

static const char SHARD[] =
    "\x38\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  \0\0\0\0";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_tensor_set set;
    struct pm_error err;
    fuzz_write("shard.safetensors", (const uint8_t *)SHARD, sizeof SHARD - 1);
    fuzz_write("model.safetensors.index.json", bytes, count);
    if (!pm_tensor_set_open(&set, fuzz_folder(), "model", &err)) return 0;
    for (size_t i = 0; i < set.count; i++) (void)pm_tensor_set_find(&set, set.tensors[i].name);
    pm_tensor_set_close(&set);
    return 0;
}
