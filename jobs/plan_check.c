#include "plan_check.h"

#include "run_image.h"

#include "pm/base/grow.h"
#include "pm/base/path.h"
#include "pm/data/mask.h"
#include "pm/edit/explain.h"
#include "pm/edit/idle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More of either would keep one waiting, or hide the rest. */
enum { MOST_PICTURES = 2000, MOST_NOTES = 50 };

struct plan_check plan_check_begin(bool reads_pictures)
{
    return (struct plan_check){.reads_pictures = reads_pictures};
}

void plan_check_end(struct plan_check *c)
{
    for (size_t i = 0; i < c->finding_count; i++) free(c->findings[i].sentence);
    free(c->findings);
    free(c->pixels);
    free(c->last_picture);
    free(c->last_mask);
    *c = (struct plan_check){0};
}

static char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text_of(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) pm_die("no memory for what is found in the manifest");
    va_end(args);
    return text;
}

/* @param sentence  owned by the check from now on */
static void add(struct plan_check *c, const struct run_plan_line *line, char *sentence)
{
    c->findings = pm_grow(c->findings, c->finding_count, sizeof *c->findings);
    c->findings[c->finding_count++] =
        (struct plan_finding){.item = line->item, .sentence = sentence};
}

/* Is it another one than the last? Then it becomes the last. @param text  owned by the callee */
static bool is_new(char **last, char *text)
{
    bool same = *last && strcmp(*last, text) == 0;
    free(*last);
    *last = text;
    return !same;
}

static void make_pixels(struct plan_check *c, const struct pm_edit_settings *s)
{
    size_t factor = s->model->vae.factor;
    size_t bytes = s->latent_height * factor * s->latent_width * factor * 3;
    if (!c->pixels) c->pixels = malloc(bytes);
    if (!c->pixels) pm_die("no memory for a picture of %zu bytes", bytes);
}

static char *describe_fit(const struct pm_image_recipe *image)
{
    return text_of("%s %zu %zu %zu %zu %d", image->path ? image->path : "", image->left,
                   image->right, image->top, image->bottom, image->must_fit);
}

static void check_picture(struct plan_check *c, const struct run_plan *plan,
                          const struct run_plan_line *line)
{
    const struct pm_image_recipe *image = &line->recipe.image;
    struct pm_error err;
    if (!image->path || c->pictures == MOST_PICTURES) return;
    if (!is_new(&c->last_picture, describe_fit(image))) return;
    make_pixels(c, plan->settings);
    c->pictures++;
    if (run_image_load(c->pixels, plan->config, plan->settings, image, &err)) return;
    add(c, line, text_of("%s: %s", line->place, err.message));
    c->bad_pictures++;
}

/** A target, or the line (no target), at which a note is made. */
struct noted {
    struct plan_check *check;
    const struct run_plan_line *line;
    bool is_line;
    size_t target;
};

static void note(void *self, const char *sentence)
{
    const struct noted *n = self;
    if (n->check->notes++ >= MOST_NOTES) return;
    add(n->check, n->line,
        n->is_line ? text_of("%s: note: %s", n->line->place, sentence)
                   : text_of("%s: note: targets[%zu]: %s", n->line->place, n->target, sentence));
}

static void judge_mask(struct plan_check *c, const struct run_plan_line *line,
                       const unsigned char *mask, size_t pixels)
{
    struct noted n = {.check = c, .line = line, .is_line = true};
    size_t inside = 0;
    for (size_t i = 0; i < pixels; i++) inside += mask[i] != 0;
    if (inside == 0)
        note(&n, "the mask has no pixel inside, so that nothing can be measured there");
    else if (inside == pixels)
        note(&n, "the mask has no pixel outside, so that nothing can be measured there");
}

static void check_mask(struct plan_check *c, const struct run_plan *plan,
                       const struct run_plan_line *line)
{
    const struct pm_edit_settings *s = plan->settings;
    const struct pm_image_recipe *image = &line->recipe.image;
    const json_t *mask = json_object_get(line->recipe.json, "mask");
    char folder[PATH_MAX];
    size_t factor = s->model->vae.factor;
    size_t height = s->latent_height * factor, width = s->latent_width * factor;
    struct pm_image_fit fit = run_image_fit(image);
    struct pm_error err;
    if (!mask || json_is_null(mask) || c->pictures == MOST_PICTURES) return;
    char *runs = json_dumps(mask, JSON_ENCODE_ANY | JSON_COMPACT), *how = describe_fit(image);
    if (!runs) pm_die("no memory for a mask");
    bool is_known = !is_new(&c->last_mask, text_of("%s %s", how, runs));
    free(how);
    free(runs);
    if (is_known) return;
    make_pixels(c, s);
    c->pictures++;
    pm_path_folder(folder, plan->manifest.path);
    if (pm_mask_load_fitted(c->pixels, height, width, mask, folder, &fit, line->place, &err)) {
        judge_mask(c, line, c->pixels, height * width);
    } else {
        add(c, line, text_of("%s", err.message));
        c->bad_pictures++;
    }
}

