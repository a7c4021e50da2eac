#include "store_internal.h"

#include "pm/data/image.h"

#include <stdlib.h>
#include <string.h>

const struct pm_store_shape *pm_store_shape_of(const struct pm_store *store)
{
    return &store->shape;
}

bool pm_store_read_rows(struct pm_store_row *rows, const struct pm_store *store, size_t first,
                        size_t count, struct pm_error *err)
{
    PM_TRY(store_read(rows, store, ENTRY, first, count, err));
    for (size_t i = 0; i < count; i++) {
        rows[i].message[PM_ERROR_BYTES - 1] = '\0';
        if (rows[i].state > PM_STORE_FAILED)
            return pm_fail(err, PM_E_FORMAT, "%s: /entry: entry %zu has the unknown state %d",
                           store->path, first + i, rows[i].state);
    }
    return true;
}

bool pm_store_read_provenance(struct pm_store_provenance *rows, const struct pm_store *store,
                              size_t first, size_t count, struct pm_error *err)
{
    PM_TRY(store_read(rows, store, PROVENANCE, first, count, err));
    for (size_t i = 0; i < count; i++) rows[i].host[sizeof rows[i].host - 1] = '\0';
    return true;
}

/* Row number @p row as separate strings with a NUL each; @p room: count * (bytes + 1). */
PM_MUST_CHECK static bool read_texts(char *room, const struct pm_store *store, enum part part,
                                     size_t row, size_t count, struct pm_error *err)
{
    size_t bytes = store_size(&store->shape, store_parts[part].text_bytes);
    PM_TRY(store_read(room, store, part, row, 1, err));
    for (size_t i = count; i-- > 0;) { /* from the last on, each moves to the right */
        memmove(room + i * (bytes + 1), room + i * bytes, bytes);
        room[i * (bytes + 1) + bytes] = '\0';
    }
    return true;
}

static void *allocate(const struct pm_store *store, size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) pm_die("no memory for %zu bytes of %s", bytes, store->path);
    return memory;
}

/* The item's entries: up to the next item's first, or to the last of all. */
PM_MUST_CHECK static bool read_entries(struct pm_store_item *row, const struct pm_store *store,
                                       size_t item, struct pm_error *err)
{
    uint64_t first[2] = {0, store->shape.entries};
    bool last = item + 1 == store->shape.items;
    PM_TRY(store_read(first, store, ITEM_FIRST_ENTRY, item, last ? 1 : 2, err));
    if (first[0] >= first[1] || first[1] > store->shape.entries)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: /item/first_entry: item %zu has entries %llu to %llu of %zu",
                       store->path, item, (unsigned long long)first[0],
                       (unsigned long long)first[1], store->shape.entries);
    row->first_entry = first[0];
    row->entries = first[1] - first[0];
    return true;
}

bool pm_store_read_item(struct pm_store_item *row, const struct pm_store *store, size_t item,
                        struct pm_error *err)
{
    PM_ASSERT(item < store->shape.items);
    const struct pm_store_shape *shape = &store->shape;
    struct pm_store_item read = {0};
    uint64_t line;
    PM_TRY(read_entries(&read, store, item, err));
    PM_TRY(store_read(&line, store, ITEM_LINE, item, 1, err));
    PM_TRY(store_read(&read.seed, store, ITEM_SEED, item, 1, err));
    char *id = allocate(store, shape->id_bytes + 1 + shape->recipe_bytes + 1);
    char *recipe = id + shape->id_bytes + 1;
    if (!read_texts(id, store, ITEM_ID, item, 1, err) ||
        !read_texts(recipe, store, ITEM_RECIPE, item, 1, err)) {
        free(id);
        return false;
    }
    read.line = line;
    read.id = id;
    read.recipe = recipe;
    read.memory = id;
    *row = read;
    return true;
}

void pm_store_item_free(struct pm_store_item *row)
{
    free(row->memory);
    *row = (struct pm_store_item){0};
}

