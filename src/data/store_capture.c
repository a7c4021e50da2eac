#include "store_internal.h"

#include "pm/base/narrow.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP "/attention"

bool store_is_capture(enum part part)
{
    return part >= ATTENTION && part < ATTENTION_END;
}

const struct pm_store_capture *store_capture(const struct pm_store_shape *shape, enum part part)
{
    PM_ASSERT(store_is_capture(part));
    return &shape->captures[part - ATTENTION];
}

size_t store_capture_axes(struct axis axes[STORE_MAX_RANK], const struct pm_store_shape *shape,
                          const struct pm_store_capture *c)
{
    size_t rank = 0, pixels;
    if (__builtin_mul_overflow(c->height, c->width, &pixels)) pixels = SIZE_MAX;
    axes[rank++] = (struct axis){"entry", shape->entries, SIZE_ENTRY};
    if (c->steps) axes[rank++] = (struct axis){"step", c->steps, SIZE_NONE};
    if (c->layers) axes[rank++] = (struct axis){"layer", c->layers, SIZE_NONE};
    if (c->heads) axes[rank++] = (struct axis){"head", c->heads, SIZE_NONE};
    axes[rank++] = (struct axis){c->is_self ? "query_y" : "map_y", c->height, SIZE_NONE};
    axes[rank++] = (struct axis){c->is_self ? "query_x" : "map_x", c->width, SIZE_NONE};
    axes[rank++] = c->is_self       ? (struct axis){"key", pixels, SIZE_NONE}
                   : c->is_of_words ? (struct axis){"word", shape->words, SIZE_WORD}
                                    : (struct axis){"token", shape->tokens, SIZE_TOKEN};
    return rank;
}

static bool is_path(const char *path)
{
    const char *name = path + strlen(GROUP "/");
    if (strncmp(path, GROUP "/", strlen(GROUP "/")) != 0 || !*name) return false;
    while (isalnum((unsigned char)*name) || *name == '_') name++;
    return !*name;
}

bool store_captures_check(const struct pm_store_shape *shape, const char *path,
                          struct pm_error *err)
{
    if (shape->capture_count > PM_STORE_MAX_CAPTURES)
        return pm_fail(err, PM_E_INPUT, "%s: %zu datasets of attention; %d are the most", path,
                       shape->capture_count, PM_STORE_MAX_CAPTURES);
    for (size_t i = 0; i < shape->capture_count; i++) {
        const char *name = shape->captures[i].path;
        if (!memchr(name, 0, PM_STORE_PATH_BYTES) || !is_path(name))
            return pm_fail(err, PM_E_INPUT, "%s: \"%.63s\" is no name of attention", path, name);
        if (i > 0 && strcmp(shape->captures[i - 1].path, name) >= 0)
            return pm_fail(err, PM_E_INPUT, "%s: %s is there twice, or out of order", path, name);
    }
    return true;
}

bool store_capture_describe(hid_t dataset, const struct pm_store_capture *c,
                            const struct pm_store_shape *shape,
                            const struct pm_store_capture_about *about)
{
    static const char *const dtypes[] = {"f32", "f16", "u8"};
    char name[64], mean_over[32], blocks[32], description[256];
    snprintf(name, sizeof name, "%s-attention probability of each %s",
             c->is_self ? "self" : "cross",
             c->is_self       ? "pixel"
             : c->is_of_words ? "word"
                              : "token");
    snprintf(mean_over, sizeof mean_over, "%s%s%s", c->steps ? "" : ", step",
             c->layers ? "" : ", layer", c->heads ? "" : ", head");
    snprintf(description, sizeof description, "%s%s; a target's maps are those %s editing%s%s",
             mean_over[0] ? "mean over " : "each by itself", mean_over[0] ? mean_over + 2 : "",
             about->is_before ? "before" : "after",
             c->is_of_words ? "; a word's map is the mean of its tokens'" : "",
             c->is_self       ? ""
             : c->is_of_words ? "; zero beyond the prompt's words"
                              : "; zero beyond the prompt's tokens");
    snprintf(blocks, sizeof blocks, "%s%s%s", about->blocks & PM_STORE_DOWN_BLOCKS ? ", down" : "",
             about->blocks & PM_STORE_MID_BLOCK ? ", mid" : "",
             about->blocks & PM_STORE_UP_BLOCKS ? ", up" : "");
    size_t size[] = {c->height, c->width};
    size_t latent_size[] = {shape->latent_height, shape->latent_width};
    return store_put_text(dataset, "long_name", name) && store_put_text(dataset, "units", "1") &&
           store_put_text(dataset, "description", description) &&
           store_put_text(dataset, "kind", c->is_self ? "self" : "cross") &&
           store_put_text(dataset, "when", about->is_before ? "before" : "after") &&
           (c->is_self || store_put_text(dataset, "tokens", c->is_of_words ? "words" : "all")) &&
           store_put_text(dataset, "mean_over", mean_over[0] ? mean_over + 2 : "") &&
           store_put_numbers(dataset, "steps", about->steps, about->step_count) &&
           store_put_numbers(dataset, "layers", about->layers, about->layer_count) &&
           store_put_text(dataset, "blocks", blocks[0] ? blocks + 2 : "") &&
           store_put_numbers(dataset, "heads", &about->head_count, 1) &&
           store_put_numbers(dataset, "size", size, 2) &&
           store_put_numbers(dataset, "latent_size", latent_size, 2) &&
           store_put_text(dataset, "dtype", dtypes[c->number]) &&
           store_put_real(dataset, "scale_factor", c->number == PM_STORE_U8 ? 1.0 / 255.0 : 1.0);
}

