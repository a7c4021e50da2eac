/* promptmill export STORE --as png: a strip for each edit, and sheets of all. */
#include "describe.h"
#include "store_options.h"
#include "verbs.h"

#include "pm/data/heat_map.h"
#include "pm/data/sheet.h"
#include "pm/data/strip.h"
#include "pm/runtime/exit_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char doc[] =
    "\nDraw the edits of a store, all or those with the ids given. For each edit a strip: "
    "the real picture if there was one, source, target, blend mask over the source, and where the "
    "target listens to each of its words; and "
    "contact sheets of all. Edits that are not done are left out and counted.";

enum { SHEET_EDITS = 60, SHEET_TILE_MAX = 256, NAME_BYTES = 160 };

/** Everything that one picture's drawing needs. */
struct exporting {
    const struct pm_store *store;
    const struct store_options *options;
    const struct pm_store_shape *shape;
    size_t maps; /* which capture words are drawn from; capture_count: none */
    const char *folder;
    struct pm_sheet sheet;
    size_t edits, drawn; /* to draw in all, drawn so far */
    size_t left_out;     /* not done */
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
static bool original_read(struct pm_image *original, const struct exporting *x, size_t item,
                          size_t source_entry, struct pm_error *err)
{
    struct pm_store_row row;
    if (!x->shape->originals) return true;
    PM_TRY(pm_store_read_rows(&row, x->store, source_entry, 1, err));
    if (!(row.flags & PM_STORE_HAS_ORIGINAL)) return true;
    pm_image_init(original, x->shape->image_width, x->shape->image_height);
    return pm_store_read_original(original->pixels, x->store, item, err);
}

static bool edit_read(struct edit *e, const struct exporting *x, size_t item, size_t source_entry,
                      size_t entry, struct pm_error *err)
{
    const struct pm_store_shape *s = x->shape;
    struct pm_store_row row;
    *e = (struct edit){0};
    PM_TRY(original_read(&e->original, x, item, source_entry, err));
    PM_TRY(pm_store_read_rows(&row, x->store, entry, 1, err));
    PM_TRY(pm_store_read_prompt(&e->source, x->store, source_entry, err));
    pm_image_init(&e->source_image, s->image_width, s->image_height);
    PM_TRY(pm_store_read_image(e->source_image.pixels, x->store, source_entry, err));
    if (entry != source_entry) {
        PM_TRY(pm_store_read_prompt(&e->target, x->store, entry, err));
        pm_image_init(&e->target_image, s->image_width, s->image_height);
        PM_TRY(pm_store_read_image(e->target_image.pixels, x->store, entry, err));
    }
    if (row.flags & PM_STORE_HAS_BLEND_MASK) {
        e->mask = malloc(s->latent_height * s->latent_width);
        if (!e->mask) pm_die("no memory for a mask");
        PM_TRY(pm_store_read_blend_mask(e->mask, x->store, entry, err));
    }
    if (x->maps == s->capture_count) return true;
    size_t floats = pm_store_attention_floats(x->store, x->maps);
    e->maps = malloc(floats * sizeof *e->maps);
    if (!e->maps) pm_die("no memory for %zu floats of maps", floats);
    return pm_store_read_attention(e->maps, x->store, x->maps, entry, err);
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
                         const struct exporting *x)
{
    const struct pm_store_prompt *prompt = e->target.memory ? &e->target : &e->source;
    const struct pm_store_capture *capture = &x->shape->captures[e->maps ? x->maps : 0];
    size_t pixels = capture->height * capture->width, count = 0;
    *words = calloc(prompt->words + 1, sizeof **words);
    *memory = malloc((prompt->words * pixels + 1) * sizeof **memory);
    size_t *columns = malloc((prompt->tokens + 1) * sizeof *columns);
    if (!*words || !*memory || !columns) pm_die("no memory for %zu words", prompt->words);
    for (size_t w = 0; e->maps && w < prompt->words; w++) {
        size_t n = word_columns(columns, prompt, w, capture);
        if (n == 0) continue;
        float *map = *memory + count * pixels;
        pm_heat_map_of_word(map, e->maps, pixels,
                            capture->is_of_words ? x->shape->words : x->shape->tokens, columns, n);
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

/* A file name that cannot leave the folder: the entry's number makes it unique. */
static void file_name(char name[NAME_BYTES], size_t entry, const char *id)
{
    int n = snprintf(name, NAME_BYTES, "%05zu-", entry);
    for (size_t i = 0; id[i] && n < NAME_BYTES - 16; i++) {
        bool plain = (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z') ||
                     (id[i] >= '0' && id[i] <= '9') || strchr("._-", id[i]);
        name[n++] = plain ? id[i] : '_';
    }
    snprintf(name + n, (size_t)(NAME_BYTES - n), ".png");
}

static bool write_image(const struct exporting *x, const struct pm_image *image, const char *name,
                        struct pm_error *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", x->folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return pm_fail(err, PM_E_INPUT, "the path %.100s... is too long", x->folder);
    return pm_image_write_png(image, path, err);
}

static bool begin_sheet(struct exporting *x, struct pm_error *err)
{
    char title[256];
    size_t first = x->drawn,
           count = x->edits - first < SHEET_EDITS ? x->edits - first : SHEET_EDITS;
    size_t width = x->shape->image_width, height = x->shape->image_height;
    size_t side = width > height ? width : height;
    if (side > SHEET_TILE_MAX) {
        width = width * SHEET_TILE_MAX / side;
        height = height * SHEET_TILE_MAX / side;
    }
    const char *slash = strrchr(x->options->store, '/');
    snprintf(title, sizeof title, "%.160s: edits %zu to %zu of %zu%s",
             slash ? slash + 1 : x->options->store, first + 1, first + count, x->edits,
             x->shape->originals ? ": original, reconstruction, edit, mask" : "");
    struct pm_sheet_options options = {.title = title,
                                       .count = count,
                                       .columns = x->options->columns,
                                       .tile_width = width,
                                       .tile_height = height,
                                       .originals = x->shape->originals,
                                       .masks = x->shape->blend_mask};
    return pm_sheet_init(&x->sheet, &options, err);
}

static bool finish_sheet(struct exporting *x, struct pm_error *err)
{
    char name[64] = "sheet.png";
    if (x->edits > SHEET_EDITS)
        snprintf(name, sizeof name, "sheet-%03zu.png", (x->drawn - 1) / SHEET_EDITS + 1);
    bool ok = write_image(x, &x->sheet.image, name, err);
    pm_sheet_free(&x->sheet);
    if (ok) printf("%s/%s\n", x->folder, name);
    return ok;
}

static bool draw_edit(struct exporting *x, const struct edit *e, size_t entry, const char *id,
                      const char *description, struct pm_error *err)
{
    struct pm_strip_word *words;
    float *memory;
    struct pm_image picture;
    char name[NAME_BYTES];
    bool has_target = e->target.memory != NULL;
    struct pm_strip strip = {.description = description,
                             .source_prompt = e->source.text,
                             .target_prompt = has_target ? e->target.text : NULL,
                             .original = e->original.pixels ? &e->original : NULL,
                             .source = &e->source_image,
                             .target = has_target ? &e->target_image : NULL,
                             .mask = e->mask,
                             .mask_height = x->shape->latent_height,
                             .mask_width = x->shape->latent_width};
    strip.word_count = list_words(&words, &memory, e, x);
    strip.words = words;
    bool ok = pm_strip_draw(&picture, &strip, x->options->scale, err);
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

/* Is there a picture to draw for target t (0: the source by itself)? */
static bool is_drawable(bool *drawable, const struct exporting *x, const struct pm_store_item *item,
                        size_t t, struct pm_error *err)
{
    struct pm_store_row source, row;
    PM_TRY(pm_store_read_rows(&source, x->store, item->first_entry, 1, err));
    PM_TRY(pm_store_read_rows(&row, x->store, item->first_entry + t, 1, err));
    *drawable = source.state == PM_STORE_DONE && row.state == PM_STORE_DONE;
    return true;
}

/* Targets of an item, or its source when it has none: 1 .. entries - 1, or 0. */
static size_t first_target(const struct pm_store_item *item)
{
    return item->entries > 1 ? 1 : 0;
}

static bool count_item(struct exporting *x, size_t number, const struct pm_store_item *item,
                       struct pm_error *err)
{
    (void)number;
    for (size_t t = first_target(item); t < item->entries; t++) {
        bool drawable;
        PM_TRY(is_drawable(&drawable, x, item, t, err));
        x->edits += drawable;
        x->left_out += !drawable;
    }
    return true;
}

static bool draw_item(struct exporting *x, size_t number, const struct pm_store_item *item,
                      struct pm_error *err)
{
    struct pm_recipe recipe = {0};
    struct pm_error unread = {0};
    bool is_read = describe_read_recipe(&recipe, item->recipe, item->id, &unread), ok = true;
    for (size_t t = first_target(item); ok && t < item->entries; t++) {
        bool drawable, describable = is_read && t > 0 && t - 1 < recipe.target_count &&
                                     recipe.targets[t - 1].error.code == PM_OK;
        char text[DESCRIBE_BYTES] = "source only";
        struct edit edit;
        ok = is_drawable(&drawable, x, item, t, err);
        if (!ok || !drawable) continue;
        if (describable) describe_target(text, &recipe.targets[t - 1]);
        ok = edit_read(&edit, x, number, item->first_entry, item->first_entry + t, err) &&
             draw_edit(x, &edit, item->first_entry + t, item->id, text, err);
        edit_free(&edit);
    }
    if (is_read) pm_recipe_free(&recipe);
    return ok;
}

static bool for_each_item(struct exporting *x,
                          bool (*visit)(struct exporting *x, size_t number,
                                        const struct pm_store_item *item, struct pm_error *err),
                          struct pm_error *err)
{
    bool all = x->options->id_count == 0, ok = true;
    size_t count = all ? x->shape->items : x->options->id_count;
    for (size_t i = 0; ok && i < count; i++) {
        struct pm_store_item item;
        size_t number = i;
        if (!all) PM_TRY(store_find_item(&number, x->store, x->options->ids[i], err));
        PM_TRY(pm_store_read_item(&item, x->store, number, err));
        ok = visit(x, number, &item, err);
        pm_store_item_free(&item);
    }
    return ok;
}

static bool export_png(const struct pm_store *store, const struct store_options *options,
                       struct pm_error *err)
{
    char folder[4096];
    if (!pm_store_shape_of(store)->images)
        return pm_fail(err, PM_E_INPUT, "%s has no pictures: its config has \"images\": false",
                       options->store);
    size_t length = strlen(options->store);
    if (length > 3 && strcmp(options->store + length - 3, ".h5") == 0) length -= 3;
    if (options->out)
        snprintf(folder, sizeof folder, "%s", options->out);
    else
        snprintf(folder, sizeof folder, "%.*s", (int)length, options->store);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return pm_fail(err, PM_E_IO, "cannot make the folder %s: %s", folder, strerror(errno));
    struct exporting x = {
        .store = store, .options = options, .shape = pm_store_shape_of(store), .folder = folder};
    x.maps = find_maps(x.shape);
    PM_TRY(for_each_item(&x, count_item, err));
    if (x.edits == 0)
        return pm_fail(err, PM_E_INPUT, "%s has no finished edits yet", options->store);
    bool ok = for_each_item(&x, draw_item, err);
    pm_sheet_free(&x.sheet);
    if (ok) printf("%zu strips in %s/", x.drawn, folder);
    if (ok && x.left_out) printf(", %zu edits left out: not done", x.left_out);
    if (ok) printf("\n");
    return ok;
}

int verb_export(int argc, char **argv)
{
    struct store_options options;
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    bool helped;
    if (!store_options_parse(&options, argc, argv, doc, STORE_IDS | STORE_EXPORT, &helped))
        return PM_EXIT_INPUT;
    if (helped) return PM_EXIT_DONE;
    bool ok = strcmp(options.format, "png") == 0 ||
              pm_fail(&err, PM_E_INPUT, "--as %s is not known; png is", options.format);
    ok = ok && pm_store_open_read(&store, options.store, &err) && export_png(store, &options, &err);
    pm_store_close(store);
    if (!ok) fprintf(stderr, "promptmill: %s\n", err.message);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
