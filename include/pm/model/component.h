/** @file component.h  One network of a checkpoint, not yet loaded: its config and its tensors. */
#ifndef PM_MODEL_COMPONENT_H
#define PM_MODEL_COMPONENT_H
#include "pm/base/arena.h"
#include "pm/base/json.h"
#include "pm/kernels/kernels.h"
#include "pm/model/tensor_set.h"

enum pm_network { PM_UNET, PM_VAE, PM_TEXT_ENCODER, PM_NETWORKS };

struct pm_component {
    char *path;               /* owned: what messages about the config begin with */
    json_t *config;           /* owned */
    struct pm_tensor_set set; /* owned; names as in the diffusers layout */
    size_t share,
        shares; /* which part of the weights is to be written, so that several processes can
                             load one network into memory that they share; 0, 0: all */
    enum pm_precision precision; /* of the products of the layers that bear most of the work */
    struct pm_arena *layers;     /* borrowed: where a load puts its lists of layers, which have
                                addresses in them; NULL: beside the weights */
    bool only_measures; /* a load takes memory without touching it, and reads nothing: to see
                                 whether the network would load, and into how much */
};

/** "unet", "vae" or "text_encoder": its folder in the diffusers layout. */
const char *pm_network_name(enum pm_network network);

/** What its files are called there: "diffusion_pytorch_model" or "model". */
const char *pm_network_stem(enum pm_network network);

/** Read <folder>/config.json and map the tensors beside it, as tensor_set.h lists them.
 *  @return true, *out owned by the caller (pm_component_close) */
PM_MUST_CHECK bool pm_component_open(struct pm_component *out, const char *folder,
                                     enum pm_network network, struct pm_error *err);
void pm_component_close(struct pm_component *component);
#endif
