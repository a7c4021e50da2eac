#include "test.h"

#include "pm/model/unet_flops.h"

#include <math.h>

/* Stable Diffusion 1.5's UNet without its weights: huggingface/diffusers, UNet2DConditionModel. */
static struct pm_unet stable_diffusion(void)
{
    struct pm_unet u = {
        .config = {
            .in_channels = 4, .out_channels = 4, .levels = 4, .channels = {320, 640, 1280, 1280}}};
    const size_t *c = u.config.channels;
    for (size_t level = 0; level < 4; level++) {
        struct pm_unet_block *down = &u.down[level], *up = &u.up[3 - level];
        *down = (struct pm_unet_block){.layers = 2, .attends = level < 3, .resamples = level < 3};
        *up = (struct pm_unet_block){.layers = 3, .attends = level<3, .resamples = level> 0};
        for (size_t i = 0; i < 3; i++) {
            size_t above = level ? c[level - 1] : c[0], below = level < 3 ? c[level + 1] : c[3];
            size_t in = i ? c[level] : above, skip = i < 2 ? c[level] : above;
            size_t both = (i ? c[level] : below) + skip;
            struct pm_transformer t = {.channels = c[level], .depth = 1};
            if (i < 2)
                down->resnets[i] =
                    (struct pm_resnet){.in = in, .out = c[level], .has_shortcut = in != c[level]};
            up->resnets[i] = (struct pm_resnet){.in = both, .out = c[level], .has_shortcut = true};
            down->transformers[i] = up->transformers[i] = t;
        }
    }
    for (size_t i = 0; i < 2; i++) u.mid.resnets[i] = (struct pm_resnet){.in = 1280, .out = 1280};
    u.mid.transformers[0] = (struct pm_transformer){.channels = 1280, .depth = 1};
    return u;
}

/* 803.3 GFLOP by layer, of which keys and values of the prompt, which are made once an edit, are
 * 2.95: computed from the configuration, without this code. */
static void stable_diffusion_takes_800_gigaflops(void **state)
{
    (void)state;
    struct pm_unet unet = stable_diffusion();
    double flops = pm_unet_flops(&unet, 64, 64, 77) / 1e9;
    if (fabs(flops - 800.35) > 0.5) fail_msg("%g GFLOP", flops);
}

static void attention_grows_with_the_square_of_the_pixels(void **state)
{
    (void)state;
    struct pm_unet unet = stable_diffusion();
    double small = pm_unet_flops(&unet, 32, 32, 77), large = pm_unet_flops(&unet, 64, 64, 77);
    double self = 122.5e9; /* of the large one's, and a sixteenth of it in the small one */
    assert_true(fabs(large - 4.0 * small - self * (1.0 - 4.0 / 16.0)) < 1e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stable_diffusion_takes_800_gigaflops),
        cmocka_unit_test(attention_grows_with_the_square_of_the_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
