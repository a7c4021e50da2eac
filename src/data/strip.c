#include "pm/data/strip.h"

#include "pm/data/canvas.h"
#include "pm/data/heat_map.h"

#include <stdlib.h>

enum {
    PROMPT_LINES = 3,
    TWICE_FROM = 384,         /* tiles this wide have text of twice the size */
    PIXELS_PER_OUTLINE = 192, /* a mask's outline is one pixel thick for each, and one more */
};

static const struct pm_color DARK = {45, 48, 54}, GREY = {110, 114, 122};
static const struct pm_color DIMMED = {236, 238, 242}, OUTLINE = {226, 56, 76};
static const float DIMMED_SHARE = 0.72f;

/* Everything in pixels. */
struct layout {
    size_t tile_width, tile_height, columns;
    size_t text_scale, margin, gap; /* gap: between tiles, and between a tile and its text */
    size_t header_height, caption_lines;
    size_t width, height;
};

static struct pm_text_style text_style(const struct layout *layout, struct pm_color color,
                                       bool bold)
{
    return (struct pm_text_style){color, layout->text_scale, bold};
}

static size_t prompt_lines(const struct layout *layout, const char *prompt)
{
    struct pm_text_style style = text_style(layout, DARK, false);
    return prompt ? pm_text_box_lines(layout->tile_width, PROMPT_LINES, prompt, &style) : 0;
}

static struct layout plan(const struct pm_strip *strip, size_t scale)
{
    struct layout layout = {.tile_width = strip->source->width * scale,
                            .tile_height = strip->source->height * scale,
                            .columns = 1 + !!strip->original + !!strip->target + !!strip->mask +
                                       strip->word_count};
    layout.text_scale = layout.tile_width >= TWICE_FROM ? 2 : 1;
    layout.margin = 8 * layout.text_scale;
    layout.gap = 6 * layout.text_scale;
    struct pm_text_style style = text_style(&layout, DARK, false);
    size_t line = pm_text_line_height(&style);
    layout.header_height = strip->description ? line + layout.gap : 0;
    size_t source_lines = prompt_lines(&layout, strip->source_prompt);
    size_t target_lines = strip->target ? prompt_lines(&layout, strip->target_prompt) : 0;
    layout.caption_lines = source_lines > target_lines ? source_lines : target_lines;
    if (layout.caption_lines == 0 && (strip->original || strip->mask || strip->word_count))
        layout.caption_lines = 1;
    layout.width =
        2 * layout.margin + layout.columns * (layout.tile_width + layout.gap) - layout.gap;
    layout.height = 2 * layout.margin + layout.header_height + layout.tile_height;
    if (layout.caption_lines > 0) layout.height += layout.gap + layout.caption_lines * line;
    return layout;
}

/* A picture in the next column, over its caption. */
static void draw_tile(struct pm_image *out, const struct layout *layout, size_t column,
                      const struct pm_image *tile, size_t scale, const char *caption,
                      const struct pm_text_style *style)
{
    ptrdiff_t x = (ptrdiff_t)(layout->margin + column * (layout->tile_width + layout->gap));
    ptrdiff_t y = (ptrdiff_t)(layout->margin + layout->header_height);
    pm_canvas_blit(out, x, y, tile, scale);
    if (caption)
        pm_canvas_text_box(out, x, y + (ptrdiff_t)(layout->tile_height + layout->gap),
                           layout->tile_width, layout->caption_lines, caption, style);
}

static struct pm_image enlarged(const struct pm_image *picture, size_t scale)
{
    struct pm_image tile;
    pm_image_init(&tile, picture->width * scale, picture->height * scale);
    pm_canvas_blit(&tile, 0, 0, picture, scale);
    return tile;
}

static void draw_word_tile(struct pm_image *tile, const struct pm_strip_word *word)
{
    float *heat = malloc(tile->width * tile->height * sizeof *heat);
    if (!heat) pm_die("no memory for a heat map of %zux%zu", tile->width, tile->height);
    pm_heat_map_resize(heat, tile->height, tile->width, word->map, word->map_height,
                       word->map_width);
    pm_heat_map_normalize(heat, tile->width * tile->height, PM_HEAT_MIN_TO_MAX);
    pm_heat_map_overlay(tile, heat);
    free(heat);
}

static bool is_as_large(const struct pm_image *picture, const struct pm_image *source)
{
    return picture->width == source->width && picture->height == source->height;
}

static void check_sizes(const struct pm_strip *strip)
{
    PM_ASSERT(strip->source->pixels);
    PM_ASSERT(!strip->original || is_as_large(strip->original, strip->source));
    PM_ASSERT(!strip->target || is_as_large(strip->target, strip->source));
    for (size_t i = 0; i < strip->word_count; i++)
        PM_ASSERT(is_as_large(strip->words[i].picture, strip->source));
}

