#include "load_model.h"

#include "pm/runtime/agree.h"
#include "pm/runtime/node_arena.h"

struct loading {
    const struct pm_model *opened;
    const char *folder;
};

static bool load_weights(void *self, struct pm_arena *memory, struct pm_error *err)
{
    const struct loading *l = self;
    return pm_model_load_weights(memory, l->opened, l->folder, err);
}

bool load_model_shared(struct pm_model *out, const struct pm_world *world, const char *folder,
                       struct pm_error *err)
{
    struct loading loading = {.opened = out, .folder = folder};
    bool ok = pm_agree(MPI_COMM_WORLD, pm_model_open(out, folder, err), err) &&
              pm_node_arena_fill(&out->weights, world, "weights", pm_model_weights_bytes(),
                                 load_weights, &loading, err);
    if (!ok) {
        pm_model_free(out);
        return false;
    }
    pm_model_attach(out);
    return true;
}
