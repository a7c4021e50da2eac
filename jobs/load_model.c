#include "load_model.h"

#include "pm/runtime/agree.h"
#include "pm/runtime/node_arena.h"

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
    if (pm_model_fingerprint(out, err)) return true;
    pm_model_free(out);
    return false;
}

bool load_model_shared(struct pm_model *out, const struct pm_world *world, const char *path,
                       const struct pm_model_additions *additions, struct pm_error *err)
{
    bool ok = pm_agree(MPI_COMM_WORLD, pm_model_open(out, path, additions, err), err) &&
              pm_node_arena_fill(&out->weights, world, "weights", pm_model_weights_bytes(),
                                 load_weights, out, err);
    if (!ok) {
        pm_model_free(out);
        return false;
    }
    pm_model_attach(out);
    return true;
}
