#include "compare_sheet.h"

#include "store_look.h"

#include "pm/data/canvas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TILE_MAX = 192, MARGIN = 16, GAP = 8, LINE = 20, HEAD_LINES = 2 };

static const struct pm_color black = {20, 20, 20}, grey = {110, 110, 110};

static bool read_edited(struct pm_image *out, const struct comparison *c,
                        const struct compare_edit *edit, size_t column, struct pm_error *err)
{
    const struct pm_store *store = c->columns[column].store;
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    pm_image_init(out, shape->image_width, shape->image_height);
    return pm_store_read_image(out->pixels, store, edit->cells[column].entry, err);
}

/* What was edited: the real picture, or the source's. */
static bool read_original(struct pm_image *out, const struct comparison *c,
                          const struct compare_edit *edit, struct pm_error *err)
{
    size_t column = 0;
    while (!edit->has[column]) column++;
    const struct pm_store *store = c->columns[column].store;
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    const struct compare_cell *cell = &edit->cells[column];
    pm_image_init(out, shape->image_width, shape->image_height);
    return store_read_before(out->pixels, store, cell->item, cell->source, err);
}

bool compare_pictures(double *out, const struct comparison *c, const struct compare_edit *edit,
                      size_t a, size_t b, struct pm_error *err)
{
    struct pm_image x = {0}, y = {0};
    *out = NAN;
    if (!edit->has[a] || !edit->has[b]) return true;
    bool ok = read_edited(&x, c, edit, a, err) && read_edited(&y, c, edit, b, err);
    if (ok && x.width == y.width && x.height == y.height) {
        size_t n = x.width * x.height * 3;
        double sum = 0.0;
        for (size_t i = 0; i < n; i++) sum += abs(x.pixels[i] - y.pixels[i]);
        *out = sum / (double)n;
    }
    pm_image_free(&x);
    pm_image_free(&y);
    return ok;
}

/** Everything in pixels. */
struct layout {
    size_t tile_width, tile_height, row_height, width, height;
};

static bool lay_out(struct layout *out, const struct comparison *c, size_t count,
                    struct pm_error *err)
{
    const struct pm_store_shape *shape = pm_store_shape_of(c->columns[0].store);
    size_t side =
        shape->image_width > shape->image_height ? shape->image_width : shape->image_height;
    double scale = side > TILE_MAX ? (double)TILE_MAX / (double)side : 1.0;
    *out = (struct layout){.tile_width = (size_t)ceil((double)shape->image_width * scale),
                           .tile_height = (size_t)ceil((double)shape->image_height * scale)};
    out->row_height = out->tile_height + 2 * LINE + GAP;
    out->width = 2 * MARGIN + (c->column_count + 1) * (out->tile_width + GAP) - GAP;
    out->height = 2 * MARGIN + HEAD_LINES * LINE + count * out->row_height;
    if (out->width <= PM_IMAGE_MAX_SIDE && out->height <= PM_IMAGE_MAX_SIDE) return true;
    return pm_fail(
        err, PM_E_INPUT,
        "a sheet of %zu edits under %zu settings would be %zux%zu pixels, more than %d on a side; "
        "--shown takes fewer edits",
        count, c->column_count, out->width, out->height, PM_IMAGE_MAX_SIDE);
}

static ptrdiff_t column_x(const struct layout *l, size_t column)
{
    return (ptrdiff_t)(MARGIN + column * (l->tile_width + GAP));
}

static bool draw_row(struct pm_image *sheet, const struct layout *l, const struct comparison *c,
                     const struct compare_edit *edit, size_t row, struct pm_error *err)
{
    struct pm_text_style bold = {.color = black, .scale = 1, .bold = true},
                         plain = {.color = grey, .scale = 1};
    ptrdiff_t y = (ptrdiff_t)(MARGIN + HEAD_LINES * LINE + row * l->row_height);
    size_t width = l->width - 2 * MARGIN;
    char text[PM_ERROR_BYTES];
    snprintf(text, sizeof text, "%.100s: \"%.200s\"", edit->id, edit->prompt);
    pm_canvas_text_box(sheet, MARGIN, y, width, 1, text, &bold);
    for (size_t column = 0; column <= c->column_count; column++) {
        struct pm_image picture = {0};
        if (column > 0 && !edit->has[column - 1]) continue;
        bool ok = column == 0 ? read_original(&picture, c, edit, err)
                              : read_edited(&picture, c, edit, column - 1, err);
        if (ok)
            pm_canvas_blit_smooth(sheet, column_x(l, column), y + LINE, l->tile_width,
                                  l->tile_height, &picture);
        pm_image_free(&picture);
        PM_TRY(ok);
        if (column == 0) continue;
        snprintf(text, sizeof text, "%.4g", edit->values[(column - 1) * c->metric_count]);
        pm_canvas_text_box(sheet, column_x(l, column), y + LINE + (ptrdiff_t)l->tile_height + 4,
                           l->tile_width, 1, text, &plain);
    }
    return true;
}

bool compare_sheet_draw(struct pm_image *out, const struct comparison *c, const size_t *edits,
                        size_t count, struct pm_error *err)
{
    struct layout l;
    struct pm_image sheet;
    struct pm_text_style style = {.color = black, .scale = 1, .bold = true},
                         plain = {.color = grey, .scale = 1};
    char title[PM_ERROR_BYTES];
    PM_TRY(lay_out(&l, c, count, err));
    pm_image_init(&sheet, l.width, l.height);
    snprintf(title, sizeof title, "below each edit: %.200s", c->metrics[0]);
    pm_canvas_text_box(&sheet, MARGIN, MARGIN, l.width - 2 * MARGIN, 1, title, &plain);
    pm_canvas_text_box(&sheet, column_x(&l, 0), MARGIN + LINE, l.tile_width, 1, "original", &style);
    for (size_t i = 0; i < c->column_count; i++)
        pm_canvas_text_box(&sheet, column_x(&l, i + 1), MARGIN + LINE, l.tile_width, 1,
                           c->columns[i].name, &style);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = draw_row(&sheet, &l, c, &c->edits[edits[i]], i, err);
    if (ok)
        *out = sheet;
    else
        pm_image_free(&sheet);
    return ok;
}
