#include "pm/model/model.h"

#include "pm/model/packed_file.h"

#include <string.h>

static const size_t WEIGHTS_BYTES = (size_t)64 << 30, SCRATCH_BYTES = (size_t)256 << 30,
                    LAYERS_BYTES = (size_t)64 << 20;

size_t pm_model_scratch_bytes(void)
{
    return SCRATCH_BYTES;
}

size_t pm_model_weights_bytes(void)
{
    return WEIGHTS_BYTES;
}

static bool open_additions(struct pm_model *m, const struct pm_model_additions *additions,
                           struct pm_error *err)
{
    if (additions->lora_count > 0)
        PM_TRY(pm_loras_open(&m->loras, additions->loras, additions->lora_count, err));
    if (additions->embedding_count == 0) return true;
    PM_TRY(
        pm_embeddings_open(&m->embeddings, additions->embeddings, additions->embedding_count, err));
    return pm_embeddings_add_words(m->embeddings, m->tokenizer, err);
}

bool pm_model_open(struct pm_model *out, const char *path,
                   const struct pm_model_additions *additions, struct pm_error *err)
{
    *out = (struct pm_model){.precision = additions->precision};
    if (pm_checkpoint_open(&out->checkpoint, path, &additions->options, err) &&
        pm_checkpoint_tokenizer(&out->tokenizer, &out->checkpoint, err) &&
        open_additions(out, additions, err))
        return true;
    pm_model_free(out);
    return false;
}

/* Without additions the fingerprint stays the checkpoint's. */
static void hash_additions(char text[PM_HASH_TEXT_BYTES], const struct pm_model *opened)
{
    struct {
        char checkpoint[PM_HASH_TEXT_BYTES - 1];
        uint64_t additions;
    } all;
    _Static_assert(sizeof all == PM_HASH_TEXT_BYTES - 1 + sizeof(uint64_t), "no padding is hashed");
    if (!opened->loras && !opened->embeddings) return;
    memcpy(all.checkpoint, text, sizeof all.checkpoint);
    all.additions = opened->loras ? pm_loras_hash(opened->loras, 0) : 0;
    if (opened->embeddings) all.additions = pm_embeddings_hash(opened->embeddings, all.additions);
    pm_hash_text(text, &all, sizeof all);
}

bool pm_model_fingerprint(struct pm_model *opened, struct pm_hash_pieces *pieces,
                          struct pm_error *err)
{
    PM_TRY(pm_checkpoint_fingerprint(opened->fingerprint, &opened->checkpoint, pieces, err));
    if (!pieces || pieces->are_known) hash_additions(opened->fingerprint, opened);
    return true;
}

/* The tokenizer's own ids have rows in the text encoder's table; those of new words get vectors. */
static bool check_tokens(struct pm_text_encoder *encoder, const struct pm_model *opened,
                         struct pm_arena *memory, struct pm_error *err)
{
    const char *path = opened->checkpoint.path;
    size_t added = opened->embeddings ? pm_embeddings_count(opened->embeddings) : 0;
    size_t own = pm_tokenizer_size(opened->tokenizer) - added;
    const float *vectors;
    if (own > encoder->vocabulary)
        return pm_fail(err, PM_E_FORMAT, "%s: the tokenizer has %zu tokens, the text encoder %zu",
                       path, own, encoder->vocabulary);
    if (!opened->embeddings) return true;
    PM_TRY(pm_embeddings_vectors(&vectors, opened->embeddings, encoder->channels, memory, err));
    pm_text_encoder_add(encoder, own, vectors, added);
    return true;
}

/** How networks are loaded. */
struct loading {
    struct pm_model *model; /* opened; gets them */
    bool only_measures;
    size_t share, shares;
    struct pm_arena *memory;
};

static bool load_network(enum pm_network network, const struct loading *l, struct pm_error *err)
{
    struct pm_component component;
    struct pm_model *m = l->model;
    PM_TRY(pm_checkpoint_component(&component, &m->checkpoint, network, err));
    component.only_measures = l->only_measures;
    component.share = l->share;
    component.shares = l->shares;
    component.precision = network == PM_UNET ? m->precision : PM_FP32;
    component.layers = &m->layers;
    bool ok = network == PM_UNET ? pm_unet_load_from(&m->unet, &component, m->loras, l->memory, err)
              : network == PM_VAE ? pm_vae_load_from(&m->vae, &component, l->memory, err)
                                  : pm_text_encoder_load_from(&m->text_encoder, &component,
                                                              m->loras, l->memory, err);
    pm_component_close(&component);
    return ok;
}

