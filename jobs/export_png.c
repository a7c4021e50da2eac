/* promptmill export --as png: a strip for each edit, and sheets of all. */
#include "describe.h"
#include "export.h"
#include "store_look.h"

#include "pm/base/path.h"
#include "pm/data/heat_map.h"
#include "pm/data/safe_name.h"
#include "pm/data/sheet.h"
#include "pm/data/strip.h"
#include "pm/runtime/agree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHEET_EDITS = 60, SHEET_TILE_MAX = 256, NAME_BYTES = 160, USUAL_SCALE = 2 };

/** Everything that one picture's drawing needs. */
struct drawing {
    const struct export *export;
    size_t maps; /* which capture words are drawn from; capture_count: none */
    struct pm_sheet sheet;
    size_t edits, drawn; /* to draw in all, drawn so far */
    size_t left_out, rejected;
};

/** An edit as read from the store. */
struct edit {
    struct pm_store_prompt source, target;                /* target.text NULL: a source by itself */
    struct pm_image original, source_image, target_image; /* without pixels: there is none */
    uint8_t *mask;
    float *maps; /* of the picture whose words are shown */
};

static void edit_free(struct edit *e)
{
    if (e->source.memory) pm_store_prompt_free(&e->source);
    if (e->target.memory) pm_store_prompt_free(&e->target);
    pm_image_free(&e->original);
    pm_image_free(&e->source_image);
    pm_image_free(&e->target_image);
    free(e->mask);
    free(e->maps);
}

/* The real picture, if the edit is of one. */
static bool original_read(struct pm_image *original, const struct export *x, size_t item,
                          size_t source_entry, struct pm_error *err)
{
    struct pm_store_row row;
    PM_TRY(pm_store_read_rows(&row, x->store, source_entry, 1, err));
    if (!store_has_original(x->store, &row)) return true;
    pm_image_init(original, x->shape->image_width, x->shape->image_height);
    return pm_store_read_original(original->pixels, x->store, item, err);
}

static bool edit_read(struct edit *e, const struct drawing *x, size_t item, size_t source_entry,
                      size_t entry, struct pm_error *err)
{
    const struct pm_store_shape *s = x->export->shape;
    struct pm_store_row row;
    *e = (struct edit){0};
    PM_TRY(original_read(&e->original, x->export, item, source_entry, err));
    PM_TRY(pm_store_read_rows(&row, x->export->store, entry, 1, err));
    PM_TRY(pm_store_read_prompt(&e->source, x->export->store, source_entry, err));
    pm_image_init(&e->source_image, s->image_width, s->image_height);
    PM_TRY(pm_store_read_image(e->source_image.pixels, x->export->store, source_entry, err));
    if (entry != source_entry) {
        PM_TRY(pm_store_read_prompt(&e->target, x->export->store, entry, err));
        pm_image_init(&e->target_image, s->image_width, s->image_height);
        PM_TRY(pm_store_read_image(e->target_image.pixels, x->export->store, entry, err));
    }
    if (row.flags & PM_STORE_HAS_BLEND_MASK) {
        e->mask = malloc(s->latent_height * s->latent_width);
        if (!e->mask) pm_die("no memory for a mask");
        PM_TRY(pm_store_read_blend_mask(e->mask, x->export->store, entry, err));
    }
    if (x->maps == s->capture_count) return true;
    size_t floats = pm_store_attention_floats(x->export->store, x->maps);
    e->maps = malloc(floats * sizeof *e->maps);
    if (!e->maps) pm_die("no memory for %zu floats of maps", floats);
    return pm_store_read_attention(e->maps, x->export->store, x->maps, entry, err);
}

/* @return the first capture that is one map a word: cross-attention, averaged over all else */
static size_t find_maps(const struct pm_store_shape *shape)
{
    size_t i = 0;
    for (; i < shape->capture_count; i++) {
        const struct pm_store_capture *c = &shape->captures[i];
        if (!c->is_self && c->steps <= 1 && c->layers <= 1 && c->heads <= 1) break;
    }
    return i;
}

/* The columns of the maps that are a word's. @return how many */
static size_t word_columns(size_t *columns, const struct pm_store_prompt *prompt, size_t word,
                           const struct pm_store_capture *capture)
{
    size_t n = 0;
    if (capture->is_of_words) {
        columns[0] = word;
        return 1;
    }
    for (size_t t = 0; t < prompt->tokens; t++)
        if (prompt->token_word[t] == (int32_t)word) columns[n++] = t;
    return n;
}

