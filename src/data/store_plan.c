#include "store_internal.h"

#include "pm/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH_BYTES = 1 << 20 }; /* written at a time, for each dataset of the plan */

PM_MUST_CHECK static bool is_there_already(bool *same, const struct pm_store *store, enum part part,
                                           const struct batch *batch, struct pm_error *err)
{
    size_t bytes = batch->rows * batch->row_bytes;
    void *there = malloc(bytes);
    if (!there) pm_die("no memory to read %s", store->path);
    bool ok = store_read(there, store, part, batch->first, batch->rows, err);
    *same = ok && memcmp(there, batch->bytes, bytes) == 0;
    free(there);
    return ok;
}

PM_MUST_CHECK static bool write_batch(struct pm_store *store, enum part part, struct pm_error *err)
{
    struct batch *batch = &store->batch[part];
    if (batch->rows == 0) return true;
    bool same = false;
    if (!store->temporary) PM_TRY(is_there_already(&same, store, part, batch, err));
    if (!same) PM_TRY(store_write(store, part, batch->first, batch->rows, batch->bytes, err));
    store->plan_was_damaged = store->plan_was_damaged || (!same && !store->temporary);
    batch->first += batch->rows;
    batch->rows = 0;
    return true;
}

/* A row of a dataset, zeroed; *memory stays valid until the next call for that dataset. */
PM_MUST_CHECK static bool next_row(void **memory, struct pm_store *store, enum part part,
                                   size_t row, struct pm_error *err)
{
    struct batch *batch = &store->batch[part];
    if (!batch->bytes) {
        PM_ASSERT(store_row_bytes(&batch->row_bytes, &store->shape, part));
        batch->capacity = BATCH_BYTES / batch->row_bytes + 1;
        batch->bytes = malloc(batch->capacity * batch->row_bytes);
        if (!batch->bytes) pm_die("no memory to write %s", store->path);
        batch->first = row;
    }
    if (batch->rows == batch->capacity) PM_TRY(write_batch(store, part, err));
    PM_ASSERT(row == batch->first + batch->rows); /* in order, none left out */
    *memory = memset(batch->bytes + batch->rows++ * batch->row_bytes, 0, batch->row_bytes);
    return true;
}

PM_MUST_CHECK static bool add_value(struct pm_store *store, enum part part, size_t row,
                                    const void *value, struct pm_error *err)
{
    void *memory;
    PM_TRY(next_row(&memory, store, part, row, err));
    memcpy(memory, value, store->batch[part].row_bytes);
    return true;
}

PM_MUST_CHECK static bool add_texts(struct pm_store *store, enum part part, size_t row,
                                    const char *const *texts, size_t count, struct pm_error *err)
{
    size_t room = store_size(&store->shape, store_parts[part].text_bytes);
    void *memory;
    PM_TRY(next_row(&memory, store, part, row, err));
    PM_ASSERT(count <= store->batch[part].row_bytes / room);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strlen(texts[i]);
        PM_ASSERT(bytes <= room);
        memcpy((char *)memory + i * room, texts[i], bytes);
    }
    return true;
}

/* @p count numbers and then -1 to the end of the axis. */
PM_MUST_CHECK static bool add_numbers(struct pm_store *store, enum part part, size_t row,
                                      const int32_t *numbers, size_t count, struct pm_error *err)
{
    void *memory;
    PM_TRY(next_row(&memory, store, part, row, err));
    PM_ASSERT(count <= store->shape.tokens);
    for (size_t i = 0; i < store->shape.tokens; i++)
        ((int32_t *)memory)[i] = i < count ? numbers[i] : -1;
    return true;
}

bool pm_store_put_item(struct pm_store *store, size_t item, const struct pm_store_item *row,
                       struct pm_error *err)
{
    PM_ASSERT(store->comm != MPI_COMM_NULL);
    PM_ASSERT(item < store->shape.items && row->first_entry < store->shape.entries);
    store->items_put++;
    uint64_t line = row->line, first_entry = row->first_entry;
    return add_texts(store, ITEM_ID, item, &row->id, 1, err) &&
           add_value(store, ITEM_LINE, item, &line, err) &&
           add_value(store, ITEM_FIRST_ENTRY, item, &first_entry, err) &&
           add_value(store, ITEM_SEED, item, &row->seed, err) &&
           add_texts(store, ITEM_RECIPE, item, &row->recipe, 1, err);
}

