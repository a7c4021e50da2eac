/* Seconds of one Prompt-to-Prompt edit with promptmill: text encoding, 50 DDIM steps of source and
 * target under guidance, decoding of both pictures. Loading the model is not counted.
 *
 *     edit [-t THREADS] [-r REPEATS] [-p PIXELS]
 *
 * prints one line of JSON: medians of the wall clock's seconds and of the processor's, which other
 * work on the machine hardly changes. PIXELS is a file for the two pictures, [2, height, width, 3]
 * bytes, for edit_diffusers.py to compare its own with: it has the same prompts, seed and
 * settings. */
#include "timing.h"

#include "pm/base/clock.h"
#include "pm/edit/edit_image.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const MODEL = "models/scenes";
static const char *const EDIT =
    "{\"id\": \"ball-to-cube\", \"source\": \"a photo of a red ball on a meadow\", \"seed\": 7,"
    " \"noise\": \"torch\", \"targets\": [{\"prompt\": \"a photo of a red cube on a meadow\","
    " \"edit\": \"replace\", \"cross_replace_steps\": 0.8, \"self_replace_steps\": 0.4}]}";
enum { STEPS = 50, MAX_REPEATS = 100 };
static const float GUIDANCE_SCALE = 7.5f;

/** What one edit needs, and where its two pictures go. */
struct bench {
    struct pm_model model;
    struct pm_schedule schedule;
    struct pm_recipe recipe;
    struct pm_arena scratch;
    size_t image_bytes;
    unsigned char *pixels; /* [2, height, width, 3], owned */
};

PM_MUST_CHECK static bool load(struct bench *b, struct pm_error *err)
{
    struct pm_schedule_config config;
    char folder[256];
    snprintf(folder, sizeof folder, "%s/scheduler", MODEL);
    PM_TRY(pm_model_load(&b->model, MODEL, err));
    PM_TRY(pm_schedule_config_load(&config, folder, err));
    PM_TRY(pm_schedule_init(&b->schedule, &config, PM_DDIM, STEPS, err));
    json_t *line = json_loads(EDIT, 0, NULL);
    PM_ASSERT(line != NULL);
    pm_recipe_resolve(line, NULL);
    PM_TRY(pm_recipe_read(&b->recipe, line, "edit", err));
    pm_arena_init(&b->scratch, pm_model_scratch_bytes());
    size_t side = b->model.unet.config.sample_size * b->model.vae.factor;
    b->image_bytes = side * side * 3;
    b->pixels = malloc(2 * b->image_bytes);
    if (!b->pixels) pm_die("no memory for two pictures of %zu bytes", b->image_bytes);
    return true;
}

static void unload(struct bench *b)
{
    free(b->pixels);
    pm_arena_free(&b->scratch);
    pm_recipe_free(&b->recipe);
    pm_model_free(&b->model);
}

static void keep_picture(void *self, int target, const struct pm_picture *picture)
{
    struct bench *b = self;
    size_t index = target == PM_SOURCE_PICTURE ? 0 : 1;
    memcpy(b->pixels + index * b->image_bytes, picture->image, b->image_bytes);
}

PM_MUST_CHECK static bool edit(struct bench *b, struct pm_error *err)
{
    struct pm_edit_settings settings = {.model = &b->model,
                                        .schedule = &b->schedule,
                                        .guidance_scale = GUIDANCE_SCALE,
                                        .latent_height = b->model.unet.config.sample_size,
                                        .latent_width = b->model.unet.config.sample_size,
                                        .negative_prompt = "",
                                        .targets_per_pass = 1};
    struct pm_prepared prepared;
    PM_TRY(pm_prepare(&prepared, &b->recipe, b->model.tokenizer, &b->schedule, err));
    *err = prepared.targets[0].error;
    bool ok = err->code == PM_OK && pm_edit_image(&settings, &b->recipe, &prepared, NULL,
                                                  keep_picture, b, &b->scratch, err);
    pm_prepared_free(&prepared);
    return ok;
}

PM_MUST_CHECK static bool measure(double *seconds, double *cpu_seconds, struct bench *b,
                                  size_t repeats, struct pm_error *err)
{
    double wall[MAX_REPEATS], cpu[MAX_REPEATS];
    PM_TRY(edit(b, err)); /* touches the memory and warms the caches */
    for (size_t i = 0; i < repeats; i++) {
        double wall_start = pm_clock_seconds(), cpu_start = processor_seconds();
        PM_TRY(edit(b, err));
        wall[i] = pm_clock_seconds() - wall_start;
        cpu[i] = processor_seconds() - cpu_start;
    }
    *seconds = median(wall, repeats);
    *cpu_seconds = median(cpu, repeats);
    return true;
}

PM_MUST_CHECK static bool write_pixels(const struct bench *b, const char *path,
                                       struct pm_error *err)
{
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(b->pixels, b->image_bytes, 2, file) == 2;
    if (file) ok = fclose(file) == 0 && ok;
    return ok || pm_fail(err, PM_E_IO, "cannot write the pictures to %s", path);
}

int main(int argc, char **argv)
{
    int threads = 1, repeats = 3, option;
    const char *pixels = NULL;
    while ((option = getopt(argc, argv, "t:r:p:")) != -1) {
        if (option == 't') threads = atoi(optarg);
        if (option == 'r') repeats = atoi(optarg);
        if (option == 'p') pixels = optarg;
        if (option == '?') return 2;
    }
    if (threads < 1 || repeats < 1 || repeats > MAX_REPEATS) {
        fprintf(stderr, "threads and repeats are at least 1, repeats at most %d\n", MAX_REPEATS);
        return 2;
    }
    omp_set_num_threads(threads);
    struct bench b = {0};
    struct pm_error err = {0};
    double seconds = 0.0, cpu_seconds = 0.0;
    bool ok = load(&b, &err) && measure(&seconds, &cpu_seconds, &b, (size_t)repeats, &err) &&
              (!pixels || write_pixels(&b, pixels, &err));
    if (ok)
        printf("{\"program\": \"promptmill\", \"threads\": %d, \"seconds\": %.3f, "
               "\"cpu_seconds\": %.3f, \"isa\": \"%s\"}\n",
               threads, seconds, cpu_seconds, pm_kernels()->isa);
    else
        fprintf(stderr, "%s\n", err.message);
    unload(&b);
    return ok ? 0 : 1;
}
