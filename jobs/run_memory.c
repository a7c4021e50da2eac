#include "run_memory.h"

#include "pm/runtime/memory.h"

#include <stdio.h>

struct run_memory run_memory_make(const struct pm_config *config, const struct pm_model *model,
                                  size_t ranks, size_t scratch_bytes)
{
    double bytes = config->memory_bytes;
    return (struct run_memory){.host_bytes = bytes > 0.0 ? bytes : pm_memory_bytes(""),
                               .weights_bytes = (double)model->weights.used,
                               .scratch_bytes = (double)scratch_bytes,
                               .ranks = ranks};
}

double run_memory_share(const struct run_memory *m)
{
    return (m->host_bytes - m->weights_bytes) / (double)m->ranks - RUN_MEMORY_RANK_BYTES;
}

/* A picture's maps are widened to the longest prompt's, and one after the other narrowed to the
 * dataset's numbers. */
double run_memory_picture_bytes(const struct pm_store_shape *shape)
{
    double all = 0.0, largest = 0.0;
    for (size_t i = 0; i < shape->capture_count; i++) {
        const struct pm_store_capture *c = &shape->captures[i];
        double pixels = (double)(c->height * c->width), bytes = sizeof(float) * pixels;
        bytes *= c->is_self       ? pixels
                 : c->is_of_words ? (double)shape->words
                                  : (double)shape->tokens;
        if (c->steps) bytes *= (double)c->steps;
        if (c->layers) bytes *= (double)c->layers;
        if (c->heads) bytes *= (double)c->heads;
        all += bytes;
        if (bytes > largest) largest = bytes;
    }
    return all + largest;
}

double run_memory_rank_bytes(const struct run_plan *plan)
{
    return (double)plan->items[run_plan_largest(plan)].bytes +
           run_memory_picture_bytes(&plan->shape) + RUN_MEMORY_RANK_BYTES;
}

/* What would help, when targets are done one by one. */
static void describe_help(char *text, size_t bytes, double alone, double share, size_t ranks)
{
    const char *fewer = ranks > 1 ? "; fewer ranks on a host have more each" : "";
    if (alone <= share)
        snprintf(text, bytes, "; with \"limits.targets_per_pass\": 1 it needs %.2f GB%s",
                 alone / 1e9, fewer);
    else
        snprintf(text, bytes, "%s", fewer);
}

bool run_memory_allows(const struct run_memory *m, const struct run_plan *plan,
                       const struct pm_store_shape *shape, const struct pm_recipe *recipe,
                       const struct pm_prepared *prepared, struct pm_error *err)
{
    char help[128];
    const struct pm_edit_memory *edits = &plan->edit_memory;
    double share = run_memory_share(m), picture = run_memory_picture_bytes(shape);
    double scratch =
        (double)pm_edit_memory_bytes(edits, recipe, prepared, plan->settings->targets_per_pass);
    if (scratch > m->scratch_bytes)
        return pm_fail(err, PM_E_MEMORY,
                       "the edit needs %.2f GB, and a rank may have address space for %.2f GB "
                       "(ulimit -v)",
                       scratch / 1e9, m->scratch_bytes / 1e9);
    double needed = picture + scratch;
    if (needed <= share) return true;
    double alone = picture + (double)pm_edit_memory_bytes(edits, recipe, prepared, 1);
    describe_help(help, sizeof help, alone, share, m->ranks);
    return pm_fail(err, PM_E_MEMORY,
                   "the edit needs %.2f GB, and a rank has %.2f GB for edits: %zu rank%s on a host "
                   "of %.2f GB%s, %.2f GB of which the model takes%s",
                   needed / 1e9, share > 0.0 ? share / 1e9 : 0.0, m->ranks,
                   m->ranks == 1 ? "" : "s", m->host_bytes / 1e9,
                   plan->config->memory_bytes > 0.0 ? " (\"limits.memory_bytes\")" : "",
                   m->weights_bytes / 1e9, help);
}
