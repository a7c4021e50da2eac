#include "measure_item.h"

#include "describe.h"
#include "run_image.h"
#include "store_look.h"
#include "sweep_label.h"

#include "pm/base/path.h"
#include "pm/data/image_fit.h"
#include "pm/data/mask.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const measure_mask_names[] = {
    [MEASURE_NO_MASK] = "none", [MEASURE_OF_MANIFEST] = "manifest", [MEASURE_OF_BLEND] = "blend"};

/** An item's pictures, masks and what is known of it. */
struct item {
    const struct pm_store *store;
    const struct pm_store_shape *shape;
    const struct measure_options *options;
    struct pm_store_item row;
    struct pm_recipe recipe;
    struct pm_image_fit fit;
    uint8_t *original, *picture, *truth; /* [height, width, 3]  truth NULL: not known */
    uint8_t *mask;                       /* [height, width]  of the manifest; NULL: none */
    uint8_t *blend_mask;                 /* [height, width]  the target's at hand */
};

static uint8_t *allocate(size_t bytes)
{
    uint8_t *memory = malloc(bytes);
    if (!memory) pm_die("no memory for a picture of %zu bytes", bytes);
    return memory;
}

const char *measure_category(const json_t *recipe)
{
    const char *category =
        json_string_value(json_object_get(json_object_get(recipe, "meta"), "category"));
    return category ? category : "";
}

static bool join(char path[PATH_MAX], const char *folder, const char *name, struct pm_error *err)
{
    bool is_whole = name[0] == '/';
    return pm_path_join(path, PATH_MAX, is_whole ? "" : folder, is_whole ? name + 1 : name, err);
}

/* The real picture as the run saw it, or the source's. */
static bool read_original(struct item *x, size_t item, const struct pm_store_row *source,
                          struct pm_error *err)
{
    if (!x->recipe.image.path)
        return pm_store_read_image(x->original, x->store, x->row.first_entry, err);
    if (store_has_original(x->store, source))
        return pm_store_read_original(x->original, x->store, item, err);
    return pm_fail(err, PM_E_INPUT, "%s: the store does not have the real picture", x->row.id);
}

/* FOLDER/IMAGE, where PIE-Bench's image_path names the picture; else FOLDER/ID.png, whatever the
 * sweep's setting. */
static bool read_truth(struct item *x, struct pm_error *err)
{
    char path[PATH_MAX], name[PATH_MAX];
    const json_t *meta = json_object_get(x->recipe.json, "meta");
    const char *image = json_string_value(json_object_get(meta, "image_path"));
    if (!x->options->truth_folder) return true;
    const char *label = sweep_label(x->row.id, x->options->config);
    int length = (int)(label - x->row.id) - (label[0] != '\0');
    snprintf(name, sizeof name, "%.*s.png", length, x->row.id); /* cut: too long to be joined */
    PM_TRY(join(path, x->options->truth_folder, image ? image : name, err));
    x->truth = allocate(x->shape->image_height * x->shape->image_width * 3);
    return pm_image_load_fitted(x->truth, x->shape->image_height, x->shape->image_width, path,
                                &x->fit, err);
}

static bool read_mask(struct item *x, struct pm_error *err)
{
    const json_t *mask = json_object_get(x->recipe.json, "mask");
    if (!mask || json_is_null(mask)) return true;
    x->mask = allocate(x->shape->image_height * x->shape->image_width);
    return pm_mask_load_fitted(x->mask, x->shape->image_height, x->shape->image_width, mask,
                               x->options->manifest_folder, &x->fit, x->row.id, err);
}

/* A blend's mask at the picture's size: each of its pixels covers some of the picture's. */
static bool read_blend_mask(struct item *x, size_t entry, struct pm_error *err)
{
    const struct pm_store_shape *s = x->shape;
    uint8_t *small = allocate(s->latent_height * s->latent_width);
    if (!x->blend_mask) x->blend_mask = allocate(s->image_height * s->image_width);
    bool ok = pm_store_read_blend_mask(small, x->store, entry, err);
    for (size_t p = 0; ok && p < s->image_height * s->image_width; p++) {
        size_t y = p / s->image_width * s->latent_height / s->image_height;
        size_t column = p % s->image_width * s->latent_width / s->image_width;
        x->blend_mask[p] = small[y * s->latent_width + column];
    }
    free(small);
    return ok;
}

static bool measure_entry(struct measured *out, struct item *x, size_t index,
                          const struct pm_store_row *row, struct pm_error *err)
{
    size_t entry = x->row.first_entry + index, height = x->shape->image_height,
           width = x->shape->image_width;
    const uint8_t *mask = x->mask;
    out->entry = entry;
    out->target = (int)index - 1;
    out->mask = mask ? MEASURE_OF_MANIFEST : MEASURE_NO_MASK;
    if (!mask && row->flags & PM_STORE_HAS_BLEND_MASK) {
        PM_TRY(read_blend_mask(x, entry, err));
        mask = x->blend_mask;
        out->mask = MEASURE_OF_BLEND;
    }
    PM_TRY(pm_store_read_image(x->picture, x->store, entry, err));
    pm_image_measure(out->metrics, x->picture, x->original, mask, height, width);
    for (size_t i = 0; i < PM_IMAGE_METRICS; i++) out->truth_metrics[i] = NAN;
    if (x->truth) pm_image_measure(out->truth_metrics, x->picture, x->truth, mask, height, width);
    return true;
}

static bool read_references(struct item *x, size_t item, const struct pm_store_row *source,
                            struct pm_error *err)
{
    size_t bytes = x->shape->image_height * x->shape->image_width * 3;
    x->fit = run_image_fit(&x->recipe.image);
    x->original = allocate(bytes);
    x->picture = allocate(bytes);
    return read_original(x, item, source, err) && read_truth(x, err) && read_mask(x, err);
}

static bool measure_entries(struct measured *out, size_t *count, size_t *left_out, struct item *x,
                            size_t item, struct pm_error *err)
{
    struct pm_store_row source;
    PM_TRY(pm_store_read_rows(&source, x->store, x->row.first_entry, 1, err));
    for (size_t i = 0; i < x->row.entries; i++) {
        struct pm_store_row row;
        PM_TRY(pm_store_read_rows(&row, x->store, x->row.first_entry + i, 1, err));
        bool is_done = row.state == PM_STORE_DONE && source.state == PM_STORE_DONE;
        *left_out += i > 0 && !is_done;
        if (!is_done || (i == 0 && !x->recipe.image.path)) continue;
        if (!x->original) PM_TRY(read_references(x, item, &source, err));
        PM_TRY(measure_entry(&out[*count], x, i, &row, err));
        out[(*count)++].item = item;
    }
    return true;
}

bool measure_item(struct measured *out, size_t *count, size_t *left_out,
                  const struct pm_store *store, size_t item, const struct measure_options *options,
                  struct pm_error *err)
{
    struct item x = {.store = store, .shape = pm_store_shape_of(store), .options = options};
    *count = 0;
    PM_TRY(pm_store_read_item(&x.row, store, item, err));
    bool is_read = describe_read_recipe(&x.recipe, x.row.recipe, x.row.id, err);
    bool ok = is_read && measure_entries(out, count, left_out, &x, item, err);
    free(x.original);
    free(x.picture);
    free(x.truth);
    free(x.mask);
    free(x.blend_mask);
    if (is_read) pm_recipe_free(&x.recipe);
    pm_store_item_free(&x.row);
    return ok;
}
