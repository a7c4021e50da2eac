/* Seconds of the parts of an edit: a UNet pass with its maps made and edited, a picture's decoding, the
 * prompts' encoding.
 *
 *     pass MODEL TOKENIZER [-b] [-p fp32|bf16] [-t THREADS] [-n TARGETS] [-r REPEATS]
 *         [-o FILE] [pass|decode|encode ...]
 *
 * A pass is one step's, of a source and its targets with and without guidance: 2 + 2 TARGETS samples. All
 * cross-attention maps of the conditional ones are made and edited, and self-attention is copied in
 * layers of at most 16x16 pixels. One that is not counted warms up. Prints one line of JSON a part: medians of the
 * wall clock's seconds and of the processor's, and the memory taken beyond the weights; with -b, on stderr, what
 * each kind of layer took of one of them. With -o nothing is timed: a pass's latents, context and output go to FILE as
 * float32, for bench/accuracy.py. */
#include "timing.h"

#include "pm/base/clock.h"
#include "pm/control/attention_control.h"
#include "pm/diffusion/schedule.h"
#include "pm/edit/prepare.h"
#include "pm/kernels/profile.h"
#include "pm/model/model.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 50, STEP = 10, MAX_REPEATS = 100, MAX_TARGETS = 8, MOST_SELF_PIXELS = 256 };

static const char *const EDIT = "{\"id\": \"cat-to-dog\", \"source\": \"a photo of a cat on a "
                                "sofa\", \"targets\": [{\"prompt\": "
                                "\"a photo of a dog on a sofa\", \"edit\": \"replace\"}]}";

struct bench {
    struct pm_model model;
    struct pm_schedule schedule;
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pm_arena inputs, scratch;
    size_t targets, samples, side;
    float *latents, *out, *context, *image;
    struct pm_unet_context kv;
    struct pm_attention_control control;
    struct pm_attention_hook hook;
    struct pm_target_control controls[MAX_TARGETS];
};

static float *random_floats(struct pm_arena *arena, size_t n)
{
    float *x = pm_arena_floats(arena, n);
    unsigned state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = ((float)(state >> 8) - 8388608.0f) * (1.7320508f / 8388608.0f);
    }
    return x;
}

PM_MUST_CHECK static bool load(struct bench *b, const char *path,
                               const struct pm_model_additions *additions, struct pm_error *err)
{
    struct pm_schedule_config config;
    PM_TRY(pm_model_load_with(&b->model, path, additions, err));
    PM_TRY(pm_schedule_config_read(&config, b->model.checkpoint.scheduler,
                                   b->model.checkpoint.scheduler_path, err));
    PM_TRY(pm_schedule_init(&b->schedule, &config, PM_DDIM, STEPS, err));
    json_t *line = json_loads(EDIT, 0, NULL);
    PM_ASSERT(line != NULL);
    pm_recipe_resolve(line, NULL);
    PM_TRY(pm_recipe_read(&b->recipe, line, "edit", err));
    PM_TRY(pm_prepare(&b->prepared, &b->recipe, b->model.tokenizer, &b->schedule, err));
    return b->prepared.targets[0].error.code == PM_OK ||
           pm_fail(err, PM_E_INPUT, "%s", b->prepared.targets[0].error.message);
}

static void make_inputs(struct bench *b)
{
    const struct pm_unet *unet = &b->model.unet;
    size_t count, pixels, context;
    b->side = unet->config.sample_size;
    b->samples = 2 + 2 * b->targets;
    pixels = b->side * b->side;
    context = PM_TOKENS * unet->config.context_channels;
    pm_arena_init(&b->inputs, (size_t)8 << 30);
    pm_arena_init(&b->scratch, pm_model_scratch_bytes());
    b->latents = random_floats(&b->inputs, b->samples * pixels * unet->config.in_channels);
    b->out = pm_arena_floats(&b->inputs, b->samples * pixels * unet->config.out_channels);
    b->context = random_floats(&b->inputs, b->samples * context);
    b->image = pm_arena_floats(&b->inputs, pixels * b->model.vae.factor * b->model.vae.factor * 3);
    b->kv = pm_unet_context_make(unet, b->context, b->samples, PM_TOKENS, &b->inputs);
    count = pm_unet_attention_sites(unet, b->side, b->side, NULL);
    struct pm_attention_site *sites = pm_arena_bytes(&b->inputs, count * sizeof *sites);
    pm_unet_attention_sites(unet, b->side, b->side, sites);
    for (size_t i = 0; i < b->targets; i++)
        b->controls[i] = (struct pm_target_control){.map = &b->prepared.targets[0].map,
                                                    .self_end = STEPS,
                                                    .self_max_pixels = MOST_SELF_PIXELS};
    b->control = pm_attention_control_make(b->controls, b->targets, sites, count,
                                           unet->config.in_channels, NULL, 0, &b->inputs);
    b->hook = pm_attention_control_hook(&b->control);
    b->hook.first_sample = b->hook.samples = b->targets + 1;
    b->hook.begin_step(b->hook.self, STEP);
}

static void run_pass(struct bench *b)
{
    pm_unet_forward(b->out, &b->model.unet, b->latents, (float)b->schedule.timesteps[STEP], &b->kv,
                    b->side, b->side, &b->hook, &b->scratch);
}

static void run_decode(struct bench *b)
{
    pm_vae_decode(b->image, &b->model.vae, b->latents, 1, b->side, b->side, &b->scratch);
}

