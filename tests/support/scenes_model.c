#include "scenes_model.h"
#include "test.h"

#include <omp.h>
#include <string.h>

struct pm_model model;
struct pm_schedule ddim, pndm;
struct pm_arena scratch;

int load_scenes(size_t steps)
{
    struct pm_error err = {0};
    struct pm_schedule_config config;
    omp_set_num_threads(1);
    pm_arena_init(&scratch, (size_t)1 << 32);
    memset(scratch.base, 0xFF, 1 << 26);
    if (pm_model_load(&model, "models/scenes", &err) &&
        pm_schedule_config_load(&config, "models/scenes/scheduler", &err) &&
        pm_schedule_init(&ddim, &config, PM_DDIM, steps, &err) &&
        pm_schedule_init(&pndm, &config, PM_PNDM, steps, &err))
        return 0;
    print_error("%s\n", err.message);
    return -1;
}

int free_scenes(void **state)
{
    (void)state;
    pm_model_free(&model);
    pm_arena_free(&scratch);
    return 0;
}
