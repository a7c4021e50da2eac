#include "run_capture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A map of self-attention has a number for each pair of pixels: those of 32 x 64 are 17 MB a head.
 */
enum { MAX_SELF_PIXELS = 2048 };

_Static_assert((int)PM_MAX_CAPTURES == (int)PM_STORE_MAX_CAPTURES, "every capture has a dataset");

/** What captures choose from. */
struct choice {
    const struct pm_attention_site *sites;
    size_t site_count, steps;
    size_t blend_height, blend_width;
    const char *name; /* of the capture at hand */
    bool is_cross;
    struct pm_arena *memory;
};

static void append(char *text, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, bytes - used, format, args);
    va_end(args);
}

static bool same_size(const struct pm_attention_site *a, const struct pm_attention_site *b)
{
    return a->height == b->height && a->width == b->width;
}

/* "1, 5, 7 of [16, 16], 3 of [8, 8]" */
static void list_layers(char *text, size_t bytes, const struct choice *c)
{
    text[0] = '\0';
    for (size_t i = 0; i < c->site_count; i++) {
        const struct pm_attention_site *site = &c->sites[i];
        bool is_first = site->is_cross == c->is_cross;
        for (size_t j = 0; j < i; j++)
            if (c->sites[j].is_cross == c->is_cross && same_size(site, &c->sites[j]))
                is_first = false;
        if (!is_first) continue;
        append(text, bytes, "%s%zu", text[0] ? ", " : "", site->layer);
        for (size_t j = i + 1; j < c->site_count; j++)
            if (c->sites[j].is_cross == c->is_cross && same_size(site, &c->sites[j]))
                append(text, bytes, ", %zu", c->sites[j].layer);
        append(text, bytes, " of [%zu, %zu]", site->height, site->width);
    }
}