/* A prompt's memory: the two lists of pointers, the two of numbers, the texts. */
struct prompt_room {
    const char **token, **word;
    int32_t *token_id, *token_word;
    char *text, *token_text, *word_text;
};

static void *allocate_prompt(struct prompt_room *room, const struct pm_store *store)
{
    const struct pm_store_shape *s = &store->shape;
    size_t token_texts = s->tokens * (s->token_bytes + 1),
           word_texts = s->words * (s->word_bytes + 1);
    size_t pointers = (s->tokens + s->words) * sizeof(char *);
    char *memory = allocate(store, pointers + 2 * s->tokens * sizeof(int32_t) + s->prompt_bytes +
                                       1 + token_texts + word_texts);
    room->token = (const char **)memory;
    room->word = room->token + s->tokens;
    room->token_id = (int32_t *)(memory + pointers);
    room->token_word = room->token_id + s->tokens;
    room->text = (char *)(room->token_word + s->tokens);
    room->token_text = room->text + s->prompt_bytes + 1;
    room->word_text = room->token_text + token_texts;
    for (size_t i = 0; i < s->tokens; i++)
        room->token[i] = room->token_text + i * (s->token_bytes + 1);
    for (size_t i = 0; i < s->words; i++) room->word[i] = room->word_text + i * (s->word_bytes + 1);
    return memory;
}

PM_MUST_CHECK static bool check_prompt(const struct pm_store_prompt *prompt,
                                       const struct pm_store *store, size_t entry,
                                       struct pm_error *err)
{
    const char *what = NULL;
    if (prompt->item >= store->shape.items) what = "item";
    if (prompt->target < PM_STORE_SOURCE) what = "target";
    if (prompt->tokens > store->shape.tokens) what = "token_count";
    if (prompt->words > store->shape.words) what = "word_count";
    for (size_t i = 0; !what && i < prompt->tokens; i++)
        if (prompt->token_word[i] < -1 || prompt->token_word[i] >= (int64_t)prompt->words)
            what = "token_word";
    if (!what) return true;
    return pm_fail(err, PM_E_FORMAT, "%s: /prompt/%s: entry %zu has a number out of range",
                   store->path, what, entry);
}

bool pm_store_read_prompt(struct pm_store_prompt *prompt, const struct pm_store *store,
                          size_t entry, struct pm_error *err)
{
    PM_ASSERT(entry < store->shape.entries);
    struct prompt_room room;
    uint64_t item;
    int32_t target;
    uint32_t tokens, words;
    void *memory = allocate_prompt(&room, store);
    bool ok = store_read(&item, store, PROMPT_ITEM, entry, 1, err) &&
              store_read(&target, store, PROMPT_TARGET, entry, 1, err) &&
              store_read(&tokens, store, PROMPT_TOKEN_COUNT, entry, 1, err) &&
              store_read(&words, store, PROMPT_WORD_COUNT, entry, 1, err) &&
              store_read(room.token_id, store, PROMPT_TOKEN_ID, entry, 1, err) &&
              store_read(room.token_word, store, PROMPT_TOKEN_WORD, entry, 1, err) &&
              read_texts(room.text, store, PROMPT_TEXT, entry, 1, err) &&
              read_texts(room.token_text, store, PROMPT_TOKEN, entry, store->shape.tokens, err) &&
              read_texts(room.word_text, store, PROMPT_WORD, entry, store->shape.words, err);
    if (ok) {
        *prompt = (struct pm_store_prompt){.text = room.text,
                                           .item = item,
                                           .target = target,
                                           .tokens = tokens,
                                           .words = words,
                                           .token_id = room.token_id,
                                           .token = room.token,
                                           .token_word = room.token_word,
                                           .word = room.word,
                                           .memory = memory};
        ok = check_prompt(prompt, store, entry, err);
    }
    if (ok) return true;
    free(memory);
    *prompt = (struct pm_store_prompt){0};
    return false;
}

