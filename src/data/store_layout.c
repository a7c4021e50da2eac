#include "store_internal.h"

#include <limits.h>
#include <string.h>

/* Numbers are hashed and written as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the store is little-endian");

/* clang-format off */
const struct part_spec store_parts[PARTS] = {
    [ENTRY] = {.path = "/entry", .element = ROW,
        .axis = {SIZE_ENTRY},
        .long_name = "what vouches for each entry",
        .description = "checksum: XXH3-64 over entry number, state, flags, message, plan, payload"},
    [PROVENANCE] = {.path = "/provenance/entry", .element = MAKER,
        .axis = {SIZE_ENTRY},
        .long_name = "who made each entry, and when",
        .description = "the only dataset that differs between two runs of the same work",
        .units = "seconds: s, finished: s since 1970-01-01T00:00:00Z"},

    [TIMESTEP] = {.path = "/schedule/timestep", .element = I32,
        .axis = {SIZE_STEP},
        .long_name = "what the UNet is given at each step"},
    [ALPHA_CUMPROD] = {.path = "/schedule/alpha_cumprod", .element = F64,
        .axis = {SIZE_TRAIN_TIMESTEP},
        .long_name = "cumulative product of alpha, by timestep"},

    [ITEM_ID] = {.path = "/item/id", .element = TEXT, .text_bytes = SIZE_ID_BYTES,
        .axis = {SIZE_ITEM},
        .long_name = "name in the manifest"},
    [ITEM_LINE] = {.path = "/item/line", .element = I64,
        .axis = {SIZE_ITEM},
        .long_name = "line of the manifest, from 1"},
    [ITEM_FIRST_ENTRY] = {.path = "/item/first_entry", .element = I64,
        .axis = {SIZE_ITEM},
        .long_name = "entry of the source; its targets' entries follow"},
    [ITEM_SEED] = {.path = "/item/seed", .element = U64,
        .axis = {SIZE_ITEM},
        .long_name = "seed of the first latent"},
    [ITEM_RECIPE] = {.path = "/item/recipe", .element = TEXT, .text_bytes = SIZE_RECIPE_BYTES,
        .axis = {SIZE_ITEM},
        .long_name = "the item with all defaults, JSON"},

    [PROMPT_TEXT] = {.path = "/prompt/text", .element = TEXT, .text_bytes = SIZE_PROMPT_BYTES,
        .axis = {SIZE_ENTRY},
        .long_name = "prompt"},
    [PROMPT_ITEM] = {.path = "/prompt/item", .element = I64,
        .axis = {SIZE_ENTRY},
        .long_name = "item that the entry belongs to"},
    [PROMPT_TARGET] = {.path = "/prompt/target", .element = I32,
        .axis = {SIZE_ENTRY},
        .long_name = "number of the target in its item; -1: the source"},
    [PROMPT_TOKEN_COUNT] = {.path = "/prompt/token_count", .element = I32,
        .axis = {SIZE_ENTRY},
        .long_name = "tokens of the prompt, with begin and end, without padding"},
    [PROMPT_TOKEN_ID] = {.path = "/prompt/token_id", .element = I32,
        .axis = {SIZE_ENTRY, SIZE_TOKEN},
        .long_name = "token ids; -1 beyond the prompt"},
    [PROMPT_TOKEN] = {.path = "/prompt/token", .element = TEXT, .text_bytes = SIZE_TOKEN_BYTES,
        .axis = {SIZE_ENTRY, SIZE_TOKEN},
        .long_name = "token texts; empty beyond the prompt"},
    [PROMPT_TOKEN_WORD] = {.path = "/prompt/token_word", .element = I32,
        .axis = {SIZE_ENTRY, SIZE_TOKEN},
        .long_name = "word that each token is of; -1: none"},
    [PROMPT_WORD_COUNT] = {.path = "/prompt/word_count", .element = I32,
        .axis = {SIZE_ENTRY},
        .long_name = "words of the prompt"},
    [PROMPT_WORD] = {.path = "/prompt/word", .element = TEXT, .text_bytes = SIZE_WORD_BYTES,
        .axis = {SIZE_ENTRY, SIZE_WORD},
        .long_name = "words; empty beyond the prompt"},

    [IMAGE] = {.path = "/image", .element = U8,
        .axis = {SIZE_ENTRY, SIZE_IMAGE_Y, SIZE_IMAGE_X, SIZE_RGB},
        .long_name = "decoded picture, 8-bit sRGB"},
    [X_T] = {.path = "/latent/x_T", .element = F32,
        .axis = {SIZE_ITEM, SIZE_CHANNEL, SIZE_LATENT_Y, SIZE_LATENT_X},
        .long_name = "first latent, from which source and targets start",
        .description = "vouched for by the row of the item's source entry"},
    [FINAL_LATENT] = {.path = "/latent/final", .element = F32,
        .axis = {SIZE_ENTRY, SIZE_CHANNEL, SIZE_LATENT_Y, SIZE_LATENT_X},
        .long_name = "last latent, which the picture is decoded from"},
    [TRAJECTORY] = {.path = "/latent/trajectory", .element = F32,
        .axis = {SIZE_ENTRY, SIZE_STEP, SIZE_CHANNEL, SIZE_LATENT_Y, SIZE_LATENT_X},
        .long_name = "latent after each denoising step",
        .description = "after local blend; the last is /latent/final"},
    [BLEND_MASK] = {.path = "/blend_mask", .element = U8,
        .axis = {SIZE_ENTRY, SIZE_LATENT_Y, SIZE_LATENT_X},
        .long_name = "where local blend let the edit through at the last step",
        .description = "0 or 1; meaningful where bit 0 of /entry's flags is set"},
    [ORIGINAL] = {.path = "/original", .element = U8,
        .axis = {SIZE_ITEM, SIZE_IMAGE_Y, SIZE_IMAGE_X, SIZE_RGB},
        .long_name = "real picture as it was edited: cropped and resized, 8-bit sRGB",
        .description = "meaningful where bit 1 of the flags of the item's source is set"},
    [RECONSTRUCTION_PSNR] = {.path = "/reconstruction/psnr", .element = F64,
        .axis = {SIZE_ITEM},
        .long_name = "PSNR of the source's picture against the original", .units = "dB",
        .description = "meaningful where bit 1 of the flags of the item's source is set"},
    [INVERSION_KEY] = {.path = "/inversion/key", .element = U64,
        .axis = {SIZE_ITEM, SIZE_KEY_HALF},
        .long_name = "hash of what the inversion is of",
        .description = "meaningful where bit 1 of the flags of the item's source is set"},
    [INVERSION_LATENT] = {.path = "/inversion/latent", .element = F32,
        .axis = {SIZE_ITEM, SIZE_LEVEL, SIZE_CHANNEL, SIZE_LATENT_Y, SIZE_LATENT_X},
        .long_name = "latents of the inversion, x_T first, the picture's own last",
        .description = "meaningful where bit 1 of the flags of the item's source is set"},
    [INVERSION_EMBEDDING] = {.path = "/inversion/embedding", .element = F32,
        .axis = {SIZE_ITEM, SIZE_STEP, SIZE_EMBEDDING_TOKEN, SIZE_EMBEDDING_CHANNEL},
        .long_name = "unconditional embedding of each step, of null-text inversion",
        .description = "meaningful where bit 2 of the flags of the item's source is set"},
};
/* clang-format on */

