#include "plan_check.h"

#include "run_image.h"

#include "pm/edit/idle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More of either would keep one waiting, or hide the rest. */
enum { MOST_PICTURES = 2000, MOST_SENTENCES = 50 };

struct check {
    const struct run_plan *plan;
    const struct run_memory *host;
    double room; /* bytes that an edit may take on a host like this, alone */
    struct plan_findings found;
    struct run_plan_line line;
    size_t target;
    unsigned char *pixels; /* of a picture that is read; only whether it can be counts */
    char *last_picture;    /* lines of one picture follow each other */
};

static void check_memory(struct check *c, size_t item)
{
    struct pm_error err;
    if ((double)c->plan->items[item].bytes <= c->room) return;
    if (run_memory_allows(c->host, c->plan, &c->plan->shape, &c->line.recipe, &c->line.prepared,
                          &err))
        return;
    printf("%s: %s\n", c->line.place, err.message);
    c->found.too_large++;
}

static void check_picture(struct check *c)
{
    const struct pm_image_recipe *image = &c->line.recipe.image;
    const struct pm_store_shape *shape = &c->plan->shape;
    struct pm_error err;
    if (!image->path || c->found.pictures == MOST_PICTURES) return;
    if (c->last_picture && strcmp(c->last_picture, image->path) == 0) return;
    free(c->last_picture);
    c->last_picture = strdup(image->path);
    if (!c->pixels) c->pixels = malloc(shape->image_height * shape->image_width * 3);
    if (!c->last_picture || !c->pixels) pm_die("no memory to read %s", image->path);
    c->found.pictures++;
    if (run_image_load(c->pixels, c->plan->config, c->plan->settings, image, &err)) return;
    printf("%s: %s\n", c->line.place, err.message);
    c->found.bad_pictures++;
}

static void print_idle(void *self, const char *sentence)
{
    struct check *c = self;
    if (c->found.idle++ < MOST_SENTENCES)
        printf("%s: note: targets[%zu]: %s\n", c->line.place, c->target, sentence);
}

static void check_targets(struct check *c)
{
    for (c->target = 0; c->target < c->line.recipe.target_count; c->target++)
        if (c->line.prepared.targets[c->target].error.code == PM_OK)
            pm_idle_find(&c->line.recipe, &c->line.prepared, c->target, c->plan->settings->schedule,
                         print_idle, c);
}

struct plan_findings plan_check(const struct run_plan *plan, const struct run_memory *host)
{
    struct check c = {.plan = plan,
                      .host = host,
                      .room = run_memory_share(host) - run_memory_picture_bytes(&plan->shape)};
    for (size_t i = 0; i < plan->manifest.count; i++) {
        if (plan->items[i].cost == 0) continue; /* its problem is known */
        run_plan_line_load(&c.line, plan, i);
        check_memory(&c, i);
        check_picture(&c);
        check_targets(&c);
        run_plan_line_free(&c.line);
        pm_manifest_forget(&plan->manifest, i);
    }
    free(c.last_picture);
    free(c.pixels);
    if (c.found.idle > MOST_SENTENCES)
        printf("and %zu more notes\n", c.found.idle - MOST_SENTENCES);
    return c.found;
}