void pm_store_prompt_free(struct pm_store_prompt *prompt)
{
    free(prompt->memory);
    *prompt = (struct pm_store_prompt){0};
}

bool pm_store_read_image(uint8_t *image, const struct pm_store *store, size_t entry,
                         struct pm_error *err)
{
    return store_read(image, store, IMAGE, entry, 1, err);
}

bool pm_store_read_x_T(float *latent, const struct pm_store *store, size_t item,
                       struct pm_error *err)
{
    return store_read(latent, store, X_T, item, 1, err);
}

bool pm_store_read_final_latent(float *latent, const struct pm_store *store, size_t entry,
                                struct pm_error *err)
{
    return store_read(latent, store, FINAL_LATENT, entry, 1, err);
}

bool pm_store_read_trajectory(float *latents, const struct pm_store *store, size_t entry,
                              struct pm_error *err)
{
    return store_read(latents, store, TRAJECTORY, entry, 1, err);
}

size_t pm_store_attention_floats(const struct pm_store *store, size_t capture)
{
    PM_ASSERT(capture < store->shape.capture_count);
    struct axis axes[STORE_MAX_RANK];
    size_t rank = store_axes(axes, &store->shape, ATTENTION + (enum part)capture), floats = 1;
    for (size_t k = 1; k < rank; k++) floats *= axes[k].length;
    return floats;
}

bool pm_store_read_attention(float *maps, const struct pm_store *store, size_t capture,
                             size_t entry, struct pm_error *err)
{
    PM_ASSERT(capture < store->shape.capture_count);
    enum part part = ATTENTION + (enum part)capture;
    size_t bytes;
    if (store->shape.captures[capture].number == PM_STORE_F32)
        return store_read(maps, store, part, entry, 1, err);
    PM_ASSERT(store_row_bytes(&bytes, &store->shape, part));
    void *packed = allocate(store, bytes);
    bool ok = store_read(packed, store, part, entry, 1, err);
    if (ok)
        store_capture_unpack(maps, packed, pm_store_attention_floats(store, capture),
                             store->shape.captures[capture].number);
    free(packed);
    return ok;
}

bool pm_store_read_blend_mask(uint8_t *mask, const struct pm_store *store, size_t entry,
                              struct pm_error *err)
{
    return store_read(mask, store, BLEND_MASK, entry, 1, err);
}

bool pm_store_read_original(uint8_t *image, const struct pm_store *store, size_t item,
                            struct pm_error *err)
{
    return store_read(image, store, ORIGINAL, item, 1, err);
}

bool pm_store_read_reconstruction_psnr(double *psnr, const struct pm_store *store, size_t item,
                                       struct pm_error *err)
{
    return store_read(psnr, store, RECONSTRUCTION_PSNR, item, 1, err);
}

bool pm_store_read_inversion_keys(struct pm_store_inversion_key *keys, const struct pm_store *store,
                                  size_t first, size_t count, struct pm_error *err)
{
    return store_read(keys, store, INVERSION_KEY, first, count, err);
}

bool pm_store_read_inversion(float *latents, const struct pm_store *store, size_t item,
                             struct pm_error *err)
{
    return store_read(latents, store, INVERSION_LATENT, item, 1, err);
}

bool pm_store_read_embeddings(float *embeddings, const struct pm_store *store, size_t item,
                              struct pm_error *err)
{
    return store_read(embeddings, store, INVERSION_EMBEDDING, item, 1, err);
}

/* The text of an opened attribute; NULL when it is none. */
static char *attribute_text(hid_t attribute, hid_t type)
{
    enum { MAX_BYTES = 1 << 24 };
    if (H5Tget_class(type) != H5T_STRING) return NULL;
    if (H5Tis_variable_str(type) > 0) {
        char *read = NULL;
        if (H5Aread(attribute, type, &read) < 0) return NULL;
        char *text = strdup(read ? read : "");
        H5free_memory(read);
        return text;
    }
    size_t bytes = H5Tget_size(type);
    char *text = bytes <= MAX_BYTES ? calloc(bytes + 1, 1) : NULL;
    if (text && H5Aread(attribute, type, text) >= 0) return text;
    free(text);
    return NULL;
}

