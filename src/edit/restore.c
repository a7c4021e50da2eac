#include "pm/edit/restore.h"

#include "pm/base/error.h"

#include <math.h>
#include <stdlib.h>

static const double REACH = 4.0; /* standard deviations; beyond, the share is below 1e-4 */

struct gaussian {
    size_t radius;
    float *weights; /* [radius + 1] from the centre outwards; all taps together sum to 1 */
};

static void gaussian_init(struct gaussian *g, double sigma)
{
    double sum = 0.0;
    g->radius = (size_t)floor(REACH * sigma);
    g->weights = malloc((g->radius + 1) * sizeof *g->weights);
    if (!g->weights) pm_die("no memory for a Gaussian of %zu pixels", g->radius);
    for (size_t i = 0; i <= g->radius; i++) {
        double weight = i == 0 ? 1.0 : exp(-0.5 * (double)(i * i) / (sigma * sigma));
        g->weights[i] = (float)weight;
        sum += i == 0 ? weight : 2.0 * weight;
    }
    for (size_t i = 0; i <= g->radius; i++) g->weights[i] = (float)(g->weights[i] / sum);
}

/* Filter a line of @p n values, the first and last repeated beyond its ends. */
static void blur_line(float *out, const float *in, size_t n, const struct gaussian *g)
{
    for (size_t x = 0; x < n; x++) {
        float sum = g->weights[0] * in[x];
        for (size_t d = 1; d <= g->radius; d++)
            sum += g->weights[d] * (in[x >= d ? x - d : 0] + in[n - 1 - x >= d ? x + d : n - 1]);
        out[x] = sum;
    }
}

/* Each row of the mask blurred along x, at the picture's width: [mask_height, width]. All rows of
 * the picture that it makes are alike so far. */
static void blur_rows(float *out, const uint8_t *mask, size_t mask_height, size_t mask_width,
                      size_t width, const struct gaussian *g)
{
    float *row = malloc(width * sizeof *row);
    if (!row) pm_die("no memory for a mask %zu wide", width);
    for (size_t y = 0; y < mask_height; y++) {
        for (size_t x = 0; x < width; x++)
            row[x] = mask[y * mask_width + x * mask_width / width] ? 1.0f : 0.0f;
        blur_line(out + y * width, row, width, g);
    }
    free(row);
}

static uint8_t mixed(uint8_t original, uint8_t edit, float share)
{
    return (uint8_t)lrintf((float)original + share * (float)(edit - original));
}

void pm_image_restore(uint8_t *image, const uint8_t *original, size_t height, size_t width,
                      const uint8_t *mask, size_t mask_height, size_t mask_width,
                      double feather_pixels)
{
    PM_ASSERT(height > 0 && width > 0 && mask_height > 0 && mask_width > 0);
    PM_ASSERT(isfinite(feather_pixels) && feather_pixels >= 0.0);
    struct gaussian g;
    gaussian_init(&g, feather_pixels);
    float *rows = malloc(mask_height * width * sizeof *rows); /* [mask_height, width] */
    float *lines = calloc(2 * height, sizeof *lines);         /* a column, before and after */
    if (!rows || !lines) pm_die("no memory for a mask of %zux%zu", width, height);
    blur_rows(rows, mask, mask_height, mask_width, width, &g);
    for (size_t x = 0; x < width; x++) {
        for (size_t y = 0; y < height; y++) lines[y] = rows[y * mask_height / height * width + x];
        blur_line(lines + height, lines, height, &g);
        for (size_t y = 0; y < height; y++) {
            size_t at = (y * width + x) * 3;
            size_t mask_at = y * mask_height / height * mask_width + x * mask_width / width;
            float share = fminf(1.0f, 2.0f * lines[height + y]);
            if (mask[mask_at]) continue;
            for (size_t c = 0; c < 3; c++)
                image[at + c] = mixed(original[at + c], image[at + c], share);
        }
    }
    free(lines);
    free(rows);
    free(g.weights);
}
