#include "pm/data/word_heat.h"

#include "pm/data/heat_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float SHARE_FLOOR = 1e-6f; /* DAAM's: no division by 0 */

static float *allocate(size_t count)
{
    float *out = malloc((count + 1) * sizeof *out);
    if (!out) pm_die("no memory for %zu numbers of heat maps", count);
    return out;
}

static float finite_or_zero(float value)
{
    return isfinite(value) ? value : 0.0f;
}

/* One column of one layer's and head's maps: the mean over the steps. */
static void mean_over_steps(float *out, const struct pm_heat_maps *m, size_t layer_and_head,
                            size_t column)
{
    size_t pixels = m->height * m->width, slots = m->layers * m->heads;
    for (size_t p = 0; p < pixels; p++) {
        float sum = 0.0f;
        for (size_t s = 0; s < m->steps; s++) {
            size_t map = s * slots + layer_and_head;
            sum += finite_or_zero(m->values[(map * pixels + p) * m->columns + column]);
        }
        out[p] = sum / (float)m->steps;
    }
}

/* How many maps of the sum over layers and heads each of these stands for. */
static float weight_of(const struct pm_heat_maps *m)
{
    PM_ASSERT(m->steps > 0 && m->layers > 0 && m->heads > 0 && m->all_steps > 0);
    PM_ASSERT(m->all_layers % m->layers == 0 && m->all_heads % m->heads == 0);
    return (float)((m->all_layers / m->layers) * (m->all_heads / m->heads));
}

void pm_word_heat_of_maps(float *heat, size_t height, size_t width, const struct pm_heat_maps *maps,
                          size_t count, enum pm_heat_time time)
{
    PM_ASSERT(count > 0);
    size_t pixels = height * width, columns = maps[0].columns;
    float *large = allocate(pixels), all = 0.0f;
    memset(heat, 0, columns * pixels * sizeof *heat);
    for (size_t i = 0; i < count; i++) {
        const struct pm_heat_maps *m = &maps[i];
        PM_ASSERT(m->columns == columns);
        float *small = allocate(m->height * m->width), weight = weight_of(m);
        float factor = time == PM_HEAT_SUM_OF_STEPS ? weight * (float)m->all_steps : weight;
        for (size_t slot = 0; slot < m->layers * m->heads; slot++)
            for (size_t c = 0; c < columns; c++) {
                mean_over_steps(small, m, slot, c);
                pm_heat_map_resize(large, height, width, small, m->height, m->width);
                for (size_t p = 0; p < pixels; p++) heat[c * pixels + p] += factor * large[p];
            }
        all += weight * (float)(m->layers * m->heads);
        free(small);
    }
    for (size_t i = 0; i < columns * pixels; i++) heat[i] /= all;
    free(large);
}

void pm_word_heat_share(float *heat, size_t columns, size_t pixels, size_t first, size_t end)
{
    PM_ASSERT(first <= end && end <= columns);
    for (size_t p = 0; p < pixels; p++) {
        float sum = SHARE_FLOOR;
        for (size_t c = first; c < end; c++) sum += heat[c * pixels + p];
        for (size_t c = 0; c < columns; c++) heat[c * pixels + p] /= sum;
    }
}

void pm_word_heat_merge(float *out, const float *heat, size_t pixels, const size_t *columns,
                        size_t count)
{
    PM_ASSERT(count > 0);
    memset(out, 0, pixels * sizeof *out);
    for (size_t k = 0; k < count; k++)
        for (size_t p = 0; p < pixels; p++) out[p] += heat[columns[k] * pixels + p];
    for (size_t p = 0; p < pixels; p++) out[p] /= (float)count;
}

void pm_word_heat_affinity(float *affinity, const float *maps, size_t count, size_t pixels)
{
    PM_ASSERT(count > 0);
    memset(affinity, 0, pixels * pixels * sizeof *affinity);
    for (size_t m = 0; m < count; m++)
        for (size_t i = 0; i < pixels * pixels; i++)
            affinity[i] += fmaxf(finite_or_zero(maps[m * pixels * pixels + i]), 0.0f);
    for (size_t q = 0; q < pixels; q++) {
        float *row = affinity + q * pixels, sum = 0.0f;
        for (size_t k = 0; k < pixels; k++) sum += row[k];
        for (size_t k = 0; k < pixels && sum > 0.0f; k++) row[k] /= sum;
    }
}

void pm_word_heat_propagate(float *heat, size_t words, const float *affinity, size_t pixels,
                            size_t times)
{
    float *before = allocate(pixels);
    for (size_t w = 0; w < words; w++)
        for (size_t t = 0; t < times; t++) {
            float *map = heat + w * pixels;
            memcpy(before, map, pixels * sizeof *before);
            for (size_t q = 0; q < pixels; q++) {
                float sum = 0.0f;
                for (size_t k = 0; k < pixels; k++) sum += affinity[q * pixels + k] * before[k];
                map[q] = sum;
            }
        }
    free(before);
}
