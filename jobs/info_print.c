#include "info_print.h"

#include "run_memory.h"

#include "pm/runtime/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *family(const struct pm_model *m)
{
    const struct pm_unet_config *u = &m->unet.config;
    bool is_wide = u->levels == 4 && u->channels[0] == 320 && u->channels[3] == 1280;
    if (is_wide && u->context_channels == 768) return "Stable Diffusion 1.x";
    if (is_wide && u->context_channels == 1024) return "Stable Diffusion 2.x";
    return "of Stable Diffusion's architecture, in a size of its own";
}

/** What the files have. */
struct contents {
    double parameters[PM_NETWORKS];
    char dtypes[64]; /* "F16, F32" */
};

static void add_dtype(char *list, size_t bytes, const char *dtype)
{
    size_t used = strlen(list);
    const char *at = strstr(list, dtype);
    if (at && (at == list || at[-1] == ' ')) return; /* "F16" is no "BF16" */
    snprintf(list + used, bytes - used, "%s%s", used ? ", " : "", dtype);
}

static bool count_contents(struct contents *c, const struct pm_checkpoint *checkpoint,
                           struct pm_error *err)
{
    *c = (struct contents){.dtypes = ""};
    for (int network = 0; network < PM_NETWORKS; network++) {
        struct pm_component component;
        PM_TRY(pm_checkpoint_component(&component, checkpoint, network, err));
        for (size_t i = 0; i < component.set.count; i++) {
            const struct pm_tensor *tensor = &component.set.tensors[i];
            if (!pm_tensor_is_float(tensor)) continue;
            c->parameters[network] += (double)tensor->elements;
            add_dtype(c->dtypes, sizeof c->dtypes, tensor->dtype);
        }
        pm_component_close(&component);
    }
    return true;
}

static void print_contents(const struct pm_checkpoint *checkpoint, bool is_bf16)
{
    struct contents c;
    struct pm_error err = {0};
    if (!count_contents(&c, checkpoint, &err)) return; /* the model was measured: it is there */
    printf("layout        %s\n",
           checkpoint->file ? "one file, original names" : "a folder as diffusers has it");
    printf("parameters    %.1f M: UNet %.1f M, text encoder %.1f M, VAE %.1f M\n",
           (c.parameters[PM_UNET] + c.parameters[PM_TEXT_ENCODER] + c.parameters[PM_VAE]) / 1e6,
           c.parameters[PM_UNET] / 1e6, c.parameters[PM_TEXT_ENCODER] / 1e6,
           c.parameters[PM_VAE] / 1e6);
    printf("precision     %s on disk, float32 in memory%s\n", c.dtypes,
           is_bf16 ? "; bfloat16 in the UNet's products" : "");
}

static void print_levels(const struct pm_unet *unet)
{
    const struct pm_unet_config *c = &unet->config;
    for (size_t i = 0; i < c->levels; i++)
        printf("  level %zu      %zu channels, %zu heads, attention %s\n", i, c->channels[i],
               c->heads[i],
               c->down_attends[i]                 ? "down and up"
               : c->up_attends[c->levels - 1 - i] ? "up"
                                                  : "none");
}

static void print_sites(const struct pm_unet *unet, size_t height, size_t width)
{
    size_t count = pm_unet_attention_sites(unet, height, width, NULL);
    struct pm_attention_site *sites = calloc(count + 1, sizeof *sites);
    if (!sites) pm_die("no memory for %zu layers", count);
    printf("attention     %zu layers, half of them on words (cross), half on pixels (self)\n",
           count);
    pm_unet_attention_sites(unet, height, width, sites);
    static const char *const places[] = {"down", "mid", "up"};
    for (size_t i = 0; i < count; i++)
        printf("  layer %-5zu on %s, %s, %zu x %zu pixels, %zu heads\n", sites[i].layer,
               sites[i].is_cross ? "words" : "pixels", places[sites[i].place], sites[i].width,
               sites[i].height, sites[i].heads);
    free(sites);
}

static void print_schedule(const struct pm_model *m)
{
    struct pm_schedule_config s;
    struct pm_error err = {0};
    if (!pm_schedule_config_read(&s, m->checkpoint.scheduler, m->checkpoint.scheduler_path, &err))
        return; /* the settings were made with it */
    bool is_taken_for = m->checkpoint.file && m->checkpoint.file->model.is_open_clip &&
                        !m->checkpoint.given.prediction && !m->checkpoint.given.configs;
    printf("predicts      %s%s\n", s.prediction == PM_EPSILON ? "the noise (epsilon)" : "v",
           is_taken_for ? ", as a 2.x file is taken to; --prediction says otherwise" : "");
    printf("scheduler     %s, %zu training timesteps, betas %g to %g\n",
           s.sampler == PM_PNDM ? "pndm" : "ddim", s.train_timesteps, s.beta_start, s.beta_end);
}