bool pm_store_put_prompt(struct pm_store *store, size_t entry, const struct pm_store_prompt *prompt,
                         struct pm_error *err)
{
    PM_ASSERT(store->comm != MPI_COMM_NULL && entry < store->shape.entries);
    PM_ASSERT(prompt->item < store->shape.items && prompt->target >= PM_STORE_SOURCE);
    store->prompts_put++;
    uint64_t item = prompt->item;
    int32_t target = prompt->target;
    uint32_t tokens = (uint32_t)prompt->tokens, words = (uint32_t)prompt->words;
    return add_texts(store, PROMPT_TEXT, entry, &prompt->text, 1, err) &&
           add_value(store, PROMPT_ITEM, entry, &item, err) &&
           add_value(store, PROMPT_TARGET, entry, &target, err) &&
           add_value(store, PROMPT_TOKEN_COUNT, entry, &tokens, err) &&
           add_numbers(store, PROMPT_TOKEN_ID, entry, prompt->token_id, tokens, err) &&
           add_texts(store, PROMPT_TOKEN, entry, prompt->token, tokens, err) &&
           add_numbers(store, PROMPT_TOKEN_WORD, entry, prompt->token_word, tokens, err) &&
           add_value(store, PROMPT_WORD_COUNT, entry, &words, err) &&
           add_texts(store, PROMPT_WORD, entry, prompt->word, words, err);
}

/* What is still in memory goes to the file. */
PM_MUST_CHECK static bool write_batches(struct pm_store *store, struct pm_error *err)
{
    for (enum part part = 0; part < PARTS; part++) {
        PM_TRY(write_batch(store, part, err));
        free(store->batch[part].bytes);
        store->batch[part] = (struct batch){0};
    }
    return true;
}

/* Collective. */
PM_MUST_CHECK static bool finish_plan(struct pm_store *store, struct pm_error *err)
{
    uint64_t put[2] = {store->items_put, store->prompts_put};
    MPI_Allreduce(MPI_IN_PLACE, put, 2, MPI_UINT64_T, MPI_SUM, store->comm);
    PM_ASSERT(put[0] == store->shape.items && put[1] == store->shape.entries);
    return store_agree(store->comm, write_batches(store, err), err);
}

bool pm_store_repair_plan(bool *was_damaged, struct pm_store *store, struct pm_error *err)
{
    PM_ASSERT(!store->temporary && store->comm != MPI_COMM_NULL);
    PM_TRY(finish_plan(store, err));
    MPI_Allreduce(&store->plan_was_damaged, was_damaged, 1, MPI_C_BOOL, MPI_LOR, store->comm);
    return true;
}

static bool sync_file(const char *path)
{
    int file = open(path, O_RDONLY);
    bool synced = file >= 0 && fsync(file) == 0;
    if (file >= 0) close(file);
    return synced;
}

/* A new name is a change of its folder. Not every file system can sync that. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    pm_path_folder(folder, path);
    (void)sync_file(folder);
}

bool store_publish(const char *temporary, const char *path, bool replaces, struct pm_error *err)
{
    if (!sync_file(temporary))
        return pm_fail(err, PM_E_IO, "cannot sync %s: %s", temporary, strerror(errno));
    struct stat there;
    if (!replaces && lstat(path, &there) == 0)
        return pm_fail(err, PM_E_IO, "%s has been made by another run meanwhile", path);
    if (rename(temporary, path) != 0)
        return pm_fail(err, PM_E_IO, "cannot rename %s to %s: %s", temporary, path,
                       strerror(errno));
    sync_folder(path);
    return true;
}

bool pm_store_commit(struct pm_store *store, struct pm_error *err)
{
    PM_ASSERT(store->temporary);
    PM_TRY(finish_plan(store, err));
    bool ok = H5Fflush(store->file, H5F_SCOPE_GLOBAL) >= 0;
    ok = store_close_handles(store) && ok;
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, NULL, "cannot write");
    PM_TRY(store_agree(store->comm, ok, err));
    ok = store->rank != 0 || store_publish(store->temporary, store->path, false, err);
    PM_TRY(store_agree(store->comm, ok, err));
    if (store->shards) PM_TRY(store_shards_publish(store, err));
    /* Only rank 0 has looked for this name before, so no other node remembers it as missing. */
    free(store->temporary);
    store->temporary = NULL;
    hid_t access = store_access_mpi(store->comm);
    ok = store_open_file(store, access, H5F_ACC_RDWR, err);
    H5Pclose(access);
    return store_agree(store->comm, ok, err);
}
