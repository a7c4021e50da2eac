#include "pm/data/heat_map.h"

#include <math.h>
#include <stdlib.h>

enum { TAPS = 4 };

static const float KEYS_A = -0.75f;  /* torch's choice; Keys (1981) has -0.5 */
static const float ROUNDING = 1e-6f; /* of the greatest value; a smaller range is not heat */

static float finite_or_zero(float value)
{
    return isfinite(value) ? value : 0.0f;
}

void pm_heat_map_of_word(float *out, const float *maps, size_t pixels, size_t tokens,
                         const size_t *word_tokens, size_t count)
{
    PM_ASSERT(count > 0);
    for (size_t k = 0; k < count; k++) PM_ASSERT(word_tokens[k] < tokens);
    for (size_t p = 0; p < pixels; p++) {
        float sum = 0.0f;
        for (size_t k = 0; k < count; k++) sum += maps[p * tokens + word_tokens[k]];
        out[p] = sum / (float)count;
    }
}

/* The pixels one output pixel is made of, along one axis. */
struct taps {
    size_t index[TAPS];
    float weight[TAPS];
};

/* Keys' kernel at the distances 1 + t, t, 1 - t, 2 - t. */
static void keys_weights(float weight[TAPS], float t)
{
    const float a = KEYS_A;
    float far_before = t + 1.0f, near_after = 1.0f - t, far_after = 2.0f - t;
    weight[0] = ((a * far_before - 5.0f * a) * far_before + 8.0f * a) * far_before - 4.0f * a;
    weight[1] = ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f;
    weight[2] = ((a + 2.0f) * near_after - (a + 3.0f)) * near_after * near_after + 1.0f;
    weight[3] = ((a * far_after - 5.0f * a) * far_after + 8.0f * a) * far_after - 4.0f * a;
}

static struct taps taps_at(size_t index, size_t from, size_t to)
{
    float position = (float)from / (float)to * ((float)index + 0.5f) - 0.5f;
    float before = floorf(position);
    struct taps taps;
    keys_weights(taps.weight, position - before);
    for (size_t k = 0; k < TAPS; k++) {
        float tap = before - 1.0f + (float)k;
        taps.index[k] = tap < 0.0f ? 0 : tap > (float)(from - 1) ? from - 1 : (size_t)tap;
    }
    return taps;
}

/* Values lie @p stride apart. */
static float interpolate(const float *in, size_t stride, const struct taps *taps)
{
    float sum = 0.0f;
    for (size_t k = 0; k < TAPS; k++) sum += taps->weight[k] * in[taps->index[k] * stride];
    return sum;
}

void pm_heat_map_interpolate(float *out, size_t height, size_t width, const float *map,
                             size_t map_height, size_t map_width)
{
    PM_ASSERT(height > 0 && width > 0 && map_height > 0 && map_width > 0);
    float *clean = malloc(map_height * map_width * sizeof *clean);
    float *wide = malloc(map_height * width * sizeof *wide); /* [map_height, width] */
    if (!clean || !wide) pm_die("no memory for a heat map of %zux%zu", width, height);
    /* not later: one infinite value would spread over all that is made from it */
    for (size_t i = 0; i < map_height * map_width; i++) clean[i] = finite_or_zero(map[i]);
    for (size_t x = 0; x < width; x++) {
        struct taps taps = taps_at(x, map_width, width);
        for (size_t y = 0; y < map_height; y++)
            wide[y * width + x] = interpolate(clean + y * map_width, 1, &taps);
    }
    for (size_t y = 0; y < height; y++) {
        struct taps taps = taps_at(y, map_height, height);
        for (size_t x = 0; x < width; x++) out[y * width + x] = interpolate(wide + x, width, &taps);
    }
    free(clean);
    free(wide);
}

void pm_heat_map_resize(float *out, size_t height, size_t width, const float *map,
                        size_t map_height, size_t map_width)
{
    pm_heat_map_interpolate(out, height, width, map, map_height, map_width);
    for (size_t i = 0; i < height * width; i++) out[i] = fmaxf(out[i], 0.0f);
}

void pm_heat_map_normalize(float *heat, size_t n, enum pm_heat_range range)
{
    bool from_zero = range == PM_HEAT_ZERO_TO_MAX;
    float least = from_zero ? 0.0f : INFINITY, greatest = from_zero ? 0.0f : -INFINITY;
    for (size_t i = 0; i < n; i++) {
        heat[i] = finite_or_zero(heat[i]);
        if (from_zero) heat[i] = fmaxf(heat[i], 0.0f);
        least = fminf(least, heat[i]);
        greatest = fmaxf(greatest, heat[i]);
    }
    bool flat = greatest - least <= fmaxf(fabsf(greatest), fabsf(least)) * ROUNDING;
    for (size_t i = 0; i < n; i++) heat[i] = flat ? 0.0f : (heat[i] - least) / (greatest - least);
}

static float clamp_to_one(float heat)
{
    return fminf(fmaxf(finite_or_zero(heat), 0.0f), 1.0f);
}

struct pm_color pm_heat_color(float heat)
{
    static const struct pm_color INFERNO[] = {
        {0, 0, 4},      {22, 11, 57},   {66, 10, 104},   {106, 23, 110},
        {147, 38, 103}, {188, 55, 84},  {221, 81, 58},   {243, 120, 25},
        {252, 165, 10}, {246, 215, 70}, {252, 255, 164},
    };
    const size_t steps = sizeof INFERNO / sizeof *INFERNO - 1;
    float position = clamp_to_one(heat) * (float)steps;
    size_t below = (size_t)position;
    if (below == steps) return INFERNO[steps];
    return pm_color_mix(INFERNO[below], INFERNO[below + 1], position - (float)below);
}

void pm_heat_map_overlay(struct pm_image *picture, const float *heat)
{
    for (size_t i = 0; i < picture->height * picture->width; i++) {
        uint8_t *pixel = picture->pixels + i * 3;
        struct pm_color color = {pixel[0], pixel[1], pixel[2]};
        color = pm_color_mix(color, pm_heat_color(heat[i]), clamp_to_one(heat[i]));
        pixel[0] = color.red;
        pixel[1] = color.green;
        pixel[2] = color.blue;
    }
}
