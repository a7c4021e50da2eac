#include "pm/model/model.h"

#include <string.h>

static const size_t WEIGHTS_BYTES = (size_t)64 << 30, SCRATCH_BYTES = (size_t)256 << 30;

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

/** What lies at the start of the weights' memory, with pointers into it. */
struct networks {
    struct pm_text_encoder text_encoder;
    struct pm_unet unet;
    struct pm_vae vae;
    char fingerprint[PM_HASH_TEXT_BYTES];
};

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

static bool fingerprint(char text[PM_HASH_TEXT_BYTES], const struct pm_model *opened,
                        struct pm_error *err)
{
    PM_TRY(pm_checkpoint_fingerprint(text, &opened->checkpoint, err));
    hash_additions(text, opened);
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
    const struct pm_model *opened;
    bool only_measures;
    size_t share, shares;
    struct pm_arena *memory;
};

static bool load_network(struct networks *n, enum pm_network network, const struct loading *l,
                         struct pm_error *err)
{
    struct pm_component component;
    PM_TRY(pm_checkpoint_component(&component, &l->opened->checkpoint, network, err));
    component.only_measures = l->only_measures;
    component.share = l->share;
    component.shares = l->shares;
    component.precision = network == PM_UNET ? l->opened->precision : PM_FP32;
    struct pm_loras *loras = l->opened->loras;
    bool ok = network == PM_UNET ? pm_unet_load_from(&n->unet, &component, loras, l->memory, err)
              : network == PM_VAE
                  ? pm_vae_load_from(&n->vae, &component, l->memory, err)
                  : pm_text_encoder_load_from(&n->text_encoder, &component, loras, l->memory, err);
    pm_component_close(&component);
    return ok;
}

static bool check_networks(const struct networks *n, const char *path, struct pm_error *err)
{
    if (n->unet.config.context_channels != n->text_encoder.channels)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: the UNet attends to %zu channels, the text encoder gives %zu", path,
                       n->unet.config.context_channels, n->text_encoder.channels);
    if (n->unet.config.in_channels != n->vae.config.latent_channels)
        return pm_fail(err, PM_E_FORMAT, "%s: the UNet has %zu latent channels, the VAE %zu", path,
                       n->unet.config.in_channels, n->vae.config.latent_channels);
    return true;
}

/* The networks' own structs are put where all processes find them by the first alone: the others may
 * be writing still what these point to. */
static bool load_networks(const struct loading *l, struct pm_error *err)
{
    static struct networks n; /* large */
    PM_ASSERT(l->memory->used == 0);
    struct networks *shared = pm_arena_bytes(l->memory, sizeof *shared);
    n.fingerprint[0] = '\0';
    PM_TRY(load_network(&n, PM_TEXT_ENCODER, l, err));
    PM_TRY(load_network(&n, PM_UNET, l, err));
    if (l->opened->loras) PM_TRY(pm_loras_check_all_used(l->opened->loras, err));
    PM_TRY(load_network(&n, PM_VAE, l, err));
    PM_TRY(check_networks(&n, l->opened->checkpoint.path, err));
    PM_TRY(check_tokens(&n.text_encoder, l->opened, l->memory, err));
    if (l->share != 0) return true;
    if (!l->only_measures) PM_TRY(fingerprint(n.fingerprint, l->opened, err));
    *shared = n;
    return true;
}

bool pm_model_load_weights(struct pm_arena *memory, const struct pm_model *opened, size_t share,
                           size_t shares, struct pm_error *err)
{
    const struct loading loading = {
        .opened = opened, .share = share, .shares = shares, .memory = memory};
    return load_networks(&loading, err);
}

bool pm_model_fingerprint(struct pm_model *measured, struct pm_error *err)
{
    return fingerprint(measured->fingerprint, measured, err);
}

void pm_model_attach(struct pm_model *model)
{
    PM_ASSERT(model->weights.used >= sizeof(struct networks));
    const struct networks *n = (const struct networks *)model->weights.base;
    model->text_encoder = n->text_encoder;
    model->unet = n->unet;
    model->vae = n->vae;
    memcpy(model->fingerprint, n->fingerprint, sizeof model->fingerprint);
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
    if (!pm_model_load_weights(&out->weights, out, 0, 1, err)) {
        pm_model_free(out);
        return false;
    }
    pm_arena_seal(&out->weights);
    pm_model_attach(out);
    return true;
}

bool pm_model_measure(struct pm_model *out, const char *path,
                      const struct pm_model_additions *additions, struct pm_error *err)
{
    PM_TRY(pm_model_open(out, path, additions, err));
    pm_arena_init(&out->weights, WEIGHTS_BYTES);
    const struct loading measuring = {
        .opened = out, .only_measures = true, .memory = &out->weights};
    if (!load_networks(&measuring, err)) {
        pm_model_free(out);
        return false;
    }
    pm_model_attach(out);
    return true;
}

void pm_model_free(struct pm_model *model)
{
    if (model->tokenizer) pm_tokenizer_free(model->tokenizer);
    pm_loras_close(model->loras);
    pm_embeddings_close(model->embeddings);
    pm_checkpoint_close(&model->checkpoint);
    pm_arena_free(&model->weights);
    *model = (struct pm_model){0};
}
