#include "pm/data/heat_mask.h"

#include <math.h>

enum { LEVELS = 256 };

static size_t level_of(float heat)
{
    float level = heat * (float)LEVELS;
    if (!(level > 0.0f)) return 0;
    return level >= (float)(LEVELS - 1) ? LEVELS - 1 : (size_t)level;
}

float pm_heat_otsu(const float *heat, size_t n)
{
    size_t histogram[LEVELS] = {0}, below = 0, best = 0;
    double sum = 0.0, sum_below = 0.0, greatest = 0.0;
    for (size_t i = 0; i < n; i++) histogram[level_of(heat[i])]++;
    for (size_t l = 0; l < LEVELS; l++) sum += (double)l * (double)histogram[l];
    for (size_t l = 0; l < LEVELS; l++) {
        below += histogram[l];
        sum_below += (double)l * (double)histogram[l];
        if (below == 0 || below == n) continue;
        double above = (double)(n - below);
        double apart = sum_below / (double)below - (sum - sum_below) / above;
        double between = (double)below * above * apart * apart;
        if (between <= greatest) continue;
        greatest = between;
        best = l + 1;
    }
    return (float)best / (float)LEVELS;
}

void pm_heat_masks(uint8_t *masks, uint8_t *index, const float *heat, size_t words,
                   const float *thresholds, size_t n, bool competes)
{
    PM_ASSERT(words <= UINT8_MAX);
    for (size_t i = 0; i < n; i++) {
        float most = -INFINITY;
        index[i] = 0;
        for (size_t w = 0; w < words; w++) {
            float value = heat[w * n + i];
            masks[w * n + i] = value > thresholds[w];
            if (!masks[w * n + i] || value <= most) continue;
            most = value;
            index[i] = (uint8_t)(w + 1);
        }
        for (size_t w = 0; competes && w < words; w++) masks[w * n + i] = index[i] == w + 1;
    }
}
