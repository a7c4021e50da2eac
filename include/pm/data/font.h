/** @file font.h  The built-in typeface for captions: small, proportional, one bit a pixel.
 *
 *  It has ASCII, a few signs that captions use, and a box for all else. A Latin letter with an
 *  accent shows as its base letter. The shapes can be read and changed in font.c. */
#ifndef PM_DATA_FONT_H
#define PM_DATA_FONT_H
#include <stddef.h>

enum {
    PM_FONT_ASCENT = 8,  /* rows from the top of a capital to the baseline */
    PM_FONT_HEIGHT = 10, /* the same with the part below the baseline, as of "g" */
    PM_FONT_LINE = 13,   /* from one line of text to the next */
    PM_FONT_GAP = 1,     /* blank columns between two glyphs */
};

/** rows[y][x] == '#' is ink, for y < PM_FONT_HEIGHT and x < width. Rows are borrowed from the
 *  font and not terminated at width. Width 0: nothing to draw (an accent by itself). */
struct pm_glyph {
    const char *rows[PM_FONT_HEIGHT];
    size_t width;
};

/** The glyph for the first character of @p text (UTF-8, ends with 0). Control characters are
 *  spaces; a byte that is no UTF-8 is a box.
 *  @return the bytes this character takes; 0 at the end of the text, with *glyph untouched */
size_t pm_font_next(struct pm_glyph *glyph, const char *text);
#endif
