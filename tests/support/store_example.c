#include "store_example.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t item_of[EXAMPLE_ENTRIES] = {0, 1, 1, 2, 2, 2, 3, 4, 4};
static const int target_of[EXAMPLE_ENTRIES] = {-1, -1, 0, -1, 0, 1, -1, -1, 0};
static const char *const words[] = {"ein", "Würfel", "赤い"};
static const char *const tokens[] = {"<|startoftext|>", "ein</w>",  "wür",
                                     "fel</w>",         "赤い</w>", "<|endoftext|>"};
static const int32_t token_ids[] = {49406, 1023, 77, 5, 31000, 49407};
static const int32_t token_words[] = {-1, 0, 1, 1, 2, -1};

struct pm_store_shape example_shape(void)
{
    return (struct pm_store_shape){.items = EXAMPLE_ITEMS,
                                   .entries = EXAMPLE_ENTRIES,
                                   .tokens = 6,
                                   .words = 3,
                                   .id_bytes = 6,
                                   .recipe_bytes = 12,
                                   .prompt_bytes = 18,
                                   .token_bytes = 15,
                                   .word_bytes = 7,
                                   .image_height = 13,
                                   .image_width = 7,
                                   .latent_channels = 4,
                                   .latent_height = 5,
                                   .latent_width = 3,
                                   .steps = 3,
                                   .train_timesteps = 10,
                                   .images = true,
                                   .latents = PM_STORE_TRAJECTORY,
                                   .blend_mask = true,
                                   .captures = {{.path = "/attention/cross_mean",
                                                 .number = PM_STORE_F32,
                                                 .height = 5,
                                                 .width = 3}},
                                   .capture_count = 1};
}

struct pm_store_shape example_real_shape(void)
{
    struct pm_store_shape shape = example_shape();
    shape.originals = shape.inversions = shape.embeddings = true;
    shape.levels = shape.steps + 1;
    shape.embedding_tokens = 2;
    shape.embedding_channels = 6;
    return shape;
}

/* Entry 0's prompt is the longest; the others are its beginnings. */
static struct pm_store_prompt prompt_of(size_t entry)
{
    static const char *const texts[] = {"ein", "ein Würfel", "ein Würfel 赤い"};
    size_t n = entry == 0 ? 3 : entry % 3 + 1;
    return (struct pm_store_prompt){.text = texts[n - 1],
                                    .item = item_of[entry],
                                    .target = target_of[entry],
                                    .tokens = n == 1   ? 2
                                              : n == 2 ? 4
                                                       : 6,
                                    .words = n,
                                    .token_id = token_ids,
                                    .token = tokens,
                                    .token_word = token_words,
                                    .word = words};
}

static void put_plan(struct pm_store *store)
{
    struct pm_error err = {0};
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        struct pm_store_prompt prompt = prompt_of(e);
        assert_ok(pm_store_put_prompt(store, e, &prompt, &err), err);
        if (target_of[e] != PM_STORE_SOURCE) continue;
        char id[7], recipe[13];
        snprintf(id, sizeof id, "item-%zu", item_of[e]);
        snprintf(recipe, sizeof recipe, "{\"seed\": %zu}", item_of[e]);
        struct pm_store_item item = {.id = id,
                                     .line = 2 * item_of[e] + 1,
                                     .first_entry = e,
                                     .seed = UINT64_MAX - item_of[e],
                                     .recipe = recipe};
        assert_ok(pm_store_put_item(store, item_of[e], &item, &err), err);
    }
}

struct pm_store_about example_about(void)
{
    static const int32_t timesteps[] = {9, 5, 1};
    static const double alpha_cumprod[] = {.99, .9, .8, .7, .6, .5, .4, .3, .2, .1};
    static const size_t layers[] = {1, 7}, steps[] = {0, 1, 2};
    static const struct pm_store_capture_about capture = {
        .layers = layers, .layer_count = 2, .steps = steps, .step_count = 3, .head_count = 4};
    return (struct pm_store_about){.software = "promptmill test",
                                   .config = "{\"steps\": 3}",
                                   .model = "naïve",
                                   .model_hash = "0123",
                                   .scheduler = "ddim",
                                   .manifest_hash = "4567",
                                   .timesteps = timesteps,
                                   .alpha_cumprod = alpha_cumprod,
                                   .captures = &capture};
}

