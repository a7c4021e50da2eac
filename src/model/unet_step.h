/** @file unet_step.h  The operations of a recorded pass: unet.c writes them, unet_backward.c goes
 *  through them from the last to the first. */
#ifndef PM_MODEL_UNET_STEP_H
#define PM_MODEL_UNET_STEP_H
#include "pm/model/unet.h"

enum pm_unet_operation {
    PM_UNET_CONV,
    PM_UNET_RESNET,
    PM_UNET_TRANSFORMER,
    PM_UNET_SKIP,   /* what is here goes across to the way up as well */
    PM_UNET_CONCAT, /* what the last skip that is left brought, after what is here */
    PM_UNET_RESIZE,
    PM_UNET_NORM, /* and SiLU, before the last convolution */
};

struct pm_unet_step {
    const struct pm_unet_step *before; /* or NULL: the first */
    enum pm_unet_operation operation;
    const float *x; /* its input, [batch, height, width, channels] */
    size_t height, width, channels;
    size_t skip_channels;         /* of a concatenation */
    size_t out_height, out_width; /* of a resize */
    const struct pm_conv *conv;
    const struct pm_resnet *resnet;
    const float *middle; /* the resnet's */
    const struct pm_transformer *transformer;
    struct pm_transformer_record transformer_record;
};
#endif
