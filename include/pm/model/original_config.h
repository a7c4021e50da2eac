/** @file original_config.h  What a checkpoint of one file is, from its tensors' shapes.
 *
 *  Such a file brings no configuration. Shapes tell all but these, which are as in all published
 *  files of Stable Diffusion:
 *
 *                        1.x (CLIP)              2.x (OpenCLIP)
 *      attention heads   8 a level               of 64 channels
 *      activation        quick GELU              GELU
 *      predicts          the noise               v; the noise, for the 512 model
 *      pictures          512 a side              768 where it predicts v, else 512
 *      sampler           PNDM                    DDIM
 *
 *  What a 2.x file predicts, and the side, is read from its metadata where these have
 *  "modelspec.prediction_type" ("v", "epsilon") and "modelspec.resolution" ("768x768"): Stability
 *  AI's ModelSpec. */
#ifndef PM_MODEL_ORIGINAL_CONFIG_H
#define PM_MODEL_ORIGINAL_CONFIG_H
#include "pm/model/original_names.h"

struct pm_original_model {
    bool is_open_clip; /* SD 2 */
    struct pm_original_sizes sizes;
    json_t *configs[PM_NETWORKS]; /* owned; as a component's config.json would have it */
    json_t *scheduler;            /* owned; as scheduler_config.json */
};

/** @param prediction  "epsilon" or "v_prediction"; NULL: as above
 *  @return true, *out owned by the caller (pm_original_model_free); else err says what the file is
 *  instead, or which tensor is missing */
PM_MUST_CHECK bool pm_original_model_infer(struct pm_original_model *out,
                                           const struct pm_safetensors *file,
                                           const char *prediction, struct pm_error *err);
void pm_original_model_free(struct pm_original_model *model);
#endif
