#include "pm/data/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HALF = 128 }; /* of 255 */

bool pm_mask_from_runs(uint8_t *mask, size_t pixels, const json_t *runs, bool clips_runs,
                       const char *where, struct pm_error *err)
{
    if (!json_is_array(runs) || json_array_size(runs) % 2 != 0)
        return pm_fail(err, PM_E_INPUT,
                       "%s: a mask is a list [start, length, start, length, ...], not %s%s", where,
                       json_is_array(runs) ? "one of an odd number of numbers" : "",
                       json_is_array(runs) ? "" : pm_json_kind(runs));
    memset(mask, 0, pixels);
    for (size_t i = 0; i < json_array_size(runs); i += 2) {
        const json_t *first = json_array_get(runs, i), *count = json_array_get(runs, i + 1);
        json_int_t start = json_integer_value(first), length = json_integer_value(count);
        if (!json_is_integer(first) || !json_is_integer(count) || start < 0 || length < 0)
            return pm_fail(err, PM_E_INPUT, "%s: [%zu] and [%zu] are not a run's start and length",
                           where, i, i + 1);
        bool fits = (uint64_t)start <= pixels && (uint64_t)length <= pixels - (uint64_t)start;
        if (!fits && !(clips_runs && (uint64_t)start < pixels))
            return pm_fail(err, PM_E_INPUT,
                           "%s: [%zu]: a run of %lld pixels from %lld goes beyond the %zu there "
                           "are",
                           where, i, (long long)length, (long long)start, pixels);
        memset(mask + start, 1, fits ? (size_t)length : pixels - (size_t)start);
    }
    return true;
}

json_t *pm_mask_to_runs(const uint8_t *mask, size_t height, size_t width)
{
    json_t *runs = json_array();
    for (size_t i = 0, end; i < height * width; i = end) {
        end = i + 1;
        if (!mask[i]) continue;
        while (end < height * width && mask[end]) end++;
        json_array_append_new(runs, json_integer((json_int_t)i));
        json_array_append_new(runs, json_integer((json_int_t)(end - i)));
    }
    json_t *json = json_pack("{s:I, s:I, s:o}", "height", (json_int_t)height, "width",
                             (json_int_t)width, "runs", runs);
    if (!json) pm_die("no memory for a mask of %zux%zu", width, height);
    return json;
}

/* As a picture in white and black. */
static bool draw_runs(struct pm_image *out, const json_t *json, const char *where,
                      struct pm_error *err)
{
    static const char *const keys[] = {"height", "width", "runs", NULL};
    size_t height = 0, width = 0;
    PM_TRY(pm_json_check_keys(json, where, keys, err));
    PM_TRY(pm_json_size(json, where, "height", 1, PM_IMAGE_MAX_SIDE, &height, err));
    PM_TRY(pm_json_size(json, where, "width", 1, PM_IMAGE_MAX_SIDE, &width, err));
    if (height == 0 || width == 0 || height > PM_IMAGE_MAX_PIXELS / width)
        return pm_fail(err, PM_E_INPUT,
                       "%s: a mask needs \"height\" and \"width\", of at most %d pixels", where,
                       PM_IMAGE_MAX_PIXELS);
    size_t pixels = height * width;
    uint8_t *mask = calloc(pixels, 1);
    if (!mask) pm_die("no memory for a mask of %zux%zu", width, height);
    bool ok = pm_mask_from_runs(mask, pixels, json_object_get(json, "runs"), false, where, err);
    if (ok) {
        pm_image_init(out, width, height);
        for (size_t i = 0; i < pixels; i++) memset(out->pixels + i * 3, mask[i] ? 255 : 0, 3);
    }
    free(mask);
    return ok;
}

static bool read_file(struct pm_image *out, const char *name, const char *folder, const char *where,
                      struct pm_error *err)
{
    char *path, place[PM_ERROR_BYTES];
    int bytes =
        name[0] == '/' ? asprintf(&path, "%s", name) : asprintf(&path, "%s/%s", folder, name);
    if (bytes < 0) pm_die("no memory for a path");
    bool ok = pm_image_read(out, path, err);
    free(path);
    if (ok) return true;
    snprintf(place, sizeof place, "%s", err->message);
    return pm_fail(err, err->code, "%s: %s", where, place);
}

bool pm_mask_load_fitted(uint8_t *mask, size_t height, size_t width, const json_t *json,
                         const char *folder, const struct pm_image_fit *fit, const char *where,
                         struct pm_error *err)
{
    char place[PM_ERROR_BYTES];
    struct pm_image picture = {0};
    snprintf(place, sizeof place, "%.256s: \"mask\"", where);
    if (json_is_string(json))
        PM_TRY(read_file(&picture, json_string_value(json), folder, place, err));
    else
        PM_TRY(draw_runs(&picture, json, place, err));
    uint8_t *fitted = malloc(height * width * 3);
    if (!fitted) pm_die("no memory for a mask of %zux%zu", width, height);
    bool ok = pm_image_fit(fitted, height, width, &picture, fit, place, err);
    for (size_t i = 0; ok && i < height * width; i++) {
        const uint8_t *rgb = fitted + i * 3;
        mask[i] = rgb[0] + rgb[1] + rgb[2] >= 3 * HALF;
    }
    free(fitted);
    pm_image_free(&picture);
    return ok;
}
