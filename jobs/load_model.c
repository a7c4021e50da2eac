#include "load_model.h"

#include "pm/base/log.h"
#include "pm/runtime/agree.h"
#include "pm/runtime/node_arena.h"

#include <stdlib.h>

static bool load_weights(void *self, struct pm_arena *memory, size_t share, size_t shares,
                         struct pm_error *err)
{
    return pm_model_load_weights(memory, self, share, shares, err);
}

void config_additions_make(struct config_additions *out, const struct pm_config *config)
{
    for (size_t i = 0; i < config->lora_count; i++)
        out->loras[i] =
            (struct pm_lora_file){.path = config->loras[i].file, .weight = config->loras[i].weight};
    for (size_t i = 0; i < config->embedding_count; i++)
        out->embeddings[i] = (struct pm_embedding_file){.path = config->embeddings[i].file,
                                                        .token = config->embeddings[i].token};
    out->all = (struct pm_model_additions){.options = {.tokenizer = config->tokenizer,
                                                       .configs = config->model_config,
                                                       .prediction = config->prediction},
                                           .precision = config->is_bf16 ? PM_BF16 : PM_FP32,
                                           .loras = out->loras,
                                           .lora_count = config->lora_count,
                                           .embeddings = out->embeddings,
                                           .embedding_count = config->embedding_count};
}

bool measure_model(struct pm_model *out, const struct pm_config *config, struct pm_error *err)
{
    struct config_additions additions;
    config_additions_make(&additions, config);
    PM_TRY(pm_model_measure(out, config->model, &additions.all, err));
    if (pm_model_fingerprint(out, NULL, err)) return true;
    pm_model_free(out);
    return false;
}

static bool files_change(const char *path, struct pm_error *err)
{
    return pm_fail(err, PM_E_IO, "%s: its files change while they are read", path);
}

/* What the ranks of a host have hashed of the model's files becomes everyone's. All have it, or there is
 * an error. Collective. */
static bool combine_hashes(struct pm_hash_pieces *pieces, const struct pm_world *world,
                           const char *path, struct pm_error *err)
{
    uint64_t most[2] = {pieces->count, ~(uint64_t)pieces->count};
    MPI_Allreduce(MPI_IN_PLACE, most, 2, MPI_UINT64_T, MPI_MAX, world->node_comm);
    bool alike = most[0] == ~most[1];
    PM_TRY(pm_agree(MPI_COMM_WORLD, alike || files_change(path, err), err));
    MPI_Allreduce(MPI_IN_PLACE, pieces->hashes, (int)pieces->count, MPI_UINT64_T, MPI_BOR,
                  world->node_comm);
    pieces->are_known = true;
    return true;
}

static bool hash_together(struct pm_model *model, struct pm_hash_pieces *pieces,
                          const struct pm_world *world, struct pm_error *err)
{
    PM_TRY(pm_agree(MPI_COMM_WORLD, pm_model_fingerprint(model, pieces, err), err));
    PM_TRY(combine_hashes(pieces, world, model->checkpoint.path, err));
    bool ok = pm_model_fingerprint(model, pieces, err) &&
              (pieces->used == pieces->count || files_change(model->checkpoint.path, err));
    return pm_agree(MPI_COMM_WORLD, ok, err);
}

/* The fingerprint is of all bytes of the model: the ranks of a host read a share each. Collective. */
static bool share_fingerprint(struct pm_model *model, const struct pm_world *world,
                              struct pm_error *err)
{
    struct pm_hash_pieces pieces = {.share = (size_t)world->node_rank,
                                    .shares = (size_t)world->ranks_on_node};
    bool ok = hash_together(model, &pieces, world, err);
    free(pieces.hashes);
    return ok;
}

/* All hosts have the weights in a file, or none uses it, and the model is as it was opened. */
static bool map_packed(bool *is_mapped, struct pm_model *opened, const struct pm_world *world,
                       const char *folder, struct pm_error *err)
{
    struct pm_error why = {0};
    PM_TRY(pm_agree(MPI_COMM_WORLD, pm_model_measure_weights(opened, err), err));
    PM_TRY(share_fingerprint(opened, world, err));
    bool ok = pm_model_map_packed(opened, folder, (size_t)world->node_rank,
                                  (size_t)world->ranks_on_node, &why);
    *is_mapped = pm_agree(MPI_COMM_WORLD, ok, &why);
    if (*is_mapped) return true;
    pm_model_drop_weights(opened);
    if (world->rank == 0)
        pm_log(PM_LOG_INFO, "%s: the weights are packed, and kept there for the next run",
               why.message);
    return true;
}

static bool pack(struct pm_model *opened, const struct pm_world *world, struct pm_error *err)
{
    PM_TRY(pm_node_arena_fill(&opened->weights, world, "weights", pm_model_weights_bytes(),
                              load_weights, opened, err));
    return opened->fingerprint[0] || share_fingerprint(opened, world, err);
}

static void save_packed(const struct pm_model *model, const struct pm_world *world,
                        const char *folder)
{
    struct pm_error why = {0};
    if (world->node_rank == 0 && !pm_model_save_packed(model, folder, &why))
        pm_log(PM_LOG_WARNING, "the packed weights are not kept: %s", why.message);
}

bool load_model_shared(struct pm_model *out, const struct pm_world *world, const char *path,
                       const struct pm_model_additions *additions, const char *packed,
                       struct pm_error *err)
{
    bool is_mapped = false;
    bool ok = pm_agree(MPI_COMM_WORLD, pm_model_open(out, path, additions, err), err) &&
              (!packed || map_packed(&is_mapped, out, world, packed, err)) &&
              (is_mapped || pack(out, world, err));
    if (!ok) {
        pm_model_free(out);
        return false;
    }
    if (packed && !is_mapped) save_packed(out, world, packed);
    return true;
}