static const struct {
    const char *label;
    size_t offset; /* in the shape */
} sizes[SIZES] = {
    [SIZE_ITEM] = {"item", offsetof(struct pm_store_shape, items)},
    [SIZE_ENTRY] = {"entry", offsetof(struct pm_store_shape, entries)},
    [SIZE_TOKEN] = {"token", offsetof(struct pm_store_shape, tokens)},
    [SIZE_WORD] = {"word", offsetof(struct pm_store_shape, words)},
    [SIZE_IMAGE_Y] = {"y", offsetof(struct pm_store_shape, image_height)},
    [SIZE_IMAGE_X] = {"x", offsetof(struct pm_store_shape, image_width)},
    [SIZE_RGB] = {"rgb", SIZE_MAX},       /* always 3 */
    [SIZE_KEY_HALF] = {"half", SIZE_MAX}, /* always 2 */
    [SIZE_CHANNEL] = {"channel", offsetof(struct pm_store_shape, latent_channels)},
    [SIZE_LATENT_Y] = {"latent_y", offsetof(struct pm_store_shape, latent_height)},
    [SIZE_LATENT_X] = {"latent_x", offsetof(struct pm_store_shape, latent_width)},
    [SIZE_STEP] = {"step", offsetof(struct pm_store_shape, steps)},
    [SIZE_LEVEL] = {"level", offsetof(struct pm_store_shape, levels)},
    [SIZE_EMBEDDING_TOKEN] = {"embedding_token", offsetof(struct pm_store_shape, embedding_tokens)},
    [SIZE_EMBEDDING_CHANNEL] = {"embedding_channel",
                                offsetof(struct pm_store_shape, embedding_channels)},
    [SIZE_TRAIN_TIMESTEP] = {"train_timestep", offsetof(struct pm_store_shape, train_timesteps)},
    [SIZE_ID_BYTES] = {"id bytes", offsetof(struct pm_store_shape, id_bytes)},
    [SIZE_RECIPE_BYTES] = {"recipe bytes", offsetof(struct pm_store_shape, recipe_bytes)},
    [SIZE_PROMPT_BYTES] = {"prompt bytes", offsetof(struct pm_store_shape, prompt_bytes)},
    [SIZE_TOKEN_BYTES] = {"token bytes", offsetof(struct pm_store_shape, token_bytes)},
    [SIZE_WORD_BYTES] = {"word bytes", offsetof(struct pm_store_shape, word_bytes)},
};

