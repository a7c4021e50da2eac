/* A store, of which any bytes of the datasets are others: four of input are one change. HDF5's own
 * metadata stays as it is, since HDF5 1.10 can crash on damage there. */
#include "fuzz.h"

#include "pm/data/store.h"
#include "pm/edit/recipe.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXAMPLE "tests/golden/data/store/example.h5"
enum { LOOKED_AT = 3 }; /* items and entries of an input: HDF5 takes its time for each */
enum { MOST_DATASETS = 64, MOST_ENTRIES = 64, MOST_BYTES = 1 << 20 };

static uint8_t sound[MOST_BYTES], broken[MOST_BYTES];
static size_t bytes_in_all;
static struct {
    size_t at, bytes;
} datasets[MOST_DATASETS];
static size_t dataset_count;

static herr_t note(hid_t file, const char *name, const H5O_info_t *info, void *unused)
{
    (void)unused;
    if (info->type != H5O_TYPE_DATASET || dataset_count == MOST_DATASETS) return 0;
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    haddr_t at = H5Dget_offset(dataset);
    size_t bytes = (size_t)H5Dget_storage_size(dataset);
    if (at != HADDR_UNDEF && bytes > 0) {
        datasets[dataset_count].at = (size_t)at;
        datasets[dataset_count++].bytes = bytes;
    }
    H5Dclose(dataset);
    return 0;
}

static void load(void)
{
    if (bytes_in_all) return;
    FILE *file = fopen(EXAMPLE, "rb");
    if (!file) pm_die("cannot open " EXAMPLE);
    bytes_in_all = fread(sound, 1, MOST_BYTES, file);
    fclose(file);
    hid_t example = H5Fopen(EXAMPLE, H5F_ACC_RDONLY, H5P_DEFAULT);
    H5Ovisit(example, H5_INDEX_NAME, H5_ITER_NATIVE, note, NULL);
    H5Fclose(example);
    if (dataset_count == 0) pm_die(EXAMPLE " has no datasets");
}

/* As measure and show do. */
static void read_recipe(const char *text)
{
    struct pm_recipe recipe;
    struct pm_error err;
    json_t *json;
    if (!pm_json_parse(&json, text, strlen(text), "recipe", &err)) return;
    if (pm_recipe_read(&recipe, json, "recipe", &err)) pm_recipe_free(&recipe);
}

static void read_items(const struct pm_store *store, size_t first)
{
    struct pm_error err;
    for (size_t i = 0; i < LOOKED_AT; i++) {
        struct pm_store_item item;
        size_t at = (first + i) % pm_store_shape_of(store)->items;
        if (!pm_store_read_item(&item, store, at, &err)) continue;
        read_recipe(item.recipe);
        pm_store_item_free(&item);
    }
}

static void read_entries(const struct pm_store *store, size_t first)
{
    static struct pm_store_row rows[MOST_ENTRIES];
    static struct pm_store_provenance provenance[MOST_ENTRIES];
    struct pm_error err;
    size_t entries = pm_store_shape_of(store)->entries;
    if (entries > MOST_ENTRIES) pm_die(EXAMPLE " has %zu entries", entries);
    /* all at once: HDF5 takes a mebibyte for each call that reads rows */
    (void)!pm_store_read_rows(rows, store, 0, entries, &err);
    (void)!pm_store_read_provenance(provenance, store, 0, entries, &err);
    for (size_t i = 0; i < LOOKED_AT; i++) {
        struct pm_store_prompt prompt;
        size_t e = (first + i) % entries;
        bool good;
        if (pm_store_read_prompt(&prompt, store, e, &err)) pm_store_prompt_free(&prompt);
        (void)!pm_store_verify_entry(&good, store, e, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_store *store;
    struct pm_error err;
    char path[128];
    load();
    memcpy(broken, sound, bytes_in_all);
    for (size_t i = 0; i + 4 <= count; i += 4) {
        size_t dataset = bytes[i] % dataset_count;
        size_t offset = ((size_t)bytes[i + 1] << 8 | bytes[i + 2]) % datasets[dataset].bytes;
        broken[datasets[dataset].at + offset] = bytes[i + 3];
    }
    fuzz_write("store.h5", broken, bytes_in_all);
    snprintf(path, sizeof path, "%s/store.h5", fuzz_folder());
    if (!pm_store_open_read(&store, path, &err)) return 0;
    read_items(store, count);
    read_entries(store, count);
    pm_store_close(store);
    return 0;
}