/* Collects names; a number other than 0 ends the iteration. */
static herr_t take_name(hid_t group, const char *name, const H5L_info_t *link, void *shape)
{
    (void)group;
    (void)link; /* its type is looked at when it is opened */
    struct pm_store_shape *s = shape;
    if (s->capture_count == PM_STORE_MAX_CAPTURES) return 1;
    char *path = s->captures[s->capture_count].path;
    int n = snprintf(path, PM_STORE_PATH_BYTES, GROUP "/%s", name);
    if (n < 0 || n >= PM_STORE_PATH_BYTES || !is_path(path)) return 2;
    s->capture_count++;
    return 0;
}

bool store_captures_open(struct pm_store *store, struct pm_error *err)
{
    static const char *const problems[] = {
        "is no group of datasets", "has more than 16 datasets",
        "has a dataset whose name is too long or not of letters, digits and _"};
    bool found;
    PM_TRY(store_find(&found, store, GROUP, err));
    if (!found) return true;
    herr_t status = H5Literate_by_name(store->file, GROUP, H5_INDEX_NAME, H5_ITER_INC, NULL,
                                       take_name, &store->shape, H5P_DEFAULT);
    return status == 0 ||
           store_fail(err, PM_E_FORMAT, store->path, GROUP, problems[status < 0 ? 0 : status]);
}

enum { LABEL_BYTES = 16 };

/* The axes' names, cut to what ours need; false when there are not just so many. */
static bool read_labels(char labels[STORE_MAX_RANK][LABEL_BYTES], hid_t dataset, size_t rank)
{
    char *texts[STORE_MAX_RANK] = {0};
    hid_t attribute = H5Aopen(dataset, "DIMENSION_LABELS", H5P_DEFAULT);
    if (attribute < 0) return false;
    hid_t space = H5Aget_space(attribute), type = H5Aget_type(attribute);
    bool ok = space >= 0 && type >= 0 && H5Sget_simple_extent_npoints(space) == (hssize_t)rank &&
              H5Tis_variable_str(type) > 0 && H5Aread(attribute, type, texts) >= 0;
    for (size_t k = 0; ok && k < rank; k++) {
        snprintf(labels[k], LABEL_BYTES, "%s", texts[k] ? texts[k] : "");
        H5free_memory(texts[k]);
    }
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(attribute);
    return ok;
}

/* What the axes' names and lengths say. */
static bool learn_axes(struct pm_store_capture *c, const struct pm_store_shape *shape,
                       char labels[STORE_MAX_RANK][LABEL_BYTES], const hsize_t *extent, size_t rank)
{
    struct {
        const char *label;
        size_t *length;
    } kept[] = {{"step", &c->steps}, {"layer", &c->layers}, {"head", &c->heads}};
    size_t k = 1;
    for (size_t i = 0; i < 3; i++)
        if (k < rank && strcmp(labels[k], kept[i].label) == 0) *kept[i].length = extent[k++];
    if (k + 3 != rank) return false;
    c->is_self = strcmp(labels[k], "query_y") == 0;
    c->is_of_words = strcmp(labels[k + 2], "word") == 0;
    c->height = extent[k];
    c->width = extent[k + 1];
    struct axis axes[STORE_MAX_RANK];
    if (store_capture_axes(axes, shape, c) != rank) return false;
    for (k = 0; k < rank; k++)
        if (strcmp(labels[k], axes[k].label) != 0) return false;
    return true;
}

bool store_capture_learn(struct pm_store *store, enum part part, struct pm_error *err)
{
    struct pm_store_capture *c = &store->shape.captures[part - ATTENTION];
    char labels[STORE_MAX_RANK][LABEL_BYTES];
    hsize_t extent[STORE_MAX_RANK] = {0};
    hid_t space = H5Dget_space(store->dataset[part]), type = H5Dget_type(store->dataset[part]);
    int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    bool ok = type >= 0 && rank > 0 && rank <= STORE_MAX_RANK &&
              H5Sget_simple_extent_dims(space, extent, NULL) == rank &&
              read_labels(labels, store->dataset[part], (size_t)rank) &&
              learn_axes(c, &store->shape, labels, extent, (size_t)rank);
    size_t bytes = type >= 0 ? H5Tget_size(type) : 0; /* all else about the type is checked later */
    c->number = bytes == 1 ? PM_STORE_U8 : bytes == 2 ? PM_STORE_F16 : PM_STORE_F32;
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return ok || store_fail(err, PM_E_FORMAT, store->path, c->path,
                            "its axes are not named as those of attention maps");
}

void store_capture_pack(void *out, const float *maps, size_t count, enum pm_store_number number)
{
    PM_ASSERT(number != PM_STORE_F32);
    for (size_t i = 0; i < count; i++)
        if (number == PM_STORE_F16)
            ((uint16_t *)out)[i] = pm_half_from_float(maps[i]);
        else
            ((uint8_t *)out)[i] = pm_byte_from_unit(maps[i]);
}

void store_capture_unpack(float *maps, const void *in, size_t count, enum pm_store_number number)
{
    PM_ASSERT(number != PM_STORE_F32);
    for (size_t i = 0; i < count; i++)
        maps[i] = number == PM_STORE_F16 ? pm_float_from_half(((const uint16_t *)in)[i])
                                         : pm_unit_from_byte(((const uint8_t *)in)[i]);
}
