/** @file difference.h  The words in which two prompts differ. */
#ifndef PM_CONTROL_DIFFERENCE_H
#define PM_CONTROL_DIFFERENCE_H
#include "pm/control/token_map.h"
#include "pm/control/words.h"

/** Whole words: those replaced (PM_EDIT_REPLACE: word for word), or added and taken away
 *  (PM_EDIT_REFINE: by the best alignment of the tokens). Either set may be empty.
 *  @param edit  other than PM_EDIT_REWEIGHT, whose prompts are the same */
void pm_words_differing(struct pm_token_set *in_source, struct pm_token_set *in_target,
                        enum pm_edit edit, const struct pm_tokens *source,
                        const struct pm_tokens *target);
#endif