/* A text among an object's attributes. @return owned by the caller; NULL when there is no such */
static char *object_text(hid_t object, const char *name)
{
    char *text = NULL;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return NULL;
    hid_t space = H5Aget_space(attribute), type = H5Aget_type(attribute);
    if (space >= 0 && type >= 0 && H5Sget_simple_extent_npoints(space) == 1)
        text = attribute_text(attribute, type);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(attribute);
    return text;
}

bool pm_store_read_attribute(char **text, const struct pm_store *store, const char *name,
                             struct pm_error *err)
{
    *text = object_text(store->file, name);
    return *text || store_fail(err, PM_E_FORMAT, store->path, name,
                               "the store has no such text among its attributes");
}

/* The numbers of an attribute, the first @p most of them. @return how many it has; 0: none */
static size_t object_numbers(size_t *numbers, size_t most, hid_t object, const char *name)
{
    enum { MAX_COUNT = 1 << 16 };
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return 0;
    hid_t space = H5Aget_space(attribute);
    hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : 0;
    if (space >= 0) H5Sclose(space);
    int64_t *values = NULL;
    if (count > 0 && count <= MAX_COUNT) values = calloc((size_t)count, sizeof *values);
    bool ok = values && H5Aread(attribute, H5T_NATIVE_INT64, values) >= 0;
    for (size_t i = 0; ok && i < most && i < (size_t)count; i++) {
        ok = values[i] >= 0 && values[i] <= MAX_COUNT;
        numbers[i] = ok ? (size_t)values[i] : 0;
    }
    free(values);
    H5Aclose(attribute);
    return ok ? (size_t)count : 0;
}

bool pm_store_read_capture_counts(struct pm_store_capture_counts *out, const struct pm_store *store,
                                  size_t capture, struct pm_error *err)
{
    const struct pm_store_shape *s = &store->shape;
    const struct pm_store_capture *c = &s->captures[capture];
    hid_t dataset = store->dataset[ATTENTION + (enum part)capture];
    size_t latent[2] = {s->latent_height, s->latent_width};
    char *when = object_text(dataset, "when"), *blocks = object_text(dataset, "blocks");
    *out = (struct pm_store_capture_counts){.is_before = when && strcmp(when, "before") == 0,
                                            .is_mid = blocks && strcmp(blocks, "mid") == 0};
    free(blocks);
    out->steps = object_numbers(NULL, 0, dataset, "steps");
    out->layers = object_numbers(NULL, 0, dataset, "layers");
    bool ok = when && object_numbers(&out->heads, 1, dataset, "heads") == 1;
    free(when);
    /* an axis is as long as what its attribute lists */
    ok = ok && out->steps > 0 && out->layers > 0 && out->heads > 0 &&
         (c->steps == 0 || c->steps == out->steps) &&
         (c->layers == 0 || c->layers == out->layers) && (c->heads == 0 || c->heads == out->heads);
    if (!ok)
        return store_fail(err, PM_E_FORMAT, store->path, c->path,
                          "its attributes do not say which steps, layers and heads it is of");
    /* stores of before there was this attribute say it only where they keep latents */
    (void)object_numbers(latent, 2, dataset, "latent_size");
    out->latent_height = latent[0];
    out->latent_width = latent[1];
    return (latent[0] > 0 && latent[1] > 0 && latent[0] <= PM_IMAGE_MAX_SIDE &&
            latent[1] <= PM_IMAGE_MAX_SIDE) ||
           store_fail(err, PM_E_FORMAT, store->path, c->path, "nothing says the latent's size");
}
