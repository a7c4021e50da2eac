#include "run_edit.h"

#include "run_image.h"
#include "run_inversions.h"

#include "pm/base/clock.h"
#include "pm/base/log.h"

#include <stdio.h>
#include <stdlib.h>

/** One item in a rank's hands. */
struct editing {
    struct run *run;
    size_t item, first_entry;
    struct pm_store_row *rows; /* [1 + targets] as the store had them */
    const struct pm_recipe *recipe;
    const struct pm_prepared *prepared;
    struct run_image image;
    const struct pm_real_image *real; /* &image.real, or NULL: the source is made from noise */
    double start_seconds;
    bool is_source_only;   /* no target is pending: the source counts as the edit */
    size_t done;           /* edits */
    struct pm_error error; /* of the store */
};

static void keep_picture(void *self, int target, const struct pm_picture *picture)
{
    struct editing *e = self;
    size_t index = target == PM_SOURCE_PICTURE ? 0 : (size_t)target + 1;
    if (e->error.code != PM_OK || e->rows[index].state != PM_STORE_PENDING) return;
    size_t mark = e->run->scratch.used;
    const struct pm_store_shape *shape = pm_store_shape_of(e->run->store);
    bool is_real_source = e->real && target == PM_SOURCE_PICTURE;
    struct pm_store_payload payload =
        run_captures_payload(picture, target == PM_SOURCE_PICTURE, shape, &e->run->scratch);
    if (is_real_source && picture->image)
        run_image_judge(&e->image, e->run, e->recipe, picture->image);
    if (is_real_source) run_image_payload(&payload, &e->image, shape);
    if (pm_store_put_entry(e->run->store, e->first_entry + index, &payload,
                           pm_clock_seconds() - e->start_seconds, &e->error)) {
        e->rows[index].state = PM_STORE_DONE;
        e->done += target != PM_SOURCE_PICTURE || e->is_source_only;
        if (payload.inversion) run_inversions_add(e->run, &e->image.key, e->item);
    }
    e->run->scratch.used = mark;
}

/* Whatever was not handed out failed, for the reason given. */
static bool fail_rest(struct editing *e, const char *message, size_t *failed, struct pm_error *err)
{
    for (size_t i = 0; i <= e->recipe->target_count; i++) {
        if (e->rows[i].state != PM_STORE_PENDING) continue;
        PM_TRY(pm_store_fail_entry(e->run->store, e->first_entry + i, message,
                                   pm_clock_seconds() - e->start_seconds, err));
        *failed += i > 0 || e->is_source_only;
    }
    return true;
}

/* Count that the pending pictures are begun; give up those that were begun too often and never
 * finished. @param left  pictures still to be made */
static bool begin_entries(struct editing *e, size_t *left, size_t *failed, struct pm_error *err)
{
    for (size_t i = 0; i <= e->recipe->target_count; i++) {
        char message[PM_ERROR_BYTES];
        uint32_t attempts;
        if (e->rows[i].state != PM_STORE_PENDING) continue;
        PM_TRY(pm_store_begin_entry(&attempts, e->run->store, e->first_entry + i, err));
        (*left)++;
        if (attempts <= e->run->config.attempts) continue;
        snprintf(message, sizeof message,
                 "begun %u times and never finished: each time its rank died, perhaps for want of "
                 "memory; --retry-failed tries again",
                 attempts - 1);
        PM_TRY(pm_store_fail_entry(e->run->store, e->first_entry + i, message, 0.0, err));
        e->rows[i].state = PM_STORE_FAILED;
        *failed += i > 0 || e->is_source_only;
        (*left)--;
    }
    return true;
}

/* An edit of several targets made NaN: do them one by one, so that the others are not lost. */
static bool edit_one_by_one(struct editing *e, struct pm_prepared *prepared, size_t *failed,
                            struct pm_error *err)
{
    struct run *r = e->run;
    size_t count = e->recipe->target_count;
    struct pm_error *errors = malloc((count + 1) * sizeof *errors);
    if (!errors) pm_die("no memory for %zu targets", count);
    for (size_t i = 0; i < count; i++) errors[i] = prepared->targets[i].error;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        struct pm_error why = {0};
        if (e->rows[i + 1].state != PM_STORE_PENDING || errors[i].code != PM_OK) continue;
        for (size_t j = 0; j < count; j++) {
            prepared->targets[j].error = errors[j];
            if (j != i) prepared->targets[j].error.code = PM_E_INPUT; /* not now */
        }
        if (pm_edit_image(&r->settings, e->recipe, prepared, e->real, keep_picture, e, &r->scratch,
                          &why))
            continue;
        ok = pm_store_fail_entry(r->store, e->first_entry + i + 1, why.message,
                                 pm_clock_seconds() - e->start_seconds, err);
        e->rows[i + 1].state = PM_STORE_FAILED;
        (*failed)++;
    }
    free(errors);
    return ok;
}

/* Make all pictures that can be made. @return false: those not handed out cannot, and why */
static bool edit_pictures(struct editing *e, struct pm_error *why)
{
    struct run *r = e->run;
    PM_TRY(run_memory_allows(&r->memory, &r->plan, pm_store_shape_of(r->store), e->recipe,
                             e->prepared, why));
    if (e->recipe->image.path) {
        PM_TRY(run_image_open(&e->image, r, e->recipe, e->prepared, why));
        e->real = &e->image.real;
    }
    return pm_edit_image(&r->settings, e->recipe, e->prepared, e->real, keep_picture, e,
                         &r->scratch, why);
}

bool run_edit_item(struct run *r, const struct pm_work *work, struct pm_work_result *result,
                   struct pm_error *err)
{
    struct pm_store_item item;
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    json_t *json;
    size_t mark = r->scratch.used;
    PM_TRY(pm_store_read_item(&item, r->store, work->index, err));
    /* the text was resolved and read on rank 0 already */
    PM_TRY(pm_json_parse(&json, work->text, work->bytes, item.id, err));
    PM_TRY(pm_recipe_read(&recipe, json, item.id, err));
    PM_TRY(pm_edit_prepare(&prepared, &recipe, &r->settings, err));
    struct editing e = {.run = r,
                        .item = work->index,
                        .first_entry = item.first_entry,
                        .recipe = &recipe,
                        .prepared = &prepared,
                        .start_seconds = pm_clock_seconds(),
                        .rows = calloc(recipe.target_count + 1, sizeof *e.rows)};
    if (!e.rows) pm_die("no memory for %zu targets", recipe.target_count);
    struct pm_error why = {0};
    bool ok = pm_store_read_rows(e.rows, r->store, e.first_entry, recipe.target_count + 1, err);
    e.is_source_only = true;
    for (size_t i = 1; ok && i <= recipe.target_count; i++)
        if (e.rows[i].state == PM_STORE_PENDING) e.is_source_only = false;
    size_t left = 0;
    ok = ok && begin_entries(&e, &left, &result->failed, err);
    if (ok && left > 0 && !edit_pictures(&e, &why)) {
        pm_log(PM_LOG_WARNING, "%s: %s", item.id, why.message);
        ok = why.code != PM_E_NUMERIC || recipe.target_count < 2 ||
             edit_one_by_one(&e, &prepared, &result->failed, err);
        ok = ok && fail_rest(&e, why.message, &result->failed, err);
    }
    if (e.error.code != PM_OK) {
        *err = e.error;
        ok = false;
    }
    result->done = e.done;
    result->seconds = pm_clock_seconds() - e.start_seconds;
    r->scratch.used = mark;
    free(e.rows);
    pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
    pm_store_item_free(&item);
    return ok;
}
