#include "pm/data/guided_filter.h"

#include <stdlib.h>
#include <string.h>

enum { COLORS = 3, PRODUCTS = 6 }; /* red red, red green, red blue, green green, ... */

/* Sums of windows are differences of long sums: in float they would lose what they are about. */
struct filter {
    size_t height, width, pixels, radius;
    double *color;   /* [COLORS, pixels]  0 to 1 */
    double *mean;    /* [COLORS, pixels]  of the windows */
    double *inverse; /* [PRODUCTS, pixels]  of the windows' covariance, symmetric */
    double *sums;    /* [max(height, width) + 1] */
};

static double *allocate(size_t count)
{
    double *out = malloc(count * sizeof *out);
    if (!out) pm_die("no memory for %zu numbers of a guided filter", count);
    return out;
}

/* Along one axis, in place: each value becomes its window's mean. */
static void mean_of_line(double *line, size_t count, size_t stride, size_t radius, double *sums)
{
    sums[0] = 0.0;
    for (size_t i = 0; i < count; i++) sums[i + 1] = sums[i] + line[i * stride];
    for (size_t i = 0; i < count; i++) {
        size_t begin = i > radius ? i - radius : 0, end = i + radius + 1;
        if (end > count) end = count;
        line[i * stride] = (sums[end] - sums[begin]) / (double)(end - begin);
    }
}

static void mean_of_windows(double *x, const struct filter *f)
{
    for (size_t y = 0; y < f->height; y++)
        mean_of_line(x + y * f->width, f->width, 1, f->radius, f->sums);
    for (size_t i = 0; i < f->width; i++)
        mean_of_line(x + i, f->height, f->width, f->radius, f->sums);
}

/* Of a symmetric matrix, as PRODUCTS has them. */
static void invert(double *m, size_t stride)
{
    double a = m[0], b = m[stride], c = m[2 * stride], d = m[3 * stride], e = m[4 * stride],
           g = m[5 * stride];
    double minors[PRODUCTS] = {d * g - e * e, c * e - b * g, b * e - c * d,
                               a * g - c * c, b * c - a * e, a * d - b * b};
    double determinant = a * minors[0] + b * minors[1] + c * minors[2];
    for (size_t k = 0; k < PRODUCTS; k++) m[k * stride] = minors[k] / determinant;
}

static void prepare(struct filter *f, const struct pm_image *picture, double epsilon)
{
    size_t n = f->pixels, k = 0;
    for (size_t c = 0; c < COLORS; c++)
        for (size_t p = 0; p < n; p++)
            f->color[c * n + p] = (double)picture->pixels[p * COLORS + c] / 255.0;
    memcpy(f->mean, f->color, COLORS * n * sizeof *f->mean);
    for (size_t c = 0; c < COLORS; c++) mean_of_windows(f->mean + c * n, f);
    for (size_t a = 0; a < COLORS; a++)
        for (size_t b = a; b < COLORS; b++, k++) {
            double *product = f->inverse + k * n;
            for (size_t p = 0; p < n; p++) product[p] = f->color[a * n + p] * f->color[b * n + p];
            mean_of_windows(product, f);
            for (size_t p = 0; p < n; p++)
                product[p] += (a == b ? epsilon : 0.0) - f->mean[a * n + p] * f->mean[b * n + p];
        }
    for (size_t p = 0; p < n; p++) invert(f->inverse + p, n);
}

/* @param slope  [COLORS + 1, pixels]  for the linear functions; the last is the constant */
static void filter_map(float *heat, double *slope, const struct filter *f)
{
    static const size_t product_of[COLORS][COLORS] = {{0, 1, 2}, {1, 3, 4}, {2, 4, 5}};
    size_t n = f->pixels;
    double *constant = slope + COLORS * n;
    for (size_t p = 0; p < n; p++) constant[p] = (double)heat[p];
    mean_of_windows(constant, f);
    for (size_t c = 0; c < COLORS; c++) {
        double *s = slope + c * n;
        for (size_t p = 0; p < n; p++) s[p] = f->color[c * n + p] * (double)heat[p];
        mean_of_windows(s, f);
    }
    for (size_t p = 0; p < n; p++) {
        double covariance[COLORS], mean = constant[p];
        for (size_t c = 0; c < COLORS; c++)
            covariance[c] = slope[c * n + p] - f->mean[c * n + p] * mean;
        for (size_t c = 0; c < COLORS; c++) {
            double sum = 0.0;
            for (size_t d = 0; d < COLORS; d++)
                sum += f->inverse[product_of[c][d] * n + p] * covariance[d];
            slope[c * n + p] = sum;
            constant[p] -= sum * f->mean[c * n + p];
        }
    }
    for (size_t c = 0; c <= COLORS; c++) mean_of_windows(slope + c * n, f);
    for (size_t p = 0; p < n; p++) {
        double out = constant[p];
        for (size_t c = 0; c < COLORS; c++) out += slope[c * n + p] * f->color[c * n + p];
        heat[p] = (float)out;
    }
}

void pm_guided_filter(float *heat, size_t maps, const struct pm_image *picture, size_t radius,
                      float epsilon)
{
    PM_ASSERT(epsilon > 0.0f);
    size_t n = picture->height * picture->width;
    struct filter f = {
        .height = picture->height, .width = picture->width, .pixels = n, .radius = radius};
    f.color = allocate(COLORS * n);
    f.mean = allocate(COLORS * n);
    f.inverse = allocate(PRODUCTS * n);
    f.sums = allocate(f.height + f.width + 1);
    double *slope = allocate((COLORS + 1) * n);
    prepare(&f, picture, (double)epsilon);
    for (size_t m = 0; m < maps; m++) filter_map(heat + m * n, slope, &f);
    free(f.color);
    free(f.mean);
    free(f.inverse);
    free(f.sums);
    free(slope);
}
