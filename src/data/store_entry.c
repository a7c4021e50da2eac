#include "store_internal.h"

#include "pm/base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The checksum's second half, in the enumeration's order. */
static const enum part FIRST_PAYLOAD = IMAGE, LAST_PAYLOAD = PARTS - 1;

/* The entry's item, and whether the entry is its source, as the plan has it. */
PM_MUST_CHECK static bool read_place(uint64_t *item, bool *source, const struct pm_store *store,
                                     size_t entry, struct pm_error *err)
{
    int32_t target;
    PM_TRY(store_read(item, store, PROMPT_ITEM, entry, 1, err));
    PM_TRY(store_read(&target, store, PROMPT_TARGET, entry, 1, err));
    *source = target == PM_STORE_SOURCE;
    if (*item < store->shape.items) return true;
    return pm_fail(err, PM_E_FORMAT, "%s: /prompt/item: entry %zu is of item %llu of %zu",
                   store->path, entry, (unsigned long long)*item, store->shape.items);
}

/* Continue a hash with one row of what is in the file. */
PM_MUST_CHECK static bool hash_part(uint64_t *hash, const struct pm_store *store, enum part part,
                                    size_t row, struct pm_error *err)
{
    size_t bytes;
    PM_ASSERT(store_row_bytes(&bytes, &store->shape, part));
    void *data = malloc(bytes);
    if (!data)
        pm_die("no memory for %zu bytes of %s in %s", bytes, store_path(&store->shape, part),
               store->path);
    bool ok = store_read(data, store, part, row, 1, err);
    if (ok) *hash = pm_hash64(data, bytes, *hash);
    free(data);
    return ok;
}

/* The checksum's first half: the row itself (its number, state and message), then the plan that the
 * entry was made from: its prompt and, with a source, its item. */
PM_MUST_CHECK static bool hash_row(uint64_t *hash, const struct pm_store *store, size_t entry,
                                   const struct pm_store_row *row, uint64_t item, bool source,
                                   struct pm_error *err)
{
    uint64_t number = entry;
    uint8_t head[sizeof number + 2];
    memcpy(head, &number, sizeof number);
    head[sizeof number] = row->state;
    head[sizeof number + 1] = row->flags;
    *hash = pm_hash64(head, sizeof head, 0);
    *hash = pm_hash64(row->message, sizeof row->message, *hash);
    for (enum part part = PROMPT_TEXT; part <= PROMPT_WORD; part++)
        PM_TRY(hash_part(hash, store, part, entry, err));
    for (enum part part = ITEM_ID; source && part <= ITEM_RECIPE; part++)
        PM_TRY(hash_part(hash, store, part, item, err));
    return true;
}

static const void *payload_part(const struct pm_store_payload *payload, enum part part)
{
    if (store_is_capture(part)) return payload->attention[part - ATTENTION];
    switch (part) {
    case IMAGE:
        return payload->image;
    case X_T:
        return payload->x_T;
    case FINAL_LATENT:
        return payload->final_latent;
    case TRAJECTORY:
        return payload->trajectory;
    case BLEND_MASK:
        return payload->blend_mask;
    case ORIGINAL:
        return payload->original;
    case RECONSTRUCTION_PSNR:
        return payload->reconstruction_psnr;
    case INVERSION_KEY:
        return payload->inversion_key;
    case INVERSION_LATENT:
        return payload->inversion;
    case INVERSION_EMBEDDING:
        return payload->embeddings;
    default:
        return NULL;
    }
}

/* Write one part, in the numbers of its dataset, and continue the hash with it. */
PM_MUST_CHECK static bool put_part(uint64_t *hash, struct pm_store *store, enum part part,
                                   size_t row, const void *data, struct pm_error *err)
{
    size_t bytes;
    void *packed = NULL;
    PM_ASSERT(store_row_bytes(&bytes, &store->shape, part));
    if (store_is_capture(part) && store_element(&store->shape, part) != F32) {
        packed = malloc(bytes);
        if (!packed)
            pm_die("no memory for %zu bytes of %s", bytes, store_path(&store->shape, part));
        store_capture_pack(packed, data, pm_store_attention_floats(store, part - ATTENTION),
                           store_capture(&store->shape, part)->number);
        data = packed;
    }
    bool ok = store_write(store, part, row, 1, data, err);
    if (ok) *hash = pm_hash64(data, bytes, *hash);
    free(packed);
    return ok;
}

/* Provenance, then the row: from here on the entry counts. */
PM_MUST_CHECK static bool write_row(struct pm_store *store, size_t entry,
                                    const struct pm_store_row *row, double seconds,
                                    struct pm_error *err)
{
    struct pm_store_provenance made;
    PM_TRY(store_read(&made, store, PROVENANCE, entry, 1, err));
    made.rank = store->rank;
    made.seconds = seconds;
    made.finished = time(NULL);
    memcpy(made.host, store->host, sizeof made.host);
    PM_TRY(store_write(store, PROVENANCE, entry, 1, &made, err));
    return store_write(store, ENTRY, entry, 1, row, err);
}

