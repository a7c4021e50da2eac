#include "checkpoint_impl.h"

#include "pm/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool hash_file(uint64_t *hash, const char *path, struct pm_hash_pieces *pieces,
                      struct pm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* of a pipe, at once */
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
    *hash = pm_hash64_map(map, (size_t)status.st_size, *hash, pieces);
    munmap(map, (size_t)status.st_size);
    return true;
}

/* tokenizer.json, where there is nothing else to read. */
static bool hash_whole_tokenizer(uint64_t *hash, const char *folder, struct pm_hash_pieces *pieces,
                                 struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, "vocab.json", err));
    if (access(path, F_OK) == 0) return true;
    PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, "tokenizer.json", err));
    return hash_file(hash, path, pieces, err);
}

/* Files of a layout that is not in the list above, in the order of their index. */
static bool hash_shards(uint64_t *hash, const char *folder, const char *stem,
                        struct pm_hash_pieces *pieces, struct pm_error *err)
{
    struct pm_tensor_set set;
    PM_TRY(pm_tensor_set_open(&set, folder, stem, err));
    for (size_t i = 0; set.has_index && i < set.file_count; i++)
        *hash = pm_hash64_map(set.files[i].map, set.files[i].map_bytes, *hash, pieces);
    pm_tensor_set_close(&set);
    return true;
}

/* A number more that a fingerprint depends on. */
static void mix_in(char text[PM_HASH_TEXT_BYTES], uint64_t number)
{
    struct {
        char text[PM_HASH_TEXT_BYTES - 1];
        uint64_t number;
    } all = {.number = number};
    _Static_assert(sizeof all == PM_HASH_TEXT_BYTES - 1 + sizeof(uint64_t), "no padding is hashed");
    memcpy(all.text, text, sizeof all.text);
    pm_hash_text(text, &all, sizeof all);
}

static bool hash_more_files(char text[PM_HASH_TEXT_BYTES], const char *folder,
                            struct pm_hash_pieces *pieces, struct pm_error *err)
{
    static const enum pm_network networks[] = {PM_TEXT_ENCODER, PM_UNET, PM_VAE};
    uint64_t more = 0;
    char path[PM_CONFIG_PATH_BYTES];
    PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, "tokenizer/added_tokens.json", err));
    PM_TRY(hash_file(&more, path, pieces, err));
    PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, "tokenizer", err));
    PM_TRY(hash_whole_tokenizer(&more, path, pieces, err));
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, pm_network_name(networks[i]), err));
        PM_TRY(hash_shards(&more, path, pm_network_stem(networks[i]), pieces, err));
    }
    if (more != 0) mix_in(text, more);
    return true;
}

static bool hash_folder(char text[PM_HASH_TEXT_BYTES], const char *folder,
                        struct pm_hash_pieces *pieces, struct pm_error *err)
{
    enum { FILES = sizeof result_files / sizeof *result_files };
    uint64_t hashes[FILES];
    for (size_t i = 0; i < FILES; i++) {
        char path[PM_CONFIG_PATH_BYTES];
        hashes[i] = 0;
        PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, result_files[i], err));
        PM_TRY(hash_file(&hashes[i], path, pieces, err));
    }
    pm_hash_text(text, hashes, sizeof hashes);
    return hash_more_files(text, folder, pieces, err);
}

static bool hash_tokenizer(uint64_t *hash, const struct pm_checkpoint *checkpoint,
                           struct pm_hash_pieces *pieces, struct pm_error *err)
{
    static const char *const files[] = {"vocab.json", "merges.txt", "special_tokens_map.json",
                                        "tokenizer_config.json", "added_tokens.json"};
    char folder[PM_CONFIG_PATH_BYTES], path[PM_CONFIG_PATH_BYTES];
    PM_TRY(pm_checkpoint_tokenizer_folder(folder, checkpoint, err));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, files[i], err));
        PM_TRY(hash_file(hash, path, pieces, err));
    }
    return hash_whole_tokenizer(hash, folder, pieces, err);
}

static void hash_json(uint64_t *hash, const json_t *json)
{
    char *text = pm_json_text(json);
    *hash = pm_hash64(text, strlen(text), *hash);
    free(text);
}

/* Its bytes, its tokenizer's, and what it was taken for. */
static bool hash_single_file(char text[PM_HASH_TEXT_BYTES], const struct pm_checkpoint *checkpoint,
                             struct pm_hash_pieces *pieces, struct pm_error *err)
{
    const struct pm_single_file *file = checkpoint->file;
    uint64_t hashes[3] = {pm_hash64_map(file->file.map, file->file.map_bytes, 0, pieces)};
    PM_TRY(hash_tokenizer(&hashes[1], checkpoint, pieces, err));
    for (int i = 0; i < PM_NETWORKS; i++) hash_json(&hashes[2], file->model.configs[i]);
    hash_json(&hashes[2], file->model.scheduler);
    pm_hash_text(text, hashes, sizeof hashes);
    return true;
}

/* A tokenizer in place of a folder's own. */
static bool hash_other_tokenizer(char text[PM_HASH_TEXT_BYTES],
                                 const struct pm_checkpoint *checkpoint,
                                 struct pm_hash_pieces *pieces, struct pm_error *err)
{
    uint64_t tokenizer = 0;
    PM_TRY(hash_tokenizer(&tokenizer, checkpoint, pieces, err));
    mix_in(text, tokenizer);
    return true;
}

bool pm_checkpoint_fingerprint(char text[PM_HASH_TEXT_BYTES],
                               const struct pm_checkpoint *checkpoint,
                               struct pm_hash_pieces *pieces, struct pm_error *err)
{
    if (checkpoint->file) return hash_single_file(text, checkpoint, pieces, err);
    PM_TRY(hash_folder(text, checkpoint->path, pieces, err));
    return !checkpoint->given.tokenizer || hash_other_tokenizer(text, checkpoint, pieces, err);
}
