#include "store_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool store_open_pictures(struct pm_store **out, const char *path, struct pm_error *err)
{
    PM_TRY(pm_store_open_read(out, path, err));
    if (pm_store_shape_of(*out)->images) return true;
    pm_store_close(*out);
    *out = NULL;
    return pm_fail(err, PM_E_INPUT, "%s has no pictures: its config has \"images\": false", path);
}

char *store_path_with(const char *store, const char *ending)
{
    char *path;
    size_t length = strlen(store);
    if (length > 3 && strcmp(store + length - 3, ".h5") == 0) length -= 3;
    if (asprintf(&path, "%.*s%s", (int)length, store, ending) < 0) pm_die("no memory for a path");
    return path;
}

bool store_take_lock(struct pm_lock *lock, const char *store, struct pm_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s.lock", store) >= (int)sizeof path)
        return pm_fail(err, PM_E_INPUT, "the path %.100s... is too long", store);
    return pm_lock_take(lock, path, pm_lock_times_default(), err);
}

bool store_read_config(json_t **config, const struct pm_store *store, struct pm_error *err)
{
    char *text;
    PM_TRY(pm_store_read_attribute(&text, store, "config", err));
    bool ok = pm_json_parse(config, text, strlen(text), "the store's config", err);
    free(text);
    return ok;
}

bool store_find_item(size_t *item, const struct pm_store *store, const char *id,
                     struct pm_error *err)
{
    for (size_t i = 0; i < pm_store_shape_of(store)->items; i++) {
        struct pm_store_item row;
        PM_TRY(pm_store_read_item(&row, store, i, err));
        bool found = strcmp(row.id, id) == 0;
        pm_store_item_free(&row);
        *item = i;
        if (found) return true;
    }
    return pm_fail(err, PM_E_INPUT, "the store has no edit with the id \"%s\"", id);
}

bool store_has_original(const struct pm_store *store, const struct pm_store_row *source)
{
    return pm_store_shape_of(store)->originals && source->flags & PM_STORE_HAS_ORIGINAL;
}

bool store_read_before(uint8_t *pixels, const struct pm_store *store, size_t item,
                       size_t source_entry, struct pm_error *err)
{
    struct pm_store_row source;
    PM_TRY(pm_store_read_rows(&source, store, source_entry, 1, err));
    return store_has_original(store, &source)
               ? pm_store_read_original(pixels, store, item, err)
               : pm_store_read_image(pixels, store, source_entry, err);
}

void store_print_entry(const char *what, const struct pm_store *store, size_t entry,
                       const char *why)
{
    struct pm_store_prompt prompt = {0};
    struct pm_store_item item = {0};
    struct pm_error unreadable = {0};
    const char *colon = why[0] ? ": " : "";
    if (!pm_store_read_prompt(&prompt, store, entry, &unreadable) ||
        !pm_store_read_item(&item, store, prompt.item, &unreadable))
        printf("%s  entry %zu%s%s\n", what, entry, colon, why);
    else if (prompt.target == PM_STORE_SOURCE)
        printf("%s  %s, the source (entry %zu)%s%s\n", what, item.id, entry, colon, why);
    else
        printf("%s  %s, target %d (entry %zu)%s%s\n", what, item.id, prompt.target, entry, colon,
               why);
    pm_store_item_free(&item);
    pm_store_prompt_free(&prompt);
}
