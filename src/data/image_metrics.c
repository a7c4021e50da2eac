#include "pm/data/image_metrics.h"

#include "pm/base/error.h"

#include <math.h>
#include <stdlib.h>

const char *const pm_image_metric_names[PM_IMAGE_METRICS] = {
    [PM_MSE] = "mse",
    [PM_PSNR] = "psnr",
    [PM_SSIM] = "ssim",
    [PM_MSE_EDIT_PART] = "mse_edit_part",
    [PM_PSNR_EDIT_PART] = "psnr_edit_part",
    [PM_SSIM_EDIT_PART] = "ssim_edit_part",
    [PM_MSE_UNEDIT_PART] = "mse_unedit_part",
    [PM_PSNR_UNEDIT_PART] = "psnr_unedit_part",
    [PM_SSIM_UNEDIT_PART] = "ssim_unedit_part",
    [PM_MSE_INSIDE_MASK] = "mse_inside_mask",
    [PM_PSNR_INSIDE_MASK] = "psnr_inside_mask",
    [PM_SSIM_INSIDE_MASK] = "ssim_inside_mask",
    [PM_MSE_OUTSIDE_MASK] = "mse_outside_mask",
    [PM_PSNR_OUTSIDE_MASK] = "psnr_outside_mask",
    [PM_SSIM_OUTSIDE_MASK] = "ssim_outside_mask",
};

enum { COLORS = 3, WINDOW = 11, RADIUS = WINDOW / 2 };
static const double SIGMA = 1.5, K1 = 0.01, K2 = 0.03;

/* The moments that SSIM is made of, each a plane. */
enum moment { MEAN_A, MEAN_B, SQUARE_A, SQUARE_B, PRODUCT, MOMENTS };

/* What was measured in one part of a picture. */
struct sums {
    double squares, ssim;
    size_t values, windows; /* times colours */
};

static struct sums sums_add(struct sums a, struct sums b)
{
    return (struct sums){.squares = a.squares + b.squares,
                         .ssim = a.ssim + b.ssim,
                         .values = a.values + b.values,
                         .windows = a.windows + b.windows};
}

static void make_window(double window[WINDOW])
{
    double sum = 0.0;
    for (int i = 0; i < WINDOW; i++) {
        double distance = (i - RADIUS) / SIGMA;
        sum += window[i] = exp(-0.5 * distance * distance);
    }
    for (int i = 0; i < WINDOW; i++) window[i] /= sum;
}

/* Weigh the rows of windows whose first row is @p a, @p b: one value a column and colour.
 * @param columns  [MOMENTS, row_values] */
static void weigh_rows(double *columns, const uint8_t *a, const uint8_t *b, size_t row_values,
                       const double window[WINDOW])
{
    for (size_t i = 0; i < MOMENTS * row_values; i++) columns[i] = 0.0;
    for (size_t row = 0; row < WINDOW; row++)
        for (size_t i = 0; i < row_values; i++) {
            double x = a[row * row_values + i] / 255.0, y = b[row * row_values + i] / 255.0;
            columns[MEAN_A * row_values + i] += window[row] * x;
            columns[MEAN_B * row_values + i] += window[row] * y;
            columns[SQUARE_A * row_values + i] += window[row] * x * x;
            columns[SQUARE_B * row_values + i] += window[row] * y * y;
            columns[PRODUCT * row_values + i] += window[row] * x * y;
        }
}

/* SSIM of one window and colour, @p columns from its first column on. */
static double window_ssim(const double *columns, size_t row_values, const double window[WINDOW])
{
    double m[MOMENTS] = {0.0};
    const double c1 = K1 * K1, c2 = K2 * K2;
    for (size_t k = 0; k < MOMENTS; k++)
        for (size_t i = 0; i < WINDOW; i++)
            m[k] += window[i] * columns[k * row_values + i * COLORS];
    double variance_a = fmax(m[SQUARE_A] - m[MEAN_A] * m[MEAN_A], 0.0);
    double variance_b = fmax(m[SQUARE_B] - m[MEAN_B] * m[MEAN_B], 0.0);
    double covariance = m[PRODUCT] - m[MEAN_A] * m[MEAN_B];
    return (2.0 * m[MEAN_A] * m[MEAN_B] + c1) * (2.0 * covariance + c2) /
           ((m[MEAN_A] * m[MEAN_A] + m[MEAN_B] * m[MEAN_B] + c1) * (variance_a + variance_b + c2));
}

