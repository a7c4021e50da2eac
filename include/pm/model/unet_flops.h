/** @file unet_flops.h  How much arithmetic one evaluation of the UNet is. */
#ifndef PM_MODEL_UNET_FLOPS_H
#define PM_MODEL_UNET_FLOPS_H
#include "pm/model/unet.h"

/** Multiplications and additions of one sample: convolutions, linear layers, attention over
 *  @p tokens tokens. Norms, activations and the time embedding are left out, and Winograd's savings
 *  are not counted, so that this is good for comparing sizes.
 *  @param height, width  of the latents */
double pm_unet_flops(const struct pm_unet *unet, size_t height, size_t width, size_t tokens);
#endif
