/** @file explain.h  All that is wrong with a target's prompt and words, where pm_prepare tells the first. */
#ifndef PM_EDIT_EXPLAIN_H
#define PM_EDIT_EXPLAIN_H
#include "pm/edit/prepare.h"

/** @param sentence  as pm_prepare says it, without a place; good for this call */
typedef void pm_explain_report(void *self, const char *sentence);

/** Look through a target that could be read and not be prepared: words that are nowhere in their prompt,
 *  prompts that "replace" cannot align. A prompt that has no tokens is not looked at.
 *  @param source  the tokens of the recipe's source prompt */
void pm_explain(const struct pm_recipe *recipe, const struct pm_tokens *source, size_t target,
                const struct pm_tokenizer *tokenizer, pm_explain_report *report, void *self);
#endif
