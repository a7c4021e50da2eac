#include "pm/model/model.h"

#include "pm/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t WEIGHTS_BYTES = (size_t)64 << 30, SCRATCH_BYTES = (size_t)256 << 30;

size_t pm_model_scratch_bytes(void)
{
    return SCRATCH_BYTES;
}

size_t pm_model_weights_bytes(void)
{
    return WEIGHTS_BYTES;
}

static bool join(char path[PM_CONFIG_PATH_BYTES], const char *folder, const char *name,
                 struct pm_error *err)
{
    int n = snprintf(path, PM_CONFIG_PATH_BYTES, "%s/%s", folder, name);
    if (n < 0 || n >= PM_CONFIG_PATH_BYTES)
        return pm_fail(err, PM_E_INPUT, "the path %.200s... is too long", folder);
    return true;
}

/* Component by component, the classes that are built here. */
static const struct {
    const char *component, *classes;
} known_components[] = {{"tokenizer", "CLIPTokenizer|CLIPTokenizerFast"},
                        {"text_encoder", "CLIPTextModel"},
                        {"unet", "UNet2DConditionModel"},
                        {"vae", "AutoencoderKL"}};

static bool check_component(const json_t *index, const char *path, size_t i, struct pm_error *err)
{
    const char *component = known_components[i].component;
    const json_t *entry = json_object_get(index, component);
    const char *class_name = json_string_value(json_array_get(entry, 1));
    if (!class_name) return pm_fail(err, PM_E_FORMAT, "%s names no \"%s\"", path, component);
    if (!pm_config_is_listed(class_name, known_components[i].classes))
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is a %s, which is not supported; %s is", path,
                       component, class_name, known_components[i].classes);
    return true;
}

static bool check_index(const char *folder, struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    json_t *index;
    PM_TRY(join(path, folder, "model_index.json", err));
    PM_TRY(pm_json_load(&index, path, PM_CONFIG_MAX_BYTES, err));
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof known_components / sizeof *known_components; i++)
        ok = check_component(index, path, i, err);
    json_decref(index);
    return ok;
}

/* Every file that decides a result; a missing optional one counts as empty. */
static const char *const result_files[] = {"tokenizer/vocab.json",
                                           "tokenizer/merges.txt",
                                           "tokenizer/special_tokens_map.json",
                                           "tokenizer/tokenizer_config.json",
                                           "text_encoder/config.json",
                                           "text_encoder/model.safetensors",
                                           "text_encoder/model.fp16.safetensors",
                                           "unet/config.json",
                                           "unet/diffusion_pytorch_model.safetensors",
                                           "unet/diffusion_pytorch_model.fp16.safetensors",
                                           "vae/config.json",
                                           "vae/diffusion_pytorch_model.safetensors",
                                           "vae/diffusion_pytorch_model.fp16.safetensors",
                                           "scheduler/scheduler_config.json"};

static bool hash_file(uint64_t *hash, const char *path, struct pm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return true;
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        if (fd >= 0) close(fd);
        return pm_fail(err, PM_E_IO, "cannot read %s: %s", path, strerror(errno));
    }
    void *map = status.st_size > 0
                    ? mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0)
                    : NULL;
    close(fd);
    if (map == MAP_FAILED) return pm_fail(err, PM_E_IO, "cannot map %s: %s", path, strerror(errno));
    if (!map) return true;
    *hash = pm_hash64(map, (size_t)status.st_size, *hash);
    munmap(map, (size_t)status.st_size);
    return true;
}

/* Files of a layout that is not in the list above, in the order of their index. */
static bool hash_shards(uint64_t *hash, const char *folder, const char *stem, struct pm_error *err)
{
    struct pm_tensor_set set;
    PM_TRY(pm_tensor_set_open(&set, folder, stem, err));
    for (size_t i = 0; set.has_index && i < set.file_count; i++)
        *hash = pm_hash64(set.files[i].map, set.files[i].map_bytes, *hash);
    pm_tensor_set_close(&set);
    return true;
}

static bool hash_more_files(char text[PM_HASH_TEXT_BYTES], const char *folder, struct pm_error *err)
{
    struct {
        char listed[PM_HASH_TEXT_BYTES - 1];
        uint64_t more;
    } all = {.more = 0};
    _Static_assert(sizeof all == PM_HASH_TEXT_BYTES - 1 + sizeof(uint64_t), "no padding is hashed");
    static const char *const networks[][2] = {{"text_encoder", "model"},
                                              {"unet", "diffusion_pytorch_model"},
                                              {"vae", "diffusion_pytorch_model"}};
    char path[PM_CONFIG_PATH_BYTES];
    PM_TRY(join(path, folder, "tokenizer/added_tokens.json", err));
    PM_TRY(hash_file(&all.more, path, err));
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        PM_TRY(join(path, folder, networks[i][0], err));
        PM_TRY(hash_shards(&all.more, path, networks[i][1], err));
    }
    if (all.more == 0) return true;
    memcpy(all.listed, text, sizeof all.listed);
    pm_hash_text(text, &all, sizeof all);
    return true;
}

