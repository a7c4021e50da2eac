#include "plan_check.h"

#include "run_image.h"

#include "pm/edit/idle.h"

#include <stdlib.h>
#include <string.h>

/* More of either would keep one waiting, or hide the rest. */
enum { MOST_PICTURES = 2000, MOST_NOTES = 50 };

struct plan_check plan_check_begin(void)
{
    return (struct plan_check){0};
}

void plan_check_end(struct plan_check *c)
{
    if (c->sentences) fclose(c->sentences);
    free(c->text);
    free(c->pixels);
    free(c->last_picture);
    *c = (struct plan_check){0};
}

static FILE *sentences(struct plan_check *c)
{
    if (!c->sentences) c->sentences = open_memstream(&c->text, &c->bytes);
    if (!c->sentences) pm_die("no memory for what is found in the manifest");
    return c->sentences;
}

static void check_picture(struct plan_check *c, const struct run_plan *plan,
                          const struct run_plan_line *line)
{
    const struct pm_image_recipe *image = &line->recipe.image;
    const struct pm_edit_settings *s = plan->settings;
    size_t factor = s->model->vae.factor;
    struct pm_error err;
    if (!image->path || c->pictures == MOST_PICTURES) return;
    if (c->last_picture && strcmp(c->last_picture, image->path) == 0) return;
    free(c->last_picture);
    c->last_picture = strdup(image->path);
    if (!c->pixels) c->pixels = malloc(s->latent_height * factor * s->latent_width * factor * 3);
    if (!c->last_picture || !c->pixels) pm_die("no memory to read %s", image->path);
    c->pictures++;
    if (run_image_load(c->pixels, plan->config, s, image, &err)) return;
    fprintf(sentences(c), "%s: %s\n", line->place, err.message);
    c->bad_pictures++;
}

/** A target at which a note is made. */
struct noted {
    struct plan_check *check;
    const struct run_plan_line *line;
    size_t target;
};

static void note(void *self, const char *sentence)
{
    const struct noted *n = self;
    if (n->check->notes++ < MOST_NOTES)
        fprintf(sentences(n->check), "%s: note: targets[%zu]: %s\n", n->line->place, n->target,
                sentence);
}

void plan_check_line(void *self, const struct run_plan *plan, const struct run_plan_line *line)
{
    struct noted n = {.check = self, .line = line};
    check_picture(self, plan, line);
    for (; n.target < line->recipe.target_count; n.target++)
        if (line->prepared.targets[n.target].error.code == PM_OK)
            pm_idle_find(&line->recipe, &line->prepared, n.target, plan->settings->schedule, note,
                         &n);
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

void plan_check_print(struct plan_check *c, const struct run_plan *plan,
                      const struct run_memory *host)
{
    double room = run_memory_share(host) - run_memory_picture_bytes(&plan->shape);
    if (c->sentences) fflush(c->sentences);
    if (c->text) fputs(c->text, stdout);
    if (c->notes > MOST_NOTES) printf("and %zu more notes\n", c->notes - MOST_NOTES);
    for (size_t i = 0; i < plan->manifest.count; i++) {
        if (plan->items[i].cost == 0 || (double)plan->items[i].bytes <= room) continue;
        print_too_large(plan, host, i);
        c->too_large++;
    }
}