/* The words of the prompt with their maps; *memory is to be freed after the words are drawn. */
static size_t list_words(struct pm_strip_word **words, float **memory, const struct edit *e,
                         const struct drawing *x)
{
    const struct pm_store_prompt *prompt = e->target.memory ? &e->target : &e->source;
    const struct pm_store_capture *capture = &x->export->shape->captures[e->maps ? x->maps : 0];
    size_t pixels = capture->height * capture->width, count = 0;
    *words = calloc(prompt->words + 1, sizeof **words);
    *memory = malloc((prompt->words * pixels + 1) * sizeof **memory);
    size_t *columns = malloc((prompt->tokens + 1) * sizeof *columns);
    if (!*words || !*memory || !columns) pm_die("no memory for %zu words", prompt->words);
    for (size_t w = 0; e->maps && w < prompt->words; w++) {
        size_t n = word_columns(columns, prompt, w, capture);
        if (n == 0) continue;
        float *map = *memory + count * pixels;
        pm_heat_map_of_word(
            map, e->maps, pixels,
            capture->is_of_words ? x->export->shape->words : x->export->shape->tokens, columns, n);
        (*words)[count++] = (struct pm_strip_word){.text = prompt->word[w],
                                                   .picture = e->target.memory ? &e->target_image
                                                                               : &e->source_image,
                                                   .map = map,
                                                   .map_height = capture->height,
                                                   .map_width = capture->width};
    }
    free(columns);
    return count;
}

/* The entry's number tells targets of one id apart, and keeps the manifest's order. */
static void file_name(char name[NAME_BYTES], size_t entry, const char *id)
{
    char safe[PM_SAFE_NAME_BYTES];
    pm_safe_name(safe, id);
    snprintf(name, NAME_BYTES, "%05zu-%s.png", entry, safe);
}

static bool write_image(const struct drawing *x, const struct pm_image *image, const char *name,
                        struct pm_error *err)
{
    char path[PATH_MAX];
    return pm_path_join(path, sizeof path, x->export->folder, name, err) &&
           pm_image_write_png(image, path, err);
}

static bool begin_sheet(struct drawing *x, struct pm_error *err)
{
    char title[256];
    size_t first = x->drawn,
           count = x->edits - first < SHEET_EDITS ? x->edits - first : SHEET_EDITS;
    size_t width = x->export->shape->image_width, height = x->export->shape->image_height;
    size_t side = width > height ? width : height;
    if (side > SHEET_TILE_MAX) {
        width = width * SHEET_TILE_MAX / side;
        height = height * SHEET_TILE_MAX / side;
    }
    snprintf(title, sizeof title, "%.160s: edits %zu to %zu of %zu%s",
             pm_path_name(x->export->options->store), first + 1, first + count, x->edits,
             x->export->shape->originals ? ": original, reconstruction, edit, mask" : "");
    struct pm_sheet_options options = {.title = title,
                                       .count = count,
                                       .columns = x->export->options->columns,
                                       .tile_width = width,
                                       .tile_height = height,
                                       .originals = x->export->shape->originals,
                                       .masks = x->export->shape->blend_mask};
    return pm_sheet_init(&x->sheet, &options, err);
}

static bool finish_sheet(struct drawing *x, struct pm_error *err)
{
    char name[64] = "sheet.png";
    if (x->edits > SHEET_EDITS)
        snprintf(name, sizeof name, "sheet-%03zu.png", (x->drawn - 1) / SHEET_EDITS + 1);
    bool ok = write_image(x, &x->sheet.image, name, err);
    pm_sheet_free(&x->sheet);
    if (ok) printf("%s/%s\n", x->export->folder, name);
    return ok;
}

