#include "pm/data/font.h"

#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

enum { BAND_GLYPHS = 8, BOX = 127, EXTRA = 128 };

/* The glyphs in order, eight to a band, with '|' between them: ASCII from the space on, the box
 * in place of 127, then the signs of EXTRAS. Every glyph has ink in its first and last column,
 * so that the gap between two is what it seems. */
static const char *const BANDS[][PM_FONT_HEIGHT] = {
    {
        "   |#|# #| #  # |  #  | ##   # | ##   |#",
        "   |#|# #| #  # | ####|#  #  # |#  #  |#",
        "   |#|# #|######|# #  |#  # #  |#  #  |#",
        "   |#|   | #  # |# #  | ## #   | ##   | ",
        "   |#|   | #  # | ### |   # ## |#  # #| ",
        "   |#|   |######|  # #|  # #  #|#   # | ",
        "   | |   | #  # |  # #| #  #  #|#   # | ",
        "   |#|   | #  # |#### | #   ## | ### #| ",
        "   | |   |      |  #  |        |      | ",
        "   | |   |      |     |        |      | ",
    },
    {
        "  #|#  |  #  |     |  |   | |   #",
        " # | # |# # #|     |  |   | |   #",
        " # | # | ### |  #  |  |   | |  # ",
        "#  |  #|# # #|  #  |  |   | |  # ",
        "#  |  #|  #  |#####|  |###| | #  ",
        "#  |  #|     |  #  |  |   | | #  ",
        "#  |  #|     |  #  | #|   |#|#   ",
        " # | # |     |     | #|   |#|#   ",
        " # | # |     |     |# |   | |    ",
        "  #|#  |     |     |  |   | |    ",
    },
    {
        " ### |  #  | ### | ### |   # |#####|  ## |#####",
        "#   #|###  |#   #|#   #|  ## |#    | #   |    #",
        "#   #|  #  |    #|    #| # # |#    |#    |   # ",
        "#   #|  #  |   # |  ## | # # |#### |#### |   # ",
        "#   #|  #  |  #  |    #|#  # |    #|#   #|  #  ",
        "#   #|  #  | #   |    #|#####|    #|#   #|  #  ",
        "#   #|  #  |#    |#   #|   # |#   #|#   #| #   ",
        " ### |#####|#####| ### |   # | ### | ### | #   ",
        "     |     |     |     |     |     |     |     ",
        "     |     |     |     |     |     |     |     ",
    },
    {
        " ### | ### | |  |    |     |    | ### ",
        "#   #|#   #| |  |   #|     |#   |#   #",
        "#   #|#   #|#| #|  # |     | #  |    #",
        " ### |#   #|#| #| #  |#####|  # |   # ",
        "#   #| ####| |  |#   |     |   #|  #  ",
        "#   #|    #| |  | #  |#####|  # |  #  ",
        "#   #|   # |#| #|  # |     | #  |     ",
        " ### | ##  |#| #|   #|     |#   |  #  ",
        "     |     | |# |    |     |    |     ",
        "     |     | |  |    |     |    |     ",
    },
    {
        "  ####  |  ##  |#### | #### |####  |#####|#####| #### ",
        " #    # |  ##  |#   #|#    #|#   # |#    |#    |#    #",
        "#  ### #| #  # |#   #|#     |#    #|#    |#    |#     ",
        "# #  # #| #  # |#### |#     |#    #|#### |#### |#     ",
        "# #  # #| #### |#   #|#     |#    #|#    |#    |#  ###",
        "#  #### |#    #|#   #|#     |#    #|#    |#    |#    #",
        " #      |#    #|#   #|#    #|#   # |#    |#    |#   ##",
        "  ####  |#    #|#### | #### |####  |#####|#    | ### #",
        "        |      |     |      |      |     |     |      ",
        "        |      |     |      |      |     |     |      ",
    },
    {
        "#    #|###|   #|#   #|#   |#     #|#    #| #### ",
        "#    #| # |   #|#  # |#   |##   ##|##   #|#    #",
        "#    #| # |   #|# #  |#   |##   ##|# #  #|#    #",
        "######| # |   #|##   |#   |# # # #|# #  #|#    #",
        "#    #| # |   #|##   |#   |# # # #|#  # #|#    #",
        "#    #| # |   #|# #  |#   |#  #  #|#  # #|#    #",
        "#    #| # |#  #|#  # |#   |#  #  #|#   ##|#    #",
        "#    #|###| ## |#   #|####|#     #|#    #| #### ",
        "      |   |    |     |    |       |      |      ",
        "      |   |    |     |    |       |      |      ",
    },
    {
        "#### | #### |####  | ### |#####|#    #|#    #|#  #  #",
        "#   #|#    #|#   # |#   #|  #  |#    #|#    #|#  #  #",
        "#   #|#    #|#   # |#    |  #  |#    #|#    #|#  #  #",
        "#   #|#    #|####  | ##  |  #  |#    #| #  # |#  #  #",
        "#### |#    #|#  #  |   # |  #  |#    #| #  # |# # # #",
        "#    |#  # #|#   # |    #|  #  |#    #| #  # |# # # #",
        "#    |#   # |#   # |#   #|  #  |#    #|  ##  | #   # ",
        "#    | ### #|#    #| ### |  #  | #### |  ##  | #   # ",
        "     |      |      |     |     |      |      |       ",
        "     |      |      |     |     |      |      |       ",
    },
    {
        "#    #|#   #|#####|##|#   |##|  #  |      ",
        "#    #|#   #|    #|# |#   | #| # # |      ",
        " #  # | # # |   # |# | #  | #|#   #|      ",
        "  ##  | # # |  #  |# | #  | #|     |      ",
        "  ##  |  #  |  #  |# |  # | #|     |      ",
        " #  # |  #  | #   |# |  # | #|     |      ",
        "#    #|  #  |#    |# |   #| #|     |      ",
        "#    #|  #  |#####|# |   #| #|     |      ",
        "      |     |     |# |    | #|     |      ",
        "      |     |     |##|    |##|     |######",
    },
    {
        "# |     |#    |    |    #|     | ##|     ",
        " #|     |#    |    |    #|     |#  |     ",
        "  | ### |#### | ###| ####| ### |###| ####",
        "  |    #|#   #|#   |#   #|#   #|#  |#   #",
        "  | ####|#   #|#   |#   #|#####|#  |#   #",
        "  |#   #|#   #|#   |#   #|#    |#  |#   #",
        "  |#   #|#   #|#   |#   #|#   #|#  |#   #",
        "  | ####|#### | ###| ####| ### |#  | ####",
        "  |     |     |    |     |     |   |    #",
        "  |     |     |    |     |     |   | ### ",
    },
    {
        "#    |#| #|#   |#|       |     |     ",
        "#    | |  |#   |#|       |     |     ",
        "#### |#| #|#  #|#|### ## |#### | ### ",
        "#   #|#| #|# # |#|#  #  #|#   #|#   #",
        "#   #|#| #|##  |#|#  #  #|#   #|#   #",
        "#   #|#| #|##  |#|#  #  #|#   #|#   #",
        "#   #|#| #|# # |#|#  #  #|#   #|#   #",
        "#   #|#| #|#  #|#|#  #  #|#   #| ### ",
        "     | | #|    | |       |     |     ",
        "     | |# |    | |       |     |     ",
    },
    {
        "     |     |   |    |   |     |     |       ",
        "     |     |   |    |#  |     |     |       ",
        "#### | ####|# #| ###|###|#   #|#   #|#  #  #",
        "#   #|#   #|## |#   |#  |#   #|#   #|#  #  #",
        "#   #|#   #|#  |##  |#  |#   #| # # |# # # #",
        "#   #|#   #|#  |  ##|#  |#   #| # # |# # # #",
        "#   #|#   #|#  |   #|#  |#   #|  #  | #   # ",
        "#### | ####|#  |### | ##| ####|  #  | #   # ",
        "#    |    #|   |    |   |     |     |       ",
        "#    |    #|   |    |   |     |     |       ",
    },
    {
        "     |     |    |  #|#|#  |      |#####",
        "     |     |    | # |#| # |      |#   #",
        "#   #|#   #|####| # |#| # |      |#   #",
        " # # |#   #|   #| # |#| # | ##  #|#   #",
        "  #  | # # |  # |#  |#|  #|#  ## |#   #",
        "  #  | # # | #  | # |#| # |      |#   #",
        " # # |  #  |#   | # |#| # |      |#   #",
        "#   #|  #  |####| # |#| # |      |#####",
        "     | #   |    | # |#| # |      |     ",
        "     |#    |    |  #|#|#  |      |     ",
    },
    {
        "       |     |       | |       | ##  |       |     ",
        "       |     |       | |       |#  # |       |     ",
        "       |#   #|    #  | |       |#  # | ## ## | ####",
        "       | # # |     # | |       |# ## |   #  #|#  ##",
        "       |  #  |#######|#|#######|#   #| ######|# # #",
        "       | # # |     # |#|       |#   #|#  #   |# # #",
        "#  #  #|#   #|    #  | |       |#   #|#  #  #|##  #",
        "#  #  #|     |       | |       |# ## | ## ## |#### ",
        "       |     |       | |       |     |       |     ",
        "       |     |       | |       |     |       |     ",
    },
};