static void run_encode(struct bench *b)
{
    static int32_t ids[(MAX_TARGETS + 2) * PM_TOKENS];
    size_t mark = b->scratch.used, prompts = b->targets + 2;
    float *out = pm_arena_floats(&b->scratch, prompts * PM_TOKENS * b->model.text_encoder.channels);
    pm_text_encoder_forward(out, &b->model.text_encoder, ids, prompts, NULL, &b->scratch);
    b->scratch.used = mark;
}

/** A plain pass, [samples, y, x, channel] and the context [samples, tokens, channels]. */
static bool write_pass(struct bench *b, const char *path)
{
    const struct pm_unet_config *c = &b->model.unet.config;
    size_t pixels = b->samples * b->side * b->side;
    pm_unet_forward(b->out, &b->model.unet, b->latents, (float)b->schedule.timesteps[STEP], &b->kv,
                    b->side, b->side, NULL, &b->scratch);
    size_t latents = pixels * c->in_channels, out = pixels * c->out_channels;
    size_t context = b->samples * PM_TOKENS * c->context_channels;
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(b->latents, sizeof(float), latents, file) == latents &&
              fwrite(b->context, sizeof(float), context, file) == context &&
              fwrite(b->out, sizeof(float), out, file) == out;
    if (file) ok = fclose(file) == 0 && ok;
    if (!ok) fprintf(stderr, "cannot write %s\n", path);
    return ok;
}

static const struct part {
    const char *name;
    void (*run)(struct bench *b);
} parts[] = {{"pass", run_pass}, {"decode", run_decode}, {"encode", run_encode}};
enum { PARTS = sizeof parts / sizeof *parts };

/** Of one more run. */
static void break_down(struct bench *b, const struct part *part)
{
    struct pm_profile before = pm_profile_so_far();
    double begin = pm_clock_seconds();
    part->run(b);
    double total = pm_clock_seconds() - begin;
    struct pm_profile after = pm_profile_so_far();
    for (size_t i = 0; i < PM_PROFILE_KINDS; i++) {
        double seconds = after.seconds[i] - before.seconds[i];
        double flops = after.flops[i] - before.flops[i];
        if (seconds == 0.0) continue;
        fprintf(stderr, "%-7s %-22s %8.3f s %6.1f%% %9.1f GFLOP %8.1f GFLOP/s\n", part->name,
                pm_profile_kind_name(i), seconds, 100.0 * seconds / total, flops / 1e9,
                flops / seconds / 1e9);
    }
}

static void measure(struct bench *b, const struct part *part, size_t repeats, const char *precision,
                    bool breaks_down)
{
    double wall[MAX_REPEATS], cpu[MAX_REPEATS];
    b->scratch.peak = 0;
    part->run(b);
    for (size_t i = 0; i < repeats; i++) {
        double wall_start = pm_clock_seconds(), cpu_start = processor_seconds();
        part->run(b);
        wall[i] = pm_clock_seconds() - wall_start;
        cpu[i] = processor_seconds() - cpu_start;
    }
    printf("{\"peer\": \"promptmill\", \"part\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, "
           "\"batch\": %zu, \"seconds\": %.4f, \"cpu_seconds\": %.4f, \"scratch_bytes\": %zu, "
           "\"isa\": \"%s\"}\n",
           part->name, precision, omp_get_max_threads(), part->run == run_decode ? 1 : b->samples,
           median(wall, repeats), median(cpu, repeats), b->scratch.peak, pm_kernels()->isa);
    fflush(stdout);
    if (breaks_down) break_down(b, part);
}

int main(int argc, char **argv)
{
    const char *precision = "fp32", *output = NULL;
    int threads = 1, targets = 1, repeats = 3, option;
    bool breaks_down = false;
    while ((option = getopt(argc, argv, "bp:t:n:r:o:")) != -1) {
        if (option == 'b') breaks_down = true;
        if (option == 'p') precision = optarg;
        if (option == 'o') output = optarg;
        if (option == 't') threads = atoi(optarg);
        if (option == 'n') targets = atoi(optarg);
        if (option == 'r') repeats = atoi(optarg);
        if (option == '?') return 2;
    }
    bool is_bf16 = strcmp(precision, "bf16") == 0;
    if (argc - optind < 2 || threads < 1 || targets < 1 || targets > MAX_TARGETS || repeats < 1 ||
        repeats > MAX_REPEATS || (!is_bf16 && strcmp(precision, "fp32") != 0)) {
        fprintf(stderr, "usage: pass MODEL TOKENIZER [-b] [-p fp32|bf16] [-t THREADS] [-n TARGETS] "
                        "[-r REPEATS] [pass|decode|encode ...]\n");
        return 2;
    }
    omp_set_num_threads(threads);
    if (breaks_down) pm_profile_start();
    static struct bench b;
    struct pm_error err = {0};
    const char *tokenizer = argv[optind + 1];
    const struct pm_model_additions additions = {
        .options = {.tokenizer = *tokenizer ? tokenizer : NULL},
        .precision = is_bf16 ? PM_BF16 : PM_FP32};
    b.targets = (size_t)targets;
    if (!load(&b, argv[optind], &additions, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    make_inputs(&b);
    bool ok = !output || write_pass(&b, output);
    for (size_t i = 0; !output && i < PARTS; i++) {
        bool wanted = argc - optind == 2;
        for (int j = optind + 2; j < argc; j++)
            wanted = wanted || strcmp(argv[j], parts[i].name) == 0;
        if (wanted) measure(&b, &parts[i], (size_t)repeats, precision, breaks_down);
    }
    pm_arena_free(&b.scratch);
    pm_arena_free(&b.inputs);
    pm_prepared_free(&b.prepared);
    pm_recipe_free(&b.recipe);
    pm_model_free(&b.model);
    return ok ? 0 : 1;
}