static bool draw_edit(struct drawing *x, const struct edit *e, size_t entry, const char *id,
                      const char *description, struct pm_error *err)
{
    struct pm_strip_word *words;
    float *memory;
    struct pm_image picture;
    char name[NAME_BYTES];
    size_t scale = x->export->options->scale ? x->export->options->scale : USUAL_SCALE;
    bool has_target = e->target.memory != NULL;
    struct pm_strip strip = {.description = description,
                             .source_prompt = e->source.text,
                             .target_prompt = has_target ? e->target.text : NULL,
                             .original = e->original.pixels ? &e->original : NULL,
                             .source = &e->source_image,
                             .target = has_target ? &e->target_image : NULL,
                             .mask = e->mask,
                             .mask_height = x->export->shape->latent_height,
                             .mask_width = x->export->shape->latent_width};
    strip.word_count = list_words(&words, &memory, e, x);
    strip.words = words;
    bool ok = pm_strip_draw(&picture, &strip, scale, err);
    if (ok) {
        file_name(name, entry, id);
        ok = write_image(x, &picture, name, err);
        pm_image_free(&picture);
    }
    free(words);
    free(memory);
    PM_TRY(ok);
    if (x->drawn % SHEET_EDITS == 0) PM_TRY(begin_sheet(x, err));
    pm_sheet_add(&x->sheet, id, &strip);
    x->drawn++;
    return x->drawn % SHEET_EDITS != 0 && x->drawn != x->edits ? true : finish_sheet(x, err);
}

/* Targets of an item, or its source when it has none: 1 .. entries - 1, or 0. */
static size_t first_target(const struct pm_store_item *item)
{
    return item->entries > 1 ? 1 : 0;
}

static bool count_item(struct drawing *x, size_t number, const struct pm_store_item *item,
                       struct pm_error *err)
{
    (void)number;
    for (size_t t = first_target(item); t < item->entries; t++) {
        enum export_fate fate;
        PM_TRY(export_judge(&fate, x->export, item, t, err));
        x->edits += fate == EXPORT_KEPT;
        x->left_out += fate == EXPORT_NOT_DONE;
        x->rejected += fate == EXPORT_REJECTED;
    }
    return true;
}

static bool draw_item(struct drawing *x, size_t number, const struct pm_store_item *item,
                      struct pm_error *err)
{
    struct pm_recipe recipe = {0};
    struct pm_error unread = {0};
    bool is_read = describe_read_recipe(&recipe, item->recipe, item->id, &unread), ok = true;
    for (size_t t = first_target(item); ok && t < item->entries; t++) {
        enum export_fate fate;
        bool describable = is_read && t > 0 && t - 1 < recipe.target_count &&
                           recipe.targets[t - 1].error.code == PM_OK;
        char text[DESCRIBE_BYTES] = "source only";
        struct edit edit;
        ok = export_judge(&fate, x->export, item, t, err);
        if (!ok || fate != EXPORT_KEPT) continue;
        if (describable) describe_target(text, &recipe.targets[t - 1]);
        ok = edit_read(&edit, x, number, item->first_entry, item->first_entry + t, err) &&
             draw_edit(x, &edit, item->first_entry + t, item->id, text, err);
        edit_free(&edit);
    }
    if (is_read) pm_recipe_free(&recipe);
    return ok;
}

static bool for_each_item(struct drawing *x,
                          bool (*visit)(struct drawing *x, size_t number,
                                        const struct pm_store_item *item, struct pm_error *err),
                          struct pm_error *err)
{
    bool all = x->export->options->id_count == 0, ok = true;
    size_t count = all ? x->export->shape->items : x->export->options->id_count;
    for (size_t i = 0; ok && i < count; i++) {
        struct pm_store_item item;
        size_t number = i;
        if (!all)
            PM_TRY(store_find_item(&number, x->export->store, x->export->options->ids[i], err));
        PM_TRY(pm_store_read_item(&item, x->export->store, number, err));
        ok = visit(x, number, &item, err);
        pm_store_item_free(&item);
    }
    return ok;
}

static bool draw_all(const struct export *export, struct pm_error *err)
{
    struct drawing x = {.export = export, .maps = find_maps(export->shape)};
    PM_TRY(for_each_item(&x, count_item, err));
    if (x.edits == 0)
        return pm_fail(err, PM_E_INPUT, "%s has no finished edits%s", export->options->store,
                       x.rejected ? " that are kept" : " yet");
    bool ok = for_each_item(&x, draw_item, err);
    pm_sheet_free(&x.sheet);
    if (ok) printf("%zu strips in %s/", x.drawn, export->folder);
    if (ok && x.left_out) printf(", %zu edits left out: not done", x.left_out);
    if (ok && x.rejected) printf(", %zu edits not kept", x.rejected);
    if (ok) printf("\n");
    return ok;
}

bool export_png(struct export *export, struct pm_error *err)
{
    /* sheets are drawn one edit after the other */
    return pm_agree(MPI_COMM_WORLD, export->rank > 0 || draw_all(export, err), err);
}