static bool fail_with_layers(const struct choice *c, struct pm_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail_with_layers(const struct choice *c, struct pm_error *err, const char *format, ...)
{
    char what[96], layers[PM_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    list_layers(layers, sizeof layers, c);
    return pm_fail(err, PM_E_INPUT, "the capture \"%s\": %s; the layers of %s-attention are %s",
                   c->name, what, c->is_cross ? "cross" : "self", layers);
}

/* The layers of a size on the way down and up, as local blends have them; where there are none, the
 * one in the middle. */
static bool layers_of_size(size_t *layers, size_t *count, const struct choice *c, size_t height,
                           size_t width, struct pm_error *err)
{
    for (int of_middle = 0; of_middle < 2 && *count == 0; of_middle++)
        for (size_t i = 0; i < c->site_count; i++) {
            const struct pm_attention_site *site = &c->sites[i];
            if (site->is_cross == c->is_cross && site->height == height && site->width == width &&
                (site->place == PM_MID) == (of_middle == 1))
                layers[(*count)++] = site->layer;
        }
    return *count > 0 || fail_with_layers(c, err, "no layer has maps of [%zu, %zu]", height, width);
}

static bool listed_layers(size_t *layers, size_t *count, const struct choice *c,
                          const struct pm_capture_attention *a, struct pm_error *err)
{
    *count = json_array_size(a->listed_layers);
    for (size_t i = 0; i < *count; i++) {
        size_t layer = (size_t)json_integer_value(json_array_get(a->listed_layers, i));
        if (layer >= c->site_count || c->sites[layer].is_cross != c->is_cross)
            return fail_with_layers(c, err, "layer %zu is none of these", layer);
        layers[i] = layer;
        const struct pm_attention_site *site = &c->sites[layer];
        if (!same_size(site, &c->sites[layers[0]]))
            return fail_with_layers(c, err, "layers %zu and %zu differ in size", layers[0], layer);
        if (a->has_size && (site->height != a->height || site->width != a->width))
            return fail_with_layers(c, err, "layer %zu is not of [%zu, %zu]", layer, a->height,
                                    a->width);
    }
    return true;
}

static bool choose_layers(struct pm_attention_capture_spec *spec, const struct choice *c,
                          const struct pm_capture_attention *a, struct pm_error *err)
{
    size_t *layers = pm_arena_bytes(c->memory, c->site_count * sizeof *layers);
    if (a->layers == PM_CAPTURE_LISTED) {
        /* a list may be wrong, but longer than the layers only with some that there are not */
        if (json_array_size(a->listed_layers) > c->site_count)
            return fail_with_layers(c, err, "it lists %zu layers",
                                    json_array_size(a->listed_layers));
        PM_TRY(listed_layers(layers, &spec->layer_count, c, a, err));
    } else {
        PM_TRY(layers_of_size(layers, &spec->layer_count, c,
                              a->has_size ? a->height : c->blend_height,
                              a->has_size ? a->width : c->blend_width, err));
    }
    const struct pm_attention_site *first = &c->sites[layers[0]];
    spec->layers = layers;
    spec->height = first->height;
    spec->width = first->width;
    spec->heads = first->heads;
    for (size_t i = 1; i < spec->layer_count; i++)
        if (spec->keeps_heads && c->sites[layers[i]].heads != first->heads)
            return fail_with_layers(c, err, "layers %zu and %zu differ in heads", layers[0],
                                    layers[i]);
    size_t pixels = first->height * first->width;
    if (c->is_cross || pixels <= MAX_SELF_PIXELS) return true;
    return fail_with_layers(c, err, "%zu x %zu numbers a head; at most %d x %d are kept", pixels,
                            pixels, MAX_SELF_PIXELS, MAX_SELF_PIXELS);
}

static bool choose_steps(struct pm_attention_capture_spec *spec, const struct choice *c,
                         const struct pm_capture_attention *a, struct pm_error *err)
{
    bool all = a->steps != PM_CAPTURE_LISTED;
    spec->step_count = all ? c->steps : json_array_size(a->listed_steps);
    size_t *steps = pm_arena_bytes(c->memory, spec->step_count * sizeof *steps);
    for (size_t i = 0; i < spec->step_count; i++) {
        steps[i] = all ? i : (size_t)json_integer_value(json_array_get(a->listed_steps, i));
        if (steps[i] >= c->steps)
            return pm_fail(err, PM_E_INPUT,
                           "the capture \"%s\": there is no step %zu; the steps are 0 to %zu",
                           c->name, steps[i], c->steps - 1);
    }
    spec->steps = steps;
    return true;
}

static unsigned blocks_of(const struct pm_attention_capture_spec *spec, const struct choice *c)
{
    static const unsigned bit[] = {[PM_DOWN] = PM_STORE_DOWN_BLOCKS,
                                   [PM_MID] = PM_STORE_MID_BLOCK,
                                   [PM_UP] = PM_STORE_UP_BLOCKS};
    unsigned blocks = 0;
    for (size_t i = 0; i < spec->layer_count; i++) blocks |= bit[c->sites[spec->layers[i]].place];
    return blocks;
}

static bool choose(struct run_captures *out, size_t index, struct choice *c,
                   const struct pm_capture_attention *a, struct pm_error *err)
{
    struct pm_attention_capture_spec *spec = &out->specs[index];
    c->name = a->name;
    c->is_cross = !a->is_self;
    *spec = (struct pm_attention_capture_spec){.is_cross = !a->is_self,
                                               .is_before = a->is_before,
                                               .of_words = a->of_words,
                                               .keeps_steps = a->steps != PM_CAPTURE_MEAN,
                                               .keeps_layers = a->layers != PM_CAPTURE_MEAN,
                                               .keeps_heads = a->heads != PM_CAPTURE_MEAN};
    PM_TRY(choose_layers(spec, c, a, err));
    PM_TRY(choose_steps(spec, c, a, err));
    struct pm_store_capture *dataset = &out->datasets[index];
    *dataset = (struct pm_store_capture){.is_self = a->is_self,
                                         .is_of_words = a->of_words,
                                         .number = a->number,
                                         .steps = spec->keeps_steps ? spec->step_count : 0,
                                         .layers = spec->keeps_layers ? spec->layer_count : 0,
                                         .heads = spec->keeps_heads ? spec->heads : 0,
                                         .height = spec->height,
                                         .width = spec->width};
    snprintf(dataset->path, sizeof dataset->path, "/attention/%s", a->name);
    out->abouts[index] = (struct pm_store_capture_about){.is_before = a->is_before,
                                                         .layers = spec->layers,
                                                         .layer_count = spec->layer_count,
                                                         .steps = spec->steps,
                                                         .step_count = spec->step_count,
                                                         .head_count = spec->heads,
                                                         .blocks = blocks_of(spec, c)};
    return true;
}

bool run_captures_make(struct run_captures *out, const struct pm_config *config,
                       const struct pm_edit_settings *settings, struct pm_error *err)
{
    const struct pm_capture *capture = &config->capture;
    *out = (struct run_captures){.count = capture->attention_count};
    pm_arena_init(&out->memory, (size_t)1 << 24);
    struct choice c = {.steps = settings->schedule->evaluations, .memory = &out->memory};
    c.sites = pm_edit_sites(&c.site_count, settings, &out->memory);
    pm_attention_store_size(&c.blend_height, &c.blend_width, c.sites, c.site_count);
    bool ok = true;
    for (size_t i = 0; ok && i < out->count; i++)
        ok = choose(out, i, &c, &capture->attention[i], err);
    if (!ok) run_captures_free(out);
    return ok;
}

void run_captures_free(struct run_captures *captures)
{
    if (captures->memory.base) pm_arena_free(&captures->memory);
    *captures = (struct run_captures){0};
}

void run_captures_shape(struct pm_store_shape *shape, const struct run_captures *captures,
                        const struct pm_config *config)
{
    shape->images = config->capture.images;
    shape->latents = config->capture.latents;
    shape->capture_count = captures->count;
    memcpy(shape->captures, captures->datasets, captures->count * sizeof *captures->datasets);
}

/* [rows, columns] with zeros behind, up to the length of the last axis. */
static const float *pad(const struct pm_attention_maps *maps, size_t length, struct pm_arena *arena)
{
    if (maps->columns == length) return maps->values;
    PM_ASSERT(maps->columns < length);
    float *out = pm_arena_floats(arena, maps->rows * length);
    memset(out, 0, maps->rows * length * sizeof *out);
    for (size_t row = 0; row < maps->rows; row++)
        memcpy(out + row * length, maps->values + row * maps->columns, maps->columns * sizeof *out);
    return out;
}

struct pm_store_payload run_captures_payload(const struct pm_picture *picture, bool is_source,
                                             const struct pm_store_shape *shape,
                                             struct pm_arena *arena)
{
    bool keeps_ends = shape->latents != PM_STORE_NO_LATENTS;
    struct pm_store_payload payload = {.image = picture->image,
                                       .x_T = keeps_ends && is_source ? picture->x_T : NULL,
                                       .final_latent = keeps_ends ? picture->final_latent : NULL,
                                       .trajectory = picture->trajectory,
                                       .blend_mask = picture->mask};
    for (size_t i = 0; i < shape->capture_count; i++) {
        const struct pm_store_capture *c = &shape->captures[i];
        size_t length = c->is_self       ? c->height * c->width
                        : c->is_of_words ? shape->words
                                         : shape->tokens;
        payload.attention[i] = pad(&picture->attention[i], length, arena);
    }
    return payload;
}
