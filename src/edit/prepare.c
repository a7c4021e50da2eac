#include "pm/edit/prepare.h"

#include "pm/control/difference.h"

#include <stdlib.h>
#include <string.h>

static bool find_words(struct pm_token_set *out, const struct pm_word_list *words,
                       const char *prompt, const struct pm_tokens *tokens, const char *which,
                       struct pm_error *err)
{
    *out = (struct pm_token_set){0};
    for (size_t i = 0; i < words->count; i++) {
        struct pm_token_set one;
        if (!pm_words_find(&one, prompt, tokens, words->words[i], err))
            return pm_fail(err, PM_E_INPUT, "%s: %s", which, err->message);
        for (size_t t = 0; t < PM_TOKENS; t++) {
            out->count += one.has[t] && !out->has[t];
            out->has[t] = out->has[t] || one.has[t];
        }
    }
    return true;
}

/* The words of a mask that names none: those in which the prompts differ, or are reweighted. */
static bool find_differing_words(struct pm_local_blend *blend,
                                 const struct pm_target_recipe *target,
                                 const struct pm_recipe *recipe, const struct pm_tokens *source,
                                 const struct pm_tokens *tokens, struct pm_error *err)
{
    if (target->edit == PM_EDIT_REWEIGHT) {
        PM_TRY(find_words(&blend->source, &target->equalizer, recipe->source, source, "equalizer",
                          err));
        return find_words(&blend->target, &target->equalizer, target->prompt, tokens, "equalizer",
                          err);
    }
    pm_words_differing(&blend->source, &blend->target, target->edit, source, tokens);
    if (blend->source.count + blend->target.count > 0) return true;
    return pm_fail(err, PM_E_INPUT,
                   "the prompts do not differ in any word that a mask could be made from");
}

static bool find_subtracted_words(struct pm_local_blend *blend,
                                  const struct pm_target_recipe *target,
                                  const struct pm_recipe *recipe, const struct pm_tokens *source,
                                  const struct pm_tokens *tokens, struct pm_error *err)
{
    const struct pm_blend_recipe *b = &target->blend;
    blend->subtracts = b->subtract_source.count > 0;
    if (!blend->subtracts) return true;
    blend->subtract_threshold = (float)b->subtract_threshold;
    PM_TRY(find_words(&blend->subtract_source, &b->subtract_source, recipe->source, source,
                      "local_blend, subtract source", err));
    return find_words(&blend->subtract_target, &b->subtract_target, target->prompt, tokens,
                      "local_blend, subtract target", err);
}

static bool prepare_mask(struct pm_prepared_target *out, const struct pm_target_recipe *target,
                         const struct pm_recipe *recipe, const struct pm_tokens *source,
                         const struct pm_schedule *schedule, struct pm_error *err)
{
    const struct pm_blend_recipe *b = &target->blend;
    struct pm_local_blend *blend = &out->blend;
    out->blends = target->has_blend;
    out->has_mask = target->has_blend || target->restores;
    if (!out->has_mask) return true;
    blend->threshold = (float)(out->blends ? b->threshold : target->restore_threshold);
    /* a mask that blends nothing is wanted at the end only */
    blend->start_step =
        out->blends ? (size_t)(b->start * (double)schedule->steps) : schedule->evaluations - 1;
    if (!out->blends || b->of_differing_words)
        PM_TRY(find_differing_words(blend, target, recipe, source, &out->tokens, err));
    else {
        PM_TRY(find_words(&blend->source, &b->source, recipe->source, source, "local_blend, source",
                          err));
        PM_TRY(find_words(&blend->target, &b->target, target->prompt, &out->tokens,
                          "local_blend, target", err));
    }
    return find_subtracted_words(blend, target, recipe, source, &out->tokens, err);
}

static bool prepare_map(struct pm_prepared_target *out, const struct pm_target_recipe *target,
                        const struct pm_recipe *recipe, const struct pm_tokens *source,
                        size_t steps, struct pm_error *err)
{
    struct pm_token_map_spec spec = pm_token_map_spec_default(target->edit);
    spec.mapper = target->mapper;
    pm_token_map_spec_window(&spec, steps, target->cross.begin, target->cross.end);
    for (size_t i = 0; i < target->cross_words.count; i++)
        if (!pm_token_map_spec_word_window(&spec, steps, target->cross_windows[i].begin,
                                           target->cross_windows[i].end, target->prompt,
                                           &out->tokens, target->cross_words.words[i], err))
            return pm_fail(err, err->code, "cross_replace_steps: %s", err->message);
    for (size_t i = 0; i < target->equalizer.count; i++)
        if (!pm_token_map_spec_equalize(&spec, target->prompt, &out->tokens,
                                        target->equalizer.words[i],
                                        (float)target->equalizer_values[i], err))
            return pm_fail(err, err->code, "equalizer: %s", err->message);
    return pm_token_map_init(&out->map, &spec, recipe->source, source, target->prompt, &out->tokens,
                             err);
}

