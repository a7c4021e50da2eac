#include "pm/data/image_fit.h"

#include <math.h>
#include <stdlib.h>

enum { WEIGHT_BITS = 22 };         /* after the point: 32, less 8 for a byte and 2 for overshoot */
static const double SUPPORT = 2.0; /* of the kernel, in pixels either way */

/* Keys' cubic convolution with a = -0.5. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

/* How one side of a picture is made from that of another. */
struct axis {
    size_t taps;      /* the most that any pixel has */
    size_t *first;    /* [out] the first input pixel that counts */
    size_t *count;    /* [out] how many do */
    int32_t *weights; /* [out, taps] their sum is 1 << WEIGHT_BITS, but for rounding */
};

/* The weights of one output pixel, summing to 1. */
static void weigh(double *weights, double center, size_t first, size_t count, double stretch)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        weights[i] = bicubic(((double)(first + i) - center + 0.5) * (1.0 / stretch));
        sum += weights[i];
    }
    for (size_t i = 0; i < count; i++)
        if (sum != 0.0) weights[i] /= sum;
}

static int32_t fixed_point(double weight)
{
    double scaled = weight * (1 << WEIGHT_BITS);
    return (int32_t)(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
}

static void axis_init(struct axis *a, size_t in, size_t out)
{
    double scale = (double)in / (double)out, stretch = fmax(scale, 1.0);
    double support = SUPPORT * stretch;
    a->taps = (size_t)ceil(support) * 2 + 1;
    a->first = malloc(out * sizeof *a->first);
    a->count = malloc(out * sizeof *a->count);
    a->weights = malloc(out * a->taps * sizeof *a->weights);
    double *weights = malloc(a->taps * sizeof *weights);
    if (!a->first || !a->count || !a->weights || !weights)
        pm_die("no memory to resize %zu pixels to %zu", in, out);
    for (size_t i = 0; i < out; i++) {
        double center = ((double)i + 0.5) * scale;
        size_t end = (size_t)(center + support + 0.5);
        a->first[i] = center > support ? (size_t)(center - support + 0.5) : 0;
        a->count[i] = (end < in ? end : in) - a->first[i];
        PM_ASSERT(a->count[i] <= a->taps);
        weigh(weights, center, a->first[i], a->count[i], stretch);
        for (size_t t = 0; t < a->count[i]; t++)
            a->weights[i * a->taps + t] = fixed_point(weights[t]);
    }
    free(weights);
}

static void axis_free(struct axis *a)
{
    free(a->first);
    free(a->count);
    free(a->weights);
}

/* One colour of output pixel @p index from @p in, whose pixels lie @p stride bytes apart. */
static uint8_t filtered(const uint8_t *in, size_t stride, const struct axis *axis, size_t index)
{
    const int32_t *weights = axis->weights + index * axis->taps;
    int32_t sum = 1 << (WEIGHT_BITS - 1);
    in += axis->first[index] * stride;
    for (size_t i = 0; i < axis->count[index]; i++) sum += weights[i] * in[i * stride];
    if (sum < 0) return 0;
    return (uint8_t)(sum >> WEIGHT_BITS > 255 ? 255 : sum >> WEIGHT_BITS);
}

void pm_image_resize(uint8_t *out, size_t height, size_t width, const uint8_t *in, size_t in_height,
                     size_t in_width, size_t in_stride)
{
    PM_ASSERT(height > 0 && width > 0 && in_height > 0 && in_width > 0);
    struct axis columns, rows;
    axis_init(&columns, in_width, width);
    axis_init(&rows, in_height, height);
    size_t row_bytes = width * 3;
    uint8_t *narrow = malloc(in_height * row_bytes); /* width done */
    if (!narrow) pm_die("no memory to resize a picture to %zux%zu", width, height);
    for (size_t y = 0; y < in_height; y++)
        for (size_t i = 0; i < row_bytes; i++)
            narrow[y * row_bytes + i] = filtered(in + y * in_stride + i % 3, 3, &columns, i / 3);
    for (size_t y = 0; y < height; y++)
        for (size_t i = 0; i < row_bytes; i++)
            out[y * row_bytes + i] = filtered(narrow + i, row_bytes, &rows, y);
    free(narrow);
    axis_free(&rows);
    axis_free(&columns);
}

/* A rectangle of a picture. */
struct part {
    size_t left, top, width, height;
};

static bool cut_margins(struct part *out, const struct pm_image *image,
                        const struct pm_image_margins *cut, const char *name, struct pm_error *err)
{
    if (cut->left >= image->width || cut->right >= image->width - cut->left)
        return pm_fail(err, PM_E_INPUT,
                       "%s: the crop takes %zu columns left and %zu right of %zu: nothing is left",
                       name, cut->left, cut->right, image->width);
    if (cut->top >= image->height || cut->bottom >= image->height - cut->top)
        return pm_fail(err, PM_E_INPUT,
                       "%s: the crop takes %zu rows above and %zu below of %zu: nothing is left",
                       name, cut->top, cut->bottom, image->height);
    *out = (struct part){.left = cut->left,
                         .top = cut->top,
                         .width = image->width - cut->left - cut->right,
                         .height = image->height - cut->top - cut->bottom};
    return true;
}

/* side * numerator / denominator, rounded, from 1 to @p most */
static size_t proportion(size_t side, size_t numerator, size_t denominator, size_t most)
{
    size_t rounded = (side * numerator + denominator / 2) / denominator;
    return rounded < 1 ? 1 : rounded > most ? most : rounded;
}

/* The largest centred part of the shape of @p width by @p height. */
static void crop_to_shape(struct part *part, size_t height, size_t width)
{
    size_t full_width = part->width, full_height = part->height;
    if (full_width * height > full_height * width)
        part->width = proportion(full_height, width, height, full_width);
    else
        part->height = proportion(full_width, height, width, full_height);
    part->left += (full_width - part->width) / 2;
    part->top += (full_height - part->height) / 2;
}

bool pm_image_fit(uint8_t *rgb, size_t height, size_t width, const struct pm_image *image,
                  const struct pm_image_fit *fit, const char *name, struct pm_error *err)
{
    PM_ASSERT(width > 0 && width <= PM_IMAGE_MAX_SIDE);
    PM_ASSERT(height > 0 && height <= PM_IMAGE_MAX_SIDE);
    struct part part = {0};
    PM_TRY(cut_margins(&part, image, &fit->crop, name, err));
    if (fit->rule == PM_FIT_CROP)
        crop_to_shape(&part, height, width);
    else if (part.width != width || part.height != height)
        return pm_fail(err, PM_E_INPUT,
                       "%s is %zux%zu pixels after its crop; \"fit\": \"exact\" wants %zux%zu",
                       name, part.width, part.height, width, height);
    size_t stride = image->width * 3;
    pm_image_resize(rgb, height, width, image->pixels + part.top * stride + part.left * 3,
                    part.height, part.width, stride);
    return true;
}

bool pm_image_load_fitted(uint8_t *rgb, size_t height, size_t width, const char *path,
                          const struct pm_image_fit *fit, struct pm_error *err)
{
    struct pm_image image;
    PM_TRY(pm_image_read(&image, path, err));
    bool ok = pm_image_fit(rgb, height, width, &image, fit, path, err);
    pm_image_free(&image);
    return ok;
}