static bool fingerprint(char text[PM_HASH_TEXT_BYTES], const char *folder, struct pm_error *err)
{
    enum { FILES = sizeof result_files / sizeof *result_files };
    uint64_t hashes[FILES];
    for (size_t i = 0; i < FILES; i++) {
        char path[PM_CONFIG_PATH_BYTES];
        hashes[i] = 0;
        PM_TRY(join(path, folder, result_files[i], err));
        PM_TRY(hash_file(&hashes[i], path, err));
    }
    pm_hash_text(text, hashes, sizeof hashes);
    return hash_more_files(text, folder, err);
}

bool pm_model_load_tokenizer(struct pm_tokenizer **out, const char *folder, struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    PM_TRY(join(path, folder, "tokenizer", err));
    return pm_tokenizer_load(out, path, err);
}

bool pm_model_open(struct pm_model *out, const char *folder, struct pm_error *err)
{
    *out = (struct pm_model){0};
    return check_index(folder, err) && pm_model_load_tokenizer(&out->tokenizer, folder, err);
}

bool pm_model_add(struct pm_model *opened, const struct pm_model_additions *additions,
                  struct pm_error *err)
{
    PM_ASSERT(!opened->loras && !opened->embeddings);
    if (additions->lora_count > 0)
        PM_TRY(pm_loras_open(&opened->loras, additions->loras, additions->lora_count, err));
    if (additions->embedding_count == 0) return true;
    PM_TRY(pm_embeddings_open(&opened->embeddings, additions->embeddings,
                              additions->embedding_count, err));
    return pm_embeddings_add_words(opened->embeddings, opened->tokenizer, err);
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

/* The tokenizer's own ids have rows in the text encoder's table; those of new words get vectors. */
static bool check_tokens(struct pm_text_encoder *encoder, const struct pm_model *opened,
                         const char *folder, struct pm_arena *memory, struct pm_error *err)
{
    size_t added = opened->embeddings ? pm_embeddings_count(opened->embeddings) : 0;
    size_t own = pm_tokenizer_size(opened->tokenizer) - added;
    const float *vectors;
    if (own > encoder->vocabulary)
        return pm_fail(err, PM_E_FORMAT, "%s: the tokenizer has %zu tokens, the text encoder %zu",
                       folder, own, encoder->vocabulary);
    if (!opened->embeddings) return true;
    PM_TRY(pm_embeddings_vectors(&vectors, opened->embeddings, encoder->channels, memory, err));
    pm_text_encoder_add(encoder, own, vectors, added);
    return true;
}

static bool open_component(struct pm_component *out, const char *folder, enum pm_network network,
                           struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    PM_TRY(join(path, folder, pm_network_name(network), err));
    return pm_component_open(out, path, network, err);
}

static bool load_network(struct networks *n, enum pm_network network, const struct pm_model *opened,
                         const char *folder, struct pm_arena *memory, struct pm_error *err)
{
    struct pm_component component;
    PM_TRY(open_component(&component, folder, network, err));
    bool ok =
        network == PM_UNET ? pm_unet_load_from(&n->unet, &component, opened->loras, memory, err)
        : network == PM_VAE
            ? pm_vae_load_from(&n->vae, &component, memory, err)
            : pm_text_encoder_load_from(&n->text_encoder, &component, opened->loras, memory, err);
    pm_component_close(&component);
    return ok;
}

bool pm_model_load_weights(struct pm_arena *memory, const struct pm_model *opened,
                           const char *folder, struct pm_error *err)
{
    PM_ASSERT(memory->used == 0);
    struct networks *n = pm_arena_bytes(memory, sizeof *n);
    PM_TRY(load_network(n, PM_TEXT_ENCODER, opened, folder, memory, err));
    PM_TRY(load_network(n, PM_UNET, opened, folder, memory, err));
    if (opened->loras) PM_TRY(pm_loras_check_all_used(opened->loras, err));
    PM_TRY(load_network(n, PM_VAE, opened, folder, memory, err));
    if (n->unet.config.context_channels != n->text_encoder.channels)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: the UNet attends to %zu channels, the text encoder gives %zu", folder,
                       n->unet.config.context_channels, n->text_encoder.channels);
    if (n->unet.config.in_channels != n->vae.config.latent_channels)
        return pm_fail(err, PM_E_FORMAT, "%s: the UNet has %zu latent channels, the VAE %zu",
                       folder, n->unet.config.in_channels, n->vae.config.latent_channels);
    PM_TRY(check_tokens(&n->text_encoder, opened, folder, memory, err));
    PM_TRY(fingerprint(n->fingerprint, folder, err));
    hash_additions(n->fingerprint, opened);
    return true;
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

bool pm_model_load(struct pm_model *out, const char *folder, struct pm_error *err)
{
    return pm_model_load_with(out, folder, &(struct pm_model_additions){0}, err);
}

bool pm_model_load_with(struct pm_model *out, const char *folder,
                        const struct pm_model_additions *additions, struct pm_error *err)
{
    PM_TRY(pm_model_open(out, folder, err));
    pm_arena_init(&out->weights, WEIGHTS_BYTES);
    if (!pm_model_add(out, additions, err) ||
        !pm_model_load_weights(&out->weights, out, folder, err)) {
        pm_model_free(out);
        return false;
    }
    pm_arena_seal(&out->weights);
    pm_model_attach(out);
    return true;
}

void pm_model_free(struct pm_model *model)
{
    if (model->tokenizer) pm_tokenizer_free(model->tokenizer);
    pm_loras_close(model->loras);
    pm_embeddings_close(model->embeddings);
    pm_arena_free(&model->weights);
    *model = (struct pm_model){0};
}
