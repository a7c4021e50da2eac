/** @file recipe.h  One source and its targets as data: what a line of a manifest means.
 *
 *      {"id": "ball-to-cube", "source": "a red ball on a meadow", "seed": 7, "targets": [
 *        {"prompt": "a red cube on a meadow", "edit": "replace", "cross_replace_steps": 0.8,
 *         "self_replace_steps": 0.4,
 *         "local_blend": {"source": ["ball"], "target": ["cube"], "threshold": 0.3}}]}
 *
 *  docs/manifest.md lists every key. A recipe is made in two stages: resolving fills in all
 *  defaults, so that the JSON says everything that decides a result; reading turns that into this
 *  struct. A target that is wrong does not spoil its line: its error is kept beside it. */
#ifndef PM_EDIT_RECIPE_H
#define PM_EDIT_RECIPE_H
#include "pm/base/json.h"
#include "pm/control/token_map.h"
#include "pm/diffusion/null_text.h"

enum pm_noise { PM_NOISE_TORCH, PM_NOISE_COUNTER };

enum { PM_MAX_WORDS = 32, PM_MAX_TARGETS = 1000, PM_RECIPE_ID_BYTES = 256 };

/** Words of a prompt, borrowed from the recipe's JSON. */
struct pm_word_list {
    const char *words[PM_MAX_WORDS];
    size_t count;
};

struct pm_window {
    double begin, end; /* fractions of the steps, 0 .. 1 */
};

/** How a real picture becomes latents that an edit can start from. All begin with DDIM inversion. */
enum pm_inversion_method {
    PM_INVERSION_DIRECT,          /* the source is led along its inversion (Ju et al. 2023) */
    PM_INVERSION_DDIM,            /* nothing else: guidance leads away from the picture */
    PM_INVERSION_NULL_TEXT,       /* unconditional embeddings that lead back (Mokady et al. 2022) */
    PM_INVERSION_NEGATIVE_PROMPT, /* the source prompt as unconditional one (Miyake et al. 2023) */
};

/** A real picture as an edit's source. */
struct pm_image_recipe {
    const char *path; /* as the manifest has it; NULL: none, the source is made from noise */
    bool must_fit;    /* its size is the run's; else it is cropped and resized */
    size_t left, right, top, bottom; /* pixels cut off first */
    enum pm_inversion_method method;
    struct pm_null_text null_text;
};

struct pm_blend_recipe {
    bool of_differing_words; /* no words are given: those in which the prompts differ */
    bool against_inversion;  /* what is kept is the inversion's latents, not the source's */
    struct pm_word_list source, target;
    struct pm_word_list subtract_source, subtract_target;
    double threshold, subtract_threshold; /* 0 .. 1 */
    double start;                         /* fraction of the steps */
};

struct pm_target_recipe {
    struct pm_error error; /* code PM_OK, or why this target cannot be done; then only prompt may
                              be set */
    const char *prompt;
    enum pm_edit edit;
    enum pm_mapper mapper;
    struct pm_window cross;          /* cross_replace_steps, all words */
    struct pm_word_list cross_words; /* those with a window of their own */
    struct pm_window cross_windows[PM_MAX_WORDS];
    struct pm_window self;  /* self_replace_steps */
    double self_max_side;   /* self_replace_max_side, a share of the latent's; or */
    size_t self_max_pixels; /* self_replace_max_pixels, not 0 */
    struct pm_word_list equalizer;
    double equalizer_values[PM_MAX_WORDS];
    bool has_blend;
    struct pm_blend_recipe blend;
    bool restores;            /* the source's pixels are put back outside the mask */
    double restore_threshold; /* of the mask, without a blend */
    double restore_feather;   /* pixels: sigma of the mask's blur */
};

struct pm_recipe {
    json_t *json; /* owned: everything below borrows from it */
    const char *id, *source;
    uint64_t seed; /* of the noise; without meaning for a real picture */
    enum pm_noise noise;
    bool has_guidance_scale; /* of its own; else the run's counts */
    double guidance_scale;
    struct pm_image_recipe image;
    struct pm_target_recipe *targets; /* owned */
    size_t target_count;
};

/** Fill in what a manifest line leaves out: from @p defaults (an object with any of a line's or a
 *  target's keys, checked by pm_recipe_check_defaults; NULL: none), then from the reference. Its
 *  "local_blend.threshold" and "local_blend.start" are for local blends that lack them.
 *  @param line  changed in place */
void pm_recipe_resolve(json_t *line, const json_t *defaults);

/** Refuse keys that neither a line nor a target has, and those that name a single edit. */
PM_MUST_CHECK bool pm_recipe_check_defaults(const json_t *defaults, const char *where,
                                            struct pm_error *err);

/** Read a resolved line. @param json  stolen, also on failure
 *  @param where  begins each error: "edits.jsonl:17"
 *  @return false when the line as a whole is wrong; else true, and a target's own error is in its
 *  struct. Free with pm_recipe_free. */
PM_MUST_CHECK bool pm_recipe_read(struct pm_recipe *out, json_t *json, const char *where,
                                  struct pm_error *err);
void pm_recipe_free(struct pm_recipe *recipe);

/** As it is written in a manifest: "replace". */
const char *pm_edit_name(enum pm_edit edit);

/** The line's own guidance scale, or the run's @p usual one. */
float pm_recipe_guidance_scale(const struct pm_recipe *recipe, float usual);

/** In layers of at most so many query pixels is self-attention replaced. */
size_t pm_recipe_self_max_pixels(const struct pm_target_recipe *target, size_t latent_height,
                                 size_t latent_width);
#endif
