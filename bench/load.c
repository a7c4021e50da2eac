/* How long it takes to load a model: mapped, converted, packed, hashed.
 *
 *     build/bench/load MODEL [TOKENIZER [THREADS]]
 *
 * Prints seconds, and the gigabytes of packed weights. The file should be in the page cache. */
#include "pm/base/clock.h"
#include "pm/model/model.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct pm_model model;
    struct pm_error err = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: load MODEL [TOKENIZER [THREADS]]\n");
        return 1;
    }
    if (argc > 3) omp_set_num_threads((int)strtol(argv[3], NULL, 10));
    const struct pm_model_additions additions = {
        .options = {.tokenizer = argc > 2 ? argv[2] : NULL}};
    double begin = pm_clock_seconds();
    if (!pm_model_load_with(&model, argv[1], &additions, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%.2f s, %.2f GB packed\n", pm_clock_seconds() - begin,
           (double)model.weights.used / 1e9);
    pm_model_free(&model);
    return 0;
}
