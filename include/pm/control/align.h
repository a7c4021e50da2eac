/** @file align.h  Which tokens of a source prompt a target prompt's tokens come from.
 *
 *  Source: Hertz et al. 2022, section 3.2; google/prompt-to-prompt seq_aligner.py. */
#ifndef PM_CONTROL_ALIGN_H
#define PM_CONTROL_ALIGN_H
#include "pm/base/error.h"
#include "pm/model/tokenizer.h"

enum pm_mapper {
    PM_MAPPER_CORRECTED,
    /* As published: behind the last replaced word, a target token takes the source token of its own
     * number, also where the replaced words differ in tokens and the prompts are thus shifted. */
    PM_MAPPER_REFERENCE,
};

/** Word for word: how much of each source token goes into each target token. A word replaced by
 *  one of as many tokens gives token for token; otherwise each of the target word's n tokens takes
 *  1/n of every token of the source word.
 *  @param map  [PM_TOKENS, PM_TOKENS]  row: source token, column: target token. When the source is
 *  longer in tokens, the last columns are zero.
 *  @param source, target  the tokens of the prompts
 *  @return false when the prompts differ in their number of words (PM_E_INPUT) */
PM_MUST_CHECK bool pm_align_replace(float *map, const char *source_prompt,
                                    const struct pm_tokens *source, const char *target_prompt,
                                    const struct pm_tokens *target, enum pm_mapper mapper,
                                    struct pm_error *err);

/** The best global alignment of the tokens (Needleman and Wunsch; match 1, mismatch -1, gap 0).
 *  @param from   [PM_TOKENS]  the source token that a target token is, or -1 for a new one
 *  @param alpha  [PM_TOKENS]  0 for a new token, otherwise 1 */
void pm_align_refine(int *from, float *alpha, const struct pm_tokens *source,
                     const struct pm_tokens *target);
#endif