struct pm_store *example_create(const char *path, MPI_Comm comm)
{
    struct pm_store_shape shape = example_shape();
    struct pm_store_about about = example_about();
    return example_create_as(path, comm, &shape, &about);
}

struct pm_store *example_create_as(const char *path, MPI_Comm comm,
                                   const struct pm_store_shape *shape,
                                   const struct pm_store_about *about)
{
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    int rank;
    MPI_Comm_rank(comm, &rank);
    assert_ok(pm_store_create(&store, path, comm, rank ? NULL : shape, rank ? NULL : about, &err),
              err);
    if (rank == 0) put_plan(store);
    assert_ok(pm_store_commit(store, &err), err);
    return store;
}

static float *floats(size_t n, size_t entry, unsigned part)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    fill_random(x, n, (unsigned)entry * 8 + part);
    return x;
}

static uint8_t *bytes(size_t n, size_t entry, unsigned modulus)
{
    uint8_t *x = malloc(n);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (uint8_t)((i * 31 + entry * 7 + 1) % modulus);
    return x;
}

/* Items 1 and 4 are of real pictures, of which 4 has embeddings. */
static void add_real_picture(struct pm_store_payload *payload, const struct pm_store_shape *s,
                             size_t entry)
{
    size_t latent = s->latent_channels * s->latent_height * s->latent_width;
    if (target_of[entry] != PM_STORE_SOURCE || item_of[entry] % 3 != 1) return;
    if (s->originals) {
        double *psnr = malloc(sizeof *psnr);
        assert_non_null(psnr);
        *psnr = 20.0 + (double)entry / 3.0;
        payload->reconstruction_psnr = psnr;
        payload->original = bytes(s->image_height * s->image_width * 3, entry + 100, 256);
    }
    if (s->inversions) {
        struct pm_store_inversion_key *key = malloc(sizeof *key);
        assert_non_null(key);
        *key = (struct pm_store_inversion_key){{entry + 1, UINT64_MAX - entry}};
        payload->inversion_key = key;
        payload->inversion = floats(s->levels * latent, entry, 5);
    }
    if (s->embeddings && item_of[entry] == 4)
        payload->embeddings =
            floats(s->steps * s->embedding_tokens * s->embedding_channels, entry, 6);
}

struct pm_store_payload example_payload(const struct pm_store_shape *s, size_t entry)
{
    size_t latent = s->latent_channels * s->latent_height * s->latent_width;
    const struct pm_store_capture *c = s->captures;
    struct pm_store_payload payload = {
        .image = bytes(s->image_height * s->image_width * 3, entry, 256),
        .x_T = target_of[entry] == PM_STORE_SOURCE ? floats(latent, entry, 1) : NULL,
        .final_latent = floats(latent, entry, 2),
        .trajectory =
            s->latents == PM_STORE_TRAJECTORY ? floats(s->steps * latent, entry, 3) : NULL,
        .attention = {s->capture_count ? floats(c->height * c->width * s->tokens, entry, 4) : NULL},
        .blend_mask = s->blend_mask && entry % 3 == 2
                          ? bytes(s->latent_height * s->latent_width, entry, 2)
                          : NULL};
    add_real_picture(&payload, s, entry);
    return payload;
}

uint8_t example_flags(const struct pm_store_shape *shape, size_t entry)
{
    struct pm_store_payload payload = example_payload(shape, entry);
    uint8_t flags = 0;
    if (payload.blend_mask) flags |= PM_STORE_HAS_BLEND_MASK;
    if (payload.original) flags |= PM_STORE_HAS_ORIGINAL;
    if (payload.embeddings) flags |= PM_STORE_HAS_EMBEDDINGS;
    example_free(&payload);
    return flags;
}

void example_free(struct pm_store_payload *payload)
{
    free((void *)payload->image);
    free((void *)payload->x_T);
    free((void *)payload->final_latent);
    free((void *)payload->trajectory);
    free((void *)payload->attention[0]);
    free((void *)payload->blend_mask);
    free((void *)payload->original);
    free((void *)payload->reconstruction_psnr);
    free((void *)payload->inversion_key);
    free((void *)payload->inversion);
    free((void *)payload->embeddings);
}

