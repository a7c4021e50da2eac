/* How long it takes to load a model: mapped, converted, packed, hashed.
 *
 *     build/bench/load MODEL [TOKENIZER [THREADS [FOLDER]]]
 *
 * Prints seconds, and the gigabytes of packed weights. The file should be in the page cache. Loads
 * twice, since a virtual machine may get memory from its host only as it is written to, and slowly:
 * the second time it has what the first gave back. Then, with a folder, keeps the packed weights in a
 * file there and loads them from it. */
#include "pm/base/clock.h"
#include "pm/model/model.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

static void print(double begin, const struct pm_model *model, const char *how)
{
    printf("%.2f s, %.2f GB packed%s\n", pm_clock_seconds() - begin,
           (double)model->weights.used / 1e9, how);
    fflush(stdout);
}

static bool load(const char *path, const struct pm_model_additions *additions, const char *folder,
                 const char *how, struct pm_error *err)
{
    struct pm_model model;
    double begin = pm_clock_seconds();
    PM_TRY(pm_model_load_with(&model, path, additions, err));
    print(begin, &model, how);
    bool ok = !folder || pm_model_save_packed(&model, folder, err);
    pm_model_free(&model);
    return ok;
}

static bool map(const char *path, const struct pm_model_additions *additions, const char *folder,
                struct pm_error *err)
{
    struct pm_model model;
    double begin = pm_clock_seconds();
    PM_TRY(pm_model_measure(&model, path, additions, err));
    bool ok =
        pm_model_fingerprint(&model, NULL, err) && pm_model_map_packed(&model, folder, 0, 1, err);
    if (ok) print(begin, &model, ", from their file");
    pm_model_free(&model);
    return ok;
}

int main(int argc, char **argv)
{
    struct pm_error err = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: load MODEL [TOKENIZER [THREADS [FOLDER]]]\n");
        return 1;
    }
    if (argc > 3) omp_set_num_threads((int)strtol(argv[3], NULL, 10));
    const struct pm_model_additions additions = {
        .options = {.tokenizer = argc > 2 ? argv[2] : NULL}};
    const char *folder = argc > 4 ? argv[4] : NULL;
    bool ok = load(argv[1], &additions, NULL, "", &err) &&
              load(argv[1], &additions, folder, ", in memory used before", &err) &&
              (!folder || map(argv[1], &additions, folder, &err));
    if (!ok) fprintf(stderr, "%s\n", err.message);
    return !ok;
}
