/** @file prepare.h  A recipe made ready for a model: tokens, token maps, blends, windows in steps.
 *
 *  Everything that can be wrong with an edit's words is found here, before anything is computed. */
#ifndef PM_EDIT_PREPARE_H
#define PM_EDIT_PREPARE_H
#include "pm/control/attention_control.h"
#include "pm/diffusion/schedule.h"
#include "pm/edit/edit_settings.h"
#include "pm/edit/recipe.h"

struct pm_prepared_target {
    struct pm_error error; /* code PM_OK, or why it cannot be done */
    struct pm_tokens tokens;
    struct pm_token_map map;
    bool has_mask; /* blend says how it is made */
    bool blends;   /* and outside of it latents are put back after each step */
    struct pm_local_blend blend;
    size_t self_begin, self_end; /* steps */
};

struct pm_prepared {
    struct pm_tokens source;
    struct pm_prepared_target *targets; /* [recipe's target_count], owned */
};

/** @param schedule  of the run: windows are fractions of its steps
 *  @return false when the source prompt itself is wrong; a target's own error is in its struct.
 *  Borrows nothing. Free with pm_prepared_free. */
PM_MUST_CHECK bool pm_prepare(struct pm_prepared *out, const struct pm_recipe *recipe,
                              const struct pm_tokenizer *tokenizer,
                              const struct pm_schedule *schedule, struct pm_error *err);

/** The same for what a run does, which has to be within the model's power: without float32's weights
 *  there is no gradient, which null-text inversion goes by. */
PM_MUST_CHECK bool pm_edit_prepare(struct pm_prepared *out, const struct pm_recipe *recipe,
                                   const struct pm_edit_settings *settings, struct pm_error *err);
void pm_prepared_free(struct pm_prepared *prepared);
#endif
