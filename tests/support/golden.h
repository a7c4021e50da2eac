/** @file golden.h  Reference data: tensors and parameters written by the reference
 *  implementations (tests/golden/data/README.md). A missing one fails the test. */
#ifndef GOLDEN_H
#define GOLDEN_H
#include "test.h"

#include "pm/base/json.h"
#include "pm/model/safetensors.h"

/** Tensors and parameters of one golden: <path>.safetensors and <path>.json. */
struct golden {
    struct pm_safetensors tensors;
    json_t *json;
};

struct golden golden_open(const char *path_format, ...) __attribute__((format(printf, 1, 2)));
void golden_close(struct golden *golden);

/** The tensor's values as floats (malloc; free with test_free). @p elements may be NULL. */
float *golden_floats(const struct golden *golden, size_t *elements, const char *name_format, ...)
    __attribute__((format(printf, 3, 4)));

/** The same for U8 and I32 tensors. */
int *golden_ints(const struct golden *golden, size_t *elements, const char *name_format, ...)
    __attribute__((format(printf, 3, 4)));

/** Images and latents [batch, channels, pixels] → [batch, pixels, channels]; a new array, the
 *  given one is freed. And back. */
float *channels_last(float *x, size_t batch, size_t channels, size_t pixels);
float *channels_first(float *x, size_t batch, size_t channels, size_t pixels);

extern const char *const golden_models[]; /* "scenes", "mini-sd1", "mini-sd2", NULL */

/** The folder of one of golden_models. */
const char *golden_model_folder(const char *model);
#endif