size_t store_size(const struct pm_store_shape *shape, enum size which)
{
    if (which == SIZE_RGB) return 3;
    if (which == SIZE_KEY_HALF) return 2;
    return *(const size_t *)((const char *)shape + sizes[which].offset);
}

void store_set_size(struct pm_store_shape *shape, enum size which, size_t value)
{
    PM_ASSERT(which != SIZE_NONE && sizes[which].offset != SIZE_MAX);
    *(size_t *)((char *)shape + sizes[which].offset) = value;
}

bool store_has(const struct pm_store_shape *shape, enum part part)
{
    if (store_is_capture(part)) return part - ATTENTION < shape->capture_count;
    switch (part) {
    case IMAGE:
        return shape->images;
    case X_T:
    case FINAL_LATENT:
        return shape->latents != PM_STORE_NO_LATENTS;
    case TRAJECTORY:
        return shape->latents == PM_STORE_TRAJECTORY;
    case BLEND_MASK:
        return shape->blend_mask;
    case ORIGINAL:
    case RECONSTRUCTION_PSNR:
        return shape->originals;
    case INVERSION_KEY:
    case INVERSION_LATENT:
        return shape->inversions;
    case INVERSION_EMBEDDING:
        return shape->embeddings;
    default:
        return true;
    }
}

bool store_is_of_item(enum part part)
{
    return part == X_T || (part > BLEND_MASK && part < PARTS);
}

bool store_applies(const struct pm_store_shape *shape, enum part part, uint8_t flags,
                   bool is_source)
{
    if (store_is_of_item(part) && !is_source) return false;
    switch (part) {
    case BLEND_MASK:
        return flags & PM_STORE_HAS_BLEND_MASK;
    case INVERSION_EMBEDDING:
        return flags & PM_STORE_HAS_EMBEDDINGS;
    case ORIGINAL:
    case RECONSTRUCTION_PSNR:
    case INVERSION_KEY:
    case INVERSION_LATENT:
        return flags & PM_STORE_HAS_ORIGINAL && store_has(shape, part);
    default:
        return store_has(shape, part);
    }
}

const char *store_path(const struct pm_store_shape *shape, enum part part)
{
    return store_is_capture(part) ? store_capture(shape, part)->path : store_parts[part].path;
}

enum element store_element(const struct pm_store_shape *shape, enum part part)
{
    static const enum element of_number[] = {
        [PM_STORE_F32] = F32, [PM_STORE_F16] = F16, [PM_STORE_U8] = U8};
    if (store_is_capture(part)) return of_number[store_capture(shape, part)->number];
    return store_parts[part].element;
}

size_t store_axes(struct axis axes[STORE_MAX_RANK], const struct pm_store_shape *shape,
                  enum part part)
{
    if (store_is_capture(part)) return store_capture_axes(axes, shape, store_capture(shape, part));
    size_t rank = 0;
    for (; rank < STORE_MAX_RANK && store_parts[part].axis[rank] != SIZE_NONE; rank++) {
        enum size size = store_parts[part].axis[rank];
        axes[rank] = (struct axis){
            .label = sizes[size].label, .length = store_size(shape, size), .size = size};
    }
    return rank;
}

static size_t element_bytes(const struct pm_store_shape *shape, enum part part)
{
    switch (store_element(shape, part)) {
    case U8:
        return 1;
    case F16:
        return 2;
    case I32:
    case F32:
        return 4;
    case I64:
    case U64:
    case F64:
        return 8;
    case TEXT:
        return store_size(shape, store_parts[part].text_bytes);
    case ROW:
        return 1 + 1 + 8 + PM_ERROR_BYTES;
    case MAKER:
        return sizeof(struct pm_store_provenance);
    }
    PM_ASSERT(!"an element of the table");
    return 0;
}