static bool check_networks(const struct pm_model *m, struct pm_error *err)
{
    const char *path = m->checkpoint.path;
    if (m->unet.config.context_channels != m->text_encoder.channels)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: the UNet attends to %zu channels, the text encoder gives %zu", path,
                       m->unet.config.context_channels, m->text_encoder.channels);
    if (m->unet.config.in_channels != m->vae.config.latent_channels)
        return pm_fail(err, PM_E_FORMAT, "%s: the UNet has %zu latent channels, the VAE %zu", path,
                       m->unet.config.in_channels, m->vae.config.latent_channels);
    return true;
}

static bool load_networks(const struct loading *l, struct pm_error *err)
{
    struct pm_model *m = l->model;
    PM_ASSERT(l->memory->used == 0);
    pm_arena_init(&m->layers, LAYERS_BYTES);
    PM_TRY(load_network(PM_TEXT_ENCODER, l, err));
    PM_TRY(load_network(PM_UNET, l, err));
    if (m->loras) PM_TRY(pm_loras_check_all_used(m->loras, err));
    PM_TRY(load_network(PM_VAE, l, err));
    PM_TRY(check_networks(m, err));
    return check_tokens(&m->text_encoder, m, l->memory, err);
}

bool pm_model_load_weights(struct pm_arena *memory, struct pm_model *opened, size_t share,
                           size_t shares, struct pm_error *err)
{
    const struct loading loading = {
        .model = opened, .share = share, .shares = shares, .memory = memory};
    return load_networks(&loading, err);
}

bool pm_model_load(struct pm_model *out, const char *path, struct pm_error *err)
{
    return pm_model_load_with(out, path, &(struct pm_model_additions){0}, err);
}

bool pm_model_load_with(struct pm_model *out, const char *path,
                        const struct pm_model_additions *additions, struct pm_error *err)
{
    PM_TRY(pm_model_open(out, path, additions, err));
    pm_arena_init(&out->weights, WEIGHTS_BYTES);
    if (!pm_model_load_weights(&out->weights, out, 0, 1, err) ||
        !pm_model_fingerprint(out, NULL, err)) {
        pm_model_free(out);
        return false;
    }
    pm_arena_seal(&out->weights);
    return true;
}

bool pm_model_measure_weights(struct pm_model *opened, struct pm_error *err)
{
    pm_arena_init(&opened->weights, WEIGHTS_BYTES);
    const struct loading measuring = {
        .model = opened, .only_measures = true, .memory = &opened->weights};
    return load_networks(&measuring, err);
}

bool pm_model_measure(struct pm_model *out, const char *path,
                      const struct pm_model_additions *additions, struct pm_error *err)
{
    PM_TRY(pm_model_open(out, path, additions, err));
    if (pm_model_measure_weights(out, err)) return true;
    pm_model_free(out);
    return false;
}

static struct pm_packed_key packed_key(const struct pm_model *model)
{
    PM_ASSERT(model->fingerprint[0]);
    return (struct pm_packed_key){.fingerprint = model->fingerprint, .precision = model->precision};
}

bool pm_model_map_packed(struct pm_model *measured, const char *folder, size_t share, size_t shares,
                         struct pm_error *err)
{
    struct pm_packed_key key = packed_key(measured);
    return pm_packed_file_map(&measured->weights, &key, folder, share, shares, err);
}

bool pm_model_save_packed(const struct pm_model *model, const char *folder, struct pm_error *err)
{
    struct pm_packed_key key = packed_key(model);
    return pm_packed_file_save(&model->weights, &key, folder, err);
}

void pm_model_drop_weights(struct pm_model *model)
{
    pm_arena_free(&model->weights);
    pm_arena_free(&model->layers);
}

void pm_model_free(struct pm_model *model)
{
    if (model->tokenizer) pm_tokenizer_free(model->tokenizer);
    pm_loras_close(model->loras);
    pm_embeddings_close(model->embeddings);
    pm_checkpoint_close(&model->checkpoint);
    pm_model_drop_weights(model);
    *model = (struct pm_model){0};
}
