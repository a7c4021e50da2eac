/** @file resnet.h  The residual block of the UNet and of the VAE.
 *
 *  x → norm, SiLU, conv3x3 (+ time) → norm, SiLU, conv3x3, + shortcut(x).
 *  Source: huggingface/diffusers, models/resnet.py, ResnetBlock2D. */
#ifndef PM_MODEL_RESNET_H
#define PM_MODEL_RESNET_H
#include "pm/model/weights.h"

struct pm_resnet {
    size_t in, out, groups;
    float eps;
    struct pm_norm norm1, norm2;
    struct pm_conv conv1, conv2;
    bool has_time, has_shortcut;
    struct pm_linear time;   /* [time channels → out], of SiLU(time embedding) */
    struct pm_conv shortcut; /* 1x1, where in != out */
};

/** @param time_channels  0 for a VAE's block, which has no time
 *  @param format  printf-like: the block's name, "down_blocks.0.resnets.1" */
PM_MUST_CHECK bool pm_resnet_load(struct pm_resnet *resnet, struct pm_weights *weights, size_t out,
                                  size_t in, size_t time_channels, size_t groups, float eps,
                                  struct pm_error *err, const char *format, ...)
    PM_NAME_FORMAT(9, 10);

/** @param y       [B, height, width, out]
 *  @param middle  [B, height, width, out]: what the first convolution gave, for the way back; NULL
 *                 where there is none
 *  @param x       [B, height, width, in]
 *  @param time    [B, time channels], SiLU already applied; NULL for a VAE's block */
void pm_resnet_forward(float *y, float *middle, const float *x, const struct pm_resnet *resnet,
                       const float *time, size_t batch, size_t height, size_t width,
                       struct pm_arena *scratch);

/** The gradient by x; x and middle as they went in and came out.
 *  @param grad_x  [B, height, width, in]  @param grad_y  [B, height, width, out] */
void pm_resnet_backward(float *grad_x, const float *grad_y, const float *x, const float *middle,
                        const struct pm_resnet *resnet, size_t batch, size_t height, size_t width,
                        struct pm_arena *scratch);
#endif
