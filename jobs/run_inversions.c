#include "run_inversions.h"

#include "pm/base/grow.h"
#include "pm/base/hash.h"
#include "pm/base/log.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void hash(struct pm_store_inversion_key *key, const void *data, size_t bytes)
{
    for (size_t i = 0; i < 2; i++) key->half[i] = pm_hash64(data, bytes, key->half[i]);
}

static void hash_number(struct pm_store_inversion_key *key, uint64_t number)
{
    hash(key, &number, sizeof number);
}

static void hash_schedule(struct pm_store_inversion_key *key, const struct pm_schedule *s)
{
    hash_number(key, s->prediction);
    hash_number(key, s->evaluations);
    hash_number(key, s->stride);
    for (size_t i = 0; i < s->evaluations; i++) hash_number(key, s->timesteps[i]);
    hash_number(key, s->train_timesteps);
    hash(key, s->alpha_cumprod, s->train_timesteps * sizeof *s->alpha_cumprod);
    hash(key, &s->final_alpha_cumprod, sizeof s->final_alpha_cumprod);
}

/* What the optimisation goes by, and nothing else does. */
static void hash_null_text(struct pm_store_inversion_key *key, const struct pm_edit_settings *s,
                           const struct pm_recipe *recipe)
{
    const struct pm_null_text *n = &recipe->image.null_text;
    const double numbers[] = {(double)pm_recipe_guidance_scale(recipe, s->guidance_scale),
                              n->learning_rate,
                              n->learning_rate_decay,
                              n->epsilon,
                              n->epsilon_growth,
                              n->beta1,
                              n->beta2,
                              n->adam_epsilon};
    hash_number(key, n->inner_steps);
    hash(key, numbers, sizeof numbers);
    hash_number(key, strlen(s->negative_prompt));
    hash(key, s->negative_prompt, strlen(s->negative_prompt));
}

struct pm_store_inversion_key run_inversions_key(const struct run *r,
                                                 const struct pm_recipe *recipe,
                                                 const struct pm_prepared *prepared,
                                                 const unsigned char *pixels)
{
    const struct pm_edit_settings *s = &r->settings;
    size_t factor = s->model->vae.factor;
    struct pm_store_inversion_key key = {{1, 2}};
    hash_number(&key, s->latent_height);
    hash_number(&key, s->latent_width);
    if (s->model->precision != PM_FP32) hash_number(&key, s->model->precision);
    hash(&key, s->model->fingerprint, sizeof s->model->fingerprint);
    hash(&key, prepared->source.ids, sizeof prepared->source.ids);
    hash_schedule(&key, s->schedule);
    hash(&key, pixels, s->latent_height * factor * s->latent_width * factor * 3);
    hash_number(&key, recipe->image.method == PM_INVERSION_NULL_TEXT);
    if (recipe->image.method == PM_INVERSION_NULL_TEXT) hash_null_text(&key, s, recipe);
    return key;
}

static void add(struct run_inversions *in, const struct pm_store_inversion_key *key,
                const struct pm_store *store, size_t item)
{
    in->known = pm_grow(in->known, in->count, sizeof *in->known);
    in->known[in->count++] = (struct run_inversion){*key, store, item};
}

void run_inversions_add(struct run *r, const struct pm_store_inversion_key *key, size_t item)
{
    add(&r->inversions, key, r->store, item);
}

/* Keys of items that were never done are 0, or of no use: see is_vouched_for. */
static bool list_store(struct run_inversions *in, const struct pm_store *store,
                       struct pm_error *err)
{
    enum { BATCH = 4096 };
    size_t items = pm_store_shape_of(store)->items;
    struct pm_store_inversion_key *keys = malloc(BATCH * sizeof *keys);
    if (!keys) pm_die("no memory for %d keys", BATCH);
    bool ok = true;
    for (size_t first = 0; ok && first < items; first += BATCH) {
        size_t count = items - first < BATCH ? items - first : BATCH;
        ok = pm_store_read_inversion_keys(keys, store, first, count, err);
        for (size_t i = 0; ok && i < count; i++)
            if (keys[i].half[0] || keys[i].half[1]) add(in, &keys[i], store, first + i);
    }
    free(keys);
    return ok;
}

