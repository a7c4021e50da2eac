#include "pm/data/canvas.h"

#include "pm/data/font.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char ELLIPSIS[] = "\xE2\x80\xA6";

struct pm_color pm_color_mix(struct pm_color a, struct pm_color b, float share)
{
    return (struct pm_color){(uint8_t)lrintf((float)a.red + share * (float)(b.red - a.red)),
                             (uint8_t)lrintf((float)a.green + share * (float)(b.green - a.green)),
                             (uint8_t)lrintf((float)a.blue + share * (float)(b.blue - a.blue))};
}

/* The part of [start, start + length) that lies in [0, limit): first to end. */
struct span {
    size_t first, end;
};

static struct span clip(ptrdiff_t start, size_t length, size_t limit)
{
    size_t before = start < 0 ? (size_t)0 - (size_t)start : 0; /* lies left of the canvas */
    size_t first = start < 0 ? 0 : (size_t)start;
    if (before >= length || first >= limit) return (struct span){0, 0};
    size_t visible = length - before;
    return (struct span){first, visible > limit - first ? limit : first + visible};
}

void pm_canvas_fill(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, size_t width, size_t height,
                    struct pm_color color)
{
    struct span columns = clip(x, width, canvas->width);
    struct span rows = clip(y, height, canvas->height);
    for (size_t j = rows.first; j < rows.end; j++) {
        uint8_t *pixel = canvas->pixels + (j * canvas->width + columns.first) * 3;
        for (size_t i = columns.first; i < columns.end; i++, pixel += 3) {
            pixel[0] = color.red;
            pixel[1] = color.green;
            pixel[2] = color.blue;
        }
    }
}

void pm_canvas_blit(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y,
                    const struct pm_image *picture, size_t scale)
{
    PM_ASSERT(scale > 0 && scale <= PM_IMAGE_MAX_SIDE);
    struct span columns = clip(x, picture->width * scale, canvas->width);
    struct span rows = clip(y, picture->height * scale, canvas->height);
    for (size_t j = rows.first; j < rows.end; j++) {
        const uint8_t *from = picture->pixels + (j - (size_t)y) / scale * picture->width * 3;
        uint8_t *to = canvas->pixels + j * canvas->width * 3;
        for (size_t i = columns.first; i < columns.end; i++)
            memcpy(to + i * 3, from + (i - (size_t)x) / scale * 3, 3);
    }
}

/* The source pixels that make output pixel @p index of an axis, and their common weight. */
struct taps {
    size_t first, end;
    float center, radius; /* in source pixels; a tap's weight is 1 - distance / radius */
};

static struct taps taps_at(size_t index, size_t from, size_t to)
{
    float scale = (float)from / (float)to;
    float center = scale * ((float)index + 0.5f) - 0.5f;
    float radius = fmaxf(scale, 1.0f);
    float first = fmaxf(ceilf(center - radius), 0.0f);
    float last = fminf(floorf(center + radius), (float)(from - 1));
    return (struct taps){(size_t)first, (size_t)last + 1, center, radius};
}

/* One colour of one output pixel from @p in, whose pixels lie @p stride apart. */
static float filtered(const float *in, size_t stride, const struct taps *taps)
{
    float sum = 0.0f, weights = 0.0f;
    for (size_t i = taps->first; i < taps->end; i++) {
        float weight = 1.0f - fabsf((float)i - taps->center) / taps->radius;
        sum += weight * in[i * stride];
        weights += weight;
    }
    return sum / weights;
}

void pm_canvas_blit_smooth(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, size_t width,
                           size_t height, const struct pm_image *picture)
{
    PM_ASSERT(picture->pixels);
    struct span columns = clip(x, width, canvas->width);
    struct span rows = clip(y, height, canvas->height);
    size_t visible = (columns.end - columns.first) * 3, source_row = picture->width * 3;
    if (visible == 0 || rows.first == rows.end) return;
    float *row = malloc(source_row * sizeof *row);
    float *narrow = malloc(picture->height * visible * sizeof *narrow); /* width done */
    if (!row || !narrow) pm_die("no memory to draw a picture at %zux%zu", width, height);
    for (size_t j = 0; j < picture->height; j++) {
        for (size_t i = 0; i < source_row; i++) row[i] = picture->pixels[j * source_row + i];
        for (size_t i = 0; i < visible; i++) {
            struct taps taps = taps_at(columns.first + i / 3 - (size_t)x, picture->width, width);
            narrow[j * visible + i] = filtered(row + i % 3, 3, &taps);
        }
    }
    for (size_t j = rows.first; j < rows.end; j++) {
        struct taps taps = taps_at(j - (size_t)y, picture->height, height);
        uint8_t *to = canvas->pixels + (j * canvas->width + columns.first) * 3;
        for (size_t i = 0; i < visible; i++)
            to[i] = (uint8_t)lrintf(filtered(narrow + i, visible, &taps));
    }
    free(row);
    free(narrow);
}

/* Columns from the start of one glyph to the start of the next, at scale 1. */
static size_t advance(const struct pm_glyph *glyph, const struct pm_text_style *style)
{
    return glyph->width > 0 ? glyph->width + style->bold + PM_FONT_GAP : 0;
}

static size_t width_of(size_t columns, const struct pm_text_style *style)
{
    return columns > 0 ? (columns - PM_FONT_GAP) * style->scale : 0;
}

/* Bold is the glyph drawn twice, one column apart. */
static bool is_ink(const struct pm_glyph *glyph, bool bold, ptrdiff_t x, ptrdiff_t y)
{
    if (y < 0 || y >= PM_FONT_HEIGHT) return false;
    bool ink = x >= 0 && x < (ptrdiff_t)glyph->width && glyph->rows[y][x] == '#';
    return ink || (bold && is_ink(glyph, false, x - 1, y));
}

