/* promptmill export --as pie-bench: what PnPInversion's evaluation/evaluate.py reads (Ju et al. 2023,
 * arXiv 2310.01506). It opens FOLDER/annotation_images/IMAGE_PATH and, of a picture that is not square,
 * takes the 512x512 pixels at the lower right. */
#include "export_tree.h"

#include "pm/data/canvas.h"
#include "pm/runtime/agree.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 512, TILES = 4, TEXT_MARGIN = 24, TEXT_GAP = 40, TEXT_LINES = 6 };

/* [SETTING/][target-N/]annotation_images/IMAGE_PATH, or the id where no image_path is known. */
static bool place_of(char path[PATH_MAX], const struct export_edit *e, struct pm_error *err)
{
    char label[PM_SAFE_NAME_BYTES] = "", target[32] = "", file[PATH_MAX], name[PM_SAFE_NAME_BYTES];
    const char *image =
        json_string_value(json_object_get(json_object_get(e->recipe, "meta"), "image_path"));
    if (e->label[0]) pm_safe_name(label, e->label);
    if (e->item.entries > 2) snprintf(target, sizeof target, "target-%zu/", e->target - 1);
    if (image) {
        PM_TRY(pm_safe_path(file, sizeof file, image, err));
    } else {
        pm_safe_name(name, e->base);
        snprintf(file, sizeof file, "%s.png", name);
    }
    if (snprintf(path, PATH_MAX, "%s%s%sannotation_images/%s", label, label[0] ? "/" : "", target,
                 file) < PATH_MAX)
        return true;
    return pm_fail(err, PM_E_INPUT, "the path %.100s... is too long", file);
}

static void draw_tile(struct pm_image *strip, size_t tile, const struct pm_image *picture)
{
    ptrdiff_t x = (ptrdiff_t)(tile * SIDE);
    if (SIDE % picture->width == 0)
        pm_canvas_blit(strip, x, 0, picture, SIDE / picture->width);
    else
        pm_canvas_blit_smooth(strip, x, 0, SIDE, SIDE, picture);
}

static void draw_text(struct pm_image *strip, const struct export_edit *e)
{
    const struct pm_text_style style = {.scale = 2};
    const char *const texts[] = {e->source_prompt, e->prompt,
                                 e->instruction == e->prompt ? "" : e->instruction};
    size_t y = TEXT_MARGIN;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t lines = pm_canvas_text_box(strip, TEXT_MARGIN, (ptrdiff_t)y, SIDE - 2 * TEXT_MARGIN,
                                          TEXT_LINES, texts[i], &style);
        y += lines * pm_text_line_height(&style) + TEXT_GAP;
    }
}

static void draw_edit(struct pm_image *out, const struct export_edit *e, bool is_plain)
{
    pm_image_init(out, is_plain ? SIDE : TILES * SIDE, SIDE);
    draw_tile(out, is_plain ? 0 : 3, &e->edited);
    if (is_plain) return;
    draw_text(out, e);
    draw_tile(out, 1, &e->original);
    draw_tile(out, 2, &e->source);
}

static bool write_edit(struct export *x, const struct export_place *place, struct pm_error *err)
{
    struct export_edit e;
    struct pm_image picture = {0};
    char path[PATH_MAX];
    bool ok = export_edit_open(&e, x, place->item, place->target, err) && place_of(path, &e, err);
    bool is_there = ok && e.fate == EXPORT_KEPT && export_has_file(x, path);
    x->left_out += ok && e.fate == EXPORT_NOT_DONE;
    x->rejected += ok && e.fate == EXPORT_REJECTED;
    x->found += is_there;
    if (ok && e.fate == EXPORT_KEPT && !is_there) {
        ok = export_edit_read(&e, x, err);
        if (ok) draw_edit(&picture, &e, x->options->is_plain);
        ok = ok && export_write_picture(x, &picture, path, x->options->pictures, err);
        pm_image_free(&picture);
    }
    export_edit_free(&e);
    return ok;
}

bool export_pie_bench(struct export *x, struct pm_error *err)
{
    struct export_tree tree;
    bool ok = x->shape->image_width == x->shape->image_height ||
              pm_fail(err, PM_E_INPUT, "PIE-Bench's pictures are square; those of %s are %zux%zu",
                      x->options->store, x->shape->image_width, x->shape->image_height);
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    PM_TRY(export_tree_begin(&tree, x, "pie-bench", place_of, false, err));
    for (size_t i = (size_t)x->rank; ok && i < tree.count; i += (size_t)x->ranks)
        ok = write_edit(x, &tree.places[i], err);
    free(tree.places);
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    export_tree_report(x);
    return true;
}
