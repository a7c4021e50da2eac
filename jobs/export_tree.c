#include "export_tree.h"

#include "store_look.h"
#include "sweep_label.h"

#include "pm/base/grow.h"
#include "pm/base/hash.h"
#include "pm/base/path.h"
#include "pm/base/whole_file.h"
#include "pm/runtime/agree.h"
#include "pm/runtime/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char RECORD[] = "export.json"; /* what a folder is an export of */

static const char *text_or(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && text[0] ? text : otherwise;
}

bool export_edit_open(struct export_edit *e, const struct export *x, size_t item, size_t target,
                      struct pm_error *err)
{
    *e = (struct export_edit){.number = item, .target = target};
    PM_TRY(pm_store_read_item(&e->item, x->store, item, err));
    PM_TRY(pm_json_parse(&e->recipe, e->item.recipe, strlen(e->item.recipe), e->item.id, err));
    const json_t *meta = json_object_get(e->recipe, "meta");
    e->target_recipe = json_array_get(json_object_get(e->recipe, "targets"), target - 1);
    e->source_prompt = text_or(e->recipe, "source", "");
    e->prompt = text_or(e->target_recipe, "prompt", e->source_prompt);
    e->instruction = text_or(meta, "edit", text_or(meta, "editing_instruction", e->prompt));
    e->label = sweep_label(e->item.id, x->config);
    e->base = strndup(e->item.id, strlen(e->item.id) - strlen(e->label) - (e->label[0] != '\0'));
    if (!e->base) pm_die("no memory for an id");
    return export_judge(&e->fate, x, &e->item, target, err);
}

bool export_edit_read(struct export_edit *e, const struct export *x, struct pm_error *err)
{
    size_t width = x->shape->image_width, height = x->shape->image_height;
    pm_image_init(&e->original, width, height);
    pm_image_init(&e->source, width, height);
    pm_image_init(&e->edited, width, height);
    PM_TRY(pm_store_read_image(e->source.pixels, x->store, e->item.first_entry, err));
    PM_TRY(pm_store_read_image(e->edited.pixels, x->store, e->item.first_entry + e->target, err));
    return store_read_before(e->original.pixels, x->store, e->number, e->item.first_entry, err);
}

void export_edit_free(struct export_edit *e)
{
    pm_image_free(&e->original);
    pm_image_free(&e->source);
    pm_image_free(&e->edited);
    json_decref(e->recipe);
    free(e->base);
    pm_store_item_free(&e->item);
}

bool export_has_file(const struct export *x, const char *name)
{
    struct stat status;
    char path[PATH_MAX];
    struct pm_error unsaid;
    return pm_path_join(path, sizeof path, x->folder, name, &unsaid) && stat(path, &status) == 0;
}