bool pm_store_put_entry(struct pm_store *store, size_t entry,
                        const struct pm_store_payload *payload, double seconds,
                        struct pm_error *err)
{
    PM_ASSERT(!store->temporary && store->comm != MPI_COMM_NULL);
    PM_ASSERT(entry < store->shape.entries);
    PM_ASSERT(!payload->blend_mask || store->shape.blend_mask);
    uint64_t item;
    bool source;
    PM_TRY(read_place(&item, &source, store, entry, err));
    struct pm_store_row row = {.state = PM_STORE_DONE};
    if (payload->blend_mask) row.flags |= PM_STORE_HAS_BLEND_MASK;
    if (payload->original || payload->inversion) row.flags |= PM_STORE_HAS_ORIGINAL;
    if (payload->embeddings) row.flags |= PM_STORE_HAS_EMBEDDINGS;
    PM_TRY(hash_row(&row.checksum, store, entry, &row, item, source, err));
    for (enum part part = FIRST_PAYLOAD; part <= LAST_PAYLOAD; part++) {
        const void *data = payload_part(payload, part);
        PM_ASSERT(!data == !store_applies(&store->shape, part, row.flags, source));
        size_t at = store_is_of_item(part) ? item : entry;
        if (data) PM_TRY(put_part(&row.checksum, store, part, at, data, err));
    }
    return write_row(store, entry, &row, seconds, err);
}

bool pm_store_fail_entry(struct pm_store *store, size_t entry, const char *message, double seconds,
                         struct pm_error *err)
{
    PM_ASSERT(!store->temporary && store->comm != MPI_COMM_NULL);
    PM_ASSERT(entry < store->shape.entries);
    uint64_t item;
    bool source;
    PM_TRY(read_place(&item, &source, store, entry, err));
    struct pm_error whole = {0};
    (void)pm_fail(&whole, PM_E_INPUT, "%s", message); /* shortened at a character's end */
    struct pm_store_row row = {.state = PM_STORE_FAILED};
    memcpy(row.message, whole.message, strlen(whole.message));
    PM_TRY(hash_row(&row.checksum, store, entry, &row, item, source, err));
    return write_row(store, entry, &row, seconds, err);
}

bool pm_store_begin_entry(uint32_t *attempts, struct pm_store *store, size_t entry,
                          struct pm_error *err)
{
    PM_ASSERT(!store->temporary && store->comm != MPI_COMM_NULL);
    PM_ASSERT(entry < store->shape.entries);
    struct pm_store_provenance made;
    PM_TRY(store_read(&made, store, PROVENANCE, entry, 1, err));
    *attempts = ++made.attempts;
    return store_write(store, PROVENANCE, entry, 1, &made, err);
}

bool pm_store_reset_entry(struct pm_store *store, size_t entry, struct pm_error *err)
{
    PM_ASSERT(!store->temporary && store->comm != MPI_COMM_NULL);
    PM_ASSERT(entry < store->shape.entries);
    const struct pm_store_provenance nobody = {0};
    const struct pm_store_row pending = {.state = PM_STORE_PENDING};
    PM_TRY(store_write(store, ENTRY, entry, 1, &pending, err));
    return store_write(store, PROVENANCE, entry, 1, &nobody, err);
}

bool pm_store_verify_entry(bool *good, const struct pm_store *store, size_t entry,
                           struct pm_error *err)
{
    struct pm_store_row row, empty = {0};
    uint64_t item;
    bool source;
    PM_ASSERT(entry < store->shape.entries);
    PM_TRY(store_read(&row, store, ENTRY, entry, 1, err));
    *good = row.state <= PM_STORE_FAILED;
    if (row.state == PM_STORE_PENDING)
        *good = row.checksum == 0 && row.flags == 0 &&
                memcmp(row.message, empty.message, sizeof row.message) == 0;
    if (!*good || row.state == PM_STORE_PENDING) return true;

    uint64_t hash;
    PM_TRY(read_place(&item, &source, store, entry, err));
    PM_TRY(hash_row(&hash, store, entry, &row, item, source, err));
    for (enum part part = FIRST_PAYLOAD; part <= LAST_PAYLOAD && row.state == PM_STORE_DONE;
         part++) {
        if (!store_applies(&store->shape, part, row.flags, source)) continue;
        *good = store_has(&store->shape, part);
        if (!*good) return true;
        PM_TRY(hash_part(&hash, store, part, store_is_of_item(part) ? item : entry, err));
    }
    *good = hash == row.checksum;
    return true;
}
