/** @file weights.h  From a component's tensors to weights in the order the kernels read them.
 *
 *  A network is described by asking for its tensors by name and shape; each is converted to
 *  float32, packed and kept in the model's memory. At the end, a tensor that nobody asked for is
 *  an error: the file is of an architecture that would be run wrongly. Names are given printf-like.
 */
#ifndef PM_MODEL_WEIGHTS_H
#define PM_MODEL_WEIGHTS_H
#include "pm/base/arena.h"
#include "pm/base/error.h"
#include "pm/kernels/kernels.h"
#include "pm/model/component.h"
#include "pm/model/lora.h"

#define PM_NAME_FORMAT(text, first) __attribute__((format(printf, text, first)))

enum { PM_WEIGHTS_SHARES = 64 }; /* more processes do not help */

struct pm_weights {
    const struct pm_tensor_set *set; /* borrowed */
    bool *used;                      /* by tensor */
    struct pm_arena *memory;         /* borrowed: where packed weights go, for the model's life */
    struct pm_arena *layers;         /* borrowed: where the network's lists of layers go */
    struct pm_arena scratch;         /* float32 before packing */
    const struct pm_component *component; /* borrowed */
    enum pm_precision precision;          /* of what is packed from now on */
    bool skips;                      /* what is asked for now is not for this process to write */
    size_t turns[PM_WEIGHTS_SHARES]; /* numbers that fell to each share so far */
    struct pm_loras *loras;          /* borrowed: added to every tensor as it is read; NULL: none */
    enum pm_lora_network network;    /* whose layers of them are these */
};

struct pm_norm {
    const float *gamma, *beta; /* [channels] */
    size_t channels;
};

enum pm_bias { PM_NO_BIAS, PM_BIAS };

/** Begin to take a component's weights; to be closed by pm_weights_close.
 *  @param component  borrowed, until closed
 *  @param memory     borrowed, must outlive the weights made */
void pm_weights_open(struct pm_weights *out, const struct pm_component *component,
                     struct pm_arena *memory);
void pm_weights_close(struct pm_weights *weights);

/** Fail if a tensor was not asked for. Whole numbers and position_ids are passed over. */
PM_MUST_CHECK bool pm_weights_check_all_used(const struct pm_weights *weights,
                                             struct pm_error *err);

bool pm_weights_has(const struct pm_weights *weights, const char *format, ...) PM_NAME_FORMAT(2, 3);

/** The [rows, columns] tensor as float32 in the model's memory. */
PM_MUST_CHECK bool pm_weights_floats(const float **out, struct pm_weights *weights, size_t rows,
                                     size_t columns, struct pm_error *err, const char *format, ...)
    PM_NAME_FORMAT(6, 7);

/** "<name>.weight" [out, in] (or [out, in, 1, 1]) and with PM_BIAS "<name>.bias". */
PM_MUST_CHECK bool pm_weights_linear(struct pm_linear *linear, struct pm_weights *weights,
                                     size_t out, size_t in, enum pm_bias bias, struct pm_error *err,
                                     const char *format, ...) PM_NAME_FORMAT(7, 8);

/** Several linears of one input as one, their outputs side by side (q, k and v).
 *  @param names  ends with NULL; each becomes "<prefix>.<name>" */
PM_MUST_CHECK bool pm_weights_fused_linear(struct pm_linear *linear, struct pm_weights *weights,
                                           size_t out_each, size_t in, enum pm_bias bias,
                                           const char *const *names, struct pm_error *err,
                                           const char *format, ...) PM_NAME_FORMAT(8, 9);

/** "<name>.weight" [out, in, kernel, kernel] and "<name>.bias"; stride and padding are read from
 *  @p conv, where the caller has set them. */
PM_MUST_CHECK bool pm_weights_conv(struct pm_conv *conv, struct pm_weights *weights, size_t out,
                                   size_t in, size_t kernel, struct pm_error *err,
                                   const char *format, ...) PM_NAME_FORMAT(7, 8);

/** "<name>.weight" and "<name>.bias", [channels] each. */
PM_MUST_CHECK bool pm_weights_norm(struct pm_norm *norm, struct pm_weights *weights,
                                   size_t channels, struct pm_error *err, const char *format, ...)
    PM_NAME_FORMAT(5, 6);
#endif
