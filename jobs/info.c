/* promptmill info MODEL: what a checkpoint is and whether it will run. */
#include "verbs.h"

#include "pm/diffusion/schedule.h"
#include "pm/model/model.h"
#include "pm/runtime/exit_status.h"

#include <stdio.h>
#include <string.h>

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

static void print_sites(const struct pm_unet *unet)
{
    struct pm_attention_site sites[512];
    size_t side = unet->config.sample_size;
    size_t count = pm_unet_attention_sites(unet, side, side, NULL);
    printf("attention     %zu layers, half of them on words (cross), half on pixels (self)\n",
           count);
    if (count > sizeof sites / sizeof *sites) return;
    pm_unet_attention_sites(unet, side, side, sites);
    static const char *const places[] = {"down", "mid", "up"};
    for (size_t i = 0; i < count; i++)
        printf("  layer %-5zu on %s, %s, %zu x %zu pixels, %zu heads\n", sites[i].layer,
               sites[i].is_cross ? "words" : "pixels", places[sites[i].place], sites[i].width,
               sites[i].height, sites[i].heads);
}

static void print_model(const struct pm_model *m, const struct pm_schedule_config *schedule,
                        const char *folder)
{
    size_t side = m->unet.config.sample_size;
    printf("%s will run.\n", folder);
    printf("fingerprint   %s\n", m->fingerprint);
    printf("weights       %.1f MB packed\n", (double)m->weights.used / 1e6);
    printf("pictures      %zu x %zu as trained, from latents of %zu x %zu x %zu\n",
           side * m->vae.factor, side * m->vae.factor, side, side, m->vae.config.latent_channels);
    printf("text encoder  %zu layers, %zu channels, %zu heads; %zu tokens known, %d in a prompt\n",
           m->text_encoder.layer_count, m->text_encoder.channels, m->text_encoder.heads,
           pm_tokenizer_size(m->tokenizer), PM_TOKENS);
    printf("UNet          %zu levels, %zu residual blocks each\n", m->unet.config.levels,
           m->unet.config.layers_per_block);
    print_levels(&m->unet);
    print_sites(&m->unet);
    printf("VAE           factor %zu, scaling factor %g\n", m->vae.factor,
           (double)m->vae.config.scaling_factor);
    printf("scheduler     %s, %s, %zu training timesteps, betas %g to %g\n",
           schedule->sampler == PM_PNDM ? "pndm" : "ddim",
           schedule->prediction == PM_EPSILON ? "predicts the noise (epsilon)" : "predicts v",
           schedule->train_timesteps, schedule->beta_start, schedule->beta_end);
    printf("kernels       %s\n", pm_kernels()->isa);
}

int verb_info(int argc, char **argv)
{
    struct pm_model model;
    struct pm_schedule_config schedule;
    struct pm_error err = {0};
    if (argc != 2 || strcmp(argv[1], "--help") == 0) {
        FILE *out = argc == 2 ? stdout : stderr;
        fprintf(
            out,
            "usage: promptmill info MODEL\n\nTell what a checkpoint in diffusers layout is, and "
            "whether it will run; if not, what is missing or not supported.\n");
        return argc == 2 ? PM_EXIT_DONE : PM_EXIT_INPUT;
    }
    if (!pm_model_load(&model, argv[1], &err)) {
        fprintf(stderr, "promptmill: %s\n", err.message);
        return PM_EXIT_INPUT;
    }
    bool ok = pm_schedule_config_read(&schedule, model.checkpoint.scheduler,
                                      model.checkpoint.scheduler_path, &err);
    if (ok)
        print_model(&model, &schedule, argv[1]);
    else
        fprintf(stderr, "promptmill: %s\n", err.message);
    pm_model_free(&model);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
