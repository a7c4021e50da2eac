/** @file winograd.h  The numbers of F(4x4, 3x3), which pm_conv_pack and the kernel share.
 *
 *  A tile of 6x6 inputs d and a 3x3 filter g give 4x4 outputs, y = Aᵀ [(G g Gᵀ) . (Bᵀ d B)] A
 *  (Lavin and Gray 2016, arXiv 1509.09308), by polynomial products at the points 0, ±a, ±b and
 *  infinity. a = 5/8 and b = 3/2 were the best of the points tried whose powers are exact:
 *  1.4e-6 relative rms at 256 channels, where the usual ±1, ±2 give 3.2e-6. */
#ifndef PM_KERNELS_WINOGRAD_H
#define PM_KERNELS_WINOGRAD_H
#include <stdbool.h>
#include <stddef.h>

enum {
    WINOGRAD_IN = 6,  /* pixels of a side of a tile that are read */
    WINOGRAD_OUT = 4, /* and written */
    WINOGRAD_LEAST_PIXELS = 16,
    WINOGRAD_POSITIONS = 36, /* products of a tile, each a matrix product over channels */

    /* F(2x2, 3x3), for bfloat16: at the points 0, ±1 and infinity, whose transforms only add. */
    SMALL_WINOGRAD_IN = 4,
    SMALL_WINOGRAD_OUT = 2,
    SMALL_WINOGRAD_POSITIONS = 16,
    SMALL_WINOGRAD_MOST_TILES = 96,

    /* What is in memory at once; tuned for a second cache of 1 MB. */
    WINOGRAD_MOST_TILES = 72,
    WINOGRAD_CUT = 32, /* channels whose transformed filters are made at once */
    WINOGRAD_MOST_COLUMNS = 128,
    WINOGRAD_SKEW = 16 /* floats that keep the 36 matrices out of each other's cache sets */
};

/** Tiles of the largest of the chunks of at most so many into which all are cut evenly. */
static inline size_t winograd_chunk_tiles(size_t all, size_t most)
{
    size_t chunks = (all + most - 1) / most;
    return (all + chunks - 1) / chunks;
}

static inline size_t winograd_tiles(size_t height, size_t width)
{
    return (height + WINOGRAD_OUT - 1) / WINOGRAD_OUT * ((width + WINOGRAD_OUT - 1) / WINOGRAD_OUT);
}

/** Is it the faster way for an image of this size? Whatever the batch: it decides the bits. */
static inline bool winograd_pays(size_t height, size_t width)
{
    /* Half of what is computed is wanted, and filters are used that are dear to transform. */
    return height * width >= 8 * winograd_tiles(height, width) &&
           height * width >= WINOGRAD_LEAST_PIXELS;
}

#define WINOGRAD_A 0.625
#define WINOGRAD_B 1.5
#define WINOGRAD_A2 (WINOGRAD_A * WINOGRAD_A)
#define WINOGRAD_B2 (WINOGRAD_B * WINOGRAD_B)
#endif
