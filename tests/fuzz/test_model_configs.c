/* The JSON files of a model's folder. */
#include "fuzz.h"

#include "pm/diffusion/schedule.h"
#include "pm/model/model.h"

static void schedule(void)
{
    static struct pm_schedule made;
    struct pm_schedule_config config;
    struct pm_error err;
    if (!pm_schedule_config_load(&config, fuzz_folder(), &err)) return;
    (void)!pm_schedule_init(&made, &config, PM_DDIM, 7, &err);
    (void)!pm_schedule_init(&made, &config, PM_PNDM, 7, &err);
}

/* Its tensors are those of another network: what the config says of sizes is never believed. */
static void networks(void)
{
    static struct pm_arena memory;
    struct pm_unet unet;
    struct pm_vae vae;
    struct pm_text_encoder encoder;
    struct pm_error err;
    if (!memory.base) pm_arena_init(&memory, (size_t)1 << 30);
    memory.used = 0;
    (void)!pm_unet_load(&unet, fuzz_folder(), &memory, &err);
    memory.used = 0;
    (void)!pm_vae_load(&vae, fuzz_folder(), &memory, &err);
    memory.used = 0;
    (void)!pm_text_encoder_load(&encoder, fuzz_folder(), &memory, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static bool linked;
    fuzz_write("config.json", bytes, count);
    fuzz_write("scheduler_config.json", bytes, count);
    if (!linked) {
        fuzz_link("diffusion_pytorch_model.safetensors",
                  "tests/golden/data/models/mini-sd1/unet/diffusion_pytorch_model.safetensors");
        fuzz_link("model.safetensors",
                  "tests/golden/data/models/mini-sd1/text_encoder/model.safetensors");
        linked = true;
    }
    schedule();
    networks();
    return 0;
}