/* Bytes of a rank that does the edit of this line. */
static double rank_bytes(const struct pm_edit_memory *memory, const char *line)
{
    const struct pm_edit_settings *s = memory->settings;
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pm_error err = {0};
    json_t *json = json_loads(line, 0, NULL);
    PM_ASSERT(json);
    pm_recipe_resolve(json, NULL);
    if (!pm_recipe_read(&recipe, json, "info", &err)) pm_die("%s", err.message);
    double bytes = NAN;
    if (pm_edit_prepare(&prepared, &recipe, s, &err)) {
        bytes = RUN_MEMORY_RANK_BYTES +
                (double)pm_edit_memory_bytes(memory, &recipe, &prepared, s->targets_per_pass);
        pm_prepared_free(&prepared);
    }
    pm_recipe_free(&recipe);
    return bytes;
}

static void print_memory(const struct pm_model *m, const struct pm_edit_settings *s, size_t threads)
{
    static const char *const lines[][2] = {
        {"one target, local blend",
         "{\"id\": \"1\", \"source\": \"a photo of a cat\", \"targets\": [{\"prompt\": \"a photo "
         "of a dog\", \"edit\": \"replace\", \"local_blend\": {\"source\": \"cat\", "
         "\"target\": \"dog\"}}]}"},
        {"four targets",
         "{\"id\": \"4\", \"source\": \"a cat\", \"targets\": [{\"prompt\": \"a dog\", \"edit\": "
         "\"replace\"}, {\"prompt\": \"a dog\", \"edit\": \"replace\"}, {\"prompt\": \"a dog\", "
         "\"edit\": \"replace\"}, {\"prompt\": \"a dog\", \"edit\": \"replace\"}]}"},
        {"null-text inversion",
         "{\"id\": \"n\", \"source\": \"a cat\", \"image\": \"a.png\", \"inversion\": "
         "\"null-text\", \"targets\": [{\"prompt\": \"a dog\", \"edit\": \"replace\"}]}"}};
    struct pm_edit_memory memory = pm_edit_memory_make(s, threads);
    double host = pm_memory_bytes(""), weights = (double)m->weights.used;
    printf(
        "memory        %.2f GB for the model, once a host, and for each rank, of %zu thread%s:\n",
        weights / 1e9, threads, threads == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        double rank = rank_bytes(&memory, lines[i][1]);
        if (isnan(rank)) continue;
        printf("  %.2f GB     %s; this host's %.1f GB have room for %.0f\n", rank / 1e9,
               lines[i][0], host / 1e9, fmax(floor((host - weights) / rank), 0.0));
    }
}

void info_print(const struct pm_model *m, const struct pm_config *config,
                const struct pm_edit_settings *s)
{
    size_t side = m->unet.config.sample_size, factor = m->vae.factor;
    printf("%s will run.\n", config->model);
    printf("fingerprint   %s\n", m->fingerprint);
    printf("family        %s\n", family(m));
    print_contents(&m->checkpoint, m->precision == PM_BF16);
    print_schedule(m);
    printf("pictures      %zu x %zu as trained, from latents of %zu x %zu x %zu; both sides may be "
           "multiples of %zu\n",
           side * factor, side * factor, side, side, m->vae.config.latent_channels, factor);
    printf("text encoder  %zu layers, %zu channels, %zu heads; %zu tokens known, %d in a prompt\n",
           m->text_encoder.layer_count, m->text_encoder.channels, m->text_encoder.heads,
           pm_tokenizer_size(m->tokenizer), PM_TOKENS);
    printf("UNet          %zu levels, %zu residual blocks each\n", m->unet.config.levels,
           m->unet.config.layers_per_block);
    print_levels(&m->unet);
    printf("VAE           factor %zu, scaling factor %g\n", factor,
           (double)m->vae.config.scaling_factor);
    printf("kernels       %s\n", pm_kernels()->isa);
    printf("size          %zu x %zu, of which is what follows\n", s->latent_width * factor,
           s->latent_height * factor);
    print_memory(m, s, config->threads);
    print_sites(&m->unet, s->latent_height, s->latent_width);
}