bool store_row_bytes(size_t *bytes, const struct pm_store_shape *shape, enum part part)
{
    struct axis axes[STORE_MAX_RANK];
    size_t rank = store_axes(axes, shape, part);
    *bytes = element_bytes(shape, part);
    for (size_t k = 1; k < rank; k++)
        if (__builtin_mul_overflow(*bytes, axes[k].length, bytes)) return false;
    return *bytes <= INT_MAX; /* MPI counts in int */
}

void store_shape_normalise(struct pm_store_shape *shape)
{
    static const enum size may_be_zero[] = {SIZE_WORD,         SIZE_ID_BYTES,    SIZE_RECIPE_BYTES,
                                            SIZE_PROMPT_BYTES, SIZE_TOKEN_BYTES, SIZE_WORD_BYTES};
    for (size_t i = 0; i < sizeof may_be_zero / sizeof *may_be_zero; i++)
        if (store_size(shape, may_be_zero[i]) == 0) store_set_size(shape, may_be_zero[i], 1);
}

/* The bytes of all rows of one dataset; false when that is no file size. */
static bool dataset_bytes(uint64_t *bytes, const struct pm_store_shape *shape, enum part part)
{
    struct axis axes[STORE_MAX_RANK];
    size_t row;
    size_t rank = store_axes(axes, shape, part);
    PM_ASSERT(rank > 0);
    return store_row_bytes(&row, shape, part) &&
           !__builtin_mul_overflow(row, axes[0].length, bytes);
}

static bool payload_bytes(uint64_t *total, enum part *culprit, const struct pm_store_shape *shape)
{
    *total = 0;
    for (enum part part = 0; part < PARTS; part++) {
        uint64_t bytes;
        if (!store_has(shape, part)) continue;
        *culprit = part;
        if (!dataset_bytes(&bytes, shape, part)) return false;
        if (__builtin_add_overflow(*total, bytes, total) || *total > INT64_MAX / 2) return false;
    }
    return true;
}

/* What the datasets there are need must not be 0. */
static bool check_sizes(const struct pm_store_shape *shape, const char *path, struct pm_error *err)
{
    for (enum part part = 0; part < PARTS; part++) {
        struct axis axes[STORE_MAX_RANK];
        const char *zero = NULL;
        if (!store_has(shape, part)) continue;
        size_t rank = store_axes(axes, shape, part);
        for (size_t k = 0; k < rank; k++)
            if (axes[k].length == 0) zero = axes[k].label;
        if (store_element(shape, part) == TEXT &&
            store_size(shape, store_parts[part].text_bytes) == 0)
            zero = sizes[store_parts[part].text_bytes].label;
        if (zero)
            return pm_fail(err, PM_E_INPUT, "%s: a store cannot have 0 for its size \"%s\"", path,
                           zero);
    }
    return true;
}

bool store_shape_check(const struct pm_store_shape *shape, const char *path, struct pm_error *err)
{
    PM_TRY(store_captures_check(shape, path, err));
    PM_TRY(check_sizes(shape, path, err));
    if (shape->entries < shape->items)
        return pm_fail(err, PM_E_INPUT, "%s: %zu items have at least as many entries, not %zu",
                       path, shape->items, shape->entries);
    uint64_t total;
    enum part culprit = 0;
    if (!payload_bytes(&total, &culprit, shape))
        return pm_fail(err, PM_E_INPUT,
                       "%s: %s would be too large: one row may take 2 GiB, a file 4 EiB", path,
                       store_path(shape, culprit));
    return true;
}

uint64_t pm_store_bytes(const struct pm_store_shape *shape)
{
    /* headers and attributes; those of a capture list its steps */
    enum { METADATA_BYTES = 30000, CAPTURE_BYTES = 1500 };
    struct pm_store_shape normal = *shape;
    store_shape_normalise(&normal);
    uint64_t total;
    enum part culprit;
    if (!payload_bytes(&total, &culprit, &normal)) return UINT64_MAX;
    uint64_t own = METADATA_BYTES + shape->capture_count * (CAPTURE_BYTES + 8 * shape->steps);
    return total + own * (1 + shape->shards);
}

_Static_assert((int)PARTS <= (int)PM_STORE_MAX_DATASETS, "every dataset can be listed");

size_t pm_store_datasets(struct pm_store_dataset *datasets, const struct pm_store_shape *shape)
{
    size_t count = 0;
    struct pm_store_shape normal = *shape;
    store_shape_normalise(&normal);
    for (enum part part = 0; part < PARTS; part++) {
        struct pm_store_dataset *dataset = &datasets[count];
        if (!store_has(shape, part)) continue;
        *dataset = (struct pm_store_dataset){.path = store_path(shape, part)};
        if (!dataset_bytes(&dataset->bytes, &normal, part)) dataset->bytes = UINT64_MAX;
        count++;
    }
    return count;
}
