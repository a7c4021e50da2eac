/** @file original_names.h  What the tensors of a checkpoint of one file are called in the diffusers
 *  layout.
 *
 *  Such files hold all networks under the names of CompVis's and Stability AI's own programs:
 *
 *      model.diffusion_model.…             the UNet
 *      first_stage_model.…                 the VAE
 *      cond_stage_model.transformer.…      SD 1's text encoder, CLIP
 *      cond_stage_model.model.…            SD 2's, OpenCLIP
 *      model_ema.…, betas, …               what only training needs
 *
 *  Sources: CompVis/stable-diffusion ldm/modules/diffusionmodules/{openaimodel,model}.py;
 *  mlfoundations/open_clip transformer.py; the key lists of the published files. */
#ifndef PM_MODEL_ORIGINAL_NAMES_H
#define PM_MODEL_ORIGINAL_NAMES_H
#include "pm/model/component.h"

enum { PM_ORIGINAL_NAME_BYTES = 192 };

/** What the numbers in names depend on. */
struct pm_original_sizes {
    size_t unet_layers; /* residual blocks of a level on the way down */
    size_t vae_levels;
    size_t
        text_layers; /* of OpenCLIP; those from here on are not used: SD 2 reads the last but one */
};

struct pm_original_name {
    enum pm_network network;
    char name[PM_ORIGINAL_NAME_BYTES];
};

/** Results of pm_original_name beside a number of tensors. */
enum { PM_ORIGINAL_UNKNOWN = -1, PM_ORIGINAL_UNUSED = 0 };

/** @param name  in the file
 *  @param part  0; or the second and third of three
 *  @return how many tensors it holds: 1; 3 where queries, keys and values lie one after the other,
 *  each a third of the rows; PM_ORIGINAL_UNUSED; or PM_ORIGINAL_UNKNOWN. *out is set for 1 and 3 */
int pm_original_name(struct pm_original_name *out, const char *name,
                     const struct pm_original_sizes *sizes, int part);
#endif