/* Are its inversions of this run's sizes? Keys would tell too, but only after the arrays were laid
 * out by them. */
static bool fits(const struct pm_store_shape *a, const struct pm_store_shape *b)
{
    return a->inversions && a->levels == b->levels && a->latent_channels == b->latent_channels &&
           a->latent_height == b->latent_height && a->latent_width == b->latent_width &&
           (!a->embeddings || (a->steps == b->steps && a->embedding_tokens == b->embedding_tokens &&
                               a->embedding_channels == b->embedding_channels));
}

bool run_inversions_open(struct run *r, struct pm_error *err)
{
    struct run_inversions *in = &r->inversions;
    const char *path = r->config.inversions;
    const struct pm_store_shape *own = pm_store_shape_of(r->store);
    if (own->inversions) PM_TRY(list_store(in, r->store, err));
    if (!path) return true;
    char mine[PATH_MAX], theirs[PATH_MAX];
    if (realpath(r->config.store, mine) && realpath(path, theirs) && strcmp(mine, theirs) == 0)
        return pm_fail(
            err, PM_E_INPUT,
            "\"inversions\": %s is the run's own store, whose inversions are found anyway", path);
    PM_TRY(pm_store_open_read(&in->earlier, path, err));
    if (fits(pm_store_shape_of(in->earlier), &r->plan.shape))
        return list_store(in, in->earlier, err);
    if (r->world.rank == 0)
        pm_log(PM_LOG_WARNING,
               "\"inversions\": %s has none of this run's size and steps; all will be made", path);
    return true;
}

void run_inversions_free(struct run_inversions *in)
{
    pm_store_close(in->earlier);
    free(in->known);
    *in = (struct run_inversions){0};
}

/* Its source's row is right, and says that there is an inversion. */
static bool is_vouched_for(const struct run_inversion *known, bool has_embeddings)
{
    struct pm_store_item item;
    struct pm_store_row row;
    struct pm_error ignored = {0};
    uint8_t wanted = PM_STORE_HAS_ORIGINAL | (has_embeddings ? PM_STORE_HAS_EMBEDDINGS : 0);
    bool good = false;
    if (!pm_store_read_item(&item, known->store, known->item, &ignored)) return false;
    bool ok = pm_store_read_rows(&row, known->store, item.first_entry, 1, &ignored) &&
              row.state == PM_STORE_DONE && (row.flags & wanted) == wanted &&
              pm_store_verify_entry(&good, known->store, item.first_entry, &ignored);
    pm_store_item_free(&item);
    return ok && good;
}

static bool read_inversion(struct pm_inversion *out, const struct run_inversion *known,
                           bool has_embeddings, struct pm_arena *arena)
{
    const struct pm_store_shape *s = pm_store_shape_of(known->store);
    struct pm_error ignored = {0};
    size_t latent = s->latent_channels * s->latent_height * s->latent_width;
    size_t embedding = s->embedding_tokens * s->embedding_channels;
    float *latents = pm_arena_floats(arena, s->levels * latent);
    float *embeddings = has_embeddings ? pm_arena_floats(arena, s->steps * embedding) : NULL;
    *out = (struct pm_inversion){.latents = latents, .uncond = embeddings};
    return pm_store_read_inversion(latents, known->store, known->item, &ignored) &&
           (!embeddings ||
            pm_store_read_embeddings(embeddings, known->store, known->item, &ignored));
}

bool run_inversions_find(struct pm_inversion *out, struct run *r,
                         const struct pm_store_inversion_key *key, bool has_embeddings)
{
    const struct run_inversions *in = &r->inversions;
    size_t mark = r->scratch.used;
    for (size_t i = in->count; i-- > 0;) { /* the latest first: lines of one picture follow */
        const struct run_inversion *known = &in->known[i];
        if (memcmp(&known->key, key, sizeof *key) != 0) continue;
        if (is_vouched_for(known, has_embeddings) &&
            read_inversion(out, known, has_embeddings, &r->scratch))
            return true;
        r->scratch.used = mark;
    }
    return false;
}