/* The folders that a file is in, below the export's. */
static bool make_folders(const struct export *x, char *path, struct pm_error *err)
{
    for (char *slash = path + strlen(x->folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return pm_fail(err, PM_E_IO, "cannot make the folder %s: %s", path, strerror(errno));
        *slash = '/';
    }
    return true;
}

bool export_path(char path[PATH_MAX], const struct export *x, const char *name,
                 struct pm_error *err)
{
    return pm_path_join(path, PATH_MAX, x->folder, name, err) && make_folders(x, path, err);
}

bool export_write_picture(struct export *x, const struct pm_image *image, const char *name,
                          enum export_pictures pictures, struct pm_error *err)
{
    char path[PATH_MAX];
    PM_TRY(export_path(path, x, name, err));
    PM_TRY((pictures == EXPORT_JPEG_PICTURES ? pm_image_write_jpeg
                                             : pm_image_write_png)(image, path, err));
    x->written++;
    return true;
}

bool export_write_text(const struct export *x, const char *text, const char *name,
                       struct pm_error *err)
{
    char path[PATH_MAX];
    struct pm_whole_file whole;
    PM_TRY(export_path(path, x, name, err));
    bool ok = pm_whole_file_begin(&whole, path, err);
    if (ok) fputs(text, whole.file);
    return pm_whole_file_end(&whole, ok, err);
}

/* What the folder will hold. @return owned by the caller; NULL with err set */
static char *describe(const struct export *x, const char *format, const json_t *settings,
                      struct pm_error *err)
{
    char *uuid;
    if (!pm_store_read_attribute(&uuid, x->store, "run_uuid", err)) return NULL;
    json_t *json =
        json_pack("{s:s, s:s, s:i, s:b, s:[]}", "store", uuid, "format", format, "pictures",
                  (int)x->options->pictures, "plain", x->options->is_plain, "keep");
    for (size_t i = 0; json && i < x->options->condition_count; i++)
        json_array_append_new(json_object_get(json, "keep"),
                              json_string(x->options->conditions[i]));
    if (json && settings) json_object_set(json, "settings", (json_t *)settings);
    char *text = json ? json_dumps(json, JSON_SORT_KEYS) : NULL;
    if (!text) pm_die("no memory to describe an export");
    json_decref(json);
    free(uuid);
    return text;
}

/* Pictures of another export in the folder would be taken for this one's. */
static bool claim(const struct export *x, const char *format, const json_t *settings,
                  struct pm_error *err)
{
    char path[PATH_MAX], *wanted = describe(x, format, settings, err), *text = NULL;
    if (!wanted) return false;
    bool ok = pm_path_join(path, sizeof path, x->folder, RECORD, err);
    if (ok && export_has_file(x, RECORD)) {
        json_t *json = NULL;
        ok = pm_json_load(&json, path, 1 << 20, err);
        text = json_dumps(json, JSON_SORT_KEYS);
        json_decref(json);
        if (ok && (!text || strcmp(text, wanted) != 0))
            ok = pm_fail(err, PM_E_INPUT,
                         "%s is of another export (%s is not this one's); choose another --out or "
                         "remove the folder",
                         x->folder, path);
    } else if (ok) {
        ok = export_write_text(x, wanted, RECORD, err);
    }
    free(text);
    free(wanted);
    return ok;
}

bool export_claim_folder(const struct export *x, const char *format, const json_t *settings,
                         struct pm_error *err)
{
    return pm_agree(MPI_COMM_WORLD, x->rank > 0 || claim(x, format, settings, err), err);
}

static int by_place(const void *a, const void *b)
{
    const struct export_place *x = a, *y = b;
    if (x->key != y->key) return x->key > y->key ? 1 : -1;
    if (x->item != y->item) return x->item > y->item ? 1 : -1;
    return (x->target > y->target) - (x->target < y->target);
}

static void add_place(struct export_tree *tree, struct export_place place)
{
    tree->places = pm_grow(tree->places, tree->count, sizeof *tree->places);
    tree->places[tree->count++] = place;
}

static bool list_item(struct export_tree *tree, const struct export *x, size_t item,
                      export_place_of *place_of, struct pm_error *err)
{
    struct pm_store_item row;
    PM_TRY(pm_store_read_item(&row, x->store, item, err));
    size_t entries = row.entries;
    pm_store_item_free(&row);
    bool ok = true;
    for (size_t t = 1; ok && t < entries; t++) {
        struct export_edit e;
        char path[PATH_MAX];
        ok = export_edit_open(&e, x, item, t, err) && place_of(path, &e, err);
        if (ok)
            add_place(tree, (struct export_place){.key = pm_hash64(path, strlen(path), 0),
                                                  .item = item,
                                                  .target = t});
        export_edit_free(&e);
    }
    return ok;
}

/* Two edits of one place would be one file. */
static bool check_places(const struct export_tree *tree, const struct export *x,
                         export_place_of *place_of, struct pm_error *err)
{
    for (size_t i = 1; i < tree->count; i++) {
        struct export_edit a = {0}, b = {0};
        char path[PATH_MAX];
        const struct export_place *p = &tree->places[i];
        if (p[-1].key != p->key) continue;
        if (export_edit_open(&a, x, p[-1].item, p[-1].target, err) &&
            export_edit_open(&b, x, p->item, p->target, err) && place_of(path, &b, err))
            pm_fail(err, PM_E_INPUT, "\"%.80s\" and \"%.80s\" would both be %.120s", a.item.id,
                    b.item.id, path);
        export_edit_free(&a);
        export_edit_free(&b);
        return false;
    }
    return true;
}

static bool list_edits(struct export_tree *tree, const struct export *x, export_place_of *place_of,
                       bool shares, struct pm_error *err)
{
    bool all = x->options->id_count == 0;
    size_t count = all ? x->shape->items : x->options->id_count;
    for (size_t i = 0; i < count; i++) {
        size_t item = i;
        if (!all) PM_TRY(store_find_item(&item, x->store, x->options->ids[i], err));
        PM_TRY(list_item(tree, x, item, place_of, err));
    }
    if (tree->count == 0)
        return pm_fail(err, PM_E_INPUT, "%s has no edits of this kind: its lines have no targets",
                       x->options->store);
    qsort(tree->places, tree->count, sizeof *tree->places, by_place);
    return shares || check_places(tree, x, place_of, err);
}

bool export_tree_begin(struct export_tree *tree, const struct export *x, const char *format,
                       export_place_of *place_of, bool shares, struct pm_error *err)
{
    *tree = (struct export_tree){0};
    PM_TRY(export_claim_folder(x, format, NULL, err));
    bool ok = x->rank > 0 || list_edits(tree, x, place_of, shares, err);
    if (!pm_agree(MPI_COMM_WORLD, ok, err)) {
        free(tree->places);
        return false;
    }
    size_t bytes = tree->count * sizeof *tree->places;
    pm_world_broadcast_text((char **)&tree->places, &bytes, 0, MPI_COMM_WORLD);
    tree->count = bytes / sizeof *tree->places;
    return true;
}

void export_tree_report(const struct export *x)
{
    unsigned long long mine[] = {x->written, x->found, x->left_out, x->rejected}, all[4];
    MPI_Reduce(mine, all, 4, MPI_UNSIGNED_LONG_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    if (x->rank > 0) return;
    printf("%s/: %llu pictures written", x->folder, all[0]);
    if (all[1] > 0) printf(", %llu were there", all[1]);
    if (all[2] > 0) printf("; %llu edits left out: not done", all[2]);
    if (all[3] > 0) printf("; %llu edits not kept", all[3]);
    printf("\n");
}
