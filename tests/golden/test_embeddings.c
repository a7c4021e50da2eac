#include "golden.h"

#include "pm/model/model.h"

#include <math.h>
#include <string.h>

static const char FOLDER[] = "tests/golden/data/components/mini-sd1/textual-inversion";
static const char PROMPT[] = "a photo of a <blob> on a meadow";
static const double TOLERANCE = 2e-5; /* of the largest value */

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

static void load(struct pm_model *model, const char *name, const char *token)
{
    char path[256];
    struct pm_error err = {0};
    snprintf(path, sizeof path, "%s/%s.safetensors", FOLDER, name);
    const struct pm_embedding_file file = {.path = path, .token = token};
    const struct pm_model_additions additions = {.embeddings = &file, .embedding_count = 1};
    assert_ok(pm_model_load_with(model, golden_model_folder("mini-sd1"), &additions, &err), err);
}

static void both_layouts_give_the_references_ids_and_states(void **state)
{
    (void)state;
    for (int layout = 0; layout < 2; layout++) {
        struct pm_model model;
        struct pm_tokens tokens;
        struct pm_arena scratch;
        struct pm_error err = {0};
        size_t n;
        load(&model, layout ? "emb_params" : "diffusers", layout ? "<blob>" : NULL);
        assert_ok(pm_tokenize(&tokens, model.tokenizer, PROMPT, &err), err);
        int *ids = golden_ints(&golden, &n, "ti.ids");
        assert_int_equal(n, PM_TOKENS);
        assert_memory_equal(tokens.ids, ids, sizeof tokens.ids);

        pm_arena_init(&scratch, (size_t)1 << 32);
        float *expected = golden_floats(&golden, &n, "ti.hidden");
        float *hidden = pm_arena_floats(&scratch, n);
        fill_nan(hidden, n);
        pm_text_encoder_forward(hidden, &model.text_encoder, tokens.ids, 1, NULL, &scratch);
        double largest = 0.0;
        for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)expected[i]));
        assert_true(max_difference(hidden, expected, n) < TOLERANCE * largest);
        test_free(ids);
        test_free(expected);
        pm_arena_free(&scratch);
        pm_model_free(&model);
    }
}

static void the_fingerprint_tells_the_word(void **state)
{
    (void)state;
    struct pm_model a, b, plain;
    struct pm_error err = {0};
    load(&a, "diffusers", NULL);
    load(&b, "diffusers", "<other>");
    assert_ok(pm_model_load(&plain, golden_model_folder("mini-sd1"), &err), err);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    assert_string_not_equal(a.fingerprint, plain.fingerprint);
    pm_model_free(&a);
    pm_model_free(&b);
    pm_model_free(&plain);
}

static void another_models_vectors_are_refused(void **state)
{
    (void)state;
    struct pm_model model;
    struct pm_error err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s/diffusers.safetensors", FOLDER);
    const struct pm_embedding_file file = {.path = path};
    const struct pm_model_additions additions = {.embeddings = &file, .embedding_count = 1};
    assert_fails(pm_model_load_with(&model, golden_model_folder("scenes"), &additions, &err), err,
                 "its vectors have 48 channels, the text encoder's ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_layouts_give_the_references_ids_and_states),
        cmocka_unit_test(the_fingerprint_tells_the_word),
        cmocka_unit_test(another_models_vectors_are_refused),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