void example_put(struct pm_store *store, size_t entry)
{
    struct pm_error err = {0};
    struct pm_store_payload payload = example_payload(pm_store_shape_of(store), entry);
    assert_ok(pm_store_put_entry(store, entry, &payload, 1.5, &err), err);
    example_free(&payload);
}

static bool plan_matches(const struct pm_store *store, size_t entry)
{
    struct pm_error err = {0};
    struct pm_store_prompt prompt, wanted = prompt_of(entry);
    struct pm_store_item item;
    assert_ok(pm_store_read_prompt(&prompt, store, entry, &err), err);
    assert_ok(pm_store_read_item(&item, store, prompt.item, &err), err);
    bool same = strcmp(prompt.text, wanted.text) == 0 && prompt.item == wanted.item &&
                prompt.target == wanted.target && prompt.tokens == wanted.tokens &&
                prompt.words == wanted.words;
    for (size_t i = 0; same && i < prompt.tokens; i++)
        same = strcmp(prompt.token[i], wanted.token[i]) == 0 &&
               prompt.token_id[i] == wanted.token_id[i] &&
               prompt.token_word[i] == wanted.token_word[i];
    for (size_t i = 0; same && i < prompt.words; i++)
        same = strcmp(prompt.word[i], wanted.word[i]) == 0;
    size_t i = prompt.item, targets = i == 2 ? 2 : i == 1 || i == 4;
    same = same && item.id[5] == (char)('0' + i) && item.line == 2 * i + 1 &&
           item.seed == UINT64_MAX - i && item.entries == 1 + targets &&
           item_of[item.first_entry] == i && target_of[item.first_entry] == PM_STORE_SOURCE &&
           item.recipe[9] == (char)('0' + i) && strlen(item.recipe) == 11;
    pm_store_prompt_free(&prompt);
    pm_store_item_free(&item);
    return same;
}

/* Read through @p read into a buffer of 0xFF bytes (as floats: NaN) and compare. */
#define PART_MATCHES(read, wanted, n)                                                              \
    do {                                                                                           \
        if (!(wanted)) break;                                                                      \
        memset(got, 0xFF, capacity);                                                               \
        assert_ok(read, err);                                                                      \
        same = same && memcmp(got, (wanted), (n) * sizeof *(wanted)) == 0;                         \
    } while (0)

bool example_matches(const struct pm_store *store, size_t entry)
{
    struct pm_error err = {0};
    const struct pm_store_shape *s = pm_store_shape_of(store);
    struct pm_store_payload p = example_payload(s, entry);
    size_t latent = s->latent_channels * s->latent_height * s->latent_width;
    size_t maps = s->capture_count ? pm_store_attention_floats(store, 0) : 0;
    size_t image = s->image_height * s->image_width * 3;
    size_t embeddings = s->steps * s->embedding_tokens * s->embedding_channels;
    size_t capacity = image + ((s->steps + s->levels) * latent + embeddings + maps) * sizeof(float);
    void *got = malloc(capacity);
    assert_non_null(got);
    bool same = plan_matches(store, entry);
    PART_MATCHES(pm_store_read_image(got, store, entry, &err), p.image, image);
    PART_MATCHES(pm_store_read_x_T(got, store, item_of[entry], &err), p.x_T, latent);
    PART_MATCHES(pm_store_read_final_latent(got, store, entry, &err), p.final_latent, latent);
    PART_MATCHES(pm_store_read_trajectory(got, store, entry, &err), p.trajectory,
                 s->steps * latent);
    PART_MATCHES(pm_store_read_attention(got, store, 0, entry, &err), p.attention[0], maps);
    PART_MATCHES(pm_store_read_blend_mask(got, store, entry, &err), p.blend_mask,
                 s->latent_height * s->latent_width);
    size_t item = item_of[entry];
    PART_MATCHES(pm_store_read_original(got, store, item, &err), p.original, image);
    PART_MATCHES(pm_store_read_reconstruction_psnr(got, store, item, &err), p.reconstruction_psnr,
                 1);
    PART_MATCHES(pm_store_read_inversion_keys(got, store, item, 1, &err), p.inversion_key, 1);
    PART_MATCHES(pm_store_read_inversion(got, store, item, &err), p.inversion, s->levels * latent);
    PART_MATCHES(pm_store_read_embeddings(got, store, item, &err), p.embeddings, embeddings);
    free(got);
    example_free(&p);
    return same;
}
