/* A store, of which any bytes of the datasets are others: four of input are one change. HDF5's own
 * metadata stays as it is, since HDF5 1.10 can crash on damage there. */
#include "fuzz.h"

#include "pm/data/store.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXAMPLE "tests/golden/data/store/example.h5"
enum { MOST_DATASETS = 64, MOST_BYTES = 1 << 20 };

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

static void read_items(const struct pm_store *store)
{
    struct pm_error err;
    for (size_t i = 0; i < pm_store_shape_of(store)->items; i++) {
        struct pm_store_item item;
        if (pm_store_read_item(&item, store, i, &err)) pm_store_item_free(&item);
    }
}

static void read_entries(const struct pm_store *store)
{
    struct pm_error err;
    for (size_t e = 0; e < pm_store_shape_of(store)->entries; e++) {
        struct pm_store_prompt prompt;
        struct pm_store_row row;
        struct pm_store_provenance provenance;
        bool good;
        (void)!pm_store_read_rows(&row, store, e, 1, &err);
        (void)!pm_store_read_provenance(&provenance, store, e, 1, &err);
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
    read_items(store);
    read_entries(store);
    pm_store_close(store);
    return 0;
}
