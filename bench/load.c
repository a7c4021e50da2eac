/* How long the ranks of a host take to load a model, beside reading its file.
 *
 *     mpirun -n RANKS build/bench/load MODEL [TOKENIZER [THREADS [FOLDER]]]
 *
 * Prints seconds and gigabytes of packed weights. Loads twice, since a virtual machine may get memory from its
 * host only as it is written to, and slowly: the second time it has what the first gave back. With a folder,
 * it then keeps the packed weights in a file there and loads them from it, several times. A model of one
 * file is read before each, as `cat` reads it; it should be in the page cache. */
#include "../jobs/load_model.h"

#include "pm/base/clock.h"
#include "pm/base/log.h"
#include "pm/base/open_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS = 5 };

static struct pm_world world;

static void print_reading(const char *path)
{
    static char buffer[128 << 10]; /* as cat's */
    struct pm_error none = {0};
    size_t bytes;
    int file = pm_open_file(&bytes, path, &none);
    if (file < 0) return; /* a folder */
    double begin = pm_clock_seconds();
    while (read(file, buffer, sizeof buffer) > 0) continue;
    close(file);
    printf("%.2f s, %.2f GB read\n", pm_clock_seconds() - begin, (double)bytes / 1e9);
}

static bool load(const char *path, const struct pm_model_additions *additions, const char *folder,
                 const char *how, struct pm_error *err)
{
    struct pm_model model;
    if (world.rank == 0) print_reading(path);
    pm_world_barrier(MPI_COMM_WORLD);
    double begin = pm_clock_seconds();
    if (!load_model_shared(&model, &world, path, additions, folder, err)) return false;
    if (world.rank == 0)
        printf("%.2f s, %.2f GB packed%s\n", pm_clock_seconds() - begin,
               (double)model.weights.used / 1e9, how);
    fflush(stdout);
    pm_model_free(&model);
    return true;
}

int main(int argc, char **argv)
{
    struct pm_error err = {0};
    pm_world_init(&world, &argc, &argv);
    pm_log_init(PM_LOG_WARNING, world.rank, world.ranks);
    bool is_called_right = argc > 1;
    if (!is_called_right && world.rank == 0)
        fprintf(stderr, "usage: load MODEL [TOKENIZER [THREADS [FOLDER]]]\n");
    pm_world_set_threads(&world, argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1);
    const struct pm_model_additions additions = {
        .options = {.tokenizer = argc > 2 ? argv[2] : NULL}};
    const char *folder = argc > 4 ? argv[4] : NULL;
    bool ok = is_called_right && load(argv[1], &additions, NULL, "", &err) &&
              load(argv[1], &additions, NULL, ", in memory used before", &err);
    if (ok && folder) ok = load(argv[1], &additions, folder, ", or from their file", &err);
    for (int i = 0; ok && folder && i < ROUNDS; i++)
        ok = load(argv[1], &additions, folder, ", from their file", &err);
    if (!ok && is_called_right && world.rank == 0) fprintf(stderr, "%s\n", err.message);
    pm_world_free(&world);
    return !ok;
}
