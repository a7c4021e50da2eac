/* Folders whose parts are of several models: each part is sound, and together they are refused. */
#include "golden.h"
#include "layout.h"
#include "temporary.h"
#include "test.h"

#include "pm/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* mini-sd1's folder, with another folder in the place of one part; NULL: the test writes that. */
static void mix(const char *other_part, const char *other)
{
    static const char *const parts[] = {"tokenizer", "text_encoder", "unet", "vae", "scheduler"};
    const char *mini = golden_model_folder("mini-sd1");
    char index[512];
    snprintf(index, sizeof index, "%s/model_index.json", mini);
    temporary_copy("mixed/model_index.json", index);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[64], own[512];
        snprintf(name, sizeof name, "mixed/%s", parts[i]);
        snprintf(own, sizeof own, "%s/%s", mini, parts[i]);
        const char *from = strcmp(parts[i], other_part) == 0 ? other : own;
        if (!from) continue;
        char *target = realpath(from, NULL);
        assert_non_null(target);
        assert_int_equal(symlink(target, temporary_path(name)), 0);
        free(target);
    }
}

static void assert_refused(const char *sentence)
{
    struct pm_model model;
    struct pm_error err = {0};
    const struct pm_model_additions nothing_more = {0};
    assert_fails(pm_model_measure(&model, temporary_path("mixed"), &nothing_more, &err), err,
                 sentence);
    assert_non_null(strstr(err.message, "mixed: "));
}

static void a_text_encoder_of_another_width_is_refused(void **state)
{
    (void)state;
    mix("text_encoder", "models/scenes/text_encoder");
    assert_refused("the UNet attends to 48 channels, the text encoder gives 128");
}

static void a_tokenizer_with_more_tokens_is_refused(void **state)
{
    (void)state;
    mix("tokenizer", "tests/golden/data/tokenizer/clip-tokenizer");
    assert_refused("the tokenizer has 49408 tokens, the text encoder 641");
}

static void shrink(const struct layout *layout, const char *name, size_t axis)
{
    struct layout_tensor *t = layout_find(layout, name);
    assert_non_null(t);
    assert_int_equal(t->shape[axis], 4);
    t->shape[axis] = 3;
    t->elements = t->elements / 4 * 3;
    t->bytes = t->bytes / 4 * 3;
}

static void a_unet_of_other_latents_is_refused(void **state)
{
    (void)state;
    char path[512];
    struct pm_error err = {0};
    json_t *config;
    mix("unet", NULL);
    struct layout unet = layout_read("mini-sd1", PM_UNET);
    shrink(&unet, "conv_in.weight", 1);
    shrink(&unet, "conv_out.weight", 0);
    shrink(&unet, "conv_out.bias", 0);
    snprintf(path, sizeof path, "%s/unet/config.json", golden_model_folder("mini-sd1"));
    assert_ok(pm_json_load(&config, path, 1 << 20, &err), err);
    json_object_set_new(config, "in_channels", json_integer(3));
    json_object_set_new(config, "out_channels", json_integer(3));
    char *text = json_dumps(config, 0);
    temporary_write_text("mixed/unet/config.json", text);
    layout_write(&unet, 0, unet.count, "mixed/unet/diffusion_pytorch_model.safetensors");
    assert_refused("the UNet has 3 latent channels, the VAE 4");
    layout_free(&unet);
    free(text);
    json_decref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_encoder_of_another_width_is_refused, temporary_make,
                                        temporary_remove),
        cmocka_unit_test_setup_teardown(a_tokenizer_with_more_tokens_is_refused, temporary_make,
                                        temporary_remove),
        cmocka_unit_test_setup_teardown(a_unet_of_other_latents_is_refused, temporary_make,
                                        temporary_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