static bool prepare_target(struct pm_prepared_target *out, const struct pm_target_recipe *target,
                           const struct pm_recipe *recipe, const struct pm_tokens *source,
                           const struct pm_tokenizer *tokenizer, const struct pm_schedule *schedule,
                           struct pm_error *err)
{
    size_t steps = schedule->steps;
    PM_TRY(pm_tokenize(&out->tokens, tokenizer, target->prompt, err));
    if (target->edit == PM_EDIT_REWEIGHT &&
        memcmp(source->ids, out->tokens.ids, sizeof source->ids) != 0)
        return pm_fail(err, PM_E_INPUT,
                       "\"reweight\" keeps the source's prompt, but this target's is \"%s\"; use "
                       "\"refine\" or \"replace\" with an \"equalizer\" to change words as well",
                       target->prompt);
    /* as the reference counts self-attention's window: over the steps asked for */
    out->self_begin = (size_t)(target->self.begin * (double)steps);
    out->self_end = (size_t)(target->self.end * (double)steps);
    PM_TRY(prepare_map(out, target, recipe, source, steps, err));
    return prepare_mask(out, target, recipe, source, schedule, err);
}

/* Can this schedule lead a picture into the noise as the recipe wants it? */
static bool check_inversion(const struct pm_image_recipe *image, const struct pm_schedule *schedule,
                            struct pm_error *err)
{
    size_t last = schedule->evaluations - 1;
    if (!image->path) return true;
    if (schedule->sampler != PM_DDIM)
        return pm_fail(
            err, PM_E_INPUT,
            "an \"image\" is inverted by DDIM: set \"scheduler\": \"ddim\" for this run");
    if (image->method == PM_INVERSION_NULL_TEXT &&
        (double)last * image->null_text.learning_rate_decay >= 1.0)
        return pm_fail(
            err, PM_E_INPUT,
            "with a \"learning_rate_decay\" of %g the null-text optimisation stands still "
            "at step %zu of %zu: below %.3g is wanted",
            image->null_text.learning_rate_decay, last, schedule->evaluations, 1.0 / (double)last);
    return true;
}

bool pm_prepare(struct pm_prepared *out, const struct pm_recipe *recipe,
                const struct pm_tokenizer *tokenizer, const struct pm_schedule *schedule,
                struct pm_error *err)
{
    *out = (struct pm_prepared){0};
    PM_TRY(check_inversion(&recipe->image, schedule, err));
    PM_TRY(pm_tokenize(&out->source, tokenizer, recipe->source, err));
    out->targets = calloc(recipe->target_count + 1, sizeof *out->targets);
    if (!out->targets) pm_die("no memory for %zu targets", recipe->target_count);
    for (size_t i = 0; i < recipe->target_count; i++) {
        struct pm_prepared_target *target = &out->targets[i];
        target->error = recipe->targets[i].error;
        if (target->error.code != PM_OK) continue;
        if (!prepare_target(target, &recipe->targets[i], recipe, &out->source, tokenizer, schedule,
                            &target->error)) {
            struct pm_error why = target->error;
            pm_fail(&target->error, why.code, "targets[%zu]: %s", i, why.message);
        }
    }
    return true;
}

bool pm_edit_prepare(struct pm_prepared *out, const struct pm_recipe *recipe,
                     const struct pm_edit_settings *settings, struct pm_error *err)
{
    const struct pm_image_recipe *image = &recipe->image;
    *out = (struct pm_prepared){0};
    if (settings->model->precision != PM_FP32 && image->path &&
        image->method == PM_INVERSION_NULL_TEXT)
        return pm_fail(err, PM_E_INPUT,
                       "null-text inversion needs the precision fp32, not bf16: \"direct\" and "
                       "\"negative-prompt\" do without a gradient");
    return pm_prepare(out, recipe, settings->model->tokenizer, settings->schedule, err);
}

void pm_prepared_free(struct pm_prepared *prepared)
{
    free(prepared->targets);
    *prepared = (struct pm_prepared){0};
}
