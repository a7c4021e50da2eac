/** @file attention_capture.h  Attention maps as a dataset wants them: some layers and steps, before
 *  or after the edit, each map by itself or averaged over steps, layers, heads, a word's tokens.
 *
 *      const size_t layers[] = {5, 7}, steps[] = {0, 10, 49};
 *      struct pm_attention_capture_spec spec = {.is_cross = true, .height = 16, .width = 16,
 *          .layers = layers, .layer_count = 2, .steps = steps, .step_count = 3,
 *          .keeps_steps = true, .heads = 8};
 *      struct pm_attention_capture c = pm_attention_capture_make(&spec, prompts, 12, arena);
 *      ... pm_attention_capture_add for what pm_attention_capture_wants ...
 *      struct pm_attention_maps maps = pm_attention_capture_maps(&c, 0, &tokens, arena);
 *
 *  maps.values is then [3 steps, 16, 16, tokens.count]: the mean over layers and heads. */
#ifndef PM_CONTROL_ATTENTION_CAPTURE_H
#define PM_CONTROL_ATTENTION_CAPTURE_H
#include "pm/base/arena.h"
#include "pm/model/attention_hook.h"
#include "pm/model/tokenizer.h"

/** What to keep. */
struct pm_attention_capture_spec {
    bool is_cross;                /* attention to words; else to pixels */
    bool is_before;               /* the targets' maps before the edit; else after it */
    bool of_words;                /* a word's map is the mean of its tokens' */
    size_t height, width;         /* of the maps of all layers */
    const size_t *layers, *steps; /* by number, ascending; borrowed */
    size_t layer_count, step_count;
    bool keeps_steps, keeps_layers, keeps_heads; /* each gives an axis; else averaged over */
    size_t heads; /* of each layer; where heads are not kept, layers may differ */
};

struct pm_attention_capture {
    const struct pm_attention_capture_spec *spec; /* borrowed */
    size_t prompts;
    size_t keys;                 /* of a map that are kept, from the first */
    size_t steps, layers, heads; /* kept; 1 where averaged over */
    size_t *counts;              /* [steps, layers, heads]  maps summed, of each prompt */
    float *sums;                 /* [prompts, steps, layers, heads, height * width, keys] */
};

/** Sums of zero. @param tokens  of the longest prompt: no others are kept of cross-attention */
struct pm_attention_capture pm_attention_capture_make(const struct pm_attention_capture_spec *spec,
                                                      size_t prompts, size_t tokens,
                                                      struct pm_arena *arena);

/** Are this layer's maps needed at this step? */
bool pm_attention_capture_wants(const struct pm_attention_capture *capture,
                                const struct pm_attention_site *site, size_t step);

/** Add one layer's maps, which are wanted. @param probs  [prompts, heads, queries, keys] */
void pm_attention_capture_add(struct pm_attention_capture *capture,
                              const struct pm_attention_site *site, size_t step,
                              const float *probs);

/** One prompt's maps. */
struct pm_attention_maps {
    float *values;        /* [rows, columns] */
    size_t rows, columns; /* steps * layers * heads * height * width; tokens, words or pixels */
};

/** The means. @param tokens  of the prompt: its own, with begin and end, are the columns
 *  @return in @p arena */
struct pm_attention_maps pm_attention_capture_maps(const struct pm_attention_capture *capture,
                                                   size_t prompt, const struct pm_tokens *tokens,
                                                   struct pm_arena *arena);
#endif