/* What is wrong beside what the plan says already. */
static void explain(void *self, const char *sentence)
{
    const struct noted *n = self;
    char *text = text_of("%s: targets[%zu]: %s", n->line->place, n->target, sentence);
    if (strcmp(text, n->line->prepared.targets[n->target].error.message) != 0)
        add(n->check, n->line, text);
    else
        free(text);
}

/* @return pixels of the smallest maps of self-attention */
static size_t smallest_map(struct plan_check *c, const struct pm_edit_settings *s)
{
    struct pm_arena arena;
    size_t count;
    if (c->smallest_map > 0) return c->smallest_map;
    pm_arena_init(&arena, (size_t)1 << 20);
    const struct pm_attention_site *sites = pm_edit_sites(&count, s, &arena);
    for (size_t i = 0; i < count; i++)
        if (!sites[i].is_cross && (c->smallest_map == 0 || sites[i].queries < c->smallest_map))
            c->smallest_map = sites[i].queries;
    pm_arena_free(&arena);
    return c->smallest_map;
}

/* Self-attention is replaced in layers of few pixels only: is there one? */
static void look_at_layers(struct noted *n, const struct pm_edit_settings *s)
{
    const struct pm_target_recipe *target = &n->line->recipe.targets[n->target];
    const struct pm_prepared_target *prepared = &n->line->prepared.targets[n->target];
    size_t least = smallest_map(n->check, s);
    size_t most = pm_recipe_self_max_pixels(target, s->latent_height, s->latent_width);
    if (prepared->self_begin >= prepared->self_end || most >= least) return;
    char *text = text_of(
        "self_replace_steps: no layer has maps of at most %zu pixels, as \"%s\" wants; the "
        "smallest have %zu",
        most, target->self_max_pixels > 0 ? "self_replace_max_pixels" : "self_replace_max_side",
        least);
    note(n, text);
    free(text);
}

static void look_at_guidance(struct plan_check *c, const struct pm_edit_settings *s,
                             const struct run_plan_line *line)
{
    struct noted n = {.check = c, .line = line, .is_line = true};
    float scale = pm_recipe_guidance_scale(&line->recipe, s->guidance_scale);
    if (scale == 0.0f)
        note(&n, "with a guidance_scale of 0 the prompts have no effect on the pictures");
    if (scale == 1.0f && s->negative_prompt[0])
        note(&n, "with a guidance_scale of 1 the negative_prompt has no effect");
}

void plan_check_line(void *self, const struct run_plan *plan, const struct run_plan_line *line)
{
    struct noted n = {.check = self, .line = line};
    const struct pm_edit_settings *s = plan->settings;
    if (plan->items[line->item].cost == 0) return;
    if (n.check->reads_pictures) check_picture(self, plan, line);
    if (n.check->reads_pictures) check_mask(self, plan, line);
    look_at_guidance(self, s, line);
    for (; n.target < line->recipe.target_count; n.target++) {
        if (line->prepared.targets[n.target].error.code == PM_OK) {
            pm_idle_find(&line->recipe, &line->prepared, n.target, s->schedule, note, &n);
            look_at_layers(&n, s);
        } else if (line->recipe.targets[n.target].error.code == PM_OK) {
            pm_explain(&line->recipe, &line->prepared.source, n.target, s->model->tokenizer,
                       explain, &n);
        }
    }
}

static void print_too_large(const struct run_plan *plan, const struct run_memory *host, size_t item)
{
    struct run_plan_line line;
    struct pm_error err;
    run_plan_line_load(&line, plan, item);
    if (!run_memory_allows(host, plan, &plan->shape, &line.recipe, &line.prepared, &err))
        printf("%s: %s\n", line.place, err.message);
    run_plan_line_free(&line);
}

size_t plan_check_print_line(const struct plan_check *c, const struct run_plan *plan, size_t item)
{
    size_t problems = 0;
    for (size_t i = 0; i < plan->problem_count; i++) {
        if (plan->problems[i].item != item) continue;
        puts(plan->problems[i].message);
        problems++;
    }
    for (size_t i = 0; i < c->finding_count; i++)
        if (c->findings[i].item == item) puts(c->findings[i].sentence);
    return problems;
}

void plan_check_print(struct plan_check *c, const struct run_plan *plan,
                      const struct run_memory *host)
{
    size_t found = 0;
    for (size_t i = 0; i < plan->problem_count || found < c->finding_count;) {
        bool is_problem =
            i < plan->problem_count &&
            (found == c->finding_count || plan->problems[i].item <= c->findings[found].item);
        puts(is_problem ? plan->problems[i++].message : c->findings[found++].sentence);
    }
    if (c->notes > MOST_NOTES) printf("and %zu more notes\n", c->notes - MOST_NOTES);
    if (!host) return;
    double room = run_memory_share(host) - run_memory_picture_bytes(&plan->shape);
    for (size_t i = 0; i < plan->manifest.count; i++) {
        if (plan->items[i].cost == 0 || (double)plan->items[i].bytes <= room) continue;
        print_too_large(plan, host, i);
        c->too_large++;
    }
}
