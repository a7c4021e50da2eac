/** @file edit_settings.h  What is the same for all edits of a run. */
#ifndef PM_EDIT_EDIT_SETTINGS_H
#define PM_EDIT_EDIT_SETTINGS_H
#include "pm/control/attention_capture.h"
#include "pm/diffusion/schedule.h"
#include "pm/model/model.h"

struct pm_edit_settings {
    const struct pm_model *model;       /* borrowed */
    const struct pm_schedule *schedule; /* borrowed */
    float guidance_scale;
    size_t latent_height, latent_width;
    const char *negative_prompt; /* of the unconditional half, usually ""; borrowed */
    bool keeps_trajectory;
    bool latents_only;       /* no picture is decoded */
    size_t targets_per_pass; /* more are done in several passes, the source anew in each */
    const struct pm_attention_capture_spec *captures; /* [capture_count], borrowed */
    size_t capture_count;
};

enum { PM_MAX_CAPTURES = 16 };
#endif