/* Enlarged twofold, a step in a slanted line is rounded off: a quarter of a pixel takes the
 * colour of its two outer neighbours where these agree and the inner ones do not
 * (the Scale2x rule, scale2x.it). */
static bool quarter_is_ink(const struct pm_glyph *glyph, bool bold, ptrdiff_t x, ptrdiff_t y,
                           ptrdiff_t right, ptrdiff_t down)
{
    bool beside = is_ink(glyph, bold, x + right, y), above = is_ink(glyph, bold, x, y + down);
    bool rounds = beside == above && beside != is_ink(glyph, bold, x, y - down) &&
                  above != is_ink(glyph, bold, x - right, y);
    return rounds ? beside : is_ink(glyph, bold, x, y);
}

static void draw_glyph(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y,
                       const struct pm_glyph *glyph, const struct pm_text_style *style)
{
    if (glyph->width == 0) return;
    size_t parts = style->scale % 2 == 0 ? 2 : 1, size = style->scale / parts;
    ptrdiff_t columns = (ptrdiff_t)((glyph->width + style->bold) * parts);
    ptrdiff_t rows = (ptrdiff_t)(PM_FONT_HEIGHT * parts), n = (ptrdiff_t)parts;
    for (ptrdiff_t j = 0; j < rows; j++)
        for (ptrdiff_t i = 0; i < columns; i++) {
            bool ink = parts == 1 ? is_ink(glyph, style->bold, i, j)
                                  : quarter_is_ink(glyph, style->bold, i / n, j / n, i % n * 2 - 1,
                                                   j % n * 2 - 1);
            if (ink)
                pm_canvas_fill(canvas, x + i * (ptrdiff_t)size, y + j * (ptrdiff_t)size, size, size,
                               style->color);
        }
}

/* @return the x where the next glyph begins */
static ptrdiff_t draw(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, const char *text,
                      size_t bytes, const struct pm_text_style *style)
{
    struct pm_glyph glyph;
    for (size_t at = 0; at < bytes && x < (ptrdiff_t)canvas->width;) {
        at += pm_font_next(&glyph, text + at);
        draw_glyph(canvas, x, y, &glyph, style);
        x += (ptrdiff_t)(advance(&glyph, style) * style->scale);
    }
    return x;
}

/* The longest beginning of @p text that is no wider than @p width, in bytes. */
static size_t fitting_bytes(const char *text, size_t width, const struct pm_text_style *style)
{
    struct pm_glyph glyph;
    size_t fit = 0, columns = 0, bytes;
    while ((bytes = pm_font_next(&glyph, text + fit)) > 0) {
        columns += advance(&glyph, style);
        if (width_of(columns, style) > width) break;
        fit += bytes;
    }
    return fit;
}

/* Where the first line of @p text ends: between words if it can be, and always after at least
 * one character, so that a box too narrow for anything still comes to an end. */
static size_t line_bytes(const char *text, size_t width, const struct pm_text_style *style)
{
    struct pm_glyph glyph;
    size_t fit = fitting_bytes(text, width, style);
    if (fit == 0) return pm_font_next(&glyph, text);
    if (text[fit] == 0 || text[fit] == ' ') return fit;
    for (size_t end = fit; end > 0; end--)
        if (text[end - 1] == ' ') return end - 1;
    return fit;
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " ");
}

size_t pm_text_width(const char *text, const struct pm_text_style *style)
{
    struct pm_glyph glyph;
    size_t columns = 0, bytes;
    for (; (bytes = pm_font_next(&glyph, text)) > 0; text += bytes)
        columns += advance(&glyph, style);
    return width_of(columns, style);
}

size_t pm_text_line_height(const struct pm_text_style *style)
{
    return PM_FONT_LINE * style->scale;
}

void pm_canvas_text(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, const char *text,
                    const struct pm_text_style *style)
{
    draw(canvas, x, y, text, strlen(text), style);
}

/* The last line there is room for. */
static void draw_cut(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, size_t width,
                     const char *text, const struct pm_text_style *style)
{
    if (pm_text_width(text, style) <= width) {
        pm_canvas_text(canvas, x, y, text, style);
        return;
    }
    size_t tail = pm_text_width(ELLIPSIS, style) + PM_FONT_GAP * style->scale;
    size_t fit = width > tail ? fitting_bytes(text, width - tail, style) : 0;
    while (fit > 0 && text[fit - 1] == ' ') fit--;
    pm_canvas_text(canvas, draw(canvas, x, y, text, fit, style), y, ELLIPSIS, style);
}

size_t pm_text_box_lines(size_t width, size_t lines, const char *text,
                         const struct pm_text_style *style)
{
    size_t used = 0;
    for (text = skip_spaces(text); *text && used < lines; used++)
        text = skip_spaces(text + line_bytes(text, width, style));
    return used;
}

size_t pm_canvas_text_box(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, size_t width,
                          size_t lines, const char *text, const struct pm_text_style *style)
{
    size_t used = 0;
    for (text = skip_spaces(text); *text && used < lines; used++) {
        ptrdiff_t line_y = y + (ptrdiff_t)(used * pm_text_line_height(style));
        size_t bytes = line_bytes(text, width, style);
        if (used + 1 == lines)
            draw_cut(canvas, x, line_y, width, text, style);
        else
            draw(canvas, x, line_y, text, bytes, style);
        text = skip_spaces(text + bytes);
    }
    return used;
}
