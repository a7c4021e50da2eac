/** @file canvas.h  Drawing into a picture: rectangles, other pictures, text.
 *
 *  Coordinates are pixels from the upper left and may lie outside the canvas (by less than half
 *  of PTRDIFF_MAX): what falls outside is not drawn. */
#ifndef PM_DATA_CANVAS_H
#define PM_DATA_CANVAS_H
#include "pm/data/image.h"

#include <stdbool.h>

struct pm_color {
    uint8_t red, green, blue;
};

/** @return @p a where @p share is 0, @p b where it is 1 */
struct pm_color pm_color_mix(struct pm_color a, struct pm_color b, float share);

void pm_canvas_fill(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, size_t width, size_t height,
                    struct pm_color color);

/** Draw @p picture with every pixel @p scale by @p scale pixels large. */
void pm_canvas_blit(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y,
                    const struct pm_image *picture, size_t scale);

/** Draw @p picture at @p width by @p height pixels, bilinear; made smaller, each pixel is the
 *  mean of what it covers (a triangle filter widened by the reduction, as Pillow's BILINEAR and
 *  torch's antialias=True). */
void pm_canvas_blit_smooth(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, size_t width,
                           size_t height, const struct pm_image *picture);

/** How text looks. Text is UTF-8 in the built-in font (font.h). */
struct pm_text_style {
    struct pm_color color;
    size_t scale; /* 1: capitals are 8 pixels high */
    bool bold;
};

/** From the first inked column to the last, in pixels; 0 for empty text. */
size_t pm_text_width(const char *text, const struct pm_text_style *style);

/** From one line to the next, in pixels. */
size_t pm_text_line_height(const struct pm_text_style *style);

/** @return the lines pm_canvas_text_box would use, 0 to @p lines */
size_t pm_text_box_lines(size_t width, size_t lines, const char *text,
                         const struct pm_text_style *style);

/** One line of text; (@p x, @p y) is the upper left of its capitals. */
void pm_canvas_text(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, const char *text,
                    const struct pm_text_style *style);

/** Text wrapped between words to @p width pixels, in at most @p lines lines. What does not fit
 *  is cut and ends with an ellipsis; a word wider than the box is broken. With one line this is
 *  text cut to a width.
 *  @return the lines used */
size_t pm_canvas_text_box(struct pm_image *canvas, ptrdiff_t x, ptrdiff_t y, size_t width,
                          size_t lines, const char *text, const struct pm_text_style *style);
#endif