/* Add to parts[0] what lies outside the mask and to parts[1] what lies inside. */
static void measure_ssim(struct sums parts[2], const uint8_t *a, const uint8_t *b,
                         const uint8_t *mask, size_t height, size_t width)
{
    if (height < WINDOW || width < WINDOW) return;
    double window[WINDOW];
    size_t row_values = width * COLORS;
    double *columns = malloc(MOMENTS * row_values * sizeof *columns);
    if (!columns) pm_die("no memory to measure a picture of %zux%zu", width, height);
    make_window(window);
    for (size_t y = 0; y + WINDOW <= height; y++) {
        weigh_rows(columns, a + y * row_values, b + y * row_values, row_values, window);
        for (size_t x = 0; x + WINDOW <= width; x++) {
            bool is_inside = mask && mask[(y + RADIUS) * width + x + RADIUS];
            for (size_t c = 0; c < COLORS; c++)
                parts[is_inside].ssim += window_ssim(columns + x * COLORS + c, row_values, window);
            parts[is_inside].windows += COLORS;
        }
    }
    free(columns);
}

static void measure_squares(struct sums parts[2], const uint8_t *a, const uint8_t *b,
                            const uint8_t *mask, size_t height, size_t width)
{
    for (size_t p = 0; p < height * width; p++) {
        bool is_inside = mask && mask[p];
        for (size_t i = p * COLORS; i < (p + 1) * COLORS; i++) {
            double difference = (a[i] - b[i]) / 255.0;
            parts[is_inside].squares += difference * difference;
        }
        parts[is_inside].values += COLORS;
    }
}

/* @param out  [3]  MSE, PSNR, SSIM */
static void write_metrics(double *out, struct sums sums)
{
    out[PM_MSE] = sums.values ? sums.squares / (double)sums.values : NAN;
    out[PM_PSNR] = -10.0 * log10(out[PM_MSE]);
    out[PM_SSIM] = sums.windows ? sums.ssim / (double)sums.windows : NAN;
}

/* PIE-Bench's: what is not of the part is black in both. */
static void measure_part(double *out, const uint8_t *a, const uint8_t *b, const uint8_t *mask,
                         bool inside, size_t height, size_t width)
{
    size_t bytes = height * width * COLORS;
    struct sums parts[2] = {0};
    uint8_t *masked = calloc(2, bytes);
    if (!masked) pm_die("no memory to measure a picture of %zux%zu", width, height);
    for (size_t i = 0; i < bytes; i++) {
        if (!mask[i / COLORS] == inside) continue;
        masked[i] = a[i];
        masked[bytes + i] = b[i];
    }
    measure_squares(parts, masked, masked + bytes, NULL, height, width);
    measure_ssim(parts, masked, masked + bytes, NULL, height, width);
    write_metrics(out, parts[0]);
    free(masked);
}

void pm_image_measure(double out[PM_IMAGE_METRICS], const uint8_t *image, const uint8_t *reference,
                      const uint8_t *mask, size_t height, size_t width)
{
    PM_ASSERT(height > 0 && width > 0);
    struct sums parts[2] = {0}; /* outside, inside */
    measure_squares(parts, image, reference, mask, height, width);
    measure_ssim(parts, image, reference, mask, height, width);
    write_metrics(out + PM_MSE, sums_add(parts[0], parts[1]));
    for (size_t i = PM_SSIM + 1; i < PM_IMAGE_METRICS; i++) out[i] = NAN;
    if (!mask) return;
    write_metrics(out + PM_MSE_OUTSIDE_MASK, parts[0]);
    write_metrics(out + PM_MSE_INSIDE_MASK, parts[1]);
    if (parts[0].values)
        measure_part(out + PM_MSE_UNEDIT_PART, image, reference, mask, false, height, width);
    if (parts[1].values)
        measure_part(out + PM_MSE_EDIT_PART, image, reference, mask, true, height, width);
}