bool pm_strip_draw(struct pm_image *out, const struct pm_strip *strip, size_t scale,
                   struct pm_error *err)
{
    check_sizes(strip);
    PM_ASSERT(scale > 0 && scale <= PM_IMAGE_MAX_SIDE);
    PM_ASSERT(strip->word_count <= PM_IMAGE_MAX_SIDE); /* so that no sum below overflows */
    const struct layout layout = plan(strip, scale);
    if (layout.width > PM_IMAGE_MAX_SIDE || layout.height > PM_IMAGE_MAX_SIDE)
        return pm_fail(err, PM_E_INPUT,
                       "a strip of %zu tiles of %zux%zu pixels would be %zux%zu pixels, more than "
                       "%d on a side",
                       layout.columns, layout.tile_width, layout.tile_height, layout.width,
                       layout.height, PM_IMAGE_MAX_SIDE);
    pm_image_init(out, layout.width, layout.height);
    const struct pm_text_style plain = text_style(&layout, DARK, false);
    const struct pm_text_style label = text_style(&layout, GREY, false);
    const struct pm_text_style bold = text_style(&layout, DARK, true);
    if (strip->description)
        pm_canvas_text_box(out, (ptrdiff_t)layout.margin, (ptrdiff_t)layout.margin,
                           layout.width - 2 * layout.margin, 1, strip->description, &label);
    size_t column = 0;
    if (strip->original)
        draw_tile(out, &layout, column++, strip->original, scale, "original", &label);
    draw_tile(out, &layout, column++, strip->source, scale, strip->source_prompt, &plain);
    if (strip->target)
        draw_tile(out, &layout, column++, strip->target, scale, strip->target_prompt, &plain);
    if (strip->mask) {
        struct pm_image tile = enlarged(strip->source, scale);
        pm_strip_draw_mask(&tile, strip->mask, strip->mask_height, strip->mask_width);
        draw_tile(out, &layout, column++, &tile, 1, "blend mask", &label);
        pm_image_free(&tile);
    }
    for (size_t i = 0; i < strip->word_count; i++) {
        struct pm_image tile = enlarged(strip->words[i].picture, scale);
        draw_word_tile(&tile, &strip->words[i]);
        draw_tile(out, &layout, column++, &tile, 1, strip->words[i].text, &bold);
        pm_image_free(&tile);
    }
    return true;
}

struct mask_view {
    const uint8_t *mask;
    size_t mask_height, mask_width, height, width;
};

/* Whether the mask is not 0 at a pixel of the picture; the picture's edge is no edge of it. */
static bool is_inside(const struct mask_view *view, ptrdiff_t x, ptrdiff_t y)
{
    ptrdiff_t last_x = (ptrdiff_t)view->width - 1, last_y = (ptrdiff_t)view->height - 1;
    size_t column = (size_t)(x < 0 ? 0 : x > last_x ? last_x : x);
    size_t row = (size_t)(y < 0 ? 0 : y > last_y ? last_y : y);
    row = row * view->mask_height / view->height;
    column = column * view->mask_width / view->width;
    return view->mask[row * view->mask_width + column] != 0;
}

static bool is_border(const struct mask_view *view, ptrdiff_t x, ptrdiff_t y, ptrdiff_t thickness)
{
    for (ptrdiff_t away = 1; away <= thickness; away++)
        if (!is_inside(view, x - away, y) || !is_inside(view, x + away, y) ||
            !is_inside(view, x, y - away) || !is_inside(view, x, y + away))
            return true;
    return false;
}

void pm_strip_draw_mask(struct pm_image *picture, const uint8_t *mask, size_t mask_height,
                        size_t mask_width)
{
    PM_ASSERT(mask_height > 0 && mask_width > 0);
    const struct mask_view view = {mask, mask_height, mask_width, picture->height, picture->width};
    const ptrdiff_t thickness = 1 + (ptrdiff_t)(picture->width / PIXELS_PER_OUTLINE);
    for (size_t i = 0; i < picture->height * picture->width; i++) {
        ptrdiff_t x = (ptrdiff_t)(i % picture->width), y = (ptrdiff_t)(i / picture->width);
        uint8_t *pixel = picture->pixels + i * 3;
        struct pm_color color = {pixel[0], pixel[1], pixel[2]};
        if (!is_inside(&view, x, y))
            color = pm_color_mix(color, DIMMED, DIMMED_SHARE);
        else if (is_border(&view, x, y, thickness))
            color = OUTLINE;
        pixel[0] = color.red;
        pixel[1] = color.green;
        pixel[2] = color.blue;
    }
}
