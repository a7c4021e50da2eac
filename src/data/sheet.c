#include "pm/data/sheet.h"

#include "pm/data/canvas.h"

enum {
    TITLE_SCALE = 2, /* to the other text */
    PROMPT_LINES = 2,
    TWICE_FROM = 384, /* tiles this wide have text of twice the size */
};

static const struct pm_color DARK = {45, 48, 54}, GREY = {110, 114, 122};
static const struct pm_color EMPTY = {242, 243, 246}; /* where a picture is missing */

static struct pm_text_style text_style(const struct pm_sheet *sheet, struct pm_color color,
                                       bool bold)
{
    return (struct pm_text_style){color, sheet->text_scale, bold};
}

static size_t line_height(const struct pm_sheet *sheet)
{
    struct pm_text_style style = text_style(sheet, DARK, false);
    return pm_text_line_height(&style);
}

/* Everything but the columns. */
static struct pm_sheet plan(const struct pm_sheet_options *options)
{
    struct pm_sheet sheet = {.count = options->count,
                             .tile_width = options->tile_width,
                             .tile_height = options->tile_height,
                             .tiles = (size_t)2 + options->originals + options->masks,
                             .originals = options->originals,
                             .masks = options->masks,
                             .text_scale = options->tile_width >= TWICE_FROM ? 2 : 1};
    const struct pm_text_style title = {DARK, TITLE_SCALE * sheet.text_scale, false};
    sheet.margin = 16 * sheet.text_scale;
    sheet.gap = 3 * sheet.text_scale;
    sheet.top = sheet.margin;
    if (options->title) sheet.top += pm_text_line_height(&title) + sheet.margin / 2;
    sheet.cell_width = sheet.tiles * (sheet.tile_width + sheet.gap) - sheet.gap;
    sheet.cell_height =
        3 * sheet.gap + sheet.tile_height + (2 + PROMPT_LINES) * line_height(&sheet);
    return sheet;
}

static size_t sheet_width(const struct pm_sheet *sheet, size_t columns)
{
    return sheet->margin + columns * (sheet->cell_width + sheet->margin);
}

static size_t sheet_height(const struct pm_sheet *sheet, size_t columns)
{
    size_t rows = (sheet->count + columns - 1) / columns;
    return sheet->top + rows * (sheet->cell_height + sheet->margin);
}

/* How many cells fit on a side of which @p taken pixels are used up. */
static size_t fitting(size_t taken, size_t cell, size_t margin)
{
    return taken < PM_IMAGE_MAX_SIDE ? (PM_IMAGE_MAX_SIDE - taken) / (cell + margin) : 0;
}

static size_t choose_columns(const struct pm_sheet *sheet, size_t most)
{
    size_t columns = 1;
    while (columns < most && columns < sheet->count &&
           sheet_width(sheet, columns) < sheet_height(sheet, columns))
        columns++;
    return columns;
}

bool pm_sheet_init(struct pm_sheet *out, const struct pm_sheet_options *options,
                   struct pm_error *err)
{
    PM_ASSERT(options->count > 0 && options->tile_width > 0 && options->tile_height > 0);
    size_t tile_width = options->tile_width, tile_height = options->tile_height;
    if (tile_width > PM_IMAGE_MAX_SIDE || tile_height > PM_IMAGE_MAX_SIDE)
        return pm_fail(err, PM_E_INPUT, "tiles of %zux%zu pixels are more than %d on a side",
                       tile_width, tile_height, PM_IMAGE_MAX_SIDE);
    struct pm_sheet sheet = plan(options);
    size_t most_columns = fitting(sheet.margin, sheet.cell_width, sheet.margin);
    size_t most_rows = fitting(sheet.top, sheet.cell_height, sheet.margin);
    if (options->columns > most_columns || most_columns == 0 || most_rows == 0)
        return pm_fail(err, PM_E_INPUT,
                       "a sheet of %zu columns with tiles of %zux%zu pixels would be more than %d "
                       "on a side; %zu columns of %zu edits fit",
                       options->columns > 0 ? options->columns : 1, tile_width, tile_height,
                       PM_IMAGE_MAX_SIDE, most_columns, most_rows);
    size_t room = (options->columns > 0 ? options->columns : most_columns) * most_rows;
    if (options->count > room)
        return pm_fail(err, PM_E_INPUT,
                       "a sheet of %zu edits with tiles of %zux%zu pixels would be more than %d "
                       "pixels high; %zu edits fit",
                       options->count, tile_width, tile_height, PM_IMAGE_MAX_SIDE, room);
    sheet.columns = options->columns > 0 ? options->columns : choose_columns(&sheet, most_columns);
    if (sheet.columns > sheet.count) sheet.columns = sheet.count;
    pm_image_init(&sheet.image, sheet_width(&sheet, sheet.columns),
                  sheet_height(&sheet, sheet.columns));
    const struct pm_text_style title = {DARK, TITLE_SCALE * sheet.text_scale, false};
    if (options->title)
        pm_canvas_text_box(&sheet.image, (ptrdiff_t)sheet.margin, (ptrdiff_t)sheet.margin,
                           sheet.image.width - 2 * sheet.margin, 1, options->title, &title);
    *out = sheet;
    return true;
}

