#include "golden.h"

#include "pm/model/model.h"

#include <math.h>
#include <string.h>

static const char FOLDER[] = "tests/golden/data/components/mini-sd1/lora";
static const double TOLERANCE = 2e-5, UNET_TOLERANCE = 2e-4; /* of the largest value; Winograd */

/** What one loading of mini-sd1 gives for the golden's inputs. */
struct outputs {
    float *hidden, *eps;
    size_t hidden_floats, eps_floats;
    char fingerprint[PM_HASH_TEXT_BYTES];
};

static struct golden golden;

static int open_golden(void **state)
{
    (void)state;
    golden = golden_open("components/mini-sd1/lora");
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    golden_close(&golden);
    return 0;
}

static struct outputs run(const struct pm_lora_file *files, size_t count)
{
    struct pm_arena scratch;
    struct pm_model model;
    struct pm_error err = {0};
    struct outputs out;
    size_t n;
    pm_arena_init(&scratch, (size_t)1 << 33);
    const struct pm_model_additions additions = {.loras = files, .lora_count = count};
    assert_ok(pm_model_load_with(&model, golden_model_folder("mini-sd1"), &additions, &err), err);
    memcpy(out.fingerprint, model.fingerprint, sizeof out.fingerprint);

    int *ids = golden_ints(&golden, &n, "ids");
    out.hidden_floats = n * model.text_encoder.channels;
    out.hidden = test_malloc(out.hidden_floats * sizeof *out.hidden);
    fill_nan(out.hidden, out.hidden_floats);
    pm_text_encoder_forward(out.hidden, &model.text_encoder, ids, n / PM_TOKENS, NULL, &scratch);

    size_t side = model.unet.config.sample_size;
    float *context = golden_floats(&golden, NULL, "context");
    float *sample =
        channels_last(golden_floats(&golden, &out.eps_floats, "sample"), 2, 4, side * side);
    struct pm_unet_context kv = pm_unet_context_make(&model.unet, context, 2, PM_TOKENS, &scratch);
    out.eps = test_malloc(out.eps_floats * sizeof *out.eps);
    fill_nan(out.eps, out.eps_floats);
    pm_unet_forward(out.eps, &model.unet, sample, 501.0f, &kv, side, side, NULL, &scratch);
    out.eps = channels_first(out.eps, 2, 4, side * side);

    test_free(ids);
    test_free(context);
    test_free(sample);
    pm_model_free(&model);
    pm_arena_free(&scratch);
    return out;
}

static struct outputs run_file(const char *name, double weight)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s.safetensors", FOLDER, name);
    return run(&(struct pm_lora_file){.path = path, .weight = weight}, 1);
}

static void free_outputs(struct outputs *out)
{
    test_free(out->hidden);
    test_free(out->eps);
}

static void assert_near(const float *values, size_t count, double tolerance, const char *name)
{
    size_t n;
    float *expected = golden_floats(&golden, &n, "%s", name);
    double largest = 0.0;
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)expected[i]));
    double difference = max_difference(values, expected, n) / largest;
    if (!(difference < tolerance)) fail_msg("%s differs by %g of its max", name, difference);
    test_free(expected);
}

static void assert_golden(const struct outputs *out, const char *prefix)
{
    char name[96];
    snprintf(name, sizeof name, "%s.hidden", prefix);
    assert_near(out->hidden, out->hidden_floats, TOLERANCE, name);
    snprintf(name, sizeof name, "%s.eps.t501", prefix);
    assert_near(out->eps, out->eps_floats, UNET_TOLERANCE, name);
}

static bool same_bits(const struct outputs *a, const struct outputs *b)
{
    return memcmp(a->hidden, b->hidden, a->hidden_floats * sizeof *a->hidden) == 0 &&
           memcmp(a->eps, b->eps, a->eps_floats * sizeof *a->eps) == 0;
}

static void both_layouts_give_the_references_outputs_at_every_weight(void **state)
{
    (void)state;
    static const char *const names[] = {"kohya", "diffusers"};
    static const char *const weights[] = {"1.0", "0.6", "0.5"};
    for (size_t f = 0; f < 2; f++)
        for (size_t w = 0; w < 3; w++) {
            char prefix[64];
            struct outputs out = run_file(names[f], strtod(weights[w], NULL));
            snprintf(prefix, sizeof prefix, "%s.scale%s", names[f], weights[w]);
            assert_golden(&out, prefix);
            free_outputs(&out);
        }
}

static void without_lora_the_model_is_the_plain_one(void **state)
{
    (void)state;
    struct outputs plain = run(NULL, 0), none = run_file("kohya", 0.0);
    assert_golden(&plain, "plain");
    assert_true(same_bits(&plain, &none));
    free_outputs(&plain);
    free_outputs(&none);
}

/* kohya's file says alpha 2 for rank 4, diffusers' none. */
static void the_same_matrices_in_either_layout_give_the_same_bits(void **state)
{
    (void)state;
    struct outputs kohya = run_file("kohya", 1.0), diffusers = run_file("diffusers", 0.5);
    assert_true(same_bits(&kohya, &diffusers));
    free_outputs(&kohya);
    free_outputs(&diffusers);
}

static void several_files_add_up(void **state)
{
    (void)state;
    char kohya[256], diffusers[256];
    snprintf(kohya, sizeof kohya, "%s/kohya.safetensors", FOLDER);
    snprintf(diffusers, sizeof diffusers, "%s/diffusers.safetensors", FOLDER);
    struct outputs both = run((const struct pm_lora_file[]){{.path = kohya, .weight = 1.4},
                                                            {.path = diffusers, .weight = -0.2}},
                              2);
    assert_golden(&both, "diffusers.scale0.5"); /* 1.4 / 2 - 0.2 */
    free_outputs(&both);
}

static void the_fingerprint_tells_file_and_weight(void **state)
{
    (void)state;
    struct outputs outs[] = {run(NULL, 0), run_file("kohya", 1.0), run_file("kohya", 0.5),
                             run_file("diffusers", 1.0), run_file("diffusers", 1.0)};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(strcmp(outs[i].fingerprint, outs[j].fingerprint) == 0,
                             i == 4 && j == 3);
    for (size_t i = 0; i < 5; i++) free_outputs(&outs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_layouts_give_the_references_outputs_at_every_weight),
        cmocka_unit_test(without_lora_the_model_is_the_plain_one),
        cmocka_unit_test(the_same_matrices_in_either_layout_give_the_same_bits),
        cmocka_unit_test(several_files_add_up),
        cmocka_unit_test(the_fingerprint_tells_file_and_weight),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
