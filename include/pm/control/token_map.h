/** @file token_map.h  An edit of cross-attention as one linear map over tokens.
 *
 *  Replace, refine, reweight, their chains and the windows of steps all come to
 *
 *      new[pixel, n] = sum_w source[pixel, w] A[w, n] + target[pixel, n] d[n]
 *
 *  on the attention probabilities of the source's and the target's branch. With M, c and e the
 *  edit's map, share of the target and equalizer, and a 1 in token n's window, 0 outside it:
 *
 *      A[w, n] = a[n] e[n] M[w, n]      d[n] = a[n] e[n] c[n] + 1 - a[n]
 *
 *      replace   M = pm_align_replace's map                   c = 0
 *      refine    M[w, n] = alpha[n] where w is from[n]        c[n] = 1 - alpha[n]
 *      reweight  M = identity                                 c = 0
 *
 *  Nothing is normalised afterwards.
 *
 *      struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REFINE);
 *      pm_token_map_spec_window(&spec, 50, 0.0, 0.8);
 *      PM_TRY(pm_token_map_spec_equalize(&spec, target_prompt, &target, "sunset", 2.0f, err));
 *      PM_TRY(pm_token_map_init(&map, &spec, source_prompt, &source, target_prompt, &target, err));
 *
 *  Source: google/prompt-to-prompt, AttentionControlEdit and its subclasses; ptp_utils.py,
 *  get_time_words_attention_alpha. */
#ifndef PM_CONTROL_TOKEN_MAP_H
#define PM_CONTROL_TOKEN_MAP_H
#include "pm/base/error.h"
#include "pm/control/align.h"
#include "pm/model/tokenizer.h"

#include <stddef.h>

enum pm_edit { PM_EDIT_REPLACE, PM_EDIT_REFINE, PM_EDIT_REWEIGHT };

/** All that decides the map of one target. */
struct pm_token_map_spec {
    enum pm_edit edit;
    enum pm_mapper mapper;                   /* for PM_EDIT_REPLACE */
    float equalizer[PM_TOKENS];              /* by target token; 1 leaves it, any sign */
    size_t begin[PM_TOKENS], end[PM_TOKENS]; /* by target token: the steps that are edited */
};

/** Corrected mapper, equalizer 1, every step edited. */
struct pm_token_map_spec pm_token_map_spec_default(enum pm_edit edit);

/** Edit every token from begin to end, fractions of the run from 0 to 1: from step
 *  int(begin (steps + 1)) up to int(end (steps + 1)), as the reference has it. Replaces all windows
 *  set before.
 *  @param steps  the number asked for, also where a scheduler calls the network once more */
void pm_token_map_spec_window(struct pm_token_map_spec *spec, size_t steps, double begin,
                              double end);

/** The same for the tokens of one word of the target prompt (see pm_words_find).
 *  @return false when the word is not there */
PM_MUST_CHECK bool pm_token_map_spec_word_window(struct pm_token_map_spec *spec, size_t steps,
                                                 double begin, double end,
                                                 const char *target_prompt,
                                                 const struct pm_tokens *target, const char *word,
                                                 struct pm_error *err);

/** Multiply the attention that a word of the target prompt gets. A word given again, or within
 *  other words, has the value given last.
 *  @return false when the word is not there, or the value not finite */
PM_MUST_CHECK bool pm_token_map_spec_equalize(struct pm_token_map_spec *spec,
                                              const char *target_prompt,
                                              const struct pm_tokens *target, const char *word,
                                              float value, struct pm_error *err);

/** No allocation within; read only after init. */
struct pm_token_map {
    float map[PM_TOKENS * PM_TOKENS]; /* e[n] M[w, n] */
    float share[PM_TOKENS];           /* e[n] c[n] */
    bool changes[PM_TOKENS];          /* whether a column differs from the target's own */
    size_t begin[PM_TOKENS], end[PM_TOKENS];
    size_t bounds[2 * PM_TOKENS]; /* [bound_count] the steps before which the map changes */
    size_t bound_count;
};

/** @return false when the prompts cannot be aligned as the edit wants it (pm_align_replace) */
PM_MUST_CHECK bool pm_token_map_init(struct pm_token_map *out, const struct pm_token_map_spec *spec,
                                     const char *source_prompt, const struct pm_tokens *source,
                                     const char *target_prompt, const struct pm_tokens *target,
                                     struct pm_error *err);

/** The map at a step. @param a  [PM_TOKENS, PM_TOKENS]  @param d  [PM_TOKENS] */
void pm_token_map_at(float *a, float *d, const struct pm_token_map *map, size_t step);

/** @return a number from 0 up that grows with the steps; where it stays, so does the map */
size_t pm_token_map_phase(const struct pm_token_map *map, size_t step);

/** @return whether the map leaves the target's attention as it is (A = 0, d = 1) at @p step */
bool pm_token_map_is_idle(const struct pm_token_map *map, size_t step);
#endif