/* ellipsis, times, arrow, middle dot, dash, sharp s, ae, o with stroke */
static const int32_t EXTRAS[] = {0x2026, 0xD7, 0x2192, 0xB7, 0x2014, 0xDF, 0xE6, 0xF8};

static struct pm_glyph glyph_at(size_t index)
{
    const char *const *band = BANDS[index / BAND_GLYPHS];
    size_t start = 0;
    for (size_t skip = index % BAND_GLYPHS; skip > 0; skip--)
        start += strcspn(band[0] + start, "|") + 1;
    struct pm_glyph glyph = {.width = strcspn(band[0] + start, "|")};
    for (size_t y = 0; y < PM_FONT_HEIGHT; y++) glyph.rows[y] = band[y] + start;
    return glyph;
}

/* What typesetting programs put in place of plain ASCII. */
static int32_t plain_punctuation(int32_t codepoint)
{
    switch (codepoint) {
    case 0xA0:
    case 0x2009:
    case 0x202F:
        return ' ';
    case 0x2018:
    case 0x2019:
        return '\'';
    case 0x201C:
    case 0x201D:
        return '"';
    case 0x2010:
    case 0x2011:
    case 0x2013:
    case 0x2212:
        return '-';
    default:
        return codepoint;
    }
}

static size_t glyph_index(int32_t codepoint)
{
    if (codepoint < ' ' || (codepoint > 126 && codepoint < 0xA0)) codepoint = ' ';
    codepoint = plain_punctuation(codepoint);
    for (size_t i = 0; i < sizeof EXTRAS / sizeof *EXTRAS; i++)
        if (codepoint == EXTRAS[i]) return EXTRA - ' ' + i;
    /* canonical decomposition: the base letter comes first, its accents follow */
    utf8proc_int32_t parts[8] = {BOX};
    int boundary = 0;
    utf8proc_decompose_char(codepoint, parts, sizeof parts / sizeof *parts, UTF8PROC_DECOMPOSE,
                            &boundary);
    return (size_t)(parts[0] > BOX ? BOX : parts[0]) - ' ';
}

size_t pm_font_next(struct pm_glyph *glyph, const char *text)
{
    if (!*text) return 0;
    utf8proc_int32_t codepoint;
    utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &codepoint);
    if (bytes <= 0) {
        *glyph = glyph_at(BOX - ' ');
        return 1;
    }
    utf8proc_category_t category = utf8proc_category(codepoint);
    if (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_CF)
        *glyph = (struct pm_glyph){0};
    else
        *glyph = glyph_at(glyph_index(codepoint));
    return (size_t)bytes;
}