void pm_sheet_free(struct pm_sheet *sheet)
{
    pm_image_free(&sheet->image);
    *sheet = (struct pm_sheet){0};
}

/* The picture as large as a tile allows, in its own proportions. */
static struct pm_image fitted(const struct pm_sheet *sheet, const struct pm_image *picture)
{
    size_t width = sheet->tile_width, height = sheet->tile_height;
    if (picture->width * height > picture->height * width)
        height = width * picture->height / picture->width;
    else
        width = height * picture->width / picture->height;
    struct pm_image tile;
    pm_image_init(&tile, width > 0 ? width : 1, height > 0 ? height : 1);
    pm_canvas_blit_smooth(&tile, 0, 0, tile.width, tile.height, picture);
    return tile;
}

/* @param mask_of  whose mask to show on the picture; NULL for none */
static void draw_tile(struct pm_sheet *sheet, ptrdiff_t x, ptrdiff_t y, size_t column,
                      const struct pm_image *picture, const struct pm_strip *mask_of)
{
    x += (ptrdiff_t)(column * (sheet->tile_width + sheet->gap));
    pm_canvas_fill(&sheet->image, x, y, sheet->tile_width, sheet->tile_height, EMPTY);
    if (!picture) return;
    struct pm_image tile = fitted(sheet, picture);
    if (mask_of)
        pm_strip_draw_mask(&tile, mask_of->mask, mask_of->mask_height, mask_of->mask_width);
    pm_canvas_blit(&sheet->image, x + (ptrdiff_t)(sheet->tile_width - tile.width) / 2,
                   y + (ptrdiff_t)(sheet->tile_height - tile.height) / 2, &tile, 1);
    pm_image_free(&tile);
}

void pm_sheet_add(struct pm_sheet *sheet, const char *id, const struct pm_strip *strip)
{
    PM_ASSERT(sheet->added < sheet->count);
    size_t row = sheet->added / sheet->columns, column = sheet->added % sheet->columns;
    sheet->added++;
    ptrdiff_t x = (ptrdiff_t)(sheet->margin + column * (sheet->cell_width + sheet->margin));
    ptrdiff_t y = (ptrdiff_t)(sheet->top + row * (sheet->cell_height + sheet->margin));
    const ptrdiff_t line = (ptrdiff_t)line_height(sheet), gap = (ptrdiff_t)sheet->gap;
    const struct pm_text_style plain = text_style(sheet, DARK, false);
    const struct pm_text_style label = text_style(sheet, GREY, false);
    const struct pm_text_style bold = text_style(sheet, DARK, true);
    pm_canvas_text_box(&sheet->image, x, y, sheet->cell_width, 1, id, &bold);
    y += line;
    if (strip->description)
        pm_canvas_text_box(&sheet->image, x, y, sheet->cell_width, 1, strip->description, &label);
    y += line + gap;
    size_t tile = 0;
    if (sheet->originals) draw_tile(sheet, x, y, tile++, strip->original, NULL);
    draw_tile(sheet, x, y, tile++, strip->source, NULL);
    draw_tile(sheet, x, y, tile++, strip->target, NULL);
    if (sheet->masks && strip->mask) draw_tile(sheet, x, y, tile, strip->source, strip);
    y += (ptrdiff_t)sheet->tile_height + gap;
    const char *prompt = strip->target ? strip->target_prompt : strip->source_prompt;
    if (prompt)
        pm_canvas_text_box(&sheet->image, x, y + gap, sheet->cell_width, PROMPT_LINES, prompt,
                           &plain);
}
